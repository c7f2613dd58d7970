//! `factory run RECIPE.toml`: the stages of a recipe, each a command of this program, done once and kept.

mod commands;
mod dry;
mod results;
mod show;

use super::sql_worker::program;
use super::{GateFailed, UsageError, interrupt, plain, say};
use crate::recipe::document::Faults;
use crate::recipe::estimate::estimates;
use crate::recipe::execute::{self, Options, Outcome};
use crate::recipe::folders::{self, Folders};
use crate::recipe::plan::{self, Settings};
use crate::recipe::state::{self, Choice, State};
use anyhow::{Result, bail};
use show::Show;
use std::path::PathBuf;

/// Run a recipe: its stages in their order, those that are done already left as they are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe (TOML): [vars], [stages.NAME] with a command and its flags, [runs.NAME] with gates, [matrix].
    recipe: PathBuf,
    /// Set a variable of the recipe; a path is then relative to the current folder (repeatable).
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Print what is done, what would run, why, and how long it may take; run nothing.
    #[arg(long)]
    dry_run: bool,
    /// The same as JSON, for a program that runs the stages elsewhere: each with `factory run RECIPE --only STAGE`, behind those it needs.
    #[arg(long, conflicts_with = "dry_run")]
    plan: bool,
    /// Run this stage again, and those behind it, though they are done (repeatable).
    #[arg(long, value_name = "STAGE")]
    from: Vec<String>,
    /// Run this stage alone, with what it needs that is not done (repeatable).
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Stages at once, where none needs the other.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Folder of runs; stages lie in its folder `stages`.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Plans and runs the recipe.
pub fn run(args: Args) -> Result<()> {
    let runs = args.runs;
    let settings = Settings {
        runs: runs.clone(),
        set: args.set,
    };
    let plan = plan::plan(&args.recipe, &settings, &commands::commands());
    let plan = plan.map_err(|error| match error.is::<Faults>() {
        true => UsageError::of(error),
        false => error,
    })?;
    let choice = Choice {
        from: args.from,
        only: args.only,
    };
    let states = state::states(&plan, &choice)?.map_err(UsageError)?;
    let program = program()?;
    let references = results::references(&plan)?;
    folders::check(&plan, &states)?;
    if args.dry_run || args.plan {
        let estimates = estimates(&plan, &states, &program)?;
        return match args.plan {
            true => dry::json(&plan, &states, &estimates),
            false => dry::table(&plan, &states, &estimates),
        };
    }
    interrupt::watch()?;
    let command = typed();
    let mut folders = Folders::begin(&plan, &states, &runs, &command)?;
    let options = Options {
        program: &program,
        jobs: usize::from(args.jobs),
        stop: &interrupt::asked,
    };
    let chosen = states
        .iter()
        .filter(|state| !matches!(state, State::LeftOut));
    let mut show = Show::new(chosen.count());
    let outcome = execute::execute(&plan, &states, &options, &mut |event| {
        show.event(&event);
        folders.event(&event)
    });
    show.finish();
    let outcome = outcome?;
    for (stage, done) in plan.stages.iter().zip(&outcome.done) {
        if done.is_some() {
            say(format_args!(
                "{}: {}",
                stage.name,
                stage.outputs["main"].display()
            ))?;
        }
    }
    let ran = outcome.ran.len();
    let cached = outcome.done.iter().flatten().count() - ran;
    say(format_args!("stages: {ran} ran, {cached} were done before"))?;
    let concluded = folders.conclude(&outcome.done, &results::render)?;
    results::say_all(&plan, &concluded)?;
    results::overview(&plan, &concluded, &outcome.done, references, &runs)?;
    refuse(&outcome)?;
    results::gate(&concluded)
}

/// The command as a person types it.
fn typed() -> Vec<String> {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    std::iter::once("factory".to_owned()).chain(words).collect()
}

/// Errors where not everything was done.
fn refuse(outcome: &Outcome) -> Result<()> {
    let behind = match outcome.kept_back.is_empty() {
        true => String::new(),
        false => format!("; not run for it: {}", outcome.kept_back.join(", ")),
    };
    let failures = outcome.failures.iter().map(|failure| {
        let said = failure
            .tail
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("error: "));
        let said = said.map_or(String::new(), |said| format!(": {}", plain(said)));
        let (stage, how) = (&failure.stage, &failure.how);
        format!(
            "stage {stage} failed: {how}{said} (its log: {})",
            failure.log.display()
        )
    });
    let failures: Vec<String> = failures.collect();
    if !failures.is_empty() {
        let said = format!("{}{behind}", failures.join("; "));
        match outcome.failures.iter().all(|failure| failure.red) {
            true => return Err(GateFailed(said).into()),
            false => bail!(said),
        }
    }
    if outcome.interrupted {
        bail!("interrupted; what is done is kept, go on with the same command");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::judge::Role;
    use crate::recipe::plan::Plan;
    use std::fs;
    use std::path::Path;

    const RECIPE: &str = r#"
name = "two"
[vars]
least = 0.5
[stages.train]
command = "sft"
data = "rows.jsonl"
seed = "{seed}"
[stages.answers]
command = "generate"
lora = ["{train}", "more={more}"]
data = "rows.jsonl"
[stages.more]
command = "sft"
data = "rows.jsonl"
lr = 1e-3
[stages.scored]
command = "eval-sql"
predictions = "{answers}"
mode = ["factory", "public-exact"]
db_dir = "."
[stages.other]
command = "eval-sql"
predictions = "rows.jsonl"
[runs.later]
target = "at least {least}, seed {seed}"
parent = "before"
training = "train"
[[runs.later.gates]]
name = "right"
candidate = "{scored}"
min = "{least}"
[[runs.later.gates]]
name = "exact"
candidate = "scored"
baseline = "other"
mode = "factory"
metric = "exact_match"
max_drop = 2
where = { route = "a" }
[runs.before]
target = "what was there"
heldout = "rows.jsonl"
[[runs.before.gates]]
name = "right"
candidate = "other"
min = 0.1
[matrix]
seed = [3, 4]
"#;

    fn planned(dir: &Path, set: &[(&str, &str)]) -> Plan {
        fs::write(dir.join("rows.jsonl"), "{\"prompt\":\"x\"}\n").unwrap();
        fs::write(dir.join("r.toml"), RECIPE).unwrap();
        let set = set
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let settings = Settings {
            runs: dir.join("runs"),
            set: set.collect(),
        };
        plan::plan(&dir.join("r.toml"), &settings, &commands::commands()).unwrap()
    }

    #[test]
    fn runs_are_made_out_of_stages() {
        let dir = tempfile::tempdir().unwrap();
        let plan = planned(dir.path(), &[("least", "0.25")]);
        let names: Vec<&str> = plan.runs.iter().map(|run| &*run.name).collect();
        assert_eq!(names, ["before", "later[seed=3]", "later[seed=4]"]);
        let (before, later) = (&plan.runs[0], &plan.runs[2]);
        assert_eq!((before.training, before.parent), (None, None));
        assert_eq!(later.parent, Some(0));
        assert_eq!(later.target, "at least 0.25, seed 4");
        assert_eq!(later.heldout, [dir.path().join("rows.jsonl")]);
        let name = |at: Option<usize>| at.map(|at| &*plan.stages[at].name);
        assert_eq!(name(later.training), Some("train[seed=4]"));
        assert_eq!(later.artifact, later.training);
        let behind = later.behind.iter().map(|at| name(Some(*at)));
        assert_eq!(behind.collect::<Vec<_>>(), [Some("more")]);
        let [right, exact] = &later.gates[..] else {
            panic!("{later:?}")
        };
        assert_eq!(
            (right.spec.role, exact.spec.role),
            (Role::Primary, Role::Regression)
        );
        assert_eq!(
            (right.spec.min, &*right.spec.metric),
            (Some(0.25), "execution_accuracy")
        );
        assert_eq!(exact.spec.only["route"], "a");
        assert_eq!(name(Some(right.candidate)), Some("scored[seed=4]"));
        assert_eq!(name(right.answers), Some("answers[seed=4]"));
        assert_eq!(
            (name(exact.baseline), exact.base_answers),
            (Some("other"), None)
        );
        let text = plan.resolved();
        assert!(
            text.contains("#   least = 0.25\n#   seed = 3, 4\n"),
            "{text}"
        );
        assert!(text.ends_with(RECIPE), "{text}");
    }

    #[test]
    fn cells_hold_what_is_done_for_each_combination() {
        let dir = tempfile::tempdir().unwrap();
        let plan = planned(dir.path(), &[]);
        let done = plan.stages.iter().map(|stage| {
            let (stage, key) = (stage.name.clone(), stage.key.clone());
            let rest = serde_json::json!({"stage": stage, "key": key, "command": [], "version": "", "program_sha256": "",
                "inputs": [], "outputs": {}, "seconds": 1.0, "peak_rss_mb": null, "finished": ""});
            // One that failed.
            (stage != "scored[seed=4]").then(|| serde_json::from_value(rest).unwrap())
        });
        let cells = plan.cells(&done.collect::<Vec<_>>());
        assert_eq!(cells.variables, ["seed"]);
        let stages: Vec<Vec<&str>> = cells
            .cells
            .iter()
            .map(|(_, stages)| stages.values().map(|done| &*done.stage).collect())
            .collect();
        let three = [
            "answers[seed=3]",
            "more",
            "other",
            "scored[seed=3]",
            "train[seed=3]",
        ];
        assert_eq!(stages[0], three);
        assert_eq!(
            stages[1],
            ["answers[seed=4]", "more", "other", "train[seed=4]"]
        );
        assert_eq!(cells.cells[1].0.name("x"), "x[seed=4]");
    }
}
