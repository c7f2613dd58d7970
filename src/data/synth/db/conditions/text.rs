//! Texts: one value, another than it, one of two.

use crate::sql::value::Value;

use super::super::dice::Dice;
use super::super::lexicon::{CAUSES, GROUPS, MAKERS, PLACES, STATES, TIMES};
use super::super::model::{Column, Table, literal, said};
use super::super::words::with_article;
use super::{Condition, Phrase, condition, word};

pub fn text(dice: &mut Dice, table: &Table, column: &Column) -> Option<Condition> {
    let sayable: Vec<&Value> = column
        .values
        .iter()
        .filter(|value| said(value).is_some())
        .collect();
    let name = word(dice, column);
    let (one, other) = (*dice.pick(&sayable)?, *dice.pick(&sayable)?);
    let (v, w) = (said(one)?, said(other)?);
    let (a, b) = (literal(one)?, literal(other)?);
    if one == other || !dice.chance(22) {
        let mut made = condition(format!(" = {a}"), Vec::new(), Vec::new());
        made.phrase = equal(dice, table, &name, &v);
        return Some(made);
    }
    let one_thing = |text: &str| {
        let joins = [",", " or ", " and "]
            .iter()
            .any(|join| text.contains(join));
        !joins
    };
    Some(match dice.below(3) {
        // What is unknown is no other.
        0 if column.nulls => return None,
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
        _ if !one_thing(&v) || !one_thing(&w) => return None,
        _ => {
            let either = format!("{v} or {w}");
            let mut made = condition(format!(" in ({a}, {b})"), Vec::new(), Vec::new());
            made.phrase = equal(dice, table, &name, &either);
            made.phrase
                .behind
                .push(format!("whose {name} is either {either}"));
            if !is(&PLACES, &name) && made.phrase.adjective.is_some() {
                made.phrase.adjective = Some(either);
            }
            made
        }
    })
}

/// What has this value of a column.
fn equal(dice: &mut Dice, table: &Table, name: &str, v: &str) -> Phrase {
    let own_label = table
        .label
        .iter()
        .any(|at| table.columns[*at].words.iter().any(|word| word == name));
    let mut phrase = Phrase {
        behind: vec![
            format!("whose {name} is {v}"),
            format!("with the {name} {v}"),
            format!("with {name} {v}"),
        ],
        verb: vec![
            format!("have the {name} {v}"),
            format!("have {v} as their {name}"),
        ],
        adjective: None,
    };
    let short =
        v.split(' ').count() <= 2 && v.chars().all(|c| c.is_alphabetic() || " -".contains(c));
    if own_label {
        phrase.behind = vec![
            format!("named {v}"),
            format!("called {v}"),
            format!("with the {name} {v}"),
        ];
        phrase.verb = vec![format!("are called {v}"), format!("are named {v}")];
        return phrase;
    }
    let more: [Vec<String>; 2] = if is(&PLACES, name) {
        let live = if table.person {
            "live in"
        } else {
            "are located in"
        };
        [
            vec![
                format!("from {v}"),
                format!("in {v}"),
                format!("based in {v}"),
            ],
            vec![
                format!("{live} {v}"),
                format!("are from {v}"),
                format!("are in {v}"),
            ],
        ]
    } else if is(&MAKERS, name) {
        [
            vec![
                format!("by {v}"),
                format!("of {v}"),
                format!("by the {name} {v}"),
            ],
            vec![format!("are by {v}"), format!("were made by {v}")],
        ]
    } else if is(&STATES, name) {
        [vec![format!("that are {v}")], vec![format!("are {v}")]]
    } else if is(&GROUPS, name) {
        [
            vec![
                format!("in the {v} {name}"),
                format!("of the {v} {name}"),
                format!("in {v}"),
            ],
            vec![
                format!("are in the {v} {name}"),
                format!("belong to the {v} {name}"),
            ],
        ]
    } else if is(&CAUSES, name) {
        [
            vec![format!("because of {v}"), format!("for {v}")],
            vec![format!("came because of {v}")],
        ]
    } else if let Some((_, between)) = TIMES.iter().find(|(time, _)| is(&[*time], name)) {
        [
            vec![format!("{between} {v}")],
            vec![
                format!("were made {between} {v}"),
                format!("are {between} {v}"),
            ],
        ]
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

fn is(words: &[&str], phrase: &str) -> bool {
    let last = phrase.split(' ').next_back().unwrap_or("");
    words.contains(&last)
}
