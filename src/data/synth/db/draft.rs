//! A question with the query that answers it, before it is known to be a good one.

use super::dice::Dice;
use super::model::Db;
use super::select::{Item, Select, Shorter};
use super::subject::Subject;

/// A question and its query.
pub struct Draft {
    pub sql: String,
    pub question: String,
    /// Queries that must answer otherwise.
    pub shorter: Vec<Shorter>,
    /// One that must answer the same.
    pub same: Option<String>,
    /// Places of the tables that it reads.
    pub tables: Vec<usize>,
}

impl Draft {
    pub fn of(select: &Select, question: String) -> Self {
        Self {
            sql: select.sql(),
            question,
            shorter: select.shorter(),
            same: None,
            tables: select.scope.tables.clone(),
        }
    }

    /// Of a query that names rows of a joined table: without "different", none may come twice.
    pub fn without_repeats(select: &Select, question: String) -> Self {
        let mut distinct = select.clone();
        distinct.distinct = true;
        let mut draft = Self::of(select, question);
        draft.same = Some(distinct.sql());
        draft
    }
}

/// What patterns make drafts of.
pub struct Desk<'a> {
    pub db: &'a Db,
    pub dice: Dice,
}

impl<'a> Desk<'a> {
    /// A table with some rows.
    pub fn table(&mut self) -> Option<usize> {
        let filled: Vec<(usize, usize)> = (0..self.db.tables.len())
            .filter(|at| self.db.tables[*at].rows > 1 && !self.db.is_between(*at))
            .map(|at| {
                // Tables of keys alone say little by themselves.
                let telling = self.db.tables[at]
                    .columns
                    .iter()
                    .any(|c| c.role != super::model::Role::Key);
                (at, if telling { 3 } else { 1 })
            })
            .collect();
        self.dice.weighted(&filled).copied()
    }

    /// Rows of some table under so many conditions.
    pub fn subject(&mut self, conditions: usize) -> Option<Subject<'a>> {
        let table = self.table()?;
        Subject::with(&mut self.dice, self.db, table, conditions)
    }

    /// 0 to 2 conditions, mostly one or none.
    pub fn few(&mut self) -> usize {
        *self.dice.weighted(&[(0, 4), (1, 5), (2, 2)]).unwrap_or(&0)
    }
}

/// A query for these items of a subject.
pub fn select<'a>(subject: &Subject<'a>, items: Vec<Item>) -> Select<'a> {
    Select::of(subject.scope.clone(), items, subject.tests.clone())
}
