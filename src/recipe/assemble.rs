//! Makes the files of a run folder from the stages behind it.

use super::dataset;
use super::evaluation::{self, Side};
use super::evidence::{Evidence, GateEvidence};
use super::identity::run_id;
use super::process::quoted;
use super::records::{
    self, Commands, Config, Cost, DataFile, EvalPlan, Evaluation, Provenance, Slices, Threshold,
};
use super::rows::{self, Scoring};
use super::{lineage, provenance};
use crate::data::jsonl;
use crate::eval::judge::{Measured, Role, Verdict, judge};
use crate::eval::modes::{self, Mode};
use crate::eval::review::review;
use crate::eval::summary;
use crate::run::files::{write_atomic, write_by};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One gate with its rows.
struct Judged<'a> {
    evidence: &'a GateEvidence,
    candidate: Scoring,
    baseline: Option<Scoring>,
    verdict: Verdict,
}

/// Writes every file of the run folder but its report and its decision, and hands back the verdicts on the gates. What was
/// not measured is null, with a note.
///
/// Errors where training and held-out rows overlap and may not, and where a stage's files are not as it left them.
pub fn assemble(evidence: &Evidence, folder: &Path) -> Result<Vec<Verdict>> {
    let judged: Vec<Judged> = evidence
        .gates
        .iter()
        .map(judge_gate)
        .collect::<Result<_>>()?;
    let primary_name = &evidence.primary()?.gate.name;
    let primary = judged
        .iter()
        .find(|gate| gate.verdict.name == *primary_name);
    let primary = primary.context("the primary gate is among the gates")?;
    let verdicts: Vec<Verdict> = judged.iter().map(|gate| gate.verdict.clone()).collect();
    let data = dataset::of(evidence)?;
    let id = run_id(folder)?;
    let base = lineage::base_model(evidence)?;
    let artifact = lineage::artifact(evidence, &base, &id)?;
    let publish_check = dataset::publish_check(folder, artifact.is_some());

    let datasets = write_rows(&judged, &data.dataset.sources, folder)?;
    records::write(folder, records::GATES, &verdicts)?;
    records::write(folder, records::EVIDENCE, evidence)?;
    let stages = jsonl::to_bytes(evidence.stages())?;
    write_atomic(&folder.join(records::STAGES), &stages)?;
    write_atomic(&folder.join(records::RECIPE), evidence.recipe.as_bytes())?;
    let config = Config {
        run_id: id.clone(),
        target: evidence.target.clone(),
        owner_goal: evidence.owner_goal.clone(),
        candidate: lineage::candidate(evidence),
        eval: eval_plan(evidence, primary),
        base_model: base,
    };
    records::write(folder, records::CONFIG, &config)?;
    records::write(folder, records::DATASET, &data.dataset)?;
    let [baseline, candidate] = evaluations(evidence, primary, &config);
    records::write(folder, records::BASELINE, &baseline)?;
    records::write(folder, records::CANDIDATE, &candidate)?;
    records::write(folder, records::SLICES, &slices(&judged, primary)?)?;
    write_atomic(
        &folder.join(records::REVIEW),
        trace_review(&id, &judged).as_bytes(),
    )?;
    let made = Provenance {
        schema_version: 1,
        renderer: records::program(),
        renderer_command: quoted(&evidence.command),
        git: provenance::git(),
        commands: Commands {
            baseline: baseline.command,
            candidate: candidate.command,
            training: config.candidate.training_command,
            publish_check: publish_check.clone(),
        },
        datasets,
    };
    records::write(folder, records::PROVENANCE, &made)?;
    if let Some(artifact) = artifact {
        records::write(folder, records::ARTIFACT, &artifact)?;
    }
    write_training(evidence, folder)?;
    records::write(folder, records::COST, &cost(evidence))?;
    let validity = dataset::validity(&data, &verdicts, &publish_check)?;
    records::write(folder, records::VALIDITY, &validity)?;
    Ok(verdicts)
}

fn judge_gate(evidence: &GateEvidence) -> Result<Judged<'_>> {
    let (candidate, baseline) = (rows::candidate(evidence)?, rows::baseline(evidence)?);
    let held_against = baseline.as_ref().map(|scoring| scoring.rows.as_slice());
    let verdict = judge(&evidence.gate, &candidate.rows, held_against)?;
    Ok(Judged {
        evidence,
        candidate,
        baseline,
        verdict,
    })
}

/// Writes the rows of the gates; returns these files and the sources, with their hashes.
fn write_rows(
    judged: &[Judged],
    sources: &[records::Source],
    folder: &Path,
) -> Result<Vec<DataFile>> {
    let of = |source: &records::Source| DataFile {
        path: source.path.clone(),
        rows: source.rows,
        sha256: source.sha256.clone(),
    };
    let mut files: Vec<DataFile> = sources.iter().map(of).collect();
    for gate in judged {
        let name = &gate.verdict.name;
        let scored = &gate.evidence.candidate;
        let base = gate.baseline.as_ref().zip(gate.evidence.baseline.as_ref());
        let sides = [
            ("candidate", Some((&gate.candidate, scored))),
            ("baseline", base),
        ];
        for (side, scoring) in sides {
            let Some((scoring, stage)) = scoring else {
                continue;
            };
            let path = rows::file(name, side);
            let place = folder.join(&path);
            write_by(&place, |file| jsonl::write(file, &scoring.rows))?;
            let (rows, sha256) = jsonl::measure(&place)?;
            files.push(DataFile { path, rows, sha256 });
            if let Some(summary) = stage.outputs.get("summary_out") {
                copy(summary, &folder.join(rows::summary_file(name, side)))?;
            }
        }
    }
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_atomic(to, &content)
}

fn eval_plan(evidence: &Evidence, primary: &Judged) -> EvalPlan {
    let regression = evidence.gates.iter().map(|gate| &gate.gate);
    let regression = regression
        .filter(|gate| gate.role == Role::Regression)
        .find(|gate| gate.name != primary.verdict.name);
    let wanted = primary
        .verdict
        .conditions
        .iter()
        .filter_map(|condition| condition.wanted);
    EvalPlan {
        primary: primary.verdict.name.clone(),
        regression: regression.map(|gate| gate.name.clone()),
        primary_slice: Some(slice_name(&primary.verdict.name)),
        regression_slice: regression.map(|gate| slice_name(&gate.name)),
        threshold: Threshold {
            primary_min: wanted.reduce(f64::max),
            breadth_drop_max_pp: regression.and_then(|gate| gate.max_drop),
        },
    }
}

/// The slice that all rows of a gate are.
fn slice_name(gate: &str) -> String {
    format!("gate:{gate}")
}

/// The baseline's record and the candidate's.
fn evaluations(evidence: &Evidence, primary: &Judged, config: &Config) -> [Evaluation; 2] {
    let (gate, verdict) = (primary.evidence, &primary.verdict);
    let base = &config.base_model.id;
    let model_id = match evidence.is_baseline() {
        true => base.clone(),
        false => format!("{base} + {}", config.candidate.method),
    };
    let found = Measured {
        value: verdict.value,
        passed_rows: verdict.passed_rows,
        n: verdict.n,
        interval: verdict.interval,
    };
    let candidate = Side {
        model_id,
        scored: &gate.candidate,
        answers: gate.answers.as_ref(),
        found,
        passed: Some(verdict.passed),
        note: None,
    };
    let baseline = match (&gate.baseline, verdict.baseline) {
        (Some(scored), Some(found)) => evaluation::of(
            &Side {
                model_id: baseline_model(gate, base),
                scored,
                answers: gate.base_answers.as_ref(),
                found,
                passed: None,
                note: None,
            },
            verdict,
        ),
        _ if evidence.is_baseline() => evaluation::of(
            &Side {
                passed: None,
                model_id: base.clone(),
                note: Some("only a base is measured: the baseline is the candidate"),
                ..candidate
            },
            verdict,
        ),
        _ => evaluation::missing(verdict),
    };
    [baseline, evaluation::of(&candidate, verdict)]
}

/// What answered for the baseline: the base, or another candidate.
fn baseline_model(gate: &GateEvidence, base: &str) -> String {
    let loras = gate
        .base_answers
        .as_ref()
        .map_or(Vec::new(), |answers| answers.values("--lora"));
    match &loras[..] {
        [] => base.to_owned(),
        loras => format!("{base} + {}", loras.join(" + ")),
    }
}

fn slices(judged: &[Judged], primary: &Judged) -> Result<Slices> {
    let sliced = |gate: &Judged| -> Result<Slices> {
        let Scoring { examples, rows } = &gate.candidate;
        // Metrics of the gate's own mode go by their plain names.
        let own = modes::named(&gate.verdict.mode);
        let others = rows::modes_of(rows)
            .into_iter()
            .filter(|mode| mode.name() != gate.verdict.mode);
        let modes: Vec<&dyn Mode> = own
            .into_iter()
            .chain(others)
            .map(|mode| mode as &dyn Mode)
            .collect();
        let value = summary::slices_to_json(examples, rows, &modes);
        serde_json::from_value(value).context("slices")
    };
    let mut all = sliced(primary)?;
    for gate in judged {
        all.slices
            .insert(slice_name(&gate.verdict.name), sliced(gate)?.overall);
    }
    Ok(all)
}

fn trace_review(id: &str, judged: &[Judged]) -> String {
    let mut page = format!("# Trace review of {id}\n");
    for gate in judged {
        let Scoring { examples, rows } = &gate.candidate;
        page.push('\n');
        page += &review(&format!("gate {}", gate.verdict.name), examples, rows);
    }
    page
}

/// Training's log and metrics, or that there was none.
fn write_training(evidence: &Evidence, folder: &Path) -> Result<()> {
    let log = match &evidence.training {
        None => "not-applicable: nothing was trained for this run\n".to_owned(),
        Some(training) => training
            .log()
            .unwrap_or_else(|| "missing: the stage left no log\n".to_owned()),
    };
    write_atomic(&folder.join(records::TRAIN_LOG), log.as_bytes())?;
    let Some(training) = &evidence.training else {
        return Ok(());
    };
    let metrics = training.main()?.join(records::METRICS);
    match metrics.exists() {
        true => copy(&metrics, &folder.join(records::METRICS)),
        false => Ok(()),
    }
}

fn cost(evidence: &Evidence) -> Cost {
    let learned = evidence.learned();
    let measured = evidence.gates.iter().flat_map(|gate| {
        [
            gate.answers.as_ref(),
            gate.base_answers.as_ref(),
            gate.baseline.as_ref(),
            Some(&gate.candidate),
        ]
    });
    let mut seen = BTreeSet::new();
    let measured = measured.flatten().filter(|done| seen.insert(&done.key));
    let trained = |what: &str| (!learned.is_empty()).then(|| what.to_owned());
    let stages: Vec<&str> = learned.iter().map(|done| done.stage.as_str()).collect();
    Cost {
        training_time_seconds: (!learned.is_empty())
            .then(|| learned.iter().map(|done| done.seconds).sum()),
        training_time_seconds_note: trained(&stages.join(", ")),
        training_cost_usd_note: trained("missing: not measured"),
        eval_time_seconds: Some(measured.map(|done| done.seconds).sum()),
        eval_time_seconds_note: Some("answers and scorings of candidate and baseline".to_owned()),
        ..Cost::default()
    }
}
