//! Where queries, brackets and lists begin and end.

use super::super::query::{self, Clause, Frame, Output, Paren, Query, Source};
use super::{Last, Scan, State};
use std::sync::Arc;

impl Scan {
    pub(super) fn begin_query(&self, next: &mut State, word: &[u8]) {
        let frames = Arc::make_mut(&mut next.frames);
        if let Some(frame @ Frame::Paren(_)) = frames.last_mut() {
            *frame = Frame::Query(Query::new(Clause::Select));
        }
        if let Some(Frame::Query(query)) = frames.last_mut() {
            query.select();
            query.output.item = self.text.len() - 1;
            match word {
                b"with" => query.clause = Clause::With,
                // It reads no table, and its columns have names of their own.
                b"values" => {
                    query.clause = Clause::Rest;
                    query.output.more |= !query.output.done;
                    query.output.done = true;
                }
                _ => {}
            }
        }
        next.last = match word {
            b"select" => Last::Select,
            _ => Last::Begin,
        };
    }

    pub(super) fn open(&self, next: &mut State) {
        let top = next.frames.last();
        let with = matches!(top, Some(Frame::Query(query)) if query.clause == Clause::With);
        let paren = match next.last {
            _ if matches!(top, Some(Frame::Paren(Paren::Free))) => Paren::Free,
            Last::As if with => Paren::Expression,
            Last::As | Last::Over => Paren::Window,
            // Around the columns of a table of WITH.
            _ if with => {
                if let Some(Frame::Query(query)) = Arc::make_mut(&mut next.frames).last_mut() {
                    query.output.item = self.text.len();
                }
                Paren::Free
            }
            Last::Using => Paren::Using,
            Last::Function | Last::Either(..) => Paren::Call,
            Last::Filter => Paren::Filter,
            _ if self.at_source(next) => Paren::Sources,
            _ => Paren::Expression,
        };
        Arc::make_mut(&mut next.frames).push(Frame::Paren(paren));
        next.last = Last::Open;
    }

    pub(super) fn close(&self, next: &mut State) -> Option<()> {
        let end = self.text.len() - 1;
        let frames = Arc::make_mut(&mut next.frames);
        if let Some(Frame::Query(_)) = frames.last()
            && !self.ended(frames, end)
        {
            return None;
        }
        if frames.len() == 1 {
            return None;
        }
        let closed = frames.pop();
        let at = query::innermost(frames)?;
        let own = at + 1 == frames.len();
        if let Frame::Query(query) = &mut frames[at] {
            match closed {
                Some(Frame::Query(inner)) if query.at_source => {
                    query.at_source = false;
                    query.sources.push(Source {
                        name: Vec::new(),
                        columns: inner.output.columns(),
                    });
                }
                Some(Frame::Query(inner)) if own && query.clause == Clause::With => {
                    query.define(|| inner.output.columns());
                }
                Some(Frame::Paren(Paren::Free)) if own && query.clause == Clause::With => {
                    let listed = self.text[query.output.item..end].split(|byte| *byte == b',');
                    let mut output = Output::default();
                    listed.for_each(|name| output.add(name));
                    query.define(|| output.columns());
                }
                _ => {}
            }
        }
        next.last = Last::Operand;
        Some(())
    }

    /// Takes what `query` selects to end at `end`.
    pub(super) fn end_items(&self, query: &mut Query, end: usize) {
        if query.clause == Clause::Select && !query.output.done {
            query.output.add(&self.text[query.output.item..end]);
            query.output.done = true;
        }
    }

    pub(super) fn comma(&self, next: &mut State) {
        next.last = Last::Begin;
        if let Some(Frame::Query(query)) = Arc::make_mut(&mut next.frames).last_mut()
            && query.clause == Clause::Select
            && !query.output.done
        {
            let end = self.text.len();
            query.output.add(&self.text[query.output.item..end - 1]);
            query.output.item = end;
        }
        let sources = match next.frames.last() {
            Some(Frame::Query(query)) => matches!(query.clause, Clause::From | Clause::On),
            Some(Frame::Paren(paren)) => *paren == Paren::Sources,
            None => false,
        };
        let at = query::innermost(&next.frames);
        if let (true, Some(at)) = (sources, at)
            && let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at]
        {
            query.clause = Clause::From;
            query.at_source = true;
        }
    }
}
