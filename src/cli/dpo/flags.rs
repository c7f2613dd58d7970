//! The flags of `factory dpo` and the configs they stand for.

use crate::cli::new_adapter::AdapterArgs;
use crate::cli::scoring::ScoringArgs;
use crate::cli::training::{self, TrainingArgs};
use crate::cli::{UsageError, heading};
use crate::generation::sampler::SamplerConfig;
use crate::learning::on_policy;
use crate::session::config::{Config, PreferenceConfig, PreferenceLoss, SftConfig};
use crate::session::preferences;
use crate::training::objective::kto::{self, KTO};
use crate::training::objective::preference::{Kind, Settings};
use anyhow::{Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, ValueEnum};
use std::path::{Path, PathBuf};

/// Flags of `factory dpo`.
#[derive(Debug, clap::Args)]
// sft's rate would move answers far from the reference in a few steps.
#[command(mut_arg("lr", |arg| arg.default_value("0.00001")))]
#[command(mut_arg("batch", |arg| arg.help("Pairs a forward pass")))]
// What judges own answers, and what also reads answers to --eval-data.
#[command(mut_arg("db_dir", |arg| arg.requires("on_policy")))]
#[command(mut_arg("connection", |arg| arg.requires("on_policy")))]
#[command(mut_arg("timeout_ms", |arg| arg.requires("on_policy")))]
#[command(mut_arg("now", |arg| arg.requires("on_policy")))]
#[command(mut_arg("keep_going", |arg| arg.requires("on_policy")))]
#[command(mut_arg("extract", |arg| arg.requires("answers")))]
#[command(mut_arg("follow_links", |arg| arg.requires("folders")))]
#[command(group = ArgGroup::new("answers").args(["on_policy", "eval_data"]).multiple(true))]
#[command(group = ArgGroup::new("folders").args(["db_dir", "eval_db"]).multiple(true))]
pub struct Args {
    /// Pairs (JSONL): prompt, chosen and rejected, as `eval-sql --prefs-out` writes them; for kto also prompt, completion and label.
    #[arg(long, required_unless_present_any = ["config", "resume"])]
    data: Option<PathBuf>,
    /// Base model: a folder of safetensors, a .gguf file, or a hub id [default: that of --init, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// Folder the adapter is written to [default: runs/<date>-dpo-<data name>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// What is made of a pair.
    #[arg(long, default_value = "dpo+nll", value_parser = loss())]
    loss: Loss,
    /// How strongly log-probabilities count [default: 0.1; simpo 2, dpo-norm 5].
    #[arg(long)]
    beta: Option<f64>,
    /// Weight of the chosen answers' own loss, which holds them up [default: 1 for dpo+nll, cpo and orpo, else 0].
    #[arg(help_heading = heading::LOSS, long)]
    nll_weight: Option<f64>,
    /// Share of the pairs that are the wrong way round (robust) [default: 0.1].
    #[arg(help_heading = heading::LOSS, long)]
    label_smoothing: Option<f64>,
    /// Margin (simpo) [default: 1].
    #[arg(help_heading = heading::LOSS, long)]
    gamma: Option<f64>,
    /// Weight of what a chosen answer lacks to the reference (dpop) [default: 50].
    #[arg(help_heading = heading::LOSS, long)]
    lambda: Option<f64>,
    /// Weight of a good answer (kto) [default: 1].
    #[arg(help_heading = heading::LOSS, long)]
    desirable_weight: Option<f64>,
    /// Weight of a bad answer (kto) [default: 1].
    #[arg(help_heading = heading::LOSS, long)]
    undesirable_weight: Option<f64>,
    /// Make the pairs of the model's own answers to --data, rows as grpo has them: one that passes over one that fails.
    #[arg(help_heading = heading::OWN, long)]
    on_policy: bool,
    /// Answers drawn of each row.
    #[arg(help_heading = heading::OWN, long, requires = "on_policy", default_value_t = 8)]
    samples: usize,
    /// How freely answers are drawn.
    #[arg(help_heading = heading::OWN, long, requires = "on_policy", default_value_t = 1.0)]
    temperature: f64,
    /// Most pairs of a row.
    #[arg(help_heading = heading::OWN, long, requires = "on_policy", default_value_t = 2)]
    per_row: usize,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    /// Learn from pairs whose answers hold the same query too: they teach a format, which sft does better.
    #[arg(help_heading = heading::DATA, long)]
    format_pairs: bool,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Go on where the adapter unlearns its answers: without guards such a run ends with an adapter that answers nothing.
    #[arg(help_heading = heading::EVALUATION, long)]
    no_guards: bool,
    /// Settings (TOML) by the names of these flags; a value given here wins over the file's.
    #[arg(help_heading = heading::OUTPUT, long)]
    config: Option<PathBuf>,
    /// Go on with the interrupted run that was to become this folder, with its settings, as if it had never stopped.
    #[arg(help_heading = heading::OUTPUT, long, value_name = "OUT", conflicts_with_all = ["config", "out"])]
    resume: Option<PathBuf>,
}

/// `--loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Pairs(Kind),
    Kto,
}

fn loss() -> impl TypedValueParser<Value = Loss> {
    let pairs = Kind::value_variants().iter();
    let kto = PossibleValue::new(KTO)
        .help("Each answer for itself against the mean divergence (arXiv:2402.01306)");
    let values = pairs.filter_map(Kind::to_possible_value).chain([kto]);
    PossibleValuesParser::new(values).map(|name| match Kind::from_str(&name, false) {
        Ok(kind) => Loss::Pairs(kind),
        Err(_) => Loss::Kto,
    })
}

impl Args {
    /// What is trained.
    pub fn config(&self) -> Result<PreferenceConfig> {
        let training = &self.training;
        let config = PreferenceConfig {
            sft: SftConfig {
                data: self.data()?.to_owned(),
                val_data: None,
                columns: training.fields.columns()?,
                base: self.base.clone(),
                template: training.template,
                init: self.adapter.init.clone(),
                adapter: self.adapter.config()?,
                train: training.config()?,
            },
            loss: self.loss()?,
            format_pairs: self.format_pairs,
            said: self.said()?,
        };
        if self.on_policy {
            self.scoring.check()?;
        }
        preferences::check(&config)?;
        Ok(config)
    }

    /// How own answers are drawn, where pairs are made of them.
    pub fn own(&self) -> Result<Option<on_policy::Config>> {
        if !self.on_policy {
            return Ok(None);
        }
        let sampler = SamplerConfig {
            temperature: self.temperature,
            samples: self.samples,
            seed: self.training.seed,
            ..SamplerConfig::default()
        };
        sampler.check().map_err(UsageError::of)?;
        if self.samples < 2 {
            bail!(UsageError(
                "--samples must be 2 or more: a pair is two answers".to_owned()
            ));
        }
        Ok(Some(on_policy::Config {
            sampler,
            per_row: self.per_row,
        }))
    }

    /// What the settings say of own answers.
    fn said(&self) -> Result<toml::Table> {
        if !self.on_policy {
            return Ok(toml::Table::new());
        }
        let mut said = self.scoring.said(self.training.measures())?;
        said.insert("on_policy".to_owned(), true.into());
        said.insert("samples".to_owned(), i64::try_from(self.samples)?.into());
        said.insert("temperature".to_owned(), self.temperature.into());
        said.insert("per_row".to_owned(), i64::try_from(self.per_row)?.into());
        Ok(said)
    }

    /// The loss with its constants. One that the loss does not have is refused.
    fn loss(&self) -> Result<PreferenceLoss> {
        let given = [
            ("--nll-weight", self.nll_weight, self.loss != Loss::Kto),
            (
                "--label-smoothing",
                self.label_smoothing,
                self.loss == Loss::Pairs(Kind::Robust),
            ),
            ("--gamma", self.gamma, self.loss == Loss::Pairs(Kind::SimPo)),
            (
                "--lambda",
                self.lambda,
                self.loss == Loss::Pairs(Kind::Dpop),
            ),
            (
                "--desirable-weight",
                self.desirable_weight,
                self.loss == Loss::Kto,
            ),
            (
                "--undesirable-weight",
                self.undesirable_weight,
                self.loss == Loss::Kto,
            ),
        ];
        if let Some((flag, ..)) = given
            .iter()
            .find(|(_, value, fits)| value.is_some() && !fits)
        {
            bail!(UsageError(format!(
                "{flag} is nothing that this --loss has"
            )));
        }
        Ok(match self.loss {
            Loss::Pairs(kind) => {
                let own = Settings::new(kind);
                PreferenceLoss::Pairs(Settings {
                    loss: kind,
                    beta: self.beta.unwrap_or(own.beta),
                    nll_weight: self.nll_weight.unwrap_or(own.nll_weight),
                    label_smoothing: self.label_smoothing.or(own.label_smoothing),
                    gamma: self.gamma.or(own.gamma),
                    lambda: self.lambda.or(own.lambda),
                })
            }
            Loss::Kto => {
                let own = kto::Settings::default();
                PreferenceLoss::Kto(kto::Settings {
                    beta: self.beta.unwrap_or(own.beta),
                    desirable_weight: self.desirable_weight.unwrap_or(own.desirable_weight),
                    undesirable_weight: self.undesirable_weight.unwrap_or(own.undesirable_weight),
                })
            }
        })
    }

    /// How the run on `data` is kept and measured.
    pub fn run(&self, data: &Path) -> Result<Config> {
        let (out, resume) = (self.out.as_ref(), self.resume.as_ref());
        let out = training::out("dpo", data, out, resume);
        let rules = self.scoring.rules.get();
        Ok(Config {
            guards: !self.no_guards,
            ..self.training.run(out, self.resume.is_some(), rules)?
        })
    }

    /// The file of pairs, named by flag or by config.
    fn data(&self) -> Result<&Path> {
        let missing = "the pairs are not named: give --data, or data in --config";
        training::named(self.data.as_ref(), self.resume.as_ref(), missing)
    }
}
