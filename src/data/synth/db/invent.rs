//! Rows for tables that have none: a schema alone returns nothing.

use std::fmt::Write;

use crate::db::sqlite::layout::{Column, Layout};

use super::dice::Dice;
use super::lexicon::{GROUPS, PEOPLE, PLACES, STATES};
use super::model::identifier;
use super::words::{singular, words};

/// Rows of each table.
const ROWS: usize = 40;

const FIRST: [&str; 16] = [
    "Ada", "Bruno", "Carla", "Dmitri", "Elif", "Farid", "Gwen", "Hiro", "Irene", "Jonas", "Kira",
    "Luis", "Mona", "Nils", "Olga", "Pavel",
];
const LAST: [&str; 16] = [
    "Adler", "Bauer", "Costa", "Dahl", "Evans", "Fontaine", "Garcia", "Haas", "Ito", "Jensen",
    "Keller", "Lopez", "Moreau", "Novak", "Okafor", "Petrov",
];
const TOWNS: [&str; 10] = [
    "Lyon", "Porto", "Graz", "Turin", "Ghent", "Malmo", "Krakow", "Leeds", "Basel", "Brno",
];
const STATUSES: [&str; 4] = ["active", "closed", "open", "pending"];
const THINGS: [&str; 12] = [
    "Amber", "Birch", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo",
    "Juniper", "Koral", "Lumen",
];

/// INSERT statements for all tables, each key leading to a row that is there.
pub fn rows(layouts: &[Layout], seed: u64) -> String {
    let mut script = "\n-- Made-up rows.\n".to_owned();
    for layout in layouts {
        let mut dice = Dice::new(seed, &format!("rows of {}", layout.name));
        for at in 0..ROWS {
            let values: Vec<String> = (0..layout.columns.len())
                .map(|column| value(&mut dice, layout, column, at))
                .collect();
            let table = identifier(&layout.name);
            // A check or a unique column may refuse one; the others stay.
            let _ = writeln!(
                script,
                "insert or ignore into {table} values ({});",
                values.join(", ")
            );
        }
    }
    script
}

fn value(dice: &mut Dice, layout: &Layout, column: usize, at: usize) -> String {
    let known = &layout.columns[column];
    let is_text = is_text(known);
    let key = |number: usize| match is_text {
        true => format!(
            "'{}{number}'",
            known
                .name
                .chars()
                .find(char::is_ascii_alphabetic)
                .unwrap_or('k')
        ),
        false => number.to_string(),
    };
    if layout.keys.iter().any(|key| key.column == column) {
        return key(1 + dice.below(ROWS));
    }
    let words = words(&known.name);
    let last = words.last().map_or("", String::as_str);
    if known.primary > 0 || last == "id" {
        return key(at + 1);
    }
    let is = |list: &[&str]| list.contains(&last);
    if is(&["date", "birthday"]) || known.declared.to_lowercase().contains("date") || last == "at" {
        return format!(
            "'20{:02}-{:02}-{:02}'",
            15 + dice.below(10),
            1 + dice.below(12),
            1 + dice.below(28)
        );
    }
    if !is_text {
        return match last {
            "year" => (1980 + dice.below(45)).to_string(),
            "age" => (18 + dice.below(60)).to_string(),
            _ if words
                .first()
                .is_some_and(|first| first == "is" || first == "has") =>
            {
                dice.below(2).to_string()
            }
            "quantity" | "units" | "count" => (1 + dice.below(20)).to_string(),
            _ => (5 + 5 * dice.below(400)).to_string(),
        };
    }
    let table = singular(&self::words(&layout.name).join(" "));
    let own = table.split(' ').next_back().unwrap_or("");
    let text = match () {
        () if words == ["first", "name"] => dice.say(&FIRST),
        () if words == ["last", "name"] => dice.say(&LAST),
        () if is(&PEOPLE) || last == "name" && PEOPLE.contains(&own) => {
            format!("{} {}", FIRST[at % 16], LAST[(at + at / 16) % 16])
        }
        () if is(&PLACES) || last == "name" && PLACES.contains(&own) => dice.say(&TOWNS),
        () if is(&STATES) => dice.say(&STATUSES),
        () if is(&["name", "title", "label"]) => format!("{} {}", THINGS[at % 12], at / 12 + 1),
        () if is(&GROUPS) || is(&["type", "kind"]) => dice.say(&THINGS[..6]).to_lowercase(),
        () => dice.say(&THINGS).to_lowercase(),
    };
    format!("'{text}'")
}

/// By SQLite's rules for what a declared type holds, and text where it says nothing.
fn is_text(column: &Column) -> bool {
    let declared = column.declared.to_uppercase();
    let number = ["INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL"];
    !number.iter().any(|part| declared.contains(part))
}
