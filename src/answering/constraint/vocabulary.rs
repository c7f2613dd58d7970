//! The tokens of a vocabulary by their bytes.

use crate::generation::constraint::has;
use llguidance::toktrie::{TokEnv, TokTrie};

/// Texts that are taken byte by byte, and taken back.
pub trait Bytes {
    /// Takes the next byte if it may come.
    fn push(&mut self, byte: u8) -> bool;

    /// Takes the last bytes back.
    fn pop(&mut self, bytes: usize);

    /// Whether all of `bytes` may come, as far as that can be told without taking them.
    fn passes(&self, bytes: &[u8]) -> bool;
}

/// The tokens of a tokenizer.
pub struct Vocabulary {
    env: TokEnv,
    /// Those that are text in the order of their bytes, and how many bytes each begins with as the one before it does.
    order: Vec<(u32, usize)>,
}

impl Vocabulary {
    /// What llguidance knows of a tokenizer.
    pub fn new(env: TokEnv) -> Self {
        let trie = env.tok_trie();
        let mut tokens: Vec<u32> = (0..trie.vocab_size() as u32).collect();
        tokens.retain(|token| text(trie, *token).is_some());
        tokens.sort_by_key(|token| trie.token(*token));
        let mut before: &[u8] = &[];
        let order = tokens.into_iter().map(|token| {
            let bytes = trie.token(token);
            let pairs = before.iter().zip(bytes);
            before = bytes;
            (token, pairs.take_while(|(a, b)| a == b).count())
        });
        let order = order.collect();
        Self { env, order }
    }

    /// Those that end an answer.
    pub fn ends(&self) -> &[u32] {
        self.env.tok_trie().eos_tokens()
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends().contains(&token)
    }

    /// The bytes of a token; `None` of one that is no text.
    pub fn bytes(&self, token: u32) -> Option<&[u8]> {
        text(self.env.tok_trie(), token)
    }

    /// Of the tokens in `mask` those that `text` may go on with; none that is no text.
    ///
    /// What several begin with is taken once.
    pub fn kept(&self, mask: &[u32], text: &mut impl Bytes) -> Vec<u32> {
        let trie = self.env.tok_trie();
        let mut kept = vec![0; mask.len()];
        // How many bytes were taken, how many of the token before come again, and how many of it may not come, if any.
        let (mut taken, mut common, mut refused) = (0, usize::MAX, usize::MAX);
        for &(token, as_before) in &self.order {
            common = common.min(as_before);
            if !has(mask, token as usize) || common >= refused {
                continue;
            }
            let bytes = trie.token(token);
            let again = common.min(taken);
            text.pop(taken - again);
            (taken, common, refused) = (again, usize::MAX, usize::MAX);
            while taken < bytes.len() && !text.passes(&bytes[taken..]) {
                if !text.push(bytes[taken]) {
                    refused = taken + 1;
                    break;
                }
                taken += 1;
            }
            if refused == usize::MAX {
                kept[token as usize / 32] |= 1 << (token % 32);
            }
        }
        text.pop(taken);
        kept
    }
}

fn text(trie: &TokTrie, token: u32) -> Option<&[u8]> {
    let known = (token as usize) < trie.vocab_size();
    let bytes = known.then(|| trie.token(token))?;
    let marked = bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER);
    (!bytes.is_empty() && !marked).then_some(bytes)
}
