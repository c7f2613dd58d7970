//! What the settings of a run on pairs have beside those of every training.

use crate::session::config::{Config, PreferenceConfig, PreferenceLoss};
use crate::training::objective::kto::{self, KTO};
use crate::training::objective::preference;
use serde::Serialize;

#[derive(Serialize)]
pub struct Settings<'a> {
    #[serde(flatten)]
    loss: Loss<'a>,
    format_pairs: bool,
    no_guards: bool,
    #[serde(flatten)]
    said: &'a toml::Table,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Loss<'a> {
    Pairs(&'a preference::Settings),
    Kto {
        loss: &'static str,
        #[serde(flatten)]
        settings: &'a kto::Settings,
    },
}

impl<'a> Settings<'a> {
    pub fn of(config: &'a PreferenceConfig, run: &Config) -> Self {
        Self {
            loss: match &config.loss {
                PreferenceLoss::Pairs(settings) => Loss::Pairs(settings),
                PreferenceLoss::Kto(settings) => Loss::Kto {
                    loss: KTO,
                    settings,
                },
            },
            format_pairs: config.format_pairs,
            no_guards: !run.guards,
            said: &config.said,
        }
    }
}
