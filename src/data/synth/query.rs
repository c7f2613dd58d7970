//! Just enough structure of a simple query to damage it on purpose: clauses, tables, joins, columns.

use std::ops::Range;

use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, Token, tokens};

use super::database::Database;

const CLAUSES: [&str; 6] = ["where", "group", "having", "order", "limit", ";"];

/// A query and its tokens. All ranges are of token indices.
pub struct Query<'a> {
    sql: &'a str,
    pub tokens: Vec<Token<'a>>,
    pub sources: Vec<Source<'a>>,
}

/// A table after `from` or `join`, at any depth.
pub struct Source<'a> {
    pub table: &'a str,
    /// The alias, or the table's own name.
    pub alias: &'a str,
    /// From the table's name to its alias.
    pub names: Range<usize>,
    pub join: Option<Join>,
}

/// A `join … on left = right`.
pub struct Join {
    pub span: Range<usize>,
    pub left: Range<usize>,
    pub right: Range<usize>,
}

/// A use of a column.
pub struct Column<'a> {
    pub span: Range<usize>,
    pub table: &'a str,
    /// The alias or table in front of the dot.
    pub qualifier: Option<&'a str>,
    pub name: &'a str,
}

impl<'a> Query<'a> {
    pub fn parse(sql: &'a str) -> Self {
        let mut query = Self {
            sql,
            tokens: tokens(sql),
            sources: Vec::new(),
        };
        query.sources = (0..query.tokens.len())
            .filter_map(|at| query.source(at))
            .collect();
        query
    }

    /// True when the token at `at` is this word or symbol.
    pub fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(text))
    }

    /// The source text of a range.
    pub fn text(&self, span: &Range<usize>) -> &'a str {
        &self.sql[self.tokens[span.start].at..self.tokens[span.end - 1].end()]
    }

    /// The outermost clause that starts with `word`, up to the next clause.
    pub fn clause(&self, word: &str) -> Option<Range<usize>> {
        let outer = self.outer();
        let start = *outer.iter().find(|at| self.is(**at, word))?;
        Some(start..self.until(start, &CLAUSES))
    }

    /// The outermost `select` list, without the word `select`.
    pub fn select_list(&self) -> Range<usize> {
        1..self.until(0, &["from", ";"])
    }

    /// The conditions of an outermost `where` and the `and`/`or` between them.
    pub fn conditions(&self) -> (Vec<Range<usize>>, Vec<usize>) {
        let Some(clause) = self.clause("where") else {
            return (Vec::new(), Vec::new());
        };
        let mut connectors = Vec::new();
        let mut in_between = false;
        for at in self.outer().into_iter().filter(|at| clause.contains(at)) {
            in_between |= self.is(at, "between");
            if self.is(at, "or") || (self.is(at, "and") && !in_between) {
                connectors.push(at);
            }
            in_between &= !self.is(at, "and");
        }
        let starts = std::iter::once(clause.start).chain(connectors.iter().copied());
        let ends = connectors.iter().copied().chain([clause.end]);
        (
            starts
                .zip(ends)
                .map(|(start, end)| start + 1..end)
                .collect(),
            connectors,
        )
    }

    /// The columns used within `span`, each found in one of the query's tables.
    pub fn columns(&self, span: Range<usize>, database: &Database) -> Vec<Column<'a>> {
        let has = |source: &&Source, name: &str| {
            database
                .columns(source.table)
                .iter()
                .any(|known| known == name)
        };
        let mut found = Vec::new();
        for at in span {
            let token = self.tokens[at];
            let called = self.is(at + 1, "(") || self.is(at + 1, ".");
            if token.kind != Kind::Word || called {
                continue;
            }
            let qualifier = (at >= 2 && self.is(at - 1, ".")).then(|| self.tokens[at - 2].text);
            let source = self.sources.iter().find(|source| {
                !source.names.contains(&at)
                    && qualifier.is_none_or(|alias| alias == source.alias)
                    && has(source, token.text)
            });
            if let Some(source) = source {
                let start = if qualifier.is_some() { at - 2 } else { at };
                found.push(Column {
                    span: start..at + 1,
                    table: source.table,
                    qualifier,
                    name: token.text,
                });
            }
        }
        found
    }

    /// The query with each range replaced; an empty replacement takes the space before it along.
    pub fn edit(&self, edits: &[(Range<usize>, &str)]) -> String {
        let mut edits: Vec<_> = edits.iter().collect();
        edits.sort_by_key(|(span, _)| span.start);
        let mut text = String::new();
        let mut from = 0;
        for (span, replacement) in edits {
            text.push_str(&self.sql[from..self.tokens[span.start].at]);
            text.truncate(if replacement.is_empty() {
                text.trim_end().len()
            } else {
                text.len()
            });
            text.push_str(replacement);
            from = self.tokens[span.end - 1].end();
        }
        text + &self.sql[from..]
    }

    /// Indices of the tokens outside all parentheses.
    fn outer(&self) -> Vec<usize> {
        let mut depth = 0;
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            depth -= i32::from(token.is(")"));
            if depth == 0 {
                found.push(at);
            }
            depth += i32::from(token.is("("));
        }
        found
    }

    /// The first outer token after `start` that is one of `words`, or the end.
    fn until(&self, start: usize, words: &[&str]) -> usize {
        let mut later = self.outer().into_iter().filter(|at| *at > start);
        later
            .find(|at| words.iter().any(|word| self.is(*at, word)))
            .unwrap_or(self.tokens.len())
    }

    fn source(&self, at: usize) -> Option<Source<'a>> {
        let joined = self.is(at, "join");
        if !(joined || self.is(at, "from")) {
            return None;
        }
        let table = self
            .tokens
            .get(at + 1)
            .filter(|token| token.kind == Kind::Word)?;
        let behind = at + 2 + usize::from(self.is(at + 2, "as"));
        let aliased = self
            .tokens
            .get(behind)
            .filter(|token| token.kind == Kind::Word && !is_keyword(token.text));
        let names = at + 1..aliased.map_or(at + 2, |_| behind + 1);
        let mut ends = CLAUSES.to_vec();
        ends.push("join");
        let span = at..self.until(at, &ends);
        let join = joined.then(|| self.join(&names, span)).flatten();
        Some(Source {
            table: table.text,
            alias: aliased.unwrap_or(table).text,
            names,
            join,
        })
    }

    /// Only `on a.b = c.d` is understood.
    fn join(&self, names: &Range<usize>, span: Range<usize>) -> Option<Join> {
        let on = names.end;
        let plain = self.is(on, "on") && span.end == on + 8 && self.is(on + 4, "=");
        plain.then(|| Join {
            span,
            left: on + 1..on + 4,
            right: on + 5..on + 8,
        })
    }
}
