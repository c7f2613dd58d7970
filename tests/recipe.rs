//! `factory run`: what runs, what is kept, what is refused before anything runs.

mod common;

use common::{golden, tiny};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const RECIPE: &str = r#"
name = "tickets"
[vars]
base = { help = "the model to begin with" }
steps = 6
[stages.train]
command = "sft"
data = "train.jsonl"
base = "{base}"
steps = "{steps}"
batch = 2
device = "cpu"
[stages.answers]
command = "generate"
lora = "{train}"
data = "dev.jsonl"
max-tokens = 8
device = "cpu"
[stages.scored]
command = "eval-sql"
predictions = "{answers}"
db_dir = "db"
prefs_out = true
[stages.base-answers]
command = "generate"
base = "{base}"
data = "dev.jsonl"
max_tokens = 8
device = "cpu"
[stages.base-scored]
command = "eval-sql"
predictions = "{base-answers}"
db_dir = "db"
[stages.compared]
command = "eval-compare"
a = "{base-scored}"
b = "{scored}"
[stages.shown]
command = "adapter inspect"
adapter = "{train}"
[runs.first]
target = "tickets, {steps} steps"
training = "train"
[[runs.first.gates]]
name = "all"
candidate = "scored"
baseline = "base-scored"
margin = 3
"#;

/// A folder with a recipe, its rows and its database.
struct Place(TempDir);

impl Place {
    fn new(recipe: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self(dir);
        let rows = |row: &dyn Fn(usize) -> String| (0..6).map(row).collect::<String>();
        let train =
            |i| format!("{{\"instruction\":\"ticket {i}\",\"response\":\"select {i};\"}}\n");
        let dev = |i| {
            format!(
                "{{\"id\":\"t{i}\",\"prompt\":\"ticket {i}\",\"gold_sql\":\"select {i};\",\"db\":\"desk\"}}\n"
            )
        };
        place.write("train.jsonl", &rows(&train));
        place.write("dev.jsonl", &rows(&dev));
        fs::create_dir(place.path("db")).unwrap();
        place.write("db/desk.sql", "CREATE TABLE tickets (id INTEGER);");
        place.write("r.toml", recipe);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command
            .current_dir(self.0.path())
            .env("HF_HUB_OFFLINE", "1")
            .args(["run", "r.toml", "--set"])
            .arg(format!("base={}", tiny()))
            .args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs, and says which stages began, sorted.
    fn ran(&self, args: &[&str]) -> Vec<String> {
        let output = self.run(args);
        assert!(output.status.success(), "{}", errors(&output));
        began(&output)
    }

    /// The one error line of a run that must fail with `code`.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        let line = errors.lines().find(|line| line.starts_with("error: "));
        line.unwrap_or_else(|| panic!("no error: {errors}"))
            .to_owned()
    }

    /// The folder of a stage.
    fn stage(&self, runs: &str, stage: &str) -> PathBuf {
        let entries = fs::read_dir(self.path(runs).join("stages")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.rsplit_once('-').is_some_and(|(name, _)| name == stage)
        };
        let mut found: Vec<_> = paths.filter(named).collect();
        assert_eq!(found.len(), 1, "{stage}: {found:?}");
        found.remove(0)
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn began(output: &Output) -> Vec<String> {
    let errors = errors(output);
    let stage = |line: &str| {
        let (stage, rest) = line.split_once(": ")?;
        let begins = rest.starts_with("begins: ") || rest.starts_with("goes on: ");
        begins.then(|| stage.to_owned())
    };
    let mut stages: Vec<String> = errors.lines().filter_map(stage).collect();
    stages.sort();
    stages
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const ALL: [&str; 7] = [
    "answers",
    "base-answers",
    "base-scored",
    "compared",
    "scored",
    "shown",
    "train",
];

#[test]
fn what_is_done_is_kept_and_what_changed_runs_again_with_what_is_behind_it() {
    let place = Place::new(RECIPE);
    assert_eq!(place.ran(&[]), ALL);
    let done = json(&place.stage("runs", "scored").join("stage.json"));
    assert_eq!(done["stage"], "scored");
    assert_eq!(done["command"][1], "eval-sql");
    assert_eq!(done["inputs"].as_array().unwrap().len(), 2);
    for output in [
        "main",
        "summary_out",
        "slices_out",
        "labels_out",
        "review_out",
        "prefs_out",
    ] {
        let path = done["outputs"][output].as_str().unwrap();
        assert!(place.path(path).is_file(), "{output}: {path}");
    }
    let shown = fs::read_to_string(place.stage("runs", "shown").join("inspect.txt")).unwrap();
    assert!(shown.contains("rank 8"), "{shown}");
    assert_eq!(place.ran(&[]), [""; 0]);

    // An input, and back; another spelling of the same path.
    let before = fs::read_to_string(place.path("train.jsonl")).unwrap();
    place.write("train.jsonl", &before.replace("ticket 3", "ticket three"));
    assert_eq!(
        place.ran(&[]),
        ["answers", "compared", "scored", "shown", "train"]
    );
    place.write("train.jsonl", &before);
    assert_eq!(place.ran(&[]), [""; 0]);
    let spelled = RECIPE.replace("\"train.jsonl\"", "\"./db/../train.jsonl\"");
    place.write("r.toml", &spelled.replace("stages.shown", "stages.renamed"));
    assert_eq!(place.ran(&[]), [""; 0]);
    place.write("r.toml", RECIPE);
    place.write("db/desk.sql", "CREATE TABLE tickets (id INTEGER, at TEXT);");
    assert_eq!(place.ran(&[]), ["base-scored", "compared", "scored"]);

    // A flag, a variable, an output that is gone.
    place.write(
        "r.toml",
        &RECIPE.replacen("max-tokens = 8", "max-tokens = 9", 1),
    );
    assert_eq!(place.ran(&[]), ["answers", "compared", "scored"]);
    place.write("r.toml", RECIPE);
    assert_eq!(
        place.ran(&["--set", "steps=7", "--only", "answers"]),
        ["answers", "train"]
    );
    assert_eq!(
        place.ran(&["--from", "answers"]),
        ["answers", "compared", "scored"]
    );
    assert_eq!(place.ran(&[]), [""; 0]);
    fs::remove_file(
        place
            .stage("runs", "base-answers")
            .join("predictions.jsonl"),
    )
    .unwrap();
    assert_eq!(place.ran(&[]), ["base-answers"]);
}

#[test]
fn stages_at_once_and_one_after_the_other_leave_the_same() {
    let place = Place::new(RECIPE);
    assert_eq!(place.ran(&["--jobs", "2", "--runs", "two"]), ALL);
    assert_eq!(
        place.ran(&["--only", "base-scored", "--runs", "one"]),
        ["base-answers", "base-scored"]
    );
    assert_eq!(place.ran(&["--runs", "one"]).len(), 5);
    for (stage, file) in [
        ("train", "adapter/adapter_model.safetensors"),
        ("answers", "predictions.jsonl"),
        ("base-answers", "predictions.jsonl"),
        ("shown", "inspect.txt"),
    ] {
        let [one, two] = ["one", "two"].map(|runs| {
            let content = fs::read(place.stage(runs, stage).join(file)).unwrap();
            String::from_utf8_lossy(&content).replace(&format!("{runs}/"), "")
        });
        assert!(one == two, "{stage}");
    }
}

#[test]
fn a_plan_is_shown_and_nothing_runs() {
    let place = Place::new(RECIPE);
    let output = place.run(&["--dry-run"]);
    assert!(output.status.success(), "{}", errors(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let line = |stage: &str| {
        let mut lines = table
            .lines()
            .filter(|line| line.starts_with(&format!("{stage} ")));
        lines.next().unwrap_or_else(|| panic!("{table}")).to_owned()
    };
    let train = line("train");
    assert!(
        train.contains("to run: new") && train.contains("(sft --dry-run)"),
        "{train}"
    );
    assert!(
        train.contains("factory sft --data train.jsonl --base"),
        "{train}"
    );
    assert!(line("answers").contains("unknown"));
    assert!(!place.path("runs").exists());

    place.ran(&[]);
    place.write(
        "dev.jsonl",
        "{\"prompt\":\"x\",\"gold_sql\":\"select 1\",\"db\":\"desk\"}\n",
    );
    let table = String::from_utf8(place.run(&["--dry-run"]).stdout).unwrap();
    let line = |stage: &str| {
        let mut lines = table
            .lines()
            .filter(|line| line.starts_with(&format!("{stage} ")));
        lines.next().unwrap_or_else(|| panic!("{table}")).to_owned()
    };
    assert!(line("train").contains(" done "), "{table}");
    let answers = line("answers");
    assert!(
        answers.contains("dev.jsonl changed") && answers.contains("(last time)"),
        "{answers}"
    );
    assert!(line("scored").contains("behind answers"), "{table}");
}

#[test]
fn a_matrix_makes_a_stage_for_each_combination_that_it_depends_on() {
    let recipe = RECIPE.replace("device", "seed = \"{seed}\"\ndevice");
    // The base's answers depend on a seed alone, training on both.
    let recipe = recipe.replacen("seed = ", "rank = \"{rank}\"\nseed = ", 1)
        + "[matrix]\nrank = [1, 2]\nseed = [0, 1]\n";
    let place = Place::new(&recipe);
    let ran = place.ran(&[]);
    let of = |stage: &str| {
        ran.iter()
            .filter(|name| name.starts_with(&format!("{stage}[")))
            .count()
    };
    assert_eq!(
        (
            of("train"),
            of("answers"),
            of("base-answers"),
            of("compared")
        ),
        (4, 4, 2, 4),
        "{ran:?}"
    );
    assert!(ran.contains(&"train[rank=2,seed=1]".to_owned()), "{ran:?}");
    let config = json(
        &place
            .stage("runs", "train-rank-2-seed-1")
            .join("adapter/adapter_config.json"),
    );
    assert_eq!(config["r"], 2);
    // One value of a variable; a stage of one combination.
    assert_eq!(place.ran(&["--set", "rank=2"]), [""; 0]);
    assert_eq!(
        place.ran(&["--from", "scored[rank=1,seed=0]"]),
        ["compared[rank=1,seed=0]", "scored[rank=1,seed=0]"]
    );
    let other = place.ran(&["--set", "rank=3", "--set", "seed=0", "--only", "train"]);
    assert_eq!(other, ["train[rank=3,seed=0]"]);
}

#[test]
fn paths_and_settings_may_hold_names_variables_and_stages() {
    let place = Place::new(&format!(
        r#"
name = "made"
[vars]
where = {{ help = "folder of adapters" }}
[stages.routes]
command = "route fit"
adapter = {{ one = "train.jsonl", two = "{{more}}/two.jsonl" }}
[stages.more]
command = "data synth"
spec = "spec/set.toml"
[stages.two]
command = "generate"
base = "{base}"
lora = ["a={{where}}/tiny-llama-lora", "b={{where}}/tiny-llama-dora"]
lora_weight = [0.5, -0.25]
data = "dev.jsonl"
max_tokens = 4
device = "cpu"
after = ["more"]
"#,
        base = tiny()
    ));
    let line = place.fails(2, &["--set", "where=nowhere"]);
    for part in [
        "r.toml:7: adapter",
        "--set base: the recipe has no such variable",
        "lora: nowhere/tiny-llama-lora is not there",
        "r.toml:10: spec: spec/set.toml is not there",
    ] {
        let adapters = part == "r.toml:7: adapter";
        assert!(line.contains(part) != adapters, "{part:?} in {line}");
    }
    let recipe = fs::read_to_string(place.path("r.toml")).unwrap();
    let from = recipe.find("[stages.routes]").unwrap();
    let to = recipe.find("[stages.two]").unwrap();
    let recipe = recipe
        .replace(&recipe[from..to], "")
        .replace("after = [\"more\"]\n", "");
    place.write("r.toml", &recipe.replace("where", "base"));
    // As a path on the command line, relative to where the command is given.
    let folder = golden("");
    let link = place.path("linked");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    fs::create_dir(place.path("sub")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(place.path("sub"))
        .args(["run", "../r.toml", "--set", "base=../linked"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        link.display(),
        errors(&output)
    );
    let said = errors(&output).replace('\'', "");
    let line = "--lora a=../linked/tiny-llama-lora --lora-weight 0.5 --lora b=../linked/tiny-llama-dora --lora-weight=-0.25 --data ../dev.jsonl";
    assert!(said.contains(line), "{said}");
}

#[test]
fn every_fault_of_a_recipe_is_named_before_anything_runs() {
    let edits = [
        (
            "batch = 2",
            "bacth = 2",
            "factory sft has no bacth; did you mean batch?",
        ),
        (
            "steps = \"{steps}\"",
            "steps = \"{stesp}\"",
            "{stesp} is no variable or stage; did you mean steps?",
        ),
        (
            "steps = \"{steps}\"",
            "steps = \"few\"",
            "invalid value 'few' for '--steps",
        ),
        (
            "steps = \"{steps}\"",
            "rank = [1, 2]",
            "rank takes one value",
        ),
        (
            "steps = \"{steps}\"",
            "epochs = 1\nsteps = 2",
            "cannot be used with",
        ),
        (
            "data = \"train.jsonl\"",
            "",
            "required arguments were not provided: --data",
        ),
        (
            "data = \"train.jsonl\"",
            "data = \"trian.jsonl\"",
            "data: trian.jsonl is not there",
        ),
        (
            "data = \"train.jsonl\"",
            "data = \"train.jsonl\"\nout = \"x\"",
            "out is given by the program",
        ),
        (
            "data = \"train.jsonl\"",
            "data = \"train.jsonl\"\nresume = \"x\"",
            "resume has no place in a recipe",
        ),
        (
            "data = \"train.jsonl\"",
            "data = \"{scored}\"",
            "a circle: train -> scored -> answers -> train",
        ),
        (
            "command = \"sft\"",
            "command = \"stf\"",
            "\"stf\" is no command that writes something; did you mean sft?",
        ),
        (
            "command = \"sft\"",
            "command = \"sft\"\nafter = \"tarin\"",
            "no stage is called \"tarin\"; did you mean train?",
        ),
        (
            "command = \"sft\"",
            "command = \"sft\"\ndora = 1",
            "dora must be true or false",
        ),
        (
            "prefs_out = true",
            "prefs_out = \"x\"",
            "prefs_out must be true or false",
        ),
        (
            "b = \"{scored}\"",
            "b = \"{scored.clean_out}\"",
            "set clean_out = true in scored",
        ),
        (
            "b = \"{scored}\"",
            "b = \"{scored.rows}\"",
            "eval-sql writes no rows",
        ),
        (
            "db_dir = \"db\"\nprefs",
            "prefs",
            "stage scored needs db_dir",
        ),
        (
            "training = \"train\"",
            "training = \"answers\"",
            "training: stage answers is generate, expected sft",
        ),
        (
            "candidate = \"scored\"",
            "candidate = \"answers\"",
            "candidate: stage answers is generate, expected eval-sql",
        ),
        (
            "margin = 3",
            "margin = 3\nmetric = \"exact\"",
            "mode factory has no metric exact; did you mean exact_match?",
        ),
        (
            "margin = 3",
            "margin = 3\nmode = \"spider-ts\"",
            "mode spider-ts is none that stage scored scores",
        ),
        (
            "margin = 3",
            "",
            "give one or more of min, margin and max_drop",
        ),
        (
            "margin = 3",
            "margin = 3\nmin = 2",
            "min is 2, expected 0 to 1",
        ),
        (
            "margin = 3",
            "margin = 3\nrole = \"main\"",
            "expected primary or regression",
        ),
        (
            "baseline = \"base-scored\"",
            "",
            "margin and max_drop need a baseline",
        ),
        (
            "target",
            "traget",
            "unknown key traget; did you mean target?",
        ),
        (
            "target",
            "parent = \"none\"\ntarget",
            "no run is called \"none\"",
        ),
    ];
    let place = Place::new(RECIPE);
    for (from, to, fault) in edits {
        let recipe = RECIPE.replacen(from, to, 1);
        assert_ne!(recipe, RECIPE, "{from}");
        place.write("r.toml", &recipe);
        let line = place.fails(2, &[]);
        assert!(
            line.contains("r.toml:") && line.contains(fault),
            "{fault:?} in {line}"
        );
    }
    // Together, with the lines.
    let circle = ("b = \"{scored}\"", "b = \"{compared}\"\ncolunm = \"x\"", "");
    let mut recipe = RECIPE.to_owned();
    for (from, to, _) in [edits[0], edits[6], edits[19], circle] {
        recipe = recipe.replacen(from, to, 1);
    }
    place.write("r.toml", &recipe);
    let line = place.fails(2, &[]);
    for fault in [
        "r.toml:8: data: trian",
        "r.toml:11: factory sft has no bacth",
        "r.toml:34: a circle: compared -> compared",
        "r.toml:38: factory eval-compare has no colunm; did you mean column?",
        "r.toml:50: mode factory has no metric exact",
    ] {
        assert!(line.contains(fault), "{fault:?} in {line}");
    }
    place.write("r.toml", "name = \n");
    assert!(place.fails(2, &[]).contains("r.toml:1: "));
    fs::remove_file(place.path("r.toml")).unwrap();
    assert!(place.fails(1, &[]).contains("cannot read r.toml"));

    // The command line.
    place.write("r.toml", RECIPE);
    let unset = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(place.0.path())
        .args(["run", "r.toml"])
        .output()
        .unwrap();
    let said = errors(&unset);
    assert_eq!(unset.status.code(), Some(2), "{said}");
    assert!(
        said.contains("variable base is not set: give --set base=… (the model to begin with)"),
        "{said}"
    );
    let line = place.fails(2, &["--set", "setps=3"]);
    assert!(line.contains("did you mean steps?"), "{line}");
    let line = place.fails(2, &["--set", "steps=many"]);
    assert!(line.contains("expected a number"), "{line}");
    let line = place.fails(2, &["--from", "trian"]);
    assert!(
        line.contains("no stage is called trian; did you mean train?"),
        "{line}"
    );
    let line = place.fails(1, &["--runs", "train.jsonl"]);
    assert!(line.contains("train.jsonl"), "{line}");
    assert!(!place.path("runs").exists(), "something ran");
}

#[test]
fn a_stage_that_fails_is_told_with_its_log_and_others_finish() {
    let place = Place::new(RECIPE);
    place.write("train.jsonl", "{\"instruction\":\"x\",\"response\":3}\n");
    let output = place.run(&[]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    for part in [
        "stage train failed: exit code 1: train.jsonl:1: ",
        "/log)",
        "not run for it: answers, scored, compared, shown",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    assert_eq!(began(&output), ["base-answers", "base-scored", "train"]);
    assert!(!place.stage("runs", "train").join("stage.json").exists());
    let log = fs::read_to_string(place.stage("runs", "train").join("log")).unwrap();
    assert!(log.starts_with("$ factory sft --data train.jsonl"), "{log}");
    // It is begun anew, and the others are kept.
    assert_eq!(began(&place.run(&[])), ["train"]);
}

#[test]
fn what_cannot_go_on_begins_anew() {
    let place = Place::new(RECIPE);
    place.ran(&["--only", "answers"]);
    let folder = place.stage("runs", "answers");
    let before = fs::read(folder.join("predictions.jsonl")).unwrap();
    fs::remove_file(folder.join("stage.json")).unwrap();
    fs::rename(folder.join("predictions.jsonl"), folder.join("old")).unwrap();
    fs::write(
        folder.join("predictions.jsonl.partial"),
        "{\"--seed\":1}\n[0,1]\n",
    )
    .unwrap();
    let output = place.run(&["--only", "answers"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(
        errors(&output).contains("answers: goes on: "),
        "{}",
        errors(&output)
    );
    assert!(fs::read(folder.join("predictions.jsonl")).unwrap() == before);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "log", "predictions.jsonl", "stage.json"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_no_stage_half_done() {
    let place = Place::new(RECIPE);
    // No file may become as large as an adapter.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let run = place.command(&["--only", "train"]);
    let full = Command::new("bash")
        .current_dir(place.0.path())
        .args(["-c", script, "bash"])
        .arg(run.get_program())
        .args(run.get_args())
        .output()
        .unwrap();
    let said = errors(&full);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: stage train failed") && said.contains("cannot write"),
        "{said}"
    );
    let folder = place.stage("runs", "train");
    assert!(!folder.join("stage.json").exists() && !folder.join("adapter").exists());
    assert_eq!(place.ran(&["--only", "train"]), ["train"]);
}
