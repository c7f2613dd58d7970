//! Rows: reading, checking and making them.

pub mod blend;
pub mod convert;
pub mod hints;
pub mod jsonl;
pub mod nearest;
pub mod record;
pub mod shard;
pub mod synth;
pub mod template;

/// Bytes, such as a digest, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
