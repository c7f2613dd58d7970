//! SentencePiece's byte-pair encoding, as GGUF files store it: pieces with scores, of which the best two
//! neighbours are merged first.

use anyhow::{Result, anyhow, ensure};
use std::collections::HashMap;
use tokenizers::Tokenizer;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as Normalizers;

/// llama.cpp's types of ordinary pieces and of the one for what no piece is.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
/// Most bytes of a piece; SentencePiece's own are 16 characters.
const LONGEST: usize = 1024;

/// The tokenizer of `tokens`; with `space`, one stands before every text.
pub fn read(tokens: &[String], scores: &[f32], types: &[u64], space: bool) -> Result<Tokenizer> {
    ensure!(
        scores.len() == tokens.len() && types.len() == tokens.len(),
        "GGUF metadata tokenizer.ggml.scores and token_type are not one a token"
    );
    ensure!(
        tokens.iter().all(|token| token.len() <= LONGEST),
        "GGUF metadata tokenizer.ggml.tokens has a piece of more than {LONGEST} bytes"
    );
    let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
    let unknown = types.iter().position(|kind| *kind == UNKNOWN);
    let mut model = BPE::builder()
        .vocab_and_merges(vocabulary, merges(tokens, scores, types))
        .fuse_unk(true)
        .byte_fallback(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(tokens[unknown].clone());
    }
    let mut inner = Tokenizer::new(model.build().map_err(|e| anyhow!("{e}"))?);
    let blank = |from: &str, to: &str| Replace::new(from, to).map_err(|e| anyhow!("{e}"));
    let mut normalizers = vec![blank(" ", "▁")?.into()];
    let mut decoders = vec![
        blank("▁", " ")?.into(),
        ByteFallback::default().into(),
        Fuse::default().into(),
    ];
    if space {
        normalizers.insert(0, Prepend::new("▁".into()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    inner
        .with_normalizer(Some(Normalizers::new(normalizers)))
        .map_err(|e| anyhow!("{e}"))?;
    inner.with_decoder(Some(Decoders::new(decoders)));
    Ok(inner)
}

/// The pairs that make a piece, those of better pieces first.
fn merges(tokens: &[String], scores: &[f32], types: &[u64]) -> Vec<(String, String)> {
    let pieces = tokens.iter().enumerate();
    let known: HashMap<&str, usize> = pieces
        .filter(|(id, _)| types[*id] == NORMAL)
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        if types[id] != NORMAL {
            continue;
        }
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if let (Some(l), Some(r)) = (known.get(left), known.get(right)) {
                merges.push((id, *l, *r));
            }
        }
    }
    merges.sort_by(|a, b| {
        let score = |id: usize| scores[id];
        score(b.0).total_cmp(&score(a.0)).then(a.cmp(b))
    });
    let text = |id: usize| tokens[id].clone();
    let merges = merges.into_iter();
    merges.map(|(_, l, r)| (text(l), text(r))).collect()
}
