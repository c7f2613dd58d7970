//! How secrets and personal data look.

use super::Kind;

/// What a text may hold, by its looks; and what else must be true of it.
pub struct Pattern {
    pub kind: Kind,
    pub name: &'static str,
    /// The find is the first group, else the whole.
    pub regex: &'static str,
    pub check: fn(&str) -> bool,
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

/// All of them.
pub const PATTERNS: [Pattern; 19] = [
    pattern(
        Kind::Secret,
        "private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    ),
    pattern(
        Kind::Secret,
        "AWS access key",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    ),
    pattern(
        Kind::Secret,
        "GitHub token",
        r"\b(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})\b",
    ),
    pattern(Kind::Secret, "GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    pattern(
        Kind::Secret,
        "Slack token",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    ),
    pattern(Kind::Secret, "Google API key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    pattern(
        Kind::Secret,
        "Stripe key",
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b",
    ),
    pattern(
        Kind::Secret,
        "API key",
        r"\bsk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9_-]{20,}",
    ),
    pattern(
        Kind::Secret,
        "Hugging Face token",
        r"\bhf_[A-Za-z0-9]{30,}\b",
    ),
    pattern(
        Kind::Secret,
        "npm or PyPI token",
        r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})",
    ),
    pattern(
        Kind::Secret,
        "JSON web token",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    pattern(
        Kind::Secret,
        "password in an address",
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:([^\s/:@]+)@",
    ),
    Pattern {
        kind: Kind::Secret,
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
    !matches!(
        labels[..],
        ["test" | "example" | "invalid" | "localhost", ..] | ["com" | "net" | "org", "example", ..]
    )
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
