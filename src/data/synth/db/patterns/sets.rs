//! Two lists in one: of both, of either, of one without the other.

use super::super::conditions::word;
use super::super::draft::{Desk, Draft, select};
use super::super::model::Role;
use super::super::select::{Col, Item, Select, Shorter};
use super::super::subject::Subject;
use super::super::words::plural;

/// Values that rows of two conditions have, or rows of two tables.
pub fn two(desk: &mut Desk) -> Option<Draft> {
    let across = across(desk);
    let [(one, first), (other, second)] = match across {
        Some(pair) if desk.dice.chance(50) => {
            pair.map(|(table, column)| (Subject::of(desk.db, table), column))
        }
        _ => {
            let table = desk.table()?;
            let column = *desk
                .dice
                .pick(&desk.db.tables[table].of_role(&[Role::Category]))?;
            let mut pair = [Subject::of(desk.db, table), Subject::of(desk.db, table)];
            for subject in &mut pair {
                subject.by_own(&mut desk.dice, super::super::conditions::Want::Any)?;
                if subject.tests[0].col.column == column {
                    return None;
                }
            }
            pair.map(|subject| (subject, column))
        }
    };
    let unknown = |subject: &Subject, column: usize| subject.table().columns[column].nulls;
    // What is unknown is no value.
    if unknown(&one, first) || unknown(&other, second) {
        return None;
    }
    let dice = &mut desk.dice;
    let names = plural(&word(dice, &one.table().columns[first]));
    let (left, right) = (one.noun(dice, true)?, other.noun(dice, true)?);
    if left == right {
        return None;
    }
    let (operator, ways) = match dice.below(3) {
        0 => (
            "intersect",
            vec![
                format!("Which {names} do both {left} and {right} have?"),
                format!("Which {names} are found among {left} as well as among {right}?"),
                format!("List the {names} that {left} and {right} have in common."),
            ],
        ),
        1 => (
            "except",
            vec![
                format!("Which {names} do {left} have, but no {right}?"),
                format!("List the {names} of {left} that no {right} have."),
                format!("Which {names} are found among {left} but not among {right}?"),
            ],
        ),
        _ => (
            "union",
            vec![
                format!("List the {names} of {left} and of {right} together, without repeats."),
                format!("Which {names} do {left} or {right} have?"),
                format!("Show all {names} of {left} and {right}, each once."),
            ],
        ),
    };
    let of = |subject: &Subject, column| {
        select(subject, vec![Item::Plain(Col { at: 0, column })]).inner()
    };
    let parts = [of(&one, first), of(&other, second)];
    let alone = |subject: &Subject, column| -> String {
        let mut alone: Select = select(subject, vec![Item::Plain(Col { at: 0, column })]);
        alone.distinct = true;
        alone.sql()
    };
    let question = dice.pick(&ways)?.clone();
    Some(Draft {
        sql: format!("{} {operator} {};", parts[0], parts[1]),
        question,
        shorter: [alone(&one, first), alone(&other, second)]
            .map(|sql| Shorter {
                sql,
                ordered: false,
            })
            .into(),
        same: None,
        tables: vec![one.scope.tables[0], other.scope.tables[0]],
    })
}

/// Columns of two tables that are called the same.
fn across(desk: &mut Desk) -> Option<[(usize, usize); 2]> {
    let db = desk.db;
    let columns: Vec<(usize, usize)> = db
        .tables
        .iter()
        .enumerate()
        .flat_map(|(table, known)| {
            known
                .of_role(&[Role::Category, Role::Text])
                .into_iter()
                .map(move |column| (table, column))
        })
        .collect();
    let first = *desk.dice.pick(&columns)?;
    let words = |(table, column): (usize, usize)| &db.tables[table].columns[column].words;
    let others: Vec<(usize, usize)> = columns
        .iter()
        .copied()
        .filter(|other| other.0 != first.0 && words(*other) == words(first))
        .collect();
    let second = *desk.dice.pick(&others)?;
    Some([first, second])
}
