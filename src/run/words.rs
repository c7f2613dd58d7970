//! Words for people: an error as one line, text out of files, sizes.

/// Most characters printed of an error: a hostile file must not fill the screen with its names.
const MOST: usize = 3000;

/// The error and its causes on one line: messages of SQLite and TOML span lines, candle's carry a
/// backtrace where RUST_BACKTRACE is set, and names out of untrusted files may hold anything.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let message = text.split("\n   0: ").next().unwrap_or(&text);
        let message = message.trim().replace('\n', " ");
        if causes.last() != Some(&message) {
            causes.push(message);
        }
    }
    plain(&causes.join(": "))
}

/// Text out of a file as it may be printed: no control characters, no end of line, not too long.
pub fn plain(text: &str) -> String {
    let mut printed = String::new();
    for c in text.chars().take(MOST) {
        match c.is_control() {
            true => printed.extend(c.escape_default()),
            false => printed.push(c),
        }
    }
    if text.chars().nth(MOST).is_some() {
        printed.push('…');
    }
    printed
}

/// Bytes for people, as GB or MB of 1000.
pub fn size(bytes: usize) -> String {
    match bytes as f64 / 1e6 {
        mb if mb >= 1000.0 => format!("{:.2} GB", mb / 1e3),
        mb => format!("{mb:.0} MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_joined_and_repeated_ones_left_out() {
        let error = anyhow!("deep\n  down").context("outer").context("outer");
        assert_eq!(one_line(&error), "outer: deep   down");
    }

    #[test]
    fn what_a_file_smuggles_in_does_no_harm() {
        let name = "\u{1b}[2J\r".to_string() + &"é".repeat(MOST);
        let line = one_line(&anyhow!(name));
        assert!(line.starts_with("\\u{1b}[2J\\r"), "{line}");
        assert!(line.ends_with("é…"), "{line}");
        assert!(line.chars().count() < MOST + 20);
    }
}
