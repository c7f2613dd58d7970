//! Reads FROM: which tables a query is of.

use super::parser::{Parser, Reason, shown};
use super::tree::{Conditions, Link, Source};
use crate::sql::tokens::Token;

/// What may follow the conditions of ON.
const AFTER_ON: [&str; 8] = [
    "join",
    "where",
    "group",
    "order",
    "limit",
    "intersect",
    "union",
    "except",
];

impl Parser<'_> {
    /// Where the first of `words` outside brackets is, or else the end of the query at hand.
    pub fn find(&self, words: &[&str]) -> usize {
        let mut depth = 0usize;
        let mut ends = |token: &Token| match token {
            _ if token.is("(") => {
                depth += 1;
                false
            }
            _ if depth == 0 => [")", ";"].iter().chain(words).any(|word| token.is(word)),
            _ => {
                depth -= usize::from(token.is(")"));
                false
            }
        };
        let ahead = self.tokens.iter().skip(self.at);
        self.at + ahead.take_while(|token| !ends(token)).count()
    }

    /// FROM: a table or a subquery, then tables joined to it. Any ON may name any of the tables, so these are read first.
    pub fn from(&mut self) -> Result<(Vec<Source>, Conditions), Reason> {
        self.require("from")?;
        let mut on = Conditions::default();
        let first = match self.take("(") {
            true => {
                let source = match self.is("select") {
                    true => self.subquery()?,
                    false => self.table()?,
                };
                self.require(")")?;
                source
            }
            false => self.table()?,
        };
        let mut sources = vec![first];
        let mut ons = Vec::new();
        while self.take("join") {
            sources.push(self.table()?);
            if self.take("on") {
                let end = self.find(&AFTER_ON);
                ons.push(self.at..end);
                self.at = end;
            }
        }
        let end = self.at;
        for range in ons {
            self.at = range.start;
            let more = self.on_conditions()?;
            if self.at != range.end {
                return Err(self.expected("the end of ON"));
            }
            if !on.list.is_empty() {
                on.links.push(Link::And);
            }
            on.list.extend(more.list);
            on.links.extend(more.links);
        }
        self.at = end;
        Ok((sources, on))
    }

    fn subquery(&mut self) -> Result<Source, Reason> {
        let before = std::mem::replace(&mut self.literals_count, true);
        let query = self.query()?;
        self.literals_count = before;
        Ok(Source::Query(Box::new(query)))
    }

    fn table(&mut self) -> Result<Source, Reason> {
        let name = self.word("a table")?;
        let Some(table) = self.names.table(name) else {
            return Err(format!("no table {}", shown(name)));
        };
        let alias = match self.take("as") {
            true => Some(self.word("an alias")?),
            false => None,
        };
        self.name_table(table, alias)?;
        Ok(Source::Table(table))
    }
}
