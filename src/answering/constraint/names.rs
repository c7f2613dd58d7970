//! The names that a query may use.

use super::words;
use crate::data::schema::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names without regard to case, in order, and whether each may stand without quotes.
#[derive(Debug, Default)]
pub struct Words(Vec<(Vec<u8>, bool)>);

impl Words {
    pub fn new(words: impl Iterator<Item = impl AsRef<[u8]>>) -> Self {
        let words = words.map(|word| {
            let word = word.as_ref().to_ascii_lowercase();
            let bare = is_bare(&word);
            (word, bare)
        });
        let mut words: Vec<_> = words.collect();
        words.sort();
        words.dedup();
        Self(words)
    }

    /// Whether a word in small letters is one of them.
    pub fn has(&self, word: &[u8]) -> bool {
        self.0
            .binary_search_by(|(own, _)| own[..].cmp(word))
            .is_ok()
    }

    /// Whether one of them begins with a text in small letters; of those that need no quotes, where it stands without.
    pub fn begins(&self, text: &[u8], quoted: bool) -> bool {
        let at = self.0.partition_point(|(own, _)| &own[..] < text);
        let mut all = self.0[at..]
            .iter()
            .take_while(|(own, _)| own.starts_with(text));
        all.any(|(_, bare)| quoted || *bare)
    }
}

/// The name that a token is, in small letters.
pub fn plain(token: &[u8]) -> Vec<u8> {
    let Some(quote) = token.first().filter(|byte| b"\"'`[".contains(byte)) else {
        return token.to_ascii_lowercase();
    };
    let close = if *quote == b'[' { b']' } else { *quote };
    let mut name = Vec::new();
    let mut rest = token[1..].iter().peekable();
    while let Some(&byte) = rest.next() {
        if byte == close && rest.next_if(|next| **next == close).is_none() {
            break;
        }
        name.push(byte.to_ascii_lowercase());
    }
    name
}

/// Whether SQLite takes a name in small letters without quotes.
fn is_bare(name: &[u8]) -> bool {
    let digit = name.first().is_none_or(u8::is_ascii_digit);
    !digit && name.iter().all(|byte| words::in_word(*byte)) && !words::is_reserved(name)
}

/// The tables of a schema, and the functions of SQLite.
#[derive(Debug)]
pub struct Names {
    pub tables: Words,
    pub functions: Arc<Words>,
    places: BTreeMap<Vec<u8>, usize>,
    of_table: Vec<Words>,
}

impl Names {
    /// Of `tables`, beside `functions`; tables of one name are one.
    pub fn new(tables: &[Table], functions: Arc<Words>) -> Self {
        let mut merged: BTreeMap<Vec<u8>, Vec<&str>> = BTreeMap::new();
        for table in tables {
            let name = table.name.to_ascii_lowercase().into_bytes();
            let columns = table.columns.iter().map(String::as_str);
            merged.entry(name).or_default().extend(columns);
        }
        for (name, columns) in JSON {
            merged
                .entry(name.as_bytes().to_vec())
                .or_insert_with(|| columns.to_vec());
        }
        Self {
            tables: Words::new(tables.iter().map(|table| table.name.as_str())),
            functions,
            places: merged.keys().cloned().zip(0..).collect(),
            of_table: merged
                .into_values()
                .map(|columns| Words::new(columns.into_iter().chain(ROWID)))
                .collect(),
        }
    }

    /// The place of a table, by its name in small letters.
    pub fn place(&self, table: &[u8]) -> Option<usize> {
        self.places.get(table).copied()
    }

    /// The columns of the table at that place.
    pub fn of(&self, place: usize) -> &Words {
        &self.of_table[place]
    }
}

/// Functions that are tables, with their columns.
const JSON: [(&str, [&str; 8]); 2] = [("json_each", JSON_COLUMNS), ("json_tree", JSON_COLUMNS)];
const JSON_COLUMNS: [&str; 8] = [
    "atom", "fullkey", "id", "key", "parent", "path", "type", "value",
];

/// What every table has.
const ROWID: [&str; 1] = ["rowid"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_beginnings() {
        let words = Words::new(["Title", "tier", "TITLE", "a b"].into_iter());
        assert!(words.has(b"title") && words.has(b"a b") && !words.has(b"titl"));
        assert!(words.begins(b"ti", false) && words.begins(b"tier", false));
        assert!(!words.begins(b"tiers", true) && !words.begins(b"b", true));
        assert!(words.begins(b"a", true) && !words.begins(b"a", false));
    }

    #[test]
    fn tables_of_one_name_are_one() {
        let table = |name: &str, column: &str| Table {
            name: name.to_owned(),
            columns: vec![column.to_owned()],
        };
        let tables = [table("Jar", "lid"), table("jar", "size")];
        let names = Names::new(&tables, Arc::default());
        let jar = names.place(b"jar").unwrap();
        assert!(names.of(jar).has(b"lid") && names.of(jar).has(b"size"));
        assert_eq!(names.place(b"lid"), None);
    }
}
