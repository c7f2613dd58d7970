//! Measures: sums, averages and extremes of a column, and the words for them.

use super::super::conditions::word;
use super::super::dice::Dice;
use super::super::draft::{Desk, Draft, select};
use super::super::model::{Column, Role, Table};
use super::super::select::{Col, Item, Test};
use super::super::words::{is_plural, plural, with_article};

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
    // No "total total".
    let fresh: Vec<&str> = adjectives
        .iter()
        .copied()
        .filter(|adjective| !name.contains(adjective))
        .collect();
    let adjective = dice.say(&fresh);
    match (column.role, is_plural(name)) {
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
    // Of one row, or of one value, there is nothing to measure.
    let Item::Of(_, measured) = measure.item else {
        return None;
    };
    let single = |test: &Test| {
        let own = test.col.at == 0 && test.after.starts_with(" = ") && test.before.is_empty();
        own && (test.col == measured || table.columns[test.col.column].unique)
    };
    if subject.tests.iter().any(single) {
        return None;
    }
    let mut select = select(&subject, vec![measure.item]);
    let (noun, one) = (subject.noun(dice, true)?, subject.noun(dice, false)?);
    let Measure {
        called,
        name,
        function,
        ..
    } = &measure;
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
            if is_plural(name) {
                ways.push(format!("How many {name} do {noun} have on average?"));
            }
            ways.push(format!(
                "What is the average {name} of {}?",
                with_article(&one)
            ));
        }
        "sum" => {
            ways.push(format!("What do the {names} of the {noun} add up to?"));
            ways.push(format!("What is the sum of the {names} of {noun}?"));
            ways.push(format!("What is the total of all {names} for {noun}?"));
            ways.push(format!("Add up the {names} of the {noun}."));
            if is_plural(name) {
                ways.push(format!("How many {name} do the {noun} have in total?"));
                ways.push(format!("How many {name} are there in total for {noun}?"));
            } else {
                ways.push(format!("How much {name} do the {noun} have in total?"));
            }
        }
        _ => {
            ways.push(format!("What is the {called} of any {one}?"));
            ways.push(format!("What is the {called} {} has?", with_article(&one)));
        }
    }
    if conditions < 2 && dice.chance(10) && ["min", "max"].contains(function) {
        select.items = vec![Item::Of("min", measured), Item::Of("max", measured)];
        ways = vec![
            format!("What are the lowest and highest {name} of {noun}?"),
            format!("Show the minimum and maximum {name} of {noun}."),
        ];
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}
