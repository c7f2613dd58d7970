//! Extraction of the statement that is the answer, and what the audit makes of a query.
#![no_main]

use factory::sql::bare::within;
use factory::sql::determined::{chance, clock};
use factory::sql::extract::{Extraction, Found};
use factory::sql::ties::with_tie_break;
use factory_fuzz::seed;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 8] = [
    "<think>SELECT 1;</think>\nSo:\n```sql\n-- all\nWITH c AS (SELECT ';')\n\nSELECT * FROM c -- it's\n```\nDone.",
    "~~~\nselect a, b from t group by a\n~~~\n<answer>SELECT a FROM t</answer>",
    "Do not use SELECT a FROM t; use SELECT b FROM t\nThis query isn't slow.",
    "{\"why\": [\"x\"], \"sql\": \"SELECT \\\"a\\\" FROM t\"}</s>",
    "SQLQuery: 'SELECT row_number() over (order by a) FROM [t]'\nSQLResult: 1\nQuestion: next?",
    "**SELECT date('now'), random()** and `(SELECT a FROM t order by b limit 1)`<|im_end|>",
    "/* x */ DROP TABLE t;\nSELECT 1",
    "Select the town.\nSELECT TOP 5 a FROM t\n\nExplanation: none",
];

fuzz_target!(
    init: seed(SEEDS.map(|seed| seed.as_bytes().to_vec()).to_vec(), run),
    |bytes: &[u8]| { run(bytes); }
);

fn run(bytes: &[u8]) -> Option<()> {
    let reply = String::from_utf8_lossy(bytes);
    if let Found::Query(query) = Extraction::Statement.find(&reply) {
        let lower = query.to_ascii_lowercase();
        assert!(
            lower.starts_with("select") || lower.starts_with("with"),
            "{query}"
        );
        assert_eq!(query.trim_end(), query);
    }
    chance(&reply);
    clock(&reply);
    within(&reply, "min");
    with_tie_break(&reply);
    Some(())
}
