//! Measures: sums, averages and extremes of a column, and the words for them.

use super::super::conditions::word;
use super::super::dice::Dice;
use super::super::draft::{Desk, Draft, select};
use super::super::model::{Column, Role, Table};
use super::super::select::{Col, Item};
use super::super::words::plural;

/// A column to measure and how.
pub struct Measure {
    pub item: Item,
    /// "average price".
    pub called: String,
    pub function: &'static str,
    pub name: String,
}

/// A measure of a table's rows.
pub fn of(dice: &mut Dice, table: &Table, at: usize) -> Option<Measure> {
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year]))?;
    let known = &table.columns[column];
    let functions: &[(&'static str, usize)] = match known.role {
        Role::Year => &[("min", 1), ("max", 1)],
        _ => &[("avg", 4), ("sum", 3), ("max", 3), ("min", 2)],
    };
    let function = *dice.weighted(functions)?;
    let name = word(dice, known);
    let called = called(dice, function, known, &name);
    Some(Measure {
        item: Item::Of(function, Col { at, column }),
        called,
        function,
        name,
    })
}

fn called(dice: &mut Dice, function: &str, column: &Column, name: &str) -> String {
    let adjectives: &[&str] = match (function, column.role) {
        ("avg", _) => &["average", "average", "mean"],
        ("sum", _) => &["total", "total", "summed"],
        ("max", Role::Year) => &["latest", "most recent"],
        ("min", Role::Year) => &["earliest"],
        ("max", _) => &["highest", "highest", "maximum", "largest"],
        _ => &["lowest", "lowest", "minimum", "smallest"],
    };
    let adjective = dice.say(adjectives);
    match (column.role, plural(name) == name) {
        (Role::Number, true) => format!("{adjective} number of {name}"),
        _ => format!("{adjective} {name}"),
    }
}

/// One measure of the rows under 0 to 2 conditions.
pub fn aggregate(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 1), (1, 7), (2, 3)])?;
    let subject = desk.subject(conditions)?;
    let table = subject.table();
    let dice = &mut desk.dice;
    let measure = of(dice, table, 0)?;
    let mut select = select(&subject, vec![measure.item]);
    let (noun, one) = (subject.noun(dice, true)?, subject.noun(dice, false)?);
    let Measure { called, name, function, .. } = &measure;
    let names = plural(name);
    let mut ways = vec![
        format!("What is the {called} of {noun}?"),
        format!("What is the {called} of the {noun}?"),
        format!("Give me the {called} of all {noun}."),
        format!("Find the {called} for {noun}."),
        format!("What is the {called} among the {noun}?"),
        format!("Show the {called} of {noun}."),
    ];
    match *function {
        "avg" => {
            ways.push(format!("On average, what {name} do {noun} have?"));
            ways.push(format!("What {name} do {noun} have on average?"));
            ways.push(format!("How many {name} do {noun} have on average?").replace(&format!("How many {name}"), &asked(name, &names)));
            ways.push(format!("What is the average {name} of {}?", super::super::words::with_article(&one)));
        }
        "sum" => {
            ways.push(format!("What do the {names} of the {noun} add up to?"));
            ways.push(format!("What is the sum of the {names} of {noun}?"));
            ways.push(format!("What is the total of all {names} for {noun}?"));
            ways.push(format!("Add up the {names} of the {noun}."));
            if *name == names {
                ways.push(format!("How many {name} do the {noun} have in total?"));
                ways.push(format!("How many {name} are there in total for {noun}?"));
            } else {
                ways.push(format!("How much {name} do the {noun} have in total?"));
            }
        }
        _ => {
            ways.push(format!("What is the {called} of any {one}?"));
            ways.push(format!("What is the {called} {} has?", super::super::words::with_article(&one)));
        }
    }
    if conditions < 2 && dice.chance(10) && ["min", "max"].contains(function) {
        let Item::Of(_, col) = measure.item else { return None };
        select.items = vec![Item::Of("min", col), Item::Of("max", col)];
        ways = vec![
            format!("What are the lowest and highest {name} of {noun}?"),
            format!("Show the minimum and maximum {name} of {noun}."),
        ];
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

fn asked(name: &str, names: &str) -> String {
    match name == names {
        true => format!("How many {name}"),
        false => format!("How much {name}"),
    }
}
