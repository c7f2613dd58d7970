//! CSV and TSV: a header, and rows of as many cells. A cell is text; an empty one is null.

use super::source::{Limited, Source};
use super::{Each, Line};
use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::io::Read;

const NOT_UTF8: &str = "is not UTF-8: save the file as UTF-8 (of Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8)";

/// Hands on the rows; the number of each is its place under the header, from 1.
pub fn each(source: &mut Source, separator: u8, longest: u64, each: Each) -> Result<()> {
    let path = source.path.to_owned();
    source.skip_mark()?;
    let separator = match separator {
        b',' if has_semicolons(source.begin()?) => b';',
        separator => separator,
    };
    let (left, cell) = (Cell::new(longest), Cell::new(At::Start));
    let text = Watched {
        inner: Limited {
            source,
            left: &left,
        },
        separator,
        at: &cell,
    };
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .from_reader(text);
    let read = |error: csv::Error, place: String| match error.kind() {
        ErrorKind::Io(error) => anyhow!(
            "{place}: cannot be read: {error}; a row may have {longest} bytes (is a quote not closed?)"
        ),
        _ => anyhow!("{place}: {error}"),
    };
    let place = |number| format!("{}:{number}", path.display());
    let header = reader.byte_headers();
    let header = header.map_err(|error| read(error, format!("{}: the header", path.display())))?;
    let header = columns(header).with_context(|| path.display().to_string())?;
    let mut record = ByteRecord::new();
    for number in 1.. {
        left.set(longest);
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|error| read(error, place(number)))? {
            break;
        }
        let fields = fields(&header, &record).with_context(|| place(number))?;
        let row = match record.len() == header.len() {
            true => Ok(Line::new(number, fields)),
            false => Err(anyhow!(
                "{}: {} cells under {} columns: is the file cut short, or a separator not quoted?",
                place(number),
                record.len(),
                header.len()
            )),
        };
        each(number, row)?;
    }
    ensure!(
        cell.get() != At::Quoted,
        "{} ends within a quoted cell: is it cut short, or a quote not closed?",
        path.display()
    );
    Ok(())
}

/// Whether a header is separated by semicolons, as programs write it where the comma is in numbers.
fn has_semicolons(begin: &[u8]) -> bool {
    let header = begin.split(|&byte| byte == b'\n').next().unwrap_or(begin);
    header.contains(&b';') && !header.contains(&b',')
}

fn columns(header: &ByteRecord) -> Result<Vec<String>> {
    let mut columns: Vec<String> = Vec::new();
    for name in header {
        let Ok(name) = std::str::from_utf8(name) else {
            bail!("the header {NOT_UTF8}");
        };
        let name = name.trim();
        let again = columns.iter().any(|known| known == name);
        ensure!(!again, "the header has the column {name:?} twice");
        columns.push(name.to_owned());
    }
    Ok(columns)
}

fn fields(header: &[String], record: &ByteRecord) -> Result<Map<String, Value>> {
    let cells = header.iter().zip(record);
    let cells = cells.map(|(name, cell)| {
        let Ok(text) = std::str::from_utf8(cell) else {
            bail!("column {name:?} {NOT_UTF8}");
        };
        let value = match text {
            "" => Value::Null,
            text => text.into(),
        };
        Ok((name.clone(), value))
    });
    cells.collect()
}

/// A place in a cell.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Start,
    Bare,
    Quoted,
    /// Behind a quote that ends the cell, or is the first of two.
    Closing,
}

/// Notes whether a quoted cell is open: at the end of the file its reader takes it as closed.
struct Watched<'a> {
    inner: Limited<'a>,
    separator: u8,
    at: &'a Cell<At>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut at = self.at.get();
        for &byte in &buffer[..count] {
            at = match (at, byte) {
                (At::Quoted, b'"') => At::Closing,
                (At::Quoted, _) => At::Quoted,
                (At::Start | At::Closing, b'"') => At::Quoted,
                (_, b'\r' | b'\n') => At::Start,
                (_, byte) if byte == self.separator => At::Start,
                _ => At::Bare,
            };
        }
        self.at.set(at);
        Ok(count)
    }
}
