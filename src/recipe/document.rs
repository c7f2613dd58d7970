//! TOML whose values know their lines, and what is wrong with a file, line by line.

use crate::run::nearest;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub line: usize,
    pub kind: Kind,
}

/// What a value is. Numbers and times are kept as a command line has them.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Text(String),
    Number(String),
    Switch(bool),
    List(Vec<Value>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub value: Value,
}

impl Value {
    /// The text of a value that is one word; none of a list or a table.
    pub fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
            Kind::Switch(on) => Some(on.to_string()),
            Kind::List(_) | Kind::Table(_) => None,
        }
    }

    /// What it is, in a word, for errors.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "text",
            Kind::Number(_) => "a number",
            Kind::Switch(_) => "true or false",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// Calls `look` with every text in it.
    pub fn texts(&self, look: &mut impl FnMut(&str)) {
        match &self.kind {
            Kind::Text(text) => look(text),
            Kind::List(items) => items.iter().for_each(|item| item.texts(look)),
            Kind::Table(entries) => entries.iter().for_each(|e| e.value.texts(look)),
            Kind::Number(_) | Kind::Switch(_) => {}
        }
    }
}

/// The entries of a TOML text. A text that is none is one fault.
pub fn parse(text: &str, faults: &mut Faults) -> Vec<Entry> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    match DeTable::parse(text) {
        Ok(table) => entries(table.into_inner(), &line),
        Err(error) => {
            faults.add(line(error.span().map_or(0, |s| s.start)), error.message());
            Vec::new()
        }
    }
}

fn entries(table: DeTable, line: &impl Fn(usize) -> usize) -> Vec<Entry> {
    let entry = |(key, value): (Spanned<_>, Spanned<_>)| Entry {
        line: line(key.span().start),
        key: String::from(key.into_inner()),
        value: located(value, line),
    };
    table.into_iter().map(entry).collect()
}

fn located(value: Spanned<DeValue>, line: &impl Fn(usize) -> usize) -> Value {
    Value {
        line: line(value.span().start),
        kind: match value.into_inner() {
            DeValue::String(text) => Kind::Text(text.into_owned()),
            DeValue::Integer(n) => {
                Kind::Number(match i128::from_str_radix(n.as_str(), n.radix()) {
                    Ok(n) => n.to_string(),
                    Err(_) => n.to_string(),
                })
            }
            // "8.0", which a whole-number flag refuses.
            DeValue::Float(x) => Kind::Number(match x.as_str().parse::<f64>() {
                Ok(x) => format!("{x:?}"),
                Err(_) => x.to_string(),
            }),
            DeValue::Boolean(on) => Kind::Switch(on),
            DeValue::Datetime(time) => Kind::Number(time.to_string()),
            DeValue::Array(items) => {
                Kind::List(items.into_iter().map(|item| located(item, line)).collect())
            }
            DeValue::Table(table) => Kind::Table(entries(table, line)),
        },
    }
}

/// What is wrong with a file: every fault with its line.
#[derive(Debug, thiserror::Error)]
pub struct Faults {
    path: PathBuf,
    /// By line, each once: what is made of one line several times is wrong there once.
    found: BTreeSet<(usize, String)>,
    added: usize,
}

impl Faults {
    /// None yet, of the file at `path`.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            found: BTreeSet::new(),
            added: 0,
        }
    }

    /// Adds one; line 0 is the file as a whole.
    pub fn add(&mut self, line: usize, fault: impl fmt::Display) {
        self.added += 1;
        self.found.insert((line, fault.to_string()));
    }

    /// `self` as an error where there is one.
    pub fn refuse(self) -> Result<(), Self> {
        match self.found.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }

    /// How often one was added, the same one again included.
    pub fn added(&self) -> usize {
        self.added
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, (line, fault)) in self.found.iter().enumerate() {
            let between = if i == 0 { "" } else { "; " };
            match line {
                0 => write!(f, "{between}{}: {fault}", self.path.display())?,
                line => write!(f, "{between}{}:{line}: {fault}", self.path.display())?,
            }
        }
        Ok(())
    }
}

/// `; did you mean x?`, where one of `known` is like `name`; else the first of `known`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest::nearest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean {near}?"),
        None if known.is_empty() => "; there is none".to_owned(),
        None => format!("; known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines_and_numbers_are_as_a_command_line_has_them() {
        let mut faults = Faults::new(Path::new("r.toml"));
        let text = "a = 1_000\n\n[b]\nc = [\n  'x',\n  0x10,\n]\nd = 5e-4\ne = 8.0\nf = true\n";
        let parsed = parse(text, &mut faults);
        assert!(faults.is_empty());
        assert_eq!(parsed[0].value.scalar().unwrap(), "1000");
        let Kind::Table(b) = &parsed[1].value.kind else {
            panic!("{parsed:?}")
        };
        let Kind::List(c) = &b[0].value.kind else {
            panic!("{b:?}")
        };
        assert_eq!((b[0].line, c[0].line, c[1].line), (4, 5, 6));
        let texts = c.iter().chain(b[1..].iter().map(|e| &e.value));
        let texts: Vec<_> = texts.map(|v| v.scalar().unwrap()).collect();
        assert_eq!(texts, ["x", "16", "0.0005", "8.0", "true"]);
    }

    #[test]
    fn faults_are_said_in_order_and_once() {
        let mut faults = Faults::new(Path::new("r.toml"));
        assert!(parse("a = \n", &mut faults).is_empty());
        faults.add(9, "late");
        faults.add(9, "late");
        let said = faults.refuse().unwrap_err().to_string();
        assert!(said.starts_with("r.toml:1: "), "{said}");
        assert!(said.ends_with("; r.toml:9: late"), "{said}");
        assert_eq!(nearest("rnak", ["data", "rank"]), "; did you mean rank?");
        assert_eq!(nearest("stf", ["sft"]), "; did you mean sft?");
        assert_eq!(nearest("zz", ["data", "rank"]), "; known: data, rank");
    }
}
