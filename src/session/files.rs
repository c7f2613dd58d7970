//! The files of an adapter that a run leaves.

use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::{self, Ngrams};
use crate::adapters::peft;
use crate::answering::trained::CHAT_TEMPLATE;
use crate::data::asking::{self, Asking};
use crate::data::repair;
use crate::model::decoder::Decoder;
use crate::run::files::json;
use crate::run::training_run::SETTINGS;
use anyhow::Result;
use serde_json::json;

/// What lies beside every adapter of the run.
pub struct Files<'a> {
    /// The run's settings.
    pub settings: &'a str,
    /// The base's own chat template, where rows were shown by it.
    pub chat_template: Option<&'a str>,
    /// What follows what in the training answers.
    pub ngrams: Option<&'a Ngrams>,
    /// How many of the rows repair.
    pub repair_rows: usize,
    /// How the rows ask, where they ask alike.
    pub asking: Option<&'a Asking>,
    pub decoder: &'a Decoder,
}

impl Files<'_> {
    /// The files of an adapter's folder.
    pub fn of(&self, adapter: &Adapter) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut files = vec![(SETTINGS, self.settings.as_bytes().to_vec())];
        let text = self.chat_template;
        files.extend(text.map(|text| (CHAT_TEMPLATE, text.as_bytes().to_vec())));
        files.extend(peft::files(adapter)?);
        if let Some(ngrams) = self.ngrams {
            files.push((ngrams::FILE, ngrams.to_bytes(adapter, self.decoder)?));
        }
        if self.repair_rows > 0 {
            files.push((repair::FILE, json(&json!({"rows": self.repair_rows}))?));
        }
        if let Some(asking) = self.asking {
            files.push((asking::FILE, json(&json!(asking))?));
        }
        Ok(files)
    }
}
