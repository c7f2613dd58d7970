//! Words for people: an error as one line, text out of files, sizes, times.

use std::time::Duration;

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

/// Bytes, such as a digest, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time in seconds, such as `30 s`.
pub fn duration(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// Bytes for people, as GB or MB of 1000.
pub fn size(bytes: usize) -> String {
    match bytes as f64 / 1e6 {
        mb if mb >= 1000.0 => format!("{:.2} GB", mb / 1e3),
        mb if mb < 1.0 => format!("{:.0} kB", mb * 1e3),
        mb => format!("{mb:.0} MB"),
    }
}

/// How many bytes `text` says: a number and a unit, of 1000 or, with an i, of 1024.
pub fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let factor = match unit.to_ascii_lowercase().as_str() {
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("give a number with a unit: 512MB, 2GB or 1GiB".into()),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * factor < 1e15 => Ok((number * factor) as usize),
        _ => Err(format!("{:?} is no size", plain(number.trim()))),
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
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("512MB", 512_000_000),
            ("1.5 gb", 1_500_000_000),
            ("3KiB", 3072),
            ("2GiB", 2 << 30),
            ("1mib", 1 << 20),
            ("7kB", 7_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in [
            "512", "", "MB", "-1MB", "0GB", "nanGB", "1e30GB", "2TB", "1 2MB",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_in_seconds() {
        assert_eq!(duration(Duration::from_secs(30)), "30 s");
        assert_eq!(duration(Duration::from_millis(250)), "0.25 s");
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
