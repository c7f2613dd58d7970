//! Conditions on a column with values that it holds, and the phrases that say them.

use super::dice::Dice;
use super::model::{Column, Role, Table};

mod mark;
mod number;
mod pattern;
mod text;
mod time;

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
            Want::Null => column.nulls && column.role != Role::Key,
            Want::Pattern => {
                column.role == Role::Text && !column.values.is_empty()
                    || column.role == Role::Category && column.values.len() > 4
            }
            Want::Date => [Role::Date, Role::Year].contains(&column.role),
            Want::Any => {
                use Role::{Category, Date, Flag, Number, Text, Year};
                [Category, Text, Number, Year, Date, Flag].contains(&column.role)
                    && column.values.len() > 1
            }
        }
    }
}

/// A condition on a column of a table.
pub fn on(dice: &mut Dice, table: &Table, column: &Column, want: Want) -> Option<Condition> {
    match (want, column.role) {
        (Want::Null, _) => Some(mark::null(dice, column)),
        (Want::Pattern, _) => pattern::pattern(dice, table, column),
        (_, Role::Category | Role::Text) => text::text(dice, table, column),
        (_, Role::Number) => number::number(dice, column),
        (_, Role::Year) => time::year(dice, column),
        (_, Role::Date) => time::date(dice, column),
        (_, Role::Flag) => mark::flag(dice, column),
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
