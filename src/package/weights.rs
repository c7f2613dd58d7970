//! The weights of a package.

use super::request::{CARD, GGUF, Request, Weights};
use super::serving::Serving;
use crate::adapters::merge::{self, Merged};
use crate::answering::loaded::Loaded;
use crate::answering::trained;
use crate::data::record;
use crate::data::template::{Renderer, Template};
use crate::model::gguf_write::{self, Stored};
use crate::model::load::{self, Source};
use crate::model::tokenizer::Tokenizer;
use crate::run::folder::RunFolder;
use crate::run::observer::Observer;
use anyhow::{Context, Result};
use candle_core::quantized::gguf_file::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files of an adapter that a package takes.
const ADAPTER: [(&str, bool); 4] = [
    ("adapter_config.json", true),
    ("adapter_model.safetensors", true),
    ("config.toml", false),
    (trained::CHAT_TEMPLATE, false),
];

/// What was found on the way.
pub struct Made {
    pub template: Template,
    pub asked: Asked,
    /// The names of the tokens that end an answer.
    pub ends: Vec<String>,
    /// Of the base, where it says one.
    pub license: Option<String>,
    /// Longest text that the model was made for, in tokens.
    pub positions: usize,
}

/// The template in forms that others read.
pub struct Asked {
    /// As Jinja.
    pub jinja: String,
    /// What stands before a question, and behind it; without the token that the tokenizer puts before every text.
    pub before: String,
    pub after: String,
    /// The end of an answer, by its token's name.
    pub end: Option<String>,
}

/// Writes them.
pub fn write(
    folder: &RunFolder,
    serving: &Serving,
    request: &Request,
    observer: &dyn Observer,
) -> Result<Made> {
    let name = serving.base_name()?;
    let path = Path::new(&name);
    let mut source = Source::open(&name)?;
    let own = source.tokenizer.chat().templates.get("default").cloned();
    let template = serving.template(observer)?;
    match serving.config.template {
        Some(template) => template.prepare(&mut source.tokenizer),
        None => serving
            .config
            .loras
            .prepare(template, &mut source.tokenizer, observer)?,
    }
    let tokenizer = &source.tokenizer;
    let kept = trained::asked(template, own.as_ref(), tokenizer)?;
    // A template that begins with the token that begins every text never doubles it.
    let doubled = template == Template::Chatml && tokenizer.bos() == tokenizer.id("<|im_start|>");
    let around = around(template, tokenizer, doubled)?;
    let made = Made {
        template,
        asked: Asked {
            jinja: template.jinja(tokenizer)?,
            before: around.0,
            after: around.1,
            end: kept.end.as_ref().map(|(_, name)| name.clone()),
        },
        ends: tokenizer
            .ends()
            .iter()
            .filter_map(|id| tokenizer.name(*id))
            .collect(),
        license: license(path),
        positions: source.config.max_position_embeddings,
    };
    match request.weights {
        Weights::Adapter => copy(folder, &serving.artifact, &ADAPTER)?,
        Weights::Merged if serving.whole => copy_model(folder, &serving.artifact)?,
        Weights::Merged => {
            let from = load::whole_folder(&name).context(
                "--merged writes a folder as its base is one: give --gguf for this base",
            )?;
            let loaded = Loaded::load(&serving.config, request.place, observer)?;
            let mut files = merge::files(&from, &loaded.bank, &loaded.mixture, None)?;
            kept.keep(&mut files)?;
            files.extend(
                trained::template_files(template, None)
                    .into_iter()
                    .map(|(name, content)| (name.to_owned(), content)),
            );
            // The package has a card of its own.
            files.remove(CARD);
            for (name, content) in files {
                folder.write(&name, &content)?;
            }
        }
        Weights::Gguf(stored) => {
            let mut metadata = gguf_write::metadata(path, &source)?;
            let text = |text: &str| Value::String(text.to_owned());
            metadata.insert("general.name".to_owned(), text(&run_name(request)));
            metadata.insert(
                "tokenizer.chat_template".to_owned(),
                text(&made.asked.jinja),
            );
            let first = kept.end.as_ref().map(|(id, _)| *id);
            metadata.extend(source.tokenizer.ends_to_gguf(first)?);
            if doubled {
                metadata.insert(
                    "tokenizer.ggml.add_bos_token".to_owned(),
                    Value::Bool(false),
                );
            }
            gguf(
                folder, &source, serving, &metadata, stored, request, observer,
            )?;
        }
    }
    Ok(made)
}

/// What a template puts before a question and behind it. `first` says whether that has the token that begins every text.
fn around(template: Template, tokenizer: &Tokenizer, first: bool) -> Result<(String, String)> {
    const QUESTION: &str = " What is asked?\n";
    let tokens = Renderer::new(template, tokenizer)?.prompt(&record::user(QUESTION.to_owned()))?;
    let begins = tokenizer.bos().is_some() && tokens.first() == tokenizer.bos().as_ref() && !first;
    let text = tokenizer.show(&tokens[usize::from(begins)..])?;
    let (before, after) = text.split_once(QUESTION).with_context(|| {
        format!(
            "the template {} shows a question otherwise than it is asked",
            template.name()
        )
    })?;
    Ok((before.to_owned(), after.to_owned()))
}

/// The run's id: the name of its folder.
fn run_name(request: &Request) -> String {
    let name = request.run.file_name().unwrap_or(request.run.as_os_str());
    name.to_string_lossy().into_owned()
}

fn gguf(
    folder: &RunFolder,
    source: &Source,
    serving: &Serving,
    metadata: &BTreeMap<String, Value>,
    stored: Stored,
    request: &Request,
    observer: &dyn Observer,
) -> Result<()> {
    // Adapters are made to fit their base's weights; the merged ones are computed as they are written.
    let Loaded {
        bank,
        mixture,
        base,
        ..
    } = Loaded::load(&serving.config, request.place, observer)?;
    drop(base);
    let merged = Merged::new(source.weights.as_ref(), &bank, &mixture);
    let path = folder.path().join(GGUF);
    gguf_write::write(&path, &source.config, &merged, metadata, stored)?;
    let written = Source::open(&path.to_string_lossy())?;
    gguf_write::check(&source.config, &written.config)
}

fn copy(folder: &RunFolder, from: &Path, names: &[(&str, bool)]) -> Result<()> {
    for (name, needed) in names {
        let path = from.join(name);
        if *needed || path.exists() {
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            folder.write(name, &content)?;
        }
    }
    Ok(())
}

/// A whole model's files, which may be too large to be held.
fn copy_model(folder: &RunFolder, from: &Path) -> Result<()> {
    for (name, path) in super::lock::files(from)? {
        if name == CARD || name.contains('/') || name.starts_with('.') {
            continue;
        }
        let to = folder.path().join(&name);
        fs::copy(&path, &to)
            .with_context(|| format!("cannot copy {} to {}", path.display(), to.display()))?;
    }
    Ok(())
}

/// The license that a base says: in a GGUF's metadata, or in the head of its folder's README.
fn license(base: &Path) -> Option<String> {
    if base.is_file() {
        return crate::model::gguf::text(base, "general.license");
    }
    let readme = fs::read_to_string(base.join(CARD)).ok()?;
    let head = readme.strip_prefix("---\n")?.split("\n---").next()?;
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("license:"))?;
    let name = line.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}
