//! `--constrain`: answers held to one query, with the names of the row's schema.

mod common;

use candle_core::{DType, Device};
use common::{base, fails, ok, text, tiny};
use factory::answering::constraint::{Config, Kind};
use factory::data::record::{self, Columns};
use factory::data::schema::{Table, of_text};
use factory::generation::constraint::{Constraint, Grammar, masked};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Finish;
use factory::generation::stop::StopConfig;
use factory::model::load::Base;
use factory::model::tokenizer::Tokenizer;
use factory::run::observer::Observer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SHOP: &str = "CREATE TABLE goods (id INT, name TEXT, price REAL); CREATE TABLE sales (good_id INT, \"the day\" TEXT, pieces INT)";

/// Hears nothing.
struct Silent;

impl Observer for Silent {
    fn note(&self, _: std::fmt::Arguments) {}
}

/// What a row's answer is held to.
fn grammars(kind: Kind, prompts: &[String], tokenizer: &Tokenizer) -> Vec<Arc<dyn Grammar>> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    let row = |prompt: &String| json!({"prompt": prompt}).to_string() + "\n";
    fs::write(&data, prompts.iter().map(row).collect::<String>()).unwrap();
    let (lines, asked) = record::read_prompts(&data, &Columns::default()).unwrap();
    let config = Config {
        kind,
        fallback: true,
        home: None,
    };
    let read = config.read(&data, &lines, &asked, &Silent).unwrap();
    let grammars = read.grammars(tokenizer).unwrap();
    grammars.into_iter().flatten().collect()
}

/// The prompts and references of all rows below a folder.
fn references(folder: &Path) -> Vec<(String, String)> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(references(&path));
        } else if path.extension().is_some_and(|ending| ending == "jsonl") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| row[name].as_str().map(str::to_owned);
                let prompt = text("prompt").or(text("instruction"));
                let reference = text("gold_sql").or(text("response")).or(text("chosen"));
                found.extend(prompt.zip(reference));
            }
        }
    }
    found
}

/// An empty database of tables; those of one name are one, and a column that is there twice is there once.
fn database(tables: &[Table]) -> Connection {
    let mut merged: Vec<(String, Vec<String>)> = Vec::new();
    for table in tables {
        let name = table.name.to_lowercase();
        let columns = table.columns.iter().map(|column| column.to_lowercase());
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend(columns),
            None => merged.push((name, columns.collect())),
        }
    }
    let connection = Connection::open_in_memory().unwrap();
    // SQLite's grammar has the operator, and its shell the function.
    let flags = FunctionFlags::SQLITE_UTF8;
    let regexp = |_: &Context| Ok(false);
    connection
        .create_scalar_function("regexp", 2, flags, regexp)
        .unwrap();
    for (name, mut columns) in merged {
        columns.sort();
        columns.dedup();
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let columns: Vec<String> = columns.iter().map(quoted).collect();
        let sql = format!("CREATE TABLE {} ({})", quoted(&name), columns.join(", "));
        connection.execute_batch(&sql).unwrap();
    }
    connection
}

/// Whether all of an answer is allowed, and the end behind it; every seventh token is in the mask too.
fn allowed(rules: &mut dyn Constraint, tokenizer: &Tokenizer, answer: &str) -> Result<(), String> {
    let tokens = tokenizer.encode(answer).unwrap();
    let ends = [tokenizer.eos()];
    for (at, &token) in tokens.iter().chain(&ends).enumerate() {
        let said = || tokenizer.decode(&tokens[..at]).unwrap();
        if !rules.allows(token) {
            return Err(format!("{:?} after {:?}", tokenizer.name(token), said()));
        }
        if at % 7 == 0 {
            let mask = rules.allowed().unwrap();
            let there = mask[token as usize / 32] >> (token % 32) & 1 == 1;
            assert!(there, "not in the mask: {token} after {:?}", said());
        }
        if token != tokenizer.eos() {
            rules.accept(token);
        }
    }
    Ok(())
}

/// All are allowed, but for those that name what their own schema has not. Says how many there are of both.
fn all_allowed(rows: &[(String, String)], tokenizer: &Tokenizer) -> (usize, usize) {
    let prompts: Vec<String> = rows.iter().map(|(prompt, _)| prompt.clone()).collect();
    let mut strange = 0;
    for kind in [Kind::Sql, Kind::Schema] {
        let grammars = grammars(kind, &prompts, tokenizer);
        assert_eq!(grammars.len(), rows.len());
        for ((prompt, reference), grammar) in rows.iter().zip(grammars) {
            let mut rules = grammar.begin().unwrap();
            let Err(refused) = allowed(rules.as_mut(), tokenizer, reference) else {
                continue;
            };
            let schema = of_text(prompt).unwrap().unwrap_or_default();
            let own = database(&schema).prepare(reference).map(drop);
            assert!(
                kind == Kind::Schema && own.is_err(),
                "{reference}\n{refused}\n{prompt}"
            );
            strange += 1;
        }
    }
    (rows.len(), strange)
}

fn tokenizer() -> Tokenizer {
    base("tiny-llama").tokenizer
}

#[test]
fn no_reference_is_refused() {
    let rows = references(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evals"));
    let (count, strange) = all_allowed(&rows, &tokenizer());
    assert!(count > 300 && strange == 0, "{count} {strange}");
}

#[test]
fn what_sqlite_takes_is_allowed() {
    let tokenizer = tokenizer();
    let connection = database(&of_text(SHOP).unwrap().unwrap());
    for query in [
        "SELECT name FROM goods WHERE (id, price) IN (SELECT good_id, pieces FROM sales)",
        "SELECT name FROM goods WHERE (id,price) IN (VALUES (1, 2), (3, 4)) AND (id, price) > (1, 2.5)",
        "SELECT name FROM goods WHERE NOT (id, name) = (SELECT good_id, 'x' FROM sales) OR (id, 1) IS (2, 1)",
        "SELECT name FROM goods WHERE price IS DISTINCT FROM 3 AND id IS NOT DISTINCT FROM price",
        "SELECT name FROM goods WHERE name IS NOT DISTINCT FROM 'x' AND id IS DISTINCT FROM(1)",
        "SELECT name FROM goods WHERE name REGEXP '^a' AND NOT name NOT REGEXP 'b'",
        "SELECT name FROM goods WHERE name MATCH 'a' OR name GLOB 'b*'",
        "SELECT X'41fF', x'', 0xFf FROM goods WHERE id = 0x10 AND name <> x'00'",
        "SELECT name FROM main.goods AS g JOIN main.sales ON main.sales.good_id = g.id",
        "SELECT main.goods.name FROM \"main\".goods WHERE main.goods.price > 1 GROUP BY main.goods.name",
        "SELECT x.n FROM (SELECT count(*) AS n FROM sales) x",
        "SELECT name, n + 1 FROM goods JOIN (SELECT good_id AS k, count(*) AS n FROM sales GROUP BY 1) ON k = id",
        "WITH a(k) AS (SELECT id FROM goods), b AS (SELECT good_id AS k FROM sales) SELECT k FROM a JOIN b USING (k)",
    ] {
        let prepared = connection.prepare(query).map(drop);
        assert!(prepared.is_ok(), "{query}: {prepared:?}");
        for kind in [Kind::Sql, Kind::Schema] {
            let grammar = grammars(kind, &[SHOP.to_owned()], &tokenizer).remove(0);
            let mut rules = grammar.begin().unwrap();
            let answer = allowed(rules.as_mut(), &tokenizer, query);
            assert_eq!(answer, Ok(()), "{query}");
        }
    }
}

/// FACTORY_QWEN3_TOKENIZER is a folder.
#[test]
#[ignore = "needs Qwen3's tokenizer; scripts/test.sh runs it"]
fn no_reference_is_refused_by_qwen3_s_vocabulary() {
    let folder = std::env::var("FACTORY_QWEN3_TOKENIZER").expect("FACTORY_QWEN3_TOKENIZER");
    let file = Path::new(&folder).join("tokenizer.json");
    refuses_none(&Tokenizer::from_file(&file, vec![151645]).unwrap());
}

#[test]
#[ignore = "needs the 98 MB base that scripts/fetch_base.sh fetches; scripts/test.sh runs it"]
fn no_reference_is_refused_by_the_base_s_vocabulary() {
    refuses_none(&real_base().tokenizer);
}

fn real_base() -> Base {
    let path = std::env::var("FACTORY_BASE").expect("FACTORY_BASE names the SmolLM2 GGUF file");
    Base::load(&path, DType::F32, &Device::Cpu).unwrap()
}

/// FACTORY_REFERENCES, where it is given, has more rows.
fn refuses_none(tokenizer: &Tokenizer) {
    let mut rows = references(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evals"));
    if let Ok(more) = std::env::var("FACTORY_REFERENCES") {
        rows.extend(references(Path::new(&more)));
    }
    let (count, strange) = all_allowed(&rows, tokenizer);
    println!("{count} references, {strange} that their own schema refuses");
    assert!(strange * 10 < count);
}

/// What SQLite says of a query that the names or the grammar should have kept away.
fn broken(connection: &Connection, query: &str) -> Option<String> {
    let error = connection.prepare(query).map(drop).err()?.to_string();
    let parts = [
        "syntax error",
        "no such",
        "unrecognized token",
        "incomplete input",
    ];
    parts
        .iter()
        .any(|part| error.contains(part))
        .then_some(error)
}

/// Draws tokens that are allowed, words of queries before others, until the query may end or is long.
fn walk(grammar: &dyn Grammar, tokenizer: &Tokenizer, random: &mut StdRng) -> Option<String> {
    let mut rules = grammar.begin().unwrap();
    let mut said: Vec<u32> = Vec::new();
    for _ in 0..250 {
        let mask = rules.allowed()?;
        let all: Vec<u32> = (0..mask.len() as u32 * 32)
            .filter(|token| mask[*token as usize / 32] >> (token % 32) & 1 == 1)
            .collect();
        if all.is_empty() {
            return None;
        }
        if said.len().is_multiple_of(20) {
            let mut agrees = |token: u32| all.contains(&token) == rules.allows(token);
            let agreed = (0..tokenizer.len() as u32).all(&mut agrees);
            assert!(agreed, "{:?}", tokenizer.decode(&said));
        }
        if all.contains(&tokenizer.eos()) && random.random_bool(0.3) {
            return Some(tokenizer.decode(&said).unwrap());
        }
        let letters: Vec<u32> = all.iter().copied().filter(|token| *token < 256).collect();
        // Words end some time.
        let marks = |token: &&u32| {
            let text = tokenizer.decode(&[**token]).unwrap();
            !text.starts_with(|c: char| c.is_alphanumeric() || c == '\u{fffd}')
        };
        let marks: Vec<u32> = letters.iter().filter(marks).copied().collect();
        let from = match marks.is_empty() || random.random_bool(0.6) {
            true => &letters,
            false => &marks,
        };
        let token = from[random.random_range(0..from.len())];
        said.push(token);
        rules.accept(token);
    }
    None
}

#[test]
fn whatever_is_drawn_is_a_query_of_the_schema() {
    let tokenizer = tokenizer();
    let prompts = [SHOP.to_owned()];
    let grammars = grammars(Kind::Schema, &prompts, &tokenizer);
    let connection = database(&of_text(SHOP).unwrap().unwrap());
    let mut random = StdRng::seed_from_u64(7);
    let mut whole = 0;
    for _ in 0..300 {
        let Some(query) = walk(grammars[0].as_ref(), &tokenizer, &mut random) else {
            continue;
        };
        // What columns a table of WITH has is not known.
        if !query.trim_start().to_lowercase().starts_with("with") {
            let error = broken(&connection, &query);
            assert_eq!(error, None, "{query}");
        }
        whole += 1;
    }
    assert!(whole > 5, "{whole}");
}

#[test]
fn a_models_answers_are_queries_and_those_that_were_stay() {
    let model = base("tiny-llama");
    let prompts: Vec<String> = (0..12).map(|i| format!("{SHOP}\n\nQuery {i}:")).collect();
    let tokens: Vec<Vec<u32>> = prompts
        .iter()
        .map(|prompt| model.tokenizer.encode(prompt).unwrap())
        .collect();
    let answers = |temperature: f64, kind: Option<Kind>| {
        let engine = Engine {
            decoder: &model.decoder,
            tokenizer: &model.tokenizer,
            adapters: None,
            sampler: SamplerConfig {
                temperature,
                ..SamplerConfig::default()
            },
            stop: StopConfig {
                max_tokens: 160,
                stop: Vec::new(),
            },
            batch: 4,
            memory: usize::MAX,
            speculation: None,
            grammars: match kind {
                Some(kind) => grammars(kind, &prompts, &model.tokenizer)
                    .into_iter()
                    .map(Some)
                    .collect(),
                None => Vec::new(),
            },
        };
        engine.generate(&tokens).unwrap()
    };
    let connection = database(&of_text(SHOP).unwrap().unwrap());
    let held = answers(1.0, Some(Kind::Schema));
    for answer in &held {
        let text = answer.text.as_ref().unwrap();
        assert!(
            text.trim_start()
                .to_lowercase()
                .starts_with(|c| "swv".contains(c)),
            "{text}"
        );
        if answer.finish == Finish::Stop {
            assert_eq!(broken(&connection, text), None, "{text}");
        }
    }
    assert_eq!(held, answers(1.0, Some(Kind::Schema)));
    assert_ne!(held, answers(1.0, None));
}

/// What the base goes on with after examples of questions and queries.
#[test]
#[ignore = "needs the 98 MB base that scripts/fetch_base.sh fetches; scripts/test.sh runs it"]
fn greedy_answers_that_are_queries_of_the_schema_stay() {
    let model = real_base();
    let prompts = [
        "The price of each good.",
        "The names of goods dearer than 3.",
        "The names of goods, the dearest first.",
        "How many sales are there?",
        "The largest number of pieces.",
        "The ids of goods called nut.",
        "All days of sales with more than 2 pieces.",
        "The names of goods.",
        "The prices of goods.",
        "The pieces of sales.",
        "The pieces of sales of good 9.",
        "The average price.",
    ]
    .map(|question| {
        format!(
            "{SHOP};\nQ: The ids of goods.\nSQL: SELECT id FROM goods\nQ: How many goods are there?\nSQL: SELECT COUNT(*) FROM goods\n\
             Q: The pieces of sales of good 4.\nSQL: SELECT pieces FROM sales WHERE good_id = 4\nQ: {question}\nSQL:"
        )
    });
    let tokens = prompts
        .each_ref()
        .map(|prompt| model.tokenizer.encode(prompt).unwrap());
    let held = grammars(Kind::Schema, &prompts, &model.tokenizer);
    let answers = |grammars| {
        let engine = Engine {
            decoder: &model.decoder,
            tokenizer: &model.tokenizer,
            adapters: None,
            sampler: SamplerConfig::default(),
            stop: StopConfig {
                max_tokens: 40,
                stop: vec!["\n".to_owned()],
            },
            batch: 8,
            memory: usize::MAX,
            speculation: None,
            grammars,
        };
        engine.generate(&tokens).unwrap()
    };
    let connection = database(&of_text(SHOP).unwrap().unwrap());
    let free = answers(Vec::new());
    let held = answers(held.into_iter().map(Some).collect());
    let mut queries = 0;
    for (free, held) in free.into_iter().zip(held) {
        let text = free.text.clone().unwrap();
        println!("{text}");
        if free.finish != Finish::Length && connection.prepare(&text).is_ok() {
            // How near others were depends on the rows beside it.
            assert_eq!(
                (free.text, free.tokens, free.finish),
                (held.text, held.tokens, held.finish)
            );
            queries += 1;
        }
    }
    assert!(queries > 3, "{queries}");
}

/// Rows that ask of a shop, the second without a schema.
fn rows(prompts: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let row = |prompt: &&str| json!({"prompt": prompt, "db": "shop"}).to_string() + "\n";
    let rows: String = prompts.iter().map(row).collect();
    fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    fs::write(dir.path().join("shop.sql"), SHOP).unwrap();
    dir
}

#[test]
fn the_command_holds_counts_and_refuses() {
    let dir = rows(&[SHOP, "How many?", "CREATE TABLE goods (id"]);
    let path = |name: &str| text(&dir.path().join(name));
    let (data, out, metrics) = (path("rows.jsonl"), path("out.jsonl"), path("metrics.json"));
    let tiny = tiny();
    let generate = |more: &[&'static str]| -> Vec<String> {
        let fixed = ["--max-tokens", "30", "--temperature", "1", "--metrics-out"];
        let words = common::generate(&tiny, &data, &out, &fixed);
        let words = words.into_iter().chain([metrics.as_str()]);
        words
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    let run = |more: &[&'static str]| {
        let words = generate(more);
        ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
        fs::read_to_string(&out).unwrap()
    };
    let words = generate(&["--constrain", "schema"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    fails(
        &words,
        1,
        &[
            "rows.jsonl:3",
            "CREATE TABLE goods",
            "not closed",
            "--constrain-fallback",
        ],
    );
    assert!(!dir.path().join("out.jsonl").exists());
    let free = run(&[]);
    let held = run(&["--constrain", "schema", "--constrain-fallback"]);
    assert_ne!(free, held);
    assert_eq!(
        held,
        run(&["--constrain", "schema", "--constrain-fallback"])
    );
    for line in held.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let answer = row["predicted_sql"]
            .as_str()
            .unwrap()
            .trim_start()
            .to_lowercase();
        let begins = ["select", "with", "values"].map(|word| answer.starts_with(word));
        assert!(begins.contains(&true) || answer.len() < 6, "{answer}");
    }
    let metrics: Value = serde_json::from_slice(&fs::read(path("metrics.json")).unwrap()).unwrap();
    assert!(metrics["masks"].as_u64().unwrap() > 0);
    let folder = text(dir.path());
    let words = generate(&["--constrain", "schema", "--db-dir"]);
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .chain([folder.as_str()])
        .collect();
    ok(&words);
}

#[test]
fn hostile_schemas_are_held_to_or_refused() {
    let tokenizer = tokenizer();
    let columns: Vec<String> = (0..10_000).map(|i| format!("column_{i} INT")).collect();
    let wide = format!("CREATE TABLE wide ({})", columns.join(", "));
    let odd =
        "CREATE TABLE \"sel\"\"ect\" (\"a'b\" INT, [c\\d] INT, `e/f` INT, größe INT, \"from\" INT)"
            .to_owned();
    let prompts = [wide, odd];
    let grammars = grammars(Kind::Schema, &prompts, &tokenizer);
    for (grammar, answers) in grammars.iter().zip([
        [
            "SELECT column_9999 FROM wide",
            "SELECT w.column_1 FROM wide w;",
        ],
        [
            "SELECT größe, \"from\", t.`e/f` FROM \"sel\"\"ect\" t",
            "SELECT t.\"a'b\", [c\\d] FROM [sel\"ect] t",
        ],
    ]) {
        for answer in answers {
            let mut rules = grammar.begin().unwrap();
            assert_eq!(
                allowed(rules.as_mut(), &tokenizer, answer),
                Ok(()),
                "{answer}"
            );
        }
        let mut rules = grammar.begin().unwrap();
        assert!(
            allowed(
                rules.as_mut(),
                &tokenizer,
                "SELECT x.column_10000 FROM wide x"
            )
            .is_err()
        );
    }
    let logits = vec![0.0; tokenizer.len()];
    let mut rules = grammars[0].begin().unwrap();
    assert!(masked(&logits, rules.as_mut()).is_some());
}
