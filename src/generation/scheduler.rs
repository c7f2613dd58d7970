//! Which rows compute what in the next step, and in which blocks of the key table: decoding rows and pieces of prompts together. It
//! knows tokens and numbers of blocks, and touches no tensor.
//!
//! A row is admitted when the rest of its prompt and its longest answer have room, so that none is ever put off once it runs. Rows
//! are admitted in their order; a row that fits waits all the same while another computes what both begin with.

use super::tree::{Found, Key, Tree, common};
use crate::model::kv::BLOCK;
use std::collections::VecDeque;

/// A prompt to be answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its own among all that are there.
    pub id: usize,
    /// What its keys depend on beside tokens.
    pub key: Key,
    /// At least one token.
    pub prompt: Vec<u32>,
    /// Most tokens of an answer.
    pub answer: usize,
}

impl Request {
    /// Blocks of the prompt with its longest answer.
    pub fn blocks(&self) -> usize {
        (self.prompt.len() + self.answer).div_ceil(BLOCK)
    }
}

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows in flight.
    pub rows: usize,
    /// Tokens of a step, decoding rows and pieces of prompts together.
    pub tokens: usize,
}

/// A row in flight.
struct Row {
    id: usize,
    key: Key,
    /// The prompt and what was generated.
    tokens: Vec<u32>,
    /// Of them, the prompt.
    prompt: usize,
    /// How many have their keys in the table.
    computed: usize,
    /// How many will have after the step that is under way.
    planned: usize,
    /// In the order of positions: nodes of the tree first, then its own.
    blocks: Vec<usize>,
    /// How many are nodes.
    nodes: usize,
    /// Blocks that it may still take.
    owed: usize,
    /// A node that is copied from in the step under way.
    source: Option<usize>,
}

/// What a row computes in a step.
#[derive(Debug, Clone)]
pub struct Piece {
    pub id: usize,
    pub tokens: Vec<u32>,
    /// Where its keys are, from the first position on.
    pub blocks: Vec<usize>,
    /// Keys that are there already.
    pub past: usize,
    /// Whether the tokens are the prompt's.
    pub prompt: bool,
    /// Whether the row's next token follows them.
    pub last: bool,
}

/// What is computed next.
#[derive(Debug, Default)]
pub struct Step {
    /// Blocks that are copied before, each `(from, to)`.
    pub copies: Vec<(usize, usize)>,
    pub pieces: Vec<Piece>,
    /// Tokens of prompts that need not be computed, of the rows that began.
    pub reused: usize,
}

/// Fewer tokens than this are not waited for.
const WORTH: usize = BLOCK;

/// The rows that wait and those in flight, over a tree of blocks.
pub struct Scheduler<'a> {
    tree: &'a mut Tree,
    limits: Limits,
    waiting: VecDeque<Request>,
    running: Vec<Row>,
}

impl<'a> Scheduler<'a> {
    pub fn new(tree: &'a mut Tree, limits: Limits) -> Self {
        Self {
            tree,
            limits: Limits {
                rows: limits.rows.max(1),
                // Prompts go on however many rows decode.
                tokens: limits.tokens.max(limits.rows + BLOCK),
            },
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    /// Adds a prompt behind those that wait. Refused, with the blocks it takes, where the table does not hold it.
    pub fn submit(&mut self, request: Request) -> Result<(), usize> {
        let blocks = request.blocks();
        if blocks > self.tree.blocks() {
            return Err(blocks);
        }
        self.waiting.push_back(request);
        Ok(())
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The next step; without pieces where it is idle.
    pub fn plan(&mut self) -> Step {
        let mut step = Step::default();
        let mut budget = self.limits.tokens;
        // Decoding rows first: their answers are under way.
        for decoding in [true, false] {
            for at in 0..self.running.len() {
                let row = &self.running[at];
                if (row.computed >= row.prompt) == decoding && row.planned == row.computed {
                    budget -= self.piece(at, budget, &mut step);
                }
            }
        }
        let mut next = 0;
        // Rows behind one that waits for another's beginning are looked at, but not without end.
        let most = 2 * self.limits.rows;
        while budget > 0 && self.running.len() < self.limits.rows && next < most {
            let Some(request) = self.waiting.get(next) else {
                break;
            };
            let found = self.found(request);
            if self.is_under_way(request, &found) {
                next += 1;
                continue;
            }
            if !self.admit(next, found, &mut step) {
                break;
            }
            budget -= self.piece(self.running.len() - 1, budget, &mut step);
        }
        step
    }

    /// What is there of a prompt, its last token left out, whose logits are to be computed.
    fn found(&self, request: &Request) -> Found {
        let before_last = &request.prompt[..request.prompt.len() - 1];
        self.tree.find(&request.key, before_last)
    }

    /// Whether a row in flight will soon have computed more of the prompt than was `found`.
    fn is_under_way(&self, request: &Request, found: &Found) -> bool {
        let there = found.tokens();
        self.running.iter().any(|row| {
            let own = &row.tokens[..row.prompt];
            row.computed < row.prompt
                && row.key == request.key
                && common(own, &request.prompt[..request.prompt.len() - 1]) >= there + WORTH
        })
    }

    /// Lets the `place`-th of those that wait run, if the rest of it has room.
    fn admit(&mut self, place: usize, mut found: Found, step: &mut Step) -> bool {
        let Some(request) = self.waiting.get(place) else {
            return false;
        };
        let owed: usize = self.running.iter().map(|row| row.owed).sum();
        let need = request.blocks() - found.blocks.len();
        found.blocks.iter().for_each(|block| self.tree.hold(*block));
        if let Some((source, _)) = found.part {
            self.tree.hold(source);
            if owed + need > self.tree.room() {
                self.tree.release(source);
                found.part = None;
            }
        }
        if owed + need > self.tree.room() {
            let path = found.blocks.iter().rev();
            path.for_each(|block| self.tree.release(*block));
            return false;
        }
        let Some(request) = self.waiting.remove(place) else {
            return false;
        };
        let computed = found.tokens();
        step.reused += computed;
        let mut row = Row {
            id: request.id,
            key: request.key,
            prompt: request.prompt.len(),
            tokens: request.prompt,
            computed,
            planned: computed,
            nodes: found.blocks.len(),
            blocks: found.blocks,
            owed: need,
            source: found.part.map(|(source, _)| source),
        };
        if let Some(source) = row.source {
            row.reach(computed, self.tree);
            step.copies
                .extend(row.blocks.last().map(|to| (source, *to)));
        }
        self.running.push(row);
        true
    }

    /// Adds the next tokens of the `at`-th row, at most `budget`; returns how many.
    fn piece(&mut self, at: usize, budget: usize, step: &mut Step) -> usize {
        let row = &mut self.running[at];
        let end = row.tokens.len().min(row.computed + budget);
        if end > row.computed {
            row.reach(end, self.tree);
            row.planned = end;
            step.pieces.push(Piece {
                id: row.id,
                tokens: row.tokens[row.computed..end].to_vec(),
                blocks: row.blocks.clone(),
                past: row.computed,
                prompt: row.computed < row.prompt,
                last: end == row.tokens.len(),
            });
        }
        end - row.computed
    }

    /// The planned step is computed: what it has of prompts is there for others.
    pub fn advance(&mut self) {
        for row in &mut self.running {
            row.computed = row.planned;
            if let Some(source) = row.source.take() {
                self.tree.release(source);
            }
            row.share(self.tree);
        }
    }

    /// The next token of a row whose last piece was computed.
    pub fn push(&mut self, id: usize, token: u32) {
        if let Some(row) = self.running.iter_mut().find(|row| row.id == id) {
            row.tokens.push(token);
        }
    }

    /// Ends a row, whether its answer is complete or nobody wants it any more.
    pub fn end(&mut self, id: usize) {
        self.waiting.retain(|request| request.id != id);
        if let Some(at) = self.running.iter().position(|row| row.id == id) {
            self.running.remove(at).leave(self.tree);
        }
    }
}

impl Drop for Scheduler<'_> {
    fn drop(&mut self) {
        for row in self.running.drain(..) {
            row.leave(self.tree);
        }
    }
}

impl Row {
    /// Has blocks for `tokens` tokens.
    fn reach(&mut self, tokens: usize, tree: &mut Tree) {
        while self.blocks.len() * BLOCK < tokens {
            // What is owed has room, from when the row was admitted.
            let Some(block) = tree.take() else {
                unreachable!("a block that a row was promised is taken")
            };
            self.blocks.push(block);
            self.owed -= 1;
        }
    }

    /// Makes the blocks of the prompt that are computed nodes of the tree.
    fn share(&mut self, tree: &mut Tree) {
        while self.nodes * BLOCK < self.prompt {
            let first = self.nodes * BLOCK;
            let end = self.prompt.min(first + BLOCK);
            if self.computed < end {
                break;
            }
            let (own, tokens) = (self.blocks[self.nodes], &self.tokens[first..end]);
            let parent = self.nodes.checked_sub(1).map(|above| self.blocks[above]);
            match tree.insert(&self.key, parent, tokens, own) {
                None => {}
                Some(there) if tokens.len() == BLOCK => {
                    tree.hold(there);
                    tree.give(own);
                    self.blocks[self.nodes] = there;
                }
                // The answer follows in the same block: it stays the row's own.
                Some(_) => break,
            }
            self.nodes += 1;
        }
    }

    /// Gives back all it has, its last block first.
    fn leave(self, tree: &mut Tree) {
        if let Some(source) = self.source {
            tree.release(source);
        }
        let (nodes, own) = self.blocks.split_at(self.nodes);
        own.iter().rev().for_each(|block| tree.give(*block));
        nodes.iter().rev().for_each(|block| tree.release(*block));
    }
}

#[cfg(test)]
mod tests {
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

        /// Runs a step as a model would. `rows` are the tokens that each row should have by now; every key that is read is held against them.
        fn run(&mut self, step: &Step, rows: &BTreeMap<usize, (Key, Vec<u32>)>) {
            for &(from, to) in &step.copies {
                for i in 0..BLOCK {
                    self.0[to * BLOCK + i] = self.0[from * BLOCK + i].clone();
                }
            }
            let place = |piece: &Piece, at: usize| piece.blocks[at / BLOCK] * BLOCK + at % BLOCK;
            let mut written = std::collections::BTreeSet::new();
            for piece in &step.pieces {
                let (key, tokens) = &rows[&piece.id];
                let end = piece.past + piece.tokens.len();
                assert_eq!(piece.tokens, tokens[piece.past..end]);
                for at in piece.past..end {
                    assert!(written.insert(place(piece, at)), "one place, two keys");
                    self.0[place(piece, at)] = Some((*key, tokens[..=at].to_vec()));
                }
            }
            // After all have written: none may have overwritten another's.
            for piece in &step.pieces {
                let (key, tokens) = &rows[&piece.id];
                for at in 0..piece.past + piece.tokens.len() {
                    let there = self.0[place(piece, at)].as_ref();
                    let own = there.is_some_and(|(k, t)| k == key && *t == tokens[..=at]);
                    assert!(own, "row {} reads another's key at {at}", piece.id);
                }
            }
        }
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

    /// Tiny tables, prompts that begin alike, arrivals, endings and cancellations at any time: no key of another row is read, nothing
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
                let step = scheduler.plan();
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
                    if tokens.len() + 1 == prompt + answer || rng.random_bool(0.02) {
                        scheduler.end(piece.id);
                        ended += 1;
                        continue;
                    }
                    let token = rng.random_range(0..3);
                    scheduler.push(piece.id, token);
                    tokens.push(token);
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
}
