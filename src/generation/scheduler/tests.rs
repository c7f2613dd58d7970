//! The scheduler over a table of blocks, planned and fuzzed without a model.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const A: Key = [1; 32];
const B: Key = [2; 32];

fn request(id: usize, key: Key, prompt: Vec<u32>, answer: usize) -> Request {
    Request {
        id,
        key,
        prompt,
        answer,
    }
}

fn limits(rows: usize, tokens: usize) -> Limits {
    Limits { rows, tokens }
}

/// A table that knows of each place whose key lies there: that of a mixture and all tokens up to its own.
struct Table(Vec<Option<(Key, Vec<u32>)>>);

impl Table {
    fn new(blocks: usize) -> Self {
        Self(vec![None; blocks * BLOCK])
    }

    /// Runs a step as a model would, guesses with it. `rows` are the tokens that each row should have by now; every key that is read is held against them.
    fn run(&mut self, step: &Step, rows: &BTreeMap<usize, (Key, Vec<u32>)>) {
        for &(from, to) in &step.copies {
            for i in 0..BLOCK {
                self.0[to * BLOCK + i] = self.0[from * BLOCK + i].clone();
            }
        }
        let place = |piece: &Piece, at: usize| piece.blocks[at / BLOCK] * BLOCK + at % BLOCK;
        let mut written = std::collections::BTreeSet::new();
        for piece in &step.pieces {
            let (key, tokens) = said(piece, rows);
            let end = piece.past + piece.tokens.len();
            assert_eq!(piece.tokens, tokens[piece.past..end]);
            for at in piece.past..end {
                assert!(written.insert(place(piece, at)), "one place, two keys");
                self.0[place(piece, at)] = Some((key, tokens[..=at].to_vec()));
            }
        }
        // After all have written: none may have overwritten another's.
        for piece in &step.pieces {
            let (key, tokens) = said(piece, rows);
            for at in 0..piece.past + piece.tokens.len() {
                let there = self.0[place(piece, at)].as_ref();
                let own = there.is_some_and(|(k, t)| *k == key && *t == tokens[..=at]);
                assert!(own, "row {} reads another's key at {at}", piece.id);
            }
        }
    }
}

/// A piece's row, with its guesses behind what it should have by now.
fn said(piece: &Piece, rows: &BTreeMap<usize, (Key, Vec<u32>)>) -> (Key, Vec<u32>) {
    let (key, tokens) = &rows[&piece.id];
    let known = piece.past + piece.tokens.len() - piece.guesses;
    let guesses = &piece.tokens[piece.tokens.len() - piece.guesses..];
    (*key, [&tokens[..known], guesses].concat())
}

/// Runs until idle, every answer `answer` tokens long; how many tokens of prompts were computed, and each step's tokens.
fn run(
    scheduler: &mut Scheduler,
    table: &mut Table,
    requests: &[Request],
    answer: usize,
) -> (usize, Vec<usize>) {
    let (mut computed, mut sizes) = (0, Vec::new());
    let of = |r: &Request| (r.id, (r.key, r.prompt.clone()));
    let mut rows: BTreeMap<usize, _> = requests.iter().map(of).collect();
    let mut left: BTreeMap<usize, usize> = requests.iter().map(|r| (r.id, answer)).collect();
    while !scheduler.is_idle() {
        let step = scheduler.plan();
        assert!(!step.pieces.is_empty(), "rows wait for nothing");
        table.run(&step, &rows);
        scheduler.advance();
        sizes.push(step.pieces.iter().map(|p| p.tokens.len()).sum());
        for piece in &step.pieces {
            computed += if piece.prompt { piece.tokens.len() } else { 0 };
            let left = left.get_mut(&piece.id).unwrap();
            if piece.last {
                *left -= 1;
                match *left {
                    0 => scheduler.end(piece.id),
                    left => {
                        let token = 7_000 + left as u32;
                        scheduler.push(piece.id, token);
                        rows.get_mut(&piece.id).unwrap().1.push(token);
                    }
                }
            }
        }
    }
    (computed, sizes)
}

fn submit(scheduler: &mut Scheduler, requests: &[Request]) {
    for request in requests {
        scheduler.submit(request.clone()).unwrap();
    }
}

#[test]
fn rows_with_one_beginning_compute_it_once() {
    let schema: Vec<u32> = (0..100).collect();
    let row = |id: usize, key| {
        let own = (0..10).map(|i| 1000 + 20 * id as u32 + i);
        request(id, key, schema.iter().copied().chain(own).collect(), 20)
    };
    for (keys, prompts) in [
        ([A; 12], 100 + 12 * 10),
        ([A, B, A, B, A, B, A, B, A, B, A, B], 200 + 12 * 10),
    ] {
        let requests: Vec<_> = (0..12).map(|id| row(id, keys[id])).collect();
        let (mut tree, mut table) = (Tree::new(100), Table::new(100));
        let mut scheduler = Scheduler::new(&mut tree, limits(12, 512));
        submit(&mut scheduler, &requests);
        assert_eq!(run(&mut scheduler, &mut table, &requests, 5).0, prompts);
        drop(scheduler);
        assert_eq!(tree.room(), 100, "all is given back");
        // They are still there for who comes later, but for a prompt's last token.
        let mut scheduler = Scheduler::new(&mut tree, limits(12, 512));
        submit(&mut scheduler, &requests);
        assert_eq!(run(&mut scheduler, &mut table, &requests, 5).0, 12);
    }
}

#[test]
fn samples_of_one_prompt_share_its_keys() {
    let requests: Vec<_> = (0..8)
        .map(|id| request(id, A, (0..45).collect(), 30))
        .collect();
    let mut tree = Tree::new(40);
    let mut scheduler = Scheduler::new(&mut tree, limits(8, 512));
    submit(&mut scheduler, &requests);
    let (computed, sizes) = run(&mut scheduler, &mut Table::new(40), &requests, 20);
    // The last token of each is computed for its logits.
    assert_eq!(computed, 45 + 7);
    assert_eq!(sizes[..3], [45, 1 + 7, 8]);
}

#[test]
fn a_step_has_a_budget_and_decoding_rows_come_first() {
    let requests = [
        request(0, A, (0..10).collect(), 50),
        request(1, A, (100..300).collect(), 50),
        request(2, A, (400..420).collect(), 50),
    ];
    let mut tree = Tree::new(100);
    let mut scheduler = Scheduler::new(&mut tree, limits(3, 64));
    submit(&mut scheduler, &requests);
    let (computed, sizes) = run(&mut scheduler, &mut Table::new(100), &requests, 40);
    assert_eq!(computed, 230);
    // 10 + 54, 1 + 63, 1 + 63, 1 + 20 + 20, and what decodes.
    assert_eq!(sizes[..6], [64, 64, 64, 1 + 20 + 20, 3, 3]);
}

#[test]
fn rows_are_admitted_only_with_room_for_their_longest_answer() {
    // Two blocks for a prompt, three for an answer.
    let row = |id: usize| request(id, A, vec![id as u32; 32], 48);
    let requests: Vec<_> = (0..5).map(row).collect();
    let mut tree = Tree::new(11);
    let mut scheduler = Scheduler::new(&mut tree, limits(5, 512));
    assert_eq!(scheduler.submit(request(9, A, vec![9; 129], 48)), Err(12));
    submit(&mut scheduler, &requests);
    let first = scheduler.plan();
    assert_eq!(first.pieces.len(), 2, "a third has no room");
    drop(scheduler);
    let mut scheduler = Scheduler::new(&mut tree, limits(5, 512));
    submit(&mut scheduler, &requests);
    run(&mut scheduler, &mut Table::new(11), &requests, 48);
    drop(scheduler);
    assert_eq!(tree.room(), 11);
    assert!(tree.evicted() > 0);
}

#[test]
fn a_stopped_run_gives_all_back() {
    let mut tree = Tree::new(30);
    let prompt: Vec<u32> = (0..40).collect();
    let mut scheduler = Scheduler::new(&mut tree, limits(4, 30));
    submit(
        &mut scheduler,
        &[
            request(0, A, prompt.clone(), 9),
            request(1, B, prompt.clone(), 9),
        ],
    );
    scheduler.plan();
    drop(scheduler);
    assert_eq!(tree.room(), 30);
    // What was planned and not computed is no node.
    assert_eq!(tree.find(&A, &prompt), Found::default());
}

#[test]
fn right_guesses_are_not_computed_again_and_wrong_ones_are_written_over() {
    let (mut tree, mut table) = (Tree::new(2), Table::new(2));
    let mut scheduler = Scheduler::new(&mut tree, limits(1, 64));
    let prompt: Vec<u32> = (0..14).collect();
    submit(&mut scheduler, &[request(0, A, prompt.clone(), 10)]);
    let mut rows = BTreeMap::from([(0, (A, prompt))]);
    let guesses: Vec<u32> = (51..80).collect();
    let mut pieces = Vec::new();
    for said in [&[50][..], &[51, 52, 70], &[71]] {
        let mut step = scheduler.plan();
        scheduler.guess(&mut step, 0, &guesses);
        table.run(&step, &rows);
        scheduler.advance();
        for token in said {
            scheduler.push(0, *token);
            rows.get_mut(&0).unwrap().1.push(*token);
        }
        let piece = &step.pieces[0];
        pieces.push((piece.past, piece.tokens.len(), piece.guesses));
    }
    // None beside a prompt; and of ten tokens one comes without a guess, and the last is not computed.
    assert_eq!(pieces, [(0, 14, 0), (14, 1 + 8, 8), (17, 1 + 5, 5)]);
    drop(scheduler);
    assert_eq!(tree.room(), 2);
}

/// Tiny tables, prompts that begin alike, guesses, arrivals, endings and cancellations at any time: no key of another row is read, nothing
/// is lost, and every row has its turn. FACTORY_FUZZ_SECONDS makes it longer.
#[test]
fn whatever_arrives_no_stale_key_no_leak_no_starvation() {
    let seconds = std::env::var("FACTORY_FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(2, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut seed, mut ended) = (0, 0);
    while Instant::now() < until {
        ended += fuzz(seed);
        seed += 1;
    }
    assert!(ended > 1000, "{ended} rows in {seed} rounds");
}

fn fuzz(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let blocks = rng.random_range(2..24);
    let limits = limits(rng.random_range(1..9), rng.random_range(1..80));
    let mut tree = Tree::new(blocks);
    let mut table = Table::new(blocks);
    // Two schedulers one after the other over one tree.
    let mut ended = 0;
    for _ in 0..2 {
        let mut scheduler = Scheduler::new(&mut tree, limits);
        let mut rows: BTreeMap<usize, (Key, Vec<u32>)> = BTreeMap::new();
        let mut lengths: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut arrived = 0;
        let all = rng.random_range(1..40);
        let mut first_waits = (usize::MAX, 0);
        while arrived < all || !scheduler.is_idle() {
            while arrived < all && rng.random_bool(0.5) {
                let (id, key) = (arrived, if rng.random_bool(0.7) { A } else { B });
                // Few tokens, so that beginnings are shared up to any place.
                let own = rng.random_range(0..60);
                let shared = rng.random_range(0..50);
                let mut prompt: Vec<u32> = (0..shared).map(|i| i / 20).collect();
                prompt.extend((0..own).map(|_| rng.random_range(0..3u32)));
                prompt.push(rng.random_range(0..3));
                let answer = rng.random_range(1..40);
                let request = request(id, key, prompt.clone(), answer);
                let fits = request.blocks() <= blocks;
                assert_eq!(scheduler.submit(request).is_ok(), fits);
                if fits {
                    lengths.insert(id, (prompt.len(), rng.random_range(1..=answer)));
                    rows.insert(id, (key, prompt));
                }
                arrived += 1;
            }
            let mut step = scheduler.plan();
            let decoding = step.pieces.iter().filter(|piece| !piece.prompt);
            let decoding: Vec<usize> = decoding.map(|piece| piece.id).collect();
            for id in decoding {
                let guesses = (0..rng.random_range(0..9)).map(|_| rng.random_range(0..3));
                let guesses: Vec<u32> = guesses.collect();
                scheduler.guess(&mut step, id, &guesses);
            }
            check(&scheduler, &step, limits);
            // The first of those that wait has its turn when those in flight are done, at the latest.
            let first = scheduler.waiting.front().map_or(usize::MAX, |r| r.id);
            first_waits = match first == first_waits.0 {
                true => (first, first_waits.1 + 1),
                false => (first, 0),
            };
            assert!(first_waits.1 < 400, "row {first} starves");
            if !rows.is_empty() && rng.random_bool(0.03) {
                // Between planning and computing.
                if let Some(id) = rows.keys().copied().nth(rng.random_range(0..rows.len())) {
                    scheduler.end(id);
                }
            }
            let pieces = step.pieces.iter();
            let left = pieces.filter(|p| scheduler.running.iter().any(|row| row.id == p.id));
            let left = Step {
                copies: step.copies.clone(),
                pieces: left.cloned().collect(),
                reused: 0,
            };
            table.run(&left, &rows);
            scheduler.advance();
            for piece in left.pieces.iter().filter(|piece| piece.last) {
                let (prompt, answer) = lengths[&piece.id];
                let tokens = &mut rows.get_mut(&piece.id).unwrap().1;
                let guesses = &piece.tokens[piece.tokens.len() - piece.guesses..];
                for guess in guesses.iter().map(Some).chain([None]) {
                    if tokens.len() + 1 == prompt + answer || rng.random_bool(0.02) {
                        scheduler.end(piece.id);
                        ended += 1;
                        break;
                    }
                    let token = rng.random_range(0..3);
                    scheduler.push(piece.id, token);
                    tokens.push(token);
                    if guess != Some(&token) {
                        break;
                    }
                }
            }
        }
        drop(scheduler);
        assert_eq!(tree.room(), blocks, "seed {seed}: all is given back");
    }
    ended
}

/// What is promised has room, no block is two rows' own, and the step keeps to its limits.
fn check(scheduler: &Scheduler, step: &Step, limits: Limits) {
    let rows = &scheduler.running;
    let owed: usize = rows.iter().map(|row| row.owed).sum();
    assert!(owed <= scheduler.tree.room());
    assert!(rows.len() <= limits.rows);
    let tokens: usize = step.pieces.iter().map(|piece| piece.tokens.len()).sum();
    assert!(tokens <= limits.tokens.max(limits.rows + BLOCK));
    let mut own: Vec<usize> = rows
        .iter()
        .flat_map(|row| row.blocks[row.nodes..].to_vec())
        .collect();
    let count = own.len();
    own.sort();
    own.dedup();
    assert_eq!(own.len(), count);
    let nodes = scheduler.tree.nodes();
    assert!(own.iter().all(|block| !nodes.contains(block)));
    assert_eq!(
        scheduler.tree.free() + nodes.len() + count,
        scheduler.tree.blocks()
    );
    assert!(
        scheduler.is_idle() || !step.pieces.is_empty(),
        "rows wait for nothing"
    );
}
