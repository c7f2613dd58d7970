//! What every request for answers says, whatever its API: model, length, sampling, how it is told.

use super::error::ApiError;
use super::fields::Fields;
use super::models::{AUTO, Chosen};
use super::rules::{Rules, rules};
use super::served::Served;
use crate::data::record::{Conversation, Role, Turn};
use crate::generation::sampler::SamplerConfig;
use serde_json::Value;

/// Most answers to one request.
const MOST_ANSWERS: usize = 128;
/// Most stop texts.
const MOST_STOPS: usize = 16;
/// Most likely tokens that are told beside each.
const MOST_LIKELIEST: usize = 20;

/// How it is to be answered.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub model: String,
    pub lora: Option<Vec<(String, f64)>>,
    pub sampler: SamplerConfig,
    /// What the answer is held to.
    pub rules: Option<Rules>,
    pub stop: Vec<String>,
    pub max_tokens: usize,
    pub streams: bool,
    /// Whether a stream ends with what it took.
    pub usage: bool,
}

impl Wanted {
    /// Takes the fields that OpenAI's APIs share; `logprobs` is each API's own.
    pub fn read(fields: &mut Fields, served: &Served) -> Result<Self, ApiError> {
        let model = fields.text("model")?;
        let names = || served.models.names().join(", ");
        let model = model.ok_or_else(|| {
            ApiError::field("model", format!("model is missing; there are {}", names()))
        })?;
        let longest = served.context;
        let (short, long) = ("max_tokens", "max_completion_tokens");
        let max_tokens = fields.count(short, 1, longest)?;
        let max_completion_tokens = fields.count(long, 1, longest)?;
        if let (Some(one), Some(other)) = (max_tokens, max_completion_tokens)
            && one != other
        {
            let message = format!("{long} and {short} differ: give one");
            return Err(ApiError::field(long, message));
        }
        let max_tokens = max_completion_tokens.or(max_tokens);
        let sampler = SamplerConfig {
            samples: fields.count("n", 1, MOST_ANSWERS)?.unwrap_or(1),
            bias: bias(fields.value("logit_bias"), served)?,
            ..sampling(fields)?
        };
        // The rest of it was looked at alone.
        if sampler.check().is_err() {
            let message =
                "n above 1 needs a temperature above 0: without one all answers are the same";
            return Err(ApiError::field("n", message));
        }
        let stop = stops(fields, served)?;
        let streams = fields.flag("stream")?;
        let usage = match fields.value("stream_options") {
            None => false,
            Some(_) if !streams => {
                let message = "stream_options needs stream";
                return Err(ApiError::field("stream_options", message));
            }
            Some(options) => {
                let mut options = Fields::of("stream_options", options)?;
                let usage = options.flag("include_usage")?;
                options.skip(&["include_obfuscation"]);
                options.end()?;
                usage
            }
        };
        let lora = match fields.value("lora") {
            None => None,
            Some(_) if !served.models.names().contains(&model) => {
                return Err(ApiError::no_model(&model, &served.models.names()));
            }
            Some(_) if !served.models.is_base(&model) => {
                let message = "lora mixes adapters over the base: name the base as the model";
                return Err(ApiError::field("lora", message));
            }
            Some(list) => Some(mixture(list, served)?),
        };
        for field in ["presence_penalty", "frequency_penalty"] {
            fields.only(field, 0.into())?;
        }
        // They say who asks, for what and where it is kept: no answer depends on them.
        fields.skip(&[
            "user",
            "metadata",
            "store",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
        ]);
        Ok(Self {
            model,
            lora,
            sampler,
            rules: rules(fields)?,
            stop,
            max_tokens: max_tokens.unwrap_or(served.loaded.stop.max_tokens),
            streams,
            usage,
        })
    }

    /// Which adapters answer `asked`.
    pub fn choose(&self, served: &Served, asked: &Conversation) -> Result<Chosen, ApiError> {
        match &self.lora {
            Some(parts) => Ok(Chosen {
                parts: parts.clone(),
                decision: None,
            }),
            None => served.models.choose(&self.model, asked),
        }
    }

    /// Has so many of the likeliest tokens told beside each token.
    pub fn tell_logprobs(&mut self, likeliest: usize) {
        self.sampler.logprobs = Some(likeliest);
    }
}

/// How tokens are drawn, by the fields that all APIs call alike.
pub fn sampling(fields: &mut Fields) -> Result<SamplerConfig, ApiError> {
    let sampler = SamplerConfig {
        temperature: fields.number("temperature", 0.0, 2.0)?.unwrap_or(0.0),
        top_p: fields.number("top_p", 0.0, 1.0)?.unwrap_or(1.0),
        seed: fields.seed()?,
        ..SamplerConfig::default()
    };
    let checked = sampler.check();
    checked.map_err(|error| ApiError::field("top_p", error.to_string()))?;
    Ok(sampler)
}

/// The texts that end an answer: the server's own, where a request names none.
pub fn stops(fields: &mut Fields, served: &Served) -> Result<Vec<String>, ApiError> {
    let stop = fields.texts("stop", MOST_STOPS)?;
    if stop.iter().any(String::is_empty) {
        return Err(ApiError::field("stop", "a stop text is empty"));
    }
    Ok(match stop.is_empty() {
        true => served.loaded.stop.stop.clone(),
        false => stop,
    })
}

/// `top_logprobs` and the like: how many.
pub fn likeliest(fields: &mut Fields, name: &str) -> Result<Option<usize>, ApiError> {
    fields.count(name, 0, MOST_LIKELIEST)
}

/// `{"42": -100, "7": 5}`
fn bias(value: Option<Value>, served: &Served) -> Result<Vec<(u32, f32)>, ApiError> {
    let name = "logit_bias";
    let fault = |message: String| ApiError::field(name, message);
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let Value::Object(map) = value else {
        return Err(fault(format!("{name} is no object")));
    };
    let tokens = served.loaded.base.decoder.config.vocab_size;
    let entry = |(token, value): (String, Value)| {
        let id = token
            .parse::<u32>()
            .ok()
            .filter(|id| (*id as usize) < tokens);
        let id = id.ok_or_else(|| fault(format!("{token:?} is no token's id")))?;
        let most = -100.0..=100.0;
        let value = value.as_f64().filter(|value| most.contains(value));
        let value =
            value.ok_or_else(|| fault(format!("that of {token} is no number from -100 to 100")))?;
        // As OpenAI has it: such a token never comes.
        let never = value <= -100.0;
        Ok((
            id,
            if never {
                f32::NEG_INFINITY
            } else {
                value as f32
            },
        ))
    };
    map.into_iter().map(entry).collect()
}

/// `[{"id": 0, "scale": 0.5}]`, an id being a name or a place in the list of adapters, as llama.cpp's server has it.
fn mixture(list: Value, served: &Served) -> Result<Vec<(String, f64)>, ApiError> {
    let fault = |message: String| ApiError::field("lora", message);
    let Value::Array(list) = list else {
        return Err(fault("lora is no list".to_owned()));
    };
    let adapters = served.models.adapters();
    let mut parts: Vec<(String, f64)> = Vec::new();
    for part in list {
        let mut part = Fields::of("lora", part)?;
        let id = part.value("id");
        let id = id.ok_or_else(|| fault("an adapter has no id".to_owned()))?;
        let found = match &id {
            Value::String(name) => adapters.iter().find(|adapter| adapter.name == *name),
            id => {
                let place = id.as_u64().and_then(|place| usize::try_from(place).ok());
                place.and_then(|place| adapters.get(place))
            }
        };
        let found = found.ok_or_else(|| fault(format!("there is no adapter {id}")))?;
        let scale = part.number("scale", -1e6, 1e6)?.unwrap_or(1.0);
        part.end()?;
        if parts.iter().any(|(name, _)| *name == found.name) {
            return Err(fault(format!("the adapter {id} is there twice")));
        }
        if scale != 0.0 {
            parts.push((found.name.clone(), scale));
        }
    }
    Ok(parts)
}

/// The messages of a chat.
pub fn conversation(fields: &mut Fields) -> Result<Conversation, ApiError> {
    let name = "messages";
    let fault = |message: &str| ApiError::field(name, message);
    let Some(Value::Array(messages)) = fields.value(name) else {
        return Err(fault("messages is missing, or no list"));
    };
    if messages.is_empty() {
        return Err(fault("messages is empty"));
    }
    let turns = messages.into_iter().map(turn);
    let turns: Vec<Turn> = turns.collect::<Result<_, _>>()?;
    Ok(turns.into())
}

fn turn(message: Value) -> Result<Turn, ApiError> {
    let mut message = Fields::of("messages", message)?;
    let role = message.text("role")?.unwrap_or_default();
    let role = match role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let message = format!(
                "messages has the role {other:?}, which is none of system, developer, user, assistant"
            );
            return Err(ApiError::field("messages", message));
        }
    };
    let content = match message.value("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            let texts: Result<Vec<String>, ApiError> = parts.into_iter().map(part).collect();
            texts?.concat()
        }
        _ => {
            let message = "a message has no content, or one that is no text";
            return Err(ApiError::field("messages", message));
        }
    };
    // A speaker's name is not in any template here.
    message.skip(&["name", "refusal"]);
    message.end()?;
    Ok(Turn::new(role, content))
}

fn part(part: Value) -> Result<String, ApiError> {
    let mut part = Fields::of("messages", part)?;
    match (part.text("type")?.as_deref(), part.text("text")?) {
        (Some("text"), Some(text)) => {
            part.end()?;
            Ok(text)
        }
        _ => Err(ApiError::field(
            "messages",
            "a part of a message is no text; nothing else is read here",
        )),
    }
}

/// What names the model in an answer.
pub fn answered_as(model: &str, chosen: &Chosen) -> String {
    let route = chosen.decision.as_ref().and_then(|d| d.route.as_ref());
    match route {
        Some(route) if model == AUTO => route.clone(),
        _ => model.to_owned(),
    }
}
