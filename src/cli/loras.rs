//! `--lora [NAME=]FOLDER [--lora-weight W]`, any number of times.

use super::one_line::plain;
use super::sft::DEFAULT_BASE;
use super::{UsageError, note};
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::stored::{self, Format};
use crate::data::template::Template;
use crate::model::decoder::Decoder;
use crate::model::load;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, anyhow, ensure};
use clap::{Arg, ArgAction, ArgMatches, Command, Error, ValueEnum};
use std::path::{Path, PathBuf};

/// The adapters of a command line, in its order.
#[derive(Clone, Debug, Default)]
pub struct Loras(Vec<Lora>);

/// One adapter.
#[derive(Clone, Debug)]
struct Lora {
    /// As given, else the folder's name.
    name: String,
    folder: PathBuf,
    weight: f64,
}

impl Lora {
    fn parse(text: &str) -> Self {
        let folder = PathBuf::from(text);
        let named = text.split_once('=').filter(|_| !folder.exists());
        let (name, folder) = match named {
            Some((name, folder)) => (name.to_owned(), PathBuf::from(folder)),
            None => {
                let last = folder.file_name().unwrap_or(folder.as_os_str());
                (last.to_string_lossy().into_owned(), folder)
            }
        };
        Self {
            name,
            folder,
            weight: 1.0,
        }
    }
}

impl Loras {
    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they are called.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|lora| lora.name.as_str()).collect()
    }

    /// The words of a command line that say the same, each weight times that of `weights`.
    pub fn flags(&self, weights: &[f64]) -> Vec<String> {
        let flags = self.0.iter().zip(weights).flat_map(|(lora, weight)| {
            let lora_and = format!("{}={}", lora.name, lora.folder.display());
            let weight = (lora.weight * weight).to_string();
            ["--lora".into(), lora_and, "--lora-weight".into(), weight]
        });
        flags.collect()
    }

    /// The adapters loaded for `decoder`, which `base` names, and the mixture that their weights are.
    pub fn load(&self, decoder: &Decoder, base: &str) -> Result<(Bank, Mixture)> {
        let mut members = Vec::new();
        let mut faults = Vec::new();
        for lora in &self.0 {
            match stored::load(&lora.folder, decoder) {
                Ok(adapter) => members.push(Member {
                    name: lora.name.clone(),
                    adapter,
                }),
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        note_other_bases(self.0.iter().map(|lora| lora.folder.as_path()), base);
        let weights = self.0.iter().map(|lora| lora.weight).enumerate();
        Ok((Bank::new(members)?, Mixture(weights.collect())))
    }

    /// The base that the adapters were made for, without any the default. Errors where they name different ones or none, or one
    /// that is not here.
    pub fn base(&self) -> Result<String> {
        let named = |lora: &Lora| stored::base_of(&lora.folder);
        let Some(first) = self.0.first() else {
            return Ok(DEFAULT_BASE.to_owned());
        };
        let base = self.agreed("base model", "--base", named)?;
        said_base(&first.folder, base)
    }

    /// The template that the adapters were trained with, as far as they say it. Errors where they differ.
    pub fn said_template(&self) -> Result<Option<Template>> {
        self.agreed("template", "--template", |lora| {
            trained_template(&lora.folder)
        })
    }

    /// The template of the adapters, else that of a merged `base`, else plain. An error of usage where only the user can know it.
    pub fn template(&self, base: &str) -> Result<Template> {
        if let Some(template) = self.said_template()? {
            return Ok(template);
        }
        if let Some(lora) = self
            .0
            .iter()
            .find(|lora| Format::of(&lora.folder) == Format::Gguf)
        {
            let file = lora.folder.display();
            let message = format!(
                "adapter {file} cannot say with which template it was trained, a {} has no place for it: give --template plain, chatml or base",
                Format::Gguf.name()
            );
            return Err(UsageError(message).into());
        }
        if let Some(template) = trained_template(Path::new(base))? {
            return Ok(template);
        }
        if !self.is_empty() {
            note(
                "no adapter says with which template it was trained: plain is used (--template names another)",
            );
        }
        Ok(Template::Plain)
    }

    /// Makes `tokenizer` one for `template`, as the adapters were trained with it here.
    pub fn prepare(&self, template: Template, tokenizer: &mut Tokenizer) -> Result<()> {
        take_template(template, self.chat_template()?, tokenizer);
        Ok(())
    }

    /// The chat template that the adapters were trained with here, if that was their base's own.
    pub fn chat_template(&self) -> Result<Option<String>> {
        self.agreed("chat template", "--template", |lora| {
            chat_template(&lora.folder)
        })
    }

    /// What all adapters that say something say.
    fn agreed<T: PartialEq>(
        &self,
        what: &str,
        flag: &str,
        said: impl Fn(&Lora) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut first: Option<(&Lora, T)> = None;
        let (mut faults, mut others) = (Vec::new(), Vec::new());
        for lora in &self.0 {
            match (said(lora), &first) {
                (Err(fault), _) => faults.push(format!("{fault:#}")),
                (Ok(Some(value)), Some((_, agreed))) if value != *agreed => {
                    others.push(lora.folder.display().to_string())
                }
                (Ok(Some(value)), None) => first = Some((lora, value)),
                _ => {}
            }
        }
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        let Some((lora, value)) = first else {
            return Ok(None);
        };
        ensure!(
            others.is_empty(),
            "{} and {} were made with another {what}: give {flag}",
            lora.folder.display(),
            others.join(", ")
        );
        Ok(Some(value))
    }
}

/// The base that an adapter was made for. Errors where it names none, or one that is not here.
pub fn base_of(adapter: &Path) -> Result<String> {
    said_base(adapter, stored::base_of(adapter)?)
}

/// The base that `adapter` and its company name.
fn said_base(adapter: &Path, base: Option<String>) -> Result<String> {
    let adapter = adapter.display();
    let base = base.ok_or_else(|| {
        UsageError(format!(
            "adapter {adapter} does not say its base: give --base"
        ))
    })?;
    match load::may_exist(&base) {
        true => Ok(base),
        false => {
            let base = plain(&base);
            let message = format!(
                "adapter {adapter} was made for the base {base}, which is not here: give --base"
            );
            Err(UsageError(message).into())
        }
    }
}

/// Says which of the adapters were made for a base of another name than `base`. That may be right: a folder holds what a hub id
/// names.
pub fn note_other_bases<'a>(adapters: impl IntoIterator<Item = &'a Path>, base: &str) {
    let last = |base: &str| Path::new(base).file_name().map(ToOwned::to_owned);
    let other = |adapter: &Path| {
        let own = stored::base_of(adapter).ok().flatten()?;
        (last(&own) != last(base)).then(|| format!("{} for {own}", adapter.display()))
    };
    let others: Vec<_> = adapters.into_iter().filter_map(other).collect();
    if !others.is_empty() {
        let others = plain(&others.join(", "));
        note(format_args!("by their names not made for {base}: {others}"));
    }
}

/// The files that say with which template an adapter was trained, `text` being a base's own.
pub fn template_files(template: Template, text: Option<String>) -> Vec<(&'static str, Vec<u8>)> {
    let said = format!("template = {:?}\n", template.name());
    let mut files = vec![("config.toml", said.into_bytes())];
    files.extend(text.map(|text| (CHAT_TEMPLATE, text.into_bytes())));
    files
}

/// The base's own chat template, as it lies beside an adapter that was trained with it.
pub const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// The chat template that an adapter was trained with, if that was its base's own.
pub fn chat_template(folder: &Path) -> Result<Option<String>> {
    if trained_template(folder)? != Some(Template::Base) {
        return Ok(None);
    }
    let path = folder.join(CHAT_TEMPLATE);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| anyhow!("{}: {e}", path.display()))?;
    Ok(Some(text))
}

/// Makes `tokenizer` one for `template`; `trained` is the chat template that an adapter was trained with, which
/// counts more than the base's.
pub fn take_template(template: Template, trained: Option<String>, tokenizer: &mut Tokenizer) {
    let own = tokenizer.chat().templates.get("default");
    if let (Template::Base, Some(trained)) = (template, trained)
        && own != Some(&trained)
    {
        note(format_args!(
            "the adapter was trained with another chat template than this base's: that one is used"
        ));
        tokenizer.set_chat_template(trained);
    }
    template.prepare(tokenizer);
}

/// The template that the run folder of an adapter says.
pub fn trained_template(folder: &Path) -> Result<Option<Template>> {
    // Only a folder written here has this file.
    let Ok(text) = std::fs::read_to_string(folder.join("config.toml")) else {
        return Ok(None);
    };
    #[derive(serde::Deserialize)]
    struct Run {
        template: Option<String>,
    }
    let folder = folder.display();
    let run: Run =
        toml::from_str(&text).map_err(|e| anyhow!("{folder}/config.toml: {}", e.message()))?;
    let Some(name) = run.template else {
        return Ok(None);
    };
    let template = Template::from_str(&name, true)
        .map_err(|e| anyhow!("{folder}/config.toml: template {name:?}: {e}; give --template"))?;
    Ok(Some(template))
}

// Derived code would lose which weight stood behind which adapter.
impl clap::Args for Loras {
    fn augment_args(command: Command) -> Command {
        let repeatable = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .action(ArgAction::Append)
        };
        command
            .arg(repeatable(
                "lora",
                "[NAME=]FOLDER",
                "Adapter: a folder of PEFT's or mlx-lm's, or llama.cpp's .gguf; several are added to the base, each with its weight",
            ))
            .arg(
                repeatable(
                    "lora-weight",
                    "W",
                    "Weight of the adapter named before it: 0 is the base, 1 the adapter [default: 1]",
                )
                .value_parser(clap::value_parser!(f64))
                .allow_negative_numbers(true),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Loras {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut loras = Self::default();
        loras.update_from_arg_matches(matches)?;
        Ok(loras)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let texts = matches.get_many::<String>("lora").into_iter().flatten();
        let places = matches.indices_of("lora").into_iter().flatten();
        let mut loras: Vec<(usize, Lora)> =
            places.zip(texts.map(|text| Lora::parse(text))).collect();
        let weights = matches.get_many::<f64>("lora-weight").into_iter().flatten();
        let places = matches.indices_of("lora-weight").into_iter().flatten();
        let (mut weighted, mut faults) = (None, Vec::new());
        let usage =
            |message: String| Error::raw(clap::error::ErrorKind::ValueValidation, message + "\n");
        for (place, &weight) in places.zip(weights) {
            let before = loras.iter_mut().rev().find(|(lora, _)| *lora < place);
            let Some((lora_place, lora)) = before else {
                return Err(usage(format!(
                    "--lora-weight {weight} stands before any --lora"
                )));
            };
            if weighted == Some(*lora_place) {
                return Err(usage(format!(
                    "--lora {} has two weights",
                    lora.folder.display()
                )));
            }
            if !weight.is_finite() {
                let folder = lora.folder.display();
                faults.push(format!("--lora-weight {weight} of {folder} is not finite"));
            }
            weighted = Some(*lora_place);
            lora.weight = weight;
        }
        let names: Vec<_> = loras.iter().map(|(_, lora)| lora.name.as_str()).collect();
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                faults.push("a --lora has no name: give NAME=FOLDER".to_owned());
            } else if names[..i].contains(name) {
                faults.push(format!(
                    "two adapters are called {name}: give --lora NAME=FOLDER"
                ));
            }
        }
        if !faults.is_empty() {
            return Err(usage(faults.join("; ")));
        }
        self.0 = loras.into_iter().map(|(_, lora)| lora).collect();
        Ok(())
    }
}
