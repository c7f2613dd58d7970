//! Rows of before, so that what they taught is not forgotten.

use super::{File, Replay, Request};
use crate::data::jsonl::{self, Line};
use crate::data::overlap::{answered, said};
use crate::data::record::{self, Columns, Content};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Chooses so many rows that they are the share that is wanted beside `taught` others, in the order of their files; fewer where
/// there are no more. No row is chosen that asks what `held` has.
pub fn choose(
    request: &Request,
    taught: usize,
    held: &BTreeSet<String>,
) -> Result<(Vec<Line>, Replay)> {
    let share = request.share;
    let mut replay = Replay {
        share,
        wanted: (taught as f64 * share / (1.0 - share)).round() as usize,
        ..Replay::default()
    };
    let mut pool = Vec::new();
    for (file, path) in request.replay.iter().enumerate() {
        let columns = Columns::default();
        let mut rows = 0;
        let mut found = Vec::new();
        let mut faults = jsonl::Faults::default();
        let sha256 = jsonl::for_each(path, |_, line| {
            rows += 1;
            let read = line.and_then(|line| {
                let content = record::learned(path, &line, &columns)?;
                Ok((line, content))
            });
            match read {
                Ok(read) => found.push(read),
                Err(fault) => faults.add(fault),
            }
            Ok(())
        })?;
        faults.refuse()?;
        for (line, content) in found {
            match asks(&content, held) {
                true => replay.kept_out += 1,
                false => pool.push((file, line)),
            }
        }
        replay.files.push(File {
            path: path.clone(),
            rows,
            sha256,
        });
    }
    // A hash, which no version of a random number generator changes.
    let seed = request.seed;
    let rank =
        |(file, line): &(usize, Line)| Sha256::digest(format!("{seed}\n{file}\n{}", line.number));
    pool.sort_by_cached_key(rank);
    pool.truncate(replay.wanted);
    pool.sort_by_key(|(file, line)| (*file, line.number));
    replay.taken = pool.len();
    Ok((pool.into_iter().map(|(_, line)| line).collect(), replay))
}

/// Whether a row asks one of these prompts.
fn asks(content: &Content, prompts: &BTreeSet<String>) -> bool {
    match content {
        Content::Text(_) => false,
        Content::Turns(conversation) => {
            answered(&conversation.turns).any(|(before, _)| prompts.contains(&said(before)))
        }
    }
}
