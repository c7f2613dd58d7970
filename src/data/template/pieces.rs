//! A row under construction: text becomes tokens behind the tokens that are there.

use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, bail};

/// A run of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub tokens: Vec<u32>,
    /// Whether the loss is on it.
    pub learned: bool,
}

/// Pieces under construction: neighbours of one kind are joined.
pub struct Pieces<'a> {
    tokenizer: &'a Tokenizer,
    pieces: Vec<Piece>,
    /// What text goes on from.
    last: Option<u32>,
}

impl<'a> Pieces<'a> {
    /// Nothing yet.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            pieces: Vec::new(),
            last: None,
        }
    }

    /// Begins with the token that the tokenizer asks for before every text.
    pub fn begun(tokenizer: &'a Tokenizer) -> Self {
        let mut this = Self::new(tokenizer);
        if let Some(bos) = tokenizer.bos() {
            this.push(false, &[bos]);
            // The text behind it is still the text's start.
            this.last = None;
        }
        this
    }

    pub fn push(&mut self, learned: bool, tokens: &[u32]) {
        let Some(&last) = tokens.last() else { return };
        self.last = Some(last);
        match self.pieces.last_mut() {
            Some(piece) if piece.learned == learned => piece.tokens.extend(tokens),
            _ => self.pieces.push(Piece {
                tokens: tokens.to_vec(),
                learned,
            }),
        }
    }

    /// Adds a text in which added tokens are found.
    pub fn text(&mut self, learned: bool, text: &str) -> Result<()> {
        let tokens = self.tokenizer.encode_behind(self.last, text)?;
        self.push(learned, &tokens);
        Ok(())
    }

    /// Adds a text that has a mark wherever it must be cut.
    pub fn marked(&mut self, learned: bool, text: &str, mark: char) -> Result<()> {
        text.split(mark)
            .try_for_each(|part| self.text(learned, part))
    }

    /// Adds an answer's text and its end; the text may end with it already.
    pub fn answer(&mut self, learned: bool, text: &str, end: u32) -> Result<()> {
        self.text(learned, text)?;
        if self.last != Some(end) {
            self.push(learned, &[end]);
        }
        Ok(())
    }

    /// All tokens.
    pub fn tokens(&self) -> Vec<u32> {
        let tokens = self.pieces.iter().flat_map(|piece| &piece.tokens);
        tokens.copied().collect()
    }

    /// The pieces of a training row. What follows the last answer teaches nothing.
    pub fn row(self) -> Vec<Piece> {
        let mut pieces = self.once();
        if pieces.last().is_some_and(|piece| !piece.learned) {
            pieces.pop();
        }
        pieces
    }

    /// The tokens of a prompt.
    pub fn prompt(self) -> Vec<u32> {
        let pieces = self.once().into_iter();
        pieces.flat_map(|piece| piece.tokens).collect()
    }

    /// The pieces with the first token once, where a text brought its own.
    fn once(mut self) -> Vec<Piece> {
        let bos = self.tokenizer.bos();
        let mut first = self.pieces.iter().flat_map(|piece| &piece.tokens);
        let twice = bos.is_some() && first.next() == bos.as_ref() && first.next() == bos.as_ref();
        if twice {
            self.pieces[0].tokens.remove(0);
            self.pieces.retain(|piece| !piece.tokens.is_empty());
        }
        self.pieces
    }
}

/// A mark that none of `texts` has: a code point that stands for no character.
pub fn mark<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Result<char> {
    let free = |mark: &char| !texts.clone().any(|text| text.contains(*mark));
    match ('\u{fdd0}'..='\u{fdef}').find(free) {
        Some(mark) => Ok(mark),
        None => bail!("the row has all of U+FDD0 to U+FDEF, which stand for no characters"),
    }
}

/// `text` with a mark wherever it must be cut so that no added token is found in it; with `special`, no special one.
pub fn marked(tokenizer: &Tokenizer, text: &str, special: bool, mark: char) -> String {
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for cut in tokenizer.cuts(text, special) {
        out += &text[done..cut];
        out.push(mark);
        done = cut;
    }
    out + &text[done..]
}
