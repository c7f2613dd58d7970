//! Conditions on a column with values that it holds, and the phrases that say them.

use crate::sql::value::Value;

use super::dice::Dice;
use super::lexicon::{CAUSES, GROUPS, MAKERS, PLACES, STATES, TIMES};
use super::model::{Column, Role, Table, literal, said};
use super::words::{plural, with_article};

/// What stands around the column, and how it is said.
pub struct Condition {
    pub before: String,
    pub after: String,
    pub phrase: Phrase,
}

/// One meaning in the places where a question may say it.
#[derive(Clone, Default)]
pub struct Phrase {
    /// Before the noun: "red" cars.
    pub adjective: Option<String>,
    /// Behind it: cars "of more than 100 hp".
    pub behind: Vec<String>,
    /// As what many do: cars "are red".
    pub verb: Vec<String>,
}

/// Which sort of condition is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Any,
    Null,
    Pattern,
    Date,
}

impl Want {
    /// Whether a column can give it.
    pub fn fits(self, column: &Column) -> bool {
        match self {
            Want::Null => column.nulls,
            Want::Pattern => column.role == Role::Text || column.role == Role::Category && column.values.len() > 4,
            Want::Date => [Role::Date, Role::Year].contains(&column.role),
            Want::Any => {
                use Role::{Category, Date, Flag, Number, Text, Year};
                [Category, Text, Number, Year, Date, Flag].contains(&column.role) && column.values.len() > 1
            }
        }
    }
}

/// A condition on a column of a table.
pub fn on(dice: &mut Dice, table: &Table, column: &Column, want: Want) -> Option<Condition> {
    match (want, column.role) {
        (Want::Null, _) => Some(null(dice, column)),
        (Want::Pattern, _) => pattern(dice, table, column),
        (_, Role::Category | Role::Text) => text(dice, table, column),
        (_, Role::Number) => number(dice, column),
        (_, Role::Year) => year(dice, column),
        (_, Role::Date) => date(dice, column),
        (_, Role::Flag) => Some(flag(dice, column)),
        _ => None,
    }
}

fn condition(after: String, behind: Vec<String>, verb: Vec<String>) -> Condition {
    Condition {
        before: String::new(),
        after,
        phrase: Phrase {
            adjective: None,
            behind,
            verb,
        },
    }
}

/// A word for the column.
pub fn word(dice: &mut Dice, column: &Column) -> String {
    dice.pick(&column.words).cloned().unwrap_or_default()
}

fn is(words: &[&str], phrase: &str) -> bool {
    let last = phrase.split(' ').next_back().unwrap_or("");
    words.contains(&last)
}

fn text(dice: &mut Dice, table: &Table, column: &Column) -> Option<Condition> {
    let sayable: Vec<&Value> = column.values.iter().filter(|value| said(value).is_some()).collect();
    let name = word(dice, column);
    let (one, other) = (*dice.pick(&sayable)?, *dice.pick(&sayable)?);
    let (v, w) = (said(one)?, said(other)?);
    let (a, b) = (literal(one)?, literal(other)?);
    if one == other || !dice.chance(22) {
        let mut made = condition(format!(" = {a}"), Vec::new(), Vec::new());
        made.phrase = equal(dice, table, &name, &v);
        return Some(made);
    }
    Some(match dice.below(3) {
        0 => {
            let behind = vec![
                format!("whose {name} is not {v}"),
                format!("with {} other than {v}", with_article(&name)),
                format!("that do not have the {name} {v}"),
            ];
            let verb = vec![
                format!("have {} other than {v}", with_article(&name)),
                format!("do not have the {name} {v}"),
            ];
            condition(format!(" != {a}"), behind, verb)
        }
        _ => {
            let either = format!("{v} or {w}");
            let mut made = condition(format!(" in ({a}, {b})"), Vec::new(), Vec::new());
            made.phrase = equal(dice, table, &name, &either);
            made.phrase.behind.push(format!("whose {name} is either {either}"));
            if !is(&PLACES, &name) && made.phrase.adjective.is_some() {
                made.phrase.adjective = Some(either);
            }
            made
        }
    })
}

/// What has this value of a column.
fn equal(dice: &mut Dice, table: &Table, name: &str, v: &str) -> Phrase {
    let own_label = table.label.iter().any(|at| table.columns[*at].words.iter().any(|word| word == name));
    let mut phrase = Phrase {
        behind: vec![
            format!("whose {name} is {v}"),
            format!("with the {name} {v}"),
            format!("with {name} {v}"),
        ],
        verb: vec![format!("have the {name} {v}"), format!("have {v} as their {name}")],
        adjective: None,
    };
    let short = v.split(' ').count() <= 2 && v.chars().all(|c| c.is_alphabetic() || " -".contains(c));
    if own_label {
        phrase.behind = vec![format!("named {v}"), format!("called {v}"), format!("with the {name} {v}")];
        phrase.verb = vec![format!("are called {v}"), format!("are named {v}")];
        return phrase;
    }
    let more: [Vec<String>; 2] = if is(&PLACES, name) {
        let live = if table.person { "live in" } else { "are located in" };
        [
            vec![format!("from {v}"), format!("in {v}"), format!("based in {v}")],
            vec![format!("{live} {v}"), format!("are from {v}"), format!("are in {v}")],
        ]
    } else if is(&MAKERS, name) {
        [
            vec![format!("by {v}"), format!("of {v}"), format!("by the {name} {v}")],
            vec![format!("are by {v}"), format!("were made by {v}")],
        ]
    } else if is(&STATES, name) {
        [vec![format!("that are {v}")], vec![format!("are {v}")]]
    } else if is(&GROUPS, name) {
        [
            vec![format!("in the {v} {name}"), format!("of the {v} {name}"), format!("in {v}")],
            vec![format!("are in the {v} {name}"), format!("belong to the {v} {name}")],
        ]
    } else if is(&CAUSES, name) {
        [
            vec![format!("because of {v}"), format!("for {v}")],
            vec![format!("came because of {v}")],
        ]
    } else if let Some((_, between)) = TIMES.iter().find(|(time, _)| is(&[*time], name)) {
        [vec![format!("{between} {v}")], vec![format!("were made {between} {v}"), format!("are {between} {v}")]]
    } else {
        [
            vec![format!("of {name} {v}"), format!("of the {v} {name}")],
            vec![format!("are of {name} {v}")],
        ]
    };
    // What fits the column best is said most.
    for (list, more) in [&mut phrase.behind, &mut phrase.verb].into_iter().zip(more) {
        list.extend(more.iter().cloned());
        list.extend(more);
    }
    if short && !is(&CAUSES, name) || dice.chance(30) && v.len() < 16 {
        phrase.adjective = Some(v.to_owned());
    }
    phrase
}

fn number(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let none = Vec::new();
    let inner = column.values.get(1..column.values.len().saturating_sub(1))?;
    let value = dice.pick(if inner.is_empty() { &column.values } else { inner })?;
    let value = rounded(dice, value);
    let v = said(&value)?;
    let amount = match column.unit.as_str() {
        "" => v.clone(),
        unit => format!("{v} {unit}"),
    };
    // "pages", "units": a number of them.
    let counted = plural(&name) == name;
    let sort = dice.below(10);
    if sort == 0 {
        let behind = match counted {
            true => vec![format!("with exactly {amount} {name}")],
            false => vec![format!("with {} of {amount}", with_article(&name)), format!("whose {name} is {amount}")],
        };
        let verb = match counted {
            true => vec![format!("have exactly {amount} {name}"), format!("have {amount} {name}")],
            false => vec![format!("have {} of {amount}", with_article(&name))],
        };
        return Some(condition(format!(" = {v}"), behind, verb));
    }
    if sort < 3 {
        let other = dice.pick(&column.values)?;
        let other = rounded(dice, other);
        let (low, high) = match as_number(&value) <= as_number(&other) {
            true => (value, other),
            false => (other, value),
        };
        let (v, w) = (said(&low)?, said(&high)?);
        let behind = match counted {
            true => vec![format!("with between {v} and {w} {name}"), format!("with {v} to {w} {name}")],
            false => vec![
                format!("with {} between {v} and {w}", with_article(&name)),
                format!("with {} from {v} to {w}", with_article(&name)),
                format!("whose {name} is between {v} and {w}"),
            ],
        };
        let verb = match counted {
            true => vec![format!("have between {v} and {w} {name}")],
            false => vec![format!("have {} between {v} and {w}", with_article(&name))],
        };
        return Some(condition(format!(" between {v} and {w}"), behind, verb));
    }
    let (sign, words, fewer, own): (_, &[&str], _, _) = match sort {
        3..=6 => (">", &["above", "over", "higher than", "of more than", "greater than"], "more than", &column.compare.more),
        7 | 8 => ("<", &["below", "under", "lower than", "of less than"], "fewer than", &column.compare.less),
        _ if dice.chance(50) => (">=", &["of at least", "no lower than"], "at least", &none),
        _ => ("<=", &["of at most", "no higher than"], "at most", &none),
    };
    let than = dice.say(words);
    let bare = than.strip_prefix("of ").unwrap_or(&than).to_owned();
    let mut behind = vec![
        format!("with {} {than} {amount}", with_article(&name)),
        format!("whose {name} is {bare} {amount}"),
    ];
    let mut verb = vec![format!("have {} {than} {amount}", with_article(&name))];
    if counted {
        behind = vec![format!("with {fewer} {amount} {name}"), format!("of {fewer} {amount} {name}")];
        verb = vec![format!("have {fewer} {amount} {name}")];
    }
    for own in own {
        let said = match counted {
            true => format!("{own} {amount} {name}"),
            false => format!("{own} {amount}"),
        };
        match said.strip_prefix("are ") {
            Some(rest) => behind.push(rest.to_owned()),
            None => behind.push(format!("that {said}")),
        }
        verb.push(said.clone());
        verb.push(said);
    }
    Some(condition(format!(" {sign} {v}"), behind, verb))
}

fn as_number(value: &Value) -> f64 {
    match value {
        Value::Integer(number) => *number as f64,
        Value::Real(number) => *number,
        _ => 0.0,
    }
}

/// The number, or a round one near it, as people ask.
fn rounded(dice: &mut Dice, value: &Value) -> Value {
    match value {
        Value::Integer(number) if number.abs() >= 100 && dice.chance(40) => {
            let digits = number.unsigned_abs().ilog10();
            let unit = 10i64.pow(digits.saturating_sub(1));
            Value::Integer(number / unit * unit)
        }
        Value::Real(number) if number.abs() >= 10.0 && dice.chance(40) => Value::Integer(*number as i64),
        other => other.clone(),
    }
}

fn year(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let none = Vec::new();
    let value = said(dice.pick(&column.values)?)?;
    let (sign, when, own): (_, &[&str], _) = match dice.below(5) {
        0 | 1 => (">", &["after"], &column.compare.more),
        2 => ("<", &["before"], &column.compare.less),
        3 => (">=", &["in or after", "since"], &none),
        _ => ("=", &["in"], &none),
    };
    let when = dice.say(when);
    let mut behind = vec![format!("whose {name} is {when} {value}"), format!("with {} {when} {value}", with_article(&name))];
    let mut verb = vec![format!("have {} {when} {value}", with_article(&name))];
    if sign == "=" {
        behind = vec![format!("from {value}"), format!("of {value}"), format!("with the {name} {value}")];
        verb = vec![format!("are from {value}"), format!("have the {name} {value}")];
    }
    if name == "year" {
        behind.push(format!("from {when} {value}").replace("from in", "from"));
    }
    for own in own {
        verb.push(format!("{own} {value}"));
        let said = own.trim_start_matches("were ").trim_start_matches("are ");
        behind.push(format!("{said} {value}"));
    }
    Some(condition(format!(" {sign} {value}"), behind, verb))
}

fn date(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let value = said(dice.pick(&column.values)?)?;
    let day = value.get(..10)?.to_owned();
    let (year, month) = (day.get(..4)?.to_owned(), day.get(5..7)?.to_owned());
    let verb = column.compare.more.first().and_then(|more| more.strip_suffix(" after"));
    let verb = verb.map_or_else(|| format!("have {}", with_article(&name)), str::to_owned);
    let said = |when: String| {
        let short = verb.trim_start_matches("were ").trim_start_matches("are ");
        let behind = match verb.starts_with("have ") {
            true => vec![format!("with {} {when}", with_article(&name)), format!("whose {name} is {when}")],
            false => vec![format!("{short} {when}").trim().to_owned(), format!("whose {name} is {when}")],
        };
        (behind, vec![format!("{verb} {when}")])
    };
    let mut made = match dice.below(5) {
        0 => {
            let (behind, verb) = said(format!("on or after {day}"));
            condition(format!(" >= '{day}'"), behind, verb)
        }
        1 => {
            let (behind, verb) = said(format!("before {day}"));
            condition(format!(" < '{day}'"), behind, verb)
        }
        2 => {
            let number: usize = month.parse().ok()?;
            let (behind, verb) = said(format!("in {} {year}", MONTHS.get(number.checked_sub(1)?)?));
            let mut made = condition(format!(") = '{year}-{month}'"), behind, verb);
            made.before = "strftime('%Y-%m', ".to_owned();
            made
        }
        _ => {
            let (behind, verb) = said(format!("in {year}"));
            let mut made = condition(format!(") = '{year}'"), behind, verb);
            made.before = "strftime('%Y', ".to_owned();
            made
        }
    };
    made.phrase.adjective = None;
    Some(made)
}

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
];

fn flag(dice: &mut Dice, column: &Column) -> Condition {
    let name = word(dice, column);
    let bare = name.trim_start_matches("is ").trim_start_matches("has ").to_owned();
    let yes = dice.chance(60);
    let [behind, verb] = match (yes, name.starts_with("has ")) {
        (true, true) => [format!("with {bare}"), format!("have {bare}")],
        (false, true) => [format!("without {bare}"), format!("have no {bare}")],
        (true, false) => [format!("that are {bare}"), format!("are {bare}")],
        (false, false) => [format!("that are not {bare}"), format!("are not {bare}")],
    };
    let mut made = condition(format!(" = {}", u8::from(yes)), vec![behind], vec![verb]);
    if yes && !name.starts_with("has ") {
        made.phrase.adjective = Some(bare);
    }
    made
}

fn null(dice: &mut Dice, column: &Column) -> Condition {
    let name = word(dice, column);
    if dice.chance(30) {
        let behind = vec![format!("that have {}", with_article(&name)), format!("whose {name} is known")];
        let verb = vec![format!("have {}", with_article(&name)), format!("have a known {name}")];
        return condition(" is not null".to_owned(), behind, verb);
    }
    let behind = vec![
        format!("without {}", with_article(&name)),
        format!("with no {name}"),
        format!("whose {name} is missing"),
        format!("whose {name} is unknown"),
    ];
    let verb = vec![format!("have no {name}"), format!("do not have {}", with_article(&name)), format!("lack {}", with_article(&name))];
    condition(" is null".to_owned(), behind, verb)
}

fn pattern(dice: &mut Dice, table: &Table, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let value = said(dice.pick(&column.values)?)?;
    let words: Vec<&str> = value
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3)
        .collect();
    let is_label = table.label.iter().any(|at| table.columns[*at].name == column.name);
    match dice.below(4) {
        0 => {
            let start: String = value.chars().take(if dice.chance(60) { 1 } else { 3 }).collect();
            if !start.chars().all(char::is_alphanumeric) {
                return None;
            }
            let begins = dice.say(&["starts with", "begins with"]);
            let begin = begins.replace("ts ", "t ").replace("ns ", "n ");
            let mut behind = vec![format!("whose {name} {begins} {start}")];
            let mut verb = vec![format!("have {} that {begins} {start}", with_article(&name))];
            if is_label {
                verb.push(format!("{begin} {start}"));
                behind.push(format!("that {begin} {start}"));
            }
            Some(condition(format!(" like '{start}%'"), behind, verb))
        }
        1 => {
            let end = words.last().filter(|word| value.ends_with(**word))?;
            let behind = vec![format!("whose {name} ends with {end}"), format!("whose {name} ends in {end}")];
            let verb = vec![format!("have {} that ends with {end}", with_article(&name))];
            Some(condition(format!(" like '%{end}'"), behind, verb))
        }
        _ => {
            // A word of several: one that is all of a value is asked for as such.
            let within = *dice.pick(&words).filter(|word| word.len() < value.len())?;
            let mut behind = vec![
                format!("whose {name} contains {within}"),
                format!("with {within} in their {name}"),
                format!("with the word {within} in the {name}"),
            ];
            let mut verb = vec![
                format!("have {within} in their {name}"),
                format!("have the word {within} in their {name}"),
                format!("have {} containing {within}", with_article(&name)),
            ];
            if is_label {
                verb.push(format!("contain {within}"));
                verb.push(format!("contain the word {within}"));
                behind.push(format!("that contain {within}"));
                behind.push(format!("with {within} in them"));
            }
            Some(condition(format!(" like '%{within}%'"), behind, verb))
        }
    }
}
