//! The text values of a database, by their words and by runs of characters.

use crate::db::sandbox::Sandbox;
use crate::sql::identifier::{identifier, quoted};
use crate::sql::value::Value;
use anyhow::{Context, Result};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Rows of a table that are looked at, distinct values of a column that are kept, and values in all.
const SCANNED: usize = 200_000;
const OF_COLUMN: usize = 50_000;
const IN_ALL: usize = 200_000;
/// How long reading a column may take a server.
const READ: Duration = Duration::from_secs(30);
/// The longest value in bytes, and in words: nobody names longer ones in a question.
const LONGEST: usize = 80;
const WORDS: usize = 8;
/// The longest question in words.
const QUESTION: usize = 200;
/// A word that more values have says nothing.
const COMMON: usize = 5;
/// The least characters of a word that may stand for a value that has it, or for one that is spelled a little otherwise.
const TELLING: usize = 4;
/// The least share of character runs that two spellings have in common (Dice's coefficient).
const ALIKE: f64 = 0.65;
/// Words of questions that name no value by themselves.
const PLAIN: [&str; 112] = [
    "a",
    "above",
    "after",
    "all",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "average",
    "be",
    "before",
    "begin",
    "begins",
    "below",
    "between",
    "born",
    "by",
    "called",
    "can",
    "common",
    "contain",
    "contains",
    "count",
    "did",
    "different",
    "do",
    "does",
    "each",
    "either",
    "end",
    "ends",
    "every",
    "few",
    "fewer",
    "find",
    "first",
    "for",
    "from",
    "give",
    "greater",
    "had",
    "has",
    "have",
    "higher",
    "highest",
    "how",
    "in",
    "is",
    "it",
    "larger",
    "last",
    "latest",
    "least",
    "less",
    "list",
    "lower",
    "lowest",
    "many",
    "me",
    "mean",
    "missing",
    "more",
    "most",
    "much",
    "name",
    "named",
    "no",
    "not",
    "number",
    "of",
    "on",
    "one",
    "or",
    "other",
    "over",
    "per",
    "show",
    "showing",
    "since",
    "sorted",
    "start",
    "starts",
    "sum",
    "than",
    "that",
    "the",
    "their",
    "them",
    "there",
    "they",
    "this",
    "to",
    "together",
    "total",
    "under",
    "unknown",
    "up",
    "was",
    "were",
    "what",
    "when",
    "where",
    "which",
    "who",
    "whose",
    "with",
    "without",
    "word",
    "year",
    "you",
];

/// A value and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    table: String,
    column: String,
    value: String,
}

/// As a query has it: `towns.name = 'Riga'`.
impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.value.replace('\'', "''");
        write!(
            f,
            "{}.{} = '{value}'",
            identifier(&self.table),
            identifier(&self.column)
        )
    }
}

/// The values of a database.
#[derive(Default)]
pub struct Values {
    hints: Vec<Hint>,
    /// The words of each, in lower case.
    words: Vec<Vec<String>>,
    /// Values by all their words, by each word, and by runs of three characters.
    whole: BTreeMap<Vec<String>, Vec<usize>>,
    by_word: BTreeMap<String, Vec<usize>>,
    by_run: BTreeMap<[char; 3], Vec<usize>>,
    /// Names of tables and columns, in lower case.
    names: BTreeSet<String>,
}

impl Values {
    /// Reads the text values of a confined SQLite database.
    pub fn read(connection: &Connection, file: &Path) -> Result<Self> {
        let mut values = Self::default();
        for table in crate::db::sqlite::schema(file)?.tables {
            for column in table.columns {
                let (name, own) = (quoted(&table.name), quoted(&column));
                values
                    .names
                    .extend([table.name.to_lowercase(), column.to_lowercase()]);
                let sql = format!(
                    "SELECT DISTINCT {own} FROM (SELECT {own} FROM {name} LIMIT {SCANNED}) \
                     WHERE typeof({own}) = 'text' AND length(CAST({own} AS BLOB)) <= {LONGEST} LIMIT {OF_COLUMN}"
                );
                let place = || format!("cannot read the values of {}.{column}", table.name);
                let mut statement = connection.prepare(&sql).with_context(place)?;
                let mut rows = statement.query([]).with_context(place)?;
                while let Some(row) = rows.next().with_context(place)? {
                    let ValueRef::Text(text) = row.get_ref(0)? else {
                        continue;
                    };
                    // What is no text in UTF-8 cannot be named.
                    if let (Ok(text), true) =
                        (std::str::from_utf8(text), values.hints.len() < IN_ALL)
                    {
                        values.add(&table.name, &column, text);
                    }
                }
            }
        }
        Ok(values)
    }

    /// Reads those of another engine's database: of columns that are declared to hold text.
    pub fn read_by(sandbox: &mut Sandbox, file: &Path) -> Result<Self> {
        let mut values = Self::default();
        let tables = sandbox.tables(file)?;
        for table in tables.iter().filter(|table| !table.view) {
            values.names.insert(table.name.to_lowercase());
            for column in &table.columns {
                values.names.insert(column.name.to_lowercase());
                let declared = column.declared.to_lowercase();
                if !["char", "text"].iter().any(|kind| declared.contains(kind))
                    || declared.ends_with(']')
                {
                    continue;
                }
                let (name, own) = (quoted(&table.name), quoted(&column.name));
                let sql = format!(
                    "SELECT DISTINCT {own} FROM (SELECT {own} FROM {name} LIMIT {SCANNED}) AS looked_at \
                     WHERE length({own}) <= {LONGEST} LIMIT {OF_COLUMN}"
                );
                let rows = sandbox.run(file, false, &sql, READ);
                let rows = rows.with_context(|| {
                    format!("cannot read the values of {}.{}", table.name, column.name)
                })?;
                for row in rows {
                    let [Value::Text(text)] = &row[..] else {
                        continue;
                    };
                    // A CHAR(n) is filled up with blanks, which count for nothing.
                    let text = String::from_utf8_lossy(text);
                    if text.len() <= LONGEST && values.hints.len() < IN_ALL {
                        values.add(&table.name, &column.name, text.trim_end_matches(' '));
                    }
                }
            }
        }
        Ok(values)
    }

    fn add(&mut self, table: &str, column: &str, text: &str) {
        let words = words(text);
        if words.is_empty() || words.len() > WORDS {
            return;
        }
        let at = self.hints.len();
        for word in words.iter().collect::<BTreeSet<_>>() {
            self.by_word.entry(word.clone()).or_default().push(at);
        }
        for run in runs(&words.join(" ")) {
            self.by_run.entry(run).or_default().push(at);
        }
        self.whole.entry(words.clone()).or_default().push(at);
        self.words.push(words);
        self.hints.push(Hint {
            table: table.to_owned(),
            column: column.to_owned(),
            value: text.to_owned(),
        });
    }

    /// Up to `most` values that a question names, the surest first: whole values, then some that are spelled a little otherwise or of
    /// which it has a telling word. A value in several columns is there for each.
    pub fn find(&self, question: &str, most: usize) -> Vec<&Hint> {
        let mut spelled = parts(question);
        spelled.truncate(QUESTION);
        let asked: Vec<String> = spelled.iter().map(|word| word.to_lowercase()).collect();
        let large = |word: &String| word.starts_with(char::is_uppercase);
        // Who writes no capitals may mean any word.
        let careless = !spelled.iter().skip(1).any(large);
        let named = |at: usize| at > 0 && large(&spelled[at]);
        // A word of the schema or of any question is no value, unless it is written as a name.
        let plain =
            |at: usize| PLAIN.contains(&&*asked[at]) || self.in_schema(&asked[at]) && !named(at);
        // Another number is another thing, however much the rest is alike.
        let numbered = |word: &String| word.chars().any(|c| c.is_numeric());
        let other = |at: usize| {
            let mut words = self.words[at].iter();
            words.any(|word| numbered(word) && !asked.contains(word))
        };
        let mut covered = vec![false; asked.len()];
        let mut scores: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        let mut score = |at: usize, score: f64, place: usize| {
            let known = scores.entry(at).or_insert((score, place));
            if score > known.0 {
                *known = (score, place);
            }
        };
        for length in (1..=WORDS).rev() {
            for begin in 0..asked.len().saturating_sub(length - 1) {
                let window = begin..begin + length;
                if window.clone().all(plain)
                    || covered[window.clone()].iter().any(|covered| *covered)
                {
                    continue;
                }
                if let Some(found) = self.whole.get(&asked[window.clone()]) {
                    let found = found.iter().filter(|at| self.is_meant(**at, &asked, begin));
                    found.for_each(|at| score(*at, 1.0 + length as f64, begin));
                    covered[window].fill(true);
                }
            }
        }
        for length in 1..=3 {
            for begin in 0..asked.len().saturating_sub(length - 1) {
                let window = begin..begin + length;
                let text = asked[window.clone()].join(" ");
                if covered[window.clone()].iter().any(|covered| *covered)
                    || window.clone().all(|at| plain(at) || is_number(&asked[at]))
                    || text.chars().count() < TELLING
                {
                    continue;
                }
                // A word of several is looked for as it is.
                for (at, alike) in self.alike(&text) {
                    if self.words[at].len() == length
                        && !other(at)
                        && self.is_meant(at, &asked, begin)
                    {
                        score(at, alike, begin);
                    }
                }
                if let ([word], true) = (&asked[window], careless || named(begin)) {
                    let found = self.by_word.get(word).filter(|found| found.len() <= COMMON);
                    for at in found.into_iter().flatten().filter(|at| !other(**at)) {
                        let all: usize = self.words[*at]
                            .iter()
                            .map(|word| word.chars().count())
                            .sum();
                        score(*at, 0.9 * word.chars().count() as f64 / all as f64, begin);
                    }
                }
            }
        }
        let mut found: Vec<(usize, (f64, usize))> = scores.into_iter().collect();
        let order = |(at, (score, place)): &(usize, (f64, usize))| {
            (Reverse((score * 1e6) as u64), *place, *at)
        };
        found.sort_by_key(order);
        found.truncate(most);
        // As the question has them.
        found.sort_by_key(|(at, (_, place))| (*place, *at));
        found.iter().map(|(at, _)| &self.hints[*at]).collect()
    }

    /// Whether a word is one of a table's or column's name.
    fn in_schema(&self, word: &str) -> bool {
        let ends = ["ies", "es", "s"];
        let stem = ends
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word);
        stem.chars().count() >= TELLING - 1 && self.names.iter().any(|name| name.contains(stem))
    }

    /// A number is a value only beside its column: every question has some.
    fn is_meant(&self, at: usize, asked: &[String], place: usize) -> bool {
        let near = &asked[place.saturating_sub(2)..(place + 3).min(asked.len())];
        let column = self.hints[at].column.to_lowercase();
        let beside = |word: &String| {
            word.chars().count() >= TELLING - 1 && column.contains(word.trim_end_matches('s'))
        };
        !self.words[at].iter().all(|word| is_number(word)) || near.iter().any(beside)
    }

    /// Values that are spelled almost like `text`, with how much.
    fn alike(&self, text: &str) -> Vec<(usize, f64)> {
        let own = runs(text);
        let mut common: BTreeMap<usize, usize> = BTreeMap::new();
        for run in &own {
            for at in self.by_run.get(run).into_iter().flatten() {
                *common.entry(*at).or_default() += 1;
            }
        }
        let alike = common.into_iter().map(|(at, common)| {
            let theirs = runs(&self.words[at].join(" "));
            (at, 2.0 * common as f64 / (own.len() + theirs.len()) as f64)
        });
        alike.filter(|(_, alike)| *alike >= ALIKE).collect()
    }
}

fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_numeric() || ".,".contains(c))
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    let parts = parts(text).into_iter();
    parts.map(|word| word.to_lowercase()).collect()
}

/// The words of a text: runs of letters and digits, a number with its fraction. What follows an apostrophe belongs to no word of its
/// own.
fn parts(text: &str) -> Vec<String> {
    let text = text.replace("'s ", " ").replace("'S ", " ");
    let text = text.trim_end_matches(['.', '?', '!']);
    let text = text.strip_suffix("'s").unwrap_or(text);
    let within = |c: char| c.is_alphanumeric() || ".,".contains(c);
    let mut parts = Vec::new();
    for run in text.split(|c| !within(c)) {
        let run = run.trim_matches(['.', ',']);
        match run.chars().all(|c| c.is_ascii_digit() || ".,".contains(c)) {
            true => parts.push(run),
            false => parts.extend(run.split(['.', ','])),
        }
    }
    parts.retain(|word| !word.is_empty());
    parts.into_iter().map(str::to_owned).collect()
}

/// The runs of three characters of a text, its ends marked.
fn runs(text: &str) -> BTreeSet<[char; 3]> {
    let marked: Vec<char> = format!(" {text} ").chars().collect();
    marked
        .windows(3)
        .map(|run| [run[0], run[1], run[2]])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        let names = ["people", "name", "title", "city", "floor"];
        values.names.extend(names.map(str::to_owned));
        for (column, text) in [
            ("name", "Ann Lee"),
            ("name", "Tom Baker"),
            ("city", "New York"),
            ("city", "York"),
            ("born", "York"),
            ("title", "Engineer"),
            ("code", "in"),
            ("note", "Über-Café"),
            ("room", "Room 101"),
            ("floor", "7"),
            ("floor", "5"),
        ] {
            values.add("people", column, text);
        }
        values
    }

    fn found(question: &str, most: usize) -> Vec<String> {
        let values = values();
        let found = values.find(question, most);
        found
            .iter()
            .map(|hint| format!("{}={}", hint.column, hint.value))
            .collect()
    }

    #[test]
    fn whole_values_come_first_and_the_longest_wins() {
        assert_eq!(
            found("Who in new york is an engineer?", 5),
            ["city=New York", "title=Engineer"]
        );
        assert_eq!(
            found("Is anyone born in York?", 5),
            ["city=York", "born=York"]
        );
        assert_eq!(found("Is anyone born in York?", 1), ["city=York"]);
        assert_eq!(found("Where is the über café?", 5), ["note=Über-Café"]);
    }

    #[test]
    fn other_spellings_and_single_words_are_found() {
        assert_eq!(found("How many engineers?", 5), ["title=Engineer"]);
        assert_eq!(found("What does Baker earn?", 5), ["name=Tom Baker"]);
        assert_eq!(found("Ann Lee's salary", 5), ["name=Ann Lee"]);
        assert!(found("How many people are there in all?", 5).is_empty());
        assert_eq!(found("Who is in room 101?", 5), ["room=Room 101"]);
        assert!(found("Who is in room 102?", 5).is_empty());
        assert!(found("", 5).is_empty());
        // A word of the schema or in small letters is no name, and a number no value but beside its column.
        assert!(found("Which people have a title and a name?", 5).is_empty());
        assert!(found("Who in Riga has a bakery or a baker there?", 5).is_empty());
        assert_eq!(found("what does baker earn?", 5), ["name=Tom Baker"]);
        assert!(found("Who has more than 7.5 or 7 of them?", 5).is_empty());
        assert_eq!(found("Who is on floor 7?", 5), ["floor=7"]);
        assert!(found("Who is on floor 7.5?", 5).is_empty());
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let hint = |table: &str, column: &str| Hint {
            table: table.to_owned(),
            column: column.to_owned(),
            value: "it's".to_owned(),
        };
        assert_eq!(hint("t", "a_b").to_string(), "t.a_b = 'it''s'");
        assert_eq!(
            hint("order", "a b").to_string(),
            "\"order\".\"a b\" = 'it''s'"
        );
    }
}
