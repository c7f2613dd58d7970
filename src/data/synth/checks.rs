//! What a finished set promises beyond its single rows.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::data::set::flat;

use super::rows::{Rows, UNSEEN};
use super::spec::Spec;

/// Fails when a question or query is in both splits or a question twice in one, when a domain is missing
/// from a split, or when too few or too many dev rows have a shape of their own.
pub fn check(rows: &Rows, spec: &Spec) -> Result<()> {
    apart_in_all(rows)?;
    for domain in &spec.domains {
        let name = &domain.name;
        let both = rows.train.iter().any(|row| row.domain == *name)
            && rows.dev.iter().any(|row| row.domain == *name);
        ensure!(both, "domain `{name}` is not in both splits");
    }

    let unseen = rows.dev.iter().filter(|row| row.slice == UNSEEN).count();
    let [fewest, most] = spec.counts.unseen;
    ensure!(
        (fewest..=most).contains(&unseen),
        "{unseen} dev rows have a shape that train lacks, `counts.unseen` says {fewest} to {most}"
    );
    Ok(())
}

/// Fails when a question or query is in both splits, or a question twice in one.
pub fn apart_in_all(rows: &Rows) -> Result<()> {
    let train_questions = once(rows.train.iter().map(|row| row.question.as_str()))?;
    let dev_questions = once(rows.dev.iter().map(|row| row.question.as_str()))?;
    let train_queries = rows.train.iter().map(|row| flat(&row.response)).collect();
    let dev_queries = rows.dev.iter().map(|row| flat(&row.gold_sql)).collect();
    apart("question", &train_questions, &dev_questions)?;
    apart("query", &train_queries, &dev_queries)
}

/// The flattened questions of a split, each only there once.
fn once<'a>(questions: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for question in questions {
        ensure!(
            seen.insert(flat(question)),
            "asked twice in one split: {question}"
        );
    }
    Ok(seen)
}

fn apart(what: &str, train: &BTreeSet<String>, dev: &BTreeSet<String>) -> Result<()> {
    let shared = train.intersection(dev).next();
    ensure!(
        shared.is_none(),
        "a {what} is in train and dev: {}",
        shared.map_or("", |text| text)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_space_do_not_tell_questions_apart() {
        assert!(once(["Who  works here?", "who works here?"].into_iter()).is_err());
        let one = once(["Who works here?"].into_iter()).unwrap();
        let two = once(["who WORKS here?"].into_iter()).unwrap();
        assert!(apart("question", &one, &two).is_err());
        assert!(apart("question", &one, &BTreeSet::new()).is_ok());
    }
}
