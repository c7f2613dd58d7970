//! Reads conditions and the values in them.

use super::expressions::SIGNS;
use super::parser::{Parser, Reason};
use super::tree::{Comparison, Condition, Conditions, Link, Value};
use crate::sql::tokens::Kind;

const COMPARISONS: [(&str, Comparison); 10] = [
    ("between", Comparison::Between),
    ("=", Comparison::Equal),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("!=", Comparison::NotEqual),
    ("in", Comparison::In),
    ("like", Comparison::Like),
    ("is", Comparison::Is),
];
/// Comparisons that have a space before their `=`, as `! =` in golds of Spider.
const SPLIT: [(&str, Comparison); 3] = [
    ("!", Comparison::NotEqual),
    (">", Comparison::GreaterOrEqual),
    ("<", Comparison::LessOrEqual),
];

impl Parser<'_> {
    /// Conditions and what links them.
    pub fn conditions(&mut self) -> Result<Conditions, Reason> {
        self.linked(false)
    }

    /// Conditions of ON: what OR adds to a comparison with a column is read, but is not seen.
    pub fn on_conditions(&mut self) -> Result<Conditions, Reason> {
        self.linked(true)
    }

    fn linked(&mut self, on: bool) -> Result<Conditions, Reason> {
        let mut found = Conditions::default();
        let mut link = None;
        let mut hidden = false;
        loop {
            let (condition, with_column) = self.condition()?;
            hidden &= link == Some(Link::Or);
            if !hidden {
                found.links.extend(link);
                found.list.push(condition);
                hidden = on && with_column;
            }
            link = self.take_of(&[("and", Link::And), ("or", Link::Or)]);
            if link.is_none() {
                return Ok(found);
            }
        }
    }

    /// A condition, and whether it ends in a column.
    fn condition(&mut self) -> Result<(Condition, bool), Reason> {
        let left = self.expression()?;
        let not = self.take("not");
        let comparison = match self.comparison() {
            Some(word @ (Comparison::Between | Comparison::In | Comparison::Like)) => word,
            Some(other) if !not => other,
            _ => return Err(self.expected("a comparison")),
        };
        let first = self.value()?;
        let second = match comparison {
            Comparison::Between => {
                self.require("and")?;
                Some(self.value()?)
            }
            _ => None,
        };
        let with_column = matches!(second.as_ref().unwrap_or(&first), Value::Column(_));
        let literals_count = self.literals_count;
        let counts = |value: &Value| literals_count || matches!(value, Value::Query(_));
        let condition = Condition {
            not,
            comparison,
            left,
            values: [Some(first).filter(counts), second.filter(counts)],
        };
        Ok((condition, with_column))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let second = self.tokens.get(self.at + 1);
        if second.is_some_and(|token| token.is("=")) {
            let whole = self.take_of(&SPLIT);
            self.at += usize::from(whole.is_some());
            if whole.is_some() {
                return whole;
            }
        }
        self.take_of(&COMPARISONS)
    }

    /// A literal or a subquery, in brackets or not, or a column and what is reckoned with it.
    fn value(&mut self) -> Result<Value, Reason> {
        if self.take("(") {
            let value = match self.is("select") {
                true => Value::Query(Box::new(self.query()?)),
                false => match self.literal() {
                    Some(value) => value,
                    None => return Err(self.expected("a subquery or one literal")),
                },
            };
            self.require(")")?;
            return Ok(value);
        }
        if let Some(value) = self.literal() {
            return Ok(value);
        }
        let column = self.column()?;
        while self.take_of(&SIGNS).is_some() {
            if self.literal().is_none() {
                self.column()?;
            }
        }
        Ok(Value::Column(column))
    }

    fn literal(&mut self) -> Option<Value> {
        let token = self.peek()?;
        let quote = token.text.chars().next()?;
        if token.kind != Kind::Text && quote != '"' {
            return self.number().ok();
        }
        self.at += 1;
        let inside = token.text.get(1..token.text.len() - 1)?;
        let doubled = [quote, quote].iter().collect::<String>();
        Some(Value::Text(inside.replace(&doubled, &quote.to_string())))
    }

    /// A number, with a sign or without, or the word `value` for one where no column is called so.
    pub fn number(&mut self) -> Result<Value, Reason> {
        let next = self.tokens.get(self.at + 1);
        let qualifies = next.is_some_and(|token| token.is("."));
        if self.is("value") && !qualifies && self.of_query("value").is_none() {
            self.at += 1;
            return Ok(Value::Number(1f64.to_bits()));
        }
        let signed = self.is("-") || self.is("+");
        let number = self.tokens.get(self.at + usize::from(signed));
        let number = number.filter(|token| token.kind == Kind::Number);
        let Some(number) = number.and_then(|token| token.text.parse::<f64>().ok()) else {
            return Err(self.expected("a number"));
        };
        let number = if self.is("-") { -number } else { number };
        self.at += 1 + usize::from(signed);
        // Zero has two forms in bits; adding zero leaves one.
        Ok(Value::Number((number + 0.0).to_bits()))
    }
}
