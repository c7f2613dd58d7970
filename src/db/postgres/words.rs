//! A text cut into words as PostgreSQL's scanner cuts it, where `standard_conforming_strings` is on. Only names and single marks
//! are told apart; whatever cannot hold a name (a string, a number, a comment) is passed over. Where versions of the scanner differ
//! (`1and` is two words up to 14 and a mistake from 15 on) it is cut as the version that sees more names would.

use std::iter::Peekable;
use std::str::CharIndices;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A keyword or a name, as the catalog writes it.
    Word { name: String, quoting: Quoting },
    /// A parenthesis, a point, a semicolon, or one character of an operator.
    Mark(char),
    /// A string, a number, or a parameter.
    Literal,
}

/// How a word was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// As it is: it may be a keyword.
    Bare,
    /// `"name"`.
    Quoted,
    /// `U&"name"`.
    Unicode,
}

impl Token {
    /// Whether it is this keyword, which is in small letters.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word { name, quoting: Quoting::Bare } if name == keyword)
    }
}

/// The tokens of a text, each with the place where it begins.
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Takes what a token consists of.
    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.at += length;
        taken
    }

    fn word(&mut self) -> Token {
        let rest = self.rest();
        let end = rest.find(|c| !continues(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let prefix = |letters: &str| letters.contains(word.to_ascii_lowercase().as_str());
        match behind.as_bytes() {
            [b'\'', ..] if word.len() == 1 && prefix("e") => self.literal(1, true),
            [b'\'', ..] if word.len() == 1 && prefix("bxn") => self.literal(1, false),
            [b'&', b'\'', ..] if prefix("u") => self.literal(2, false),
            [b'&', b'"', ..] if prefix("u") => {
                self.at += 2;
                let name = unescaped(&self.name());
                let quoting = Quoting::Unicode;
                Token::Word { name, quoting }
            }
            _ => Token::Word {
                name: self.take(end).to_ascii_lowercase(),
                quoting: Quoting::Bare,
            },
        }
    }

    /// What stands between double quotes.
    fn name(&mut self) -> String {
        let mut name = String::new();
        self.at += 1;
        while let Some(end) = self.rest().find('"') {
            name += self.take(end);
            self.at += 1;
            if !self.rest().starts_with('"') {
                return name;
            }
            name.push('"');
            self.at += 1;
        }
        name + self.take(self.rest().len())
    }

    /// A string behind a prefix, and what continues it on further lines.
    fn literal(&mut self, prefix: usize, escapes: bool) -> Token {
        self.at += prefix + 1;
        loop {
            let rest = self.rest().as_bytes();
            let quote = match escapes {
                true => rest.iter().position(|byte| b"'\\".contains(byte)),
                false => rest.iter().position(|&byte| byte == b'\''),
            };
            let Some(quote) = quote else {
                self.at = self.text.len();
                return Token::Literal;
            };
            if rest[quote] == b'\\' {
                // What is escaped may be of several bytes, of which none is a quote.
                let escaped = self.rest()[quote + 1..].chars().next();
                self.at += quote + 1 + escaped.map_or(0, char::len_utf8);
            } else if rest.get(quote + 1) == Some(&b'\'') {
                self.at += quote + 2;
            } else if let Some(more) = continuation(&rest[quote + 1..]) {
                self.at += quote + 1 + more;
            } else {
                self.at += quote + 1;
                return Token::Literal;
            }
        }
    }

    /// A string between two equal tags, a parameter, or a dollar.
    fn dollar(&mut self) -> Token {
        let behind = &self.rest()[1..];
        let tag = behind
            .find(|c| !continues(c) || c == '$')
            .unwrap_or(behind.len());
        let (name, rest) = behind.split_at(tag);
        let parameter = name.starts_with(|c: char| c.is_ascii_digit());
        if rest.starts_with('$') && !parameter {
            let tag = self.take(name.len() + 2);
            let end = self.rest().find(tag).map(|end| end + tag.len());
            self.at += end.unwrap_or(self.rest().len());
            return Token::Literal;
        }
        self.at += 1;
        if !parameter {
            return Token::Mark('$');
        }
        self.number()
    }

    fn number(&mut self) -> Token {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        self.at += digits(self.rest());
        if let Some(fraction) = self.rest().strip_prefix('.') {
            self.at += 1 + digits(fraction);
        }
        Token::Literal
    }

    /// Passes over white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let inside = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
            self.at += rest.len() - inside.len();
            if inside.starts_with("--") {
                self.at += inside.find(['\n', '\r']).unwrap_or(inside.len());
            } else if inside.starts_with("/*") {
                self.at += comment(inside.as_bytes());
            } else {
                return;
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<(usize, Token)> {
        self.skip();
        let at = self.at;
        let token = match self.rest().chars().next()? {
            '\'' => self.literal(0, false),
            '"' => Token::Word {
                name: self.name(),
                quoting: Quoting::Quoted,
            },
            '$' => self.dollar(),
            c if c.is_ascii_digit() => self.number(),
            c if continues(c) => self.word(),
            c => {
                self.at += c.len_utf8();
                Token::Mark(c)
            }
        };
        Some((at, token))
    }
}

/// Whether a name may go on with it. Whatever is not ASCII is a letter, a space too.
fn continues(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of a comment in stars, comments in it included.
fn comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How far a string that was closed goes on: to a quote with nothing before it but white space and comments, a new line among them.
fn continuation(text: &[u8]) -> Option<usize> {
    let (mut at, mut new_line) = (0, false);
    loop {
        match &text[at..] {
            [b'\'', ..] if new_line => return Some(at + 1),
            [b' ' | b'\t' | 0xb | 0xc, ..] => at += 1,
            [b'\n' | b'\r', ..] => (at, new_line) = (at + 1, true),
            [b'-', b'-', rest @ ..] => {
                at += 2 + rest.iter().position(|byte| b"\n\r".contains(byte))?;
            }
            _ => return None,
        }
    }
}

/// A name whose backslashes stand before the numbers of characters. What is no such number stays as it is, for the server to refuse.
fn unescaped(name: &str) -> String {
    let mut units = Vec::new();
    let mut rest = name.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let number = (c == '\\').then(|| escaped(name, at, &mut rest)).flatten();
        match number {
            Some(Escape::Unit(unit)) => units.push(unit),
            Some(Escape::Character(c)) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            None => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16_lossy(&units)
}

enum Escape {
    /// Maybe half of a character.
    Unit(u16),
    Character(char),
}

/// Takes what follows a backslash, if it is a number or another backslash.
fn escaped(name: &str, at: usize, rest: &mut Peekable<CharIndices>) -> Option<Escape> {
    let behind = &name[at + 1..];
    if behind.starts_with('\\') {
        rest.next();
        return Some(Escape::Character('\\'));
    }
    let (skipped, digits) = match behind.strip_prefix('+') {
        Some(long) => (1, long.get(..6)?),
        None => (0, behind.get(..4)?),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(digits, 16).ok()?;
    let escape = match u16::try_from(number) {
        Ok(unit) => Escape::Unit(unit),
        Err(_) => Escape::Character(char::from_u32(number)?),
    };
    rest.nth(skipped + digits.len() - 1);
    Some(escape)
}
