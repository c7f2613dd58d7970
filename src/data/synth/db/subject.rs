//! What a question is about: rows of a table under conditions, its own and those of the tables that its keys lead to.

use super::conditions::{self, Phrase, Want, word};
use super::dice::Dice;
use super::lexicon::PLACES;
use super::model::{Column, Db, Role, Table, literal, said};
use super::select::{Col, Item, Scope, Test};
use super::words::{of_one, plural};

/// The rows, and how they are said.
pub struct Subject<'a> {
    pub scope: Scope<'a>,
    pub tests: Vec<Test>,
    pub phrases: Vec<Phrase>,
}

impl<'a> Subject<'a> {
    /// All rows of a table.
    pub fn of(db: &'a Db, table: usize) -> Self {
        Self {
            scope: Scope::of(db, table),
            tests: Vec::new(),
            phrases: Vec::new(),
        }
    }

    /// Rows of a table under `count` conditions; none where it has not so many.
    pub fn with(dice: &mut Dice, db: &'a Db, table: usize, count: usize) -> Option<Self> {
        let mut subject = Self::of(db, table);
        for _ in 0..count {
            subject.narrow(dice)?;
        }
        Some(subject)
    }

    pub fn table(&self) -> &'a Table {
        self.scope.table(0)
    }

    /// One more condition, on a column of its own or of a table that its keys lead to.
    pub fn narrow(&mut self, dice: &mut Dice) -> Option<()> {
        let own = self.links(0);
        match !own.is_empty() && dice.chance(55) {
            true => {
                let link = *dice.pick(&own)?;
                self.by_parent(dice, link)
            }
            false => self.by_own(dice, Want::Any),
        }
    }

    /// A condition on a column of its own.
    pub fn by_own(&mut self, dice: &mut Dice, want: Want) -> Option<()> {
        let used = |at: usize| {
            self.tests
                .iter()
                .any(|test| test.col == Col { at: 0, column: at })
        };
        let table = self.table();
        let column = weighted(dice, table, want, used)?;
        let made = conditions::on(dice, table, &table.columns[column], want)?;
        self.tests.push(Test {
            col: Col { at: 0, column },
            before: made.before,
            after: made.after,
        });
        self.phrases.push(made.phrase);
        Some(())
    }

    /// A condition on the row that a key leads to, or on one that a key leads to from there.
    pub fn by_parent(&mut self, dice: &mut Dice, link: usize) -> Option<()> {
        let db = self.scope.db;
        let parent = &db.tables[db.links[link].parent];
        let between = dice.pick(&db.links[link].between)?.clone();
        let at = self.scope.join(0, link);
        let further = self.links(at);
        if self.scope.tables.len() < 4 && !further.is_empty() && dice.chance(20) {
            let next = *dice.pick(&further)?;
            let onwards = dice.pick(&db.links[next].between)?.clone();
            let grand = self.scope.join(at, next);
            let (test, phrase) = related(dice, &self.scope, grand, &onwards)?;
            let far = behind_noun(dice, parent, &[phrase], true)?;
            self.tests.push(test);
            self.phrases.push(Phrase {
                adjective: None,
                verb: vec![format!("are {between} {far}"), format!("belong to {far}")],
                behind: vec![format!("{between} {far}")],
            });
            return Some(());
        }
        let (test, phrase) = related(dice, &self.scope, at, &between)?;
        self.tests.push(test);
        self.phrases.push(phrase);
        Some(())
    }

    /// The keys that lead on from a table of it.
    pub fn links(&self, at: usize) -> Vec<usize> {
        let db = self.scope.db;
        let links = db.links.iter().enumerate();
        let own = links.filter(|(_, link)| link.child == self.scope.tables[at]);
        own.filter(|(_, link)| !self.scope.tables.contains(&link.parent))
            .map(|(link, _)| link)
            .collect()
    }

    /// "red cars from Lyon", or "red car from Lyon".
    pub fn noun(&self, dice: &mut Dice, many: bool) -> Option<String> {
        behind_noun(dice, self.table(), &self.phrases, many)
    }

    /// A noun and what its rows do: "cars from Lyon", "are red".
    pub fn clause(&self, dice: &mut Dice, many: bool) -> Option<(String, String)> {
        let at = dice.below(self.phrases.len());
        let verb = dice.pick(&self.phrases.get(at)?.verb)?.clone();
        let others: Vec<Phrase> = self
            .phrases
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, p)| p.clone())
            .collect();
        let noun = behind_noun(dice, self.table(), &others, many)?;
        let verb = if many { verb } else { of_one(&verb) };
        Some((noun, verb))
    }
}

/// A column for a condition; categories and numbers are asked for most.
fn weighted(
    dice: &mut Dice,
    table: &Table,
    want: Want,
    used: impl Fn(usize) -> bool,
) -> Option<usize> {
    let fitting = |(at, column): &(usize, &Column)| want.fits(column) && !used(*at);
    let columns = table.columns.iter().enumerate().filter(fitting);
    let weight = |column: &Column| match column.role {
        Role::Category => 5,
        Role::Number => 4,
        Role::Year | Role::Date => 3,
        Role::Flag => 2,
        _ => 1,
    };
    let columns: Vec<(usize, usize)> = columns.map(|(at, column)| (at, weight(column))).collect();
    dice.weighted(&columns).copied()
}

/// A condition on a joined table, said of the rows that lead there.
fn related(dice: &mut Dice, scope: &Scope, at: usize, between: &str) -> Option<(Test, Phrase)> {
    let table = scope.table(at);
    let one = dice.pick(&table.one)?.clone();
    let test = |column: usize, before: String, after: String| Test {
        col: Col { at, column },
        before,
        after,
    };
    let label = (table.label.len() == 1 && dice.chance(60)).then(|| table.label[0]);
    if let Some(column) = label {
        let value = dice.pick(&table.columns[column].values)?;
        let (v, after) = (said(value)?, format!(" = {}", literal(value)?));
        return Some((
            test(column, String::new(), after),
            named(table, &one, &v, between),
        ));
    }
    let column = weighted(dice, table, Want::Any, |at| table.label.contains(&at))?;
    let made = conditions::on(dice, table, &table.columns[column], Want::Any)?;
    let far = behind_noun(dice, table, std::slice::from_ref(&made.phrase), true)?;
    let mut phrase = Phrase {
        adjective: None,
        behind: vec![format!("{between} {far}")],
        verb: vec![format!("are {between} {far}"), format!("belong to {far}")],
    };
    if let Some(v) = made.phrase.adjective {
        phrase.behind.push(format!("{between} the {v} {one}"));
        phrase.verb.push(format!("belong to the {v} {one}"));
    }
    let place = |behind: &&String| behind.starts_with("in ") || behind.starts_with("from ");
    // "Invoices in Rome" are billed there, where they say where.
    let placed = scope.table(0).columns.iter().any(|column| {
        let last = |words: &String| PLACES.contains(&words.split(' ').next_back().unwrap_or(""));
        column.words.iter().any(last)
    });
    if !placed {
        let places = made.phrase.behind.iter().filter(place);
        phrase.behind.extend(places.cloned());
    }
    Some((test(column, made.before, made.after), phrase))
}

/// Rows that belong to the row of a table that is called so.
fn named(table: &Table, one: &str, v: &str, between: &str) -> Phrase {
    let mut behind = vec![format!("{between} {v}"), format!("whose {one} is {v}")];
    let mut verb = vec![format!("are {between} {v}"), format!("belong to {v}")];
    // "class 5B", but "Dr Novak".
    if !v.to_lowercase().contains(one) {
        behind.push(format!("{between} {one} {v}"));
        if !table.person {
            behind.push(format!("{between} the {v} {one}"));
            verb.push(format!("are {between} the {v} {one}"));
            verb.push(format!("belong to the {v} {one}"));
        }
        verb.push(format!("have the {one} {v}"));
        verb.push(format!("are {between} {one} {v}"));
    }
    Phrase {
        adjective: None,
        behind,
        verb,
    }
}

/// A noun for rows of a table with phrases around it.
pub fn behind_noun(
    dice: &mut Dice,
    table: &Table,
    phrases: &[Phrase],
    many: bool,
) -> Option<String> {
    let mut text = dice
        .pick(if many { &table.many } else { &table.one })?
        .clone();
    let with_adjective: Vec<usize> = (0..phrases.len())
        .filter(|at| phrases[*at].adjective.is_some())
        .collect();
    let before = dice
        .pick(&with_adjective)
        .copied()
        .filter(|_| dice.chance(60));
    if let Some(adjective) = before.and_then(|at| phrases[at].adjective.as_ref()) {
        text = format!("{adjective} {text}");
    }
    let others = phrases
        .iter()
        .enumerate()
        .filter(|(at, _)| before != Some(*at));
    for (said, (_, phrase)) in others.enumerate() {
        let mut behind = dice.pick(&phrase.behind)?.clone();
        if let (false, Some(done)) = (many, behind.strip_prefix("that ")) {
            behind = format!("that {}", of_one(done));
        }
        // "with a and with b", "whose a and whose b".
        let same = said > 0
            && ["with", "whose", "that"]
                .iter()
                .any(|start| behind.starts_with(start));
        text += &format!(" {}{behind}", if same { "and " } else { "" });
    }
    Some(text)
}

/// What names a row.
pub struct Names {
    pub columns: Vec<Col>,
    /// What the columns are called together, of one row and of several.
    pub one: String,
    pub many: String,
}

impl Names {
    /// The columns, to be asked for.
    pub fn items(&self) -> Vec<Item> {
        self.columns.iter().copied().map(Item::Plain).collect()
    }
}

/// What names a row of a table; none where nothing does.
pub fn names_of(dice: &mut Dice, table: &Table, at: usize) -> Option<Names> {
    let columns: Vec<Col> = table
        .label
        .iter()
        .map(|column| Col {
            at,
            column: *column,
        })
        .collect();
    let called: Vec<String> = table
        .label
        .iter()
        .map(|column| word(dice, &table.columns[*column]))
        .collect();
    let many: Vec<String> = called.iter().map(|name| plural(name)).collect();
    (!columns.is_empty()).then(|| Names {
        columns,
        one: called.join(" and "),
        many: many.join(" and "),
    })
}
