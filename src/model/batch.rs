//! The one batch shape: packed tokens with segments. Nothing is padded.

use std::ops::Range;

/// Tokens of a block of a cache's key table.
pub const BLOCK: usize = 16;

/// A contiguous run of tokens of one sequence inside a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// What its queries attend to, in the order of positions: rows of the key table, which is the batch's own keys without a cache and
    /// [`super::kv::KvCache`]'s with one. The last of them are those of its own rows, which are seen causally; all before are seen by
    /// every query.
    pub keys: Vec<Range<usize>>,
}

impl Segment {
    /// Keys that its last query sees.
    pub fn length(&self) -> usize {
        self.keys.iter().map(Range::len).sum()
    }

    /// Keys that were there before its own.
    pub fn past(&self) -> usize {
        self.length() - self.rows.len()
    }

    /// Keys that the query at offset `i` sees.
    pub fn visible(&self, i: usize) -> usize {
        self.past() + i + 1
    }

    /// How many keys, from the first on, a window of the last `window` keys hides from the query at offset `i`.
    pub fn hidden(&self, i: usize, window: Option<usize>) -> usize {
        window.map_or(0, |window| self.visible(i).saturating_sub(window))
    }

    /// The key rows of its own tokens, one a row.
    pub fn own_keys(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().cloned().flatten().skip(self.past())
    }
}

/// Tokens of any number of sequences, one after another.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Rotary position of each token.
    pub positions: Vec<u32>,
    /// Runs of rows, in their order.
    pub segments: Vec<Segment>,
}

impl Batch {
    /// Adds a sequence that stands alone; returns its segment.
    pub fn push_sequence(&mut self, tokens: &[u32]) -> usize {
        self.push(tokens, Vec::new())
    }

    /// Adds a sequence that continues the segment `parent` and sees its keys. A parent must itself
    /// stand alone (depth one), and its children must follow it before any other segment.
    pub fn push_child(&mut self, parent: usize, tokens: &[u32]) -> usize {
        let prefix = self.segments[parent].rows.clone();
        assert!(self.segments[parent].past() == 0, "a parent has no parent");
        let follows = self.segments[parent + 1..]
            .iter()
            .all(|s| s.keys[0] == prefix);
        assert!(follows, "children follow their parent");
        self.push(tokens, vec![prefix])
    }

    /// Adds new tokens of a cached sequence, whose keys lie in `blocks` of the table; `past` of them are there already.
    pub fn push_cached(&mut self, tokens: &[u32], blocks: &[usize], past: usize) -> usize {
        let start = self.extend(tokens, past);
        let length = past + tokens.len();
        let mut keys: Vec<Range<usize>> = Vec::new();
        for (i, block) in blocks[..length.div_ceil(BLOCK)].iter().enumerate() {
            let first = block * BLOCK;
            let end = first + BLOCK.min(length - i * BLOCK);
            match keys.last_mut() {
                Some(last) if last.end == first => last.end = end,
                _ => keys.push(first..end),
            }
        }
        self.segments.push(Segment {
            rows: start..start + tokens.len(),
            keys,
        });
        self.segments.len() - 1
    }

    fn push(&mut self, tokens: &[u32], mut keys: Vec<Range<usize>>) -> usize {
        let start = self.extend(tokens, keys.iter().map(Range::len).sum());
        let rows = start..start + tokens.len();
        keys.push(rows.clone());
        self.segments.push(Segment { rows, keys });
        self.segments.len() - 1
    }

    /// Adds tokens whose first one has the position `first`; returns their first row.
    fn extend(&mut self, tokens: &[u32], first: usize) -> usize {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((first..first + tokens.len()).map(|p| p as u32));
        start
    }

    /// Errors unless the segments tile the rows and their keys lie in a table of `keys` rows: what the
    /// attention kernels rely on.
    pub fn check(&self, keys: usize) -> candle_core::Result<()> {
        let mut next = 0;
        for s in &self.segments {
            let fits = s.keys.iter().all(|range| range.end <= keys);
            if s.rows.start != next || s.length() < s.rows.len() || !fits {
                candle_core::bail!("segment {s:?} does not fit its batch or {keys} keys")
            }
            next = s.rows.end;
        }
        if next != self.len() || self.positions.len() != next {
            candle_core::bail!("segments end at {next} of {} tokens", self.len())
        }
        Ok(())
    }

    /// [`Self::check`], and every segment's keys are its own rows: what backward relies on.
    pub fn check_uncached(&self) -> candle_core::Result<()> {
        self.check(self.len())?;
        for family in self.families() {
            let parent = &self.segments[family.start];
            for s in &self.segments[family] {
                let fits = match &s.keys[..] {
                    [own] => *own == s.rows,
                    [prefix, own] => *own == s.rows && *prefix == parent.rows,
                    _ => false,
                };
                if !fits {
                    candle_core::bail!("segment {s:?} reads keys of others")
                }
            }
        }
        Ok(())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The longest sequence: what came before, and new tokens.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(Segment::length).max().unwrap_or(0)
    }

    /// Groups of segments that share keys: a parent and its children. Rows and keys of different
    /// families are disjoint, so families can be worked on in parallel.
    pub fn families(&self) -> Vec<Range<usize>> {
        let mut families: Vec<Range<usize>> = Vec::new();
        for (i, s) in self.segments.iter().enumerate() {
            match families.last_mut() {
                Some(f) if s.keys.len() > 1 && self.segments[f.start].rows == s.keys[0] => {
                    f.end = i + 1
                }
                _ => families.push(i..i + 1),
            }
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_continue_their_parent_and_form_one_family() {
        let mut b = Batch::default();
        let p = b.push_sequence(&[1, 2, 3]);
        b.push_child(p, &[4, 5]);
        b.push_child(p, &[6]);
        b.push_sequence(&[7, 8]);
        assert_eq!(b.positions, [0, 1, 2, 3, 4, 3, 0, 1]);
        assert_eq!(b.segments[2].keys, [0..3, 5..6]);
        assert_eq!((b.segments[1].past(), b.segments[1].visible(1)), (3, 5));
        assert_eq!(b.families(), [0..3, 3..4]);
    }

    #[test]
    fn segments_that_do_not_fit_are_refused() {
        let mut b = Batch::default();
        b.push_cached(&[9, 9], &[3], 7);
        assert!(b.check(57).is_ok());
        assert!(b.check(56).is_err(), "keys beyond the table");
        assert!(b.check_uncached().is_err(), "backward has no cache");
        b.segments[0].rows = 0..1;
        assert!(b.check(57).is_err(), "a token without a segment");
        b.segments[0] = Segment {
            rows: 0..2,
            keys: std::iter::once(3..4).collect(),
        };
        assert!(b.check(57).is_err(), "fewer keys than rows");
    }

    #[test]
    fn cached_tokens_go_on_at_their_position_and_in_their_blocks() {
        let mut b = Batch::default();
        b.push_cached(&[7, 8, 9], &[8, 2, 3, 0], 30);
        assert_eq!(b.positions, [30, 31, 32]);
        let s = &b.segments[0];
        // Blocks beside each other are one range.
        assert_eq!(s.keys, [128..144, 32..49]);
        assert_eq!((s.past(), s.visible(0)), (30, 31));
        assert_eq!(s.own_keys().collect::<Vec<_>>(), [46, 47, 48]);
        assert_eq!(s.hidden(2, Some(10)), 23);
    }
}
