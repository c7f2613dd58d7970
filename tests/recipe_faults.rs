//! What is wrong with a recipe is said with its lines, all of it, before anything runs.

mod common;
#[path = "common/place.rs"]
mod place;

use place::{Place, RECIPE, errors};
use std::fs;
use std::process::Command;

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
            "max_drop = 3",
            "max_drop = 3\nmetric = \"exact\"",
            "mode factory has no metric exact; did you mean exact_match?",
        ),
        (
            "max_drop = 3",
            "max_drop = 3\nmode = \"spider-ts\"",
            "mode spider-ts is none that stage scored scores",
        ),
        (
            "max_drop = 3",
            "",
            "give one or more of min, margin and max_drop",
        ),
        (
            "max_drop = 3",
            "max_drop = 3\nmin = 2",
            "min is 2, expected 0 to 1",
        ),
        (
            "max_drop = 3",
            "max_drop = 3\nrole = \"main\"",
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
        ("batch = 2", "batch = 2\nlr = nan", "--lr must be above 0"),
        ("max-tokens = 8", "max-tokens = 8\ntop_p = 2.0", "--top-p"),
        (
            "target",
            "parent = \"none\"\ntarget",
            "no run is called \"none\"",
        ),
        (
            "target",
            "parent = \"none\"\nfollows = \"2026-01-01-x\"\ntarget",
            "has a parent in this recipe and follows another run",
        ),
        (
            "target",
            "follows = \"../x\"\ntarget",
            "expected the id of a run",
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
        "r.toml:52: mode factory has no metric exact",
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
