//! What follows what in an adapter's training answers: a bounded table beside its weights, by which answers are guessed ahead. It can
//! make an answer faster or slower, never another one.
//!
//! Of a context only a hash is kept, with its likeliest next token.

use super::identity;
use super::lora::Adapter;
use crate::model::decoder::Decoder;
use anyhow::{Context, Result, anyhow, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The table's file, beside an adapter's weights.
pub const FILE: &str = "ngrams.safetensors";

/// Tokens of the longest context.
pub const LONGEST: usize = 6;
/// Most contexts of a table: 2.6 MB.
const MOST: usize = 1 << 17;
/// Most learned tokens that are counted. Of more, whole answers are left out, evenly.
const COUNTED: usize = 1 << 21;
/// Bytes of a context in the file, and most that stand before them.
const ENTRY: usize = 20;
const HEAD: usize = 4096;

/// What to do where a table cannot be read: no answer needs it.
const WAY_OUT: &str = "remove it, or do without it (--no-speculation, in training --no-ngrams)";

/// What of the file's head tells this format from others.
const FORMAT: &str = "factory n-grams 1";
/// The head's one field: several would come in any order.
const HEADER: &str = "ngrams";

/// A context and what is likeliest to follow it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    context: u64,
    pub next: u32,
    /// How often it followed.
    pub count: u32,
    /// How often anything did.
    pub total: u32,
}

/// Contexts of which one continuation has half of the cases at least.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ngrams {
    /// In the order of their contexts.
    entries: Vec<Entry>,
}

/// What a file belongs to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    format: String,
    /// [`identity::weights`].
    adapter: String,
    /// Tokens that the base knows.
    vocabulary: usize,
}

impl Header {
    fn of(adapter: &Adapter, decoder: &Decoder) -> Result<Self> {
        Ok(Self {
            format: FORMAT.to_owned(),
            adapter: identity::weights(adapter)?,
            vocabulary: decoder.config.vocab_size,
        })
    }
}

/// The contexts behind `answer`, the shortest first. The beginning of an answer is a token of its own.
pub fn contexts(answer: &[u32]) -> impl Iterator<Item = u64> + Clone {
    let back = answer.iter().rev().copied().chain([u32::MAX]);
    let mix = |hash: &mut u64, token: u32| {
        *hash = (hash.rotate_left(5) ^ u64::from(token)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Some(*hash)
    };
    back.take(LONGEST).scan(0, mix)
}

impl Ngrams {
    /// Counts the continuations of `answers`. Where there are more contexts than fit, those whose continuation was seen least often
    /// are left out first, longer ones before shorter ones.
    pub fn of<'a>(answers: impl Iterator<Item = &'a [u32]> + Clone) -> Self {
        let tokens: usize = answers.clone().map(<[u32]>::len).sum();
        let answers = answers.step_by(tokens.div_ceil(COUNTED).max(1));
        let mut entries: Vec<Entry> = Vec::new();
        for length in 0..LONGEST {
            let followed = answers.clone().flat_map(|answer| {
                let at = |i: usize| Some((contexts(&answer[..i]).nth(length)?, answer[i]));
                (0..answer.len()).filter_map(at)
            });
            let mut followed: Vec<(u64, u32)> = followed.collect();
            followed.sort_unstable();
            let groups = followed.chunk_by(|a, b| a.0 == b.0);
            entries.extend(groups.filter_map(likeliest));
            entries.sort_by_key(|entry| Reverse(entry.count));
            entries.truncate(MOST);
        }
        entries.sort_by_key(|entry| entry.context);
        entries.dedup_by_key(|entry| entry.context);
        Self { entries }
    }

    /// What is likeliest to follow a context of [`contexts`].
    pub fn next(&self, context: u64) -> Option<Entry> {
        let found = self.entries.binary_search_by_key(&context, |e| e.context);
        found.ok().map(|at| self.entries[at])
    }

    /// The table's file beside `adapter` of `decoder`.
    pub fn to_bytes(&self, adapter: &Adapter, decoder: &Decoder) -> Result<Vec<u8>> {
        file(&Header::of(adapter, decoder)?, &self.entries)
    }

    /// The table in the folder of `adapter`, which fits `decoder`; `None` where there is none. Errors where it is another adapter's, or
    /// damaged.
    pub fn read(folder: &Path, adapter: &Adapter, decoder: &Decoder) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = || {
            let most = MOST * ENTRY + HEAD;
            let file = fs::metadata(&path)?;
            ensure!(file.is_file(), "not a file: {WAY_OUT}");
            ensure!(
                file.len() <= most as u64,
                "larger than any such table, {most} bytes: {WAY_OUT}"
            );
            parse(&fs::read(&path)?, &Header::of(adapter, decoder)?)
        };
        let read = read().with_context(|| path.display().to_string());
        Ok(Some(read?))
    }
}

/// Of one context with its continuations, in their order: the likeliest, if it has half of the cases.
fn likeliest(group: &[(u64, u32)]) -> Option<Entry> {
    let counts = group.chunk_by(|a, b| a.1 == b.1);
    let best = counts.min_by_key(|same| Reverse(same.len()))?;
    let (context, next) = best[0];
    (2 * best.len() >= group.len()).then_some(Entry {
        context,
        next,
        count: best.len() as u32,
        total: group.len() as u32,
    })
}

fn file(header: &Header, entries: &[Entry]) -> Result<Vec<u8>> {
    let contexts = entries.iter().flat_map(|e| e.context.to_le_bytes());
    let words = |of: fn(&Entry) -> u32| -> Vec<u8> {
        entries.iter().flat_map(|e| of(e).to_le_bytes()).collect()
    };
    let columns: [(_, _, Vec<u8>); 4] = [
        ("contexts", Dtype::U64, contexts.collect()),
        ("next", Dtype::U32, words(|e| e.next)),
        ("counts", Dtype::U32, words(|e| e.count)),
        ("totals", Dtype::U32, words(|e| e.total)),
    ];
    let mut views = Vec::new();
    for (name, dtype, bytes) in &columns {
        let view = TensorView::new(*dtype, vec![entries.len()], bytes)?;
        views.push((*name, view));
    }
    let head = HashMap::from([(HEADER.to_owned(), serde_json::to_string(header)?)]);
    Ok(safetensors::serialize(views, Some(head))?)
}

fn parse(bytes: &[u8], own: &Header) -> Result<Ngrams> {
    table(bytes, own).map_err(|e| anyhow!("{e:#}: {WAY_OUT}"))
}

fn table(bytes: &[u8], own: &Header) -> Result<Ngrams> {
    let damaged = "a damaged table of n-grams";
    let (_, head) = SafeTensors::read_metadata(bytes).context(damaged)?;
    let said = head.metadata().as_ref().and_then(|all| all.get(HEADER));
    let said: Header = serde_json::from_str(said.context(damaged)?).context(damaged)?;
    ensure!(
        said.format == FORMAT,
        "a table of n-grams of another version"
    );
    ensure!(said == *own, "the n-grams of another adapter or base");
    let file = SafeTensors::deserialize(bytes).context(damaged)?;
    let column = |name: &str, dtype: Dtype| {
        let view = file.tensor(name).context(damaged)?;
        ensure!(
            view.dtype() == dtype && view.shape().len() == 1,
            "{damaged}"
        );
        Ok(view.data())
    };
    let words = |name: &str| {
        let bytes = column(name, Dtype::U32)?.chunks_exact(4);
        let words = bytes.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok::<Vec<u32>, anyhow::Error>(words.collect())
    };
    let wide = column("contexts", Dtype::U64)?.chunks_exact(8);
    let wide: Vec<u64> = wide
        .filter_map(|b| Some(u64::from_le_bytes(b.try_into().ok()?)))
        .collect();
    let [next, counts, totals] = [words("next")?, words("counts")?, words("totals")?];
    let lengths = [next.len(), counts.len(), totals.len()];
    ensure!(lengths == [wide.len(); 3], "{damaged}");
    let rows = wide
        .into_iter()
        .zip(next)
        .zip(counts.into_iter().zip(totals));
    let entries = rows.map(|((context, next), (count, total))| Entry {
        context,
        next,
        count,
        total,
    });
    let entries: Vec<Entry> = entries.collect();
    let sound = |e: &Entry| {
        let half = 2 * u64::from(e.count) >= u64::from(e.total);
        half && (1..=e.total).contains(&e.count) && (e.next as usize) < own.vocabulary
    };
    let ordered = entries.is_sorted_by(|a, b| a.context < b.context);
    ensure!(ordered && entries.iter().all(sound), "{damaged}");
    Ok(Ngrams { entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answers: &[&[u32]]) -> Ngrams {
        Ngrams::of(answers.iter().copied())
    }

    /// What follows the longest context of `answer` that the table has.
    fn follows(table: &Ngrams, answer: &[u32]) -> Option<(u32, u32, u32)> {
        let contexts: Vec<u64> = contexts(answer).collect();
        let found = contexts.iter().rev().find_map(|c| table.next(*c));
        found.map(|e| (e.next, e.count, e.total))
    }

    #[test]
    fn the_longest_context_decides_and_beginnings_are_contexts() {
        let table = of(&[&[1, 2, 3], &[1, 2, 4], &[1, 2, 4], &[5, 2, 3]]);
        assert_eq!(follows(&table, &[]), Some((1, 3, 4)));
        assert_eq!(follows(&table, &[1]), Some((2, 3, 3)));
        assert_eq!(follows(&table, &[1, 2]), Some((4, 2, 3)));
        assert_eq!(follows(&table, &[5, 2]), Some((3, 1, 1)));
        // Behind a 2 wherever it stands: 3 and 4 twice each, and the smaller one is taken.
        assert_eq!(follows(&table, &[9, 2]), Some((3, 2, 4)));
        assert_eq!(follows(&table, &[1, 2, 3]), None, "nothing followed");
        // Neither of three has half.
        assert_eq!(follows(&of(&[&[7, 1, 2, 7, 1, 3, 7, 1, 4]]), &[1]), None);
    }

    fn header(vocabulary: usize) -> Header {
        Header {
            format: FORMAT.to_owned(),
            adapter: "ab".to_owned(),
            vocabulary,
        }
    }

    #[test]
    fn files_that_are_not_sound_are_refused() {
        let entry = |context, next, count, total| Entry {
            context,
            next,
            count,
            total,
        };
        let good = [entry(3, 9, 1, 2), entry(8, 0, 4, 4)];
        let bytes = file(&header(10), &good).unwrap();
        assert_eq!(parse(&bytes, &header(10)).unwrap().entries, good);
        let refused = |bytes: &[u8], own: &Header| {
            let error = parse(bytes, own).unwrap_err();
            error.to_string()
        };
        for wrong in [
            [good[1], good[0]],
            [good[0], good[0]],
            [good[0], entry(8, 10, 4, 4)],
            [good[0], entry(8, 0, 5, 4)],
            [good[0], entry(8, 0, 0, 0)],
            [good[0], entry(8, 0, 1, 3)],
        ] {
            let bytes = file(&header(10), &wrong).unwrap();
            assert!(refused(&bytes, &header(10)).contains("damaged"));
        }
        for end in [0, 7, 40, bytes.len() - 1] {
            assert!(
                refused(&bytes[..end], &header(10)).contains("damaged"),
                "{end}"
            );
        }
        assert!(refused(&bytes, &header(11)).contains("of another adapter or base"));
        let other = Header {
            adapter: "cd".to_owned(),
            ..header(10)
        };
        assert!(refused(&bytes, &other).contains("--no-speculation"));
    }

    #[test]
    fn a_table_is_bounded_and_keeps_what_was_seen_most() {
        // Every context but those of the last answer is seen once.
        let all: Vec<Vec<u32>> = (0..3_000)
            .map(|i| (0..20).map(|j| i * 20 + j).collect())
            .collect();
        let often: Vec<u32> = (1_000_000..1_000_020).collect();
        let rows = all.iter().chain([&often, &often]);
        let table = Ngrams::of(rows.map(|row| &row[..]));
        assert_eq!(table.entries.len(), MOST);
        let bytes = file(&header(2_000_000), &table.entries).unwrap();
        assert!(bytes.len() <= MOST * ENTRY + HEAD);
        assert_eq!(follows(&table, &often[..10]), Some((often[10], 2, 2)));
        // Short contexts first: all those of one token fit.
        let short = contexts(&all[7][..3]).next().unwrap();
        assert_eq!(table.next(short).unwrap().next, all[7][3]);
    }
}
