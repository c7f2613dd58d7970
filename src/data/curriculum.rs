//! What a query exercises most: the buckets of a curriculum.

use crate::sql::tokens::{Token, tokens};

/// Names of the buckets, from the one that is asked for first.
pub const BUCKETS: [&str; 7] = [
    SETS,
    "join",
    "group_having",
    "order_limit",
    "aggregate",
    "filter",
    "projection",
];

/// Queries that combine others.
pub const SETS: &str = "set_operation";

/// The first bucket that `sql` belongs to.
pub fn bucket(sql: &str) -> &'static str {
    let tokens = tokens(sql);
    let has = |words: &[&str]| {
        let is_one = |token: &Token| words.iter().any(|word| token.is(word));
        tokens.iter().any(is_one)
    };
    let calls = tokens.windows(2).any(|pair| {
        let aggregates = ["count", "sum", "avg", "min", "max"];
        pair[1].is("(") && aggregates.iter().any(|name| pair[0].is(name))
    });
    let [sets, join, group, order, aggregate, filter, projection] = BUCKETS;
    if has(&["union", "intersect", "except"]) {
        sets
    } else if has(&["join"]) {
        join
    } else if has(&["group", "having"]) {
        group
    } else if has(&["order", "limit"]) {
        order
    } else if calls {
        aggregate
    } else if has(&["where"]) {
        filter
    } else {
        projection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bucket_that_fits_is_it() {
        for (sql, expected) in [
            (
                "SELECT a FROM t UNION SELECT b FROM u JOIN v",
                "set_operation",
            ),
            (
                "select count(*) from t join u on t.a = u.a group by t.b",
                "join",
            ),
            (
                "SELECT a, COUNT(*) FROM t WHERE b > 1 GROUP BY a ORDER BY 2 LIMIT 1",
                "group_having",
            ),
            ("SELECT MAX(a) FROM t ORDER BY b", "order_limit"),
            ("SELECT AVG ( a ) FROM t WHERE b = 'join us'", "aggregate"),
            ("SELECT count FROM t WHERE \"limit\" = 1", "filter"),
            ("SELECT a FROM t", "projection"),
        ] {
            assert_eq!(bucket(sql), expected, "{sql}");
            assert!(BUCKETS.contains(&bucket(sql)));
        }
    }
}
