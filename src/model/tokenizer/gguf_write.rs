//! A tokenizer as GGUF metadata, as llama.cpp reads it: what cannot be said there exactly is refused by name.

use super::Tokenizer;
use super::gguf::{CONTROL, UNUSED, USER_DEFINED, splitting};
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use tokenizers::PreTokenizerWrapper;

/// The names under which llama.cpp knows ways to split text, with whether merges give way to whole words there.
const PRE: [(&str, bool); 4] = [
    ("qwen2", false),
    ("llama-bpe", true),
    ("smollm", false),
    ("gpt-2", false),
];

/// The keys of tokens that end an answer, in their order.
const ENDS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// Texts with a role, by their names in a transformers folder and in GGUF.
const NAMED: [(&str, &str); 3] = [
    ("bos_token", "bos_token_id"),
    ("pad_token", "padding_token_id"),
    ("unk_token", "unknown_token_id"),
];

impl Tokenizer {
    /// `tokenizer.ggml.*` of this tokenizer, for a table of `vocabulary` embeddings. Errors name what has no exact form.
    pub fn to_gguf(&self, vocabulary: usize) -> Result<BTreeMap<String, Value>> {
        let text = serde_json::to_value(&self.inner).context("the tokenizer")?;
        let model = &text["model"];
        let fallback = model["byte_fallback"].as_bool().unwrap_or_default();
        ensure!(
            model["type"] == "BPE" && !fallback,
            "a tokenizer of kind {}{} has no exact form in GGUF: byte-level BPE has; take a .gguf base instead",
            model["type"],
            if fallback {
                " with byte fallback (SentencePiece)"
            } else {
                ""
            }
        );
        let mut found = BTreeMap::new();
        let mut set = |key: &str, value| found.insert(format!("tokenizer.ggml.{key}"), value);
        set("model", Value::String("gpt2".into()));
        set("pre", Value::String(pre(&text)?.into()));
        let (tokens, types) = self.tokens(vocabulary)?;
        set("tokens", texts(tokens));
        set("token_type", Value::Array(types));
        set("merges", texts(merges(model)?));
        for (name, key) in NAMED {
            let id = self.chat.tokens.get(name).and_then(|name| self.id(name));
            if let Some(id) = id {
                set(key, Value::U32(id));
            }
        }
        if let Some(bos) = self.bos {
            set("bos_token_id", Value::U32(bos));
        }
        set("add_bos_token", Value::Bool(self.bos.is_some()));
        Ok(found)
    }

    /// What ends an answer as metadata, the end of a trained one first.
    pub fn ends_to_gguf(&self, first: Option<u32>) -> Result<BTreeMap<String, Value>> {
        let mut ends = self.eos.clone();
        if let Some(first) = first {
            ends.retain(|id| *id != first);
            ends.insert(0, first);
        }
        ensure!(
            ends.len() <= ENDS.len(),
            "{} tokens end an answer, and GGUF names {} at most",
            ends.len(),
            ENDS.len()
        );
        let keys = ENDS.iter().zip(ends);
        let named = keys.map(|(key, id)| (format!("tokenizer.ggml.{key}"), Value::U32(id)));
        Ok(named.collect())
    }

    /// Every token by its id, with its type; places without one are filled as llama.cpp's converter fills them.
    fn tokens(&self, vocabulary: usize) -> Result<(Vec<String>, Vec<Value>)> {
        let mut tokens: Vec<String> = (0..vocabulary).map(|id| format!("[PAD{id}]")).collect();
        let mut types = vec![UNUSED; vocabulary];
        for (token, id) in self.inner.get_vocab(true) {
            let id = id as usize;
            ensure!(id < vocabulary, "token {id} has no embedding");
            (tokens[id], types[id]) = (token, 1);
        }
        for (id, token) in &self.added {
            ensure!(
                !(token.lstrip || token.rstrip || token.single_word),
                "the token {:?} takes spaces with it or is found as a whole word alone, for which GGUF has no place",
                token.content
            );
            types[*id as usize] = if token.special { CONTROL } else { USER_DEFINED };
        }
        let types = types.into_iter().map(|kind| Value::I32(kind as i32));
        Ok((tokens, types.collect()))
    }
}

fn texts(all: impl IntoIterator<Item = String>) -> Value {
    Value::Array(all.into_iter().map(Value::String).collect())
}

/// The name of the way in which the tokenizer splits text.
fn pre(tokenizer: &Json) -> Result<&'static str> {
    let own = (
        tokenizer["normalizer"].clone(),
        plain(tokenizer["pre_tokenizer"].clone()),
        tokenizer["model"]["ignore_merges"]
            .as_bool()
            .unwrap_or_default(),
    );
    for (name, whole_words) in PRE {
        let Some((composed, split)) = splitting(name)? else {
            bail!("{name} is no way to split text");
        };
        let split: PreTokenizerWrapper = split;
        let form = |value: serde_json::Result<Json>| value.context("the tokenizer");
        let composed = form(serde_json::to_value(composed))?;
        let split = plain(form(serde_json::to_value(split))?);
        if own == (composed, split, whole_words) {
            return Ok(name);
        }
    }
    let known = PRE.map(|(name, _)| name).join(", ");
    Err(anyhow!(
        "the tokenizer splits text in a way (normalizer {}, pre_tokenizer {}) that is none of {known}: take a .gguf base instead",
        own.0,
        own.1
    ))
}

/// Without what says nothing of tokens.
fn plain(mut splitting: Json) -> Json {
    match &mut splitting {
        Json::Object(fields) => {
            fields.remove("trim_offsets");
            fields
                .values_mut()
                .for_each(|value| *value = plain(value.take()));
        }
        Json::Array(values) => values
            .iter_mut()
            .for_each(|value| *value = plain(value.take())),
        _ => {}
    }
    splitting
}

fn merges(model: &Json) -> Result<Vec<String>> {
    let merges = model["merges"].as_array().into_iter().flatten();
    let text = |merge: &Json| {
        let parts = match merge {
            Json::String(text) => text.split_once(' '),
            pair => pair[0].as_str().zip(pair[1].as_str()),
        };
        let (a, b) = parts.with_context(|| format!("{merge} is no merge"))?;
        ensure!(
            !a.contains(' ') && !b.contains(' '),
            "the merge of {a:?} and {b:?} has a space, which parts them in GGUF"
        );
        Ok(format!("{a} {b}"))
    };
    merges.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn tiny() -> Tokenizer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny-llama");
        Tokenizer::from_file(&folder.join("tokenizer.json"), vec![258, 256]).unwrap()
    }

    #[test]
    fn tokens_types_and_ends_are_said() {
        let tokenizer = tiny();
        let said = tokenizer.to_gguf(261).unwrap();
        let list = |key: &str| said[&format!("tokenizer.ggml.{key}")].to_vec().unwrap();
        assert_eq!(list("tokens")[257].to_string().unwrap(), "<|im_start|>");
        assert_eq!(list("tokens")[260].to_string().unwrap(), "[PAD260]");
        let kinds = [0, 257, 260].map(|id| list("token_type")[id].to_i32().unwrap());
        assert_eq!(kinds, [1, 3, 5]);
        assert_eq!(said["tokenizer.ggml.pre"].to_string().unwrap(), "gpt-2");
        assert!(
            tokenizer
                .to_gguf(100)
                .unwrap_err()
                .to_string()
                .contains("no embedding")
        );
        let ends = tokenizer.ends_to_gguf(Some(256)).unwrap();
        let id = |key: &str| ends[&format!("tokenizer.ggml.{key}")].to_u32().unwrap();
        assert_eq!((id("eos_token_id"), id("eot_token_id")), (256, 258));
        assert_eq!(ends.len(), 2);
    }

    #[test]
    fn a_kind_without_an_exact_form_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny-llama/tokenizer.json");
        let whole: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let error = |change: &dyn Fn(&mut Json)| {
            let mut changed = whole.clone();
            change(&mut changed);
            let path = folder.path().join("tokenizer.json");
            std::fs::write(&path, changed.to_string()).unwrap();
            let tokenizer = Tokenizer::from_file(&path, vec![258]).unwrap();
            tokenizer.to_gguf(259).unwrap_err().to_string()
        };
        let said = error(&|t| t["model"]["byte_fallback"] = json!(true));
        assert!(
            said.contains("with byte fallback (SentencePiece)"),
            "{said}"
        );
        let said = error(&|t| t["pre_tokenizer"] = json!({"type": "Whitespace"}));
        assert!(
            said.contains("\"Whitespace\"") && said.contains("none of qwen2"),
            "{said}"
        );
        let said = error(&|t| t["added_tokens"][1]["lstrip"] = json!(true));
        assert!(said.contains("\"<|im_start|>\" takes spaces"), "{said}");
    }
}
