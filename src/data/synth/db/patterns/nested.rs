//! Queries within queries: above the average, the most of all, as much as another, with or without rows elsewhere.

use super::super::conditions::word;
use super::super::draft::{Desk, Draft, select};
use super::super::model::{Role, literal, said};
use super::super::select::{Col, Item, Select, Test};
use super::super::subject::{Subject, names_of};
use super::super::words::{is_plural, of_one, with_article};

pub fn draft(desk: &mut Desk) -> Option<Draft> {
    match desk.dice.below(10) {
        0..=4 => beyond_average(desk),
        5 => extreme(desk),
        6 => beyond_another(desk),
        _ => elsewhere(desk),
    }
}

/// Rows with more or less than the average of all.
fn beyond_average(desk: &mut Desk) -> Option<Draft> {
    let conditions = usize::from(desk.dice.chance(25));
    let mut subject = desk.subject(conditions)?;
    let (table, dice) = (subject.table(), &mut desk.dice);
    let column = *dice.pick(&table.of_role(&[Role::Number]))?;
    let known = &table.columns[column];
    let name = word(dice, known);
    let more = dice.chance(70);
    let average = Select::of(
        Subject::of(desk.db, subject.scope.tables[0]).scope,
        vec![Item::Of("avg", Col { at: 0, column })],
        Vec::new(),
    );
    let noun = subject.noun(dice, true)?;
    subject.tests.push(Test {
        col: Col { at: 0, column },
        before: String::new(),
        after: format!(" {} ({})", if more { ">" } else { "<" }, average.inner()),
    });
    let counted = is_plural(&name);
    let amount = match (counted, more) {
        (true, true) => vec![
            format!("more {name} than average"),
            format!("more {name} than the average"),
            format!("an above-average number of {name}"),
        ],
        (true, false) => vec![
            format!("fewer {name} than average"),
            format!("a below-average number of {name}"),
        ],
        (false, true) => vec![
            format!("an above-average {name}"),
            format!("{} above the average", with_article(&name)),
            format!("a higher {name} than average"),
        ],
        (false, false) => vec![
            format!("a below-average {name}"),
            format!("{} below the average", with_article(&name)),
            format!("a lower {name} than average"),
        ],
    };
    let amount = dice.pick(&amount)?.clone();
    let own = if more {
        &known.compare.more
    } else {
        &known.compare.less
    };
    let own = dice
        .pick(own)
        .filter(|own| own.ends_with("than"))
        .map(|own| format!("{own} the average {name}"));
    if dice.chance(35) {
        let select = select(&subject, vec![Item::Rows]);
        let question = dice.of([
            format!("How many {noun} have {amount}?"),
            format!("Count the {noun} with {amount}."),
            format!("How many {noun} are there with {amount}?"),
        ]);
        return Some(Draft::of(&select, question));
    }
    let names = names_of(dice, table, 0)?;
    let select = select(&subject, names.items());
    let who = desk.db.means_who(subject.scope.tables[0]) && subject.phrases.is_empty();
    let mut ways = vec![
        format!("Which {noun} have {amount}?"),
        format!("List the {noun} with {amount}."),
        format!("Show the {} of the {noun} with {amount}.", names.many),
    ];
    if who {
        ways.push(format!("Who has {amount}?"));
    }
    if let Some(own) = own {
        ways.push(format!("Which {noun} {own}?"));
        if who {
            ways.push(format!("Who {}?", of_one(&own)));
        }
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// The rows that have the most or least of all, however many they are.
fn extreme(desk: &mut Desk) -> Option<Draft> {
    let subject = desk.subject(0)?;
    let (table, dice) = (subject.table(), &mut desk.dice);
    let column = *dice.pick(&table.of_role(&[Role::Number, Role::Year, Role::Date]))?;
    let name = word(dice, &table.columns[column]);
    let (function, most) = *dice.pick(&[("max", "highest"), ("min", "lowest")])?;
    let most = match (table.columns[column].role, function) {
        (Role::Number, _) => most,
        (_, "max") => "latest",
        _ => "earliest",
    };
    let names = names_of(dice, table, 0)?;
    let inner = Select::of(
        subject.scope.clone(),
        vec![Item::Of(function, Col { at: 0, column })],
        Vec::new(),
    );
    let mut select = select(&subject, names.items());
    select.tests.push(Test {
        col: Col { at: 0, column },
        before: String::new(),
        after: format!(" = ({})", inner.inner()),
    });
    let noun = subject.noun(dice, true)?;
    let question = dice.of([
        format!("Which {noun} share the {most} {name}?"),
        format!("List all {noun} that have the {most} {name}, ties included."),
        format!("Which {noun} have the {most} {name} of all?"),
    ]);
    Some(Draft::of(&select, question))
}

/// Rows with more or less than another row, which is named.
fn beyond_another(desk: &mut Desk) -> Option<Draft> {
    let subject = desk.subject(0)?;
    let (table, dice) = (subject.table(), &mut desk.dice);
    let [label] = table.label[..] else {
        return None;
    };
    if !table.columns[label].unique {
        return None;
    }
    let column = *dice.pick(&table.of_role(&[Role::Number]))?;
    let known = &table.columns[column];
    let value = dice.pick(&table.columns[label].values)?;
    // "Lower than 6" would be lower than the number.
    if said(value)?.starts_with(|c: char| c.is_numeric()) {
        return None;
    }
    let more = dice.chance(70);
    let own = Test {
        col: Col {
            at: 0,
            column: label,
        },
        before: String::new(),
        after: format!(" = {}", literal(value)?),
    };
    let inner = Select::of(
        subject.scope.clone(),
        vec![Item::Plain(Col { at: 0, column })],
        vec![own],
    );
    let mut select = select(
        &subject,
        vec![Item::Plain(Col {
            at: 0,
            column: label,
        })],
    );
    select.tests.push(Test {
        col: Col { at: 0, column },
        before: String::new(),
        after: format!(" {} ({})", if more { ">" } else { "<" }, inner.inner()),
    });
    let (v, name, noun) = (said(value)?, word(dice, known), subject.noun(dice, true)?);
    let mut ways = vec![
        format!(
            "Which {noun} have a {} {name} than {v}?",
            if more { "higher" } else { "lower" }
        ),
        format!(
            "List the {noun} with a {} {name} than {v}.",
            if more { "higher" } else { "lower" }
        ),
    ];
    let compare = if more {
        &known.compare.more
    } else {
        &known.compare.less
    };
    if let Some(own) = dice.pick(compare).filter(|own| own.ends_with("than")) {
        ways.push(format!("Which {noun} {own} {v}?"));
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// Rows that have some in another table, or none.
fn elsewhere(desk: &mut Desk) -> Option<Draft> {
    let db = desk.db;
    let links: Vec<usize> = (0..db.links.len()).collect();
    let link = &db.links[*desk.dice.pick(&links)?];
    let parent = Subject::of(db, link.parent);
    let some = desk.dice.chance(45);
    let mut child = Subject::of(db, link.child);
    if some || desk.dice.chance(30) {
        child.by_own(&mut desk.dice, super::super::conditions::Want::Any)?;
    }
    let dice = &mut desk.dice;
    let mut inner = select(
        &child,
        vec![Item::Plain(Col {
            at: 0,
            column: link.column,
        })],
    );
    // `not in` a list with a NULL is never true.
    if !some && db.tables[link.child].columns[link.column].nulls {
        inner.tests.push(Test {
            col: Col {
                at: 0,
                column: link.column,
            },
            before: String::new(),
            after: " is not null".to_owned(),
        });
    }
    let table = parent.table();
    let names = names_of(dice, table, 0)?;
    let count = dice.chance(25);
    let items = if count {
        vec![Item::Rows]
    } else {
        names.items()
    };
    let mut outer = select(&parent, items);
    outer.tests.push(Test {
        col: Col {
            at: 0,
            column: link.key,
        },
        before: String::new(),
        after: format!(
            " {} ({})",
            if some { "in" } else { "not in" },
            inner.inner()
        ),
    });
    let many = dice.pick(&table.many)?.clone();
    // Of rows between two tables, those of the other are what is there or not.
    let other = db.links.iter().find(|other| {
        db.is_between(link.child) && other.child == link.child && other.parent != link.parent
    });
    let (noun, one) = match other {
        Some(other) => {
            let other = Subject::of(db, other.parent);
            (other.noun(dice, true)?, other.noun(dice, false)?)
        }
        None => (child.noun(dice, true)?, child.noun(dice, false)?),
    };
    let ways = match (count, some) {
        (false, true) => vec![
            format!("Which {many} have at least one {one}?"),
            format!("List the {many} that have any {noun}."),
            format!("Show the {many} with at least one {one}."),
        ],
        (false, false) => vec![
            format!("Which {many} have no {noun}?"),
            format!("List the {many} without any {noun}."),
            format!("Which {many} do not have any {noun}?"),
        ],
        (true, true) => vec![
            format!("How many {many} have at least one {one}?"),
            format!("Count the {many} that have any {noun}."),
        ],
        (true, false) => vec![
            format!("How many {many} have no {noun}?"),
            format!("Count the {many} without any {noun}."),
        ],
    };
    let question = dice.pick(&ways)?.clone();
    let mut draft = Draft::of(&outer, question);
    draft.tables.push(link.child);
    // The condition within must matter too.
    for shorter in inner.shorter() {
        if let Some(other) = shorter
            .sql
            .strip_suffix(';')
            .filter(|_| !child.tests.is_empty())
        {
            draft.shorter.push(super::super::select::Shorter {
                sql: outer.sql().replace(&inner.inner(), other),
                ordered: false,
            });
        }
    }
    Some(draft)
}
