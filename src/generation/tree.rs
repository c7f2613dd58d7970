//! Which block of the key table holds what. Beginnings of prompts are kept in a tree, one block a node, for rows that begin alike;
//! where there is no free block, the leaf that was used least recently makes room.

use crate::model::kv::BLOCK;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What keys depend on beside the tokens before them: the content of adapters and their weights, never what they are called.
pub type Key = [u8; 32];

/// Children of a node, by the tokens of their blocks.
type Children = BTreeMap<Vec<u32>, usize>;

/// A block whose keys are those of `tokens` behind its parents'.
struct Node {
    parent: Parent,
    children: Children,
    /// A whole block of them, but for a leaf at a prompt's end.
    tokens: Vec<u32>,
    /// Rows that hold it. Those that hold it hold its parents too.
    users: usize,
    used: u64,
}

#[derive(Clone, Copy)]
enum Parent {
    Root(Key),
    Block(usize),
}

/// The blocks of a table: free, a row's own, or a node of the tree.
pub struct Tree {
    roots: BTreeMap<Key, Children>,
    /// By block.
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    /// Leaves that no row holds, in the order of their last use.
    idle: BTreeSet<(u64, usize)>,
    /// Nodes that no row holds.
    unheld: usize,
    clock: u64,
    evicted: usize,
}

/// What of a prompt is there already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Blocks whose tokens the prompt has all.
    pub blocks: Vec<usize>,
    /// A block behind them that begins as the prompt goes on, and how many tokens they share.
    pub part: Option<(usize, usize)>,
}

impl Found {
    /// How many tokens are there.
    pub fn tokens(&self) -> usize {
        self.blocks.len() * BLOCK + self.part.map_or(0, |(_, tokens)| tokens)
    }
}

impl Tree {
    /// A table of so many blocks, all free.
    pub fn new(blocks: usize) -> Self {
        Self {
            roots: BTreeMap::new(),
            nodes: (0..blocks).map(|_| None).collect(),
            free: (0..blocks).rev().collect(),
            idle: BTreeSet::new(),
            unheld: 0,
            clock: 0,
            evicted: 0,
        }
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.nodes.len()
    }

    /// How many blocks [`Self::take`] can give: those that are free, and those that no row holds.
    pub fn room(&self) -> usize {
        self.free.len() + self.unheld
    }

    /// How many blocks made room so far.
    pub fn evicted(&self) -> usize {
        self.evicted
    }

    /// What is there of `tokens`, which follow each other from the beginning.
    pub fn find(&self, key: &Key, tokens: &[u32]) -> Found {
        let mut found = Found::default();
        let (mut children, mut rest) = (self.roots.get(key), tokens);
        while let Some(next) = children {
            let whole = rest.get(..BLOCK).and_then(|block| next.get(block));
            let Some(&block) = whole else {
                found.part = nearest(next, rest);
                break;
            };
            found.blocks.push(block);
            children = self.nodes[block].as_ref().map(|node| &node.children);
            rest = &rest[BLOCK..];
        }
        found
    }

    /// Keeps a node, whose parents are held, from making room.
    pub fn hold(&mut self, block: usize) {
        let Some(node) = &mut self.nodes[block] else {
            return;
        };
        if node.users == 0 {
            self.unheld -= 1;
            self.idle.remove(&(node.used, block));
        }
        node.users += 1;
    }

    /// Undoes a [`Self::hold`], the last of a path first.
    pub fn release(&mut self, block: usize) {
        self.clock += 1;
        let Some(node) = &mut self.nodes[block] else {
            return;
        };
        node.users -= 1;
        node.used = self.clock;
        if node.users == 0 {
            self.unheld += 1;
            if node.children.is_empty() {
                self.idle.insert((node.used, block));
            }
        }
    }

    /// A block for a row's own; nothing where all are held.
    pub fn take(&mut self) -> Option<usize> {
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        let (_, block) = self.idle.pop_first()?;
        let node = self.nodes[block].take()?;
        self.unheld -= 1;
        self.evicted += 1;
        match node.parent {
            Parent::Root(key) => {
                if let Some(children) = self.roots.get_mut(&key) {
                    children.remove(&node.tokens);
                    if children.is_empty() {
                        self.roots.remove(&key);
                    }
                }
            }
            Parent::Block(parent) => {
                if let Some(node_above) = &mut self.nodes[parent] {
                    node_above.children.remove(&node.tokens);
                    if node_above.children.is_empty() && node_above.users == 0 {
                        self.idle.insert((node_above.used, parent));
                    }
                }
            }
        }
        Some(block)
    }

    /// Takes a row's own block back.
    pub fn give(&mut self, block: usize) {
        self.free.push(block);
    }

    /// Makes a row's own `block`, which holds `tokens` behind the node `parent`, a node that the row holds. Where there is such a node
    /// already it is returned, and nothing changes.
    pub fn insert(
        &mut self,
        key: &Key,
        parent: Option<usize>,
        tokens: &[u32],
        block: usize,
    ) -> Option<usize> {
        let children = match parent {
            None => Some(self.roots.entry(*key).or_default()),
            Some(parent) => self.nodes[parent].as_mut().map(|node| &mut node.children),
        };
        let children = children?;
        if let Some((there, shared)) = nearest(children, tokens)
            && shared == tokens.len()
        {
            return Some(there);
        }
        children.insert(tokens.to_vec(), block);
        self.nodes[block] = Some(Node {
            parent: parent.map_or(Parent::Root(*key), Parent::Block),
            children: Children::new(),
            tokens: tokens.to_vec(),
            users: 1,
            used: self.clock,
        });
        None
    }
}

#[cfg(test)]
impl Tree {
    /// The blocks that are nodes.
    pub fn nodes(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let nodes = nodes.filter(|(_, node)| node.is_some());
        nodes.map(|(block, _)| block).collect()
    }

    /// How many blocks are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }
}

/// The child that shares most tokens with the beginning of `tokens`, if one shares any: in their order it lies beside them.
fn nearest(children: &Children, tokens: &[u32]) -> Option<(usize, usize)> {
    let up_to = (Bound::Unbounded, Bound::Included(tokens));
    let before = children.range::<[u32], _>(up_to).next_back();
    let from = (Bound::Included(tokens), Bound::Unbounded);
    let after = children.range::<[u32], _>(from).next();
    let shared = |(own, block): (&Vec<u32>, &usize)| (*block, common(own, tokens));
    let both = [before, after].into_iter().flatten().map(shared);
    both.filter(|(_, tokens)| *tokens > 0)
        .max_by_key(|(_, tokens)| *tokens)
}

/// How many tokens both begin with.
pub fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = [1; 32];
    const B: Key = [2; 32];

    fn prompt(parts: &[(u32, usize)]) -> Vec<u32> {
        let tokens = parts.iter().flat_map(|&(first, n)| first..first + n as u32);
        tokens.collect()
    }

    /// Puts `tokens` into the tree as a row would, and lets go of them.
    fn put(tree: &mut Tree, key: &Key, tokens: &[u32]) -> Vec<usize> {
        let mut blocks = Vec::new();
        for part in tokens.chunks(BLOCK) {
            let block = tree.take().unwrap();
            match tree.insert(key, blocks.last().copied(), part, block) {
                None => blocks.push(block),
                Some(there) => {
                    tree.give(block);
                    tree.hold(there);
                    blocks.push(there);
                }
            }
        }
        blocks.iter().rev().for_each(|block| tree.release(*block));
        blocks
    }

    #[test]
    fn prompts_that_begin_alike_share_blocks_and_a_part_of_one() {
        let mut tree = Tree::new(20);
        let first = prompt(&[(0, 40), (100, 10)]);
        let blocks = put(&mut tree, &A, &first);
        assert_eq!(tree.find(&A, &first).blocks, blocks[..3]);
        assert_eq!(tree.find(&A, &first).part, Some((blocks[3], 2)));
        let second = prompt(&[(0, 40), (200, 60)]);
        let found = tree.find(&A, &second);
        assert_eq!(
            (&found.blocks[..], found.part),
            (&blocks[..2], Some((blocks[2], 8)))
        );
        assert_eq!(found.tokens(), 40);
        // Neither another mixture, nor the same tokens elsewhere.
        assert_eq!(tree.find(&B, &first), Found::default());
        assert_eq!(tree.find(&A, &first[16..]), Found::default());
        let others = put(&mut tree, &A, &second);
        assert_eq!(others[..2], blocks[..2]);
        assert_eq!(tree.room(), 20);
        // A shorter end is there already.
        let shorter = prompt(&[(0, 40), (200, 3)]);
        assert_eq!(put(&mut tree, &A, &shorter), others[..3]);
    }

    #[test]
    fn leaves_that_were_used_least_recently_make_room() {
        let mut tree = Tree::new(6);
        let (long, short) = (prompt(&[(0, 48)]), prompt(&[(500, 32)]));
        let long_blocks = put(&mut tree, &A, &long);
        put(&mut tree, &A, &short);
        // Used again, but not its end.
        for block in &long_blocks[..2] {
            tree.hold(*block);
        }
        for block in long_blocks[..2].iter().rev() {
            tree.release(*block);
        }
        assert_eq!((tree.room(), tree.evicted()), (6, 0));
        tree.take().unwrap();
        assert_eq!(tree.take(), Some(long_blocks[2]));
        assert_eq!(tree.find(&A, &long).blocks, long_blocks[..2]);
        tree.take().unwrap();
        assert_eq!(tree.find(&A, &short).blocks.len(), 1);
        tree.take().unwrap();
        assert_eq!(tree.find(&A, &short), Found::default());
        // What is held does not.
        tree.hold(long_blocks[0]);
        assert_eq!(tree.take(), Some(long_blocks[1]));
        assert_eq!((tree.take(), tree.room()), (None, 0));
        tree.release(long_blocks[0]);
        assert_eq!(tree.take(), Some(long_blocks[0]));
        assert_eq!(tree.evicted(), 6 - 1);
    }
}
