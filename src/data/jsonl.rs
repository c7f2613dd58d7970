//! JSON Lines: one JSON object a line. Every error names `file:line`.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

/// Longest line read, in bytes: a file without line ends must not fill the memory.
const MAX_LINE: u64 = 16 << 20;
/// The same of files that this program wrote, whose rows hold a row read and what was found.
const MAX_OWN_LINE: u64 = 8 * MAX_LINE;

/// One row and where it stood.
#[derive(Clone, Debug)]
pub struct Line {
    /// 1-based line number in the file, blank lines counted.
    pub number: usize,
    /// The row's fields in the order of the file.
    pub fields: Map<String, Value>,
}

impl Line {
    /// The text of a required field; an error names `file:line` and the field when it is missing or no string.
    pub fn str(&self, path: &Path, field: &str) -> Result<&str> {
        match self.fields.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => bail!(
                "{}:{}: field \"{field}\" must be a string, found {}",
                path.display(),
                self.number,
                kind(other)
            ),
            None => bail!(
                "{}:{}: field \"{field}\" is missing",
                path.display(),
                self.number
            ),
        }
    }

    /// The text of an optional field: `None` when it is missing or null, an error when it is something else.
    pub fn optional_str(&self, path: &Path, field: &str) -> Result<Option<&str>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.str(path, field).map(Some),
        }
    }
}

/// Reads every row of a file. Blank lines and a UTF-8 byte order mark are skipped; a file without rows is an error.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    read_up_to(path, MAX_LINE)
}

/// [`read`] for a file that this program wrote.
pub fn read_own(path: &Path) -> Result<Vec<Line>> {
    read_up_to(path, MAX_OWN_LINE)
}

fn read_up_to(path: &Path, longest: u64) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    each_line(path, longest, |_, line| {
        lines.push(line?);
        Ok(())
    })?;
    Ok(lines)
}

/// Hands on every row of a file, or what is wrong with it, with its line number; an error of `each` ends it. Returns the
/// SHA-256 of what was read, in hexadecimal.
pub fn for_each(
    path: &Path,
    each: impl FnMut(usize, Result<Line>) -> Result<()>,
) -> Result<String> {
    each_line(path, MAX_LINE, each)
}

/// A reader that hashes what passes.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

fn each_line(
    path: &Path,
    longest: u64,
    mut each: impl FnMut(usize, Result<Line>) -> Result<()>,
) -> Result<String> {
    let file = File::open(path)
        .with_context(|| format!("cannot open {} (check the path)", path.display()))?;
    let mut reader = BufReader::new(Hashed {
        inner: file,
        hash: Sha256::new(),
    });
    let mut bytes = Vec::new();
    let mut rows = 0;
    for number in 1.. {
        bytes.clear();
        let read = reader
            .by_ref()
            .take(longest + 1)
            .read_until(b'\n', &mut bytes)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if read == 0 {
            break;
        }
        let too_long = bytes.len() as u64 > longest;
        let row =
            parse(&bytes, number, longest).with_context(|| format!("{}:{number}", path.display()));
        let row = row.map(|row| row.map(|fields| Line { number, fields }));
        if let Some(row) = row.transpose() {
            rows += 1;
            each(number, row)?;
        }
        if too_long && !skip_line(&mut reader)? {
            break;
        }
    }
    if rows == 0 {
        bail!(
            "{} has no rows: it needs at least one JSON object, one a line",
            path.display()
        );
    }
    Ok(super::hex(&reader.into_inner().hash.finalize()))
}

/// Passes the rest of a line; false at the end of the file.
fn skip_line(reader: &mut impl BufRead) -> Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        let (length, found) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        reader.consume(length);
        if found || length == 0 {
            return Ok(found);
        }
    }
}

/// Serialises rows, one JSON object a line, each ended by a line feed.
pub fn to_bytes<'a, T: Serialize + 'a>(rows: impl IntoIterator<Item = &'a T>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, rows)?;
    Ok(bytes)
}

/// The same, written as they come.
pub fn write<'a, T: Serialize + 'a>(
    mut to: impl Write,
    rows: impl IntoIterator<Item = &'a T>,
) -> Result<()> {
    for row in rows {
        serde_json::to_writer(&mut to, row)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// The object on one line, or `None` for a blank line.
fn parse(bytes: &[u8], number: usize, longest: u64) -> Result<Option<Map<String, Value>>> {
    if bytes.len() as u64 > longest {
        bail!("line is longer than {longest} bytes: put one JSON object on each line");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        bail!("invalid UTF-8: save the file as UTF-8");
    };
    let text = match number {
        1 => text.trim_start_matches('\u{feff}').trim(),
        _ => text.trim(),
    };
    if text.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(Some(fields)),
        Ok(other) => bail!("must be a JSON object, found {}", kind(&other)),
        Err(error) => {
            let column = error.column();
            let message = error.to_string();
            // Serde's own place says "line 1", which is wrong in a file of many lines.
            let reason = message.split(" at line ").next().unwrap_or(&message);
            if let Some(word) = no_json(text, column) {
                bail!(
                    "not JSON: {word} at column {column} is no value of JSON; write null, or leave the field out"
                )
            }
            bail!("not JSON: {reason} at column {column}; every line must be one JSON object")
        }
    }
}

/// Python's name of a value that JSON does not have, where the error is at it.
fn no_json(text: &str, column: usize) -> Option<&'static str> {
    // The error is at the first letter or at the first that no word of JSON has there.
    let around = text.get(column.saturating_sub(3)..)?;
    ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| {
        around
            .get(..word.len() + 3)
            .unwrap_or(around)
            .contains(word)
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(content: &[u8]) -> Result<Vec<Line>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, content).unwrap();
        read(&path)
    }

    fn error(content: &[u8]) -> String {
        format!("{:#}", read_bytes(content).unwrap_err())
    }

    #[test]
    fn skips_blank_lines_and_a_byte_order_mark() {
        let lines = read_bytes(b"\xef\xbb\xbf{\"a\":\"x\"}\r\n\n  \n{\"a\":\"y\"}").unwrap();
        let numbers: Vec<_> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 4]);
        assert_eq!(lines[1].str(Path::new("f"), "a").unwrap(), "y");
    }

    #[test]
    fn errors_name_file_and_line() {
        let not_json = error(b"{}\n{\"a\": tru}\n");
        assert!(
            not_json.contains("rows.jsonl:2: not JSON: expected ident at column 10"),
            "{not_json}"
        );
        assert!(error(b"[1]").contains("rows.jsonl:1: must be a JSON object, found array"));
        assert!(error(b"{}\n{\"a\":\"\xff\"}").contains("rows.jsonl:2: invalid UTF-8"));
        assert!(error(b" \n").contains("has no rows"));
        assert!(error(&vec![b' '; MAX_LINE as usize + 1]).contains("rows.jsonl:1: line is longer"));
    }

    #[test]
    fn a_field_must_be_there_and_a_string() {
        let lines = read_bytes(b"{\"n\":1,\"z\":null}").unwrap();
        let (line, path) = (&lines[0], Path::new("f.jsonl"));
        let message = |field| line.str(path, field).unwrap_err().to_string();
        assert_eq!(message("x"), "f.jsonl:1: field \"x\" is missing");
        assert_eq!(
            message("n"),
            "f.jsonl:1: field \"n\" must be a string, found number"
        );
        assert_eq!(line.optional_str(path, "z").unwrap(), None);
        assert!(line.optional_str(path, "n").is_err());
    }

    #[test]
    fn rows_come_back_as_written() {
        let rows = [serde_json::json!({"b": "é\n", "a": 1})];
        let bytes = to_bytes(&rows).unwrap();
        assert_eq!(bytes, "{\"b\":\"é\\n\",\"a\":1}\n".as_bytes());
        assert_eq!(
            read_bytes(&bytes).unwrap()[0].fields,
            *rows[0].as_object().unwrap()
        );
    }
}
