//! A query of Spider's grammar, its names resolved. Equal trees are equal queries, down to the order of their parts.

/// A column by the numbers of its table and itself, or `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    All,
    Of(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aggregate {
    Max,
    Min,
    Count,
    Sum,
    Avg,
}

/// A column, perhaps aggregated: `max(DISTINCT a)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    pub aggregate: Option<Aggregate>,
    pub column: Column,
    pub distinct: bool,
}

/// A unit, or two and the sign between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    pub left: Unit,
    pub right: Option<(char, Unit)>,
}

/// An entry of SELECT. `aggregate` is around the whole expression; the unit inside may have its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub aggregate: Option<Aggregate>,
    pub expression: Expression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    Between,
    Equal,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    NotEqual,
    In,
    Like,
    Is,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// The bits of the number, for an order and an equality.
    Number(u64),
    Text(String),
    Column(Column),
    Query(Box<Query>),
}

/// `not`, the comparison and its sides. A value that does not count is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    pub not: bool,
    pub comparison: Comparison,
    pub left: Expression,
    pub values: [Option<Value>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    And,
    Or,
}

/// Conditions and what is written between them, without precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conditions {
    pub list: Vec<Condition>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Table(usize),
    Query(Box<Query>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    pub descending: bool,
    pub by: Vec<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetOperator {
    Intersect,
    Union,
    Except,
}

/// A query; without a clause, its part is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    pub distinct: bool,
    pub items: Vec<Item>,
    pub sources: Vec<Source>,
    pub on: Conditions,
    pub filter: Conditions,
    pub group: Vec<Unit>,
    pub having: Conditions,
    pub order: Option<Order>,
    pub limit: bool,
    pub set: Option<(SetOperator, Box<Query>)>,
}
