//! Tokens a second of prompts and of answers, apart, beside what this machine can do at most: rows that are answered together, with no
//! adapter, one, and several among them; interleaved, medians.
//!     FACTORY_BASE="$(scripts/fetch_base.sh)" cargo bench --bench decode
//!     cargo bench --bench decode -- --batch 1,16 --adapters 0,1 --repeats 3        a part, in under a minute; --help says more
//! Without FACTORY_BASE: random weights in SmolLM2-135M's shape. Close everything else first.

mod bases;
mod clock;
mod limit;
mod median;

use bases::{Place, Weights, member};
use clap::{Parser, ValueEnum};
use clock::Clock;
use factory::adapters::bank::{Bank, Mixture};
use factory::generation::engine::{Adapters, Engine};
use factory::generation::sampler::SamplerConfig;
use factory::generation::stop::StopConfig;
use factory::model::load::Base;
use limit::Limit;
use median::median;

#[derive(Parser)]
struct Args {
    /// Rows that are answered together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16, 32])]
    batch: Vec<usize>,
    /// Different adapters among them, no more than rows; 0 is the base alone.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 8, 32])]
    adapters: Vec<usize>,
    /// Kinds of adapter.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Lora, Kind::Dora])]
    kind: Vec<Kind>,
    /// How the base's weights are held [default: every kind].
    #[arg(long, value_enum, value_delimiter = ',')]
    weights: Vec<Weights>,
    /// Tokens of a prompt.
    #[arg(long, default_value_t = 64)]
    prompt: usize,
    /// Tokens of an answer behind its first, which comes with the prompt.
    #[arg(long, default_value_t = 32)]
    answer: usize,
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Processor time in place of the wall's, with RAYON_NUM_THREADS=1: on a machine that others use too.
    #[arg(long)]
    cpu_time: bool,
    /// One line of JSON for each row of the table, in place of it and of the limit.
    #[arg(long)]
    json: bool,
    /// What cargo adds.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    Lora,
    Dora,
}

/// A base as it is held, with adapters to choose from.
struct Subject<'a> {
    weights: Weights,
    base: &'a Base,
    kind: Kind,
    bank: Bank,
}

impl Subject<'_> {
    /// Of the weights that a step reads.
    fn bytes(&self) -> usize {
        let decoder = &self.base.decoder;
        let blocks: usize = decoder.projections().map(|(_, w)| w.bytes()).sum();
        blocks + decoder.head().bytes()
    }
}

/// A row of the table.
struct Case<'a> {
    subject: &'a Subject<'a>,
    adapters: usize,
    batch: usize,
    /// Seconds of the prompts, and of the answers behind the first tokens.
    seconds: [Vec<f64>; 2],
}

fn main() {
    let mut args = Args::parse();
    let one = rayon::current_num_threads() == 1;
    assert!(
        one || !args.cpu_time,
        "--cpu-time takes RAYON_NUM_THREADS=1"
    );
    if args.weights.is_empty() {
        args.weights = Weights::value_variants().to_vec();
    }
    let limit = (!args.json).then(|| Limit::measure(args.cpu_time));
    if let Some(limit) = &limit {
        println!("\n{limit}");
    }
    let place = Place::find();
    let bases = args.weights.iter().map(|w| (*w, w.load(place.path())));
    let bases: Vec<(Weights, Base)> = bases.collect();
    let most = args.adapters.iter().copied().max().unwrap_or(0);
    let subjects: Vec<Subject> = bases
        .iter()
        .flat_map(|(weights, base)| args.kind.iter().map(move |kind| (*weights, base, *kind)))
        .map(|(weights, base, kind)| {
            let members = (0..most).map(|seed| member(base, seed, kind == Kind::Dora));
            let bank = Bank::new(members.collect()).unwrap();
            Subject {
                weights,
                base,
                kind,
                bank,
            }
        })
        .collect();
    let mut cases = cases(&args, &subjects);
    // The first touches memory that the others find.
    for repeat in 0..=args.repeats {
        for case in &mut cases {
            let seconds = rayon::scope(|_| measure(case, &args, repeat));
            if repeat > 0 {
                for (all, seconds) in case.seconds.iter_mut().zip(seconds) {
                    all.push(seconds);
                }
            }
        }
    }
    match limit {
        Some(limit) => table(cases, &args, &limit),
        None => cases.into_iter().for_each(|case| case.json(&args)),
    }
}

fn cases<'a>(args: &Args, subjects: &'a [Subject<'a>]) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for subject in subjects {
        for &adapters in &args.adapters {
            // The base alone is the same whatever the kind.
            if adapters == 0 && subject.kind != args.kind[0] {
                continue;
            }
            for &batch in args.batch.iter().filter(|batch| adapters <= **batch) {
                cases.push(Case {
                    subject,
                    adapters,
                    batch,
                    seconds: Default::default(),
                });
            }
        }
    }
    cases
}

/// Seconds of the prompts, and of the answers behind the first tokens: what longer answers take more.
fn measure(case: &Case, args: &Args, repeat: usize) -> [f64; 2] {
    let first = answer(case, args, 2 * repeat, 1);
    let all = answer(case, args, 2 * repeat + 1, 1 + args.answer);
    [first, all - first]
}

/// Seconds of answers of `tokens` tokens to every row; `draw` chooses the prompts.
fn answer(case: &Case, args: &Args, draw: usize, tokens: usize) -> f64 {
    let Subject { base, bank, .. } = case.subject;
    let adapters = (case.adapters > 0).then(|| Adapters {
        bank,
        mixtures: (0..case.adapters).map(Mixture::only).collect(),
        choice: (0..case.batch).map(|row| row % case.adapters).collect(),
    });
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters,
        sampler: SamplerConfig::default(),
        stop: StopConfig {
            max_tokens: tokens,
            stop: Vec::new(),
        },
        batch: case.batch,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    };
    let prompts: Vec<Vec<u32>> = (0..case.batch)
        .map(|row| prompt(row, args.prompt, draw))
        .collect();
    let clock = Clock::start(args.cpu_time);
    let answers = engine.generate(&prompts).unwrap();
    let seconds = clock.seconds();
    let found: usize = answers.iter().map(|answer| answer.tokens.len()).sum();
    // An end of text that a row happens to say takes its place from the rest.
    seconds * (case.batch * tokens) as f64 / found as f64
}

/// Tokens that no other row and no other draw begins with: nothing computed before serves them.
fn prompt(row: usize, length: usize, draw: usize) -> Vec<u32> {
    let first = row * 7919 + draw * 611_953;
    (0..length)
        .map(|i| (1000 + (first + i * 104_729) % 40_000) as u32)
        .collect()
}

impl Case<'_> {
    fn name(&self) -> String {
        match (self.adapters, self.subject.kind) {
            (0, _) => "none".to_owned(),
            (n, Kind::Lora) => format!("{n} LoRA"),
            (n, Kind::Dora) => format!("{n} DoRA"),
        }
    }

    /// Tokens of the prompts, and of the answers behind the first ones.
    fn tokens(&self, args: &Args) -> [f64; 2] {
        [args.prompt, args.answer].map(|length| (self.batch * length) as f64)
    }

    /// Their seconds at the limit of the machine: the base's weights once a step, and its products.
    fn least(&self, args: &Args, limit: &Limit) -> [f64; 2] {
        let decoder = &self.subject.base.decoder;
        let size = |(rows, width): (usize, usize)| (rows * width) as f64;
        let blocks: f64 = decoder
            .projections()
            .map(|(_, w)| size(w.dims().unwrap()))
            .sum();
        let head = size(decoder.head().dims().unwrap());
        let bytes = self.subject.bytes() as f64;
        let seconds = |tokens: f64| {
            let operations = 2.0 * (blocks * tokens + head * self.batch as f64);
            limit.seconds(self.subject.weights, bytes, operations)
        };
        let [prompt, _] = self.tokens(args);
        [
            seconds(prompt),
            args.answer as f64 * seconds(self.batch as f64),
        ]
    }

    fn json(self, args: &Args) {
        let rate = self.tokens(args);
        let [prefill, decode] = self.seconds.map(median);
        let line = serde_json::json!({
            "weights": self.subject.weights.name(),
            "adapters": self.adapters, "dora": self.subject.kind == Kind::Dora, "batch": self.batch,
            "prefill": rate[0] / prefill, "decode": rate[1] / decode,
        });
        println!("{line}");
    }
}

fn table(cases: Vec<Case>, args: &Args, limit: &Limit) {
    let mut told = Vec::new();
    for subject in cases.iter().map(|case| case.subject) {
        if !told.contains(&subject.weights) {
            told.push(subject.weights);
            let megabytes = subject.bytes() as f64 / 1e6;
            println!(
                "{}: {megabytes:.0} MB of weights a step.",
                subject.weights.name()
            );
        }
    }
    println!(
        "{} tokens of a prompt, {} of an answer; medians of {} repeats{}.\n",
        args.prompt,
        args.answer,
        args.repeats,
        if args.cpu_time {
            ", processor time"
        } else {
            ""
        }
    );
    println!(
        "| weights | adapters | rows | prefill tokens/s | of the limit | decode tokens/s | of the limit |"
    );
    println!("|---|---|---|---|---|---|---|");
    for case in cases {
        let (tokens, least) = (case.tokens(args), case.least(args, limit));
        let (name, weights, batch) = (case.name(), case.subject.weights.name(), case.batch);
        let [prefill, decode] = case.seconds.map(median);
        println!(
            "| {weights} | {name} | {batch} | {:.0} | {:.2} | {:.0} | {:.2} |",
            tokens[0] / prefill,
            least[0] / prefill,
            tokens[1] / decode,
            least[1] / decode,
        );
    }
}
