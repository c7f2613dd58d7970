//! What tokens are in bytes.

use anyhow::{Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::Tokenizer;

/// How the names of tokens stand for bytes.
enum Spelling {
    /// A character for each byte, those without a picture moved (GPT-2's): the bytes by their characters.
    ByteLevel(Vec<Option<u8>>),
    /// A mark for each space, and `<0xAB>` for a byte that no piece has.
    Pieces,
}

/// The bytes of each token of the vocabulary, added ones left out.
///
/// Errors where the tokenizer spells its tokens in a way that is not known.
pub fn of(tokenizer: &Tokenizer) -> Result<BTreeMap<u32, Vec<u8>>> {
    let decoder = serde_json::to_value(tokenizer.get_decoder())?;
    let spelling = match (has(&decoder, "ByteLevel"), has(&decoder, "ByteFallback")) {
        (true, _) => Spelling::ByteLevel(byte_level()),
        (false, true) => Spelling::Pieces,
        (false, false) => bail!("the tokenizer's decoder is neither ByteLevel nor ByteFallback"),
    };
    let vocabulary = tokenizer.get_vocab(false).into_iter();
    Ok(vocabulary
        .map(|(name, id)| (id, spelling.bytes(&name)))
        .collect())
}

impl Spelling {
    fn bytes(&self, name: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel(bytes) => {
                let known = name.chars().map(|c| *bytes.get(c as usize)?);
                // A token with another character is none that the model splits text into.
                known
                    .collect::<Option<Vec<u8>>>()
                    .unwrap_or_else(|| name.as_bytes().to_vec())
            }
            Self::Pieces => {
                let byte = name
                    .strip_prefix("<0x")
                    .and_then(|rest| rest.strip_suffix('>'));
                match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => vec![byte],
                    None => name.replace('▁', " ").into_bytes(),
                }
            }
        }
    }
}

/// Whether a decoder, or one of a sequence of them, is of that type.
fn has(decoder: &Value, kind: &str) -> bool {
    let parts = decoder["decoders"].as_array();
    decoder["type"] == kind || parts.is_some_and(|parts| parts.iter().any(|part| has(part, kind)))
}

/// The byte of each character: printable ones are their own, the others follow from 256 on.
fn byte_level() -> Vec<Option<u8>> {
    let own = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut bytes: Vec<Option<u8>> = (0..=255).map(|byte| Some(byte).filter(own)).collect();
    bytes.extend((0..=255).filter(|byte| !own(byte)).map(Some));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bytes() {
        let level = Spelling::ByteLevel(byte_level());
        assert_eq!(level.bytes("ĠSELECT"), b" SELECT");
        assert_eq!(level.bytes("Ċ"), b"\n");
        assert_eq!(level.bytes("Ã©"), "é".as_bytes());
        assert_eq!(level.bytes("Ń"), [0xad]);
        assert_eq!(Spelling::Pieces.bytes("▁from"), b" from");
        assert_eq!(Spelling::Pieces.bytes("<0x0A>"), b"\n");
        assert_eq!(byte_level().iter().flatten().count(), 256);
    }
}
