//! What a query that is not complete has said so far: its tables, the names it brings, and the columns that it asked for before.

use super::names::{Names, Words};

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
    /// Around the operand of an aggregate, which may be a column of a sub-query that follows.
    Aggregate,
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
    pub tables: Vec<Vec<u8>>,
    /// Names that it gives to what it selects.
    pub columns: Vec<Vec<u8>>,
    /// Columns that it asked for before its tables were known, with what stood before the dot; an empty column stands for any.
    pub wanted: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

/// What a query reads from.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: Vec<u8>,
    /// The table's place in the schema; `None` where the columns are not known.
    pub table: Option<usize>,
}

/// What a name before a dot is.
pub enum Qualifier {
    Source(Option<usize>),
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
            wanted: Vec::new(),
        }
    }

    /// Begins a SELECT: the first, or another of UNION and the like.
    pub fn select(&mut self) {
        self.clause = Clause::Select;
        self.sources.clear();
        self.wanted.clear();
    }

    /// Whether one of its sources has what was asked for.
    fn has(&self, names: &Names, (qualifier, column): &(Option<Vec<u8>>, Vec<u8>)) -> bool {
        self.sources.iter().any(|source| {
            let named = qualifier.as_ref().is_none_or(|name| *name == source.name);
            let table = |place| column.is_empty() || names.of(place).has(column);
            named && source.table.is_none_or(table)
        })
    }

    /// Whether its last source may have that name: it must have the columns that are asked of this name.
    pub fn may_name(&self, names: &Names, alias: &[u8]) -> bool {
        let table = self.sources.last().and_then(|source| source.table);
        let Some(columns) = table.map(|place| names.of(place)) else {
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

/// Whether a table of a WITH has that name, or begins so.
pub fn with_table(frames: &[Frame], test: impl Fn(&[u8]) -> bool) -> bool {
    frames.iter().any(|frame| match frame {
        Frame::Query(query) => query.tables.iter().any(|name| test(name)),
        Frame::Paren(_) => false,
    })
}

/// Whether a column that may stand here without a table passes `test`; `any` says whether any name does. Says too which query asks for
/// it before its tables are known.
pub fn column(
    frames: &[Frame],
    names: &Names,
    own: impl Fn(&[u8]) -> bool,
    test: impl Fn(&Words) -> bool,
) -> (bool, Option<usize>) {
    if matches!(frames.last(), Some(Frame::Paren(Paren::Using))) {
        return (test(&names.columns), None);
    }
    for (at, query) in outward(frames) {
        if query.clause == Clause::Select {
            let aggregate = frames[at..]
                .iter()
                .any(|frame| matches!(frame, Frame::Paren(Paren::Aggregate)));
            let free = aggregate || with_table(frames, |_| true);
            return (free || test(&names.columns), Some(at));
        }
        let known = |source: &Source| source.table.is_none_or(|place| test(names.of(place)));
        if query.columns.iter().any(|name| own(name)) || query.sources.iter().any(known) {
            return (true, None);
        }
    }
    (false, None)
}

/// What a name before a dot is; `None` of one that nothing has.
pub fn qualifier(frames: &[Frame], name: &[u8]) -> Option<Qualifier> {
    for (at, query) in outward(frames) {
        if query.clause == Clause::Select {
            return Some(Qualifier::Wanted(at));
        }
        if let Some(source) = query.sources.iter().find(|source| source.name == name) {
            return Some(Qualifier::Source(source.table));
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
