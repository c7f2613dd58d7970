//! Whether what a query ends in may still become a name or a word that may stand there.

use super::super::names::{Words, plain};
use super::super::query::{self, Clause, Frame, Qualifier};
use super::super::words::{self, Meaning};
use super::{Last, Role, Scan, State, Token};

impl Scan {
    /// Whether the token may still become one that may stand there.
    pub(super) fn may_grow(&self, state: &State) -> bool {
        let word = match state.token {
            _ if state.any => return true,
            Token::None | Token::Number => return true,
            Token::Word => true,
            Token::Quoted(_) | Token::Closed(_) => false,
        };
        let name = plain(&self.text[state.start..]);
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
                let qualifier = plain(&self.text[from..to]);
                match query::qualifier(frames, &qualifier) {
                    Some(Qualifier::Source(columns)) => columns.pass(names, has),
                    Some(Qualifier::Wanted(_)) => self.may_give(frames, &qualifier, has),
                    None => false,
                }
            }
            Role::Source => {
                has(&names.tables)
                    || query::with_tables(frames).any(|table| table.name.starts_with(text))
                    || word && words::TABLES.iter().any(|name| name.starts_with(text))
                    || word && open && words::query_begins(text)
                    || state.last != Last::Main && words::MAIN.starts_with(text)
            }
            Role::Operand if state.last == Last::Main => has(&names.tables),
            Role::Operand => {
                let starts = |name: &[u8]| name.starts_with(text);
                query::column(frames, names, starts, has).0
                    || query::source(frames, starts)
                    || words::MAIN.starts_with(text)
                    || word && words::BLOB == text
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
                let with = |table: &query::Source| table.name == name;
                names.tables.has(name)
                    || query::with_tables(&state.frames).any(with)
                    || name == words::MAIN
            }
            Role::Member(from, to) => {
                let qualifier = plain(&self.text[from..to]);
                self.column_of(&state.frames, &qualifier, name)
            }
            Role::Operand if state.last == Last::Main => names.tables.has(name),
            Role::Operand => {
                query::column(
                    &state.frames,
                    names,
                    |own| own == name,
                    |words| words.has(name),
                )
                .0 || query::source(&state.frames, |own| own == name)
                    || name == words::MAIN
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
            Some(Qualifier::Source(columns)) => {
                columns.pass(&self.names, |words| words.has(column))
            }
            Some(Qualifier::Wanted(_)) => {
                self.may_give(frames, qualifier, |words| words.has(column))
            }
            None => false,
        }
    }
    /// Whether what has that name, which FROM is still to tell, may have a column that passes `test`.
    fn may_give(&self, frames: &[Frame], name: &[u8], test: impl Fn(&Words) -> bool) -> bool {
        let columns = query::expected(frames, &self.names, name);
        columns.is_none_or(|columns| columns.pass(&self.names, test))
    }
}
