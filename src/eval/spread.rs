//! A matrix of runs: for each setting its mean over seeds with its spread, and a paired test against the first setting.

mod chance;

use super::score::ScoredRow;
use super::stats;
use anyhow::{Result, ensure};
use chance::{interval, randomization};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One cell of a matrix.
pub struct Cell<'a> {
    /// What this cell's run was given, by the variable's name.
    pub variables: BTreeMap<String, String>,
    /// Its scored rows.
    pub rows: &'a [ScoredRow],
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The column of the scored rows.
    pub column: String,
    /// The variable whose values are repetitions of a setting.
    pub seed: String,
    /// By setting, in the order in which each first occurs.
    pub groups: Vec<Group>,
}

/// One setting over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The variables but the seed.
    pub variables: BTreeMap<String, String>,
    /// The seeds with the share of each.
    pub values: BTreeMap<String, f64>,
    /// How many seeds.
    pub seeds: usize,
    pub mean: f64,
    /// Of a sample, divided by seeds − 1; none for one seed.
    pub standard_deviation: Option<f64>,
    pub min: f64,
    pub max: f64,
    /// Against the first setting; none for itself, and where they share no seed or their rows are not the same.
    pub against_first: Option<Against>,
}

/// One setting against another over the seeds that both have and all rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The mean over rows and seeds of this − the first.
    pub difference: f64,
    /// Exact paired randomization test over rows (Fisher 1935): the chance of a difference at least as large if each row's difference,
    /// taken over all seeds, were as likely to have the other sign. With one seed this is McNemar's exact p. The rows, and not the
    /// seeds, are drawn: it is about these runs.
    pub p: f64,
    /// 95% of the difference when both rows and seeds are drawn again (Owen 2007, the pigeonhole bootstrap): it is about other seeds too.
    pub interval: [f64; 2],
    /// Seeds that both have.
    pub seeds: usize,
    pub rows: usize,
}

/// The table of the cells' shares in `column`. Cells that differ only in the variable `seed` are one setting; without that
/// variable every cell is its own.
///
/// Errors where two cells have the same variables, or a cell has no row with the column.
pub fn spread(cells: &[Cell], seed: &str, column: &str) -> Result<Spread> {
    let mut groups: Vec<(BTreeMap<String, String>, Seeds)> = Vec::new();
    for cell in cells {
        let mut variables = cell.variables.clone();
        let own = variables.remove(seed).unwrap_or_default();
        let rows = answers(cell.rows, column);
        ensure!(
            !rows.is_empty(),
            "{}: no row has \"{column}\"",
            shown(&cell.variables)
        );
        let at = match groups.iter().position(|(known, _)| *known == variables) {
            Some(at) => at,
            None => {
                groups.push((variables, Seeds::new()));
                groups.len() - 1
            }
        };
        let before = groups[at].1.insert(own, rows);
        ensure!(
            before.is_none(),
            "{}: two cells have these variables",
            shown(&cell.variables)
        );
    }
    let first = groups.first().map(|(_, seeds)| seeds.clone());
    let group = |(at, (variables, seeds)): (usize, (_, Seeds))| {
        let against = first.as_ref().filter(|_| at > 0);
        Group {
            against_first: against.and_then(|first| against_first(first, &seeds)),
            ..measured(variables, &seeds)
        }
    };
    Ok(Spread {
        column: column.to_owned(),
        seed: seed.to_owned(),
        groups: groups.into_iter().enumerate().map(group).collect(),
    })
}

impl Spread {
    /// A Markdown table, a line for each setting.
    pub fn table(&self) -> String {
        let names = self.groups.first().map(|group| group.variables.keys());
        let names: Vec<_> = names.into_iter().flatten().map(String::as_str).collect();
        let heads = [
            &names[..],
            &["mean", "sd", "least to most", "n", "difference [95%]", "p"],
        ];
        let heads = heads.concat();
        let mut text = format!(
            "| {} |\n|{}\n",
            heads.join(" | "),
            "---|".repeat(heads.len())
        );
        for group in &self.groups {
            let mut cells: Vec<String> = group.variables.values().cloned().collect();
            let sd = group.standard_deviation;
            cells.extend([
                format!("{:.3}", group.mean),
                sd.map_or("-".to_owned(), |sd| format!("{sd:.3}")),
                format!("{:.3} to {:.3}", group.min, group.max),
                group.seeds.to_string(),
            ]);
            cells.extend(match &group.against_first {
                None => ["-".to_owned(), "-".to_owned()],
                Some(Against {
                    difference,
                    p,
                    interval: [low, high],
                    ..
                }) => [
                    format!("{difference:+.3} [{low:+.3}, {high:+.3}]"),
                    stats::shown_p(*p),
                ],
            });
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }
}

/// What rows answer, by their name.
type Answers = BTreeMap<String, bool>;
/// A setting's, by seed.
type Seeds = BTreeMap<String, Answers>;

fn answers(rows: &[ScoredRow], column: &str) -> Answers {
    let named = |row: &ScoredRow| {
        let name = match &row.id {
            Some(id) => id.clone(),
            None => format!("#{}", row.index),
        };
        Some((name, row.verdict(column)?))
    };
    rows.iter().filter_map(named).collect()
}

fn shown(variables: &BTreeMap<String, String>) -> String {
    let parts = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    parts.collect::<Vec<_>>().join(" ")
}

fn measured(variables: BTreeMap<String, String>, seeds: &Seeds) -> Group {
    let share = |answers: &Answers| {
        let passed = answers.values().filter(|yes| **yes).count();
        stats::share(passed, answers.len()).value
    };
    let values: BTreeMap<String, f64> = seeds
        .iter()
        .map(|(seed, answers)| (seed.clone(), share(answers)))
        .collect();
    let all = || values.values().copied();
    let n = values.len() as f64;
    let mean = all().sum::<f64>() / n;
    let squares: f64 = all().map(|value| (value - mean).powi(2)).sum();
    Group {
        variables,
        seeds: values.len(),
        mean,
        standard_deviation: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        min: all().fold(f64::INFINITY, f64::min),
        max: all().fold(f64::NEG_INFINITY, f64::max),
        values,
        against_first: None,
    }
}

fn against_first(first: &Seeds, other: &Seeds) -> Option<Against> {
    // By row, by seed: what the row gained or lost.
    let mut table: Vec<Vec<i64>> = Vec::new();
    let mut names: Option<Vec<&String>> = None;
    for (seed, before) in first {
        let Some(after) = other.get(seed) else {
            continue;
        };
        let here: Vec<&String> = before.keys().collect();
        if !after.keys().eq(before.keys()) || names.as_ref().is_some_and(|known| *known != here) {
            return None;
        }
        names = Some(here);
        table.resize(before.len(), Vec::new());
        for (row, (a, b)) in table.iter_mut().zip(before.values().zip(after.values())) {
            row.push(i64::from(*b) - i64::from(*a));
        }
    }
    let seeds = table.first()?.len();
    let sums: Vec<i64> = table.iter().map(|row| row.iter().sum()).collect();
    let cells = (table.len() * seeds) as f64;
    Some(Against {
        difference: sums.iter().sum::<i64>() as f64 / cells,
        p: randomization(&sums, seeds),
        interval: interval(&table, seeds),
        seeds,
        rows: table.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::row;

    fn rows(answers: &str) -> Vec<ScoredRow> {
        let named = answers.chars().enumerate();
        named
            .map(|(i, c)| row(&format!("r{i}"), c == '1'))
            .collect()
    }

    fn table(cells: &[(&str, &str, &str)]) -> Result<Spread> {
        let scored: Vec<_> = cells.iter().map(|(_, _, answers)| rows(answers)).collect();
        let cells = cells
            .iter()
            .zip(&scored)
            .map(|((rank, seed, _), rows)| Cell {
                variables: [("rank", rank), ("seed", seed)]
                    .map(|(name, value)| (name.to_owned(), value.to_string()))
                    .into(),
                rows,
            });
        spread(&cells.collect::<Vec<_>>(), "seed", "exec_match")
    }

    #[test]
    fn seeds_are_one_setting() {
        let found = table(&[
            ("1", "0", "1100"),
            ("8", "0", "1110"),
            ("1", "1", "1000"),
            ("8", "1", "1111"),
        ])
        .unwrap();
        let [one, eight] = &found.groups[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (one.mean, one.min, one.max, one.seeds),
            (0.375, 0.25, 0.5, 2)
        );
        assert!((one.standard_deviation.unwrap() - 0.17677669529663687).abs() < 1e-12);
        assert_eq!(
            eight.variables,
            [("rank".to_owned(), "8".to_owned())].into()
        );
        assert_eq!(eight.values["1"], 1.0);
        assert_eq!(one.against_first, None);
        let against = eight.against_first.unwrap();
        assert_eq!(
            (against.difference, against.seeds, against.rows),
            (0.5, 2, 4)
        );
        // Of the rows' sums 0, 1, 2 and 1 all eight sign patterns but one and its mirror are less far from 0.
        assert_eq!(against.p, 0.25);
        assert!(against.interval[0] <= 0.5 && against.interval[1] >= 0.5);
        let text = found.table();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| rank | mean | sd | least to most | n | difference [95%] | p |"
        );
        assert_eq!(
            lines[2],
            "| 1 | 0.375 | 0.177 | 0.250 to 0.500 | 2 | - | - |"
        );
        assert!(
            lines[3].starts_with("| 8 | 0.875 | 0.177 | 0.750 to 1.000 | 2 | +0.500 [")
                && lines[3].ends_with("| 0.2500 |"),
            "{text}"
        );
        assert_eq!(
            found,
            table(&[
                ("1", "0", "1100"),
                ("8", "0", "1110"),
                ("1", "1", "1000"),
                ("8", "1", "1111"),
            ])
            .unwrap()
        );
    }

    #[test]
    fn what_cannot_be_put_in_a_table_is_said() {
        let error = |cells: &[(&str, &str, &str)]| table(cells).unwrap_err().to_string();
        assert!(error(&[("1", "0", "1"), ("1", "0", "1")]).contains("rank=1 seed=0: two cells"));
        assert!(error(&[("1", "0", "")]).contains("no row has \"exec_match\""));
        // Other rows or other seeds: no test.
        let apart = table(&[("1", "0", "10"), ("8", "0", "101"), ("9", "1", "10")]).unwrap();
        assert!(
            apart
                .groups
                .iter()
                .all(|group| group.against_first.is_none())
        );
        assert!(table(&[]).unwrap().groups.is_empty());
    }
}
