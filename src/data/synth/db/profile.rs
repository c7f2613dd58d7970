//! What columns hold, by a bounded sample of their rows: roles, values, and what names a row.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::data::private;
use crate::sql::value::{Row, Value};

use super::lexicon::{COMPARISONS, GROUPS, HAPPENED, PEOPLE, PRIVATE, VERBS, YES_NO};
use super::model::{Column, Compare, Role, Table, identifier, said};
use super::words::{plural, singular, words};
use crate::db::sqlite::layout::Layout;

/// Rows of a table that are looked at.
pub const SAMPLE: usize = 2_000;
/// Longest cell that is looked at, in bytes; a longer one is an empty blob.
const LONGEST: usize = 400;
/// Values of a column that are kept.
const KEPT: usize = 200;

/// The query that samples a table of so many rows.
pub fn sample(layout: &Layout, rows: usize) -> String {
    let cells: Vec<String> = layout
        .columns
        .iter()
        .map(|column| {
            let name = identifier(&column.name);
            format!("case when octet_length({name}) > {LONGEST} then x'' else {name} end")
        })
        .collect();
    let table = identifier(&layout.name);
    let step = rows.div_ceil(SAMPLE).max(1);
    let every = match layout.has_rowid && step > 1 {
        true => format!(" where {table}.rowid % {step} = 0"),
        false => String::new(),
    };
    format!(
        "select {} from {table}{every} limit {SAMPLE}",
        cells.join(", ")
    )
}

/// A table of `rows` rows, some of which are `sampled`.
pub fn table(layout: &Layout, rows: usize, sampled: &[Row]) -> Table {
    let mut columns = Vec::new();
    for (at, column) in layout.columns.iter().enumerate() {
        let cells = sampled.iter().filter_map(|row| row.get(at));
        let refers = layout.keys.iter().any(|key| key.column == at);
        let own = (column.primary > 0 && layout.columns.iter().all(|c| c.primary < 2)) || refers;
        columns.push(self::column(&column.name, column.primary, own, cells));
    }
    let name = words(&layout.name).join(" ");
    let one = singular(&name);
    let has_own = |known: &[&str]| {
        known
            .iter()
            .any(|word| one.split(' ').next_back() == Some(word))
    };
    let verb = VERBS.iter().find(|(noun, _)| *noun == one);
    let person = has_own(&PEOPLE) && !has_own(&GROUPS);
    let label = label(&columns, &one, person);
    // "The directors of the directors".
    for at in &label {
        if columns[*at].words == [one.as_str()] {
            columns[*at].words = vec!["name".to_owned()];
        }
    }
    Table {
        name: layout.name.clone(),
        sql: identifier(&layout.name),
        rows,
        label,
        person,
        verb: verb.map_or_else(String::new, |(_, verb)| (*verb).to_owned()),
        many: vec![plural(&name)],
        one: vec![one],
        columns,
    }
}

fn column<'a>(
    name: &str,
    primary: u32,
    is_key: bool,
    cells: impl Iterator<Item = &'a Value>,
) -> Column {
    let (mut counts, mut total, mut nulls, mut long) = (BTreeMap::new(), 0, 0, false);
    for cell in cells {
        match cell {
            Value::Null => nulls += 1,
            Value::Blob(_) => long = true,
            value => {
                total += 1;
                let count: &mut (usize, &Value) = counts
                    .entry(value.text().unwrap_or_default().into_owned())
                    .or_insert((0, value));
                count.0 += 1;
            }
        }
    }
    let words = words(name).join(" ");
    let mut values: Vec<(usize, &Value)> = counts.into_values().collect();
    let unique = values.len() == total && total > 0;
    let role = match is_key || unique && ends_in(&words, &["id", "key", "uuid", "guid"]) {
        true => Role::Key,
        false if long => Role::Opaque,
        false => role(&words, &values, total),
    };
    let is_text = [Role::Category, Role::Text].contains(&role);
    let hidden = is_text
        && (words.split(' ').any(|word| PRIVATE.contains(&word)) || most_are(&values, is_web));
    // What is only asked for is nothing to group by.
    let role = if hidden { Role::Text } else { role };
    match role {
        Role::Number | Role::Year | Role::Date => values.sort_by(|(_, a), (_, b)| order(a, b)),
        _ => values.sort_by_key(|(count, value)| {
            (
                std::cmp::Reverse(*count),
                value.text().map(|text| text.into_owned()),
            )
        }),
    }
    let step = values.len().div_ceil(KEPT).max(1);
    // Nobody's address or number becomes part of a question.
    let sayable =
        |value: &Value| !hidden && said(value).is_none_or(|text| private::find(&text).is_empty());
    let kept = values
        .into_iter()
        .step_by(step)
        .filter(|(_, value)| sayable(value))
        .map(|(_, value)| value.clone());
    let known = COMPARISONS
        .iter()
        .find(|known| known.words.contains(&words.as_str()));
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let compare = match (known, role) {
        (Some(known), Role::Number) => Compare {
            more: own(known.more),
            less: own(known.less),
            most: own(known.most),
            least: own(known.least),
        },
        (_, Role::Year | Role::Date) => in_time(&words),
        _ => Compare::default(),
    };
    Column {
        name: name.to_owned(),
        sql: identifier(name),
        primary,
        role,
        nulls: nulls > 0 && total > 0,
        unique,
        values: kept.collect(),
        words: vec![called(name, &words, role)],
        unit: String::new(),
        compare,
    }
}

/// What a value of a column is called: "year hired" where the name only says what happened.
fn called(name: &str, words: &str, role: Role) -> String {
    let happened = HAPPENED
        .iter()
        .any(|(when, verb)| *when == words && verb.ends_with(when));
    match role {
        _ if words.is_empty() => name.to_owned(),
        // As R writes the names of rows.
        _ if words == "row names" => "name".to_owned(),
        Role::Year if happened => format!("year {words}"),
        Role::Date if happened => format!("date {words}"),
        _ => words.to_owned(),
    }
}

/// Words for comparing times.
fn in_time(words: &str) -> Compare {
    let known = HAPPENED
        .iter()
        .find(|(when, _)| *when == words || words == format!("{when} year"));
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    match known {
        Some((_, verb)) => Compare {
            more: vec![format!("{verb} after")],
            less: vec![format!("{verb} before")],
            most: own(&["newest", "most recent", "latest"]),
            least: own(&["oldest", "earliest"]),
        },
        None => Compare {
            most: own(&["latest", "most recent"]),
            least: own(&["earliest"]),
            ..Compare::default()
        },
    }
}

fn role(words: &str, values: &[(usize, &Value)], total: usize) -> Role {
    let all = |fits: fn(&Value) -> bool| values.iter().all(|(_, value)| fits(value));
    if values.is_empty() {
        return Role::Opaque;
    }
    if all(|value| matches!(value, Value::Integer(_) | Value::Real(_))) {
        let whole = |low: i64, high: i64| {
            let fits =
                |value: &Value| matches!(value, Value::Integer(n) if (low..=high).contains(n));
            values.iter().all(|(_, value)| fits(value))
        };
        let timed = ends_in(words, &["year"]) || HAPPENED.iter().any(|(when, _)| *when == words);
        return match () {
            () if whole(0, 1) => Role::Flag,
            () if whole(1000, 2200) && timed => Role::Year,
            () if ends_in(words, &CODES) => Role::Opaque,
            () => Role::Number,
        };
    }
    if !all(|value| matches!(value, Value::Text(_))) {
        return Role::Opaque;
    }
    if all(is_date) {
        return Role::Date;
    }
    let answers = |pair: &[&str; 2]| {
        let one_of = |value: &Value| {
            said(value).is_some_and(|text| pair.contains(&text.to_lowercase().as_str()))
        };
        values.iter().all(|(_, value)| one_of(value))
    };
    if YES_NO.iter().any(answers) {
        return Role::Flag;
    }
    if !most_are(values, |value| said(value).is_some()) {
        return Role::Opaque;
    }
    let repeats = values.len() * 2 <= total && values.len() <= KEPT;
    if repeats { Role::Category } else { Role::Text }
}

fn most_are(values: &[(usize, &Value)], fits: impl Fn(&Value) -> bool) -> bool {
    values.iter().filter(|(_, value)| fits(value)).count() * 2 >= values.len()
}

/// Whether a text leads to a page or a file.
fn is_web(value: &Value) -> bool {
    said(value).is_some_and(|text| text.contains("://") || text.starts_with("www."))
}

/// Numbers that are names.
const CODES: [&str; 8] = [
    "code",
    "zip",
    "phone",
    "fax",
    "number",
    "latitude",
    "longitude",
    "id",
];

fn ends_in(words: &str, ends: &[&str]) -> bool {
    words
        .split(' ')
        .next_back()
        .is_some_and(|last| ends.contains(&last))
}

/// `2024-03-05`, maybe with a time behind it.
fn is_date(value: &Value) -> bool {
    let Value::Text(text) = value else {
        return false;
    };
    let digits = |span: std::ops::Range<usize>| {
        text.get(span)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let ends = text.get(10).is_none_or(|c| [b' ', b'T'].contains(c));
    digits(0..4) && digits(5..7) && digits(8..10) && text[4] == b'-' && text[7] == b'-' && ends
}

fn order(a: &Value, b: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::Integer(number) => *number as f64,
        Value::Real(number) => *number,
        _ => 0.0,
    };
    number(a)
        .total_cmp(&number(b))
        .then_with(|| a.text().cmp(&b.text()))
}

/// The columns that name a row of a table: a name, what is called like the table, first and last name, a title, or text that no two
/// rows share. Texts that come again and again, such as the name that an order is shipped to, name something else.
fn label(columns: &[Column], one: &str, person: bool) -> Vec<usize> {
    let numeric = |value: &Value| said(value).is_some_and(|text| text.parse::<f64>().is_ok());
    let names = |column: &Column, roles: &[Role]| {
        roles.contains(&column.role)
            && !column.values.is_empty()
            && !column.values.iter().all(numeric)
    };
    let find = |roles: &[Role], fits: &dyn Fn(&str) -> bool| {
        columns
            .iter()
            .position(|column| names(column, roles) && column.words.iter().any(|w| fits(w)))
    };
    let at = |fits: &dyn Fn(&str) -> bool| find(&[Role::Text, Role::Category], fits);
    if let (Some(first), Some(last)) = (at(&|w| w == "first name"), at(&|w| w == "last name")) {
        return vec![first, last];
    }
    let own = format!("{one} name");
    let named = at(&|w| ["name", "full name", &own, one].contains(&w))
        // The title of a person is what they do.
        .or_else(|| find(&[Role::Text], &|w| w == "title" && !person))
        .or_else(|| {
            find(&[Role::Text], &|w| {
                ends_in(w, &["name"]) || ends_in(w, &["title"]) && !person
            })
        })
        .or_else(|| {
            columns
                .iter()
                .position(|column| names(column, &[Role::Text]) && column.unique)
        });
    named.into_iter().collect()
}
