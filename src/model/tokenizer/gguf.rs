//! The tokenizer that GGUF metadata describes.

use super::{Chat, merges, pieces};
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use std::collections::BTreeMap;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

/// What the metadata says.
pub struct Read {
    pub inner: Tokenizer,
    /// The token that stands before every text.
    pub bos: Option<u32>,
    /// Tokens that end a sequence.
    pub ends: Vec<u32>,
    pub chat: Chat,
}

/// llama.cpp's types of tokens, as far as they are not ordinary text.
const UNKNOWN: u64 = 2;
pub const CONTROL: u64 = 3;
pub const USER_DEFINED: u64 = 4;
pub const UNUSED: u64 = 5;

/// Reads `tokenizer.*`.
pub fn read(content: &Content) -> Result<Read> {
    let metadata = Metadata(content);
    let model = metadata.text("model").unwrap_or("of no name");
    let tokens = metadata.strings("tokens")?;
    let (mut inner, adds_bos) = match model {
        "gpt2" => byte_level(&metadata, &tokens)?,
        "llama" => {
            let space = metadata.flag("add_space_prefix").unwrap_or(true);
            let (scores, types) = (metadata.numbers("scores"), metadata.types());
            (pieces::read(&tokens, &scores, &types, space)?, true)
        }
        other => bail!(
            "GGUF metadata tokenizer.ggml.model {other:?} is not supported: gpt2 and llama are"
        ),
    };
    add_tokens(&mut inner, &metadata, &tokens)?;
    let id = |key: &str| {
        let id = metadata.number(key)?;
        (id < tokens.len() as u64).then_some(id as u32)
    };
    let asked = metadata.flag("add_bos_token").unwrap_or(adds_bos);
    let ends = ["eos_token_id", "eot_token_id", "eom_token_id"];
    let named = [
        ("bos_token", "bos_token_id"),
        ("eos_token", "eos_token_id"),
        ("unk_token", "unknown_token_id"),
        ("pad_token", "padding_token_id"),
    ];
    let named = named.into_iter().filter_map(|(name, key)| {
        let token = tokens.get(id(key)? as usize)?;
        Some((name.to_owned(), token.clone()))
    });
    Ok(Read {
        bos: id("bos_token_id").filter(|_| asked),
        ends: ends.into_iter().filter_map(id).collect(),
        chat: Chat {
            templates: templates(content),
            tokens: named.collect(),
        },
        inner,
    })
}

/// Byte-pair encoding of bytes, and whether texts of its kind begin with a token where the file does not say.
fn byte_level(metadata: &Metadata, tokens: &[String]) -> Result<(Tokenizer, bool)> {
    let pre = metadata.text("pre").context(
        "GGUF metadata tokenizer.ggml.pre is missing: how the base splits text is not known; convert the model anew, with a newer llama.cpp",
    )?;
    merges::check_gguf(metadata.0)?;
    let merges = metadata.strings("merges")?;
    let merges = merges.iter().map(|merge| {
        let pair = merge.split_once(' ').map(|(a, b)| (a.into(), b.into()));
        pair.with_context(|| format!("{merge:?} is no merge"))
    });
    let merges = merges.collect::<Result<Vec<(String, String)>>>()?;
    let vocabulary = tokens.iter().cloned().zip(0..);
    let vocabulary: tokenizers::models::bpe::Vocab = vocabulary.collect();
    let llama3 = is_llama3(pre);
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(llama3);
    let mut inner = Tokenizer::new(model.build().map_err(|e| anyhow!("{e}"))?);
    let (composed, splitting) = splitting(pre)?
        .with_context(|| format!("GGUF metadata tokenizer.ggml.pre {pre:?} is not supported"))?;
    inner
        .with_normalizer(composed)
        .map_err(|e| anyhow!("{e}"))?;
    inner.with_pre_tokenizer(Some(splitting));
    inner.with_decoder(Some(ByteLevelDecoder::new(false, false, false)));
    Ok((inner, llama3))
}

fn is_llama3(pre: &str) -> bool {
    matches!(pre, "llama-bpe" | "llama3" | "llama-v3")
}

/// How text is composed and split under the name `pre`; `None` where the name is not known.
pub fn splitting(pre: &str) -> Result<Option<(Option<NFC>, PreTokenizerWrapper)>> {
    let byte_level = |regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, regex));
    let digits = |most: &str| {
        let pattern = format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{most}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        );
        let pattern = SplitPattern::Regex(pattern);
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
        let split = split.map_err(|e| anyhow!("{e}"))?;
        let both = Sequence::new(vec![split.into(), byte_level(false)]);
        Ok::<_, anyhow::Error>(PreTokenizerWrapper::from(both))
    };
    Ok(Some(match pre {
        "qwen2" => (Some(NFC), digits("")?),
        _ if is_llama3(pre) => (None, digits("{1,3}")?),
        "smollm" => {
            let single = PreTokenizerWrapper::from(Digits::new(true));
            let both = Sequence::new(vec![single, byte_level(true)]);
            (None, both.into())
        }
        "default" | "gpt-2" => (None, byte_level(true)),
        _ => return Ok(None),
    }))
}

/// Tells `inner` which tokens are found in text before it is split: special ones, which answers leave out, and
/// the user's, which are text.
fn add_tokens(inner: &mut Tokenizer, metadata: &Metadata, tokens: &[String]) -> Result<()> {
    let named = [
        "bos_token_id",
        "eos_token_id",
        "eot_token_id",
        "eom_token_id",
        "padding_token_id",
        "unknown_token_id",
    ];
    let named: Vec<u64> = named
        .into_iter()
        .filter_map(|key| metadata.number(key))
        .collect();
    let types = metadata.types();
    let (mut special, mut users) = (Vec::new(), Vec::new());
    for (id, token) in tokens.iter().enumerate() {
        let kind = types.get(id).copied().unwrap_or_default();
        let added = |special| AddedToken::from(token.clone(), special).normalized(false);
        // The type counts more than a role that the file gives the token.
        if kind == USER_DEFINED {
            users.push(added(false));
        } else if matches!(kind, UNKNOWN | CONTROL | UNUSED) || named.contains(&(id as u64)) {
            special.push(added(true));
        }
    }
    inner
        .add_special_tokens(special)
        .and_then(|_| inner.add_tokens(users))
        .map_err(|e| anyhow!("{e}"))?;
    Ok(())
}

/// `tokenizer.chat_template`, and `tokenizer.chat_template.NAME`.
fn templates(content: &Content) -> BTreeMap<String, String> {
    let texts = content.metadata.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("tokenizer.chat_template")?;
        let name = match name {
            "" => "default",
            named => named.strip_prefix('.')?,
        };
        Some((name.to_owned(), value.to_string().ok()?.clone()))
    });
    texts.collect()
}

/// `tokenizer.ggml.*`.
struct Metadata<'a>(&'a Content);

impl<'a> Metadata<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.metadata.get(&format!("tokenizer.ggml.{key}"))
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.to_string().ok().map(String::as_str)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.to_bool().ok()
    }

    fn number(&self, key: &str) -> Option<u64> {
        whole(self.get(key)?)
    }

    fn list(&self, key: &str) -> &'a [Value] {
        match self.get(key) {
            Some(Value::Array(values)) => values,
            _ => &[],
        }
    }

    fn strings(&self, key: &str) -> Result<Vec<String>> {
        let list = self.list(key).iter();
        let strings = list.map(|value| value.to_string().cloned());
        let strings: Option<Vec<String>> = strings.map(Result::ok).collect();
        let strings =
            strings.with_context(|| format!("GGUF metadata tokenizer.ggml.{key} is not text"))?;
        ensure!(
            !strings.is_empty() || key == "merges",
            "GGUF metadata tokenizer.ggml.{key} is missing"
        );
        Ok(strings)
    }

    fn numbers(&self, key: &str) -> Vec<f32> {
        let list = self.list(key).iter();
        list.filter_map(|value| value.to_f32().ok()).collect()
    }

    fn types(&self) -> Vec<u64> {
        let list = self.list("token_type").iter();
        list.map(|value| whole(value).unwrap_or_default()).collect()
    }
}

/// A whole number of any type.
fn whole(value: &Value) -> Option<u64> {
    let number = crate::model::gguf::number(value)?;
    (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
}
