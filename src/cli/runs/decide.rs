//! `factory runs decide`

use super::Runs;
use crate::cli::{UsageError, note, plain, say};
use crate::recipe::decision::{Overruling, overrule};
use crate::recipe::process::quoted;
use crate::recipe::records::Choice;
use crate::recipe::status::{Live, Phase};
use crate::report;
use crate::run::files::write_atomic;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Decide otherwise than was proposed. Who says so, when, why, and what was proposed is recorded.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's folder or name.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to do with the candidate.
    #[arg(long, value_enum)]
    decision: Choice,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides [default: the user's name].
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What was learned; needed where nothing is shipped and none was noted yet.
    #[arg(long, value_name = "TEXT")]
    lesson: Option<String>,
    /// What comes next [default: what was proposed].
    #[arg(long, value_name = "TEXT")]
    next_action: Option<String>,
}

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    if args.reason.trim().is_empty() {
        return Err(UsageError("--reason is empty: say why".to_owned()).into());
    }
    let folder = runs.find(&args.run)?;
    let mut live = Live::open(&folder)?;
    match live.status().phase {
        Phase::Decided => {}
        phase => bail!(
            "{} is {phase}: only a run that is decided can be decided otherwise",
            folder.display()
        ),
    }
    let by = args
        .by
        .clone()
        .or_else(user)
        .unwrap_or_else(|| "unknown".to_owned());
    let decision = overrule(
        &folder,
        &Overruling {
            decision: args.decision,
            reason: &args.reason,
            by: &by,
            lesson: args.lesson.as_deref(),
            next_action: args.next_action.as_deref(),
        },
    )?;
    // The pages would say what was proposed.
    for (page, made) in [
        ("report.md", report::markdown as fn(&Path) -> Result<String>),
        ("report.html", report::html),
    ] {
        let page = folder.join(page);
        if page.exists() {
            write_atomic(&page, made(&folder)?.as_bytes())?;
        }
    }
    let words = [
        "factory",
        "runs",
        "decide",
        &args.run.display().to_string(),
        "--decision",
        &decision.decision.to_string(),
    ];
    live.overruled(&quoted(&words.map(str::to_owned)), &args.reason)?;
    if args.decision == Choice::Ship {
        for blocker in &decision.blocked_by {
            note(plain(&format!("publish-check will not pass it: {blocker}")));
        }
    }
    say(plain(&format!(
        "{}: {} by {by}: {}",
        live.status().run_id,
        decision.decision,
        decision.reason
    )))
}

fn user() -> Option<String> {
    let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    name("USER").or_else(|| name("USERNAME"))
}
