//! `factory model`: what a base is.

use super::say;
use super::size;
use crate::adapters::config::AdapterConfig;
use crate::data::template::{Renderer, Template};
use crate::model::config::Config;
use crate::model::decoder;
use crate::model::linear::Projection;
use crate::model::load::{DEFAULT_BASE, Source};
use crate::model::ops::Path;
use crate::model::weight;
use crate::training::memory::{self, Pass};
use anyhow::Result;

/// Look at base models.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show a base's shape, parameters, tokenizer, and the memory it needs.
    Inspect {
        /// A folder of safetensors, a .gguf file, or a hub id.
        #[arg(default_value = DEFAULT_BASE)]
        base: String,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let Command::Inspect { base } = args.command;
    inspect(&base)
}

/// Such as `, with bias in q_proj, k_proj, v_proj`.
fn biases(config: &Config) -> String {
    let all = Projection::ALL.into_iter();
    let biased: Vec<&str> = all
        .filter(|p| config.biased(*p))
        .map(Projection::name)
        .collect();
    match biased.is_empty() {
        true => String::new(),
        false => format!(", with bias in {}", biased.join(", ")),
    }
}

/// The devices beside the CPU that this build has.
const DEVICES: &str = match (cfg!(feature = "metal"), cfg!(feature = "cuda")) {
    (true, true) => "Metal or CUDA",
    (true, false) => "Metal",
    (false, true) => "CUDA",
    (false, false) => "Metal or CUDA, which this build lacks",
};

/// How weights are held there.
fn on_devices(config: &Config) -> String {
    let whole = Projection::ALL.into_iter().filter(|p| {
        let [_, width] = decoder::projection_shape(config, *p);
        !weight::in_whole_blocks(width)
    });
    let whole: Vec<&str> = whole.map(Projection::name).collect();
    let but = match whole.is_empty() {
        true => String::new(),
        false => format!(
            ", but for {}, which stay numbers, since no blocks of 32 fit their width",
            whole.join(", ")
        ),
    };
    format!("bf16; with --weights q8 or native by candle's quantized products{but}")
}

/// Rows of a batch and tokens of a row for which memory is stated: the defaults of `sft` and `generate`.
const ROWS: [usize; 2] = [1, 8];
const ROW: usize = 512;
const SLOTS: usize = 16;

fn inspect(base: &str) -> Result<()> {
    let source = Source::open(base)?;
    decoder::check(&source.config, source.weights.as_ref())?;
    let c = &source.config;
    let head = if c.tie_word_embeddings { "tied" } else { "own" };
    say(format_args!(
        "{base}: {}, {} parameters, {head} head",
        c.family.name(),
        memory::parameters(c)
    ))?;
    say(format_args!(
        "  {} layers, hidden {}, mlp {}, {} query and {} key/value heads of {}{}{}",
        c.num_hidden_layers,
        c.hidden_size,
        c.intermediate_size,
        c.num_attention_heads,
        c.num_key_value_heads,
        c.head_dim,
        if c.qk_norm { ", normed" } else { "" },
        biases(c),
    ))?;
    say(format_args!(
        "  {} positions, rope {}, norm eps {:e}",
        c.max_position_embeddings, c.rope, c.rms_norm_eps as f32
    ))?;
    if !c.without_rope.is_empty() {
        let layers: Vec<String> = c.without_rope.iter().map(usize::to_string).collect();
        say(format_args!("  no rope in layers {}", layers.join(" ")))?;
    }
    if let Some(window) = &c.window {
        let (size, n) = (window.size, window.layers.len());
        say(format_args!(
            "  sliding window of {size} tokens in {n} layers"
        ))?;
    }
    let stored = source.stored.iter();
    let stored = stored.map(|(kind, (n, bytes))| format!("{n} x {kind} ({})", size(*bytes)));
    say(format_args!(
        "  stored: {}",
        stored.collect::<Vec<_>>().join(", ")
    ))?;
    let held = match source.is_in_blocks() {
        true => format!("as it is stored (native), by {}", weight::instructions()),
        false => "f32".to_owned(),
    };
    say(format_args!("  answers on the CPU: {held}"))?;
    say(format_args!("  answers on {DEVICES}: {}", on_devices(c)))?;

    let t = &source.tokenizer;
    let ends = t
        .ends()
        .iter()
        .map(|&id| Ok(format!("{:?} ({id})", t.show(&[id])?)));
    let ends = ends.collect::<Result<Vec<_>>>()?.join(", ");
    let chatml = match Renderer::new(Template::Chatml, t) {
        Ok(_) => "yes",
        Err(_) => "no",
    };
    let own = match Renderer::new(Template::Base, t) {
        Ok(_) => "yes",
        Err(_) => "no",
    };
    let begins = match t.bos() {
        Some(bos) => format!("begins with {:?} ({bos}), ", t.show(&[bos])?),
        None => String::new(),
    };
    say(format_args!(
        "tokenizer: {} tokens of {} rows, {begins}ends with {ends}, chatml {chatml}, chat template {own}",
        t.len(),
        c.vocab_size
    ))?;

    let adapter = AdapterConfig::default();
    say(format_args!(
        "adapter of rank {} on every projection: {} parameters",
        adapter.rank,
        memory::adapter_parameters(c, &adapter)
    ))?;
    for (name, size_of, path) in [
        ("f32 on the CPU", 4, Path::Fused),
        ("bf16 on a GPU", 2, Path::Portable),
    ] {
        let pass = |rows| Pass {
            rows,
            length: ROW,
            size: size_of,
            path,
            recompute: false,
        };
        let weights = memory::parameters(c) * size_of;
        say(format_args!("memory in {name}: weights {}", size(weights)))?;
        for rows in ROWS {
            let training = weights + memory::training(c, &adapter, pass(rows));
            say(format_args!(
                "  sft, rank 8, {rows} rows of {ROW} tokens: {}",
                size(training)
            ))?;
        }
        let answering = weights + memory::generation(c, pass(SLOTS));
        say(format_args!(
            "  generate, {SLOTS} rows of {ROW} tokens: {}",
            size(answering)
        ))?;
    }
    Ok(())
}
