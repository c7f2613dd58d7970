//! Text to token ids and back.

use super::merges;
use anyhow::{Context, Result, anyhow, ensure};
use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use regex::Regex;
use std::path::Path;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

/// A tokenizer and the tokens that end a sequence.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The names of the tokens that are found in text before it is split; `None` without any.
    added: Option<Regex>,
    eos: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`; `eos` come from the model's config, the first one is what training
    /// appends.
    pub fn from_file(path: &Path, eos: Vec<u32>) -> Result<Self> {
        ensure!(path.is_file(), "{}: no such file", path.display());
        let read = || {
            let text = std::fs::read_to_string(path)?;
            merges::check_json(&text)?;
            Self::new(text.parse().map_err(|e| anyhow!("{e}"))?, eos)
        };
        read().with_context(|| path.display().to_string())
    }

    /// Builds the tokenizer that GGUF metadata describes.
    pub fn from_gguf(content: &Content, eos: Vec<u32>) -> Result<Self> {
        let pre = match content.metadata.get("tokenizer.ggml.pre") {
            Some(v) => v.to_string()?.as_str(),
            None => "default",
        };
        let byte_level = || PreTokenizerWrapper::from(ByteLevel::new(false, true, true));
        merges::check_gguf(content)?;
        let mut inner = tokenizers::Tokenizer::from_gguf(content)?;
        match pre {
            // candle knows this one.
            "qwen2" => {}
            "smollm" => {
                let digits = PreTokenizerWrapper::from(Digits::new(true));
                inner.with_pre_tokenizer(Some(Sequence::new(vec![digits, byte_level()])));
            }
            // candle's fallback adds a space before the text, which GPT-2 does not.
            "default" | "gpt-2" => {
                inner.with_pre_tokenizer(Some(byte_level()));
            }
            other => anyhow::bail!("tokenizer.ggml.pre {other:?} is not supported"),
        }
        Self::new(inner, eos)
    }

    fn new(mut inner: tokenizers::Tokenizer, eos: Vec<u32>) -> Result<Self> {
        // A file may ask for both; an answer must never be cut, nor a prompt padded.
        inner.with_truncation(None).map_err(|e| anyhow!("{e}"))?;
        inner.with_padding(None);
        ensure!(!eos.is_empty(), "the model's config names no eos_token_id");
        let mut names: Vec<String> = inner
            .get_added_tokens_decoder()
            .into_values()
            .filter(|t| !t.content.is_empty())
            .map(|t| regex::escape(&t.content))
            .collect();
        names.sort();
        let this = Self {
            added: match names.is_empty() {
                true => None,
                false => Some(Regex::new(&names.join("|"))?),
            },
            inner,
            eos,
        };
        for id in &this.eos {
            ensure!(
                this.inner.id_to_token(*id).is_some(),
                "eos token {id} is not in the tokenizer"
            );
        }
        Ok(this)
    }

    /// Refuses a tokenizer whose ids do not fit the embedding table.
    pub fn check_vocabulary(&self, vocab_size: usize) -> Result<()> {
        let largest = self.inner.get_vocab(true).into_values().max().unwrap_or(0);
        ensure!(
            (largest as usize) < vocab_size,
            "the tokenizer has a token {largest}, the model's vocabulary only {vocab_size} rows"
        );
        Ok(())
    }

    /// Token ids of `text`, no special tokens added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| anyhow!("tokenizing: {e}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of `text` in which an added token's name is text like any other: what a stranger
    /// wrote must not end a turn.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        let (mut ids, mut done) = (Vec::new(), 0);
        while let Some(name) = self
            .added
            .as_ref()
            .and_then(|names| names.find_at(text, done))
        {
            // Cut behind the name's first character, neither half is that token.
            let first = name.as_str().chars().next().map_or(1, char::len_utf8);
            let cut = name.start() + first;
            ids.extend(self.encode(&text[done..cut])?);
            done = cut;
        }
        ids.extend(self.encode(&text[done..])?);
        Ok(ids)
    }

    /// The id of the token `name`, such as `<|im_end|>`.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    /// Number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text of `ids` with special tokens shown.
    pub fn show(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, false)
            .map_err(|e| anyhow!("decoding tokens: {e}"))
    }

    /// Text of `ids`, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, true)
            .map_err(|e| anyhow!("decoding tokens: {e}"))
    }

    /// Whether `text` has the name of a special token in it, which [`Self::decode`] leaves out.
    pub fn names_special(&self, text: &str) -> bool {
        let mut added = self.inner.get_added_tokens_decoder().into_values();
        added.any(|t| t.special && !t.content.is_empty() && text.contains(&t.content))
    }

    /// The token that ends a trained answer.
    pub fn eos(&self) -> u32 {
        self.eos[0]
    }

    /// All tokens that end generation.
    pub fn ends(&self) -> &[u32] {
        &self.eos
    }

    /// Makes `id` end generation too.
    pub fn end_with(&mut self, id: u32) {
        if !self.is_eos(id) {
            self.eos.push(id);
        }
    }

    /// Whether `id` ends generation.
    pub fn is_eos(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }
}
