//! The one batch shape: packed tokens with segments. Nothing is padded.

use std::ops::Range;

/// A contiguous run of tokens of one sequence inside a [`Batch`].
///
/// Its queries see the whole of `prefix`, then causally their own keys: the `past` ones already in
/// the key table and the new ones. `prefix` and `own_keys` index rows of the key table, which is
/// the batch's own keys without a cache and the cache's slots with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// Key rows every query of the segment sees (a shared prompt prefix; may be empty).
    pub prefix: Range<usize>,
    /// Key row of the segment's own first key.
    pub own_keys: usize,
    /// Own keys that were there before this batch.
    pub past: usize,
}

impl Segment {
    /// Keys a query sees at offset `i` of the segment, those of the prefix left out.
    pub fn own_visible(&self, i: usize) -> usize {
        self.past + i + 1
    }

    /// How many keys, from the first of the prefix on, a window of the last `window` keys hides from the query at offset `i`.
    pub fn hidden(&self, i: usize, window: Option<usize>) -> usize {
        let seen = self.prefix.len() + self.own_visible(i);
        window.map_or(0, |window| seen.saturating_sub(window))
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
        self.push(tokens, 0..0)
    }

    /// Adds a sequence that continues the segment `parent` and sees its keys. A parent must itself
    /// stand alone (depth one), and its children must follow it before any other segment.
    pub fn push_child(&mut self, parent: usize, tokens: &[u32]) -> usize {
        let prefix = self.segments[parent].rows.clone();
        assert!(
            self.segments[parent].prefix.is_empty(),
            "a parent has no parent"
        );
        let follows = self.segments[parent + 1..]
            .iter()
            .all(|s| s.prefix == prefix);
        assert!(follows, "children follow their parent");
        self.push(tokens, prefix)
    }

    /// Adds new tokens of a cached sequence, whose key rows start at `own_keys` and of which `past`
    /// are filled.
    pub fn push_cached(&mut self, tokens: &[u32], own_keys: usize, past: usize) -> usize {
        let segment = self.push(tokens, 0..0);
        let start = self.segments[segment].rows.start;
        for (i, p) in self.positions[start..].iter_mut().enumerate() {
            *p = (past + i) as u32;
        }
        self.segments[segment].own_keys = own_keys;
        self.segments[segment].past = past;
        segment
    }

    fn push(&mut self, tokens: &[u32], prefix: Range<usize>) -> usize {
        let start = self.tokens.len();
        let first = prefix.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((first..first + tokens.len()).map(|p| p as u32));
        self.segments.push(Segment {
            rows: start..start + tokens.len(),
            prefix,
            own_keys: start,
            past: 0,
        });
        self.segments.len() - 1
    }

    /// Errors unless the segments tile the rows and their keys lie in a table of `keys` rows: what the
    /// attention kernels rely on.
    pub fn check(&self, keys: usize) -> candle_core::Result<()> {
        let mut next = 0;
        for s in &self.segments {
            let own_end = s.own_keys + s.past + s.rows.len();
            if s.rows.start != next || s.prefix.end > keys || own_end > keys {
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
                let fits = s.prefix.is_empty() || s.prefix == parent.rows;
                if s.past != 0 || s.own_keys != s.rows.start || !fits {
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

    /// The longest sequence: prefix, past and new tokens.
    pub fn longest(&self) -> usize {
        let length = |s: &Segment| s.prefix.len() + s.past + s.rows.len();
        self.segments.iter().map(length).max().unwrap_or(0)
    }

    /// Groups of segments that share keys: a parent and its children. Rows and keys of different
    /// families are disjoint, so families can be worked on in parallel.
    pub fn families(&self) -> Vec<Range<usize>> {
        let mut families: Vec<Range<usize>> = Vec::new();
        for (i, s) in self.segments.iter().enumerate() {
            match families.last_mut() {
                Some(f) if !s.prefix.is_empty() && self.segments[f.start].rows == s.prefix => {
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
        assert_eq!(b.segments[2].prefix, 0..3);
        assert_eq!(b.families(), [0..3, 3..4]);
    }

    #[test]
    fn segments_that_do_not_fit_are_refused() {
        let mut b = Batch::default();
        b.push_cached(&[9, 9], 4, 3);
        assert!(b.check(9).is_ok());
        assert!(b.check(8).is_err(), "keys beyond the table");
        assert!(b.check_uncached().is_err(), "backward has no cache");
        b.segments[0].rows = 0..1;
        assert!(b.check(9).is_err(), "a token without a segment");
    }

    #[test]
    fn cached_tokens_go_on_at_their_position() {
        let mut b = Batch::default();
        b.push_cached(&[9], 128, 17);
        assert_eq!(b.positions, [17]);
        assert_eq!(b.segments[0].own_visible(0), 18);
    }
}
