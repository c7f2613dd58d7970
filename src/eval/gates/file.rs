//! A gates file: [[gate]] tables, which `factory sweep` and `factory gate` both read.

use crate::eval::judge::{GateSpec, Role, metric, mode_of, numbers};
use crate::eval::modes;
use crate::run::files::folder_of;
use crate::run::nearest::nearest;
use crate::run::settings;
use anyhow::{Result, anyhow, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One gate as its file has it. Paths are relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub name: String,
    /// A mode of eval-sql [default: the first, or the one that has the metric's column].
    pub mode: Option<String>,
    /// One of the mode's [default: its first].
    pub metric: Option<String>,
    /// The least mean that passes, 0 to 1.
    pub min: Option<f64>,
    /// Points above the baseline.
    pub margin: Option<f64>,
    /// Points below the baseline.
    pub max_drop: Option<f64>,
    /// [default: the first gate is primary, the others are regressions]
    pub role: Option<Role>,
    /// Fields and the texts that they have in the gate's rows [default: all rows].
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, String>,
    /// Of a sweep, the rows that are asked; of `factory gate`, the rows whose fields `where` names.
    pub data: Option<PathBuf>,
    /// Of a sweep: the databases [default: the data's folder].
    pub db_dir: Option<PathBuf>,
    /// Of `factory gate`: the candidate's scored rows, or a summary.
    pub candidate: Option<PathBuf>,
    /// Of `factory gate`: the baseline's.
    pub baseline: Option<PathBuf>,
}

const KEYS: [&str; 12] = [
    "name",
    "mode",
    "metric",
    "min",
    "margin",
    "max_drop",
    "role",
    "where",
    "data",
    "db_dir",
    "candidate",
    "baseline",
];

/// What `meaning` makes of every gate of a file; it is told whether the gate is the first. All faults are named in one error.
pub fn each<T>(path: &Path, mut meaning: impl FnMut(Table, bool) -> Result<T>) -> Result<Vec<T>> {
    let mut names = BTreeSet::new();
    let (mut gates, mut faults) = (Vec::new(), Vec::new());
    for (at, table) in tables(path)?.into_iter().enumerate() {
        let name = match table.get("name") {
            Some(toml::Value::String(name)) => name.clone(),
            _ => format!("number {}", at + 1),
        };
        if !names.insert(name.clone()) {
            faults.push(format!("gate {name}: the name is there twice"));
        }
        let gate = read(table, path).and_then(|table| meaning(table, at == 0));
        match gate {
            Ok(gate) => gates.push(gate),
            Err(error) => faults.push(format!("gate {name}: {error:#}")),
        }
    }
    ensure!(
        faults.is_empty(),
        "{}: {}",
        path.display(),
        faults.join("; ")
    );
    Ok(gates)
}

/// The files that `factory gate` reads by a gates file: scorings, and sets whose rows have the fields of `where`.
pub fn scorings(path: &Path) -> Result<Vec<PathBuf>> {
    let of = |table: Table, _| Ok([table.candidate, table.baseline, table.data]);
    let files = each(path, of)?.into_iter().flatten().flatten();
    Ok(BTreeSet::from_iter(files).into_iter().collect())
}

/// The [[gate]] tables, at least one.
fn tables(path: &Path) -> Result<Vec<toml::Table>> {
    let wrong = |what: &dyn std::fmt::Display| anyhow!("{}: {what}", path.display());
    let mut file: toml::Table = settings::read(path)?;
    let gates = file.remove("gate");
    if let Some(key) = file.keys().next() {
        return Err(wrong(&format!(
            "unknown field `{key}`: expected [[gate]] tables"
        )));
    }
    let gates = gates.map_or(Ok(Vec::new()), toml::Value::try_into);
    let gates: Vec<toml::Table> = gates.map_err(|e| wrong(&format!("gate: {}", e.message())))?;
    ensure!(!gates.is_empty(), wrong(&"no [[gate]]"));
    Ok(gates)
}

fn read(table: toml::Table, path: &Path) -> Result<Table> {
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        match nearest(key, KEYS) {
            Some(known) => bail!("unknown field `{key}`; did you mean {known}?"),
            None => bail!("unknown field `{key}`, expected {}", KEYS.join(", ")),
        }
    }
    let mut table: Table = table
        .try_into()
        .map_err(|e: toml::de::Error| anyhow!("{}", e.message()))?;
    let folder = folder_of(path);
    let paths = [
        &mut table.data,
        &mut table.db_dir,
        &mut table.candidate,
        &mut table.baseline,
    ];
    for path in paths.into_iter().flatten() {
        *path = folder.join(&path);
    }
    Ok(table)
}

/// Whether a scoring is a summary, whose metric is a number in it, and no file of rows.
pub fn is_summary(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

impl Table {
    /// What is asked of the rows, with the defaults filled in. Errors where the gate is wrong in itself.
    pub fn spec(&self, first: bool) -> Result<GateSpec> {
        let mut spec = GateSpec {
            name: self.name.clone(),
            mode: self.mode.clone().unwrap_or_default(),
            metric: self.metric.clone().unwrap_or_default(),
            min: self.min,
            margin: self.margin,
            max_drop: self.max_drop,
            role: self.role.unwrap_or(match first {
                true => Role::Primary,
                false => Role::Regression,
            }),
            only: self.only.clone(),
        };
        if self.candidate.as_deref().is_some_and(is_summary) {
            ensure!(
                self.metric.is_some() && self.mode.is_none() && self.only.is_empty(),
                "a summary has no rows: give metric, its key, and neither mode nor where"
            );
            spec.mode = numbers::MODE.to_owned();
            spec.check_numbers()?;
            return Ok(spec);
        }
        if let (None, Some(metric)) = (&self.mode, &self.metric) {
            spec.mode = mode_of(metric)?.name().to_owned();
        } else if self.mode.is_none() {
            spec.mode = modes::ALL[0].name().to_owned();
        }
        if let (None, Some(mode)) = (&self.metric, modes::named(&spec.mode)) {
            spec.metric = mode.metrics()[0].mean.to_owned();
        }
        spec.metric = metric(&spec.mode, &spec.metric)?.mean.to_owned();
        spec.check()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(text: &str) -> Result<Vec<GateSpec>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gates.toml");
        std::fs::write(&path, text)?;
        each(&path, |table, first| table.spec(first))
    }

    #[test]
    fn defaults_are_filled_in() {
        let gates = "[[gate]]\nname = \"a\"\nmin = 0.5\n[[gate]]\nname = \"b\"\nmetric = \"public_exact_match\"\nmax_drop = 3\n";
        let specs = specs(gates).unwrap();
        let said = |spec: &GateSpec| (spec.mode.clone(), spec.metric.clone(), spec.role);
        let own = |mode: &str, metric: &str, role| (mode.to_owned(), metric.to_owned(), role);
        assert_eq!(
            said(&specs[0]),
            own("factory", "execution_accuracy", Role::Primary)
        );
        assert_eq!(
            said(&specs[1]),
            own("public-exact", "exact_match", Role::Regression)
        );
        assert_eq!(specs[1].max_drop, Some(3.0));
    }

    #[test]
    fn every_fault_is_named() {
        let error = |text| specs(text).unwrap_err().to_string();
        let two = error(
            "[[gate]]\nname = \"a\"\nminn = 0.5\n[[gate]]\nname = \"a\"\nmin = \"x\"\n[[gate]]\nmin = 2\n",
        );
        for part in [
            "gate a: unknown field `minn`; did you mean min?",
            "gate a: the name is there twice",
            "gate a: invalid type: string \"x\"",
            "gate number 3: missing field `name`",
        ] {
            assert!(two.contains(part), "{part}: {two}");
        }
        assert!(error("[[gates]]\nname = \"a\"").contains("unknown field `gates`"));
        assert!(error("").contains("no [[gate]]"));
        assert!(error("gate = 1").contains("gate: invalid type"));
        assert!(error("[[gate]]\nname = \n").contains("gates.toml:2: "));
        let summary = "[[gate]]\nname = \"a\"\ncandidate = \"s.json\"\nmin = 1.5\n";
        assert!(error(summary).contains("a summary has no rows: give metric"));
    }

    #[test]
    fn a_summary_is_gated_by_a_key() {
        let summary =
            "[[gate]]\nname = \"a\"\ncandidate = \"s.json\"\nmetric = \"val.loss\"\nmin = 1.5\n";
        let spec = specs(summary).unwrap().remove(0);
        assert_eq!((&*spec.mode, &*spec.metric), ("summary", "val.loss"));
    }
}
