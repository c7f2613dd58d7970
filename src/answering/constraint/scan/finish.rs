//! What a name or a word does when it ends.

use super::super::names::{Words, plain};
use super::super::query::{self, Clause, Columns, Frame, Paren, Qualifier, Source};
use super::super::words::{self, Meaning, Place};
use super::{Last, Role, Scan, State, Token};
use std::sync::Arc;

impl Scan {
    /// Takes `column` of `qualifier`, which all have where it is empty.
    pub(super) fn member(
        &self,
        next: &mut State,
        qualifier: Vec<u8>,
        column: Vec<u8>,
    ) -> Option<()> {
        if !column.is_empty() && !self.column_of(&next.frames, &qualifier, &column) {
            return None;
        }
        match query::qualifier(&next.frames, &qualifier)? {
            Qualifier::Source(_) => {}
            Qualifier::Wanted(at) => {
                if let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at] {
                    query.wanted.push((Some(qualifier), column));
                }
            }
        }
        Some(())
    }

    /// Ends the token that `byte` follows.
    pub(super) fn finish(&self, next: &mut State, byte: u8) -> Option<()> {
        let quoted = match next.token {
            Token::Word => false,
            Token::Closed(_) => true,
            Token::None | Token::Number | Token::Quoted(_) => return Some(()),
        };
        let end = self.text.len() - 1;
        let place = (next.start, end);
        let name = plain(&self.text[next.start..end]);
        match next.role {
            Role::Member(from, to) => {
                if byte == b'.' {
                    return None;
                }
                let qualifier = plain(&self.text[from..to]);
                self.member(next, qualifier, name)?;
                next.last = Last::Operand;
            }
            Role::With => self.finish_with(next, name, quoted),
            Role::Source => self.finish_source(next, name, quoted, byte)?,
            Role::New => {
                self.name(next, name)?;
                next.last = Last::Named;
            }
            Role::Operand => self.finish_operand(next, name, quoted, place, byte)?,
            Role::Free if next.last == Last::Distinct => next.last = Last::Begin,
            Role::Free | Role::Behind => {
                let free = matches!(next.frames.last(), Some(Frame::Paren(Paren::Free)));
                let meaning = words::behind(&name).filter(|_| !quoted && !free);
                match meaning {
                    Some(meaning) => self.mean(next, meaning)?,
                    None => {
                        next.last = Last::Operand;
                        if next.role == Role::Behind {
                            self.name(next, name)?;
                            next.last = Last::Named;
                        }
                    }
                }
            }
        }
        Some(())
    }

    pub(super) fn finish_with(&self, next: &mut State, name: Vec<u8>, quoted: bool) {
        match &name[..] {
            b"recursive" if !quoted && next.last == Last::Begin => {}
            b"as" if !quoted && next.last != Last::Begin => next.last = Last::As,
            b"not" | b"materialized" if !quoted && next.last == Last::As => {}
            name if !quoted && words::begins_query(name) && next.last == Last::Operand => {
                self.begin_query(next, name);
            }
            _ => {
                if let Some(Frame::Query(query)) = Arc::make_mut(&mut next.frames).last_mut() {
                    query.tables.push(Source {
                        name,
                        columns: Columns::Any,
                    });
                }
                next.last = Last::Operand;
            }
        }
    }

    pub(super) fn finish_source(
        &self,
        next: &mut State,
        name: Vec<u8>,
        quoted: bool,
        byte: u8,
    ) -> Option<()> {
        if !quoted && next.last == Last::Open && words::begins_query(&name) {
            self.begin_query(next, &name);
            return Some(());
        }
        if byte == b'.' && name == words::MAIN && next.last != Last::Main {
            next.last = Last::Main;
            return Some(());
        }
        let columns = query::expected(&next.frames, &self.names, &name)?;
        let with = query::with_tables(&next.frames).any(|table| table.name == name);
        let own = with || self.names.tables.has(&name);
        let function = words::TABLES.contains(&&name[..]) && !own;
        if byte == b'.' || function && quoted {
            return None;
        }
        let at = query::innermost(&next.frames)?;
        if let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at] {
            query.sources.push(Source { name, columns });
            query.at_source = false;
        }
        next.last = if function {
            Last::Function
        } else {
            Last::Operand
        };
        Some(())
    }

    pub(super) fn finish_operand(
        &self,
        next: &mut State,
        name: Vec<u8>,
        quoted: bool,
        (from, to): (usize, usize),
        byte: u8,
    ) -> Option<()> {
        if next.last == Last::Main && byte != b'.' {
            // Something else may be called so.
            self.member(next, words::MAIN.to_vec(), name)?;
            next.last = Last::Operand;
            return Some(());
        }
        if byte == b'.' {
            let known = query::qualifier(&next.frames, &name);
            let source = matches!(known, Some(Qualifier::Source(_)));
            let again = next.last == Last::Main;
            next.last = match known {
                _ if name == words::MAIN && !source && !again => Last::Main,
                Some(_) => Last::Dot(from, to),
                None => return None,
            };
            return Some(());
        }
        if !quoted && name == words::BLOB && byte == b'\'' {
            next.last = Last::Begin;
            return Some(());
        }
        let quote = self.text[from];
        if quoted && (quote == b'"' || quote == b'\'') {
            next.last = Last::Operand;
            return Some(());
        }
        if !quoted && words::begins_query(&name) {
            self.begin_query(next, &name);
            return Some(());
        }
        let window = self.place(next) == Place::Window;
        if window && (name == b"order" || name == b"partition") {
            next.last = Last::Free;
            return Some(());
        }
        if !quoted && name == b"all" && next.last == Last::Set {
            // SELECT is still to come.
            return Some(());
        }
        if let Some(meaning) = words::operand(&name).filter(|_| !quoted) {
            return self.mean(next, meaning);
        }
        let own = |other: &[u8]| other == name;
        let (column, _) = query::column(&next.frames, &self.names, own, |words| words.has(&name));
        let function = !quoted && self.names.functions.has(&name);
        if !function && (byte == b'(' || !column) {
            return None;
        }
        next.last = match (column, function) {
            (_, true) if byte == b'(' => Last::Function,
            (false, _) => Last::Function,
            (true, true) => Last::Either(from, to),
            (true, false) => {
                self.want(next, name);
                Last::Operand
            }
        };
        Some(())
    }

    /// Asks for a column without a table where the tables are not known yet.
    pub(super) fn want(&self, next: &mut State, column: Vec<u8>) {
        let own = |other: &[u8]| other == column;
        let has = |words: &Words| words.has(&column);
        let (_, wanted) = query::column(&next.frames, &self.names, own, has);
        if let Some(at) = wanted
            && let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at]
        {
            query.wanted.push((None, column));
        }
    }

    /// Gives a new name to the last table, or to what is selected.
    pub(super) fn name(&self, next: &mut State, name: Vec<u8>) -> Option<()> {
        let sources = match next.frames.last()? {
            Frame::Query(query) => query.clause == Clause::From,
            Frame::Paren(Paren::Sources) => true,
            Frame::Paren(_) => return Some(()),
        };
        let at = query::innermost(&next.frames)?;
        if let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at] {
            match sources {
                true if !query.may_name(&self.names, &name) => return None,
                true => query.sources.last_mut()?.name = name,
                false => query.columns.push(name),
            }
        }
        Some(())
    }

    pub(super) fn mean(&self, next: &mut State, meaning: Meaning) -> Option<()> {
        let start = next.start;
        let frames = Arc::make_mut(&mut next.frames);
        let top = frames.last().and_then(|frame| match frame {
            Frame::Paren(paren) => Some(*paren),
            Frame::Query(_) => None,
        });
        let within = top.is_some_and(|paren| paren != Paren::Sources);
        next.last = match meaning {
            Meaning::Source | Meaning::On | Meaning::Ends | Meaning::EndsFree if within => {
                match meaning {
                    Meaning::EndsFree => Last::Free,
                    _ => Last::Begin,
                }
            }
            Meaning::Source | Meaning::On => {
                let at = query::innermost(frames)?;
                if let Frame::Query(query) = &mut frames[at] {
                    let source = meaning == Meaning::Source;
                    self.end_items(query, start);
                    query.at_source = source;
                    query.clause = if source { Clause::From } else { Clause::On };
                }
                Last::Begin
            }
            Meaning::Ends | Meaning::EndsFree => {
                if !self.ended(frames, start) {
                    return None;
                }
                match meaning {
                    Meaning::Ends => Last::Begin,
                    _ => Last::Free,
                }
            }
            Meaning::Using => Last::Using,
            Meaning::Over => Last::Over,
            Meaning::Filter => Last::Filter,
            Meaning::Case => {
                if let Some(Frame::Query(query)) = frames.last_mut() {
                    query.cases += 1;
                }
                Last::Case
            }
            Meaning::CaseEnd => {
                if let Some(Frame::Query(query)) = frames.last_mut() {
                    query.cases = query.cases.saturating_sub(1);
                }
                Last::Operand
            }
            Meaning::Set => {
                if !self.ended(frames, start) {
                    return None;
                }
                Last::Set
            }
            Meaning::As => Last::As,
            Meaning::Is => Last::Is,
            Meaning::Not if next.last == Last::Is => Last::Is,
            Meaning::Distinct if next.last == Last::Is => Last::Distinct,
            Meaning::Not | Meaning::Distinct => Last::Begin,
            Meaning::Begin => Last::Begin,
            Meaning::Free => Last::Free,
            Meaning::Operand => Last::Operand,
            Meaning::Frame => {
                if let (Some(Frame::Paren(paren)), true) = (frames.last_mut(), within) {
                    *paren = Paren::Free;
                }
                Last::Free
            }
        };
        Some(())
    }
}
