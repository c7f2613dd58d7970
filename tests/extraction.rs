//! Replies as models write them: what query each holds, by the rule in force and by the former one.

use factory::sql::extract::{Extraction, Found};

const Q: &str = "SELECT kind, COUNT(*) FROM boat GROUP BY kind";

/// What is right for a reply.
enum Right {
    /// [`Q`], with or without its semicolon.
    Q,
    Other(&'static str),
    Refused,
    Nothing,
}
use Right::{Nothing, Other, Refused};

#[rustfmt::skip]
const REPLIES: [(&str, Right); 60] = [
    // Alone, and in words.
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("\u{feff}  SELECT kind, COUNT(*) FROM boat GROUP BY kind ;\n", Right::Q),
    ("I selected the boats by kind.\n\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;", Right::Q),
    ("Here we select from boat and count:\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("Select the kind and the count per kind.\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("The query you need is SELECT kind, COUNT(*) FROM boat GROUP BY kind;", Right::Q),
    ("Do not use SELECT * FROM boat; use SELECT kind, COUNT(*) FROM boat GROUP BY kind;", Right::Q),
    ("I can not help. For example SELECT name FROM boat; is no answer to this.", Nothing),
    ("The selection needs more care with the schema.", Nothing),
    ("- SELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("sqlite> SELECT kind, COUNT(*) FROM boat GROUP BY kind;\nyawl|2\nketch|1", Right::Q),
    // Common tables, blank lines, comments.
    ("WITH b AS (\n  SELECT kind FROM boat\n),\n\nc AS (SELECT 1)\n\nSELECT kind FROM b", Other("WITH b AS (\n  SELECT kind FROM boat\n),\n\nc AS (SELECT 1)\n\nSELECT kind FROM b")),
    ("With care: WITH /* all */ b AS -- boats\n(SELECT kind FROM boat) SELECT kind FROM b;\nIt's done; really.", Other("WITH /* all */ b AS -- boats\n(SELECT kind FROM boat) SELECT kind FROM b;")),
    ("WITH RECURSIVE [my boats](n) AS (SELECT 1) SELECT n FROM [my boats]", Other("WITH RECURSIVE [my boats](n) AS (SELECT 1) SELECT n FROM [my boats]")),
    ("SELECT kind,\n\n  COUNT(*)\n\nFROM boat", Other("SELECT kind,\n\n  COUNT(*)\n\nFROM boat")),
    ("SELECT kind, -- one row each; sorted\n COUNT(*) /* don't; */ FROM boat; That is all.", Other("SELECT kind, -- one row each; sorted\n COUNT(*) /* don't; */ FROM boat;")),
    ("-- Select the boats by kind\n/* select again; */ SELECT kind, COUNT(*) FROM boat GROUP BY kind;", Right::Q),
    ("SELECT kind AS [boat's kind], `a;b` FROM boat; Fine.", Other("SELECT kind AS [boat's kind], `a;b` FROM boat;")),
    ("SELECT name FROM boat WHERE name = 'a;b -- c' OR name LIKE '%</s>'", Other("SELECT name FROM boat WHERE name = 'a;b -- c' OR name LIKE '%</s>'")),
    // Thinking.
    ("<think>SELECT name FROM boat; no, by kind.</think>\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("Maybe SELECT name FROM boat;\n</think>\n\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;", Right::Q),
    ("<think>\nI would\nSELECT name FROM boat;", Nothing),
    ("<thinking>DROP TABLE boat; no.</thinking>```sql\nSELECT kind, COUNT(*) FROM boat GROUP BY kind\n```", Right::Q),
    // Fences.
    ("Sure:\n```sql\nSELECT kind, COUNT(*) FROM boat GROUP BY kind\n```\nKinds come once; none is left out.", Right::Q),
    ("~~~sqlite\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;\n~~~", Right::Q),
    ("````SQL title=\"x\"\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("```sql SELECT kind, COUNT(*) FROM boat GROUP BY kind```", Right::Q),
    ("Draft:\n```\nSELECT name FROM boat;\n```\nBetter:\n```sql\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;\n```", Right::Q),
    ("```sql\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;\n```\nwhich gives\n```text\n| kind | n |\n| yawl | 2 |\n```", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind\n```\nThe fence began in the prompt.", Right::Q),
    ("SELECT name FROM boat; is a start, but:\n```sql\n-- by kind\nSELECT kind, COUNT(*) FROM boat GROUP BY kind\n```", Right::Q),
    // Answers.
    ("First thought: SELECT name FROM boat;\nFinal answer: SELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("SQLQuery: SELECT kind, COUNT(*) FROM boat GROUP BY kind\nSQLResult: yawl|2\nAnswer: two yawls", Right::Q),
    ("<answer>\nSELECT kind, COUNT(*) FROM boat GROUP BY kind\n</answer>", Right::Q),
    ("**Answer:** SELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind;\n\nQuestion: Which?\nAnswer: SELECT name FROM boat;", Right::Q),
    ("[SQL] SELECT kind, COUNT(*) FROM boat GROUP BY kind [/SQL]", Right::Q),
    // Wrappers.
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind</s>", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind<|im_end|>\n<|im_start|>user\nDROP TABLE boat;", Right::Q),
    ("{\"sql\": \"SELECT kind, COUNT(*) FROM boat GROUP BY kind\"}", Right::Q),
    ("{\"why\": \"SELECT name would be wrong\", \"query\": \"SELECT \\\"kind\\\"\\nFROM boat\"}", Other("SELECT \"kind\"\nFROM boat")),
    ("**SELECT kind, COUNT(*) FROM boat GROUP BY kind**", Right::Q),
    ("\"SELECT kind, COUNT(*) FROM boat GROUP BY kind\"", Right::Q),
    ("'SELECT name FROM boat WHERE kind = 'yawl''", Other("SELECT name FROM boat WHERE kind = 'yawl'")),
    ("You may run `SELECT kind, COUNT(*) FROM boat GROUP BY kind` for that.", Right::Q),
    ("(SELECT kind, COUNT(*) FROM boat GROUP BY kind)", Right::Q),
    // Prose behind a statement without a semicolon.
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind\nThis query counts; it isn't slow.", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind\n\nExplanation: groups, then counts.", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind\nNote: yawls first.", Right::Q),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind This query counts the boats.", Right::Q),
    // What is no query.
    ("DROP TABLE boat; SELECT kind, COUNT(*) FROM boat GROUP BY kind", Refused),
    ("SELECT kind, COUNT(*) FROM boat GROUP BY kind;\nDELETE FROM boat WHERE kind IS NULL;", Refused),
    ("```sql\nCREATE TABLE n AS SELECT kind FROM boat;\nSELECT kind, COUNT(*) FROM boat GROUP BY kind;\n```", Refused),
    ("explain query plan select kind from boat", Refused),
    ("PRAGMA foreign_keys = off;\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Refused),
    ("WITH b AS (SELECT 1) INSERT INTO boat SELECT * FROM b;", Refused),
    ("I will not drop anything.\nUpdate: nothing to update.\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Right::Q),
    ("Analyze the question. Create table names first, then delete from the list.\n```sql\nSELECT kind, COUNT(*) FROM boat GROUP BY kind\n```", Right::Q),
    // Wrong, and to be scored as written.
    ("SELECT TOP 5 kind FROM boat;\nSELECT kind, COUNT(*) FROM boat GROUP BY kind", Other("SELECT TOP 5 kind FROM boat;")),
    ("SELECT kind FROM boat\nWHERE name = 'open", Other("SELECT kind FROM boat\nWHERE name = 'open")),
];

fn is_right(found: &Found, right: &Right) -> bool {
    let bare = |sql: &str| {
        sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace())
            .to_owned()
    };
    match (found, right) {
        (Found::Query(sql), Right::Q) => bare(sql) == Q,
        (Found::Query(sql), Other(expected)) => sql == expected,
        (found, Refused) => matches!(found, Found::Refused(_)),
        (found, Nothing) => *found == Found::Nothing,
        _ => false,
    }
}

#[test]
fn every_reply_gives_its_query() {
    let wrong: Vec<_> = REPLIES
        .iter()
        .map(|(reply, right)| (reply, Extraction::Statement.find(reply), right))
        .filter(|(_, found, right)| !is_right(found, right))
        .map(|(reply, found, _)| format!("{reply:?}: {found:?}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn whatever_quotes_a_query_is_no_part_of_it() {
    for (open, close) in [
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("‘", "’"),
        ("«", "»"),
        ("**", "**"),
        ("\\boxed{", "}"),
    ] {
        let found = Extraction::Statement.find(&format!("Answer: {open}{Q}{close}"));
        assert_eq!(found.query(), Some(Q), "{open}");
    }
}

#[test]
fn a_query_begins_behind_any_script_s_colon_and_a_shell_s_prompt() {
    for reply in ["查询：Q。", "はい。Q", "$ Q"] {
        let found = Extraction::Statement.find(&reply.replace('Q', Q));
        assert_eq!(found.query(), Some(Q), "{reply}");
    }
}

#[test]
fn a_write_under_any_key_of_json_is_refused() {
    let reply = |more: &str| format!(r#"{{"sql": "{Q}", {more}}}"#);
    let refused = Extraction::Statement.find(&reply(r#""setup": "DROP TABLE boat""#));
    assert_eq!(refused.refused(), Some("DROP TABLE boat"));
    let words = Extraction::Statement.find(&reply(r#""why": "we drop nothing""#));
    assert_eq!(words.query(), Some(Q));
}

#[test]
fn the_former_rule_finds_fewer() {
    let right = REPLIES
        .iter()
        .filter(|(reply, right)| is_right(&Extraction::FirstSelect.find(reply), right));
    assert_eq!(right.count(), 19);
}

#[test]
fn an_extracted_query_is_extracted_whole() {
    for (reply, _) in &REPLIES {
        if let Found::Query(sql) = Extraction::Statement.find(reply) {
            assert_eq!(Extraction::Statement.find(&sql), Found::Query(sql.clone()));
        }
    }
}

#[test]
fn hostile_replies_take_no_long_time() {
    let start = std::time::Instant::now();
    for piece in [
        "select ",
        "select\n",
        "with a as (",
        "/* ",
        "-- \n",
        "```",
        "~~~\n",
        "<think>",
        "</think>",
        "Answer: ",
        "{\"",
        "[[",
        "(",
        "'",
        "\"select ",
        "; select (",
        "drop table t;",
        "select a from t\n",
        "<answer>select",
        "\nselect a from t\nThis ",
    ] {
        let reply = piece.repeat((1 << 20) / piece.len());
        Extraction::Statement.find(&reply);
        let apart = start.elapsed();
        assert!(apart.as_secs() < 60, "{piece:?} {apart:?}");
    }
}
