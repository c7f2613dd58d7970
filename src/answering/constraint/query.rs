//! What a query that is not complete has said so far: its tables, the names it brings, and the columns that it asked for before.

use super::names::{Names, Words, plain};
use super::words::in_word;
use crate::data::schema::last_token;
use std::sync::Arc;

/// A bracket or a query that is open.
#[derive(Debug, Clone)]
pub enum Frame {
    Query(Query),
    Paren(Paren),
}

/// What stands in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paren {
    Expression,
    /// Around what a function is given.
    Call,
    /// Around tables that are joined.
    Sources,
    /// Around the columns that two tables have in common.
    Using,
    /// Around a window.
    Window,
    /// Around the condition of a function.
    Filter,
    /// Around names that are new, or words that are none.
    Free,
}

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clause {
    With,
    /// Before FROM: which tables it reads is not known.
    Select,
    From,
    On,
    /// All its tables are known.
    Rest,
}

/// A query that is open.
#[derive(Debug, Clone)]
pub struct Query {
    pub clause: Clause,
    /// Whether a table must come next.
    pub at_source: bool,
    /// How many CASE are open.
    pub cases: usize,
    pub sources: Vec<Source>,
    /// Tables of its WITH.
    pub tables: Vec<Source>,
    /// Names that it gives to what it selects.
    pub columns: Vec<Vec<u8>>,
    pub output: Output,
    /// Columns that it asked for before its tables were known, with what stood before the dot; an empty column stands for any.
    pub wanted: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

/// What a query gives to one around it.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Where what is selected next begins.
    pub item: usize,
    /// What its columns may be called.
    pub names: Vec<Vec<u8>>,
    /// Whether it gives more than these.
    pub more: bool,
    /// Whether that is all: the first SELECT of UNION and the like decides.
    pub done: bool,
}

impl Output {
    /// Adds what a part of SELECT, or of a list of names, gives: what its last word or quoted name says, or its own text.
    pub fn add(&mut self, part: &[u8]) {
        let part = part.trim_ascii();
        self.more |= part.ends_with(b"*");
        self.names.push(part.to_vec());
        let word = part.iter().rev().take_while(|byte| in_word(**byte)).count();
        match word {
            0 => {
                let last = std::str::from_utf8(part).ok().and_then(last_token);
                self.names.extend(last.map(|last| plain(last.as_bytes())));
            }
            _ => self.names.push(part[part.len() - word..].to_vec()),
        }
    }

    pub fn columns(&self) -> Columns {
        match self.more {
            true => Columns::Any,
            false => Columns::Given(Arc::new(Words::new(self.names.iter()))),
        }
    }
}

/// What a query reads from.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: Vec<u8>,
    pub columns: Columns,
}

/// The columns of a source.
#[derive(Debug, Clone)]
pub enum Columns {
    /// Of the table at that place in the schema.
    Table(usize),
    /// Of a query.
    Given(Arc<Words>),
    /// Not known.
    Any,
}

impl Columns {
    /// `None` where they are not known.
    pub fn words<'a>(&'a self, names: &'a Names) -> Option<&'a Words> {
        match self {
            Self::Table(place) => Some(names.of(*place)),
            Self::Given(words) => Some(words),
            Self::Any => None,
        }
    }

    /// Whether they may have what passes `test`.
    pub fn pass(&self, names: &Names, test: impl Fn(&Words) -> bool) -> bool {
        self.words(names).is_none_or(test)
    }
}

/// What a name before a dot is.
pub enum Qualifier<'a> {
    Source(&'a Columns),
    /// The query with that number asks for it before its tables are known.
    Wanted(usize),
}

impl Query {
    pub fn new(clause: Clause) -> Self {
        Self {
            clause,
            at_source: false,
            cases: 0,
            sources: Vec::new(),
            tables: Vec::new(),
            columns: Vec::new(),
            output: Output::default(),
            wanted: Vec::new(),
        }
    }

    /// Begins a SELECT: the first, or another of UNION and the like.
    pub fn select(&mut self) {
        self.clause = Clause::Select;
        self.sources.clear();
        self.wanted.clear();
    }

    /// Tells what columns the last table of its WITH has, unless that is known.
    pub fn define(&mut self, columns: impl Fn() -> Columns) {
        if let Some(table) = self.tables.last_mut()
            && matches!(table.columns, Columns::Any)
        {
            table.columns = columns();
        }
    }

    /// Whether one of its sources has what was asked for.
    fn has(&self, names: &Names, (qualifier, column): &(Option<Vec<u8>>, Vec<u8>)) -> bool {
        self.sources.iter().any(|source| {
            let named = qualifier.as_ref().is_none_or(|name| *name == source.name);
            let has = |words: &Words| column.is_empty() || words.has(column);
            named && source.columns.pass(names, has)
        })
    }

    /// Whether its last source may have that name: it must have the columns that are asked of this name.
    pub fn may_name(&self, names: &Names, alias: &[u8]) -> bool {
        let source = self.sources.last();
        let Some(columns) = source.and_then(|source| source.columns.words(names)) else {
            return true;
        };
        let of_alias = |(qualifier, _): &&(Option<Vec<u8>>, Vec<u8>)| {
            qualifier.as_ref().is_some_and(|name| name == alias)
        };
        let mut wanted = self.wanted.iter().filter(of_alias);
        wanted.all(|(_, column)| column.is_empty() || columns.has(column))
    }

    /// Whether a longer name than `alias` that begins so is asked for.
    pub fn wants_longer(&self, alias: &[u8]) -> bool {
        let names = self.wanted.iter().filter_map(|(name, _)| name.as_ref());
        names
            .into_iter()
            .any(|name| name.len() > alias.len() && name.starts_with(alias))
    }
}

/// The innermost query.
pub fn innermost(frames: &[Frame]) -> Option<usize> {
    frames
        .iter()
        .rposition(|frame| matches!(frame, Frame::Query(_)))
}

/// The queries from the innermost outward, with their numbers; none beyond one that is a table of its own.
fn outward(frames: &[Frame]) -> impl Iterator<Item = (usize, &Query)> {
    let queries = frames.iter().enumerate().rev();
    let queries = queries.filter_map(|(at, frame)| match frame {
        Frame::Query(query) => Some((at, query)),
        Frame::Paren(_) => None,
    });
    queries.take_while(|(_, query)| query.clause != Clause::With)
}

/// The tables of WITH that may be read here, the innermost first.
pub fn with_tables(frames: &[Frame]) -> impl Iterator<Item = &Source> {
    let queries = frames.iter().rev().filter_map(|frame| match frame {
        Frame::Query(query) => Some(query),
        Frame::Paren(_) => None,
    });
    queries.flat_map(|query| query.tables.iter().rev())
}

/// What is known of the columns behind a name before FROM, by the tables that have it; `None` of one that FROM has to give.
pub fn expected(frames: &[Frame], names: &Names, name: &[u8]) -> Option<Columns> {
    let with = with_tables(frames).find(|table| table.name == name);
    let with = with.map(|table| table.columns.clone());
    with.or_else(|| names.place(name).map(Columns::Table))
}

/// Whether a column that may stand here without a table passes `test`, and which query asks for it before its tables are known: there
/// any name may stand, since FROM may have a query that gives it.
pub fn column(
    frames: &[Frame],
    names: &Names,
    own: impl Fn(&[u8]) -> bool,
    test: impl Fn(&Words) -> bool,
) -> (bool, Option<usize>) {
    let using = matches!(frames.last(), Some(Frame::Paren(Paren::Using)));
    for (at, query) in outward(frames) {
        if query.clause == Clause::Select {
            return (true, Some(at));
        }
        let known = |source: &Source| source.columns.pass(names, &test);
        if using {
            return (query.sources.iter().any(known), None);
        }
        if query.columns.iter().any(|name| own(name)) || query.sources.iter().any(known) {
            return (true, None);
        }
    }
    (false, None)
}

/// What a name before a dot is; `None` of one that nothing has.
pub fn qualifier<'a>(frames: &'a [Frame], name: &[u8]) -> Option<Qualifier<'a>> {
    for (at, query) in outward(frames) {
        if query.clause == Clause::Select {
            return Some(Qualifier::Wanted(at));
        }
        if let Some(source) = query.sources.iter().find(|source| source.name == name) {
            return Some(Qualifier::Source(&source.columns));
        }
    }
    None
}

/// Whether a source that may be named here passes `test`.
pub fn source(frames: &[Frame], test: impl Fn(&[u8]) -> bool) -> bool {
    if matches!(frames.last(), Some(Frame::Paren(Paren::Using))) {
        return false;
    }
    outward(frames).any(|(_, query)| {
        query.clause == Clause::Select || query.sources.iter().any(|source| test(&source.name))
    })
}

/// What the innermost query asked for and neither it nor one around it has; what one around it may have yet is asked of that one.
pub fn settle(frames: &mut [Frame], names: &Names) -> bool {
    let Some(at) = innermost(frames) else {
        return true;
    };
    let (around, own) = frames.split_at_mut(at);
    let Frame::Query(query) = &mut own[0] else {
        return true;
    };
    for wanted in std::mem::take(&mut query.wanted) {
        if query.has(names, &wanted) {
            continue;
        }
        let holder = outward(around)
            .find(|(_, outer)| outer.clause == Clause::Select || outer.has(names, &wanted));
        match holder.map(|(at, outer)| (at, outer.clause == Clause::Select)) {
            None => return false,
            Some((_, false)) => {}
            Some((at, true)) => {
                if let Frame::Query(outer) = &mut around[at] {
                    outer.wanted.push(wanted);
                }
            }
        }
    }
    query.clause = Clause::Rest;
    query.at_source = false;
    true
}
