//! Supervised fine-tuning: rows of questions and answers, chats or text to an adapter.

use super::config::{Config, SftConfig};
use super::estimate::{self, Estimate};
use super::run::{Draw, Session};
use super::{recompute, settings};
use crate::adapters::config::AdapterConfig;
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::adapters::stored;
use crate::answering::trained;
use crate::data::asking::Asking;
use crate::data::record::{self, Record};
use crate::data::repair;
use crate::data::template::{Renderer, Template};
use crate::model::allocator;
use crate::model::config::Config as ModelConfig;
use crate::model::linear::Site;
use crate::model::load::{Base, Source};
use crate::model::place::Place;
use crate::model::tokenizer::Tokenizer;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::run::usage::UsageError;
use crate::training::config::TrainConfig;
use crate::training::lessons::{Lessons, Supervised};
use crate::training::sft::{self, Encoded, Example};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows as they were read, and how they are to be shown.
struct Rows {
    base: String,
    template: Template,
    /// The chat template that the adapter to go on from was trained with.
    chat: Option<String>,
    records: Vec<Record>,
    validation: Option<Vec<Record>>,
}

/// What supervised fine-tuning has beside the settings of every training.
const NOTHING: BTreeMap<&str, &str> = BTreeMap::new();

/// What a run begins with.
struct Begun {
    base: Base,
    template: Template,
    adapter: Adapter,
    encoded: Encoded,
    validation: Option<Encoded>,
}

/// What the trainer would see.
pub struct Seen {
    pub encoded: Encoded,
    pub adapter: AdapterConfig,
    pub tokenizer: Tokenizer,
}

/// Trains an adapter at `place` and writes its folder.
pub fn train(
    config: &SftConfig,
    run: &Config,
    place: &Place,
    observer: &dyn Observer,
    draw: Draw,
) -> Result<()> {
    let resumed = run.resume.then(|| TrainingRun::resume(&run.out));
    let resumed = resumed.transpose()?;
    let rows = Rows::read(config)?;
    let mut repair_rows = repair::count(&config.data)?;
    if let Some(init) = &config.init {
        repair_rows += repair::taught(init)?;
    }
    let asking = Asking::of_file(&config.data, &config.columns)?;
    if repair_rows > 0 {
        observer.note(format_args!(
            "{repair_rows} rows repair: the adapter may be asked with --repair"
        ));
    }
    // Before the base is loaded: a folder that cannot be made is known at once.
    let mut folder = match resumed {
        Some(folder) => folder,
        None => TrainingRun::begin(&run.out)?,
    };
    let mut begun = rows.begin(config, place, observer)?;
    let (base, template) = (&begun.base, begun.template);
    let examples = &begun.encoded.examples;
    let mut lessons = Supervised::new(examples, &config.train)?;
    let tokens: usize = examples.iter().map(Example::len).sum();
    observer.note(format_args!(
        "{} rows, {tokens} tokens, {} steps",
        examples.len(),
        lessons.steps()
    ));
    let answers = || examples.iter().flat_map(Example::answers);
    let session = Session {
        command: "sft",
        config: run,
        base,
        renderer: &Renderer::new(template, &base.tokenizer)?,
        examples,
        places: &begun.encoded.places,
        validation: begun.validation.as_ref().map(|v| v.examples.as_slice()),
        train: &config.train,
        settings: settings::of(
            config,
            run,
            template,
            &begun.adapter.config,
            &base.decoder,
            &NOTHING,
        )?,
        rests_on: Vec::new(),
        repair_rows,
        ngrams: run.ngrams.then(|| Ngrams::of(answers())),
        asking,
        answers: None,
        observer,
        draw,
    };
    session.run(&mut begun.adapter, &mut lessons, &mut folder)?;
    folder.finish()
}

/// What training at `place` will need; some steps are run for that and thrown away.
pub fn estimate(config: &SftConfig, place: &Place, observer: &dyn Observer) -> Result<Estimate> {
    let mut begun = Rows::read(config)?.begin(config, place, observer)?;
    let validation = begun.validation.as_ref().map(|v| v.examples.as_slice());
    let (base, encoded) = (&begun.base, &begun.encoded);
    estimate::of(base, &mut begun.adapter, encoded, validation, &config.train)
}

/// What the trainer would see of the rows; no weight is loaded.
pub fn see(config: &SftConfig, observer: &dyn Observer) -> Result<Seen> {
    let Rows {
        base,
        template,
        chat,
        mut records,
        ..
    } = Rows::read(config)?;
    let mut source = Source::open(&base)?;
    trained::take_template(template, chat, &mut source.tokenizer, observer);
    let renderer = Renderer::new(template, &source.tokenizer)?;
    trained::remark(&renderer, observer);
    strip_ends(&mut records, &source.tokenizer, observer)?;
    let encoded = sft::encode(&records, &renderer, &config.train)?;
    fit(
        &encoded,
        &source.config,
        &config.train,
        &config.data,
        observer,
    )?;
    Ok(Seen {
        encoded,
        adapter: match &config.init {
            Some(folder) => stored::read(folder)?.config,
            None => config.adapter.clone(),
        },
        tokenizer: source.tokenizer,
    })
}

impl Rows {
    fn read(config: &SftConfig) -> Result<Self> {
        let (base, template) = (config.base()?, config.template()?);
        let records = record::read(&config.data, &config.columns)?;
        let validation = config.val_data.as_deref();
        let validation = validation
            .map(|from| record::read(from, &config.columns))
            .transpose()?;
        let chat = config.init.as_deref().map(trained::chat_template);
        Ok(Self {
            base,
            template,
            chat: chat.transpose()?.flatten(),
            records,
            validation,
        })
    }

    /// Loads the base, makes the rows tokens and takes up the adapter.
    fn begin(
        mut self,
        config: &SftConfig,
        place: &Place,
        observer: &dyn Observer,
    ) -> Result<Begun> {
        allocator::keep_freed_memory();
        let (train, template) = (&config.train, self.template);
        let mut base = place.load(&self.base)?;
        trained::take_template(template, self.chat, &mut base.tokenizer, observer);
        let renderer = Renderer::new(template, &base.tokenizer)?;
        trained::remark(&renderer, observer);
        let all = [Some(&mut self.records), self.validation.as_mut()];
        for rows in all.into_iter().flatten() {
            strip_ends(rows, &base.tokenizer, observer)?;
        }
        let encode = |rows: &[_], from: &Path| {
            let encoded = sft::encode(rows, &renderer, train)?;
            fit(&encoded, &base.decoder.config, train, from, observer)?;
            Ok::<_, anyhow::Error>(encoded)
        };
        let encoded = encode(&self.records, &config.data)?;
        let validation = match (&self.validation, &config.val_data) {
            (Some(rows), Some(from)) => Some(encode(rows, from)?),
            _ => None,
        };
        let adapter = begin_adapter(config, &base, self.base, observer)?;
        let decoder = &base.decoder;
        let examples = &encoded.examples;
        base.decoder.recompute =
            recompute::decide(decoder, &adapter.config, examples, train, observer);
        Ok(Begun {
            base,
            template,
            adapter,
            encoded,
            validation,
        })
    }
}

/// The adapter to go on from, or a fresh one, for `base`, which is called `name`.
pub(super) fn begin_adapter(
    config: &SftConfig,
    base: &Base,
    name: String,
    observer: &dyn Observer,
) -> Result<Adapter> {
    let mut adapter = match &config.init {
        Some(folder) => {
            let adapter = stored::load(folder, &base.decoder)?;
            trained::note_other_bases([folder.as_path()], &name, observer);
            adapter
        }
        None => Adapter::init(config.adapter.clone(), &base.decoder, config.train.seed)?,
    };
    adapter.config.base = Some(name);
    let sites: Vec<Site> = adapter.modules.keys().copied().collect();
    let idle = [
        adapter.config.rank_pattern.idle(&sites),
        adapter.config.alpha_pattern.idle(&sites),
    ];
    if let Some(pattern) = idle.into_iter().flatten().next() {
        let message = format!("pattern {pattern:?} matches no adapted module of this base");
        return Err(UsageError(message).into());
    }
    Ok(adapter)
}

/// Leaves out end tokens that answers bring along, and says so: with the template's own, two would be learned.
pub(super) fn strip_ends(
    rows: &mut [Record],
    tokenizer: &Tokenizer,
    observer: &dyn Observer,
) -> Result<()> {
    let ends = ends(tokenizer)?;
    let places = record::strip_ends(rows, &ends)?;
    if let Some(first) = places.first() {
        observer.note(format_args!(
            "{first}: the answer ends with an end token ({}), which the template adds too: one is learned ({} such rows)",
            ends.join(", "),
            places.len()
        ));
    }
    Ok(())
}

/// The texts of the tokens that end an answer.
pub(super) fn ends(tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let ends = tokenizer.ends().iter().map(|id| tokenizer.show(&[*id]));
    ends.collect()
}

/// Says which rows were left out, and refuses rows longer than the base can take.
fn fit(
    encoded: &Encoded,
    base: &ModelConfig,
    train: &TrainConfig,
    from: &Path,
    observer: &dyn Observer,
) -> Result<()> {
    let (skipped, examples) = (encoded.skipped, &encoded.examples);
    if skipped > 0 {
        observer.note(format_args!(
            "{}: left out {skipped} of {} rows longer than --max-seq {}",
            from.display(),
            skipped + examples.len(),
            train.max_seq
        ));
    }
    if encoded.split > 0 {
        observer.note(format_args!(
            "{}: {} rows are several examples each: the template shows their earlier answers otherwise than it asks for them",
            from.display(),
            encoded.split
        ));
    }
    let longest = examples.iter().map(|e| e.len()).max().unwrap_or(0);
    let most = base.max_position_embeddings;
    ensure!(
        longest <= most,
        "{}: a row has {longest} tokens, more than the base's {most} positions; lower --max-seq",
        from.display()
    );
    Ok(())
}
