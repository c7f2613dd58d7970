//! Reads columns, aggregates of them and arithmetic.

use super::parser::{Parser, Reason};
use super::tree::{Aggregate, Column, Expression, Item, Unit};

const AGGREGATES: [(&str, Aggregate); 5] = [
    ("max", Aggregate::Max),
    ("min", Aggregate::Min),
    ("count", Aggregate::Count),
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
];
/// The signs of arithmetic.
pub const SIGNS: [(&str, char); 4] = [("+", '+'), ("-", '-'), ("*", '*'), ("/", '/')];

impl Parser<'_> {
    /// An entry of SELECT.
    pub fn item(&mut self) -> Result<Item, Reason> {
        if self.take("*") {
            let expression = alone(unit(None, Column::All, false));
            return Ok(Item {
                aggregate: None,
                expression,
            });
        }
        let aggregate = self.aggregate();
        let expression = match aggregate {
            Some(_) => self.argument()?,
            None => self.expression()?,
        };
        Ok(Item {
            aggregate,
            expression,
        })
    }

    /// What is in the brackets of an aggregate of SELECT, and the closing one.
    fn argument(&mut self) -> Result<Expression, Reason> {
        let expression = match self.take("distinct") {
            true => {
                let column = self.column_or_star()?;
                self.signed(unit(None, column, true))?
            }
            false if self.take("*") => alone(unit(None, Column::All, false)),
            false => {
                let left = self.unit()?;
                self.signed(left)?
            }
        };
        self.require(")")?;
        Ok(expression)
    }

    /// One unit or two, in brackets or not.
    pub fn expression(&mut self) -> Result<Expression, Reason> {
        let bracket = self.take("(");
        let left = self.unit()?;
        let expression = self.signed(left)?;
        if bracket {
            self.require(")")?;
        }
        Ok(expression)
    }

    /// The rest of an expression that starts with `left`.
    fn signed(&mut self, left: Unit) -> Result<Expression, Reason> {
        let right = match self.take_of(&SIGNS) {
            Some(sign) => Some((sign, self.unit()?)),
            None => None,
        };
        Ok(Expression { left, right })
    }

    /// A column, in brackets or not, or an aggregate of one.
    pub fn unit(&mut self) -> Result<Unit, Reason> {
        if let Some(aggregate) = self.aggregate() {
            let distinct = self.take("distinct");
            let column = self.column_or_star()?;
            self.require(")")?;
            return Ok(unit(Some(aggregate), column, distinct));
        }
        let bracket = self.take("(");
        let column = self.column()?;
        if bracket {
            self.require(")")?;
        }
        Ok(unit(None, column, false))
    }

    /// Goes past an aggregate and its opening bracket; the name alone is a column's.
    fn aggregate(&mut self) -> Option<Aggregate> {
        let next = self.tokens.get(self.at + 1)?;
        if !next.is("(") {
            return None;
        }
        let aggregate = self.take_of(&AGGREGATES)?;
        self.at += 1;
        Some(aggregate)
    }

    fn column_or_star(&mut self) -> Result<Column, Reason> {
        match self.take("*") {
            true => Ok(Column::All),
            false => self.column(),
        }
    }
}

fn unit(aggregate: Option<Aggregate>, column: Column, distinct: bool) -> Unit {
    Unit {
        aggregate,
        column,
        distinct,
    }
}

fn alone(left: Unit) -> Expression {
    Expression { left, right: None }
}
