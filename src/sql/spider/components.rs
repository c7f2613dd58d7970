//! Compares two queries part by part. All parts must be equal.

use super::names::Names;
use super::tree::{
    Column, Comparison, Condition, Conditions, Expression, Link, Query, Source, Unit,
};
use std::collections::HashSet;

/// True if every component of the two queries is the same.
pub fn exact(mut predicted: Query, mut gold: Query, names: &Names) -> bool {
    for query in [&mut predicted, &mut gold] {
        let tables = query.sources.iter().filter_map(|source| match source {
            Source::Table(table) => Some(*table),
            Source::Query(_) => None,
        });
        let tables = tables.collect();
        loosen(query, &Merge { tables, names });
    }
    same(&predicted, &gold)
}

/// The components of one level, then the operands of a set operator. What the original scores apart and these imply, such as
/// SELECT without aggregates, needs no look.
fn same(one: &Query, other: &Query) -> bool {
    let columns = |query: &Query| -> Vec<Column> {
        let units = query.group.iter();
        units.map(|unit| unit.column).collect()
    };
    let sets = match (&one.set, &other.set) {
        (None, None) => true,
        (Some((op, one)), Some((other_op, other))) => op == other_op && same(one, other),
        _ => false,
    };
    sets && same_bag(&one.items, &other.items)
        && same_bag(&one.filter.list, &other.filter.list)
        && links(&one.filter) == links(&other.filter)
        && columns(one) == columns(other)
        && one.having == other.having
        && one.order == other.order
        && keywords(one) == keywords(other)
        && same_bag(&one.sources, &other.sources)
}

/// Equality whatever the order. By sorting, for a prediction may be as long as it likes.
fn same_bag<T: Ord>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && sorted(one) == sorted(other)
}

fn sorted<T: Ord>(parts: &[T]) -> Vec<&T> {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort();
    parts
}

/// Whether AND and OR are there.
fn links(conditions: &Conditions) -> [bool; 2] {
    [Link::And, Link::Or].map(|link| conditions.links.contains(&link))
}

/// LIMIT, OR, NOT, IN and LIKE: the keywords whose presence the other components leave open, because of ON.
fn keywords(query: &Query) -> [bool; 5] {
    let parts = [&query.on, &query.filter, &query.having];
    let any = |holds: fn(&Condition) -> bool| {
        let mut all = parts.iter().flat_map(|part| &part.list);
        all.any(holds)
    };
    [
        query.limit,
        parts.iter().any(|part| part.links.contains(&Link::Or)),
        any(|condition| condition.not),
        any(|condition| condition.comparison == Comparison::In),
        any(|condition| condition.comparison == Comparison::Like),
    ]
}

/// Which columns foreign keys make one: those of the tables of the first FROM.
struct Merge<'a> {
    tables: HashSet<usize>,
    names: &'a Names,
}

/// Drops DISTINCT and makes columns of foreign keys one, in the query and the operands of its set operators, but not in
/// subqueries, which the original leaves as they are.
fn loosen(query: &mut Query, merge: &Merge) {
    query.distinct = false;
    let items = query.items.iter_mut().map(|item| &mut item.expression);
    let conditions = [&mut query.on, &mut query.filter, &mut query.having];
    let conditions = conditions.into_iter().flat_map(|part| &mut part.list);
    let lefts = conditions.map(|condition| &mut condition.left);
    let orders = query.order.iter_mut().flat_map(|order| &mut order.by);
    let expressions = items.chain(lefts).chain(orders);
    let units = expressions.flat_map(|Expression { left, right }| {
        let right = right.as_mut().map(|(_, unit)| unit);
        std::iter::once(left).chain(right)
    });
    for unit in units.chain(&mut query.group) {
        loosen_unit(unit, merge);
    }
    if let Some((_, operand)) = &mut query.set {
        loosen(operand, merge);
    }
}

fn loosen_unit(unit: &mut Unit, merge: &Merge) {
    unit.distinct = false;
    if matches!(unit.column, Column::Of(table, _) if merge.tables.contains(&table)) {
        unit.column = merge.names.representative(unit.column);
    }
}
