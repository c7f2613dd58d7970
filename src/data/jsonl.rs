//! Rows of files: JSON Lines, and by a file's ending JSON arrays, CSV and Parquet. Every error names `file:line`, or in files without
//! lines of rows `file:row`, both from 1.

mod array;
mod csv;
mod faults;
mod foreign;
mod form;
mod line;
mod parquet;
mod source;

pub use faults::Faults;
pub use form::Form;
pub use line::{Line, kind};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use source::Source;
use std::io::{BufRead, Read, Write};
use std::path::Path;

/// Longest line read, in bytes: a file without line ends must not fill the memory.
const MAX_LINE: u64 = 16 << 20;
/// The same of files that this program wrote, whose rows hold a row read and what was found.
const MAX_OWN_LINE: u64 = 8 * MAX_LINE;

/// Reads every row of a file. Blank lines and a UTF-8 byte order mark are skipped; a file without rows is an error. All bad
/// rows are named in one error.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    read_up_to(path, MAX_LINE, Ok)
}

/// [`read`] for a file that this program wrote.
pub fn read_own(path: &Path) -> Result<Vec<Line>> {
    read_up_to(path, MAX_OWN_LINE, Ok)
}

/// What `meaning` makes of every row of a file, read as [`read`] does; rows that it refuses are bad rows too.
pub fn read_as<T>(path: &Path, meaning: impl FnMut(Line) -> Result<T>) -> Result<Vec<T>> {
    read_up_to(path, MAX_LINE, meaning)
}

fn read_up_to<T>(
    path: &Path,
    longest: u64,
    mut meaning: impl FnMut(Line) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    each_row(path, longest, |_, line| {
        match line.and_then(&mut meaning) {
            Ok(row) => rows.push(row),
            Err(fault) => faults.add(fault),
        }
        Ok(())
    })?;
    faults.refuse()?;
    Ok(rows)
}

/// Hands on every row of a file, or what is wrong with it, with its number; an error of `each` ends it. Returns the
/// SHA-256 of what was read, in hexadecimal.
pub fn for_each(
    path: &Path,
    each: impl FnMut(usize, Result<Line>) -> Result<()>,
) -> Result<String> {
    each_row(path, MAX_LINE, each)
}

/// How many rows a file has, and its SHA-256.
pub fn measure(path: &Path) -> Result<(usize, String)> {
    let mut rows = 0;
    let sha256 = for_each(path, |_, _| {
        rows += 1;
        Ok(())
    })?;
    Ok((rows, sha256))
}

/// What takes a row and its number.
type Each<'a> = &'a mut dyn FnMut(usize, Result<Line>) -> Result<()>;

fn each_row(
    path: &Path,
    longest: u64,
    mut each: impl FnMut(usize, Result<Line>) -> Result<()>,
) -> Result<String> {
    let mut rows = 0;
    let mut counted = |number, row| {
        rows += 1;
        each(number, row)
    };
    let form = Form::of(path);
    let sha256 = match form {
        Form::Parquet => parquet::each(path, &mut counted)?,
        _ => {
            let mut source = Source::open(path)?;
            if let Some(what) = foreign::by_bytes(source.begin()?) {
                bail!("{} is {what}", path.display());
            }
            match form {
                Form::Csv => csv::each(&mut source, b',', longest, &mut counted),
                Form::Tsv => csv::each(&mut source, b'\t', longest, &mut counted),
                Form::Json if source.is_array()? => array::each(&mut source, longest, &mut counted),
                _ => each_line(&mut source, longest, &mut counted),
            }?;
            source.sha256()?
        }
    };
    if rows == 0 {
        bail!(
            "{} has no rows: it needs at least one {}",
            path.display(),
            match form {
                Form::Lines | Form::Json => "JSON object, one a line",
                Form::Csv | Form::Tsv => "row under its header",
                Form::Parquet => "row",
            }
        );
    }
    Ok(sha256)
}

fn each_line(reader: &mut Source, longest: u64, each: Each) -> Result<()> {
    let path = reader.path.to_owned();
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
        let text = text(&bytes, number, longest);
        if let (Ok(first), 0) = (&text, rows)
            && let Some(what) = foreign::by_line(first)
        {
            bail!("{} is {what}", path.display());
        }
        let row = text.and_then(|text| match text {
            "" => Ok(None),
            text => Line::parse(number, text).map(Some),
        });
        let row = row.with_context(|| format!("{}:{number}", path.display()));
        if let Some(row) = row.transpose() {
            rows += 1;
            each(number, row)?;
        }
        if too_long && !skip_line(reader)? {
            break;
        }
    }
    Ok(())
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

/// The text of one line without what stands around it.
fn text(bytes: &[u8], number: usize, longest: u64) -> Result<&str> {
    if bytes.len() as u64 > longest {
        bail!("line is longer than {longest} bytes: put one JSON object on each line");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        bail!("invalid UTF-8: save the file as UTF-8");
    };
    Ok(match number {
        1 => text.trim_start_matches('\u{feff}').trim(),
        _ => text.trim(),
    })
}

#[cfg(test)]
mod forms;

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
    fn all_bad_rows_are_named_up_to_a_count() {
        let three = error(b"{\"a\":1}\nx\n{\"a\":}\n\n{\"a\":NaN}\n");
        assert!(three.starts_with("3 rows are wrong: "), "{three}");
        for place in [
            "rows.jsonl:2: not",
            "rows.jsonl:3: not",
            "rows.jsonl:5: not JSON: NaN",
        ] {
            assert!(three.contains(place), "{three}");
        }
        let many = error(&b"x\n".repeat(12));
        assert!(many.starts_with("12 rows are wrong: "), "{many}");
        assert!(many.contains(":10: ") && !many.contains(":11: "), "{many}");
        assert!(many.ends_with("; and 2 more"), "{many}");
    }

    #[test]
    fn other_formats_are_named() {
        let wide: Vec<u8> = "\u{feff}{\"a\":1}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (content, expected) in [
            (
                &b"\x1f\x8b\x08\0\0"[..],
                "rows.jsonl is compressed with gzip",
            ),
            (b"PAR1\x15\x04\x15", "is a Parquet file"),
            (&wide, "is UTF-16"),
            (&wide[2..], "UTF-16LE"),
            (
                b"[\n{\"a\":1}\n]",
                "is a JSON array: give it the ending .json",
            ),
            (b"[{\"a\":1}]", "is a JSON array"),
            (
                b"{\n  \"a\": 1\n}",
                "is JSON with objects over several lines",
            ),
            (b"prompt,completion\na,b\n", "is CSV"),
            (b"\"prompt\"\t\"completion\"\na\tb\n", "is CSV"),
        ] {
            let error = error(content);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rows_come_back_as_written() {
        let rows = [serde_json::json!({"b": "é\n", "a": 1})];
        let bytes = to_bytes(&rows).unwrap();
        assert_eq!(bytes, "{\"b\":\"é\\n\",\"a\":1}\n".as_bytes());
        assert_eq!(
            read_bytes(&bytes).unwrap()[0].fields(),
            rows[0].as_object().unwrap()
        );
    }
}
