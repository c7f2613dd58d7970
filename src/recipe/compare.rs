//! Two runs, gate by gate.

use super::listing::Listed;
use super::records;
use super::rows;
use crate::eval::judge::{Verdict, metric};
use crate::eval::paired::{self, Paired};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::Path;

/// Two runs side by side.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub a: Listed,
    pub b: Listed,
    pub gates: Vec<Compared>,
}

/// A gate that at least one of them has.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub name: String,
    pub a: Option<Verdict>,
    pub b: Option<Verdict>,
    /// Where both are of the same rows.
    pub paired: Option<Paired>,
    /// Why there is no paired test.
    pub unpaired: Option<String>,
}

/// Compares the gates of two runs that have been judged: those of `a` first, then what only `b` has.
pub fn runs(a: &Path, b: &Path) -> Result<Comparison> {
    let verdicts = |folder: &Path| -> Result<Vec<Verdict>> {
        ensure!(
            folder.join(records::GATES).exists(),
            "{} has no gates yet: it is still being made",
            folder.display()
        );
        records::read(folder, records::GATES)
    };
    let (of_a, of_b) = (verdicts(a)?, verdicts(b)?);
    let mut names: Vec<&String> = of_a.iter().map(|verdict| &verdict.name).collect();
    names.extend(
        of_b.iter()
            .map(|verdict| &verdict.name)
            .filter(|name| !of_a.iter().any(|v| v.name == **name)),
    );
    let gate = |name: &&String| {
        let find = |verdicts: &[Verdict]| {
            verdicts
                .iter()
                .find(|verdict| verdict.name == **name)
                .cloned()
        };
        let (in_a, in_b) = (find(&of_a), find(&of_b));
        let test = match (&in_a, &in_b) {
            (Some(first), Some(second)) => pair(a, b, first, second).map(Some),
            _ => Ok(None),
        };
        let (paired, unpaired) = match test {
            Ok(paired) => (paired, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Compared {
            name: (*name).clone(),
            a: in_a,
            b: in_b,
            paired,
            unpaired,
        }
    };
    Ok(Comparison {
        gates: names.iter().map(gate).collect(),
        a: Listed::of(a),
        b: Listed::of(b),
    })
}

/// The paired test of a gate's rows in two runs.
fn pair(a: &Path, b: &Path, first: &Verdict, second: &Verdict) -> Result<Paired> {
    ensure!(
        (&first.mode, &first.metric) == (&second.mode, &second.metric),
        "the runs measure it by {} {} and {} {}",
        first.mode,
        first.metric,
        second.mode,
        second.metric
    );
    let rows = |folder: &Path| {
        let rows = rows::of_run(folder, &first.name, "candidate")?;
        rows.with_context(|| format!("{} has no rows of it", folder.display()))
    };
    paired::compare(
        &rows(a)?,
        &rows(b)?,
        metric(&first.mode, &first.metric)?.column,
    )
}
