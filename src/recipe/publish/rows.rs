//! The rows of a run against its data, and where their texts are.

use crate::data::jsonl;
use crate::recipe::dataset::{self, HELDOUT};
use crate::recipe::evidence::Evidence;
use crate::recipe::leaks::Texts;
use crate::recipe::rows;
use crate::recipe::validate::Records;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Most rows of a file that are named.
const NAMED: usize = 5;

/// Whether training and held-out rows are as far apart as was said.
pub fn overlaps(records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let (Some(dataset), Some(validity)) = (&records.dataset, &records.validity) else {
        return;
    };
    match dataset::shared(evidence, &dataset.sources) {
        Ok(overlap) => {
            let found = if overlap.pairs.is_empty() {
                dataset::NO_OVERLAP
            } else {
                dataset::OVERLAP
            };
            let said = &validity.overlap_check.result;
            if said != found {
                faults.push(format!("eval-validity.json: overlap_check.result is {said:?}, and the files show {found}"));
            }
        }
        Err(error) => faults.push(format!(
            "eval-validity.json: the overlap cannot be checked: {error:#}"
        )),
    }
}

/// Whether the rows are held against the references of the held-out files, where these have any.
pub fn references(folder: &Path, records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    let sources = records.dataset.iter().flat_map(|dataset| &dataset.sources);
    for source in sources.filter(|source| source.kind == HELDOUT) {
        // A file that cannot be read has no right hash either.
        for line in jsonl::read(&source.path).unwrap_or_default() {
            known.extend(
                line.fields()
                    .get("gold_sql")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
        }
    }
    for gate in evidence.gates.iter().filter(|_| !known.is_empty()) {
        let file = rows::file(&gate.gate.name, "candidate");
        let rows = rows::of_run(folder, &gate.gate.name, "candidate");
        for row in rows
            .ok()
            .flatten()
            .into_iter()
            .flatten()
            .filter(|row| !known.contains(&row.gold_sql))
            .take(NAMED)
        {
            faults.push(format!(
                "{}: row {}: its gold_sql is that of no held-out row",
                file.display(),
                rows::name(&row)
            ));
        }
    }
}

/// Text of rows in status files.
pub fn leaks(folder: &Path, records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let mut texts = Texts::default();
    for gate in &evidence.gates {
        for side in ["candidate", "baseline"] {
            let file = rows::file(&gate.gate.name, side);
            // Rows that cannot be read are named where they are scored.
            if let Ok(Some(rows)) = rows::of_run(folder, &gate.gate.name, side) {
                texts.add_scored(&rows, &file.display().to_string());
            }
        }
    }
    let stages = evidence.stages();
    for source in records.dataset.iter().flat_map(|dataset| &dataset.sources) {
        let columns = dataset::columns(stages.iter().copied(), &source.path);
        let added = columns.and_then(|columns| texts.add_file(&source.path, &columns));
        if let Err(error) = added {
            faults.push(format!(
                "dataset.json: the texts of {} cannot be looked for: {error:#}",
                source.path.display()
            ));
        }
    }
    faults.extend(texts.find(folder));
}
