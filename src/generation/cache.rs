//! Keys and values of the rows in flight and of beginnings that others may share: the table and what is known of its blocks.

use super::tree::Tree;
use crate::model::decoder::Decoder;
use crate::model::kv::KvCache;
use anyhow::{Context, Result};

/// A table for one decoder. It may serve one call after another, of whatever adapters: they are told apart by what they contain.
pub struct Cache {
    pub(super) table: KvCache,
    pub(super) tree: Tree,
}

impl Cache {
    /// An empty one of so many blocks.
    pub fn new(decoder: &Decoder, blocks: usize) -> Result<Self> {
        let table = KvCache::new(decoder, blocks);
        Ok(Self {
            table: table.context("no room for keys and values: lower --kv-memory or --batch")?,
            tree: Tree::new(blocks),
        })
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.tree.blocks()
    }

    /// How many blocks no row in flight holds.
    pub fn room(&self) -> usize {
        self.tree.room()
    }
}
