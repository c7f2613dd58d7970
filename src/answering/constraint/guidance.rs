//! Grammars held by llguidance: which tokens of a vocabulary go on with a text.

use super::vocabulary::Vocabulary;
use crate::generation::constraint::{Constraint, Grammar};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, anyhow, ensure};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::sync::Arc;

/// Longest grammar in bytes.
const LONGEST: usize = 1 << 20;

/// A vocabulary, by its bytes.
pub struct Guidance {
    vocabulary: Arc<Vocabulary>,
    factory: ParserFactory,
}

impl Guidance {
    /// The vocabulary of `tokenizer`. Errors where it cannot be told what its tokens are in bytes.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let bytes = tokenizer.bytes()?;
        let ends = tokenizer.ends();
        let last = bytes.keys().chain(ends).max();
        let size = last.context("the tokenizer has no tokens")? + 1;
        // A special token is its number behind a byte that no text has.
        let word = |id: u32| match bytes.get(&id) {
            Some(bytes) if !ends.contains(&id) => bytes.clone(),
            _ => format!("\u{ff}[{id}]").chars().map(|c| c as u8).collect(),
        };
        let words: Vec<Vec<u8>> = (0..size).map(word).collect();
        let info = TokRxInfo::new(size, tokenizer.eos());
        let trie = TokTrie::from(&info, &words).with_eos_tokens(ends);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        // What it would look up beforehand, slices, takes longer than it spares: few masks are made.
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &[])?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let vocabulary = Arc::new(Vocabulary::new(env));
        Ok(Self {
            vocabulary,
            factory,
        })
    }

    /// What a grammar in llguidance's dialect of Lark allows. Errors where it is none, or larger than the library's limits.
    pub fn lark(&self, text: &str) -> Result<Rules> {
        ensure!(
            text.len() <= LONGEST,
            "a grammar of more than {LONGEST} bytes"
        );
        self.compile(TopLevelGrammar::from_lark(text.to_owned()))
    }

    /// What a grammar allows. Errors as [`Self::lark`] does.
    pub fn compile(&self, grammar: TopLevelGrammar) -> Result<Rules> {
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        // The first mask is the dearest: rows begin behind it.
        let first = matcher.compute_mask();
        first.map_err(|error| anyhow!("{}", brief(&error.to_string())))?;
        let vocabulary = self.vocabulary.clone();
        Ok(Rules {
            matcher,
            vocabulary,
        })
    }
}

/// The first line of the library's errors: its state follows.
fn brief(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}

/// A compiled grammar.
#[derive(Clone)]
pub struct Rules {
    matcher: Matcher,
    vocabulary: Arc<Vocabulary>,
}

impl Grammar for Rules {
    fn begin(&self) -> Result<Box<dyn Constraint>> {
        Ok(Box::new(self.clone()))
    }
}

/// An error inside the library stays: from there on nothing is allowed, and the answer goes on without it.
impl Constraint for Rules {
    fn allows(&mut self, token: u32) -> bool {
        match self.vocabulary.is_end(token) {
            true => self.matcher.is_accepting().unwrap_or(false),
            false => self.matcher.validate_tokens(&[token]).is_ok_and(|n| n == 1),
        }
    }

    fn allowed(&mut self) -> Option<Vec<u32>> {
        let mask = self.matcher.compute_mask_or_eos().ok()?;
        Some(mask.as_slice().to_vec())
    }

    fn accept(&mut self, token: u32) {
        // What it does not take was not asked for: the error stays, and the next question is answered by it.
        let _ = self.matcher.consume_token(token);
    }
}

impl Rules {
    /// The tokens with their bytes.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}
