//! What answering took, for people and for programs.

use crate::generation::usage::{Usage, Work};
use serde_json::{Value, json};

/// In one line.
pub fn line(usage: &Usage) -> String {
    let guesses = match usage.guessed {
        0 => String::new(),
        guessed => format!(", {} of {guessed} guessed ones right", usage.right),
    };
    format!(
        "prompts: {} tokens computed, {:.0} tokens/s, and {} that others had computed; answers: {} tokens, {:.0} tokens/s{guesses}; first token after {:.0} ms (p50) and {:.0} ms (p95)",
        usage.prefill.tokens,
        usage.prefill.tokens_per_second(),
        usage.reused,
        usage.decode.tokens,
        usage.decode.tokens_per_second(),
        usage.first_token_ms(0.5),
        usage.first_token_ms(0.95)
    )
}

/// As JSON; `masks` were made where answers are held to rules.
pub fn json(usage: &Usage, masks: Option<usize>) -> Value {
    let work = |work: Work| {
        json!({
            "tokens": work.tokens,
            "seconds": work.seconds,
            "tokens_per_second": work.tokens_per_second(),
        })
    };
    let mut all = json!({
        "prefill": work(usage.prefill),
        "decode": work(usage.decode),
        "reused_tokens": usage.reused,
        "guessed_tokens": usage.guessed,
        "accepted_tokens": usage.right,
        "first_token_ms": {
            "p50": usage.first_token_ms(0.5),
            "p95": usage.first_token_ms(0.95),
        },
        "steps": usage.steps,
        "evicted_blocks": usage.evicted,
    });
    if let Some(masks) = masks {
        all["masks"] = masks.into();
    }
    all
}
