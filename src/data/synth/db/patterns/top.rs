//! Orders and the first of them: rows by a measure, groups by their number or measure.

use super::super::conditions::word;
use super::super::draft::{Desk, Draft, select};
use super::super::model::{Column, Role, Table};
use super::super::select::{Col, Item, Select};
use super::super::subject::names_of;
use super::super::words::{plural, sentence};
use super::grouping::grouping;
use super::measure;

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
    let names = names_of(dice, table, 0)?;
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    let name = word(dice, known);
    // What is unknown would come first.
    let down = dice.chance(55) || known.nulls;
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
    let own = bare(table, column, down);
    for own in own.iter().chain(&own) {
        orders.push(format!("{own} first"));
    }
    let order = dice.pick(&orders)?.clone();
    let col = Col { at: 0, column };
    let mut items = names.items();
    let (called, calleds) = (names.one, names.many);
    let noun = subject.noun(dice, true)?;
    let mut ways = vec![
        format!("List the {noun}, {order}."),
        format!("List all {noun}, {order}."),
        format!("Show the {noun}, {order}."),
        format!("Name the {noun}, {order}."),
        format!("Give me the {calleds} of the {noun}, {order}."),
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
    let names = names_of(dice, table, 0)?;
    let called = &names.one;
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    let name = word(dice, known);
    let down = dice.chance(65) || known.nulls;
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
    let own = dice.pick(&bare(table, column, down)).cloned();
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
    let mut select = select(&subject, names.items());
    select.order = Some((Item::Plain(col), down));
    select.limit = Some(n);
    let question = sentence(dice.pick(&ways)?, "");
    Some(Draft::of(&select, question))
}

/// Adjectives that mean this column alone: the "oldest" rows of a table with two dates could be so by either.
fn bare(table: &Table, column: usize, down: bool) -> Vec<String> {
    let timed = |column: &Column| [Role::Year, Role::Date].contains(&column.role);
    let known = &table.columns[column];
    let other = |own: &String| {
        table.columns.iter().enumerate().any(|(at, other)| {
            let lists = [&other.compare.most, &other.compare.least];
            let shared = lists.iter().any(|list| list.contains(own));
            at != column && (shared || timed(known) && timed(other))
        })
    };
    let own = match down {
        true => &known.compare.most,
        false => &known.compare.least,
    };
    own.iter().filter(|own| !other(own)).cloned().collect()
}

/// The groups with the most or fewest rows, or the highest or lowest measure.
fn groups(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 3), (1, 1)])?;
    let mut subject = desk.subject(conditions)?;
    let dice = &mut desk.dice;
    let group = grouping(dice, &mut subject)?;
    let down = dice.chance(75);
    // Groups with no rows have the fewest, and are not among those of the query.
    let told = down || group.whole;
    let n = if dice.chance(70) {
        1
    } else {
        2 + dice.below(3)
    };
    let (one, many) = (group.one.clone(), plural(&group.one));
    let noun = subject.noun(dice, true)?;
    let (item, ways) = if dice.chance(65) {
        let most = if down { "most" } else { "fewest" };
        let mut ways = match n {
            1 => vec![
                format!("Which {one} has the {most} {noun}?"),
                format!("Which {one} has had the {most} {noun}?"),
                format!("What is the {one} with the {most} {noun}?"),
                format!("Name the {one} with the {most} {noun}."),
            ],
            _ => vec![
                format!("Which {n} {many} have the {most} {noun}?"),
                format!("List the {n} {many} with the {most} {noun}."),
                format!("What are the {n} {many} with the {most} {noun}?"),
            ],
        };
        if n == 1 && group.holds {
            ways.push(format!("In which {one} are there the {most} {noun}?"));
        }
        if !told {
            return None;
        }
        (Item::Rows, ways)
    } else {
        let measure = measure::of(dice, subject.table(), 0)?;
        let extreme = if down { "highest" } else { "lowest" };
        let called = measure.called.clone();
        if !["avg", "sum"].contains(&measure.function) || measure.function == "sum" && !told {
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
