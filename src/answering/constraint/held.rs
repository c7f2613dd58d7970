//! Answers held to one query, and to names.

use super::guidance::Rules;
use super::names::Names;
use super::scan::Scan;
use crate::generation::constraint::{Constraint, Grammar};
use anyhow::Result;
use llguidance::toktrie::{Recognizer, TokTrie};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What answers of one schema are held to.
pub struct Query {
    pub rules: Rules,
    /// Without them all names are free.
    pub names: Option<Arc<Names>>,
    /// How many masks were made.
    pub masks: Arc<AtomicUsize>,
}

impl Grammar for Query {
    fn begin(&self) -> Result<Box<dyn Constraint>> {
        Ok(Box::new(Held {
            rules: self.rules.clone(),
            scan: self.names.clone().map(Scan::new),
            masks: self.masks.clone(),
        }))
    }
}

struct Held {
    rules: Rules,
    scan: Option<Scan>,
    masks: Arc<AtomicUsize>,
}

impl Held {
    /// Whether names allow an answer to end here.
    fn may_end(&mut self) -> bool {
        self.scan.as_mut().is_none_or(Scan::may_end)
    }
}

impl Constraint for Held {
    fn allows(&mut self, token: u32) -> bool {
        if !self.rules.allows(token) {
            return false;
        }
        if self.rules.is_end(token) {
            return self.may_end();
        }
        let (Some(scan), Some(bytes)) = (&mut self.scan, self.rules.bytes(token)) else {
            return true;
        };
        let may = scan.push_all(bytes);
        if may {
            scan.pop(bytes.len());
        }
        may
    }

    fn allowed(&mut self) -> Option<Vec<u32>> {
        self.masks.fetch_add(1, Ordering::Relaxed);
        let mut allowed = self.rules.allowed()?;
        let may_end = self.may_end();
        if let Some(scan) = &mut self.scan {
            let vocabulary = self.rules.vocabulary();
            let mut named = vocabulary.alloc_token_set();
            vocabulary.add_bias(scan, &mut named, &[]);
            if may_end {
                vocabulary
                    .eos_tokens()
                    .iter()
                    .for_each(|&end| named.allow_token(end));
            }
            for (word, named) in allowed.iter_mut().zip(named.as_slice()) {
                *word &= named;
            }
        }
        Some(allowed)
    }

    fn accept(&mut self, token: u32) {
        self.rules.accept(token);
        if let (Some(scan), Some(bytes)) = (&mut self.scan, self.rules.bytes(token)) {
            // Only what is allowed is accepted.
            scan.push_all(bytes);
        }
    }
}

/// Walks the tokens of a vocabulary, their common beginnings once.
impl Recognizer for Scan {
    fn pop_bytes(&mut self, num: usize) {
        self.pop(num);
    }

    // What was said before is still looked at.
    fn collapse(&mut self) {}

    fn trie_finished(&mut self) {}

    fn try_push_byte(&mut self, byte: u8) -> bool {
        // Special tokens are no text.
        byte != TokTrie::SPECIAL_TOKEN_MARKER && self.push(byte)
    }
}
