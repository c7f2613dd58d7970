//! The names file: the words for tables and columns, written for the user to edit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::run::settings::parse;

use super::model::{Compare, Db};

const HEADER: &str = "\
# Words for the tables and columns of a database, used in generated questions. Edit them and generate again with --names THIS.
# one, many: what a row is called, and several rows. label: the columns that name a row. person: whether a row is somebody.
# verb: what one party of a row did to the other (a reader \"borrowed\" a book); empty for none.
# words: what a column is called. units: what is said behind its numbers. links: what stands between a row and the one that its
# key leads to (employees \"in\" a department). compare: more and less as verbs of many, most and least as adjectives.
# More than one word means that questions take turns. What is left out keeps its default.
";

type Words = BTreeMap<String, Vec<String>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TableNames {
    one: Option<Vec<String>>,
    many: Option<Vec<String>>,
    label: Option<Vec<String>>,
    person: Option<bool>,
    verb: Option<String>,
    words: Words,
    units: BTreeMap<String, String>,
    links: Words,
    compare: BTreeMap<String, Comparison>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Comparison {
    more: Vec<String>,
    less: Vec<String>,
    most: Vec<String>,
    least: Vec<String>,
}

/// Puts the words of the names file `text` in place of the defaults.
///
/// # Errors
/// One that names the file and what in it is not understood.
pub fn apply(path: &Path, text: &str, databases: &mut [Db]) -> Result<()> {
    let file: BTreeMap<String, BTreeMap<String, TableNames>> = parse(path, text)?;
    for (name, tables) in file {
        let place = || format!("{}: [{name}]", path.display());
        let database = databases.iter_mut().find(|database| database.name == name);
        let database = database.context(
            "no database of this name is given: use another --out or --names, or take it out",
        );
        let database = database.with_context(place)?;
        for (name, names) in tables {
            apply_table(database, &name, names).with_context(place)?;
        }
    }
    Ok(())
}

fn apply_table(database: &mut Db, name: &str, names: TableNames) -> Result<()> {
    let at = database.tables.iter().position(|table| table.name == name);
    let at = at.with_context(|| format!("the database has no table `{name}`"))?;
    let columns: Vec<String> = database.tables[at]
        .columns
        .iter()
        .map(|c| c.name.clone())
        .collect();
    let place = |column: &str| {
        let found = columns.iter().position(|known| known == column);
        found.with_context(|| format!("table `{name}` has no column `{column}`"))
    };
    let filled = |what: &str, words: &[String]| {
        let fine = !words.is_empty() && words.iter().all(|word| !word.trim().is_empty());
        ensure!(fine, "`{name}`: {what} has no words");
        clean(&format!("`{name}`: {what}"), words)
    };
    let table = &mut database.tables[at];
    for (what, own, given) in [
        ("one", &mut table.one, names.one),
        ("many", &mut table.many, names.many),
    ] {
        if let Some(given) = given {
            filled(what, &given)?;
            *own = given;
        }
    }
    if let Some(label) = names.label {
        table.label = label
            .iter()
            .map(|column| place(column))
            .collect::<Result<_>>()?;
    }
    table.person = names.person.unwrap_or(table.person);
    clean(&format!("`{name}`: verb"), &names.verb)?;
    table.verb = names.verb.unwrap_or(std::mem::take(&mut table.verb));
    for (column, words) in names.words {
        let column = place(&column)?;
        filled(&format!("words.{}", columns[column]), &words)?;
        table.columns[column].words = words;
    }
    for (column, unit) in names.units {
        clean(&format!("`{name}`: units.{column}"), [&unit])?;
        table.columns[place(&column)?].unit = unit;
    }
    for (column, words) in names.compare {
        let lists = [&words.more, &words.less, &words.most, &words.least];
        clean(
            &format!("`{name}`: compare.{column}"),
            lists.into_iter().flatten(),
        )?;
        table.columns[place(&column)?].compare = Compare {
            more: words.more,
            less: words.less,
            most: words.most,
            least: words.least,
        };
    }
    for (column, words) in names.links {
        let column = place(&column)?;
        filled(&format!("links.{}", columns[column]), &words)?;
        let own = |link: &&mut super::model::Link| link.child == at && link.column == column;
        let link = database.links.iter_mut().find(own);
        let link =
            link.with_context(|| format!("`{name}`: no key leads from `{}`", columns[column]))?;
        link.between = words;
    }
    Ok(())
}

/// Refuses what is no word in a question.
fn clean<'a>(place: &str, words: impl IntoIterator<Item = &'a String>) -> Result<()> {
    for word in words {
        let fine = !word.contains(|c: char| c.is_control() || "{}".contains(c));
        ensure!(
            fine,
            "{place}: {word:?} has a control character or a brace in it"
        );
    }
    Ok(())
}

/// The names file of these databases, as they are.
pub fn file(databases: &[Db]) -> Result<Vec<u8>> {
    let mut file = toml::Table::new();
    for database in databases {
        let mut tables = toml::Table::new();
        for (at, table) in database.tables.iter().enumerate() {
            let mut names = toml::Table::new();
            let list = |words: &[String]| toml::Value::from(words.to_vec());
            names.insert("one".into(), list(&table.one));
            names.insert("many".into(), list(&table.many));
            let label: Vec<String> = table
                .label
                .iter()
                .map(|at| table.columns[*at].name.clone())
                .collect();
            names.insert("label".into(), list(&label));
            names.insert("person".into(), table.person.into());
            names.insert("verb".into(), table.verb.clone().into());
            let (mut words, mut units, mut compare) =
                (toml::Table::new(), toml::Table::new(), toml::Table::new());
            for column in &table.columns {
                words.insert(column.name.clone(), list(&column.words));
                if !column.unit.is_empty() {
                    units.insert(column.name.clone(), column.unit.clone().into());
                }
                let own = &column.compare;
                let lists = [
                    ("more", &own.more),
                    ("less", &own.less),
                    ("most", &own.most),
                    ("least", &own.least),
                ];
                let filled = lists.into_iter().filter(|(_, words)| !words.is_empty());
                let filled: toml::Table = filled
                    .map(|(key, words)| (key.to_owned(), list(words)))
                    .collect();
                if !filled.is_empty() {
                    compare.insert(column.name.clone(), filled.into());
                }
            }
            let own = database.links.iter().filter(|link| link.child == at);
            let links: toml::Table = own
                .map(|link| (table.columns[link.column].name.clone(), list(&link.between)))
                .collect();
            for (key, part) in [
                ("words", words),
                ("units", units),
                ("links", links),
                ("compare", compare),
            ] {
                if !part.is_empty() {
                    names.insert(key.into(), part.into());
                }
            }
            tables.insert(table.name.clone(), names.into());
        }
        file.insert(database.name.clone(), tables.into());
    }
    Ok(format!("{HEADER}\n{}", toml::to_string(&file)?).into_bytes())
}
