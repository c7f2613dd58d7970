//! What a check found.

use super::allowed::Allowed;
use super::finding::{Finding, Kind};
use super::lengths::Summary;
use super::rows::{File, Set};
use serde::Serialize;

/// The whole of it, as JSON has it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether no kind has more findings than are allowed.
    pub sound: bool,
    pub files: Vec<File>,
    /// Of held-out rows: how many questions there are, and queries that answer them.
    pub asked: usize,
    pub queries: usize,
    /// How many queries were run; none where no databases were given.
    pub audited: Option<usize>,
    /// Every kind, also those without findings.
    pub counts: Vec<Count>,
    pub tokens: Option<Summary>,
    /// What could not be looked at.
    pub notes: Vec<String>,
    /// By kind, then in the order of the rows.
    pub findings: Vec<Finding>,
}

/// How many findings of a kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub kind: Kind,
    pub count: usize,
    /// The most that are no fault; null is any number.
    pub allowed: Option<usize>,
}

impl Count {
    /// Whether there are more than are allowed.
    pub fn is_red(&self) -> bool {
        self.allowed.is_some_and(|most| self.count > most)
    }
}

impl Report {
    /// One without findings yet.
    pub(super) fn new(set: &Set) -> Self {
        Self {
            sound: false,
            files: set.files.clone(),
            asked: 0,
            queries: 0,
            audited: None,
            counts: Vec::new(),
            tokens: None,
            notes: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Takes the findings and holds them against what is allowed.
    pub(super) fn end(&mut self, mut findings: Vec<Finding>, allowed: &Allowed) {
        // Each kind is found in the order of the rows.
        findings.sort_by_key(|finding| finding.kind);
        let count = |kind: Kind| Count {
            kind,
            count: findings.iter().filter(|f| f.kind == kind).count(),
            allowed: allowed.most(kind),
        };
        self.counts = Kind::ALL.into_iter().map(count).collect();
        self.sound = !self.counts.iter().any(Count::is_red);
        self.findings = findings;
    }

    /// What is not allowed, in a line; none where all is sound.
    pub fn verdict(&self) -> Option<String> {
        let red: Vec<String> = self
            .counts
            .iter()
            .filter(|count| count.is_red())
            .map(|count| format!("{} {}", count.count, count.kind.name()))
            .collect();
        let name = red.first().and_then(|text| text.split(' ').nth(1))?;
        Some(format!(
            "the data is not sound: {}; mend it, or allow a kind, as --allow {name}",
            red.join(", ")
        ))
    }
}
