//! Files that hold rows in another form.

/// How files of other formats begin, and what to do about them.
const KINDS: [(&[u8], &str); 10] = [
    (
        b"\x1f\x8b",
        "compressed with gzip: unpack it first (gunzip -k)",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd: unpack it first (unzstd)",
    ),
    (
        b"BZh",
        "compressed with bzip2: unpack it first (bunzip2 -k)",
    ),
    (b"\xfd7zXZ", "compressed with xz: unpack it first (unxz -k)"),
    (b"PK\x03\x04", "a zip archive: unpack it first (unzip)"),
    (b"PAR1", "a Parquet file: give it the ending .parquet"),
    (
        b"ARROW1",
        "an Arrow file: save its rows as JSON Lines (datasets: Dataset.from_file(FILE).to_json(OUT))",
    ),
    (
        b"SQLite format 3",
        "an SQLite database: save its rows as JSON Lines",
    ),
    (
        b"\xff\xfe",
        "UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)",
    ),
    (
        b"\xfe\xff",
        "UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)",
    ),
];

/// What a file that begins so is, and what to do; `None` for one that may be JSON Lines.
pub fn by_bytes(begin: &[u8]) -> Option<&'static str> {
    let known = KINDS.iter().find(|(magic, _)| begin.starts_with(magic));
    let known = known.map(|(_, said)| *said);
    // UTF-16 without its mark has a zero byte in each of JSON's first characters.
    let wide = begin.iter().take(4).any(|&byte| byte == 0);
    known
        .or(wide
            .then_some("no UTF-8 text; UTF-16 may be saved as UTF-8 (iconv -f UTF-16LE -t UTF-8)"))
}

/// The same by the first line that is not blank.
pub fn by_line(first: &str) -> Option<&'static str> {
    if first == "{" {
        return Some("JSON with objects over several lines: write one a line (jq -c . FILE)");
    }
    if first == "[" || first.starts_with("[{") {
        return Some(
            "a JSON array: give it the ending .json, or write its rows one a line (jq -c '.[]' FILE)",
        );
    }
    let is_name = |cell: &str| {
        let cell = cell.trim_matches('"');
        !cell.is_empty() && cell.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_header =
        |separator: char| first.contains(separator) && first.split(separator).all(is_name);
    let csv = [',', ';', '\t'].into_iter().any(is_header);
    csv.then_some("CSV: give it the ending .csv (or .tsv where tabs separate the cells)")
}
