//! Where the reader of a query stands: the tokens ahead, and the tables that names are of.

use super::names::{Names, lower};
use super::tree::{Column, Query};
use crate::sql::tokens::{Kind, Token, tokens};

/// Queries inside or after one another; the bound keeps recursion short.
const MAX_DEPTH: usize = 50;
/// SQLite joins no more; the bound keeps the search for a column short.
const MAX_TABLES: usize = 64;

/// Why a text is not a query, in one line.
pub type Reason = String;

/// A table of FROM and the alias it has there.
struct Named {
    alias: Option<String>,
    table: usize,
}

/// A place in the tokens, and what the names mean there.
pub struct Parser<'a> {
    pub tokens: Vec<Token<'a>>,
    pub at: usize,
    pub names: &'a Names,
    /// True inside a subquery of FROM, where literals count.
    pub literals_count: bool,
    /// The tables of the query at hand, last, and of those around it.
    scopes: Vec<Vec<Named>>,
    depth: usize,
}

/// Reads the query that `sql` starts with; text after a `;` is ignored.
pub fn parse(sql: &str, names: &Names) -> Result<Query, Reason> {
    let tokens = tokens(sql);
    if let Some(token) = tokens.iter().find(|token| is_open(token)) {
        return Err(format!("a quote without its end: {}", shown(token.text)));
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        names,
        literals_count: false,
        scopes: Vec::new(),
        depth: 0,
    };
    let query = parser.query()?;
    let before = parser
        .at
        .checked_sub(1)
        .and_then(|at| parser.tokens.get(at));
    let ended = parser.peek().is_none() || before.is_some_and(|token| token.is(";"));
    match ended {
        true => Ok(query),
        false => Err(parser.expected("the end")),
    }
}

impl<'a> Parser<'a> {
    pub fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    /// True if `text` is next.
    pub fn is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.is(text))
    }

    /// Goes past `text` if it is next.
    pub fn take(&mut self, text: &str) -> bool {
        let found = self.is(text);
        self.at += usize::from(found);
        found
    }

    /// Goes past the one of `texts` that is next, and says what it stands for.
    pub fn take_of<T: Copy>(&mut self, texts: &[(&str, T)]) -> Option<T> {
        let (_, meaning) = *texts.iter().find(|(text, _)| self.is(text))?;
        self.at += 1;
        Some(meaning)
    }

    pub fn require(&mut self, text: &str) -> Result<(), Reason> {
        match self.take(text) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{text}`"))),
        }
    }

    /// Goes past a bare word.
    pub fn word(&mut self, what: &str) -> Result<&'a str, Reason> {
        match self.peek() {
            Some(token) if token.kind == Kind::Word => {
                self.at += 1;
                Ok(token.text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// The reason to give when `what` should be next and is not.
    pub fn expected(&self, what: &str) -> Reason {
        match self.peek() {
            Some(token) => format!("{what} should be at {}", shown(token.text)),
            None => format!("it ends where {what} should be"),
        }
    }

    /// Enters a query inside or after another.
    pub fn deeper(&mut self) -> Result<(), Reason> {
        self.depth += 1;
        match self.depth {
            0..=MAX_DEPTH => Ok(()),
            _ => Err(format!("more than {MAX_DEPTH} queries in one another")),
        }
    }

    pub fn shallower(&mut self) {
        self.depth -= 1;
    }

    pub fn open_scope(&mut self) {
        self.scopes.push(Vec::new());
    }

    pub fn close_scope(&mut self) {
        self.scopes.pop();
    }

    /// Adds a table to the query at hand.
    pub fn name_table(&mut self, table: usize, alias: Option<&str>) -> Result<(), Reason> {
        let alias = alias.map(lower);
        match self.scopes.last_mut() {
            Some(scope) if scope.len() < MAX_TABLES => scope.push(Named { alias, table }),
            _ => return Err(format!("more than {MAX_TABLES} tables in a FROM")),
        }
        Ok(())
    }

    /// Reads `column` or `table.column`.
    pub fn column(&mut self) -> Result<Column, Reason> {
        let first = self.word("a column")?;
        let (table, column) = match self.take(".") {
            true => (Some(first), self.word("a column")?),
            false => (None, first),
        };
        let found = match table {
            Some(table) => self.of_table(&lower(table), column),
            None => self.of_query(column),
        };
        found.ok_or_else(|| match table {
            Some(table) => format!("no column {} of {}", shown(column), shown(table)),
            None => format!("no column {}", shown(column)),
        })
    }

    /// The column of that name in the first table of the query at hand that has one.
    pub fn of_query(&self, column: &str) -> Option<Column> {
        let mut tables = self.scopes.last()?.iter();
        tables.find_map(|named| self.names.column(named.table, column))
    }

    /// In the nearest query, an alias goes before a table of that name.
    fn of_table(&self, table: &str, column: &str) -> Option<Column> {
        let number = self.names.table(table);
        self.scopes.iter().rev().find_map(|scope| {
            let by_alias = scope
                .iter()
                .filter(|named| named.alias.as_deref() == Some(table));
            let by_name = scope.iter().filter(|named| Some(named.table) == number);
            by_alias
                .chain(by_name)
                .find_map(|named| self.names.column(named.table, column))
        })
    }
}

fn is_open(token: &Token) -> bool {
    let quote = match token.text.chars().next() {
        Some(quote @ ('\'' | '"')) => quote,
        _ => return false,
    };
    token.text.matches(quote).count() % 2 == 1
}

/// The start of `text`, on one line.
pub fn shown(text: &str) -> String {
    let start = text.chars().take(40);
    let flat = start.map(|c| {
        if c.is_whitespace() || c.is_control() {
            ' '
        } else {
            c
        }
    });
    format!("`{}`", flat.collect::<String>())
}
