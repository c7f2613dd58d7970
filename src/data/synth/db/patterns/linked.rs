//! Joins for their own sake: rows of one table found through those of another.

use super::super::draft::{Desk, Draft, select};
use super::super::select::Item;
use super::super::subject::{Subject, names_of};
use super::super::words::plural;

/// Names of rows that others lead to: "Which clubs have members over 60?"
pub fn parents(desk: &mut Desk) -> Option<Draft> {
    let db = desk.db;
    let linked: Vec<usize> = (0..db.links.len())
        .filter(|link| db.tables[db.links[*link].child].rows > 1)
        .collect();
    let link = *desk.dice.pick(&linked)?;
    let child = db.links[link].child;
    let mut subject = Subject::of(db, child);
    let at = subject.scope.join(0, link);
    let others = subject.links(0);
    let dice = &mut desk.dice;
    // Through a row between two others, or by what stands in the row itself.
    let through = !others.is_empty() && dice.chance(60);
    match through {
        true => {
            let other = *dice.pick(&others)?;
            subject.by_parent(dice, other)?;
        }
        false => subject.by_own(dice, super::super::conditions::Want::Any)?,
    }
    let parent = subject.scope.table(at);
    let (columns, called) = names_of(dice, parent, at)?;
    let select = select(&subject, columns.into_iter().map(Item::Plain).collect());
    let (noun, one_noun) = (subject.noun(dice, true)?, subject.noun(dice, false)?);
    let (many, one) = (
        dice.pick(&parent.many)?.clone(),
        dice.pick(&parent.one)?.clone(),
    );
    let called = plural(&called);
    let mut ways = vec![
        format!("Which {many} have {noun}?"),
        format!("List the {many} with {noun}."),
        format!("List the {called} of the {many} of {noun}."),
        format!("Which {many} do the {noun} belong to?"),
        format!("What are the {called} of {many} with {noun}?"),
        format!("Find the {one} of each {one_noun}."),
        format!("Show the {one} for every {one_noun}."),
    ];
    if parent.person {
        ways.push(format!("Who has {noun}?"));
    }
    if let Some(actor) = acted(&subject, at) {
        let (verb, v, person) = actor;
        ways = match person {
            true => vec![
                format!("Which {many} has {v} {verb}?"),
                format!("Which {many} were {verb} by {v}?"),
                format!("List the {many} {verb} by {v}."),
                format!("What {many} has {v} {verb}?"),
                format!("Show the {called} of the {many} {verb} by {v}."),
                match called.as_str() {
                    "names" => format!("Which {many} has {v} {verb}?"),
                    _ => format!("Which {called} has {v} {verb}?"),
                },
            ],
            false => vec![
                format!("Which {many} have {verb} {v}?"),
                format!("List the {many} who have {verb} {v}."),
                format!("Who has {verb} {v}?"),
            ],
        };
    }
    let question = dice.pick(&ways)?.clone();
    Some(Draft::without_repeats(&select, question))
}

/// What the rows say that somebody did, where they are of one named row and one party of them is a person: the verb, the
/// name, and whether it is the person's.
fn acted(subject: &Subject, at: usize) -> Option<(String, String, bool)> {
    let verb = subject.table().verb.clone();
    let [test] = &subject.tests[..] else {
        return None;
    };
    let other = subject.scope.table(test.col.at);
    let named = test.col.at > 0 && other.label == [test.col.column] && !verb.is_empty();
    let v = test.after.strip_prefix(" = ").filter(|_| named)?;
    let parties = (subject.scope.table(at).person, other.person);
    let v = v.trim_matches('\'').replace("''", "'");
    (parties.0 != parties.1).then_some((verb, v, parties.1))
}
