//! Dates, times and intervals in DuckDB's own text.

use std::fmt::Write;

const DAY: i64 = 86_400;
/// Ticks a second of what DuckDB counts in microseconds.
pub const MICROS: u32 = 1_000_000;

/// Days since 1970-01-01; the largest and its negative are the infinities.
pub fn date(days: i32) -> String {
    match infinity(days.into(), i32::MAX.into()) {
        Some(infinity) => infinity,
        None => day(days.into()),
    }
}

/// Ticks since midnight, `a_second` of which are a second.
pub fn time(ticks: u64, a_second: u32) -> String {
    let (seconds, rest) = (ticks / u64::from(a_second), ticks % u64::from(a_second));
    let (minutes, second) = (seconds / 60, seconds % 60);
    let clock = format!("{:02}:{:02}:{second:02}", minutes / 60, minutes % 60);
    let width = a_second.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    match fraction.trim_end_matches('0') {
        "" => clock,
        digits => format!("{clock}.{digits}"),
    }
}

/// A time with an offset: 40 bits of microseconds, then 24 bits that count down from the largest offset, in seconds.
pub fn time_tz(bits: u64) -> String {
    const LARGEST: i64 = 16 * 3600 - 1;
    let offset = LARGEST - (bits & 0xFF_FFFF) as i64;
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, rest) = (offset.abs() / 3600, offset.abs() % 3600);
    let mut text = format!("{}{sign}{hours:02}", time(bits >> 24, MICROS));
    if rest != 0 {
        text += &format!(":{:02}", rest / 60);
    }
    if rest % 60 != 0 {
        text += &format!(":{:02}", rest % 60);
    }
    text
}

/// Ticks since 1970-01-01 00:00, `a_second` of which are a second; the largest and its negative are the infinities.
pub fn timestamp(ticks: i64, a_second: u32) -> String {
    match infinity(ticks, i64::MAX) {
        Some(infinity) => infinity,
        None => {
            let a_day = DAY * i64::from(a_second);
            let (days, rest) = (ticks.div_euclid(a_day), ticks.rem_euclid(a_day));
            format!("{} {}", day(days), time(rest.unsigned_abs(), a_second))
        }
    }
}

/// The same in microseconds, of a moment that is written in UTC.
pub fn timestamp_tz(ticks: i64) -> String {
    match infinity(ticks, i64::MAX) {
        Some(infinity) => infinity,
        None => timestamp(ticks, MICROS) + "+00",
    }
}

/// Months, days and microseconds, each with a sign of its own.
pub fn interval(months: i32, days: i32, micros: i64) -> String {
    let parts = [(months / 12, "year"), (months % 12, "month"), (days, "day")];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
        let plural = if count.unsigned_abs() == 1 { "" } else { "s" };
        let blank = if text.is_empty() { "" } else { " " };
        // A String takes whatever is written.
        let _ = write!(text, "{blank}{count} {unit}{plural}");
    }
    if micros != 0 || text.is_empty() {
        let blank = if text.is_empty() { "" } else { " " };
        let sign = if micros < 0 { "-" } else { "" };
        text += &format!("{blank}{sign}{}", time(micros.unsigned_abs(), MICROS));
    }
    text
}

fn infinity(value: i64, largest: i64) -> Option<String> {
    match value {
        _ if value == largest => Some("infinity".to_owned()),
        _ if value == -largest => Some("-infinity".to_owned()),
        _ => None,
    }
}

/// The day so many days after 1970-01-01 in the Gregorian calendar, which DuckDB reckons back without end.
fn day(days: i64) -> String {
    // Years begin in March here, so that the leap day is a year's last; 719,468 days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day_of_month = day - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let year = era * 400 + year + i64::from(month <= 2);
    match year {
        1.. => format!("{year:04}-{month:02}-{day_of_month:02}"),
        _ => format!("{:04}-{month:02}-{day_of_month:02} (BC)", 1 - year),
    }
}
