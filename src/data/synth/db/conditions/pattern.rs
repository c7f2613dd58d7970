//! Patterns: texts that begin with, end with or contain something.

use super::super::dice::Dice;
use super::super::model::{Column, Table, said};
use super::super::words::with_article;
use super::{Condition, condition, word};

pub fn pattern(dice: &mut Dice, table: &Table, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let value = said(dice.pick(&column.values)?)?;
    let words: Vec<&str> = value
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3)
        .collect();
    // Nobody begins with a letter, or contains a word.
    let is_label = !table.person
        && table
            .label
            .iter()
            .any(|at| table.columns[*at].name == column.name);
    match dice.below(4) {
        0 => {
            let start: String = value
                .chars()
                .take(if dice.chance(60) { 1 } else { 3 })
                .collect();
            if !start.chars().all(char::is_alphanumeric) {
                return None;
            }
            let begins = dice.say(&["starts with", "begins with"]);
            let begin = begins.replace("ts ", "t ").replace("ns ", "n ");
            let mut behind = vec![format!("whose {name} {begins} {start}")];
            let mut verb = vec![format!(
                "have {} that {begins} {start}",
                with_article(&name)
            )];
            if is_label {
                verb.push(format!("{begin} {start}"));
                behind.push(format!("that {begin} {start}"));
            }
            Some(condition(format!(" like '{start}%'"), behind, verb))
        }
        1 => {
            // An end that is all of a value is asked for as such.
            let end = *words
                .last()
                .filter(|word| value.ends_with(**word) && word.len() < value.len())?;
            let behind = vec![
                format!("whose {name} ends with {end}"),
                format!("whose {name} ends in {end}"),
            ];
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
