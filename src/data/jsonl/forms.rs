//! Files that are no JSON Lines.

use super::*;
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder for files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn rows(&self, name: &str, content: impl AsRef<[u8]>) -> Vec<(usize, serde_json::Value)> {
        let rows = read(&self.write(name, content)).unwrap().into_iter();
        rows.map(|row| (row.number, row.into_fields().into()))
            .collect()
    }

    fn error(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        format!("{:#}", read(&self.write(name, content)).unwrap_err())
    }
}

#[test]
fn csv_has_a_header_and_rows_of_text() {
    let files = Files::new();
    let two = |a: &str, b: &str| {
        vec![
            (1, json!({"prompt": a, "completion": b})),
            (2, json!({"prompt": "c", "completion": null})),
        ]
    };
    let quoted = "prompt,completion\r\n\"a, \"\"q\"\"\nx\",1\r\n\r\nc,\r\n";
    assert_eq!(files.rows("a.csv", quoted), two("a, \"q\"\nx", "1"));
    assert_eq!(
        files.rows("b.CSV", format!("\u{feff}\"prompt\"{}", &quoted[6..])),
        two("a, \"q\"\nx", "1")
    );
    assert_eq!(
        files.rows("c.csv", "prompt;completion\na, b;1\nc;\n"),
        two("a, b", "1")
    );
    assert_eq!(
        files.rows("d.tsv", "prompt\tcompletion\na;, b\t1\nc\t\n"),
        two("a;, b", "1")
    );
    // A row index as pandas writes it.
    assert_eq!(
        files.rows("e.csv", ",text\n0,a\n"),
        [(1, json!({"": "0", "text": "a"}))]
    );
}

#[test]
fn bad_csv_is_named_by_row_and_column() {
    let files = Files::new();
    let error = |content: &[u8]| files.error("t.csv", content);
    let cells = error(b"a,b\n1,2\n3\n4,5\n6,7,8\n");
    assert!(cells.starts_with("2 rows are wrong: "), "{cells}");
    assert!(
        cells.contains("t.csv:2: 1 cells under 2 columns: is the file cut short"),
        "{cells}"
    );
    assert!(
        cells.contains("t.csv:4: 3 cells under 2 columns"),
        "{cells}"
    );
    let open = error(b"a,b\n1,\"2\n3,4\n");
    assert!(
        open.contains("t.csv ends within a quoted cell: is it cut short"),
        "{open}"
    );
    let latin = error(b"a,b\n1,caf\xe9\n");
    assert!(
        latin.contains("t.csv:1: column \"b\" is not UTF-8")
            && latin.contains("iconv -f WINDOWS-1252"),
        "{latin}"
    );
    assert!(error(b"a,caf\xe9\n1,2\n").contains("t.csv: the header is not UTF-8"));
    assert!(error(b"a,a\n1,2\n").contains("t.csv: the header has the column \"a\" twice"));
    assert!(
        error(b"a,b\n").contains("t.csv has no rows: it needs at least one row under its header")
    );
    assert!(error(b"").contains("t.csv has no rows"));
    assert!(error(b"PAR1\x15\x04").contains("is a Parquet file: give it the ending .parquet"));
    let wide: Vec<u8> = "\u{feff}a,b\n1,2\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(error(&wide).contains("t.csv is UTF-16: save it as UTF-8"));
    let endless = [
        b"a,b\n1,\"".to_vec(),
        vec![b'x'; MAX_LINE as usize + (1 << 20)],
    ]
    .concat();
    let endless = error(&endless);
    assert!(
        endless.contains("t.csv:1: cannot be read: it is too long")
            && endless.contains("is a quote not closed?"),
        "{endless}"
    );
}

#[test]
fn json_arrays_are_rows_as_they_were_written() {
    let files = Files::new();
    let text = "\u{feff} [\n  {\"a\": 1.50, \"b\": [ \"x \\\" y\",\n {} ]},\n  {\"a\": 12345678901234567890123}\n]\n";
    let rows = read(&files.write("a.json", text)).unwrap();
    assert_eq!(
        String::from_utf8(to_bytes(&rows).unwrap()).unwrap(),
        "{\"a\":1.50,\"b\":[\"x \\\" y\",{}]}\n{\"a\":12345678901234567890123}\n"
    );
    // The ending alone makes no array.
    assert_eq!(files.rows("b.json", "{\"a\":1}\n"), [(1, json!({"a": 1}))]);
    let error = |content: &str| files.error("t.json", content);
    assert!(
        error("[{\"a\":1},\n{\"a\":")
            .contains("t.json:2: the file ends before its array does: is it cut short?")
    );
    assert!(
        error("[{\"a\":1},\n{\"a\":x}]").contains("t.json:2: not JSON: expected value at line 2")
    );
    assert!(error("[{\"a\":1}] {}").contains("t.json:2: not JSON: trailing characters"));
    let two = error("[1, {\"a\":2}, []]");
    assert!(
        two.contains("t.json:1: must be a JSON object, found number")
            && two.contains("t.json:3: must"),
        "{two}"
    );
    assert!(error("[]").contains("t.json has no rows"));
    let long = format!("[{{\"a\":\"{}\"}}]", "x".repeat(MAX_LINE as usize));
    assert!(error(&long).contains("t.json:1: cannot be read: it is too long"));
    assert!(error("{\n \"data\": []}").contains("objects over several lines"));
}

/// Made by scripts/golden_parquet.py.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens/rows")
        .join(name)
}

#[test]
fn parquet_is_read_as_pyarrow_writes_it() {
    let said = |a: &str, b: &str| json!([{"role": "user", "content": a}, {"role": "assistant", "content": b}]);
    let expected = [
        json!({"id": "a", "messages": said("Grüße?", "Hallo."), "count": 1, "share": 0.1, "tags": ["x", "y"], "day": "2020-01-02",
            "price": "1.50", "nest": {"a": {"b": [1, 2]}}, "map": {"k": 1}}),
        json!({"id": "b", "messages": said("2+1?", "3"), "count": null, "share": 2.5, "tags": [], "day": null, "price": null,
            "nest": null, "map": null}),
        json!({"id": null, "messages": [], "count": -3, "share": null, "tags": null, "day": null, "price": null, "nest": {"a": null},
            "map": {}}),
    ];
    for name in ["snappy.parquet", "zstd.parquet"] {
        let mut rows = Vec::new();
        let sha256 = for_each(&golden(name), |number, row| {
            rows.push(serde_json::Value::from(row?.into_fields()));
            assert_eq!(number, rows.len());
            Ok(())
        });
        assert_eq!(rows, expected, "{name}");
        assert_eq!(
            sha256.unwrap(),
            crate::run::words::hex(&<sha2::Sha256 as sha2::Digest>::digest(
                std::fs::read(golden(name)).unwrap()
            ))
        );
    }
    let gzip = read(&golden("gzip.parquet")).unwrap_err().to_string();
    assert!(
        gzip.contains("column \"id\" is compressed by GZIP: write it with snappy or zstd"),
        "{gzip}"
    );
}

#[test]
fn damaged_parquet_is_an_error_wherever_it_is_damaged() {
    let files = Files::new();
    let whole = std::fs::read(golden("snappy.parquet")).unwrap();
    for length in (0..whole.len()).step_by(61) {
        let error = files.error("t.parquet", &whole[..length]);
        assert!(
            error.contains("t.parquet cannot be read as Parquet"),
            "{length}: {error}"
        );
    }
    assert!(
        files
            .error("t.parquet", "a,b\n1,2\n3,4\n")
            .contains("t.parquet cannot be read as Parquet")
    );
    // Some changes make other rows of it; none may end the program or fill the memory.
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        let _ = read(&files.write("t.parquet", &bytes));
    }
}
