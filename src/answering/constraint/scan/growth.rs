//! Whether what a query ends in may still become a name or a word that may stand there.

use super::super::names::Words;
use super::super::query::{self, Clause, Frame, Qualifier};
use super::super::words::{self, Meaning};
use super::{Last, Role, Scan, State, Token, content};

impl Scan {
    /// Whether the token may still become one that may stand there.
    pub(super) fn may_grow(&self, state: &State) -> bool {
        let word = match state.token {
            _ if state.any => return true,
            Token::None | Token::Number => return true,
            Token::Word => true,
            Token::Quoted(_) | Token::Closed(_) => false,
        };
        let name = content(&self.text[state.start..]);
        let begins = |name: &[u8]| self.begins(state, name, word);
        match state.token {
            Token::Closed(close) => {
                let longer = [&name[..], &[close]].concat();
                self.is(state, &name) || close != b']' && begins(&longer)
            }
            _ => begins(&name),
        }
    }

    /// Whether a name that may stand there begins with `text`.
    pub(super) fn begins(&self, state: &State, text: &[u8], word: bool) -> bool {
        let frames = &state.frames;
        let names = &self.names;
        let has = |words: &Words| words.begins(text, !word);
        let open = state.last == Last::Open;
        match state.role {
            Role::Free | Role::With => true,
            Role::New => self.may_name(frames, text),
            Role::Behind => !word || self.may_follow(state, text),
            Role::Member(from, to) => {
                let qualifier = content(&self.text[from..to]);
                match query::qualifier(frames, &qualifier) {
                    Some(Qualifier::Source(None)) => true,
                    Some(Qualifier::Source(Some(table))) => has(names.of(table)),
                    // A table of WITH may be meant.
                    Some(Qualifier::Wanted(_)) if query::with_table(frames, |_| true) => true,
                    Some(Qualifier::Wanted(_)) => match names.place(&qualifier) {
                        Some(table) => has(names.of(table)),
                        None => has(&names.columns),
                    },
                    None => false,
                }
            }
            Role::Source => {
                has(&names.tables)
                    || query::with_table(frames, |name| name.starts_with(text))
                    || word && words::TABLES.iter().any(|name| name.starts_with(text))
                    || word && open && words::query_begins(text)
            }
            Role::Operand => {
                let starts = |name: &[u8]| name.starts_with(text);
                query::column(frames, names, starts, has).0
                    || query::source(frames, starts)
                    || word
                        && (has(&names.functions) || words::operand_begins(text, self.place(state)))
            }
        }
    }

    /// Whether a name in quotes is one that may stand there.
    pub(super) fn is(&self, state: &State, name: &[u8]) -> bool {
        let names = &self.names;
        match state.role {
            Role::Source => {
                names.tables.has(name) || query::with_table(&state.frames, |own| own == name)
            }
            Role::Member(from, to) => {
                let qualifier = content(&self.text[from..to]);
                self.column_of(&state.frames, &qualifier, name)
            }
            Role::Operand => {
                query::column(
                    &state.frames,
                    names,
                    |own| own == name,
                    |words| words.has(name),
                )
                .0 || query::source(&state.frames, |own| own == name)
            }
            _ => true,
        }
    }

    /// Whether a word that begins so may follow an operand or a table: none that ends FROM before all that was asked for is there, and
    /// no name for a table that has not what was asked of that name.
    pub(super) fn may_follow(&self, state: &State, word: &[u8]) -> bool {
        let frames = &state.frames;
        let Some(Frame::Query(query)) = frames.last() else {
            return true;
        };
        if matches!(query.clause, Clause::Rest | Clause::With) {
            return true;
        }
        let meaning = words::behind(word);
        let ends = words::end_begins(word) && query::settle(&mut frames.to_vec(), &self.names);
        if matches!(
            meaning,
            Some(Meaning::Ends | Meaning::EndsFree | Meaning::Set)
        ) {
            return ends;
        }
        let named = state.last == Last::Named;
        let from = query.clause == Clause::From;
        let follows = match (query.clause, named) {
            (Clause::From, _) => words::join_begins(word, named),
            (Clause::Select, true) => b"from".starts_with(word),
            (Clause::Select, false) => words::operator_begins(word, query.cases > 0),
            _ => words::operator_begins(word, query.cases > 0) || words::join_begins(word, true),
        };
        let new = !named && query.cases == 0 && (from || query.clause == Clause::Select);
        ends || follows || new && self.may_name(frames, word)
    }

    /// Whether a name that begins so may be given to the last table.
    pub(super) fn may_name(&self, frames: &[Frame], name: &[u8]) -> bool {
        match frames.last() {
            Some(Frame::Query(query)) if query.clause == Clause::From => {
                query.may_name(&self.names, name) || query.wants_longer(name)
            }
            _ => true,
        }
    }

    pub(super) fn column_of(&self, frames: &[Frame], qualifier: &[u8], column: &[u8]) -> bool {
        match query::qualifier(frames, qualifier) {
            Some(Qualifier::Source(table)) => {
                table.is_none_or(|table| self.names.of(table).has(column))
            }
            Some(Qualifier::Wanted(_)) if query::with_table(frames, |_| true) => true,
            Some(Qualifier::Wanted(_)) => match self.names.place(qualifier) {
                Some(table) => self.names.of(table).has(column),
                None => self.names.columns.has(column),
            },
            None => false,
        }
    }
}
