//! Reads a query byte by byte, and says which byte may not come next because no name goes on so.
//!
//! It knows names and where they may stand, and leaves what a query looks like to the grammar beside it. Where it cannot know, all is
//! allowed: strings, what stands in sub-queries of FROM and tables of WITH, new names. A table's columns bind from FROM on. What was
//! asked for before is kept: FROM does not end until its tables have it.

use super::names::{Names, Words};
use super::query::{self, Clause, Frame, Paren, Qualifier, Query, Source};
use super::words::{self, Meaning, Place, in_word};
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
    /// A name that brackets must follow, or may.
    Callable {
        must: bool,
        aggregate: bool,
    },
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
}

/// The name that a token is, in small letters.
fn content(token: &[u8]) -> Vec<u8> {
    let Some(quote) = token.first().filter(|byte| b"\"'`[".contains(byte)) else {
        return token.to_ascii_lowercase();
    };
    let close = if *quote == b'[' { b']' } else { *quote };
    let mut name = Vec::new();
    let mut rest = token[1..].iter().peekable();
    while let Some(&byte) = rest.next() {
        if byte == close && rest.next_if(|next| **next == close).is_none() {
            break;
        }
        name.push(byte.to_ascii_lowercase());
    }
    name
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

    /// Takes the next byte if it may come.
    pub fn push(&mut self, byte: u8) -> bool {
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

    /// Takes the last bytes back.
    pub fn pop(&mut self, bytes: usize) {
        let left = self.text.len().saturating_sub(bytes);
        self.text.truncate(left);
        self.states.truncate(left + 1);
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

    /// Whether the query may end.
    pub fn may_end(&mut self) -> bool {
        let may = self.push(b';');
        if may {
            self.pop(1);
        }
        may
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
        if let (Last::Callable { must: true, .. }, false, false) = (next.last, space, byte == b'(')
        {
            return None;
        }
        next.start = self.text.len() - 1;
        let operand = self.is_due(next.last);
        match byte {
            _ if space => {}
            b'.' if matches!(next.last, Last::Dot(..)) => {}
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
                if frames.len() > 1 || !self.ended(frames) {
                    return None;
                }
                next.last = Last::Free;
            }
            b'*' => {
                if let Last::Dot(from, to) = next.last {
                    let name = content(&self.text[from..to]);
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
        use Last::{Begin, Case, Open, Select, Set, Sign};
        matches!(last, Begin | Open | Select | Set | Sign | Case)
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
            (Last::Open, Some(Paren::Call | Paren::Aggregate)) => Place::Call,
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
                let string = matches!(token, Token::Quoted(b'"' | b'\''));
                // Before FROM any name may be one that FROM gives to a table.
                string || query::source(&next.frames, |_| false)
            }
            Role::New | Role::Behind | Role::Member(..) | Role::Source => false,
        };
    }

    /// Whether the innermost query may end here.
    fn ended(&self, frames: &mut Vec<Frame>) -> bool {
        let at = query::innermost(frames);
        match at.map(|at| &frames[at]) {
            Some(Frame::Query(query)) if query.clause == Clause::Rest => true,
            _ => query::settle(frames, &self.names),
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
            Last::Free | Last::Using | Last::Over | Last::Filter => Role::Free,
            _ if self.at_source(state) => Role::Source,
            Last::Operand | Last::Named | Last::Callable { .. } => Role::Behind,
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

    /// Whether the token may still become one that may stand there.
    fn may_grow(&self, state: &State) -> bool {
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
    fn begins(&self, state: &State, text: &[u8], word: bool) -> bool {
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
    fn is(&self, state: &State, name: &[u8]) -> bool {
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
    fn may_follow(&self, state: &State, word: &[u8]) -> bool {
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
    fn may_name(&self, frames: &[Frame], name: &[u8]) -> bool {
        match frames.last() {
            Some(Frame::Query(query)) if query.clause == Clause::From => {
                query.may_name(&self.names, name) || query.wants_longer(name)
            }
            _ => true,
        }
    }

    fn column_of(&self, frames: &[Frame], qualifier: &[u8], column: &[u8]) -> bool {
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

    /// Takes `column` of `qualifier`, which all have where it is empty.
    fn member(&self, next: &mut State, qualifier: Vec<u8>, column: Vec<u8>) -> Option<()> {
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
    fn finish(&self, next: &mut State, byte: u8) -> Option<()> {
        let quoted = match next.token {
            Token::Word => false,
            Token::Closed(_) => true,
            Token::None | Token::Number | Token::Quoted(_) => return Some(()),
        };
        let end = self.text.len() - 1;
        let place = (next.start, end);
        let name = content(&self.text[next.start..end]);
        match next.role {
            Role::Member(from, to) => {
                if byte == b'.' {
                    return None;
                }
                let qualifier = content(&self.text[from..to]);
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

    fn finish_with(&self, next: &mut State, name: Vec<u8>, quoted: bool) {
        match &name[..] {
            b"recursive" if !quoted && next.last == Last::Begin => {}
            b"as" if !quoted && next.last != Last::Begin => next.last = Last::As,
            b"not" | b"materialized" if !quoted && next.last == Last::As => {}
            name if !quoted && words::begins_query(name) && next.last == Last::Operand => {
                self.begin_query(next, name);
            }
            _ => {
                if let Some(Frame::Query(query)) = Arc::make_mut(&mut next.frames).last_mut() {
                    query.tables.push(name);
                }
                next.last = Last::Operand;
            }
        }
    }

    fn finish_source(&self, next: &mut State, name: Vec<u8>, quoted: bool, byte: u8) -> Option<()> {
        if !quoted && next.last == Last::Open && words::begins_query(&name) {
            self.begin_query(next, &name);
            return Some(());
        }
        let with = query::with_table(&next.frames, |own| own == name);
        let table = self.names.place(&name);
        let function = words::TABLES.contains(&&name[..]) && !self.names.tables.has(&name);
        if byte == b'.' || !with && (table.is_none() || function && quoted) {
            return None;
        }
        let at = query::innermost(&next.frames)?;
        if let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at] {
            query.sources.push(Source {
                name,
                table: table.filter(|_| !with),
            });
            query.at_source = false;
        }
        next.last = match function && !with {
            true => Last::Callable {
                must: true,
                aggregate: false,
            },
            false => Last::Operand,
        };
        Some(())
    }

    fn finish_operand(
        &self,
        next: &mut State,
        name: Vec<u8>,
        quoted: bool,
        (from, to): (usize, usize),
        byte: u8,
    ) -> Option<()> {
        if byte == b'.' {
            query::qualifier(&next.frames, &name)?;
            next.last = Last::Dot(from, to);
            return Some(());
        }
        let quote = self.text[from];
        if quoted && (quote == b'"' || quote == b'\'') {
            next.last = Last::Operand;
            return Some(());
        }
        let begins =
            words::begins_query(&name) && (name != b"with" || self.place(next) == Place::Query);
        if !quoted && begins {
            self.begin_query(next, &name);
            return Some(());
        }
        let window = self.place(next) == Place::Window;
        if window && (name == b"order" || name == b"partition") {
            next.last = Last::Free;
            return Some(());
        }
        if let Some(meaning) = words::operand(&name).filter(|_| !quoted) {
            return self.mean(next, meaning);
        }
        let own = |other: &[u8]| other == name;
        let (column, wanted) =
            query::column(&next.frames, &self.names, own, |words| words.has(&name));
        let function = !quoted && self.names.functions.has(&name);
        if byte == b'(' && !function || !column && !function {
            return None;
        }
        let aggregate = words::is_aggregate(&name);
        next.last = match (column, function) {
            (_, true) if byte == b'(' => Last::Callable {
                must: true,
                aggregate,
            },
            (false, _) => Last::Callable {
                must: true,
                aggregate,
            },
            (true, true) => Last::Callable {
                must: false,
                aggregate,
            },
            (true, false) => Last::Operand,
        };
        // What may be a function is not asked of the tables.
        if let (Some(at), Last::Operand) = (wanted, next.last)
            && let Frame::Query(query) = &mut Arc::make_mut(&mut next.frames)[at]
        {
            query.wanted.push((None, name));
        }
        Some(())
    }

    /// Gives a new name to the last table, or to what is selected.
    fn name(&self, next: &mut State, name: Vec<u8>) -> Option<()> {
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

    fn mean(&self, next: &mut State, meaning: Meaning) -> Option<()> {
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
                    query.at_source = source;
                    query.clause = if source { Clause::From } else { Clause::On };
                }
                Last::Begin
            }
            Meaning::Ends | Meaning::EndsFree => {
                if !self.ended(frames) {
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
                if !self.ended(frames) {
                    return None;
                }
                Last::Set
            }
            Meaning::As => Last::As,
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

    fn begin_query(&self, next: &mut State, word: &[u8]) {
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

    fn open(&self, next: &mut State) {
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

    fn close(&self, next: &mut State) -> Option<()> {
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

    fn comma(&self, next: &mut State) {
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
