//! Where queries, brackets and lists begin and end.

use super::super::query::{self, Clause, Frame, Paren, Query, Source};
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
            match word {
                b"with" => query.clause = Clause::With,
                // It reads no table.
                b"values" => query.clause = Clause::Rest,
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
            _ if with => Paren::Free,
            Last::Using => Paren::Using,
            Last::Callable {
                aggregate: true, ..
            } => Paren::Aggregate,
            Last::Callable { .. } => Paren::Call,
            Last::Filter => Paren::Filter,
            _ if self.at_source(next) => Paren::Sources,
            _ => Paren::Expression,
        };
        Arc::make_mut(&mut next.frames).push(Frame::Paren(paren));
        next.last = Last::Open;
    }

    pub(super) fn close(&self, next: &mut State) -> Option<()> {
        let frames = Arc::make_mut(&mut next.frames);
        if let Some(Frame::Query(_)) = frames.last()
            && !self.ended(frames)
        {
            return None;
        }
        if frames.len() == 1 {
            return None;
        }
        let closed = frames.pop();
        let at = query::innermost(frames)?;
        if let (Some(Frame::Query(_)), Frame::Query(query)) = (closed, &mut frames[at])
            && query.at_source
        {
            query.at_source = false;
            query.sources.push(Source {
                name: Vec::new(),
                table: None,
            });
        }
        next.last = Last::Operand;
        Some(())
    }

    pub(super) fn comma(&self, next: &mut State) {
        next.last = Last::Begin;
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
