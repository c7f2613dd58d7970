//! Keys between tables: those that are declared, and those that names and values suggest.

use std::collections::BTreeMap;

use crate::db::sqlite::layout::Layout;

use super::lexicon::{GROUPS, MAKERS, PEOPLE, PLACES};
use super::model::{Column, Db, Link, Role, Table};
use super::words::{singular, words};

/// Sampled values of a column that are looked for in the table it may refer to.
const LOOKED_FOR: usize = 200;

/// The declared keys.
pub fn declared(layouts: &[Layout], tables: &[Table]) -> Vec<Link> {
    let mut links = Vec::new();
    for (child, layout) in layouts.iter().enumerate() {
        for key in layout.keys.iter().filter(|key| key.parent != child) {
            links.push(Link {
                child,
                column: key.column,
                parent: key.parent,
                key: key.parent_column,
                evidence: None,
                between: between(&tables[key.parent]),
            });
        }
    }
    links
}

/// Keys that nobody declared: the column is named after the other table or its key, and its sampled values are found there.
/// `found` says how many of some values a column holds.
pub fn suggested(
    tables: &[Table],
    links: &[Link],
    mut found: impl FnMut(usize, usize, &[String]) -> Option<usize>,
) -> Vec<Link> {
    let mut suggestions: Vec<Link> = Vec::new();
    for (child, table) in tables.iter().enumerate() {
        for (column, own) in table.columns.iter().enumerate() {
            let known = |link: &&Link| link.child == child && link.column == column;
            let is_own_key = own.primary > 0 && table.columns.iter().all(|c| c.primary < 2);
            if is_own_key || links.iter().any(|link| known(&link)) || own.values.is_empty() {
                continue;
            }
            for (parent, other) in tables.iter().enumerate().filter(|(at, _)| *at != child) {
                let Some(key) = key_of(other) else { continue };
                let Some((why, by_key)) = fits(&own.name, other, key) else {
                    continue;
                };
                // Two tables whose rows have names of their own may call those alike.
                if by_key && key_of(table) == Some(column) {
                    continue;
                }
                // Two tables of one key lead to each other; one way says all.
                let back =
                    |link: &Link| (link.child, link.column, link.parent) == (parent, key, child);
                if links.iter().chain(&suggestions).any(back) {
                    continue;
                }
                let literals = own.values.iter().filter_map(super::model::literal);
                let literals: Vec<String> = literals.take(LOOKED_FOR).collect();
                let Some(held) = found(parent, key, &literals) else {
                    continue;
                };
                // A few strays are what an undeclared key is like.
                if literals.is_empty() || held * 20 < literals.len() * 19 {
                    continue;
                }
                suggestions.push(Link {
                    child,
                    column,
                    parent,
                    key,
                    evidence: Some(format!(
                        "{why}, and {held} of {} sampled values are found there",
                        literals.len()
                    )),
                    between: between(other),
                });
                break;
            }
        }
    }
    suggestions
}

/// Takes out keys where several lead from one table to the same other one, as to the first and the last station of a journey: "the
/// station of a journey" does not say which. One that is named after the other table stays: a film's language is its `language_id`,
/// not its `original_language_id`. Returns a note for each two such tables.
pub fn take_ambiguous(db: &mut Db) -> Vec<String> {
    let mut pairs: BTreeMap<(usize, usize), Vec<Link>> = BTreeMap::new();
    for link in &db.links {
        let pair = (link.child, link.parent);
        pairs.entry(pair).or_default().push(link.clone());
    }
    pairs.retain(|_, links| links.len() > 1);
    let mut notes = Vec::new();
    for ((child, parent), links) in pairs {
        let (own, other) = (&db.tables[child], &db.tables[parent]);
        let name = |link: &Link| own.columns[link.column].name.as_str();
        let plain = links.iter();
        let plain = plain.filter(|link| fits(name(link), other, link.key).is_some());
        let meant = match plain.collect::<Vec<_>>()[..] {
            [one] => Some(one.column),
            _ => None,
        };
        let left_out = links.iter().filter(|link| Some(link.column) != meant);
        let left_out: Vec<&str> = left_out.map(name).collect();
        notes.push(format!(
            "{}: no query joins {} to {} by {}: a question would not say which of the keys is meant",
            db.name,
            own.name,
            other.name,
            left_out.join(" or "),
        ));
        db.links.retain(|link| {
            (link.child, link.parent) != (child, parent) || Some(link.column) == meant
        });
    }
    notes
}

/// A key of one column: the primary key, or an id, a code or a first column that no two rows share.
fn key_of(table: &Table) -> Option<usize> {
    let primary: Vec<usize> = (0..table.columns.len())
        .filter(|at| table.columns[*at].primary > 0)
        .collect();
    match primary[..] {
        [key] => Some(key),
        [] => {
            let coded = |column: &Column| {
                let last = words(&column.name).pop();
                last.is_some_and(|last| ["id", "key", "code", "number"].contains(&last.as_str()))
            };
            let columns = || {
                table
                    .columns
                    .iter()
                    .enumerate()
                    .filter(|(_, column)| column.unique)
            };
            let named = columns().find(|(_, column)| column.role == Role::Key || coded(column));
            let first = || columns().find(|(at, column)| *at == 0 && column.role == Role::Text);
            named.or_else(first).map(|(at, _)| at)
        }
        _ => None,
    }
}

/// Why a column's name may refer to a table by its key, and whether it has the key's name alone.
fn fits(column: &str, table: &Table, key: usize) -> Option<(String, bool)> {
    let column = words(column);
    let key_name = &table.columns[key].name;
    let key = words(key_name);
    let one: Vec<String> = singular(&words(&table.name).join(" "))
        .split(' ')
        .map(str::to_owned)
        .collect();
    let plain = ["id", "key", "code", "name", "number"];
    let is_plain = key.len() == 1 && plain.contains(&key[0].as_str());
    if !is_plain && column == key {
        return Some((format!("it is named as the key {key_name}"), true));
    }
    let (last, stem) = column.split_last()?;
    let names_key = key.last() == Some(last) && plain.contains(&last.as_str());
    let named = |stem: &[String]| {
        stem == one || stem.len() == 1 && one.len() == 1 && begins(&one[0], &stem[0])
    };
    if names_key && !stem.is_empty() && named(stem) || column == one {
        return Some((format!("it is named after the table {}", table.name), false));
    }
    None
}

/// Whether a word is cut short to another of at least three letters.
fn begins(word: &str, start: &str) -> bool {
    start.len() >= 3 && word.starts_with(start)
}

/// What stands between a row and the row of this table that it belongs to.
fn between(parent: &Table) -> Vec<String> {
    let last = parent
        .one
        .first()
        .and_then(|one| one.split(' ').next_back())
        .unwrap_or("");
    let labelled_by_place = parent.label.first().is_some_and(|at| {
        let words = &parent.columns[*at].words;
        words.iter().any(|word| PLACES.contains(&word.as_str()))
    });
    let found: &[&str] = match () {
        // "The orders by customers" would be their order.
        () if MAKERS.contains(&last) => &["by", "of"],
        () if PEOPLE.contains(&last) => &["of", "for"],
        () if GROUPS.contains(&last) => &["in", "of"],
        () if PLACES.contains(&last) => &["in", "from"],
        () if labelled_by_place => &["in", "at", "of"],
        () => &["of", "for"],
    };
    found.iter().map(|text| (*text).to_owned()).collect()
}
