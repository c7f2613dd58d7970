//! `factory eval-sql --audit-gold`: what is odd about the reference queries.

use super::Args;
use crate::cli::{plain, say};
use crate::data::jsonl;
use crate::eval::audit::Finding;
use crate::eval::example::Example;
use crate::eval::golds::Golds;
use crate::eval::pool::Pool;
use crate::run::files::write_atomic;
use anyhow::{Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;

/// A row of `--out`.
#[derive(Serialize)]
struct Audited<'a> {
    index: usize,
    id: Option<&'a str>,
    db: Option<&'a str>,
    gold_sql: Option<&'a str>,
    findings: &'a [Finding],
}

pub fn run(args: &Args, examples: &[Example], golds: &Golds, pool: &mut Pool) -> Result<()> {
    let findings = golds.audit(examples, pool)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut odd = 0;
    for (example, findings) in examples.iter().zip(&findings) {
        odd += usize::from(!findings.is_empty());
        for finding in findings {
            *counts.entry(&finding.kind).or_insert(0) += 1;
            let place = example.place(args.data()?);
            let line = format!("{place}: {}: {}", finding.kind, finding.detail);
            say(plain(&line))?;
        }
    }
    if let Some(path) = &args.out {
        let rows = examples.iter().zip(&findings);
        let rows: Vec<_> = rows
            .map(|(example, findings)| Audited {
                index: example.index,
                id: example.text("id"),
                db: example.text("db"),
                gold_sql: example.text("gold_sql"),
                findings,
            })
            .collect();
        write_atomic(path, &jsonl::to_bytes(&rows)?)?;
        say(format_args!(
            "wrote {} ({} rows)",
            path.display(),
            rows.len()
        ))?;
    }
    let mut line = format!(
        "gold: sound={} odd={odd} (n={})",
        examples.len() - odd,
        examples.len()
    );
    for (kind, count) in counts {
        line += &format!(" {kind}={count}");
    }
    say(line)?;
    match odd > 0 && args.strict {
        true => bail!("{odd} rows have an odd gold_sql (--strict)"),
        false => Ok(()),
    }
}
