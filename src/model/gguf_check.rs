//! What candle's GGUF reader takes on trust, checked against the file: before it reads, that the
//! metadata fits and is of a sane size; after, that no two tensors share bytes and all lie inside.

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Content;
use std::io::{BufRead, Read, Seek, SeekFrom};

/// Most metadata entries, and most tensors. Real files have some thousands.
const MAX_ENTRIES: u64 = 1 << 16;
/// Most array elements together: candle keeps 32 bytes for each, even of one byte in the file. The
/// largest vocabularies, their merges, scores and types have about two million.
const MAX_ELEMENTS: u64 = 1 << 23;
/// Longest string in bytes; chat templates have some ten thousand.
const MAX_STRING: u64 = 1 << 24;

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Checks magic, counts and metadata of `file`, and leaves it at its start.
pub fn metadata(file: &mut (impl BufRead + Seek)) -> Result<()> {
    let left = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut walk = Walk {
        file,
        left,
        elements: 0,
    };
    ensure!(&walk.take()? == b"GGUF", "not a GGUF file");
    let version = walk.u32()?;
    ensure!(
        matches!(version, 2 | 3),
        "GGUF version {version} is not supported (supported: 2, 3)"
    );
    let (tensors, entries) = (walk.u64()?, walk.u64()?);
    ensure!(
        tensors.max(entries) <= MAX_ENTRIES,
        "GGUF header of {tensors} tensors and {entries} metadata entries, expected at most {MAX_ENTRIES}"
    );
    for _ in 0..entries {
        walk.entry()?;
    }
    file.rewind()?;
    Ok(())
}

/// Checks that the tensors of a file of `length` bytes are not empty, lie in it and share no bytes: a table of many
/// names for the same bytes would unpack to any size.
pub fn tensors(content: &Content, length: u64) -> Result<()> {
    let mut spans = Vec::new();
    for (name, info) in &content.tensor_infos {
        let elements = info
            .shape
            .dims()
            .iter()
            .try_fold(1u64, |n, &dim| n.checked_mul(u64::try_from(dim).ok()?));
        // candle makes a slice of nothing from a pointer that is not aligned.
        ensure!(elements != Some(0), "tensor {name} is empty");
        let (block, size) = (info.ggml_dtype.block_size(), info.ggml_dtype.type_size());
        let end = elements
            .map(|n| n.div_ceil(block as u64))
            .and_then(|blocks| blocks.checked_mul(size as u64))
            .and_then(|bytes| bytes.checked_add(info.offset))
            .and_then(|end| end.checked_add(content.tensor_data_offset));
        let start = content.tensor_data_offset.saturating_add(info.offset);
        spans.push((start, end.unwrap_or(u64::MAX), name));
    }
    // By place, so that the same file always gives the same error.
    spans.sort();
    let mut free = 0;
    for (start, end, name) in spans {
        ensure!(
            end <= length,
            "tensor {name} ends behind the end of the file, {length} bytes (truncated file?)"
        );
        ensure!(
            start >= free,
            "tensor {name} lies in the bytes of another tensor"
        );
        free = end;
    }
    Ok(())
}

struct Walk<'a, F> {
    file: &'a mut F,
    /// Bytes of the file that were not passed yet.
    left: u64,
    /// Array elements passed so far.
    elements: u64,
}

impl<F: BufRead + Seek> Walk<'_, F> {
    /// One key and its value.
    fn entry(&mut self) -> Result<()> {
        let key = self.key()?;
        let kind = self.u32()?;
        if key == b"general.alignment" {
            let alignment = match kind {
                U32 => self.u32()?,
                _ => 0,
            };
            // candle divides by it.
            ensure!(
                alignment.is_power_of_two(),
                "GGUF metadata general.alignment is no 32-bit power of two"
            );
            return Ok(());
        }
        if kind != ARRAY {
            return self.values(kind, 1);
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        self.elements = self.elements.saturating_add(count);
        ensure!(
            self.elements <= MAX_ELEMENTS,
            "GGUF metadata claims arrays of {} elements, expected at most {MAX_ELEMENTS}",
            self.elements
        );
        self.values(kind, count)
    }

    fn key(&mut self) -> Result<Vec<u8>> {
        let length = self.string_length()?;
        let mut key = Vec::new();
        self.file.by_ref().take(length).read_to_end(&mut key)?;
        self.left -= length;
        Ok(key)
    }

    fn values(&mut self, kind: u32, count: u64) -> Result<()> {
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            U32 | 5 | 6 => 4,
            10..=12 => 8,
            STRING => {
                for _ in 0..count {
                    let length = self.string_length()?;
                    self.skip(length)?;
                }
                return Ok(());
            }
            other => bail!("GGUF metadata has a value of unsupported type {other}"),
        };
        self.skip(count.saturating_mul(size))
    }

    fn string_length(&mut self) -> Result<u64> {
        let length = self.u64()?;
        ensure!(
            length <= MAX_STRING,
            "GGUF metadata claims a string of {length} bytes, expected at most {MAX_STRING}"
        );
        ensure!(length <= self.left, TRUNCATED);
        Ok(length)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).context(TRUNCATED)?;
        self.left -= N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        ensure!(bytes <= self.left, TRUNCATED);
        self.left -= bytes;
        // No file is longer than i64::MAX bytes, and `bytes` lie in it.
        self.file.seek_relative(bytes as i64)?;
        Ok(())
    }
}

const TRUNCATED: &str = "not a complete GGUF file: it ends in its metadata";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A header of one metadata entry `key` with `kind` and `value`.
    fn header(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        let counts = [0u64, 1, key.len() as u64].map(u64::to_le_bytes).concat();
        [
            b"GGUF\x03\0\0\0",
            &counts[..],
            key.as_bytes(),
            &kind.to_le_bytes(),
            value,
        ]
        .concat()
    }

    /// The start of an array.
    fn array(kind: u32, count: u64) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat()
    }

    fn error(bytes: Vec<u8>) -> String {
        metadata(&mut Cursor::new(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn a_sane_header_passes() {
        let strings = [array(STRING, 1), vec![1, 0, 0, 0, 0, 0, 0, 0, b'x']].concat();
        for (key, kind, value) in [
            ("general.alignment", U32, vec![32, 0, 0, 0]),
            ("a", STRING, vec![0; 8]),
            ("a", ARRAY, strings),
            ("a", ARRAY, [array(0, 3), vec![1, 2, 3]].concat()),
        ] {
            let mut file = Cursor::new(header(key, kind, &value));
            metadata(&mut file).unwrap();
            assert_eq!(file.position(), 0);
        }
    }

    #[test]
    fn claims_beyond_reason_or_the_file_are_refused() {
        // Nine million bytes that candle would unpack into 300 MB of values.
        let bomb = [array(0, MAX_ELEMENTS + 1), vec![0; 9 << 20]].concat();
        for (bytes, expected) in [
            (header("a", ARRAY, &bomb), "arrays of 8388609 elements"),
            (header("a", ARRAY, &array(ARRAY, 1)), "unsupported type 9"),
            (header("a", ARRAY, &array(10, 9)), "ends in its metadata"),
            (
                header("a", STRING, &[0xff; 8]),
                "a string of 18446744073709551615 bytes",
            ),
            (
                header("general.alignment", U32, &[0; 4]),
                "general.alignment",
            ),
            (
                header("general.alignment", 10, &[32, 0, 0, 0, 0, 0, 0, 0]),
                "general.alignment",
            ),
            (
                [&b"GGUF\x03\0\0\0"[..], &[0xff; 16]].concat(),
                "metadata entries",
            ),
            (b"GGUF\x01\0\0\0".to_vec(), "version 1 is not supported"),
            (b"GGUF".to_vec(), "ends in its metadata"),
            (b"no model".to_vec(), "not a GGUF file"),
        ] {
            let message = error(bytes);
            assert!(message.contains(expected), "{message}");
        }
    }
}
