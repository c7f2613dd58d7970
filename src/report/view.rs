//! All that a report of a run shows.

use super::compare::{Line, compare, frontier};
use super::data::Data;
use super::decision::Decision;
use super::fact::{Fact, State, word};
use super::failures::Failures;
use super::folder::{Folder, Lack};
use super::gates::Gate;
use super::made::{self, Command, Stage};
use super::points::Tradeoff;
use super::rows::{Pair, Rows, expected, pairs};
use super::say;
use super::slices::Slices;
use super::training::{Training, training};
use crate::eval::judge::Verdict;
use serde::Serialize;

/// Most characters of a recipe that are shown, and files for the next run that are listed.
const RECIPE: usize = 60_000;
const NEXT: usize = 50;

const ARTIFACT: &str = "artifact.json";

/// A run.
#[derive(Serialize)]
pub struct Report {
    pub id: String,
    pub target: Option<String>,
    pub goal: Option<String>,
    pub decision: Decision,
    /// `1 of 2 gates passes`
    pub summary: String,
    pub gates: Vec<Gate>,
    pub lines: Vec<Line>,
    pub costs: Vec<(&'static str, Fact)>,
    pub frontier: Vec<(String, Fact)>,
    pub training: Training,
    pub failures: Vec<Failures>,
    pub slices: Slices,
    pub tradeoff: Option<Tradeoff>,
    pub rows: Rows,
    pub data: Data,
    pub identity: Vec<(&'static str, String)>,
    pub commands: Vec<Command>,
    pub stages: Vec<Stage>,
    pub recipe: Option<String>,
    /// Files for the next run, with their lines.
    pub next: Vec<(String, String)>,
    /// What the folder does not have.
    pub lacks: Vec<Lack>,
}

impl Report {
    /// Reads all that is there.
    pub fn read(folder: &mut Folder) -> Self {
        let config = folder.json("config.json");
        let status = folder.json("run-status.json");
        let decision = Decision::of(&folder.json("decision.json"));
        let verdicts: Vec<Verdict> = folder.shaped("gates.json").unwrap_or_default();
        let baseline = folder.json("eval-baseline.json");
        let candidate = folder.json("eval-candidate.json");
        let slices = Slices::of(&folder.json("slice-metrics.json"));
        let dataset = folder.json("dataset.json");
        let provenance = folder.json("provenance.json");
        let artifact = folder.optional_json(ARTIFACT);
        if artifact.is_null() && !folder.has(ARTIFACT) {
            folder.lack(
                ARTIFACT,
                State::NotApplicable,
                "this run has nothing to ship",
            );
        }
        let validity = folder.optional_json("eval-validity.json");
        let cost = folder.optional_json("cost.json");
        let sweep = folder.optional_json("sweep.json");
        let trained = word(&provenance["commands"]["training"]).is_some()
            || provenance["commands"]["training"].is_array()
            || word(&config["candidate"]["training_command"]).is_some();
        let training = training(folder, trained);
        let stages = folder.lines("stages.jsonl");
        let mut rows: Vec<Pair> = Vec::new();
        for verdict in verdicts.iter().filter(|verdict| expected(verdict)) {
            rows.extend(pairs(folder, verdict));
        }
        let recipe = folder
            .text("recipe.toml")
            .map(|text| say::short(&text, RECIPE));
        let next = folder.files("next").into_iter().take(NEXT);
        let failures = verdicts.iter().filter_map(|verdict| {
            let own: Vec<&Pair> = rows
                .iter()
                .filter(|pair| pair.gate == verdict.name)
                .collect();
            (!own.is_empty()).then(|| Failures::of(&verdict.name, &own))
        });
        Self {
            id: word(&config["run_id"])
                .or(word(&status["run_id"]))
                .unwrap_or_else(|| folder.name()),
            target: word(&config["target"]),
            goal: word(&config["owner_goal"]),
            summary: summary(&verdicts),
            gates: verdicts.iter().map(Gate::of).collect(),
            lines: compare(&baseline, &candidate),
            costs: made::costs(&cost, &stages),
            frontier: frontier(&validity),
            training,
            failures: failures.collect(),
            slices,
            tradeoff: Tradeoff::of(&sweep),
            data: Data::of(&dataset, &provenance, &validity, &rows),
            identity: made::identity(&config, &provenance, &artifact, &status),
            commands: made::commands(&provenance),
            stages: made::stages(&stages),
            recipe,
            next: next
                .map(|(name, lines)| (name, say::count(lines, "line")))
                .collect(),
            rows: Rows::of(rows),
            lacks: std::mem::take(&mut folder.lacks),
            decision,
        }
    }
}

fn summary(verdicts: &[Verdict]) -> String {
    let passed = verdicts.iter().filter(|verdict| verdict.passed).count();
    match (passed, verdicts.len()) {
        (_, 0) => "No gate was judged.".to_owned(),
        (1, 1) => "The gate passes.".to_owned(),
        (0, 1) => "The gate fails.".to_owned(),
        (passed, all) if passed == all => format!("All {all} gates pass."),
        (0, all) => format!("All {all} gates fail."),
        (1, all) => format!("1 of {all} gates passes."),
        (passed, all) => format!("{passed} of {all} gates pass."),
    }
}
