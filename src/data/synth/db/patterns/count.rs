//! Counts: of rows and of different values, and lists without repeats.

use super::super::conditions::word;
use super::super::draft::{Desk, Draft, select};
use super::super::model::Role;
use super::super::select::{Col, Item, Select, Test};
use super::super::subject::{Subject, names_of};
use super::super::words::plural;

/// How many rows there are under one or two conditions, or in all.
pub fn rows(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 1), (1, 9), (2, 6)])?;
    let subject = desk.subject(conditions)?;
    if desk.dice.chance(12) {
        return values(desk, subject);
    }
    // Nobody counts the one row of a name.
    let known = |test: &Test| {
        test.col.at == 0
            && subject.table().columns[test.col.column].unique
            && test.after.starts_with(" = '")
    };
    if subject.tests.iter().any(known) {
        return None;
    }
    let select = select(&subject, vec![Item::Rows]);
    let dice = &mut desk.dice;
    let noun = subject.noun(dice, true)?;
    let mut ways = vec![
        format!("How many {noun} are there?"),
        format!("How many {noun} do we have?"),
        format!("Count the {noun}."),
        format!("What is the number of {noun}?"),
        format!("Give me the number of {noun}."),
    ];
    if conditions > 0 {
        for _ in 0..3 {
            let (of, verb) = subject.clause(dice, true)?;
            ways.push(format!("How many {of} {verb}?"));
        }
    }
    belonging(desk, &subject, &mut ways);
    let question = desk.dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// "How many wheels does the car X have?", where the rows are those of one row of another table.
fn belonging(desk: &mut Desk, subject: &Subject, ways: &mut Vec<String>) {
    let [test] = &subject.tests[..] else { return };
    let parent = subject.scope.table(test.col.at);
    let named = test.col.at > 0 && parent.label == [test.col.column];
    let Some(v) = test.value().filter(|_| named) else {
        return;
    };
    let (Some(many), Some(one)) = (
        desk.dice.pick(&subject.table().many),
        desk.dice.pick(&parent.one),
    ) else {
        return;
    };
    let named = match (parent.person, v.to_lowercase().contains(one.as_str())) {
        (true, _) | (_, true) => v.clone(),
        _ => format!("the {v} {one}"),
    };
    for _ in 0..2 {
        ways.push(format!("How many {many} does {named} have?"));
    }
    ways.push(format!("How many {many} does {v} have?"));
    if !v.to_lowercase().contains(one.as_str()) {
        ways.push(format!("How many {many} does {one} {v} have?"));
        ways.push(format!("How many {many} are there for {one} {v}?"));
    }
}

/// How many different values a column has.
fn values(desk: &mut Desk, subject: Subject) -> Option<Draft> {
    let table = subject.table();
    let column = open_column(desk, &subject, &[Role::Category])?;
    let name = plural(&word(&mut desk.dice, &table.columns[column]));
    let select = select(&subject, vec![Item::Different(Col { at: 0, column })]);
    let noun = subject.noun(&mut desk.dice, true)?;
    let question = desk.dice.of([
        format!("How many different {name} do the {noun} have?"),
        format!("How many different {name} are there among the {noun}?"),
        format!("Count the distinct {name} of the {noun}."),
        format!("What is the number of different {name} of {noun}?"),
    ]);
    Some(Draft::of(&select, question))
}

/// A column of a role that no condition is on.
fn open_column(desk: &mut Desk, subject: &Subject, roles: &[Role]) -> Option<usize> {
    let mut columns = subject.table().of_role(roles);
    columns.retain(|column| {
        let col = Col {
            at: 0,
            column: *column,
        };
        subject.tests.iter().all(|test| test.col != col)
    });
    desk.dice.pick(&columns).copied()
}

/// Values or names without repeats.
pub fn different(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 1), (1, 4), (2, 2)])?;
    let subject = desk.subject(conditions)?;
    if desk.dice.chance(15) {
        return values(desk, subject);
    }
    let links = subject.links(0);
    if !links.is_empty() && desk.dice.chance(60) {
        return parents(desk, subject);
    }
    let table = subject.table();
    let column = open_column(desk, &subject, &[Role::Category, Role::Year])?;
    // What is unknown is no value.
    if table.columns[column].nulls {
        return None;
    }
    let mut select = select(&subject, vec![Item::Plain(Col { at: 0, column })]);
    select.distinct = true;
    let dice = &mut desk.dice;
    let name = plural(&word(dice, &table.columns[column]));
    let noun = subject.noun(dice, true)?;
    let question = dice.of([
        format!("Which different {name} do the {noun} have?"),
        format!("List the {name} of the {noun} without repeats."),
        format!("What are the distinct {name} of {noun}?"),
        format!("Which different {name} are there among the {noun}?"),
        format!("Show the different {name} of {noun}."),
    ]);
    Some(Draft::of(&select, question))
}

/// The different rows of another table that some rows lead to.
fn parents(desk: &mut Desk, mut subject: Subject) -> Option<Draft> {
    let dice = &mut desk.dice;
    let link = *dice.pick(&subject.links(0))?;
    let at = subject.scope.join(0, link);
    let parent = subject.scope.table(at);
    let names = names_of(dice, parent, at)?;
    let mut select: Select = select(&subject, names.items());
    select.distinct = true;
    let (noun, parents) = (subject.noun(dice, true)?, dice.pick(&parent.many)?);
    let called = names.many;
    let question = dice.of([
        format!("Which different {parents} have {noun}?"),
        format!("List the {parents} with {noun}, without repeats."),
        format!("List the different {parents} that have {noun}."),
        format!("What are the distinct {called} of {parents} with {noun}?"),
        format!("Which different {parents} do the {noun} belong to?"),
    ]);
    Some(Draft::of(&select, question))
}
