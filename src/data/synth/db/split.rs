//! Train and dev: dev has shapes that train lacks, and of shapes that both have, other values.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fill::rank;
use super::pool::Made;
use crate::data::set::flat;

/// Dev rows of a shape.
const OF_SHAPE: usize = 4;

/// Places in the pool.
pub struct Split {
    pub train: Vec<usize>,
    pub dev: Vec<usize>,
}

/// Takes `dev` rows out of the pool, two of five of shapes of their own, and up to `train` of what is left.
pub fn split(pool: &[Made], train: usize, dev: usize, seed: u64) -> Split {
    let mut shapes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, made) in pool.iter().enumerate() {
        shapes.entry(&made.shape).or_default().push(at);
    }
    let mut order: Vec<&str> = shapes.keys().copied().collect();
    order.sort_by_cached_key(|shape| rank(seed, &["held out", shape]));

    let mut held: BTreeSet<&str> = BTreeSet::new();
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    let unseen = dev * 2 / 5;
    // A shape that much of the pool has is not held out: train would lose it.
    let common = (pool.len() / 60).max(OF_SHAPE);
    for shape in order.iter().filter(|shape| shapes[**shape].len() <= common) {
        // At least half of the shapes stay.
        if chosen.len() >= unseen || held.len() * 2 >= order.len() {
            break;
        }
        let room = OF_SHAPE.min(unseen - chosen.len());
        chosen.extend(shapes[shape].iter().take(room));
        held.insert(shape);
    }
    let mut values: BTreeSet<&str> = chosen.iter().map(|at| pool[*at].value.as_str()).collect();
    let seen: Vec<&str> = order
        .iter()
        .copied()
        .filter(|shape| !held.contains(shape))
        .collect();
    // One of each shape, then a second of each, so that no shape fills dev.
    for round in 0..OF_SHAPE * 2 {
        for shape in &seen {
            if chosen.len() >= dev {
                break;
            }
            let rows = &shapes[shape];
            let free: BTreeSet<&str> = rows
                .iter()
                .map(|at| pool[*at].value.as_str())
                .filter(|value| !values.contains(value))
                .collect();
            // Train keeps the shape.
            if free.len() < 2 || rows.len() < 3 * (round + 1) {
                continue;
            }
            let next = rows
                .iter()
                .find(|at| free.contains(pool[**at].value.as_str()));
            if let Some(&at) = next {
                chosen.insert(at);
                values.insert(&pool[at].value);
            }
        }
    }
    // Two databases may have a table of one name, and so the same query.
    let queries: BTreeSet<String> = chosen.iter().map(|at| flat(&pool[*at].sql)).collect();
    let left = (0..pool.len()).filter(|at| {
        let made = &pool[*at];
        let apart = !held.contains(made.shape.as_str())
            && !values.contains(made.value.as_str())
            && !queries.contains(&flat(&made.sql));
        apart && !chosen.contains(at)
    });
    Split {
        train: left.take(train).collect(),
        dev: chosen.iter().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::patterns::Kind;
    use super::*;

    #[test]
    fn a_query_that_two_databases_share_is_in_one_split() {
        let made = |at: usize| {
            let (database, query) = (at % 2, at / 2);
            let sql = format!("select a{query} from t{}", query % 8);
            Made {
                database,
                kind: Kind::Projection,
                question: at.to_string(),
                shape: format!("select ? from t{}", query % 8),
                value: format!("{database} {sql}"),
                tables: vec![0],
                sql,
            }
        };
        let pool: Vec<Made> = (0..160).map(made).collect();
        let Split { train, dev } = split(&pool, 100, 30, 0);
        let queries = |places: &[usize]| -> BTreeSet<&str> {
            places.iter().map(|at| &*pool[*at].sql).collect()
        };
        assert!(train.len() > 40 && dev.len() > 20, "{train:?} {dev:?}");
        assert!(queries(&train).is_disjoint(&queries(&dev)));
    }
}
