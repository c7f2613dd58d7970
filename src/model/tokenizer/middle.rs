//! The same tokenizer for what is not the start of a text: without the space that SentencePiece puts
//! before a text, and that its decoder takes away.

use anyhow::Result;
use serde_json::Value;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// `None` where starts are treated as everything else.
pub fn of(tokenizer: &Tokenizer) -> Result<Option<Tokenizer>> {
    let normalizer = serde_json::to_value(tokenizer.get_normalizer())?;
    let splitter = serde_json::to_value(tokenizer.get_pre_tokenizer())?;
    let decoder = serde_json::to_value(tokenizer.get_decoder())?;
    let changed = [
        without_start(normalizer.clone(), false),
        without_start(splitter.clone(), false),
        without_start(decoder.clone(), true),
    ];
    if changed == [normalizer, splitter, decoder] {
        return Ok(None);
    }
    let [normalizer, splitter, decoder] = changed;
    let mut middle = tokenizer.clone();
    middle
        .with_normalizer(serde_json::from_value::<Option<NormalizerWrapper>>(
            normalizer,
        )?)
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    middle.with_pre_tokenizer(serde_json::from_value::<Option<PreTokenizerWrapper>>(
        splitter,
    )?);
    middle.with_decoder(serde_json::from_value::<Option<DecoderWrapper>>(decoder)?);
    Ok(Some(middle))
}

/// A part of `tokenizer.json` that does nothing of its own at a text's start. What `decodes` at byte level takes
/// no notice of its prefix space.
fn without_start(mut part: Value, decodes: bool) -> Value {
    for list in ["normalizers", "pretokenizers", "decoders"] {
        if let Some(Value::Array(parts)) = part.get_mut(list) {
            *parts = parts
                .drain(..)
                .map(|part| without_start(part, decodes))
                .filter(|part| !part.is_null())
                .collect();
        }
    }
    let kind = part["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Prepend" => return Value::Null,
        "Metaspace" => part["prepend_scheme"] = "never".into(),
        "ByteLevel" if !decodes => part["add_prefix_space"] = false.into(),
        // The normalizer of this name strips sides, the decoder a number of characters.
        "Strip" if part.get("strip_left").is_some() => part["strip_left"] = false.into(),
        "Strip" => part["start"] = 0.into(),
        _ => {}
    }
    part
}
