//! Text to token ids and back.

mod bytes;
mod folder;
mod gguf;
mod gguf_write;
mod merges;
mod middle;
mod pieces;

use anyhow::{Result, anyhow, ensure};
use candle_core::quantized::gguf_file::Content;
use regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// A tokenizer, the tokens that end a sequence, and what a base says about chats.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same without what is done at the start of a text alone; `None` where nothing is.
    middle: Option<tokenizers::Tokenizer>,
    /// The tokens that are found in text before it is split, and a pattern of their names.
    added: BTreeMap<u32, AddedToken>,
    names: Option<Regex>,
    special_names: Option<Regex>,
    bos: Option<u32>,
    eos: Vec<u32>,
    chat: Chat,
}

/// What a base says about chats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    /// Jinja templates by name; `default` is the one, `tool_use` that for rows with tools.
    pub templates: BTreeMap<String, String>,
    /// Texts that templates know by name, such as `bos_token`.
    pub tokens: BTreeMap<String, String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and the files beside it; `eos` come from the model's config, the first one is
    /// what training appends.
    pub fn from_file(path: &Path, eos: Vec<u32>) -> Result<Self> {
        ensure!(path.is_file(), "{}: no such file", path.display());
        let (inner, said) = folder::read(path)?;
        let mut this = Self::new(inner, eos).map_err(|e| e.context(path.display().to_string()))?;
        let bos = said.chat.tokens.get("bos_token");
        let bos = bos.and_then(|name| this.id(name));
        this.bos = match said.add_bos {
            // The config's word counts more than tokenizer.json's, as in transformers.
            Some(add) => bos.filter(|_| add),
            None => this.processor_bos()?,
        };
        this.chat = said.chat;
        Ok(this)
    }

    /// Builds the tokenizer that GGUF metadata describes; `eos` and the metadata's own ends end a sequence.
    pub fn from_gguf(content: &Content, mut eos: Vec<u32>) -> Result<Self> {
        let read = gguf::read(content)?;
        for id in read.ends {
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        let mut this = Self::new(read.inner, eos)?;
        (this.bos, this.chat) = (read.bos, read.chat);
        Ok(this)
    }

    fn new(mut inner: tokenizers::Tokenizer, eos: Vec<u32>) -> Result<Self> {
        // A file may ask for both; an answer must never be cut, nor a prompt padded.
        inner.with_truncation(None).map_err(|e| anyhow!("{e}"))?;
        inner.with_padding(None);
        ensure!(!eos.is_empty(), "the model's config names no eos_token_id");
        let added: BTreeMap<u32, AddedToken> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| !token.content.is_empty())
            .collect();
        let names = |keep: fn(&AddedToken) -> bool| {
            let kept = added.values().filter(|token| keep(token));
            let mut names: Vec<String> = kept.map(|t| regex::escape(&t.content)).collect();
            names.sort();
            match names.is_empty() {
                true => Ok(None),
                false => Regex::new(&names.join("|")).map(Some),
            }
        };
        let this = Self {
            middle: middle::of(&inner)?,
            names: names(|_| true)?,
            special_names: names(|token| token.special)?,
            added,
            inner,
            bos: None,
            eos,
            chat: Chat::default(),
        };
        for id in &this.eos {
            ensure!(
                this.inner.id_to_token(*id).is_some(),
                "eos token {id} is not in the tokenizer"
            );
        }
        Ok(this)
    }

    /// The token that the post-processor of `tokenizer.json` puts before a text.
    fn processor_bos(&self) -> Result<Option<u32>> {
        let ids = |special| {
            let encoding = self.inner.encode("a", special);
            let encoding = encoding.map_err(|e| anyhow!("tokenizing: {e}"))?;
            Ok::<_, anyhow::Error>(encoding.get_ids().to_vec())
        };
        let (bare, processed) = (ids(false)?, ids(true)?);
        let first = processed.first().copied();
        Ok(first.filter(|first| bare.first() != Some(first)))
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

    /// Token ids of a whole `text`, no special tokens added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.inner, text)
    }

    /// Token ids of a text that goes on behind the token `last`: as in one text, but that no token reaches
    /// over where they meet. Without `last`, of a whole text.
    pub fn encode_behind(&self, last: Option<u32>, text: &str) -> Result<Vec<u32>> {
        let Some(last) = last else {
            return self.encode(text);
        };
        if let Some(token) = self.added.get(&last) {
            let ids = self.encode(&format!("{}{text}", token.content))?;
            // Another name may begin there.
            if ids.first() == Some(&last) {
                return Ok(ids[1..].to_vec());
            }
        }
        let Some(middle) = &self.middle else {
            return self.encode(text);
        };
        // Behind an added token the library decides again.
        let names = self.names.as_ref();
        let cut = names
            .and_then(|names| names.find(text))
            .map_or(text.len(), |m| m.start());
        let mut found = ids(middle, &text[..cut])?;
        found.extend(self.encode(&text[cut..])?);
        Ok(found)
    }

    /// Where a text must be cut so that no added token is found in it: behind the first character of its name,
    /// neither half is that token. With `special`, only names of special tokens count.
    pub fn cuts(&self, text: &str, special: bool) -> Vec<usize> {
        let names = match special {
            true => &self.special_names,
            false => &self.names,
        };
        let (mut cuts, mut done) = (Vec::new(), 0);
        while let Some(name) = names.as_ref().and_then(|names| names.find_at(text, done)) {
            done = name.start() + name.as_str().chars().next().map_or(1, char::len_utf8);
            cuts.push(done);
        }
        cuts
    }

    /// The id of the token `name`, such as `<|im_end|>`.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    /// What the token `id` is called.
    pub fn name(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The bytes of the tokens that text is made of, by their ids. Special tokens are no text.
    ///
    /// Errors where it spells its tokens in a way that is not known.
    pub fn bytes(&self) -> Result<BTreeMap<u32, Vec<u8>>> {
        let mut bytes = bytes::of(&self.inner)?;
        for (id, token) in &self.added {
            match token.special {
                true => bytes.remove(id),
                false => bytes.insert(*id, token.content.clone().into_bytes()),
            };
        }
        Ok(bytes)
    }

    /// Whether `id` is found in text before the text is split.
    pub fn is_added(&self, id: u32) -> bool {
        self.added.contains_key(&id)
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
        self.text(ids, false)
    }

    /// Text of `ids`, special tokens left out. It is taken to stand behind other text: a space at its
    /// beginning stays.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.text(ids, true)
    }

    fn text(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let decoder = self.middle.as_ref().unwrap_or(&self.inner);
        decoder
            .decode(ids, skip_special)
            .map_err(|e| anyhow!("decoding tokens: {e}"))
    }

    /// Whether `text` has the name of a special token in it, which [`Self::decode`] leaves out.
    pub fn names_special(&self, text: &str) -> bool {
        let names = self.special_names.as_ref();
        names.is_some_and(|names| names.is_match(text))
    }

    /// The token that stands before every text, where the tokenizer asks for one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
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

    /// What the base says about chats.
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Takes another chat template than the base's: that of an adapter.
    pub fn set_chat_template(&mut self, text: String) {
        self.chat.templates = BTreeMap::from([("default".to_owned(), text)]);
    }
}

fn ids(tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text, false);
    let encoding = encoding.map_err(|e| anyhow!("tokenizing: {e}"))?;
    Ok(encoding.get_ids().to_vec())
}
