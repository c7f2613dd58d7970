//! Comparison of results: long ones must take time in proportion to their rows, wide ones must not take the factorial.
//!     cargo bench --bench compare

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factory::sql::compare::{same_set, same_text, same_under_permutation};
use factory::sql::value::{Row, Value};
use std::hint::black_box;

/// Rows of an id, a text and columns of few values, which alone tell nothing apart.
fn table(rows: usize, columns: usize) -> Vec<Row> {
    let cell = |row: usize, column: usize| match column {
        0 => Value::Integer(row as i64),
        1 => Value::Text(format!("name {}", row * 7919 % rows).into_bytes()),
        _ => Value::Integer((row * 31 / column % 5) as i64),
    };
    (0..rows)
        .map(|row| (0..columns).map(|column| cell(row, column)).collect())
        .collect()
}

/// The same rows from the last to the first, columns turned by one.
fn turned(table: &[Row]) -> Vec<Row> {
    let turn = |row: &Row| {
        let mut row = row.clone();
        row.rotate_left(1);
        row
    };
    table.iter().rev().map(turn).collect()
}

fn long(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("long");
    group.sample_size(10);
    for rows in [1_000, 10_000, 100_000] {
        let left = table(rows, 4);
        let right: Vec<Row> = left.iter().rev().cloned().collect();
        let other = turned(&left);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("text", rows), |b| {
            b.iter(|| assert!(same_text(black_box(&left), &right)))
        });
        group.bench_function(BenchmarkId::new("set", rows), |b| {
            b.iter(|| assert!(same_set(black_box(&left), &right)))
        });
        group.bench_function(BenchmarkId::new("permuted", rows), |b| {
            b.iter(|| {
                assert_eq!(
                    same_under_permutation(black_box(&left), &other, false),
                    Some(true)
                )
            })
        });
    }
}

fn wide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wide");
    group.sample_size(10);
    for columns in [4, 12, 100] {
        let left = table(200, columns);
        let right = turned(&left);
        let alike = vec![vec![Value::Integer(1); columns]; 200];
        group.bench_function(BenchmarkId::new("permuted", columns), |b| {
            b.iter(|| {
                assert_eq!(
                    same_under_permutation(black_box(&left), &right, false),
                    Some(true)
                )
            })
        });
        group.bench_function(BenchmarkId::new("alike", columns), |b| {
            b.iter(|| {
                assert_eq!(
                    same_under_permutation(black_box(&alike), &alike, false),
                    Some(true)
                )
            })
        });
    }
}

criterion_group!(benches, long, wide);
criterion_main!(benches);
