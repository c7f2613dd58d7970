//! Numbers and texts as people read them.

/// Most characters of a text that a file of the folder gives, unless a part of the page says otherwise.
pub const TEXT: usize = 2_000;

/// A share or a loss: `0.860`.
pub fn value(value: f64) -> String {
    format!("{value:.3}")
}

/// A difference of shares in points: `+26.0`.
pub fn points(difference: f64) -> String {
    let points = (difference * 1000.0).round() / 10.0;
    // Not -0.0.
    format!("{:+.1}", points + 0.0)
}

/// A test's p: `p = 0.0386`, `p < 0.0001`.
pub fn p(p: f64) -> String {
    match p < 1e-4 {
        true => "p < 0.0001".to_owned(),
        false => format!("p = {p:.4}"),
    }
}

/// `0.74 to 0.93`
pub fn interval([low, high]: [f64; 2]) -> String {
    format!("{low:.3} to {high:.3}")
}

/// `1 row`, `2 rows`
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

/// `0.8 s`, `4 min 05 s`, `2 h 07 min`
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `512 MB`, `1.25 GB`
pub fn megabytes(mb: f64) -> String {
    match mb >= 1000.0 {
        true => format!("{:.2} GB", mb / 1000.0),
        false => format!("{mb:.0} MB"),
    }
}

/// The first `most` characters.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text in which nothing is hidden and nothing turns what stands around it: control characters by their pictures, what changes
/// the direction or has no width by its number. Line feeds and tabs stay.
pub fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => seen.push(c),
            '\0'..='\u{1f}' => seen.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => seen.push('␡'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => seen += &format!("‹U+{:04X}›", u32::from(c)),
            c => seen.push(c),
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!(points(0.2604), "+26.0");
        assert_eq!(points(-0.0001), "+0.0");
        assert_eq!(
            (p(0.03857), p(0.000012)),
            ("p = 0.0386".to_owned(), "p < 0.0001".to_owned())
        );
        assert_eq!(seconds(0.84), "0.8 s");
        assert_eq!(seconds(245.0), "4 min 05 s");
        assert_eq!(seconds(7640.0), "2 h 07 min");
        assert_eq!(
            (megabytes(511.6), megabytes(1250.0)),
            ("512 MB".to_owned(), "1.25 GB".to_owned())
        );
        assert_eq!(
            (count(1, "row"), count(0, "row")),
            ("1 row".to_owned(), "0 rows".to_owned())
        );
        assert_eq!(
            (short("äöü", 2), short("äö", 2)),
            ("äö…".to_owned(), "äö".to_owned())
        );
    }

    #[test]
    fn what_is_hidden_is_shown() {
        assert_eq!(visible("a\0\u{1b}[2J\r\n\tb\u{7f}"), "a␀␛[2J␍\n\tb␡");
        assert_eq!(
            visible("\u{202e}lqs\u{2028}\u{200b}"),
            "‹U+202E›lqs‹U+2028›‹U+200B›"
        );
        assert_eq!(visible("naïve 日本 👍🏽"), "naïve 日本 👍🏽");
    }
}
