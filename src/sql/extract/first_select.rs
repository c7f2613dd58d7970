//! The former rule: by substring.

use super::MAX_REPLY;

/// Longest name, and longest list of columns, of a common table expression.
const MAX_NAME: usize = 4096;

/// The query in `reply`, or `None` when it has no `select`.
///
/// It starts at the first `select`, or at a `with` before it that begins a statement. It ends with the first `;` outside a
/// literal; without one it ends before the first blank line, answer marker or code fence.
pub(super) fn extract(reply: &str) -> Option<&str> {
    let reply = &reply[..reply.floor_char_boundary(MAX_REPLY)];
    // ASCII lowering keeps every byte offset.
    let lower = reply.to_ascii_lowercase();
    let select = lower.find("select")?;
    let from = |start: usize| {
        let tail = &reply[start..];
        let end = match semicolon(tail) {
            Some(at) => at + 1,
            None => prose(&lower[start..]),
        };
        start..start + end
    };
    let whole = match common_table(&lower[..select]).map(from) {
        // Cut off before its select, it is no query.
        Some(whole) if whole.end > select => whole,
        _ => from(select),
    };
    Some(reply[whole].trim())
}

/// Offset of the first `with` that opens a common table expression: the word alone is ordinary prose.
fn common_table(lower: &str) -> Option<usize> {
    lower.match_indices("with").map(|(at, _)| at).find(|&at| {
        let inside_word = lower[..at].ends_with(is_name);
        !inside_word && is_common_table(&lower[at..]).is_some()
    })
}

/// `with [recursive] name [(columns)] as [[not] materialized] (`
fn is_common_table(text: &str) -> Option<()> {
    let text = word(text, "with")?;
    let text = word(text, "recursive").unwrap_or(text);
    let text = name(text)?.trim_start();
    let text = match text.strip_prefix('(') {
        Some(columns) => close(columns, ')')?.trim_start(),
        None => text,
    };
    let text = word(text, "as")?;
    let text = word(text, "not").unwrap_or(text);
    let text = word(text, "materialized").unwrap_or(text);
    text.starts_with('(').then_some(())
}

/// Takes one keyword and the white space after it.
fn word<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(keyword)?;
    (!rest.starts_with(is_name)).then(|| rest.trim_start())
}

/// Takes one identifier, quoted or not.
fn name(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if matches!(first, '"' | '`' | '\'') {
        return close(&text[1..], first);
    }
    let rest = text.trim_start_matches(is_name);
    (rest.len() < text.len()).then_some(rest)
}

/// What stands behind the next `end`, which must be near: otherwise many openings would make a long search of each.
fn close(text: &str, end: char) -> Option<&str> {
    let near = &text[..text.floor_char_boundary(MAX_NAME)];
    Some(&text[near.find(end)? + end.len_utf8()..])
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Offset of the first `;` outside a quoted literal. A doubled quote closes and opens at once, which is the same.
fn semicolon(sql: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in sql.bytes().enumerate() {
        match (quote, byte) {
            (None, b';') => return Some(at),
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Offset at which an unterminated query gives way to prose.
fn prose(lower: &str) -> usize {
    ["\nanswer:", "\ncheck:", "\ntest case", "```"]
        .iter()
        .filter_map(|marker| lower.find(marker))
        .chain(blank_line(lower))
        .min()
        .unwrap_or(lower.len())
}

fn blank_line(text: &str) -> Option<usize> {
    text.match_indices('\n').map(|(at, _)| at).find(|&at| {
        text[at + 1..]
            .trim_start_matches([' ', '\t', '\r'])
            .starts_with('\n')
    })
}

#[cfg(test)]
mod tests {
    use super::extract;

    #[test]
    fn starts_at_the_first_select_whatever_its_case() {
        assert_eq!(extract("Answer: SeLeCT 1"), Some("SeLeCT 1"));
        assert_eq!(
            extract("The selected rows: SELECT 1;"),
            Some("selected rows: SELECT 1;")
        );
        assert_eq!(extract("VALUES (1)"), None);
        assert_eq!(extract(""), None);
    }

    #[test]
    fn starts_at_with_only_where_it_begins_a_statement() {
        let cte = "WITH t AS (SELECT 1) SELECT * FROM t";
        assert_eq!(extract(cte), Some(cte));
        assert_eq!(extract(&format!("Here with care: {cte}")), Some(cte));
        let recursive =
            "with recursive \"c\" (x, y) as not materialized (select 1, 2) select * from c";
        assert_eq!(extract(recursive), Some(recursive));
        assert_eq!(extract("Here with a query: select 1"), Some("select 1"));
        assert_eq!(
            extract("with t as (x; select 1"),
            Some("select 1"),
            "no select in it"
        );
        assert_eq!(
            extract("herewith t as (select 1)"),
            Some("select 1)"),
            "part of a word"
        );
    }

    #[test]
    fn ends_with_the_first_semicolon_outside_a_literal() {
        assert_eq!(extract("select 1; select 2;"), Some("select 1;"));
        assert_eq!(
            extract("select ';''\";' , \"a;b\"; x"),
            Some("select ';''\";' , \"a;b\";")
        );
        assert_eq!(
            extract("select 1\n\nDone;"),
            Some("select 1\n\nDone;"),
            "a semicolon wins over a blank line"
        );
        assert_eq!(
            extract("```sql\nselect 1\n```\nDone; bye"),
            Some("select 1\n```\nDone;"),
            "and over a fence, whose marks are no quotes"
        );
    }

    #[test]
    fn without_a_semicolon_ends_before_prose() {
        for tail in [
            "\n\nThis",
            "\r\n \t\r\nThis",
            "\nAnswer: 3",
            "\nCheck: ok",
            "\nTest case 1",
            "```",
        ] {
            assert_eq!(
                extract(&format!("select 1 {tail}")),
                Some("select 1"),
                "{tail:?}"
            );
        }
        assert_eq!(
            extract("select 1\nfrom t\n```\n\nso"),
            Some("select 1\nfrom t")
        );
    }

    #[test]
    fn many_openings_are_no_long_search() {
        let start = std::time::Instant::now();
        for opening in ["with a(", "with \"", "with a as "] {
            let reply = opening.repeat(50_000) + " select 1";
            assert!(extract(&reply).is_some());
        }
        assert_eq!(
            extract(&(" ".repeat(1 << 20) + "select 1")),
            None,
            "too far"
        );
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn offsets_hold_beside_characters_whose_lower_case_has_another_length() {
        assert_eq!(extract("İ → SELECT 'é';"), Some("SELECT 'é';"));
    }
}
