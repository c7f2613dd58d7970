//! Secrets and personal data by obvious patterns, in every text of a row. What is found is masked.

use super::finding::{Finding, Kind};
use regex::{Regex, RegexSet};
use serde_json::{Map, Value};
use std::ops::Range;
use std::sync::LazyLock;

/// Most characters of a find that are shown, and the part of it that they may be.
const SHOWN: usize = 4;
const PART: usize = 4;

/// What a text may hold, by its looks; and what else must be true of it.
struct Pattern {
    kind: Kind,
    name: &'static str,
    /// The find is the first group, else the whole.
    regex: &'static str,
    check: fn(&str) -> bool,
}

const fn pattern(kind: Kind, name: &'static str, regex: &'static str) -> Pattern {
    let check = |_: &str| true;
    Pattern {
        kind,
        name,
        regex,
        check,
    }
}

const fn checked(name: &'static str, regex: &'static str, check: fn(&str) -> bool) -> Pattern {
    let kind = Kind::Personal;
    Pattern {
        kind,
        name,
        regex,
        check,
    }
}

const PATTERNS: [Pattern; 19] = [
    pattern(
        Kind::Secrets,
        "private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    ),
    pattern(
        Kind::Secrets,
        "AWS access key",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    ),
    pattern(
        Kind::Secrets,
        "GitHub token",
        r"\b(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})\b",
    ),
    pattern(Kind::Secrets, "GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    pattern(
        Kind::Secrets,
        "Slack token",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    ),
    pattern(
        Kind::Secrets,
        "Google API key",
        r"\bAIza[A-Za-z0-9_-]{35}\b",
    ),
    pattern(
        Kind::Secrets,
        "Stripe key",
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b",
    ),
    pattern(
        Kind::Secrets,
        "API key",
        r"\bsk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9_-]{20,}",
    ),
    pattern(
        Kind::Secrets,
        "Hugging Face token",
        r"\bhf_[A-Za-z0-9]{30,}\b",
    ),
    pattern(
        Kind::Secrets,
        "npm or PyPI token",
        r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})",
    ),
    pattern(
        Kind::Secrets,
        "JSON web token",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    pattern(
        Kind::Secrets,
        "password in an address",
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:([^\s/:@]+)@",
    ),
    Pattern {
        kind: Kind::Secrets,
        name: "assigned secret",
        regex: r#"(?i)(?:api[_-]?key|secret|token|passw(?:or)?d|credential)["']?\s*[:=]\s*["']?([A-Za-z0-9+/_=.-]{20,})"#,
        check: mixed,
    },
    checked(
        "e-mail address",
        r"\b[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b",
        anybodys,
    ),
    checked(
        "phone number",
        r"(?:^|[^\w+.])(\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,12})\b",
        |_| true,
    ),
    checked(
        "phone number",
        r"(?:^|[^\w.+-])(\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4})(?:$|[^\w-])",
        |_| true,
    ),
    checked(
        "card number",
        r"(?:^|[^\w.-])((?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2}|35\d{2})([ -]?)\d{4}([ -]?)\d{4}([ -]?)\d{4}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})(?:$|[^\w-])",
        luhn,
    ),
    checked(
        "IBAN",
        r"\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}\b",
        iban,
    ),
    checked(
        "US social security number",
        r"(?:^|[^\w-])([0-8]\d{2}-\d{2}-\d{4})(?:$|[^\w-])",
        |text| !["000", "666"].iter().any(|area| text.starts_with(area)),
    ),
];

/// The patterns, compiled; all of them at once say whether to look for each.
static COMPILED: LazyLock<(RegexSet, Vec<Regex>)> = LazyLock::new(|| {
    let texts = PATTERNS.map(|pattern| pattern.regex);
    fn fixed(error: regex::Error) -> ! {
        unreachable!("the patterns are fixed: {error}")
    }
    let set = RegexSet::new(texts).unwrap_or_else(|error| fixed(error));
    let each = texts.map(|text| Regex::new(text).unwrap_or_else(|error| fixed(error)));
    (set, each.into())
});

/// What all texts of a row hold.
pub fn find(fields: &Map<String, Value>, place: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, value) in fields {
        within(value, key, &mut |field, text| {
            of_text(text, field, place, &mut found)
        });
    }
    found
}

/// Every text of a value, with its place in the row.
fn within(value: &Value, field: &str, each: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => each(field, text),
        Value::Number(number) => each(field, &number.to_string()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                within(item, &format!("{field}[{at}]"), each);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                within(member, &format!("{field}.{key}"), each);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn of_text(text: &str, field: &str, place: &str, found: &mut Vec<Finding>) {
    let (set, each) = &*COMPILED;
    let mut taken: Vec<Range<usize>> = Vec::new();
    for at in set.matches(text) {
        let pattern = &PATTERNS[at];
        for captures in each[at].captures_iter(text) {
            let Some(hit) = captures.get(1).or_else(|| captures.get(0)) else {
                continue;
            };
            let range = hit.range();
            // A key that is assigned is one find, under its own name.
            let inside = |other: &Range<usize>| range.start < other.end && other.start < range.end;
            if taken.iter().any(inside) || !(pattern.check)(hit.as_str()) {
                continue;
            }
            taken.push(range);
            found.push(Finding {
                field: Some(field.to_owned()),
                ..Finding::new(
                    pattern.kind,
                    place,
                    format!("{} {}", pattern.name, masked(hit.as_str())),
                )
            });
        }
    }
}

/// The first characters and how many there are.
fn masked(text: &str) -> String {
    let count = text.chars().count();
    let shown: String = text.chars().take(SHOWN.min(count / PART)).collect();
    format!("{shown}… ({count} characters)")
}

/// Letters and digits, as no word has them.
fn mixed(text: &str) -> bool {
    let has = |is: fn(&char) -> bool| text.chars().filter(is).count() >= 3;
    has(|c| c.is_ascii_digit()) && has(|c| c.is_ascii_alphabetic())
}

/// An address outside of the names that stand for examples (RFC 2606).
fn anybodys(address: &str) -> bool {
    let domain = address.rsplit('@').next().unwrap_or_default();
    let domain = domain.to_ascii_lowercase();
    let labels: Vec<&str> = domain.rsplit('.').collect();
    !matches!(labels[0], "test" | "example" | "invalid" | "localhost")
        && !(labels.get(1) == Some(&"example") && matches!(labels[0], "com" | "net" | "org"))
}

/// Luhn's check of a card's digits, which are not all the same.
fn luhn(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let double = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { double(*digit) } else { *digit })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// The remainder of ISO 13616: the first four characters behind the others, letters as numbers from 10, mod 97 is 1.
fn iban(text: &str) -> bool {
    let all: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    let digits = all[4..].iter().chain(&all[..4]);
    let mut rest = 0;
    for c in digits {
        let Some(value) = c.to_digit(36) else {
            return false;
        };
        rest = (rest * if value > 9 { 100 } else { 10 } + value) % 97;
    }
    (15..=34).contains(&all.len()) && rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(text: &str) -> Vec<String> {
        let row = json!({"a": {"b": ["", text]}});
        let found = find(row.as_object().unwrap(), "f:1");
        for finding in &found {
            assert_eq!(finding.field.as_deref(), Some("a.b[1]"));
        }
        let name = |f: Finding| f.detail.split('…').next().unwrap().to_owned();
        found.into_iter().map(name).collect()
    }

    #[test]
    fn what_looks_like_a_secret_is_one() {
        for (text, expected) in [
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "private key ----"),
            ("key AKIAABCDEFGHIJKLMNOP.", "AWS access key AKIA"),
            (&format!("ghp_{}", "a1".repeat(18)), "GitHub token ghp_"),
            (
                &format!("hf_{}", "aB".repeat(17)),
                "Hugging Face token hf_a",
            ),
            (
                &format!("token='sk-proj-{}'", "a1".repeat(16)),
                "API key sk-p",
            ),
            (
                "postgres://ann:opensesame@db.local/x",
                "password in an address op",
            ),
            ("API_KEY: \"9f8e7d6c5b4a39281706\"", "assigned secret 9f8e"),
            (
                "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
                "JSON web token eyJh",
            ),
        ] {
            assert_eq!(names(text), [expected], "{text}");
        }
        for text in [
            "select password from users where token = 'abc'",
            "risk-management-of-everything-we-do",
            "secret = aLongWordWithoutAnyDigitInIt",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn personal_numbers_must_check_out() {
        for (text, expected) in [
            ("mail ann.lee@mail.school.edu now", "e-mail address ann."),
            ("call +49 170 1234567", "phone number +49"),
            ("call (212) 555-0187.", "phone number (21"),
            ("212-555-0187", "phone number 212"),
            ("card 4111 1111 1111 1111", "card number 4111"),
            ("card 378282246310005", "card number 378"),
            ("to DE89 3704 0044 0532 0130 00", "IBAN DE89"),
            ("ssn 123-45-6789", "US social security number 12"),
        ] {
            assert_eq!(names(text), [expected], "{text}");
        }
        for text in [
            "ann@example.com and bob@mail.test",
            "card 4111 1111 1111 1112",
            "where id between 1000000000 and 2000000000",
            "from 2020-01-01 to 2020-12-31, v1.2.3.4",
            "DE88 3704 0044 0532 0130 00",
            "a + 12345678 > 5, 1e+12345678",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }
}
