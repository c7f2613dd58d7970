//! What rows are grouped by: a row that they belong to, or what a column holds.

use super::super::conditions::word;
use super::super::dice::Dice;
use super::super::lexicon::{GROUPS, PLACES, TIMES};
use super::super::model::Role;
use super::super::select::{Col, Item};
use super::super::subject::Subject;

/// What rows are grouped by.
pub struct Grouping {
    /// What a group is shown by and grouped by.
    pub items: Vec<Item>,
    /// "region", "department".
    pub one: String,
    /// "its" or "their".
    pub own: &'static str,
    /// Whether rows are "in" a group.
    pub holds: bool,
    /// Whether every group that a question may mean has rows: none is left out for having none.
    pub whole: bool,
}

/// A grouping of a subject, which may be joined for it.
pub fn grouping(dice: &mut Dice, subject: &mut Subject) -> Option<Grouping> {
    let links = subject.links(0);
    if !links.is_empty() && dice.chance(60) {
        let link = *dice.pick(&links)?;
        let holds = subject.scope.db.links[link]
            .between
            .iter()
            .any(|b| b == "in");
        let at = subject.scope.join(0, link);
        let parent = subject.scope.table(at);
        let one = dice.pick(&parent.one)?.clone();
        let own = if parent.person { "their" } else { "its" };
        let mut categories = parent.of_role(&[Role::Category]);
        // What is unknown is no group.
        categories.retain(|at| !parent.columns[*at].nulls && !parent.label.contains(at));
        let by_category = !categories.is_empty() && dice.chance(35);
        return match (&parent.label[..], by_category) {
            (_, true) | ([], _) => {
                let column = *dice.pick(&categories)?;
                let name = word(dice, &parent.columns[column]);
                let full = format!("{one} {name}");
                // A child has a name, a type or the like of its own.
                let open = GENERAL.contains(&name.as_str())
                    || subject
                        .table()
                        .columns
                        .iter()
                        .any(|c| c.words.contains(&name));
                let one = match open {
                    true => full,
                    false => dice.of([name.clone(), name.clone(), full]),
                };
                let holds = holds_rows(&name);
                Some(Grouping {
                    items: vec![Item::Plain(Col { at, column })],
                    one,
                    own: "its",
                    holds,
                    whole: false,
                })
            }
            (label, _) if label.iter().any(|at| parent.columns[*at].nulls) => None,
            (label, _) => {
                let mut items: Vec<Item> = label
                    .iter()
                    .map(|column| {
                        Item::Plain(Col {
                            at,
                            column: *column,
                        })
                    })
                    .collect();
                // Two of one name are two groups.
                if !(label.len() == 1 && parent.columns[label[0]].unique) {
                    let key = parent
                        .columns
                        .iter()
                        .position(|column| column.primary > 0)?;
                    items.push(Item::Plain(Col { at, column: key }));
                }
                Some(Grouping {
                    items,
                    one,
                    own,
                    holds,
                    whole: false,
                })
            }
        };
    }
    let table = subject.table();
    let column =
        *dice.pick(&table.of_role(&[Role::Category, Role::Category, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    if known.nulls {
        return None;
    }
    let col = Col { at: 0, column };
    let name = word(dice, known);
    let (item, one) = match known.role {
        Role::Date => (
            Item::Year(col),
            dice.of(["year".to_owned(), format!("year of {name}")]),
        ),
        _ => (Item::Plain(col), name),
    };
    (!subject.tests.iter().any(|test| test.col == col)).then(|| Grouping {
        items: vec![item],
        own: "its",
        holds: holds_rows(&one),
        one,
        whole: subject.tests.is_empty(),
    })
}

/// Words for columns that say nothing without their table.
const GENERAL: [&str; 6] = ["name", "title", "type", "kind", "code", "description"];

/// Whether rows are "in" what a column holds: a place, a group, a time.
fn holds_rows(name: &str) -> bool {
    let last = name.split(' ').next_back().unwrap_or("");
    let is_time = last == "year" || TIMES.iter().any(|(time, _)| *time == last);
    is_time || PLACES.contains(&last) || GROUPS.contains(&last)
}

impl Grouping {
    /// The items that show a group: without the key that only tells it apart.
    pub fn shown(&self, subject: &Subject) -> Vec<Item> {
        let is_key = |item: &&Item| match item {
            Item::Plain(col) => subject.scope.table(col.at).columns[col.column].role != Role::Key,
            _ => true,
        };
        let shown: Vec<Item> = self.items.iter().filter(is_key).copied().collect();
        if shown.is_empty() {
            self.items.clone()
        } else {
            shown
        }
    }
}
