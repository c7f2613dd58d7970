use super::*;
use serde_json::json;
use tempfile::TempDir;

fn scored(id: &str, question: &str, gold: &str, failure: Option<&str>) -> ScoredRow {
    serde_json::from_value(json!({
        "index": 0, "id": id, "db": null, "question": question, "predicted_sql": "", "scored_sql": "", "gold_sql": gold,
        "exec_match": failure.is_none(), "predicted_error": null, "gold_error": null, "predicted_rows": null,
        "gold_rows": null, "failure_type": failure, "elapsed_ms": 0,
    }))
    .unwrap()
}

fn folder(pool: &[serde_json::Value]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text: String = pool.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.path().join("pool.jsonl"), text).unwrap();
    folder
}

fn chosen(folder: &TempDir, rows: &[ScoredRow], count: usize, seed: u64) -> Targeted {
    let pool = folder.path().join("pool.jsonl");
    let held = folder.path().join("held.jsonl");
    let heldout = if held.exists() {
        vec![held]
    } else {
        Vec::new()
    };
    let request = Request {
        rows,
        pool: &pool,
        asked: &[],
        heldout: &heldout,
        columns: &Columns::default(),
        count,
        seed,
    };
    choose(&request).unwrap()
}

fn row(id: &str, prompt: &str, answer: &str) -> serde_json::Value {
    json!({"id": id, "instruction": prompt, "response": answer})
}

fn ids(targeted: &Targeted) -> Vec<(&str, Why)> {
    let rows = targeted.manifest.rows.iter();
    rows.map(|row| (row.id.as_deref().unwrap(), row.why))
        .collect()
}

#[test]
fn rows_are_chosen_for_what_failed_the_nearest_first() {
    let folder = folder(&[
        row("plain", "Name the boats.", "select name from boats;"),
        row(
            "join",
            "Which crews sail in May?",
            "select c.n from crews c join trips t on c.id = t.c order by t.d;",
        ),
        row(
            "same",
            "Crews of the Wasp?",
            "select c.n from crews c join boats b on c.id = b.crew where b.n = 'Wasp';",
        ),
        row(
            "clauses",
            "Ports of old boats?",
            "select distinct p.n from ports p join boats b on p.id = b.p where b.y < 1950 and p.o = 1;",
        ),
    ]);
    let failed = scored(
        "f",
        "Who sails on the Heron?",
        "select s.name from sailors s join boats b on s.id = b.sailor where b.name = 'Heron';",
        Some("sql_missing_join"),
    );
    let passed = scored("p", "How many boats?", "select count(*) from boats", None);
    let targeted = chosen(&folder, &[passed, failed], 10, 0);
    assert_eq!(
        ids(&targeted),
        [
            ("same", Why::Shape),
            ("clauses", Why::Clauses),
            ("join", Why::FailedClause)
        ]
    );
    let texts: Vec<_> = targeted
        .lines
        .iter()
        .map(|line| &line.fields()["id"])
        .collect();
    assert_eq!(texts, ["same", "clauses", "join"]);
    let manifest = &targeted.manifest;
    assert_eq!(
        (manifest.wanted, manifest.chosen, manifest.pool_rows),
        (10, 3, 4)
    );
    assert_eq!(manifest.rows[0].line, 3);
    assert_eq!(manifest.rows[0].failed, "f");
    let json = serde_json::to_string(manifest).unwrap();
    assert!(
        json.contains("\"why\":\"failed_clause\"") && !json.contains("Wasp"),
        "{json}"
    );
}

#[test]
fn kinds_of_failure_have_their_proportion() {
    let mut pool = Vec::new();
    for i in 0..20 {
        pool.push(row(
            &format!("c{i}"),
            &format!("How many in port {i}?"),
            &format!("select count(*) from boats where port = {i};"),
        ));
        pool.push(row(
            &format!("n{i}"),
            &format!("Names in port {i}?"),
            &format!("select name from boats where port = {i};"),
        ));
    }
    let folder = folder(&pool);
    let rows = [
        scored(
            "a",
            "How many sails has it?",
            "select count(*) from sails where boat = 1",
            Some("sql_wrong_aggregation"),
        ),
        scored(
            "b",
            "The names of its sails?",
            "select name from sails where boat = 1",
            Some("sql_wrong_filter"),
        ),
        scored(
            "c",
            "The names of its masts?",
            "select name from masts where boat = 1",
            Some("sql_wrong_filter"),
        ),
    ];
    let targeted = chosen(&folder, &rows, 10, 0);
    let shares: Vec<_> = targeted
        .manifest
        .failures
        .iter()
        .map(|s| (&*s.failure_type, s.wanted, s.chosen))
        .collect();
    assert_eq!(
        shares,
        [("sql_wrong_filter", 7, 7), ("sql_wrong_aggregation", 3, 3)]
    );
    let of = |id: &str| {
        targeted
            .manifest
            .rows
            .iter()
            .filter(|row| row.failed == id)
            .count()
    };
    assert_eq!((of("a"), of("b"), of("c")), (3, 4, 3));
    // The same seed, the same rows; another, others.
    let again = |seed| chosen(&folder, &rows, 10, seed).manifest.rows;
    assert_eq!(again(0), targeted.manifest.rows);
    assert_ne!(again(1), targeted.manifest.rows);
    assert!(quotas(&[], 5).is_empty());
    assert_eq!(quotas(&[("x", 1), ("y", 1), ("z", 1)], 2), [1, 1, 0]);
}

#[test]
fn nothing_held_out_is_chosen() {
    let sql = |boat: &str| format!("select name from sails where boat = '{boat}';");
    let folder = folder(&[
        row(
            "question",
            "Schema: sails. Question: What sails has\nthe Heron?",
            &sql("other"),
        ),
        row(
            "gold",
            "Sails of it, please",
            "SELECT name  FROM sails WHERE boat = 'Heron'",
        ),
        row("prompt", "List every sail of the Wasp", &sql("Wasp")),
        row(
            "free",
            "Schema: sails. Question: What sails has the Heronsgate?",
            &sql("Heronsgate"),
        ),
        row(
            "again",
            "schema: sails. Question: What sails has the Heronsgate?",
            &sql("Heronsgate"),
        ),
        json!({"id": "prose", "instruction": "Hello", "response": "Good day."}),
    ]);
    let held = json!({"id": "x", "prompt": "List every  sail of the wasp", "gold_sql": "select 1"});
    std::fs::write(folder.path().join("held.jsonl"), held.to_string()).unwrap();
    let failed = scored(
        "f",
        "What sails has the Heron",
        &sql("Heron"),
        Some("sql_wrong_filter"),
    );
    let targeted = chosen(&folder, &[failed], 10, 0);
    assert_eq!(ids(&targeted), [("free", Why::Shape)]);
    let Manifest {
        held_out,
        without_query,
        repeated,
        ..
    } = targeted.manifest;
    assert_eq!((held_out, without_query, repeated), (3, 1, 1));
}

#[test]
fn what_a_set_says_of_its_rows_counts() {
    let with = |id: &str, domain: &str, curriculum: &str, sql: &str| json!({"id": id, "domain": domain, "curriculum": curriculum, "instruction": format!("{id}?"), "response": sql});
    let folder = folder(&[
        with("far", "port", "x", "select a from t where b = 1;"),
        with("near", "fleet", "x", "select a from t where b = 2;"),
        with(
            "taught",
            "port",
            "top",
            "select a from t order by b limit 1;",
        ),
        with("names", "fleet", "x", "select count(*) from t group by b;"),
    ]);
    let held = json!({"id": 7, "prompt": "P", "domain": "fleet", "curriculum": "top"});
    std::fs::write(folder.path().join("held.jsonl"), held.to_string()).unwrap();
    let failed = scored(
        "7",
        "Which of them is it?",
        "select c from u where d = 3",
        Some("sql_wrong_schema"),
    );
    let targeted = chosen(&folder, &[failed], 4, 0);
    assert_eq!(
        ids(&targeted),
        [
            ("near", Why::Shape),
            ("far", Why::Shape),
            ("taught", Why::Curriculum),
            ("names", Why::Domain)
        ]
    );
}
