//! Times as Python prints them, out of the texts of PostgreSQL and DuckDB.

use crate::db::cell::Kind;

/// A moment as Python's classes of it write it: ISO 8601, and an interval as days and hours. A text that is no moment of theirs, such as
/// `infinity`, stays as it is.
pub fn shown(kind: Kind, text: &str) -> String {
    let written = match kind {
        Kind::Date => None,
        Kind::Time | Kind::TimeTz => clock(text),
        Kind::Timestamp | Kind::TimestampTz => text
            .split_once(' ')
            .and_then(|(day, time)| Some(format!("{day}T{}", clock(time)?))),
        Kind::Interval => interval(text),
    };
    written.unwrap_or_else(|| text.to_owned())
}

/// `12:00:00.5+02` as `12:00:00.500000+02:00`.
fn clock(text: &str) -> Option<String> {
    let zone = text.find(['+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone);
    if !time.starts_with(|c: char| c.is_ascii_digit()) || time.contains(' ') {
        return None;
    }
    let time = match time.split_once('.') {
        Some((time, fraction)) => format!("{time}.{fraction:0<6}"),
        None => time.to_owned(),
    };
    let minutes = if zone.len() == 3 { ":00" } else { "" };
    Some(format!("{time}{zone}{minutes}"))
}

/// `1 year 2 mons 3 days -04:05:06.5` as a timedelta, in which a year has 365 days and a month 30.
fn interval(text: &str) -> Option<String> {
    const SECOND: i128 = 1_000_000;
    const DAY: i128 = 86_400 * SECOND;
    let mut whole: i128 = 0;
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            whole += time(word)?;
            continue;
        }
        let count: i128 = word.parse().ok()?;
        whole += count
            * DAY
            * match words.next()? {
                "year" | "years" => 365,
                "mon" | "mons" | "month" | "months" => 30,
                "day" | "days" => 1,
                _ => return None,
            };
    }
    let (days, rest) = (whole.div_euclid(DAY), whole.rem_euclid(DAY));
    let (seconds, micros) = (rest / SECOND, rest % SECOND);
    let days = match days {
        0 => String::new(),
        1 | -1 => format!("{days} day, "),
        days => format!("{days} days, "),
    };
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut written = format!("{days}{hours}:{minutes:02}:{:02}", seconds % 60);
    if micros > 0 {
        written.push_str(&format!(".{micros:06}"));
    }
    Some(written)
}

/// Microseconds of `-04:05:06.5`.
fn time(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.trim_start_matches('+')),
    };
    let mut parts = text.split(':');
    let hours: i128 = parts.next()?.parse().ok()?;
    let minutes: i128 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        None => ("0", ""),
    };
    let seconds: i128 = seconds.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_python_writes_them() {
        for (kind, text, expected) in [
            (Kind::Date, "2024-02-29", "2024-02-29"),
            (
                Kind::Timestamp,
                "2024-02-29 12:00:00",
                "2024-02-29T12:00:00",
            ),
            (
                Kind::TimestampTz,
                "2024-02-29 12:00:00.5+00",
                "2024-02-29T12:00:00.500000+00:00",
            ),
            (Kind::Timestamp, "infinity", "infinity"),
            (Kind::Time, "12:00:00.25", "12:00:00.250000"),
            (Kind::TimeTz, "12:00:00-05:30", "12:00:00-05:30"),
            (Kind::Interval, "1 day 02:03:04", "1 day, 2:03:04"),
            (Kind::Interval, "1 year 2 mons 3 days", "428 days, 0:00:00"),
            (Kind::Interval, "-00:00:01", "-1 day, 23:59:59"),
            (Kind::Interval, "00:00:00.5", "0:00:00.500000"),
            (Kind::Interval, "-1 days +02:03:00", "-1 day, 2:03:00"),
            (Kind::Interval, "3 lightyears", "3 lightyears"),
        ] {
            assert_eq!(shown(kind, text), expected, "{text}");
        }
    }
}
