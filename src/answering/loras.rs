//! Adapters with weights: what they agree on, and how they become a bank and a mixture.

use super::trained;
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::ngrams::Ngrams;
use crate::adapters::stored::{self, Format};
use crate::data::template::Template;
use crate::model::decoder::Decoder;
use crate::model::load::DEFAULT_BASE;
use crate::model::tokenizer::Tokenizer;
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};

/// Some adapters, in their order.
#[derive(Clone, Debug, Default)]
pub struct Loras(pub Vec<Lora>);

/// One adapter.
#[derive(Clone, Debug)]
pub struct Lora {
    /// Its own among them.
    pub name: String,
    /// Or a file.
    pub folder: PathBuf,
    /// 0 is the base, 1 the adapter.
    pub weight: f64,
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

    /// The adapters loaded for `decoder`, which `base` names, and the mixture that their weights are.
    pub fn load(
        &self,
        decoder: &Decoder,
        base: &str,
        observer: &dyn Observer,
    ) -> Result<(Bank, Mixture)> {
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
        let folders = self.0.iter().map(|lora| lora.folder.as_path());
        trained::note_other_bases(folders.clone(), base, observer);
        trained::note_other_weights(folders, decoder.held, observer);
        let weights = self.0.iter().map(|lora| lora.weight).enumerate();
        Ok((Bank::new(members)?, Mixture(weights.collect())))
    }

    /// The n-grams that lie beside each of the adapters, which are those of `bank`.
    pub fn ngrams(&self, bank: &Bank, decoder: &Decoder) -> Result<Vec<Option<Ngrams>>> {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for (lora, member) in self.0.iter().zip(bank.members()) {
            match Ngrams::read(&lora.folder, &member.adapter, decoder) {
                Ok(ngrams) => found.push(ngrams),
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(found)
    }

    /// The base that the adapters were made for, without any the default. Errors where they name different ones or none, or one
    /// that is not here.
    pub fn base(&self) -> Result<String> {
        let named = |lora: &Lora| stored::base_of(&lora.folder);
        let Some(first) = self.0.first() else {
            return Ok(DEFAULT_BASE.to_owned());
        };
        let base = self.agreed("base model", "--base", named)?;
        trained::named_base(&first.folder, base)
    }

    /// The template that the adapters were trained with, as far as they say it. Errors where they differ.
    pub fn said_template(&self) -> Result<Option<Template>> {
        self.agreed("template", "--template", |lora| {
            trained::template(&lora.folder)
        })
    }

    /// The template of the adapters, else that of a merged `base`, else plain. An error of usage where only the user can know it.
    pub fn template(&self, base: &str, observer: &dyn Observer) -> Result<Template> {
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
        if let Some(template) = trained::template(Path::new(base))? {
            return Ok(template);
        }
        if !self.is_empty() {
            observer.note(format_args!(
                "no adapter says with which template it was trained: plain is used (--template names another)"
            ));
        }
        Ok(Template::Plain)
    }

    /// Makes `tokenizer` one for `template`, as the adapters were trained with it here.
    pub fn prepare(
        &self,
        template: Template,
        tokenizer: &mut Tokenizer,
        observer: &dyn Observer,
    ) -> Result<()> {
        trained::take_template(template, self.chat_template()?, tokenizer, observer);
        Ok(())
    }

    /// The chat template that the adapters were trained with here, if that was their base's own.
    pub fn chat_template(&self) -> Result<Option<String>> {
        self.agreed("chat template", "--template", |lora| {
            trained::chat_template(&lora.folder)
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
