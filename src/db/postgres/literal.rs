//! The parts of an array, `{1,{"a \"b\"",NULL}}`, and of a row, `(1,"a ""b""",)`, as the server writes them.

/// Arrays in arrays, by the server's own limit.
const DEEPEST: usize = 6;

/// A part of an array or of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Of an array in an array.
    Begin,
    /// Nothing for NULL.
    Value(Option<String>),
    End,
    /// Whatever the server does not write; nothing follows.
    Strange,
}

/// The parts of an array behind its first brace; nothing if there is none. Where its numbers begin, `[0:1]=`, is passed over.
pub fn array(text: &str, delimiter: u8) -> Option<impl Iterator<Item = Part>> {
    let begin = match text.starts_with('[') {
        true => text.find("={")? + 1,
        false => 0,
    };
    let rest = text[begin..].strip_prefix('{')?;
    Some(Array {
        rest,
        delimiter,
        depth: 1,
        fresh: true,
    })
}

struct Array<'a> {
    rest: &'a str,
    delimiter: u8,
    depth: usize,
    /// Set behind a brace that opened.
    fresh: bool,
}

impl Iterator for Array<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.depth == 0 && self.rest.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_none() {
            (self.rest, self.depth) = ("", 0);
        }
        Some(part.unwrap_or(Part::Strange))
    }
}

impl Array<'_> {
    fn part(&mut self) -> Option<Part> {
        if self.depth == 0 {
            return None;
        }
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(rest) = self.rest.strip_prefix('}') {
            (self.rest, self.depth) = (rest, self.depth - 1);
            return Some(Part::End);
        }
        if !fresh {
            self.rest = self.rest.strip_prefix(char::from(self.delimiter))?;
        }
        if let Some(rest) = self.rest.strip_prefix('{') {
            (self.rest, self.depth, self.fresh) = (rest, self.depth + 1, true);
            return (self.depth <= DEEPEST).then_some(Part::Begin);
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            let (value, rest) = quoted(rest)?;
            self.rest = rest;
            return Some(Part::Value(Some(value)));
        }
        let end = |c: char| c == '}' || c == char::from(self.delimiter);
        let (value, rest) = self.rest.split_at(self.rest.find(end)?);
        self.rest = rest;
        Some(Part::Value((value != "NULL").then(|| value.to_owned())))
    }
}

/// The values of a row of so many columns; nothing if it is none.
pub fn record(text: &str, columns: usize) -> Option<Vec<Option<String>>> {
    let mut rest = text.strip_prefix('(')?;
    let mut values = Vec::new();
    for column in 0..columns {
        if column > 0 {
            rest = rest.strip_prefix(',')?;
        }
        let value;
        (value, rest) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside).map(|(value, rest)| (Some(value), rest))?,
            None => {
                let (value, rest) = rest.split_at(rest.find([',', ')'])?);
                ((!value.is_empty()).then(|| value.to_owned()), rest)
            }
        };
        values.push(value);
    }
    (rest == ")").then_some(values)
}

/// What stands up to a quote that is neither doubled nor behind a backslash, and what follows that quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(rest.find(['"', '\\'])?);
        value += plain;
        let behind = &special[1..];
        let doubled = special.starts_with('\\') || behind.starts_with('"');
        if !doubled {
            return Some((value, behind));
        }
        let c = behind.chars().next()?;
        value.push(c);
        rest = &behind[c.len_utf8()..];
    }
}

/// Bytes from pairs of hexadecimal digits.
pub fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<Vec<Part>> {
        Some(array(text, b',')?.collect())
    }

    fn value(text: &str) -> Part {
        Part::Value(Some(text.to_owned()))
    }

    #[test]
    fn arrays_are_taken_apart() {
        use Part::{Begin, End};
        for (text, expected) in [
            ("{}", vec![End]),
            (
                "{1,NULL,\"NULL\"}",
                vec![value("1"), Part::Value(None), value("NULL"), End],
            ),
            ("[0:1]={\"\",null}", vec![value(""), value("null"), End]),
            (
                "[1:1][-2:-1]={{a,b}}",
                vec![Begin, value("a"), value("b"), End, End],
            ),
            (
                "{{a},{b}}",
                vec![Begin, value("a"), End, Begin, value("b"), End, End],
            ),
            (
                r#"{"a \"\\,{}","ü"}"#,
                vec![value("a \"\\,{}"), value("ü"), End],
            ),
            ("{(1;2);x}", vec![value("(1;2);x"), End]),
        ] {
            assert_eq!(parts(text), Some(expected), "{text}");
        }
        let boxes: Vec<_> = array("{(1,1),(0,0);(2,2),(0,0)}", b';').unwrap().collect();
        assert_eq!(
            boxes,
            [value("(1,1),(0,0)"), value("(2,2),(0,0)"), Part::End]
        );
    }

    #[test]
    fn what_is_no_array_ends_strangely() {
        for text in [
            "{",
            "{1",
            "{1,",
            "{\"1",
            "{\"1\\",
            "{1}2",
            "{}}",
            "{{1}2}",
            "{1{2}}",
            "{{{{{{{1}}}}}}}",
        ] {
            assert_eq!(parts(text).unwrap().last(), Some(&Part::Strange), "{text}");
        }
        for text in ["", "1", "[0:1]", "[0:1]{1}"] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn rows_are_taken_apart() {
        for (text, expected) in [
            ("()", &[][..]),
            ("()", &[None]),
            ("(,)", &[None, None]),
            ("(1,\"\")", &[Some("1"), Some("")]),
            (
                r#"("a ""b"" \\ c",ü,)"#,
                &[Some("a \"b\" \\ c"), Some("ü"), None],
            ),
        ] {
            let values = record(text, expected.len()).unwrap();
            let values: Vec<_> = values.iter().map(Option::as_deref).collect();
            assert_eq!(values, expected, "{text}");
        }
        for (text, columns) in [
            ("", 0),
            ("(1)", 0),
            ("()", 2),
            ("(1,2)", 1),
            ("(1", 1),
            ("(\"1)", 1),
            ("(1)2", 1),
        ] {
            assert_eq!(record(text, columns), None, "{text}");
        }
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(bytes("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("0g"), None);
        assert_eq!(bytes("ü"), None);
    }
}
