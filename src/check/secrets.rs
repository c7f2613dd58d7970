//! Secrets and personal data by obvious patterns, in every text of a row. What is found is masked.

use super::finding::{Finding, Kind};
use crate::data::private;
use serde_json::{Map, Value};

/// Most characters of a find that are shown, and the part of it that they may be.
const SHOWN: usize = 4;
const PART: usize = 4;

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
    found.extend(private::find(text).into_iter().map(|private| {
        let kind = match private.kind {
            private::Kind::Secret => Kind::Secrets,
            private::Kind::Personal => Kind::Personal,
        };
        let detail = format!("{} {}", private.name, masked(&text[private.range]));
        Finding {
            field: Some(field.to_owned()),
            ..Finding::new(kind, place, detail)
        }
    }));
}

/// The first characters and how many there are.
fn masked(text: &str) -> String {
    let count = text.chars().count();
    let shown: String = text.chars().take(SHOWN.min(count / PART)).collect();
    format!("{shown}… ({count} characters)")
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
