//! `--constrain`: answers held to one query, with the names of the row's schema.

mod common;

use factory::answering::constraint::SQLITE;
use factory::answering::constraint::guidance::Guidance;
use factory::generation::constraint::Grammar;
use factory::model::tokenizer::Tokenizer;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn refs(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            refs(&path, found);
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let text = |names: &[&str]| names.iter().find_map(|n| row[*n].as_str().map(str::to_owned));
                if let (Some(p), Some(g)) = (text(&["prompt", "instruction"]), text(&["gold_sql", "response"])) {
                    found.push((p, g));
                }
            }
        }
    }
}

#[test]
fn probe() {
    let path = std::env::var("PROBE_TOKENIZER").unwrap();
    let tokenizer = Tokenizer::from_file(Path::new(&path), vec![0]).unwrap();
    let t = std::time::Instant::now();
    let guidance = Guidance::new(&tokenizer).unwrap();
    println!("vocab {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let rules = guidance.lark(SQLITE).unwrap();
    println!("compile {:?}", t.elapsed());
    let mut found = Vec::new();
    refs(Path::new("evals"), &mut found);
    if let Ok(more) = std::env::var("FACTORY_REFERENCES") {
        refs(Path::new(&more), &mut found);
    }
    let (mut masks, mut n, mut worst) = (std::time::Duration::ZERO, 0, std::time::Duration::ZERO);
    let t = std::time::Instant::now();
    let mut bad = 0;
    for (i, (_, gold)) in found.iter().enumerate() {
        let mut c = rules.begin().unwrap();
        let mut said = String::new();
        for token in tokenizer.encode(gold).unwrap() {
            if i % 50 == 0 {
                let t = std::time::Instant::now();
                let m = c.allowed();
                assert!(m.is_some());
                masks += t.elapsed();
                worst = worst.max(t.elapsed());
                n += 1;
            }
            if !c.allows(token) {
                bad += 1;
                println!("REFUSED {said:?} then {:?}: {gold}", tokenizer.decode(&[token]));
                break;
            }
            said += &tokenizer.decode(&[token]).unwrap();
            c.accept(token);
        }
        if said == *gold && !c.allows(tokenizer.eos()) { println!("NO END {gold}"); bad += 1; }
    }
    println!("{} refs, {bad} bad, {:?}, masks {n} mean {:?} worst {worst:?}", found.len(), t.elapsed(), masks / n.max(1));
}
