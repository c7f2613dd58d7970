//! Reads a query byte by byte, and says which byte may not come next because no name goes on so.
//!
//! It knows names and where they may stand, and leaves what a query looks like to the grammar beside it. Where it cannot know, all is
//! allowed: strings, what stands in sub-queries of FROM and tables of WITH, new names. A table's columns bind from FROM on. What was
//! asked for before is kept: FROM does not end until its tables have it.

mod brackets;
mod finish;
mod growth;

use super::names::{Names, plain};
use super::query::{self, Clause, Frame, Paren, Query};
use super::vocabulary::Bytes;
use super::words::{Place, in_word};
use std::sync::Arc;

/// A query so far.
pub struct Scan {
    names: Arc<Names>,
    text: Vec<u8>,
    /// Behind each byte of the text, and before the first.
    states: Vec<State>,
}

#[derive(Debug, Clone)]
struct State {
    frames: Arc<Vec<Frame>>,
    token: Token,
    /// Where the token begins.
    start: usize,
    role: Role,
    /// Whether any name may stand where the token is.
    any: bool,
    last: Last,
}

/// The token that the text ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    None,
    Word,
    Number,
    /// Up to that byte.
    Quoted(u8),
    /// Behind that byte, which may be doubled.
    Closed(u8),
}

/// What a name or a word is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A column of what stands before the dot, which begins and ends there.
    Member(usize, usize),
    Source,
    Operand,
    Behind,
    New,
    Free,
    With,
}

/// What stands before the next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Something that an operand follows.
    Begin,
    /// The same, at the beginning of brackets or of the whole.
    Open,
    Operand,
    /// A new name.
    Named,
    /// A name that brackets must follow: a function's.
    Function,
    /// A name that brackets may follow: a function's, or else a column's, which begins and ends there.
    Either(usize, usize),
    /// A name that a dot follows.
    Dot(usize, usize),
    As,
    Free,
    Using,
    Over,
    Filter,
    Select,
    /// UNION and the like.
    Set,
    Sign,
    Case,
    /// IS, or IS NOT.
    Is,
    /// IS DISTINCT.
    Distinct,
    /// The name of the database, and a dot behind it.
    Main,
}

impl Bytes for Scan {
    fn push(&mut self, byte: u8) -> bool {
        let Some(mut next) = self.states.last().cloned() else {
            return false;
        };
        self.text.push(byte);
        let taken = self.step(&mut next, byte).is_some();
        match taken {
            true => self.states.push(next),
            false => {
                self.text.pop();
            }
        }
        taken
    }

    fn pop(&mut self, bytes: usize) {
        let left = self.text.len().saturating_sub(bytes);
        self.text.truncate(left);
        self.states.truncate(left + 1);
    }

    fn passes(&self, bytes: &[u8]) -> bool {
        let Some(state) = self.states.last().filter(|state| state.any) else {
            return false;
        };
        match state.token {
            Token::Word => bytes.iter().all(|byte| in_word(*byte)),
            Token::Quoted(close) => !bytes.contains(&close),
            Token::None | Token::Number | Token::Closed(_) => false,
        }
    }
}

impl Scan {
    /// Nothing yet.
    pub fn new(names: Arc<Names>) -> Self {
        let state = State {
            frames: Arc::new(vec![Frame::Query(Query::new(Clause::Rest))]),
            token: Token::None,
            start: 0,
            role: Role::Operand,
            any: false,
            last: Last::Open,
        };
        Self {
            names,
            text: Vec::new(),
            states: vec![state],
        }
    }

    /// Takes a text if all of it may come.
    pub fn push_all(&mut self, bytes: &[u8]) -> bool {
        for (taken, &byte) in bytes.iter().enumerate() {
            if !self.push(byte) {
                self.pop(taken);
                return false;
            }
        }
        true
    }

    /// Whether all of a text may come.
    pub fn may_push(&mut self, bytes: &[u8]) -> bool {
        let may = self.push_all(bytes);
        if may {
            self.pop(bytes.len());
        }
        may
    }

    /// Whether the query may end.
    pub fn may_end(&mut self) -> bool {
        self.may_push(b";")
    }

    fn step(&self, next: &mut State, byte: u8) -> Option<()> {
        match next.token {
            Token::Word if in_word(byte) => {}
            Token::Number if in_word(byte) || byte == b'.' => {}
            Token::Quoted(close) if byte == close => next.token = Token::Closed(close),
            Token::Quoted(_) => {}
            Token::Closed(close) if byte == close && close != b']' => {
                next.token = Token::Quoted(close);
            }
            _ => {
                self.finish(next, byte)?;
                self.begin(next, byte)?;
            }
        }
        self.may_grow(next).then_some(())
    }

    /// Begins a token with `byte`, the last of the text.
    fn begin(&self, next: &mut State, byte: u8) -> Option<()> {
        next.token = Token::None;
        let space = byte.is_ascii_whitespace();
        match next.last {
            _ if space || byte == b'(' => {}
            Last::Function => return None,
            Last::Either(from, to) => {
                self.want(next, plain(&self.text[from..to]));
                next.last = Last::Operand;
            }
            _ => {}
        }
        next.start = self.text.len() - 1;
        let operand = self.is_due(next.last);
        match byte {
            _ if space => {}
            b'.' if matches!(next.last, Last::Dot(..) | Last::Main) => {}
            b'0'..=b'9' | b'.' => {
                next.token = Token::Number;
                next.last = Last::Operand;
            }
            b'"' | b'\'' | b'`' => self.begin_name(next, Token::Quoted(byte)),
            b'[' => self.begin_name(next, Token::Quoted(b']')),
            _ if in_word(byte) => self.begin_name(next, Token::Word),
            b'(' => self.open(next),
            b')' => self.close(next)?,
            b',' => self.comma(next),
            b';' => {
                let frames = Arc::make_mut(&mut next.frames);
                if frames.len() > 1 || !self.ended(frames, self.text.len() - 1) {
                    return None;
                }
                next.last = Last::Free;
            }
            b'*' => {
                if let Last::Dot(from, to) = next.last {
                    let name = plain(&self.text[from..to]);
                    self.member(next, name, Vec::new())?;
                }
                let star = operand || matches!(next.last, Last::Dot(..));
                if operand
                    && let Some(Frame::Query(query)) = Arc::make_mut(&mut next.frames).last_mut()
                {
                    // Of any table.
                    query.wanted.push((None, Vec::new()));
                }
                next.last = if star { Last::Operand } else { Last::Begin };
            }
            b'-' | b'+' | b'~' => next.last = Last::Sign,
            _ => next.last = Last::Begin,
        }
        Some(())
    }

    /// Whether an operand is due.
    fn is_due(&self, last: Last) -> bool {
        use Last::{Begin, Case, Is, Open, Select, Set, Sign};
        matches!(last, Begin | Open | Select | Set | Sign | Case | Is)
    }

    /// Which words may stand where an operand is due.
    fn place(&self, state: &State) -> Place {
        let paren = match state.frames.last() {
            Some(Frame::Paren(paren)) => Some(*paren),
            _ => None,
        };
        match (state.last, paren) {
            (Last::Sign, _) => Place::Sign,
            (Last::Select, _) => Place::Select,
            (Last::Set, _) => Place::Set,
            (Last::Case, _) => Place::Case,
            (Last::Is, _) => Place::Is,
            (Last::Open, Some(Paren::Call)) => Place::Call,
            (Last::Open, Some(Paren::Filter)) => Place::Filter,
            (Last::Open, Some(Paren::Window)) => Place::Window,
            (Last::Open, Some(Paren::Using)) => Place::Sign,
            (Last::Open, _) => Place::Query,
            _ => Place::Anywhere,
        }
    }

    fn begin_name(&self, next: &mut State, token: Token) {
        next.token = token;
        next.role = self.role(next);
        next.any = match next.role {
            Role::Free | Role::With => true,
            Role::Operand => {
                let string =
                    matches!(token, Token::Quoted(b'"' | b'\'')) && next.last != Last::Main;
                // Before FROM any name may be one that FROM gives to a table.
                string || query::source(&next.frames, |_| false)
            }
            // What is selected may be called anything, and so may a table of which nothing was asked by name.
            Role::New => match next.frames.last() {
                Some(Frame::Query(query)) => {
                    let free = |(of, _): &(Option<Vec<u8>>, _)| of.is_none();
                    query.clause != Clause::From || query.wanted.iter().all(free)
                }
                _ => true,
            },
            Role::Behind | Role::Member(..) | Role::Source => false,
        };
    }

    /// Whether the innermost query may end at `end`.
    fn ended(&self, frames: &mut [Frame], end: usize) -> bool {
        let at = query::innermost(frames);
        match at.map(|at| &mut frames[at]) {
            Some(Frame::Query(query)) if query.clause == Clause::Rest => true,
            Some(Frame::Query(query)) => {
                self.end_items(query, end);
                query::settle(frames, &self.names)
            }
            _ => true,
        }
    }

    fn role(&self, state: &State) -> Role {
        let top = state.frames.last();
        match (state.last, top) {
            (Last::Dot(from, to), _) => return Role::Member(from, to),
            (_, Some(Frame::Paren(Paren::Free))) => return Role::Free,
            (_, Some(Frame::Query(query))) if query.clause == Clause::With => return Role::With,
            _ => {}
        }
        match state.last {
            Last::As => Role::New,
            Last::Free | Last::Using | Last::Over | Last::Filter | Last::Distinct => Role::Free,
            _ if self.at_source(state) => Role::Source,
            Last::Operand | Last::Named | Last::Function | Last::Either(..) => Role::Behind,
            _ => Role::Operand,
        }
    }

    /// Whether a table must come next: in FROM, and not in brackets of an expression there.
    fn at_source(&self, state: &State) -> bool {
        let sources = |frame: &Frame| match frame {
            Frame::Query(query) => query.at_source,
            Frame::Paren(_) => false,
        };
        match state.frames.last() {
            Some(Frame::Paren(Paren::Sources)) => {
                query::innermost(&state.frames).is_some_and(|at| sources(&state.frames[at]))
            }
            Some(frame) => sources(frame),
            None => false,
        }
    }
}
