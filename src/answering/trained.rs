//! What an adapter says of its training: its base, its template, and how a model is asked then.

use crate::adapters::asked::Asked;
use crate::adapters::stored;
use crate::data::template::{Renderer, Template};
use crate::model::load;
use crate::model::tokenizer::Tokenizer;
use crate::model::weight::Held;
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use crate::run::words::plain;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use std::path::Path;

/// The base that an adapter was made for. Errors where it names none, or one that is not here.
pub fn base_of(adapter: &Path) -> Result<String> {
    named_base(adapter, stored::base_of(adapter)?)
}

/// The base that `adapter` and its company name. Errors where that is none, or one that is not here.
pub fn named_base(adapter: &Path, base: Option<String>) -> Result<String> {
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
pub fn note_other_bases<'a>(
    adapters: impl IntoIterator<Item = &'a Path>,
    base: &str,
    observer: &dyn Observer,
) {
    let last = |base: &str| Path::new(base).file_name().map(ToOwned::to_owned);
    let other = |adapter: &Path| {
        let own = stored::base_of(adapter).ok().flatten()?;
        (last(&own) != last(base)).then(|| format!("{} for {own}", adapter.display()))
    };
    let others: Vec<_> = adapters.into_iter().filter_map(other).collect();
    if !others.is_empty() {
        let others = plain(&others.join(", "));
        observer.note(format_args!("by their names not made for {base}: {others}"));
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
    if template(folder)? != Some(Template::Base) {
        return Ok(None);
    }
    let path = folder.join(CHAT_TEMPLATE);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| anyhow!("{}: {e}", path.display()))?;
    Ok(Some(text))
}

/// Makes `tokenizer` one for `template`; `trained` is the chat template that an adapter was trained with, which
/// counts more than the base's.
pub fn take_template(
    template: Template,
    trained: Option<String>,
    tokenizer: &mut Tokenizer,
    observer: &dyn Observer,
) {
    let own = tokenizer.chat().templates.get("default");
    if let (Template::Base, Some(trained)) = (template, trained)
        && own != Some(&trained)
    {
        observer.note(format_args!(
            "the adapter was trained with another chat template than this base's: that one is used"
        ));
        tokenizer.set_chat_template(trained);
    }
    template.prepare(tokenizer);
}

/// How a merged model is to be asked, with a tokenizer that was made one for `template`; `own` is the base's own chat template.
pub fn asked(template: Template, own: Option<&String>, tokenizer: &Tokenizer) -> Result<Asked> {
    let text = template.jinja(tokenizer)?;
    let end = template.end(tokenizer);
    Ok(Asked {
        // A base's other templates, such as one for tools, stay beside its own.
        template: Some(text).filter(|text| own != Some(text)),
        end: end.and_then(|id| Some((id, tokenizer.name(id)?))),
        ends: tokenizer.ends().to_vec(),
    })
}

/// What the run folder of an adapter says.
#[derive(Default, serde::Deserialize)]
struct Run {
    template: Option<String>,
    base_weights: Option<String>,
}

impl Run {
    fn of(folder: &Path) -> Result<Self> {
        // Only a folder written here has this file.
        let Ok(text) = std::fs::read_to_string(folder.join("config.toml")) else {
            return Ok(Self::default());
        };
        let folder = folder.display();
        toml::from_str(&text).map_err(|e| anyhow!("{folder}/config.toml: {}", e.message()))
    }
}

/// Says which of the adapters were trained over weights that were rounded otherwise than those that are `held`. Weights as a file
/// has them are the same numbers as f32.
pub fn note_other_weights<'a>(
    adapters: impl IntoIterator<Item = &'a Path>,
    held: Held,
    observer: &dyn Observer,
) {
    let rounded = [Held::Q8.name(), Held::Bf16.name()];
    let other = |adapter: &Path| {
        let own = Run::of(adapter).ok()?.base_weights?;
        let differs = rounded.contains(&&*own) && own != held.name();
        differs.then(|| format!("{} over {own}", adapter.display()))
    };
    let others: Vec<_> = adapters.into_iter().filter_map(other).collect();
    if !others.is_empty() {
        let (others, held) = (plain(&others.join(", ")), held.name());
        observer.note(format_args!(
            "trained over other weights than these, which are {held}: {others}"
        ));
    }
}

/// The template that the run folder of an adapter says.
pub fn template(folder: &Path) -> Result<Option<Template>> {
    let Some(name) = Run::of(folder)?.template else {
        return Ok(None);
    };
    let folder = folder.display();
    let template = Template::from_str(&name, true)
        .map_err(|e| anyhow!("{folder}/config.toml: template {name:?}: {e}; give --template"))?;
    Ok(Some(template))
}

/// Says what the template leaves out that the base's own has.
pub fn remark(renderer: &Renderer, observer: &dyn Observer) {
    if let Some(remark) = renderer.remark() {
        observer.note(format_args!("{}", plain(&remark)));
    }
}
