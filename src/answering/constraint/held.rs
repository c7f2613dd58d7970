//! Answers held to one query, and to names.

use super::guidance::Rules;
use super::names::Names;
use super::scan::Scan;
use crate::generation::constraint::{Constraint, Grammar};
use anyhow::Result;
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
    // Names are looked at first: that is the quicker question.
    fn allows(&mut self, token: u32) -> bool {
        let vocabulary = self.rules.vocabulary();
        if vocabulary.is_end(token) {
            return self.may_end() && self.rules.allows(token);
        }
        let named = match (&mut self.scan, vocabulary.bytes(token)) {
            (Some(scan), Some(bytes)) => scan.may_push(bytes),
            _ => true,
        };
        named && self.rules.allows(token)
    }

    fn allowed(&mut self) -> Option<Vec<u32>> {
        self.masks.fetch_add(1, Ordering::Relaxed);
        let mask = self.rules.allowed()?;
        let may_end = self.may_end();
        let Some(scan) = &mut self.scan else {
            return Some(mask);
        };
        let vocabulary = self.rules.vocabulary();
        let mut kept = vocabulary.kept(&mask, scan);
        for &end in vocabulary.ends().iter().filter(|_| may_end) {
            let word = end as usize / 32;
            kept[word] |= mask[word] & 1 << (end % 32);
        }
        Some(kept)
    }

    fn bounds(&mut self) -> Option<Vec<u32>> {
        self.masks.fetch_add(1, Ordering::Relaxed);
        self.rules.allowed()
    }

    fn accept(&mut self, token: u32) {
        self.rules.accept(token);
        if let (Some(scan), Some(bytes)) = (&mut self.scan, self.rules.vocabulary().bytes(token)) {
            // Only what is allowed is accepted.
            scan.push_all(bytes);
        }
    }
}
