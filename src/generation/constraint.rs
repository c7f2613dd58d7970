//! What an answer may be: rules that the tokens of a row are held to.

use anyhow::Result;

/// Rules for answers, which many rows may share.
pub trait Grammar: Send + Sync {
    /// The rules at the beginning of an answer. Errors where there are none to hold an answer to.
    fn begin(&self) -> Result<Box<dyn Constraint>>;
}

/// The rules behind what one row has said.
pub trait Constraint: Send {
    /// Whether `token` may come next; one that ends an answer may where the answer may be complete.
    fn allows(&mut self, token: u32) -> bool;

    /// All tokens that may come next, token t as bit t % 32 of the word t / 32; `None` where that cannot be said.
    fn allowed(&mut self) -> Option<Vec<u32>>;

    /// Tokens without which none may come next, not all of which may: quicker to tell where few are asked for.
    fn bounds(&mut self) -> Option<Vec<u32>> {
        self.allowed()
    }

    /// Goes on behind `token`, which may come next and ends no answer.
    fn accept(&mut self, token: u32);
}

/// Whether a set of tokens, as [`Constraint::allowed`] has them, has this one.
pub fn has(tokens: &[u32], token: usize) -> bool {
    let word = tokens.get(token / 32).copied().unwrap_or(0);
    word >> (token % 32) & 1 == 1
}

/// The logits with those of tokens that may not come next taken away; `None` where none is left.
pub fn masked(logits: &[f32], constraint: &mut dyn Constraint) -> Option<Vec<f32>> {
    let allowed = constraint.allowed()?;
    let mut logits = logits.to_vec();
    for (token, logit) in logits.iter_mut().enumerate() {
        if !has(&allowed, token) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let some = logits.iter().any(|logit| *logit > f32::NEG_INFINITY);
    some.then_some(logits)
}
