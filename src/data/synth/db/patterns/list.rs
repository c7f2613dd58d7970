//! Lists: names and columns of rows, with or without conditions.

use super::super::conditions::{Want, word};
use super::super::draft::{Desk, Draft, select};
use super::super::model::Role;
use super::super::select::{Col, Item, Test};
use super::super::subject::{Names, Subject, names_of};
use super::super::words::{plural, sentence};

/// Columns of all rows of a table.
pub fn plain(desk: &mut Desk) -> Option<Draft> {
    let subject = desk.subject(0)?;
    match desk.dice.chance(30) {
        true => names(desk, subject),
        false => columns(desk, subject),
    }
}

/// Names or columns of the rows that meet one or two conditions.
pub fn filtered(desk: &mut Desk, want: Want) -> Option<Draft> {
    let table = desk.table()?;
    let mut subject = Subject::of(desk.db, table);
    match want {
        Want::Any => subject.narrow(&mut desk.dice)?,
        _ => subject.by_own(&mut desk.dice, want)?,
    }
    let more = if want == Want::Any { 40 } else { 20 };
    if desk.dice.chance(more) {
        subject.narrow(&mut desk.dice)?;
    }
    match desk.dice.below(10) {
        0..=6 if !subject.table().label.is_empty() => names(desk, subject),
        7 if want != Want::Any => {
            let select = select(&subject, vec![Item::Rows]);
            let noun = subject.noun(&mut desk.dice, true)?;
            let (of, verb) = subject.clause(&mut desk.dice, true)?;
            let question = desk.dice.of([
                format!("How many {noun} are there?"),
                format!("How many {of} {verb}?"),
                format!("Count the {noun}."),
            ]);
            Some(Draft::of(&select, question))
        }
        _ => columns(desk, subject),
    }
}

/// The names of the rows.
fn names(desk: &mut Desk, subject: Subject) -> Option<Draft> {
    let table = subject.table();
    let Names {
        columns,
        one: called,
        many,
    } = names_of(&mut desk.dice, table, 0)?;
    // Who is called X is X.
    let given = |test: &Test| columns.contains(&test.col) && test.after.starts_with(" = ");
    if subject.tests.iter().any(given) {
        return None;
    }
    let items = columns.into_iter().map(Item::Plain).collect();
    let select = select(&subject, items);
    let dice = &mut desk.dice;
    let noun = subject.noun(dice, true)?;
    let one = subject.noun(dice, false)?;
    let mut ways = vec![
        format!("List the {noun}."),
        format!("List all {noun}."),
        format!("Show the {many} of the {noun}."),
        format!("Show me the {many} of all {noun}."),
        format!("What are the {many} of the {noun}?"),
        format!("Give me the {many} of the {noun}."),
        format!("Name the {noun}."),
        format!("Name every {one}."),
        format!("Find all {noun}."),
    ];
    if subject.phrases.is_empty() {
        ways.push(format!("What {noun} are there?"));
        ways.push(format!("Which {noun} do we have?"));
    } else {
        let (of, verb) = subject.clause(dice, true)?;
        let asked = match ["title"].contains(&called.as_str())
            && subject.phrases.len() == 1
            && dice.chance(30)
        {
            true => many.clone(),
            false => of,
        };
        // Asked for most, so said most.
        for _ in 0..4 {
            ways.push(format!("Which {asked} {verb}?"));
        }
        ways.push(format!("Which are the {noun}?"));
        ways.push(format!("What are the {noun}?"));
        ways.push(format!("Find the {many} of {noun}."));
        if table.person {
            let (_, one) = subject.clause(dice, false)?;
            if subject.phrases.len() == 1 && desk.db.means_who(subject.scope.tables[0]) {
                for _ in 0..3 {
                    ways.push(format!("Who {one}?"));
                }
            }
            ways.push(format!("Who are the {noun}?"));
            ways.push(format!("Give me the {many} of everyone among the {noun}."));
        }
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// One to three columns of the rows.
fn columns(desk: &mut Desk, subject: Subject) -> Option<Draft> {
    let table = subject.table();
    let dice = &mut desk.dice;
    let mut places = table.of_role(&[
        Role::Category,
        Role::Text,
        Role::Number,
        Role::Year,
        Role::Date,
    ]);
    places.retain(|column| {
        !subject.tests.iter().any(|test| {
            test.col
                == Col {
                    at: 0,
                    column: *column,
                }
        })
    });
    let mut chosen: Vec<usize> = Vec::new();
    if dice.chance(60) {
        chosen.extend(table.label.iter().filter(|column| places.contains(column)));
    }
    let count = *dice.weighted(&[(1, 6), (2, 3)])?;
    for _ in 0..count {
        let column = *dice.pick(&places)?;
        if !chosen.contains(&column) {
            chosen.push(column);
        }
    }
    let named: Vec<String> = chosen
        .iter()
        .map(|column| word(dice, &table.columns[*column]))
        .collect();
    let (last, first) = named.split_last()?;
    let listed = match first {
        [] => last.clone(),
        first => format!("{} and {last}", first.join(", ")),
    };
    let plurals: Vec<String> = named.iter().map(|name| plural(name)).collect();
    let many = match plurals.split_last()? {
        (last, []) => last.clone(),
        (last, first) => format!("{} and {last}", first.join(", ")),
    };
    let select = select(
        &subject,
        chosen
            .iter()
            .map(|column| {
                Item::Plain(Col {
                    at: 0,
                    column: *column,
                })
            })
            .collect(),
    );
    let noun = subject.noun(dice, true)?;
    let one = subject.noun(dice, false)?;
    let mut ways = vec![
        format!("Show the {listed} of each {one}."),
        format!("List the {listed} of every {one}."),
        format!("What is the {listed} of each {one}?"),
        format!("Give me the {many} of all {noun}."),
        format!("What are the {many} of the {noun}?"),
        format!("Show {listed} for all {noun}."),
        match chosen == table.label {
            true => format!("List the {noun}."),
            false => format!("List the {noun} showing their {many}."),
        },
    ];
    if chosen.len() == 2 && table.label == [chosen[0]] {
        ways.push(format!(
            "Give me the {noun} together with their {}.",
            plurals[1]
        ));
        ways.push(format!("List the {noun} and their {}.", plurals[1]));
        ways.push(format!("For each {one}, show the {listed}."));
    }
    // The value of the one row of a name.
    let by_name = subject.tests.len() == 1
        && table.label == [subject.tests[0].col.column]
        && subject.scope.tables.len() == 1;
    if let (true, [column]) = (by_name, &chosen[..])
        && let Some(v) = subject.tests[0].value()
    {
        let name = word(dice, &table.columns[*column]);
        ways = vec![
            format!("What is the {name} of {v}?"),
            format!("What {name} does {v} have?"),
            format!("Show the {name} of {v}."),
            format!("Which {name} belongs to {v}?"),
        ];
    }
    let question = sentence(dice.pick(&ways)?, "");
    Some(Draft::of(&select, question))
}
