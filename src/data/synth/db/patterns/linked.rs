//! Joins for their own sake: rows of one table found through those of another.

use super::super::conditions::Want;
use super::super::dice::Dice;
use super::super::draft::{Desk, Draft, select};
use super::super::subject::{Subject, names_of};

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
    let mut far = None;
    if db.is_between(child) {
        let other = *dice.pick(&others)?;
        far = Some(through(dice, &mut subject, other)?);
    } else if !others.is_empty() && dice.chance(60) {
        let other = *dice.pick(&others)?;
        subject.by_parent(dice, other)?;
    } else {
        subject.by_own(dice, Want::Any)?;
    }
    let parent = subject.scope.table(at);
    let names = names_of(dice, parent, at)?;
    let select = select(&subject, names.items());
    let (noun, one_noun) = match far {
        Some(ref noun) => (noun.clone(), None),
        None => (subject.noun(dice, true)?, Some(subject.noun(dice, false)?)),
    };
    let (many, one) = (
        dice.pick(&parent.many)?.clone(),
        dice.pick(&parent.one)?.clone(),
    );
    let called = names.many;
    let mut ways = vec![
        format!("Which {many} have {noun}?"),
        format!("List the {many} with {noun}."),
        format!("What are the {called} of {many} with {noun}?"),
    ];
    if let Some(one_noun) = one_noun {
        ways.push(format!("List the {called} of the {many} of {noun}."));
        ways.push(format!("Which {many} do the {noun} belong to?"));
        ways.push(format!("Find the {one} of each {one_noun}."));
        ways.push(format!("Show the {one} for every {one_noun}."));
    }
    let who = db.means_who(db.links[link].parent);
    if who {
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

/// A condition on the other of the two tables that the rows stand between; what is said of its rows.
fn through(dice: &mut Dice, subject: &mut Subject, other: usize) -> Option<String> {
    let db = subject.scope.db;
    let at = subject.scope.join(0, other);
    let mut far = Subject::of(db, db.links[other].parent);
    far.by_own(dice, Want::Any)?;
    let noun = far.noun(dice, true);
    for mut test in far.tests {
        test.col.at = at;
        subject.tests.push(test);
    }
    noun
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
    let v = test.value().filter(|_| named)?;
    let parties = (subject.scope.table(at).person, other.person);
    (parties.0 != parties.1).then_some((verb, v, parties.1))
}
