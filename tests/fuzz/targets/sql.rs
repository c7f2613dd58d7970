//! What reads a model's reply: extraction by the former rule, text forms, tokens, Spider's grammar, failure kinds; and comparison of results.
#![no_main]

use factory::eval::clean;
use factory::sql::compare::{same_set, same_text, same_under_permutation};
use factory::sql::extract::{Extraction, Found};
use factory::sql::normalize::{collapse, plain, public_exact, test_suite};
use factory::sql::shape::shape;
use factory::sql::spider::{Schema, Table, exact_set_match};
use factory::sql::taxonomy::classify;
use factory::sql::tokens::tokens;
use factory::sql::value::{Row, Value};
use factory_fuzz::seed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: {
    let query = "select distinct t1.a, count(*) from t as t1 join u on t1.a = u.a where b > 1 and c like 'x' group by a having \
                 count(*) > 2 order by a desc limit 3";
    let nested = "select a from t where a in (select a from u except select b from t) or a not between 1 and 2";
    let reply = "Answer:\n```sql\nWITH c AS (SELECT 1) SELECT ';' FROM c; -- x\n```";
    let pair = |a: &str, b: &str| format!("{a}\0{b}").into_bytes();
    seed(vec![pair(query, nested), pair(reply, query), pair("select year(curdate()) > = 1", "\x01\x02\x03")], run)
}, |data: &[u8]| { run(data); });

fn run(data: &[u8]) -> Option<()> {
    let text = String::from_utf8_lossy(data);
    let (predicted, gold) = text.split_once('\0').unwrap_or((&text, ""));
    for reply in [predicted, gold] {
        texts(reply);
    }
    classify(Extraction::Statement.find(predicted).query(), gold, None);
    let schema = schema();
    for (a, b) in [(predicted, gold), (gold, predicted), (predicted, predicted)] {
        if let Ok(same) = exact_set_match(a, b, &schema) {
            assert!(same || a != b, "a reference is not itself: {a}");
        }
    }
    rows(data);
    Some(())
}

fn texts(reply: &str) {
    if let Found::Query(query) = Extraction::FirstSelect.find(reply) {
        assert!(reply.contains(&query));
        let again = Extraction::FirstSelect.find(&query);
        assert_eq!(again, Found::Query(query), "an extracted query is extracted whole");
    }
    plain(reply);
    assert_eq!(collapse(&collapse(reply)), collapse(reply));
    public_exact(reply);
    test_suite(reply, false);
    shape(reply);
    clean::class(reply);
    let mut end = 0;
    for token in tokens(reply) {
        assert!(token.at >= end && reply[token.at..token.end()] == *token.text);
        end = token.end();
    }
}

/// Results of few values, whose columns are then turned and whose rows are reversed: still the same.
fn rows(data: &[u8]) {
    let columns = 1 + data.first().map_or(0, |byte| usize::from(*byte) % 6);
    let value = |byte: &u8| match byte % 8 {
        0 => Value::Null,
        1 => Value::Integer(i64::from(byte / 64)),
        2 => Value::Real(f64::from(byte / 64)),
        3 => Value::Text(vec![byte / 64 + b'0']),
        4 => Value::Blob(vec![*byte]),
        5 => Value::Text(vec![0xff, b'0']),
        other => Value::Integer(i64::from(other)),
    };
    let left: Vec<Row> = data
        .chunks_exact(columns)
        .take(40)
        .map(|row| row.iter().map(value).collect())
        .collect();
    let turned = |row: &Row| {
        let mut row = row.clone();
        row.rotate_left(usize::from(data[0] / 8) % columns);
        row
    };
    let right: Vec<Row> = left.iter().rev().map(turned).collect();
    let reversed: Vec<Row> = left.iter().rev().cloned().collect();
    assert!(same_text(&left, &reversed) && same_set(&left, &reversed));
    assert_eq!(same_under_permutation(&left, &right, false), Some(true));
    let ordered: Vec<Row> = left.iter().map(turned).collect();
    assert_eq!(same_under_permutation(&left, &ordered, true), Some(true));
}

fn schema() -> Schema {
    let table = |name: &str| Table {
        name: name.to_owned(),
        columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
    };
    let key = |table: &str| (table.to_owned(), "a".to_owned());
    Schema {
        tables: vec![table("t"), table("u")],
        foreign_keys: vec![(key("u"), key("t"))],
    }
}
