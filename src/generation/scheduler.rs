//! Which rows compute what in the next step, and in which blocks of the key table: decoding rows and pieces of prompts together. It
//! knows tokens and numbers of blocks, and touches no tensor.
//!
//! A row that decodes may compute guesses at its next tokens in the same step. Their keys count as computed only where the tokens that
//! are chosen then are the guessed ones; those behind are written over.
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
    /// How many will have after the step that is under way, guesses left out.
    planned: usize,
    /// Guesses of that step at the tokens that follow.
    guesses: VecDeque<u32>,
    /// Tokens with its longest answer.
    most: usize,
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
    /// Guesses at the tokens behind them last.
    pub tokens: Vec<u32>,
    /// How many are guesses.
    pub guesses: usize,
    /// Where its keys are, from the first position on.
    pub blocks: Vec<usize>,
    /// Keys that are there already.
    pub past: usize,
    /// Whether the tokens are the prompt's.
    pub prompt: bool,
    /// Whether the row's next token follows them, or the first of them that is no guess.
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

    /// How many run and how many wait.
    pub fn counts(&self) -> (usize, usize) {
        (self.running.len(), self.waiting.len())
    }

    /// The share of the table that the rows in flight hold.
    pub fn fill(&self) -> f64 {
        1.0 - self.tree.room() as f64 / self.tree.blocks() as f64
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
            most: request.prompt.len() + request.answer,
            tokens: request.prompt,
            computed,
            planned: computed,
            guesses: VecDeque::new(),
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
                guesses: 0,
                blocks: row.blocks.clone(),
                past: row.computed,
                prompt: row.computed < row.prompt,
                last: end == row.tokens.len(),
            });
        }
        end - row.computed
    }

    /// Of a row in flight its prompt and what it said, how much of that is the prompt, and how many guesses have room behind it.
    pub fn said(&self, id: usize) -> Option<(&[u32], usize, usize)> {
        let row = self.running.iter().find(|row| row.id == id)?;
        Some((&row.tokens, row.prompt, row.room()))
    }

    /// Lets a row that decodes in `step` compute `guesses` at its next tokens too, as far as its longest answer goes and the step's
    /// budget.
    pub fn guess(&mut self, step: &mut Step, id: usize, guesses: &[u32]) {
        let tokens: usize = step.pieces.iter().map(|piece| piece.tokens.len()).sum();
        let piece = step.pieces.iter_mut().find(|piece| piece.id == id);
        let row = self.running.iter_mut().find(|row| row.id == id);
        let (Some(piece), Some(row)) = (piece, row) else {
            return;
        };
        if piece.prompt || !row.guesses.is_empty() {
            return;
        }
        let room = row.room().min(self.limits.tokens.saturating_sub(tokens));
        let guesses = &guesses[..guesses.len().min(room)];
        row.reach(row.tokens.len() + guesses.len(), self.tree);
        row.guesses.extend(guesses);
        piece.tokens.extend(guesses);
        piece.guesses = guesses.len();
        piece.blocks.clone_from(&row.blocks);
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

    /// The next token of a row whose last piece was computed, and the token behind that where it is the one that was guessed.
    pub fn push(&mut self, id: usize, token: u32) {
        if let Some(row) = self.running.iter_mut().find(|row| row.id == id) {
            row.tokens.push(token);
            match row.guesses.pop_front() {
                Some(guess) if guess == token => {
                    row.computed += 1;
                    row.planned += 1;
                }
                // What was guessed behind it is of another answer.
                _ => row.guesses.clear(),
            }
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
    /// Tokens that may be guessed: the last one of an answer is not computed.
    fn room(&self) -> usize {
        self.most.saturating_sub(self.tokens.len() + 1)
    }

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
mod tests;
