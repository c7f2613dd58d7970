//! Cuts SQLite text into tokens. Never fails: an odd character is a symbol of its own.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A keyword, function or bare identifier.
    Word,
    /// An identifier in double quotes, backticks or brackets.
    Quoted,
    /// A string literal, quotes included.
    Text,
    /// A number without its sign.
    Number,
    /// An operator or punctuation.
    Symbol,
}

/// One token and where it starts in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Byte offset of the first character.
    pub at: usize,
}

impl Token<'_> {
    /// Byte offset just past the token.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// True for this word or symbol, whatever its case.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text.eq_ignore_ascii_case(text)
    }

    /// True for a string or a number.
    pub fn is_literal(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Number)
    }
}

/// Splits `sql` into tokens; white space and comments are dropped.
pub fn tokens(sql: &str) -> Vec<Token<'_>> {
    iterate(sql).collect()
}

/// The tokens one after another, for who stops early.
pub fn iterate(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(first) = sql[at..].chars().next() {
            let (start, rest) = (at, &sql[at..]);
            if first.is_whitespace() {
                at += first.len_utf8();
            } else if rest.starts_with("--") {
                at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                let (kind, length) = token(rest, first);
                at += length;
                let text = &rest[..length];
                return Some(Token {
                    kind,
                    text,
                    at: start,
                });
            }
        }
        None
    })
}

/// Kind and byte length of the token that `rest` starts with.
fn token(rest: &str, first: char) -> (Kind, usize) {
    let second = rest[first.len_utf8()..].chars().next().unwrap_or(' ');
    let run = |keep: fn(char) -> bool| rest.find(|c| !keep(c)).unwrap_or(rest.len());
    match first {
        '\'' => (Kind::Text, closed(rest, '\'')),
        '"' | '`' => (Kind::Quoted, closed(rest, first)),
        '[' => (Kind::Quoted, closed(rest, ']')),
        '0'..='9' => (Kind::Number, number(rest)),
        '.' if second.is_ascii_digit() => (Kind::Number, number(rest)),
        c if c.is_alphabetic() || c == '_' => {
            (Kind::Word, run(|c| c.is_alphanumeric() || c == '_'))
        }
        _ => {
            let pairs = ["<=", ">=", "<>", "!=", "==", "||", "->", "<<", ">>"];
            let pair = pairs.iter().any(|pair| rest.starts_with(pair));
            (Kind::Symbol, if pair { 2 } else { first.len_utf8() })
        }
    }
}

/// Length of a quoted token; a doubled closing quote stands for itself, a missing one ends at the end.
fn closed(rest: &str, quote: char) -> usize {
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c == quote {
            let doubled = quote != ']' && inside.peek().is_some_and(|(_, next)| *next == quote);
            if !doubled {
                return at + 1;
            }
            inside.next();
        }
    }
    rest.len()
}

/// Length of a number such as `12`, `1.5`, `2e-3` or `0xff`.
fn number(rest: &str) -> usize {
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut last = ' ';
    for (at, c) in rest.char_indices() {
        let sign_of_exponent = !hex && matches!(c, '+' | '-') && matches!(last, 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || c == '.' || sign_of_exponent) {
            return at;
        }
        last = c;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).iter().map(|token| token.text).collect()
    }

    #[test]
    fn quotes_numbers_and_comments() {
        assert_eq!(
            texts("select \"a b\", [c] /* no */ from t -- no\nwhere x>=1.5e-3 and y='it''s'"),
            [
                "select", "\"a b\"", ",", "[c]", "from", "t", "where", "x", ">=", "1.5e-3", "and",
                "y", "=", "'it''s'"
            ]
        );
    }

    #[test]
    fn an_open_quote_ends_with_the_text() {
        assert_eq!(texts("x = 'é"), ["x", "=", "'é"]);
        assert_eq!(texts("a.b -5"), ["a", ".", "b", "-", "5"]);
    }
}
