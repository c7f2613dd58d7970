//! A query with its parts apart: what is asked for, of which tables, under which conditions; and its shorter neighbours.

use super::model::Db;

/// A column of one of the tables of a query, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Col {
    pub at: usize,
    pub column: usize,
}

/// The tables of a query: the first, and those joined to it.
#[derive(Clone)]
pub struct Scope<'a> {
    pub db: &'a Db,
    pub tables: Vec<usize>,
    /// The two sides by which each table but the first is joined.
    joins: Vec<(Col, Col)>,
}

/// One thing that a query returns, groups by or orders by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Plain(Col),
    /// `count(*)`.
    Rows,
    /// An aggregate of a column.
    Of(&'static str, Col),
    /// `count(distinct column)`.
    Different(Col),
    /// The year of a date.
    Year(Col),
}

/// A condition on a column: what stands before it and behind it.
#[derive(Clone)]
pub struct Test {
    pub col: Col,
    pub before: String,
    pub after: String,
}

impl Test {
    /// The value that the column must have, as a question says it; none for another test.
    pub fn value(&self) -> Option<String> {
        let value = self.after.strip_prefix(" = ")?;
        let text = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\''));
        let said = text.map_or_else(|| value.to_owned(), |text| text.replace("''", "'"));
        self.before.is_empty().then_some(said)
    }
}

/// A query.
#[derive(Clone)]
pub struct Select<'a> {
    pub scope: Scope<'a>,
    pub distinct: bool,
    pub items: Vec<Item>,
    pub tests: Vec<Test>,
    pub group: Vec<Item>,
    /// An item and what is compared with it.
    pub having: Option<(Item, String)>,
    /// An item, and whether the largest come first.
    pub order: Option<(Item, bool)>,
    pub limit: Option<usize>,
}

/// A shorter query, which must answer otherwise.
pub struct Shorter {
    pub sql: String,
    /// Whether another order of the same rows is another answer.
    pub ordered: bool,
}

impl<'a> Scope<'a> {
    pub fn of(db: &'a Db, table: usize) -> Self {
        Self {
            db,
            tables: vec![table],
            joins: Vec::new(),
        }
    }

    /// Joins the parent of a link from the table at `at`, unless it is there already by the same key; its place.
    pub fn join(&mut self, at: usize, link: usize) -> usize {
        let link = &self.db.links[link];
        let left = Col {
            at,
            column: link.column,
        };
        let known = self.joins.iter().position(|(one, other)| {
            *one == left && other.column == link.key && self.tables[other.at] == link.parent
        });
        known.map(|join| join + 1).unwrap_or_else(|| {
            let at = self.tables.len();
            self.tables.push(link.parent);
            self.joins.push((
                left,
                Col {
                    at,
                    column: link.key,
                },
            ));
            at
        })
    }

    /// The table at a place.
    pub fn table(&self, at: usize) -> &'a super::model::Table {
        &self.db.tables[self.tables[at]]
    }

    /// A column as the query writes it.
    pub fn column(&self, col: Col) -> String {
        let name = &self.table(col.at).columns[col.column].sql;
        match self.tables.len() {
            1 => name.clone(),
            _ => format!("{}.{name}", self.alias(col.at)),
        }
    }

    /// The first letter of a table's name that no table before it took.
    fn alias(&self, at: usize) -> String {
        let mut taken: Vec<String> = Vec::new();
        for &table in &self.tables[..=at] {
            let letters = self.db.tables[table].name.chars();
            let mut letters = letters
                .filter(char::is_ascii_alphabetic)
                .map(|c| c.to_ascii_lowercase().to_string());
            let free = letters.find(|letter| !taken.contains(letter));
            taken.push(free.unwrap_or_else(|| format!("t{}", taken.len() + 1)));
        }
        taken.pop().unwrap_or_default()
    }

    fn from(&self) -> String {
        let name = |at: usize| match self.tables.len() {
            1 => self.table(at).sql.clone(),
            _ => format!("{} {}", self.table(at).sql, self.alias(at)),
        };
        let mut text = name(0);
        for (at, (left, right)) in self.joins.iter().enumerate() {
            text += &format!(
                " join {} on {} = {}",
                name(at + 1),
                self.column(*left),
                self.column(*right)
            );
        }
        text
    }
}

impl<'a> Select<'a> {
    pub fn of(scope: Scope<'a>, items: Vec<Item>, tests: Vec<Test>) -> Self {
        Self {
            scope,
            items,
            tests,
            distinct: false,
            group: Vec::new(),
            having: None,
            order: None,
            limit: None,
        }
    }

    fn item(&self, item: Item) -> String {
        match item {
            Item::Plain(col) => self.scope.column(col),
            Item::Rows => "count(*)".to_owned(),
            Item::Of(function, col) => format!("{function}({})", self.scope.column(col)),
            Item::Different(col) => format!("count(distinct {})", self.scope.column(col)),
            Item::Year(col) => format!("strftime('%Y', {})", self.scope.column(col)),
        }
    }

    fn list(&self, items: &[Item]) -> String {
        let items: Vec<String> = items.iter().map(|item| self.item(*item)).collect();
        items.join(", ")
    }

    /// The query without its semicolon, as it stands in another.
    pub fn inner(&self) -> String {
        let distinct = if self.distinct { "distinct " } else { "" };
        let mut sql = format!(
            "select {distinct}{} from {}",
            self.list(&self.items),
            self.scope.from()
        );
        for (at, test) in self.tests.iter().enumerate() {
            let word = if at == 0 { "where" } else { "and" };
            sql += &format!(
                " {word} {}{}{}",
                test.before,
                self.scope.column(test.col),
                test.after
            );
        }
        if !self.group.is_empty() {
            sql += &format!(" group by {}", self.list(&self.group));
        }
        if let Some((item, rest)) = &self.having {
            sql += &format!(" having {} {rest}", self.item(*item));
        }
        if let Some((item, down)) = self.order {
            sql += &format!(
                " order by {}{}",
                self.item(item),
                if down { " desc" } else { "" }
            );
        }
        if let Some(limit) = self.limit {
            sql += &format!(" limit {limit}");
        }
        sql
    }

    pub fn sql(&self) -> String {
        self.inner() + ";"
    }

    /// The query with one of its parts left out each time.
    pub fn shorter(&self) -> Vec<Shorter> {
        let mut found = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self), ordered| {
            let mut other = self.clone();
            change(&mut other);
            found.push(Shorter {
                sql: other.sql(),
                ordered,
            });
        };
        for at in 0..self.tests.len() {
            add(&|other| drop(other.tests.remove(at)), false);
        }
        if self.distinct {
            add(&|other| other.distinct = false, false);
        }
        if self.having.is_some() {
            add(&|other| other.having = None, false);
        }
        if self.limit.is_some() {
            add(&|other| other.limit = None, false);
        }
        if self.order.is_some() && self.limit.is_none() {
            add(&|other| other.order = None, true);
        }
        for (at, item) in self.items.iter().enumerate() {
            if let Item::Different(col) = *item {
                add(&|other| other.items[at] = Item::Of("count", col), false);
            }
        }
        found
    }
}
