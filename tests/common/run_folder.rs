//! A decided run folder, made by the library from scorings of the binary, for the tests of what is done with one.
#![allow(dead_code)]

use factory::eval::judge::{GateSpec, Role};
use factory::recipe::assemble::assemble;
use factory::recipe::decision::decide;
use factory::recipe::done::{Done, Input};
use factory::recipe::evidence::{Evidence, GateEvidence};
use factory::recipe::identity::Identity;
use factory::recipe::place::{Place, place};
use factory::recipe::records::Decision;
use factory::recipe::status::{Live, Phase};
use factory::report::markdown;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Files of a run, and the folder of runs.
pub struct Fixture {
    pub root: TempDir,
}

/// Held-out questions with the reference and what a good and a bad model say.
const ROWS: [(&str, &str); 6] = [
    (
        "Which vases are blue in colour?",
        "SELECT name FROM vases WHERE colour = 'blue'",
    ),
    (
        "How many vases are there at all?",
        "SELECT count(*) FROM vases",
    ),
    (
        "What is the name of the tallest vase?",
        "SELECT name FROM vases ORDER BY height DESC LIMIT 1",
    ),
    (
        "What do all the vases measure together?",
        "SELECT sum(height) FROM vases",
    ),
    (
        "List every vase that is below 20.",
        "SELECT name FROM vases WHERE height < 20",
    ),
    (
        "Which colours do vases have here?",
        "SELECT DISTINCT colour FROM vases",
    ),
];

impl Fixture {
    /// Training rows, held-out rows, a database, an adapter, and two scorings.
    pub fn new() -> Self {
        let fixture = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let database = Connection::open(fixture.path("vases.db")).unwrap();
        database
            .execute_batch(
                "CREATE TABLE vases(name TEXT, colour TEXT, height REAL); INSERT INTO vases VALUES ('amphora', 'blue', 42), ('urn', 'grey', 17), ('flask', 'blue', 12);",
            )
            .unwrap();
        let train = |i: usize| json!({"instruction": format!("Is vase number {i} grey?"), "response": format!("SELECT colour = 'grey' FROM vases WHERE rowid = {i}")});
        fixture.write("train.jsonl", (0..9).map(train));
        let heldout = |(i, (question, gold)): (usize, &(&str, &str))| {
            let kind = if i < 3 { "first" } else { "second" };
            json!({"id": format!("v{i}"), "db": "vases", "question": question, "prompt": format!("Table vases(name, colour, height)\n{question}"), "gold_sql": gold, "kind": kind})
        };
        let heldout: Vec<Value> = ROWS.iter().enumerate().map(heldout).collect();
        fixture.write("dev.jsonl", heldout.iter().cloned());
        fixture.write_answers("good", &heldout, 5);
        fixture.write_answers("bad", &heldout, 1);
        let adapter = json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_dora": true, "base_model_name_or_path": "some/base"});
        fs::create_dir_all(fixture.path("stages/train/adapter")).unwrap();
        fs::write(
            fixture.path("stages/train/adapter/adapter_config.json"),
            adapter.to_string(),
        )
        .unwrap();
        fs::write(
            fixture.path("stages/train/adapter/metrics.jsonl"),
            "{\"step\":1,\"loss\":2.0}\n",
        )
        .unwrap();
        fs::write(
            fixture.path("stages/train/log"),
            "train.jsonl: left out 2 of 9 rows longer than --max-seq 64\n",
        )
        .unwrap();
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, rows: impl Iterator<Item = Value>) {
        let lines: String = rows.map(|row| format!("{row}\n")).collect();
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), lines).unwrap();
    }

    /// Answers of a model that gets the first `right` rows right, and their scoring, each in a stage's folder.
    pub fn write_answers(&self, who: &str, heldout: &[Value], right: usize) {
        let answer = |(i, row): (usize, &Value)| {
            let mut row = row.clone();
            row["predicted_sql"] = match i < right {
                true => row["gold_sql"].clone(),
                false => format!("SELECT height FROM vases WHERE name = 'nothing {i}'").into(),
            };
            row
        };
        self.write(
            &format!("stages/{who}/predictions.jsonl"),
            heldout.iter().enumerate().map(answer),
        );
        let log = "6 rows (6 stop), 60 tokens, 4.0 rows/s, 40 tokens/s; 0 rows had a tie (two best logits within 0.001)\n";
        fs::write(self.path(&format!("stages/{who}/log")), log).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(&self.scored(who).command[1..])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn done(
        &self,
        stage: &str,
        command: &[&str],
        main: &str,
        input: &str,
        rows: Option<usize>,
    ) -> Done {
        let sha256 = factory::data::jsonl::measure(&self.path(input))
            .map_or("none".to_owned(), |(_, sha)| sha);
        Done {
            stage: stage.to_owned(),
            key: format!("key-{stage}"),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            version: "0.0.0".to_owned(),
            program_sha256: "none".to_owned(),
            inputs: vec![Input {
                path: self.path(input),
                sha256,
                rows,
            }],
            outputs: [("main".to_owned(), self.path(main))].into(),
            sha256: Default::default(),
            seconds: 2.5,
            peak_rss_mb: Some(100.0),
            finished: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    pub fn trained(&self) -> Done {
        let data = self.text("train.jsonl");
        let command = [
            "factory",
            "sft",
            "--data",
            &data,
            "--base",
            "some/base",
            "--dtype",
            "f32",
            "--out",
            "adapter",
        ];
        self.done(
            "train",
            &command,
            "stages/train/adapter",
            "train.jsonl",
            Some(9),
        )
    }

    pub fn answered(&self, who: &str) -> Done {
        let data = self.text("dev.jsonl");
        let command = [
            "factory",
            "generate",
            "--data",
            &data,
            "--out",
            "predictions.jsonl",
        ];
        let main = format!("stages/{who}/predictions.jsonl");
        self.done(
            &format!("answers-{who}"),
            &command,
            &main,
            "dev.jsonl",
            Some(6),
        )
    }

    pub fn scored(&self, who: &str) -> Done {
        let of = |name: &str| self.text(&format!("stages/{who}/{name}"));
        let (preds, out, summary, db) = (
            of("predictions.jsonl"),
            of("rows.jsonl"),
            of("summary.json"),
            self.text(""),
        );
        let command = [
            "factory",
            "eval-sql",
            &preds,
            "--db-dir",
            &db,
            "--mode",
            "factory,spider-ts",
            "--out",
            &out,
            "--summary-out",
            &summary,
        ];
        let main = format!("stages/{who}/rows.jsonl");
        let mut done = self.done(
            &format!("scored-{who}"),
            &command,
            &main,
            &format!("stages/{who}/predictions.jsonl"),
            Some(6),
        );
        done.outputs.insert(
            "summary_out".to_owned(),
            self.path(&format!("stages/{who}/summary.json")),
        );
        done
    }

    pub fn gate(&self, spec: GateSpec, who: &str) -> GateEvidence {
        GateEvidence {
            gate: spec,
            candidate: self.scored(who),
            baseline: Some(self.scored("bad")),
            answers: Some(self.answered(who)),
            base_answers: Some(self.answered("bad")),
        }
    }

    /// What the good model gives; two gates that it passes.
    pub fn evidence(&self) -> Evidence {
        let mut second = spec("second", Role::Regression);
        second.max_drop = Some(0.0);
        second.only = [("kind".to_owned(), "second".to_owned())].into();
        let mut own = spec("own", Role::Primary);
        own.min = Some(0.5);
        own.margin = Some(10.0);
        Evidence {
            name: "vases".to_owned(),
            target: "queries about vases".to_owned(),
            owner_goal: None,
            command: ["factory", "run", "vases.toml"].map(str::to_owned).to_vec(),
            recipe: "name = \"vases\"\n".to_owned(),
            training: Some(self.trained()),
            artifact: Some(self.trained()),
            behind: Vec::new(),
            heldout: vec![self.path("dev.jsonl")],
            allow_overlap: false,
            gates: vec![self.gate(own, "good"), self.gate(second, "good")],
        }
    }

    /// Begins the run that this evidence is of.
    pub fn begin(&self, evidence: &Evidence) -> Live {
        let identity = Identity {
            name: evidence.name.clone(),
            keys: evidence
                .stages()
                .iter()
                .map(|done| done.key.clone())
                .collect(),
        };
        match place(&identity, &self.path("runs"), None, None).unwrap() {
            Place::Begun(live) => live,
            other => panic!("{other:?}"),
        }
    }

    /// The whole run, decided; its folder.
    pub fn run(&self, evidence: &Evidence) -> (PathBuf, Decision) {
        let mut live = self.begin(evidence);
        let folder = live.folder().to_owned();
        let source = "factory run";
        for phase in [
            Phase::DataReady,
            Phase::Training,
            Phase::Trained,
            Phase::Evaluating,
            Phase::Evaluated,
            Phase::Packaging,
            Phase::Packaged,
            Phase::Reporting,
        ] {
            live.advance(phase, source, Some("factory run vases.toml"), None)
                .unwrap();
        }
        assemble(evidence, &folder).unwrap();
        let decision = decide(&folder).unwrap();
        fs::write(folder.join("report.md"), markdown(&folder).unwrap()).unwrap();
        live.advance(Phase::Decided, source, None, None).unwrap();
        (folder, decision)
    }
}

/// The factory's execution accuracy.
pub fn spec(name: &str, role: Role) -> GateSpec {
    GateSpec {
        name: name.to_owned(),
        mode: "factory".to_owned(),
        metric: "execution_accuracy".to_owned(),
        min: None,
        margin: None,
        max_drop: None,
        role,
        only: BTreeMap::new(),
    }
}

/// A JSON file of a run folder.
pub fn json_of(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// Changes a JSON file of a run folder.
pub fn change(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = json_of(folder, name);
    change(&mut value);
    fs::write(folder.join(name), value.to_string()).unwrap();
}

/// Runs `factory runs`: exit code, stdout, stderr.
pub fn runs(fixture: &Fixture, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(["runs", "--runs", &fixture.text("runs")])
        .args(args)
        .env("USER", "tester")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}
