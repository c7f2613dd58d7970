//! Finds the statements of a text, one after another.

use super::grammar::{Answer, parse};
use super::prose::{self, regex};
use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, Token, iterate};
use regex::Regex;
use std::sync::LazyLock;

/// Bytes that a reply may have parsed: real ones need a hundredth, and a hostile one shall not take long.
const MOST: usize = 16 << 20;
/// Most times that something is cut off behind a statement.
const CUTS: usize = 8;
/// What quotes a statement, and what ends it.
const QUOTES: [(char, char); 6] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('“', '”'),
    ('‘', '’'),
    ('«', '»'),
];

/// What ends the quotation that `opener` begins.
fn closing(opener: char) -> Option<char> {
    let pair = QUOTES.iter().find(|(open, _)| *open == opener)?;
    Some(pair.1)
}

/// What is left of a reply's parsing.
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) -> bool {
        let enough = bytes <= self.0;
        self.0 = self.0.saturating_sub(bytes);
        enough
    }
}

/// A statement of a reply.
#[derive(Debug)]
pub struct Statement {
    /// Where it stands.
    pub at: usize,
    /// Without what surrounds it.
    pub text: String,
    /// Whether it is a query.
    pub reads: bool,
    /// How far it is from a query that stands alone, 0 to 3.
    pub rank: u8,
    /// Whether nothing but comments stands before it.
    pub begins: bool,
}

/// The statements in their order.
pub fn statements(text: &str, budget: &mut Budget) -> Vec<Statement> {
    static EVENT: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?ix) ( /\* | (?:^|[\n:;>(]) [\ \t]* -- ) | \b (?: select | with | insert | replace | update | delete | drop | create |
                alter | attach | detach | vacuum | reindex | analyze | pragma | explain | begin | commit | end | rollback |
                savepoint | release | truncate | merge ) \b",
        )
    });
    let mut found = Vec::new();
    // The end of the last statement; and how far was looked.
    let (mut floor, mut at) = (0, 0);
    let mut begins = true;
    // The comments before the next word.
    let mut comments = 0..0;
    while let Some(event) = EVENT.captures(&text[at..]) {
        let whole = event.get_match();
        let (start, end) = (at + whole.start(), at + whole.end());
        begins &= !text[at..start].contains(char::is_alphanumeric);
        if event.get(1).is_some() {
            let close = if whole.as_str() == "/*" { "*/" } else { "\n" };
            let Some(length) = text[end..].find(close) else {
                // Nothing behind it is outside the comment, or it is no comment.
                if close == "\n" || !budget.take(text.len() - end) {
                    break;
                }
                at = end;
                continue;
            };
            // The line feed may stand before the next comment.
            at = end + length + if close == "*/" { 2 } else { 0 };
            let opening = end - 2;
            let follows = text[comments.end..opening].trim().is_empty() && !comments.is_empty();
            comments = if follows { comments.start } else { opening }..at;
            continue;
        }
        let rest = &text[start..];
        if !budget.take(rest.len()) {
            break;
        }
        let before = match text[comments.end..start].trim().is_empty() {
            true => comments.start.max(floor),
            false => start,
        };
        let place = Place::of(&text[floor..before]);
        let statement = place.and_then(|place| statement(rest, &text[start..end], &place));
        match statement {
            Some((mut statement, length)) => {
                statement.begins = begins && statement.rank == 0;
                statement.at = start;
                at = start + length.max(end - start);
                floor = if statement.rank < 3 { at } else { floor };
                found.push(statement);
            }
            None => at = end,
        }
        begins = false;
    }
    found
}

/// Where a word stands.
struct Place {
    /// 0 where a statement begins, 1 inside a sentence, 2 where the sentence speaks against it.
    rank: u8,
    /// What quotes or brackets it.
    opener: Option<char>,
}

impl Place {
    /// `before` is what stands between the last statement and the word; `None` where the word is part of a sentence.
    fn of(before: &str) -> Option<Self> {
        let mut left = before.trim_end_matches([' ', '\t']);
        let mut opener = None;
        while let Some(last) = left.chars().next_back() {
            let opens = closing(last).is_some() || "*({".contains(last);
            // A bullet is no opening.
            let bullet = last == '*' && !left.ends_with("**");
            if !opens || bullet {
                break;
            }
            opener = opener.or(Some(last));
            left = &left[..left.len() - last.len_utf8()];
            if last != '*' {
                left = left.trim_end_matches([' ', '\t']);
            }
        }
        // Such as \boxed{…}, as answers of LaTeX are written.
        let command = left.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if opener == Some('{') && command.len() < left.len() {
            left = command.strip_suffix('\\').unwrap_or(left);
        }
        let line = left.rfind('\n').map_or(0, |at| at + 1);
        let bullet = left[line..].len() < 20
            && left[line..]
                .chars()
                .all(|c| c.is_ascii_digit() || " \t>#-*+.)($".contains(c));
        let at_start = match left.chars().next_back() {
            None => true,
            Some(last) => {
                bullet
                    || "\n;:>|]=.!?→：。；！？\u{feff}\u{200b}\r,\u{a0}".contains(last)
                        && last != ','
            }
        };
        let rank = match (at_start, prose::is_denied(left)) {
            (true, true) if left.ends_with(':') => 2,
            (true, _) => 0,
            _ if prose::offers(left, opener.and_then(closing).is_some()) => 1,
            _ => return None,
        };
        Some(Self { rank, opener })
    }
}

/// The statement that `rest` begins with, by its first word, and its length.
fn statement(rest: &str, word: &str, place: &Place) -> Option<(Statement, usize)> {
    let reading = ["select", "with"]
        .iter()
        .any(|verb| word.eq_ignore_ascii_case(verb));
    let of = |length: usize, reads, rank| {
        let trim = |c: char| c.is_whitespace() || "\u{feff}\u{200b}；。".contains(c);
        let text = rest[..length].trim_end_matches(trim).to_owned();
        let statement = Statement {
            at: 0,
            text,
            reads,
            rank,
            begins: false,
        };
        Some((statement, length))
    };
    let sentence_like = prose::is_capitalised(word);
    match fit(rest, place.opener) {
        Some(length) => {
            let sql = rest[..length].trim_end();
            let closed = sql.ends_with(';');
            if !reading || writes(sql) {
                // `Analyze` may head a paragraph.
                let lone = sql.split_whitespace().count() <= 2;
                let firm =
                    closed || !(sentence_like || lone && word.chars().any(char::is_lowercase));
                return if firm && place.rank == 0 {
                    of(length, false, 0)
                } else {
                    None
                };
            }
            let rank = match names_nothing(sql) {
                true => 2,
                false if sentence_like && !closed => 1,
                false => 0,
            };
            of(length, true, place.rank.max(rank))
        }
        None if reading => {
            let length = paragraph(rest);
            let sql = &rest[..length];
            let like_sql = iterate(sql).any(|token| token.is("from")) && !prose::has_english(sql);
            let rank = if like_sql && !sentence_like {
                place.rank
            } else {
                3
            };
            // A sentence is no query, however bad.
            match rank == 3 && (sentence_like || prose::has_english(sql) || place.rank > 0) {
                true => None,
                false if word.eq_ignore_ascii_case("with") && !opens_table(sql) => None,
                false => of(length, true, rank),
            }
        }
        None => match place.rank == 0 && is_shouted(rest) {
            true => of(paragraph(rest), false, 0),
            false => None,
        },
    }
}

/// Length of the statement that `rest` begins with, by the grammar; what follows it is cut off if it is none of it.
fn fit(rest: &str, opener: Option<char>) -> Option<usize> {
    let whole = |end: usize| matches!(parse(&rest[..end]), Answer::Whole);
    if let Some(quote) = opener.and_then(closing) {
        let near = &rest[..rest.floor_char_boundary(1 << 16)];
        let ends = [near.find(quote), near.rfind(quote)];
        let fits = |end: &usize| *end > 0 && whole(*end) && !names_nothing(&rest[..*end]);
        if let Some(end) = ends.into_iter().flatten().find(fits) {
            return Some(end);
        }
    }
    let mut end = own_end(rest);
    if let (Some('*'), Some(bold)) = (opener, rest.find("**")) {
        end = end.min(bold);
    }
    for _ in 0..CUTS {
        let sql = &rest[..end];
        match parse(sql) {
            Answer::Whole => return Some(without_last_word(sql)),
            Answer::Broken(Some(at)) if at < end => {
                let at = sql.floor_char_boundary(at);
                let line = sql[..at].rfind('\n').map_or(0, |start| start + 1);
                end = if line > 0 && prose::begins(&sql[line..]) {
                    line
                } else if closes(&sql[at..], opener) {
                    at
                } else {
                    prose::sentence(sql, at).filter(|start| *start > 0)?
                };
            }
            Answer::Broken(_) => {
                // A full stop.
                let stop = sql.trim_end().strip_suffix('.')?;
                end = stop.len();
            }
        }
    }
    None
}

/// Whether `tail` closes what surrounds a statement.
fn closes(tail: &str, opener: Option<char>) -> bool {
    let line = tail.lines().next().unwrap_or_default();
    match opener {
        Some('(') => {
            // `(SELECT 1) UNION …` is one statement, which SQLite does not know.
            let after = line.strip_prefix(')').unwrap_or(line).trim_start();
            line.starts_with(')') && !after.starts_with(|c: char| c.is_alphabetic() || c == ',')
        }
        Some('{') => line.starts_with('}'),
        Some(opener) => line.starts_with(closing(opener).unwrap_or(opener)),
        None => {
            !line.is_empty()
                && line
                    .trim_end()
                    .chars()
                    .all(|c| "；。.\u{200b}\u{feff}".contains(c))
        }
    }
}

/// Through the first `;`, before a closing tag or the marker of a turn.
fn own_end(rest: &str) -> usize {
    let mut last: Option<Token> = None;
    for token in iterate(rest) {
        if token.is(";") {
            return token.end();
        }
        let tag = last.filter(|last| last.is("<") && last.end() == token.at);
        if let (Some(open), true) = (tag, token.is("/") || token.is("|") || token.is("||")) {
            return open.at;
        }
        if token.text.starts_with("[/") {
            return token.at;
        }
        last = Some(token);
    }
    rest.len()
}

/// A capitalised word alone on the last line was taken for an alias.
fn without_last_word(sql: &str) -> usize {
    let Some((before, last)) = sql.trim_end().rsplit_once('\n') else {
        return sql.len();
    };
    let alone = prose::is_capitalised(last.trim()) && !is_keyword(last.trim());
    match alone && matches!(parse(before), Answer::Whole) {
        true => before.len(),
        false => sql.len(),
    }
}

/// Whether it names columns of no table: `Select towns` is a sentence.
fn names_nothing(sql: &str) -> bool {
    let tokens: Vec<Token> = iterate(sql).take(200).collect();
    let name = |(at, token): (usize, &Token)| {
        let called = tokens.get(at + 1).is_some_and(|next| next.is("("));
        let aliased = at > 0 && tokens[at - 1].is("as");
        let constant = ["true", "false"].iter().any(|word| token.is(word))
            || token.text.starts_with("current_");
        token.kind == Kind::Word && !is_keyword(token.text) && !called && !aliased && !constant
    };
    !tokens.iter().any(|token| token.is("from")) && tokens.iter().enumerate().any(name)
}

/// Whether what follows the common tables of a WITH is no query.
fn writes(sql: &str) -> bool {
    let mut depth = 0usize;
    for token in iterate(sql) {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth > 0 || token.kind != Kind::Word => {}
            _ if token.is("select") || token.is("values") => return false,
            _ if ["insert", "replace", "update", "delete"]
                .iter()
                .any(|verb| token.is(verb)) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// `with name as` or `with name (`, maybe recursive.
fn opens_table(sql: &str) -> bool {
    let mut tokens = iterate(sql)
        .skip(1)
        .skip_while(|token| token.is("recursive"));
    let named = tokens
        .next()
        .is_some_and(|name| matches!(name.kind, Kind::Word | Kind::Quoted));
    named
        && tokens
            .next()
            .is_some_and(|next| next.is("as") || next.is("("))
}

/// A write in capitals is one, whatever SQLite thinks of the rest of it.
fn is_shouted(rest: &str) -> bool {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?x)^(?: INSERT\s+(?:OR\s+\w+\s+)?INTO | REPLACE\s+INTO | DELETE\s+FROM | UPDATE\s+\S+\s+SET | MERGE\s+INTO |
                (?:DROP|CREATE|ALTER|TRUNCATE)\s+(?:TEMP\s+|TEMPORARY\s+|UNIQUE\s+|OR\s+REPLACE\s+)*(?:TABLE|VIEW|INDEX|TRIGGER|DATABASE) |
                EXPLAIN\s+(?:ANALYZE|QUERY\s+PLAN|SELECT|WITH) ) \s",
        )
    });
    HEAD.is_match(rest)
}

/// Length of a text that is no statement: through `;`, else up to a blank line.
fn paragraph(rest: &str) -> usize {
    static BLANK: LazyLock<Regex> = LazyLock::new(|| regex(r"\n[ \t\r]*\n"));
    let end = own_end(rest);
    BLANK.find(&rest[..end]).map_or(end, |blank| blank.start())
}
