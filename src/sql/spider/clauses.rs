//! Reads a query clause by clause; FROM is in `from.rs`.

use super::parser::{Parser, Reason};
use super::tree::{Order, Query, SetOperator};

impl Parser<'_> {
    /// A query, its set operator and that one's operand. Brackets are those of an operand.
    pub fn query(&mut self) -> Result<Query, Reason> {
        self.deeper()?;
        let bracket = self.take("(");
        let mut query = self.clauses()?;
        while self.take(";") {}
        if bracket {
            self.require(")")?;
            while self.take(";") {}
        }
        let operators = [
            ("intersect", SetOperator::Intersect),
            ("union", SetOperator::Union),
            ("except", SetOperator::Except),
        ];
        if let Some(operator) = self.take_of(&operators) {
            query.set = Some((operator, Box::new(self.query()?)));
        }
        self.shallower();
        Ok(query)
    }

    /// SELECT to LIMIT. FROM is read first, for it says what the names before it mean.
    fn clauses(&mut self) -> Result<Query, Reason> {
        self.require("select")?;
        let distinct = self.take("distinct");
        let select_at = self.at;
        self.at = self.find(&["from"]);
        self.open_scope();
        let (sources, on) = self.from()?;
        let from_end = std::mem::replace(&mut self.at, select_at);
        let items = self.list(Self::item)?;
        self.require("from")?;
        self.at = from_end;

        let filter = self.clause("where", Self::conditions)?.unwrap_or_default();
        let group = self.by("group", Self::unit)?.unwrap_or_default();
        let having = match group[..] {
            [] => None,
            _ => self.clause("having", Self::conditions)?,
        };
        let order = self.order()?;
        let limit = self.clause("limit", Self::number)?.is_some();
        self.close_scope();
        Ok(Query {
            distinct,
            items,
            sources,
            on,
            filter,
            group,
            having: having.unwrap_or_default(),
            order,
            limit,
            set: None,
        })
    }

    fn order(&mut self) -> Result<Option<Order>, Reason> {
        let mut descending = false;
        let by = self.by("order", |parser| {
            let expression = parser.expression()?;
            if let Some(down) = parser.take_of(&[("asc", false), ("desc", true)]) {
                descending = down;
            }
            Ok(expression)
        })?;
        Ok(by.map(|by| Order { descending, by }))
    }

    /// GROUP BY or ORDER BY, if it is next.
    fn by<T>(
        &mut self,
        word: &str,
        part: impl FnMut(&mut Self) -> Result<T, Reason>,
    ) -> Result<Option<Vec<T>>, Reason> {
        self.clause(word, |parser| {
            parser.require("by")?;
            parser.list(part)
        })
    }

    /// What follows `word`, if that is next.
    fn clause<T>(
        &mut self,
        word: &str,
        content: impl FnOnce(&mut Self) -> Result<T, Reason>,
    ) -> Result<Option<T>, Reason> {
        match self.take(word) {
            true => content(self).map(Some),
            false => Ok(None),
        }
    }

    /// One or more parts and the commas between them.
    fn list<T>(
        &mut self,
        mut part: impl FnMut(&mut Self) -> Result<T, Reason>,
    ) -> Result<Vec<T>, Reason> {
        let mut parts = vec![part(self)?];
        while self.take(",") {
            parts.push(part(self)?);
        }
        Ok(parts)
    }
}
