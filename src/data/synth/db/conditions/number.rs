//! Numbers: more, less, between, exactly.

use crate::sql::value::Value;

use super::super::dice::Dice;
use super::super::model::{Column, said};
use super::super::words::{is_plural, with_article};
use super::{Condition, condition, word};

pub fn number(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let none = Vec::new();
    let inner = column
        .values
        .get(1..column.values.len().saturating_sub(1))?;
    let value = dice.pick(if inner.is_empty() {
        &column.values
    } else {
        inner
    })?;
    let value = rounded(dice, value);
    let v = said(&value)?;
    let amount = match column.unit.as_str() {
        "" => v.clone(),
        unit => format!("{v} {unit}"),
    };
    // "pages", "units": a number of them.
    let counted = is_plural(&name);
    let sort = dice.below(10);
    if sort == 0 {
        let behind = match counted {
            true => vec![format!("with exactly {amount} {name}")],
            false => vec![
                format!("with {} of {amount}", with_article(&name)),
                format!("whose {name} is {amount}"),
            ],
        };
        let verb = match counted {
            true => vec![
                format!("have exactly {amount} {name}"),
                format!("have {amount} {name}"),
            ],
            false => vec![format!("have {} of {amount}", with_article(&name))],
        };
        return Some(condition(format!(" = {v}"), behind, verb));
    }
    if sort < 3 {
        let other = dice.pick(&column.values)?;
        let other = rounded(dice, other);
        if value == other {
            return None;
        }
        let (low, high) = match as_number(&value) <= as_number(&other) {
            true => (value, other),
            false => (other, value),
        };
        let (v, w) = (said(&low)?, said(&high)?);
        let behind = match counted {
            true => vec![
                format!("with between {v} and {w} {name}"),
                format!("with {v} to {w} {name}"),
            ],
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
        3..=6 => (
            ">",
            &[
                "above",
                "over",
                "higher than",
                "of more than",
                "greater than",
            ],
            "more than",
            &column.compare.more,
        ),
        7 | 8 => (
            "<",
            &["below", "under", "lower than", "of less than"],
            "fewer than",
            &column.compare.less,
        ),
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
        behind = vec![
            format!("with {fewer} {amount} {name}"),
            format!("of {fewer} {amount} {name}"),
        ];
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
        Value::Real(number) if number.abs() >= 10.0 && dice.chance(40) => {
            Value::Integer(*number as i64)
        }
        other => other.clone(),
    }
}
