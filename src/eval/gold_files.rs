//! Gold results in CSV files, as Spider 2.0 has them: where they are and what is in them.

use crate::db::locate::resolved;
use crate::db::sandbox::{MAX_BYTES, MAX_ROWS};
use crate::sql::error::SqlError;
use crate::sql::value::{Row, Value};
use csv::{ByteRecord, ReaderBuilder};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files of the gold results called `name`: NAME.csv, else those of NAME_a.csv to NAME_z.csv that are there. Links must
/// stay inside the folder unless `follow_links`.
pub fn find(folder: &Path, name: &str, follow_links: bool) -> Result<Vec<PathBuf>, SqlError> {
    let file = |ending: String| folder.join(format!("{name}{ending}.csv"));
    let mut files = vec![file(String::new())];
    if !files[0].is_file() {
        files = ('a'..='z')
            .map(|letter| file(format!("_{letter}")))
            .collect();
        files.retain(|file| file.is_file());
    }
    if files.is_empty() {
        return Err(SqlError::Gold(format!(
            "no gold result {name}.csv or {name}_a.csv in {} (see --gold-dir)",
            folder.display()
        )));
    }
    let within = (!follow_links).then_some(folder);
    let resolved = files.iter().map(|file| resolved(file, within));
    let resolved: anyhow::Result<_> = resolved.collect();
    resolved.map_err(|error| SqlError::Gold(format!("{error:#}")))
}

/// The rows under the header; a cell is text, an empty one NULL. A row that is too short lacks its last cells, as pandas has it.
/// Errors name the file, and the line where there is one.
pub fn read(file: &Path) -> Result<Vec<Row>, SqlError> {
    let wrong = |what: String| SqlError::Gold(format!("{}{what}", file.display()));
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64;
    File::open(file)
        .and_then(|open| open.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!(": cannot be read: {error}")))?;
    if bytes.len() > MAX_BYTES {
        return Err(wrong(format!(": larger than {MAX_BYTES} bytes")));
    }
    if std::str::from_utf8(&bytes).is_err() {
        return Err(wrong(": is not UTF-8".to_owned()));
    }
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(&bytes[..]);
    let of_csv = |error: csv::Error| wrong(format!(": {error}"));
    let columns = reader.byte_headers().map_err(of_csv)?.len();
    if columns == 0 {
        return Err(wrong(": has no header".to_owned()));
    }
    let (mut rows, mut held) = (Vec::new(), 0);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(of_csv)? {
        if record.len() > columns {
            let line = record.position().map_or(0, |position| position.line());
            let cells = record.len();
            return Err(wrong(format!(
                ":{line}: {cells} cells under {columns} columns"
            )));
        }
        held += columns * size_of::<Value>() + record.as_slice().len();
        if rows.len() == MAX_ROWS || held > MAX_BYTES {
            return Err(wrong(format!(
                ": more than {MAX_ROWS} rows or {MAX_BYTES} bytes, which no prediction may return"
            )));
        }
        let mut row: Row = record.iter().map(value).collect();
        row.resize(columns, Value::Null);
        rows.push(row);
    }
    Ok(rows)
}

fn value(cell: &[u8]) -> Value {
    match cell {
        b"" => Value::Null,
        cell => Value::Text(cell.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn one_file_comes_before_the_lettered_ones() {
        let folder = folder(&[
            ("x.csv", b"a"),
            ("x_a.csv", b"a"),
            ("y_c.csv", b"a"),
            ("y_a.csv", b"a"),
            ("y_B.csv", b"a"),
        ]);
        let found = |name: &str| {
            let found = find(folder.path(), name, false)?.into_iter();
            let names = found.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
            Ok(names.collect::<Vec<_>>())
        };
        assert_eq!(found("x"), Ok(vec!["x.csv".to_owned()]));
        let both = ["y_a.csv", "y_c.csv"].map(str::to_owned).to_vec();
        assert_eq!(found("y"), Ok(both));
        let error: SqlError = found("z").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no gold result z.csv or z_a.csv in ")
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_inside() {
        let (outside, folder) = (folder(&[("x.csv", b"a")]), folder(&[]));
        let link = folder.path().join("x.csv");
        std::os::unix::fs::symlink(outside.path().join("x.csv"), link).unwrap();
        let error = find(folder.path(), "x", false).unwrap_err().to_string();
        assert!(error.contains("--follow-links"), "{error}");
        assert!(find(folder.path(), "x", true).is_ok());
    }

    #[test]
    fn cells_are_texts_and_gaps() {
        let folder = folder(&[("x.csv", b"a,b\r\n1,\"x, \"\"y\"\"\"\r\n\r\n,2\n3\n")]);
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let expected = [
            vec![text("1"), text("x, \"y\"")],
            vec![Value::Null, text("2")],
            vec![text("3"), Value::Null],
        ];
        assert_eq!(read(&folder.path().join("x.csv")).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_no_table_is_named_with_its_line() {
        for (content, said) in [
            (
                &b"a,b\n1,2\n1,2,3\n"[..],
                "x.csv:3: 3 cells under 2 columns",
            ),
            (b"", "x.csv: has no header"),
            (b"a\n\xff\n", "x.csv: is not UTF-8"),
        ] {
            let folder = folder(&[("x.csv", content)]);
            let error = read(&folder.path().join("x.csv")).unwrap_err().to_string();
            assert!(error.ends_with(said), "{error}");
        }
    }
}
