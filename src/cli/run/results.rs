//! What a recipe's runs came to: their reports, what is said of them, and the exit code.

use crate::cli::{GateFailed, UsageError, plain, say};
use crate::recipe::document::nearest;
use crate::recipe::done::Done;
use crate::recipe::folders::Concluded;
use crate::recipe::plan::Plan;
use crate::report;
use crate::report::overview::{self, Overview, Reference};
use crate::run::files::write_atomic;
use anyhow::Result;
use std::path::Path;

/// Writes the two reports of a run folder.
pub fn render(folder: &Path) -> Result<()> {
    write_atomic(
        &folder.join("report.html"),
        report::html(folder)?.as_bytes(),
    )?;
    write_atomic(
        &folder.join("report.md"),
        report::markdown(folder)?.as_bytes(),
    )
}

/// Says what each run came to.
pub fn say_all(plan: &Plan, runs: &[Concluded]) -> Result<()> {
    for run in runs {
        let gates = run.verdicts.iter().map(|verdict| {
            let [low, high] = verdict.interval;
            format!(
                "{} {}={:.3} [{low:.3}, {high:.3}] (n={}) {}",
                verdict.name,
                verdict.metric,
                verdict.value,
                verdict.n,
                if verdict.passed { "passes" } else { "fails" }
            )
        });
        let gates: Vec<String> = gates.collect();
        let before = if run.before { " (decided before)" } else { "" };
        say(plain(&format!(
            "run {}: {}{before}: {}",
            plan.runs[run.at].name,
            run.decision.decision,
            gates.join("; ")
        )))?;
        say(format_args!(
            "  report: {}",
            run.folder.join("report.html").display()
        ))?;
    }
    Ok(())
}

/// The recipe's `[reference]`.
///
/// Errors where it has another form, or knows runs and gates that the recipe does not.
pub fn references(plan: &Plan) -> Result<Vec<Reference>> {
    let wrong = |fault: String| UsageError(format!("{}: {fault}", plan.recipe.path.display()));
    let references = overview::others(&plan.recipe.text).map_err(|e| wrong(format!("{e:#}")))?;
    for reference in &references {
        for (run, gates) in &reference.values {
            let whose = &reference.name;
            let Some(planned) = plan.runs.iter().find(|own| own.name == *run) else {
                let near = nearest(run, plan.runs.iter().map(|own| &*own.name));
                let fault = format!("[reference.{whose:?}]: no run is called {run}{near}");
                return Err(wrong(fault).into());
            };
            let names = || planned.gates.iter().map(|gate| &*gate.spec.name);
            if let Some(gate) = gates.keys().find(|gate| names().all(|own| own != *gate)) {
                let near = nearest(gate, names());
                let fault = format!("[reference.{whose:?}]: run {run} has no gate {gate}{near}");
                return Err(wrong(fault).into());
            }
        }
    }
    Ok(references)
}

/// Writes the page of several runs, or of a matrix, beside their folders.
pub fn overview(
    plan: &Plan,
    runs: &[Concluded],
    done: &[Option<Done>],
    references: Vec<Reference>,
    folder: &Path,
) -> Result<()> {
    let alone = plan.runs.len() < 2 && references.is_empty();
    if alone || runs.is_empty() {
        return Ok(());
    }
    let overview = Overview {
        references,
        ..overview::of(plan, runs, done, folder)?
    };
    let page = folder.join(format!("{}.html", plan.recipe.name));
    write_atomic(&page, overview::html(&overview)?.as_bytes())?;
    let text = page.with_extension("md");
    write_atomic(&text, overview::markdown(&overview)?.as_bytes())?;
    say(format_args!(
        "all runs: {} and {}",
        page.display(),
        text.display()
    ))
}

/// Exit code 3 where there are runs and none passes its gates.
pub fn gate(runs: &[Concluded]) -> Result<()> {
    match runs.is_empty() || runs.iter().any(Concluded::passes) {
        true => Ok(()),
        false => {
            let all = if runs.len() == 1 {
                "the run does not pass its gates"
            } else {
                "no run passes its gates"
            };
            Err(GateFailed(all.to_owned()).into())
        }
    }
}
