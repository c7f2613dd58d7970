//! `factory runs publish-check`: a sound run passes, and each way to be unsound is refused by name.

#[path = "common/run_folder.rs"]
mod run_folder;

use factory::eval::judge::Role;
use run_folder::{Fixture, change, json_of, runs, spec};
use serde_json::json;
use std::fs;
use std::path::Path;

/// The faults of a shipped run that `spoil` has changed.
fn faults(spoil: impl FnOnce(&Path)) -> String {
    let fixture = Fixture::new();
    let (folder, decision) = fixture.run(&fixture.evidence());
    assert_eq!(decision.decision.to_string(), "ship");
    spoil(&folder);
    let (code, said, error) = runs(&fixture, &["publish-check", folder.to_str().unwrap()]);
    assert_eq!(code, 1, "{said}{error}");
    assert!(error.starts_with("error: "), "{error}");
    said
}

fn has(faults: &str, expected: &str) {
    assert!(faults.contains(expected), "{faults:?} lacks {expected:?}");
}

#[test]
fn a_sound_run_passes_from_anywhere() {
    let fixture = Fixture::new();
    let (folder, _) = fixture.run(&fixture.evidence());
    let id = folder.file_name().unwrap().to_str().unwrap();
    let (code, said, error) = runs(&fixture, &["publish-check", id]);
    assert_eq!((code, &error[..]), (0, ""), "{said}");
    assert!(said.ends_with("may be published\n"), "{said}");
    let (code, said, _) = runs(
        &fixture,
        &["publish-check", id, "--db-dir", &fixture.text("stages")],
    );
    assert_eq!(code, 1);
    has(
        &said,
        "rows/own.candidate.jsonl: row v0: exec_match is true, and false when it is scored again",
    );
}

#[test]
fn a_missing_file_is_refused() {
    for (file, optional) in [
        ("slice-metrics.json", false),
        ("report.md", false),
        ("artifact.json", false),
        ("cost.json", true),
    ] {
        let said = faults(|folder| {
            fs::remove_file(folder.join(file)).unwrap();
            // So that there is a fault, whatever is missing.
            change(folder, "decision.json", |record| {
                record["reason"] = json!("")
            });
        });
        assert_eq!(
            said.contains(&format!("{file} is missing\n")),
            !optional,
            "{said}"
        );
    }
}

#[test]
fn an_empty_command_is_refused() {
    let said = faults(|folder| {
        change(folder, "eval-candidate.json", |record| {
            record["command"] = json!(" ")
        });
    });
    has(&said, "eval-candidate.json: command is empty");
    has(
        &said,
        "provenance.json: commands.candidate is not the command of eval-candidate.json",
    );
}

#[test]
fn a_wrong_hash_is_refused() {
    let said = faults(|folder| {
        change(folder, "dataset.json", |record| {
            record["sources"][1]["sha256"] = json!("00")
        });
    });
    has(&said, "dev.jsonl has the hash ");
    has(&said, ", not 00");
    let said = faults(|folder| {
        let train = json_of(folder, "dataset.json")["sources"][0]["path"].clone();
        let train = Path::new(train.as_str().unwrap());
        let text = fs::read_to_string(train).unwrap();
        fs::write(train, text.replace("grey", "gray")).unwrap();
    });
    has(&said, "dataset.json: ");
    has(&said, "train.jsonl has the hash ");
}

#[test]
fn ship_over_a_red_gate_is_refused() {
    let fixture = Fixture::new();
    let mut evidence = fixture.evidence();
    evidence.gates[0].gate.min = Some(0.9);
    let (folder, decision) = fixture.run(&evidence);
    assert_eq!(decision.decision.to_string(), "retry-eval");
    let folder = folder.to_str().unwrap();
    let (code, said, _) = runs(&fixture, &["publish-check", folder]);
    assert_eq!(code, 0, "{said}");
    let ship = [
        "decide",
        folder,
        "--decision",
        "ship",
        "--reason",
        "we want it",
    ];
    let (code, _, warned) = runs(&fixture, &ship);
    assert_eq!(code, 0);
    has(
        &warned,
        "publish-check will not pass it: gate own: execution_accuracy 0.833, wanted min 0.9",
    );
    let (code, said, _) = runs(&fixture, &["publish-check", folder]);
    assert_eq!(code, 1);
    has(&said, "decision.json: ship is blocked by gate own");
    has(
        &said,
        "ship needs every gate green, and gate own fails on the rows of the run",
    );
    // Whatever the records say.
    change(Path::new(folder), "decision.json", |record| {
        record["blocked_by"] = json!([])
    });
    change(Path::new(folder), "gates.json", |record| {
        record[0]["passed"] = json!(true)
    });
    let (_, said, _) = runs(&fixture, &["publish-check", folder]);
    has(
        &said,
        "ship needs every gate green, and gate own fails on the rows of the run",
    );
    has(
        &said,
        "gates.json: gate own: passed is true, and false on the rows of the run",
    );
}

#[test]
fn a_doctored_score_is_refused() {
    let said = faults(|folder| {
        change(folder, "eval-candidate.json", |record| {
            record["score"] = json!(1.0)
        });
        change(folder, "slice-metrics.json", |record| {
            record["overall"]["execution_accuracy"] = json!(1.0)
        });
        change(folder, "gates.json", |record| {
            record[0]["value"] = json!(1.0)
        });
    });
    has(
        &said,
        "eval-candidate.json: score is 1, and 0.8333333333333334 on the rows of the run",
    );
    has(
        &said,
        "slice-metrics.json: overall.execution_accuracy is not the 0.833",
    );
    has(
        &said,
        "gates.json: gate own: value is 1, and 0.8333333333333334 on the rows of the run",
    );
}

#[test]
fn doctored_rows_are_refused() {
    let doctor = |from: &'static str, to: &'static str| {
        faults(move |folder| {
            let rows = folder.join("rows/own.candidate.jsonl");
            let text = fs::read_to_string(&rows).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(&rows, text.replace(from, to)).unwrap();
        })
    };
    let said = doctor("\"exec_match\":false", "\"exec_match\":true");
    has(
        &said,
        "row v5: exec_match is true, and false when it is scored again",
    );
    has(&said, "provenance.json: ");
    let said = doctor(
        "SELECT DISTINCT colour FROM vases",
        "SELECT height FROM vases WHERE name = 'nothing 5'",
    );
    has(
        &said,
        "rows/own.candidate.jsonl: row v5: its gold_sql is that of no held-out row",
    );
}

#[test]
fn leaked_text_is_refused() {
    let said = faults(|folder| {
        change(folder, "decision.json", |record| {
            record["next_action"] = json!("look at: What is the name of  the tallest vase?");
        });
    });
    has(&said, "decision.json has text of a row in it (");
    let said = faults(|folder| {
        change(folder, "eval-validity.json", |record| {
            record["known_limitations"] =
                json!(["SELECT height FROM vases WHERE name = 'nothing 5'"]);
        });
    });
    has(
        &said,
        "eval-validity.json has text of a row in it (rows/own.",
    );
}

#[test]
fn a_decision_without_a_reason_is_refused() {
    let said = faults(|folder| {
        change(folder, "decision.json", |record| {
            record["reason"] = json!("")
        })
    });
    assert_eq!(said, "decision.json: reason is empty\n");
    let said = faults(|folder| {
        change(folder, "decision.json", |record| {
            record["decision"] = json!("park");
            record["evidence_sources"] = json!(["nothing.json"]);
        });
    });
    for expected in [
        "failure_reason is empty, and nothing is shipped",
        "lesson is empty, and nothing is shipped",
        "failure_reason_confidence is not-applicable, and nothing is shipped",
        "evidence_sources names nothing.json, which is not in the run",
        "artifact.json: shipped is true, and the decision is park",
    ] {
        has(&said, expected);
    }
}

#[test]
fn pages_without_their_parts_are_refused() {
    let said = faults(|folder| {
        fs::write(folder.join("report.md"), "# Run\n\n## Decision\n").unwrap();
        fs::write(folder.join("trace_review.md"), "# Failures\n").unwrap();
    });
    has(&said, "report.md: there is no section Next Action");
    has(
        &said,
        "trace_review.md: its title does not say \"trace review\"",
    );
}

#[test]
fn an_unknown_field_is_refused_by_name_and_with_the_version() {
    let said = faults(|folder| {
        change(folder, "artifact.json", |record| {
            record["signature"] = json!("x")
        })
    });
    has(&said, "artifact.json: unknown field `signature`");
    let said = faults(|folder| {
        change(folder, "provenance.json", |record| {
            record["renderer"] = json!("factory 9.0.0")
        });
        change(folder, "artifact.json", |record| {
            record["signature"] = json!("x")
        });
    });
    has(&said, "factory 9.0.0 wrote this run, and this is factory ");
}

#[test]
fn a_base_alone_is_a_report() {
    let fixture = Fixture::new();
    let mut evidence = fixture.evidence();
    (evidence.training, evidence.artifact) = (None, None);
    let mut own = spec("own", Role::Primary);
    own.min = Some(0.0);
    evidence.gates = vec![fixture.gate(own, "bad")];
    evidence.gates[0].baseline = None;
    evidence.gates[0].base_answers = None;
    let (folder, decision) = fixture.run(&evidence);
    assert_eq!(decision.decision.to_string(), "park");
    let folder = folder.to_str().unwrap();
    let (code, said, _) = runs(&fixture, &["publish-check", folder]);
    assert_eq!((code, &said[..]), (1, "artifact.json is missing\n"));
    let (code, said, _) = runs(&fixture, &["publish-check", folder, "--allow-report-only"]);
    assert_eq!(code, 0, "{said}");
}
