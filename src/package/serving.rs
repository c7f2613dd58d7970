//! How the candidate of a run was asked: by the command that made the answers of its primary gate.

use super::lock::Base;
use super::request::{Request, Weights};
use crate::answering::config::Config;
use crate::data::template::Template;
use crate::generation::sampler::SamplerConfig;
use crate::model::load;
use crate::recipe::done::Done;
use crate::recipe::evidence::Evidence;
use crate::recipe::hashes::Hashes;
use crate::recipe::records::{self, Artifact};
use crate::run::files::folder_of;
use crate::run::observer::Observer;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// What a run ships and how it was asked.
pub struct Serving {
    /// As it answered, base and adapters named.
    pub config: Config,
    pub sampler: SamplerConfig,
    /// The rows that were asked.
    pub data: PathBuf,
    /// The adapter's folder, or that of the whole model.
    pub artifact: PathBuf,
    /// Whether that is a whole model.
    pub whole: bool,
}

impl Serving {
    /// Errors where the run ships something that is not one adapter or one model, or measured another thing than it ships.
    pub fn of(evidence: &Evidence, artifact: &Artifact, request: &Request) -> Result<Self> {
        let run = request.run.display();
        let whole = match artifact.kind.as_str() {
            "adapter" => false,
            "model" => true,
            "router" => bail!(
                "{run} ships a router between adapters, which no one model is: package the runs of its adapters"
            ),
            kind => {
                bail!("{run} ships a thing of kind {kind:?}: an adapter or a model can be packaged")
            }
        };
        ensure!(
            !(whole && request.weights == Weights::Adapter),
            "{run} ships a whole model, not an adapter: give --merged or --gguf"
        );
        let primary = evidence.primary()?;
        let answers = primary.answers.as_ref().with_context(|| {
            format!("{run}: gate {} scores no answers of a generate stage: how the model is asked is not known", primary.gate.name)
        })?;
        let (config, sampler) = (request.asked_by)(answers)?;
        let (artifact, adapters) = (artifact.path.clone(), &config.loras.0);
        let measured = match (whole, &adapters[..]) {
            (false, [one]) => same(&one.folder, &artifact) && one.weight == 1.0,
            (true, []) => config
                .base
                .as_ref()
                .is_some_and(|base| same(Path::new(base), &artifact)),
            _ => false,
        };
        ensure!(
            measured && config.route.is_none(),
            "{run} ships {}, and its gate {} measured another thing: {}",
            artifact.display(),
            primary.gate.name,
            artifact_of(answers)
        );
        let data = answers.values("--data").pop();
        Ok(Self {
            data: data
                .map(PathBuf::from)
                .context("the answers name no --data")?,
            config,
            sampler,
            artifact,
            whole,
        })
    }

    /// The base's name, a folder, a file or a hub id.
    pub fn base_name(&self) -> Result<String> {
        match &self.config.base {
            Some(base) => Ok(base.clone()),
            None => self.config.loras.base(),
        }
    }

    /// The base, as the lock says it. Errors where it is gone, or is not what it was.
    pub fn base(&self, run: &records::Config) -> Result<Base> {
        let id = match self.whole {
            true => self.artifact.display().to_string(),
            false => run.base_model.id.clone(),
        };
        ensure!(
            load::may_exist(&id),
            "the base {id} of run {} is not here: put it back, or call from the folder that the run was made in",
            run.run_id
        );
        let path = Path::new(&id);
        if !path.exists() {
            return Ok(Base { id, sha256: None });
        }
        let now = Hashes::open(folder_of(folder_of(&self.artifact)))
            .of(path)?
            .sha256;
        let then = run
            .base_model
            .revision
            .as_deref()
            .and_then(|r| r.strip_prefix("sha256:"));
        ensure!(
            self.whole || then.is_none_or(|then| then == now),
            "the base {id} is not the one that run {} was made with: its sha256 is {now}, and was {}",
            run.run_id,
            then.unwrap_or_default()
        );
        Ok(Base {
            id,
            sha256: Some(now),
        })
    }

    /// How a prompt becomes text.
    pub fn template(&self, observer: &dyn Observer) -> Result<Template> {
        match self.config.template {
            Some(template) => Ok(template),
            None => self.config.loras.template(&self.base_name()?, observer),
        }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What a stage of answers asked, in words.
fn artifact_of(answers: &Done) -> String {
    let of = |flag: &str| {
        answers
            .values(flag)
            .into_iter()
            .map(|value| format!("{flag} {value}"))
            .collect::<Vec<_>>()
    };
    let given = ["--base", "--lora", "--lora-weight", "--route"]
        .map(of)
        .concat();
    given.join(" ")
}
