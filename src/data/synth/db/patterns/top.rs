//! Orders and the first of them: rows by a measure, groups by their number or measure.

use super::super::conditions::word;
use super::super::draft::{Desk, Draft, select};
use super::super::model::Role;
use super::super::select::{Col, Item, Select};
use super::super::subject::names_of;
use super::super::words::{plural, sentence};
use super::{group, measure};

/// Rows in an order, the first few rows, or the first groups.
pub fn ordered(desk: &mut Desk) -> Option<Draft> {
    match desk.dice.below(10) {
        0..=2 => all(desk),
        3..=6 => first(desk),
        _ => groups(desk),
    }
}

/// All rows in the order of a column.
fn all(desk: &mut Desk) -> Option<Draft> {
    let conditions = desk.few();
    let subject = desk.subject(conditions)?;
    let table = subject.table();
    let dice = &mut desk.dice;
    let (names, called) = names_of(dice, table, 0)?;
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    let name = word(dice, known);
    let down = dice.chance(55);
    let timed = known.role != Role::Number;
    let mut orders = match (down, timed) {
        (true, false) => vec![
            format!("highest {name} first"),
            format!("sorted by {name} in descending order"),
            format!("from highest to lowest {name}"),
            format!("largest {name} first"),
        ],
        (false, false) => vec![
            format!("lowest {name} first"),
            format!("sorted by {name}"),
            format!("in order of {name}"),
            format!("from lowest to highest {name}"),
        ],
        (true, true) => vec![
            format!("latest {name} first"),
            format!("sorted by {name}, latest first"),
        ],
        (false, true) => vec![
            format!("earliest {name} first"),
            format!("in order of {name}"),
        ],
    };
    let own = if down {
        &known.compare.most
    } else {
        &known.compare.least
    };
    for own in own.iter().chain(own) {
        orders.push(format!("{own} first"));
    }
    let order = dice.pick(&orders)?.clone();
    let col = Col { at: 0, column };
    let mut items: Vec<Item> = names.into_iter().map(Item::Plain).collect();
    let noun = subject.noun(dice, true)?;
    let mut ways = vec![
        format!("List the {noun}, {order}."),
        format!("List all {noun}, {order}."),
        format!("Show the {noun}, {order}."),
        format!("Name the {noun}, {order}."),
        format!("Give me the {} of the {noun}, {order}.", plural(&called)),
        format!("Which {noun} are there, {order}?"),
    ];
    if !subject.phrases.is_empty() {
        let (of, verb) = subject.clause(dice, true)?;
        ways.push(format!("List the {of} that {verb}, {order}."));
        if table.person {
            ways.push(format!("List the {of} who {verb}, {order}."));
        }
    }
    if dice.chance(30) {
        items.push(Item::Plain(col));
        ways = vec![
            format!("List the {called} and {name} of the {noun}, {order}."),
            format!(
                "Show the {called} and {name} of every {}, {order}.",
                subject.noun(dice, false)?
            ),
        ];
    }
    let mut select = select(&subject, items);
    select.order = Some((Item::Plain(col), down));
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// The first few rows, or the first.
fn first(desk: &mut Desk) -> Option<Draft> {
    let conditions = desk.few();
    let subject = desk.subject(conditions)?;
    let table = subject.table();
    let dice = &mut desk.dice;
    let (names, called) = names_of(dice, table, 0)?;
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    let name = word(dice, known);
    let down = dice.chance(65);
    let n = if dice.chance(50) {
        1
    } else {
        2 + dice.below(4)
    };
    let (extreme, timed) = (
        if down { "highest" } else { "lowest" },
        known.role != Role::Number,
    );
    let extreme = match (timed, down) {
        (true, true) => "latest",
        (true, false) => "earliest",
        _ => extreme,
    };
    let own = if down {
        &known.compare.most
    } else {
        &known.compare.least
    };
    let own = dice.pick(own).cloned();
    let names_plural = plural(&name);
    let who = table.person;
    let mut ways = Vec::new();
    if n == 1 {
        let (one, many) = (subject.noun(dice, false)?, subject.noun(dice, true)?);
        ways.push(format!("Which {one} has the {extreme} {name}?"));
        ways.push(format!(
            "What is the {called} of the {one} with the {extreme} {name}?"
        ));
        ways.push(format!("Name the {one} with the {extreme} {name}."));
        ways.push(format!("Which of the {many} has the {extreme} {name}?"));
        if who {
            ways.push(format!("Who has the {extreme} {name} of the {many}?"));
        }
        if let Some(own) = own {
            for _ in 0..2 {
                ways.push(format!(
                    "{} is the {own} {one}?",
                    if who { "Who" } else { "What" }
                ));
                ways.push(format!("Which is the {own} {one}?"));
            }
        }
    } else {
        let many = subject.noun(dice, true)?;
        ways.push(format!(
            "Which {n} {many} have the {extreme} {names_plural}?"
        ));
        ways.push(format!("List the {n} {many} with the {extreme} {name}."));
        ways.push(format!(
            "Show the {n} {many} with the {extreme} {names_plural}."
        ));
        ways.push(format!(
            "What are the {n} {many} with the {extreme} {name}?"
        ));
        if down && !timed {
            ways.push(format!("Name the top {n} {many} by {name}."));
        }
        if let Some(own) = own {
            for _ in 0..2 {
                ways.push(format!(
                    "{} are the {n} {own} {many}?",
                    if who { "Who" } else { "What" }
                ));
                ways.push(format!("List the {n} {own} {many}."));
            }
        }
    }
    let col = Col { at: 0, column };
    let mut select = select(&subject, names.into_iter().map(Item::Plain).collect());
    select.order = Some((Item::Plain(col), down));
    select.limit = Some(n);
    let question = sentence(dice.pick(&ways)?, "");
    Some(Draft::of(&select, question))
}

/// The groups with the most or fewest rows, or the highest or lowest measure.
fn groups(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 3), (1, 1)])?;
    let mut subject = desk.subject(conditions)?;
    let dice = &mut desk.dice;
    let group = group::grouping(dice, &mut subject)?;
    let down = dice.chance(75);
    let n = if dice.chance(70) {
        1
    } else {
        2 + dice.below(3)
    };
    let (one, many) = (group.one.clone(), plural(&group.one));
    let noun = subject.noun(dice, true)?;
    let (item, ways) = if dice.chance(65) {
        let most = if down { "most" } else { "fewest" };
        let ways = match n {
            1 => vec![
                format!("Which {one} has the {most} {noun}?"),
                format!("Which {one} has had the {most} {noun}?"),
                format!("What is the {one} with the {most} {noun}?"),
                format!("Name the {one} with the {most} {noun}."),
                format!("In which {one} are there the {most} {noun}?"),
            ],
            _ => vec![
                format!("Which {n} {many} have the {most} {noun}?"),
                format!("List the {n} {many} with the {most} {noun}."),
                format!("What are the {n} {many} with the {most} {noun}?"),
            ],
        };
        (Item::Rows, ways)
    } else {
        let measure = measure::of(dice, subject.table(), 0)?;
        let extreme = if down { "highest" } else { "lowest" };
        let called = measure.called.clone();
        if !["avg", "sum"].contains(&measure.function) {
            return None;
        }
        let ways = match n {
            1 => vec![
                format!("Which {one} has the {extreme} {called} of {noun}?"),
                format!("What is the {one} with the {extreme} {called} of {noun}?"),
                format!("For which {one} is the {called} of {noun} {extreme}?"),
            ],
            _ => vec![
                format!("Which {n} {many} have the {extreme} {called} of {noun}?"),
                format!("List the {n} {many} with the {extreme} {called} of {noun}."),
            ],
        };
        (measure.item, ways)
    };
    let mut select: Select = select(&subject, group.shown(&subject));
    select.group = group.items;
    select.order = Some((item, down));
    select.limit = Some(n);
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}
