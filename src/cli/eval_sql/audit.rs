//! `factory eval-sql --audit-gold`: what is odd about the reference queries.

use super::Args;
use crate::cli::{plain, say};
use crate::data::jsonl;
use crate::eval::audit::Finding;
use crate::eval::example::Example;
use crate::eval::golds::Golds;
use crate::eval::pool::Pool;
use crate::eval::worker::{Reply, Task};
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
    let mut findings = vec![Vec::new(); golds.different()];
    pool.run(golds.jobs(examples, Task::Audit), |home, reply, _| {
        if let Reply::Audit(found) = reply {
            findings[home] = found;
        }
        Ok(())
    })?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut odd = 0;
    for (example, &home) in examples.iter().zip(golds.home()) {
        odd += usize::from(!findings[home].is_empty());
        for finding in &findings[home] {
            *counts.entry(&finding.kind).or_insert(0) += 1;
            let place = example.place(args.data()?);
            let line = format!("{place}: {}: {}", finding.kind, finding.detail);
            say(plain(&line))?;
        }
    }
    if let Some(path) = &args.out {
        let rows = examples.iter().zip(golds.home());
        let rows: Vec<_> = rows
            .map(|(example, &home)| Audited {
                index: example.index,
                id: example.text("id"),
                db: example.text("db"),
                gold_sql: example.text("gold_sql"),
                findings: &findings[home],
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
