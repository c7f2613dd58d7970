//! One row: what it says, and how it was written.

use anyhow::{Result, bail, ensure};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Deepest nesting of a row.
const MAX_DEPTH: usize = 100;

/// One row and where it stood. Serialised, its fields are as they were written, to the digit: numbers of any size, keys that
/// are there twice.
#[derive(Clone, Debug)]
pub struct Line {
    /// 1-based line number in the file, blank lines counted.
    pub number: usize,
    /// In the order of the file; of a repeated key the last value, and of a number beyond a double the largest one.
    fields: Map<String, Value>,
    /// Every field as it was written; `None` for one that was set.
    written: Vec<(String, Option<Box<RawValue>>)>,
    /// Fields that hold an object with a repeated key, and that key.
    repeated: BTreeMap<String, String>,
}

impl Line {
    /// A row that no file has.
    pub fn new(number: usize, fields: Map<String, Value>) -> Self {
        Self {
            number,
            written: fields.keys().map(|key| (key.clone(), None)).collect(),
            fields,
            repeated: BTreeMap::new(),
        }
    }

    /// The row that `text` is; an error says what is wrong in which column.
    pub fn parse(number: usize, text: &str) -> Result<Self> {
        let reader = Reader(text);
        if !text.starts_with('{') {
            let value = reader.parse::<Value>(text)?;
            bail!("must be a JSON object, found {}", kind(&value));
        }
        let Members(members) = reader.parse(text)?;
        let mut line = Self::new(number, Map::new());
        for (key, raw) in members {
            let mut repeated = None;
            let value = reader.value(raw.get(), 1, &mut repeated)?;
            if let Some(inner) = repeated {
                line.repeated.insert(key.clone(), inner);
            }
            line.fields.insert(key.clone(), value);
            line.written.push((key, Some(raw.to_owned())));
        }
        Ok(line)
    }

    /// What the row says.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// What the row says, and nothing else of it.
    pub fn into_fields(self) -> Map<String, Value> {
        self.fields
    }

    /// The row's name, which many data sets give as a number.
    pub fn id(&self) -> Option<String> {
        match self.fields.get("id")? {
            Value::String(id) => Some(id.clone()),
            // A long number is no double.
            id @ Value::Number(_) => {
                Some(self.raw("id").map_or_else(|| id.to_string(), str::to_owned))
            }
            _ => None,
        }
    }

    /// Gives a field another value, in its place, or behind the others where the row lacks it.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.repeated.remove(field);
        self.fields.insert(field.to_owned(), value.into());
        let first = self.written.iter().position(|(key, _)| key == field);
        let mut at = 0..;
        self.written
            .retain(|(key, _)| at.next() == first || key != field);
        match first {
            Some(first) => self.written[first].1 = None,
            None => self.written.push((field.to_owned(), None)),
        }
    }

    /// Takes fields out, and puts others in the place of the first of them, or behind the rest.
    pub fn replace(&mut self, fields: &[&str], with: Map<String, Value>) {
        let gone = |key: &str| fields.contains(&key);
        let at = self.written.iter().position(|(key, _)| gone(key));
        self.written.retain(|(key, _)| !gone(key));
        // None of those before the first was taken out.
        let at = at.unwrap_or(self.written.len());
        let new = with.keys().map(|key| (key.clone(), None));
        self.written.splice(at..at, new);
        self.fields.retain(|key, _| !gone(key));
        self.repeated.retain(|key, _| !gone(key));
        self.fields.extend(with);
    }

    /// A field's text in the file.
    pub fn raw(&self, field: &str) -> Option<&str> {
        let (_, raw) = self.written.iter().rfind(|(key, _)| key == field)?;
        Some(raw.as_ref()?.get())
    }

    /// A field that is read for its meaning: `None` where it is missing or null. Errors where a key is there twice, for
    /// readers do not agree on which one counts.
    pub fn value(&self, path: &Path, field: &str) -> Result<Option<&Value>> {
        let place = || format!("{}:{}", path.display(), self.number);
        if let Some(key) = self.repeated.get(field) {
            bail!("{}: field \"{field}\" has the key {key:?} twice", place());
        }
        let times = self.written.iter().filter(|(key, _)| key == field).count();
        ensure!(times < 2, "{}: field \"{field}\" is there twice", place());
        Ok(self.fields.get(field).filter(|value| !value.is_null()))
    }

    /// The text of a required field; an error names `file:line` and the field when it is missing or no string.
    pub fn str(&self, path: &Path, field: &str) -> Result<&str> {
        let place = || format!("{}:{}: field \"{field}\"", path.display(), self.number);
        match self.value(path, field)? {
            Some(Value::String(text)) => Ok(text),
            Some(other) => bail!("{} must be a string, found {}", place(), kind(other)),
            None if self.fields.contains_key(field) => bail!("{} is null", place()),
            None => bail!("{} is missing", place()),
        }
    }

    /// The text of an optional field: `None` when it is missing or null, an error when it is something else.
    pub fn optional_str(&self, path: &Path, field: &str) -> Result<Option<&str>> {
        match self.value(path, field)? {
            None => Ok(None),
            Some(_) => self.str(path, field).map(Some),
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.written.len()))?;
        for (key, raw) in &self.written {
            match raw {
                Some(raw) => map.serialize_entry(key, raw)?,
                None => map.serialize_entry(key, &self.fields.get(key))?,
            }
        }
        map.end()
    }
}

/// An object's members as they are written, repeated keys and all.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// Reads parts of a line.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// `part` of the line as one type.
    fn parse<T: Deserialize<'a>>(&self, part: &'a str) -> Result<T> {
        serde_json::from_str(part).map_err(|error| {
            let before = part.as_ptr() as usize - self.0.as_ptr() as usize;
            let column = before + error.column();
            // Python writes them, JSON has none of them.
            let names = [("-Infinity", 2), ("Infinity", 1), ("NaN", 1)];
            let is_here = |(name, back): &(&str, usize)| {
                let from = self.0.get(column.saturating_sub(*back)..);
                from.is_some_and(|text| text.starts_with(name))
            };
            if let Some((name, _)) = names.into_iter().find(is_here) {
                return anyhow::anyhow!(
                    "not JSON: {name} at column {column} is no value of JSON; write null, or leave the field out"
                );
            }
            let message = error.to_string();
            // Serde's own place says "line 1", which is wrong in a file of many lines.
            let reason = message.split(" at line ").next().unwrap_or(&message);
            anyhow::anyhow!(
                "not JSON: {reason} at column {column}; every line must be one JSON object"
            )
        })
    }

    /// What `part` of the line says; `repeated` becomes a key that one of its objects has twice.
    fn value(&self, part: &'a str, depth: usize, repeated: &mut Option<String>) -> Result<Value> {
        ensure!(depth < MAX_DEPTH, "nested deeper than {MAX_DEPTH} levels");
        Ok(match part.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = self.parse(part)?;
                let mut map = Map::new();
                for (key, raw) in members {
                    let value = self.value(raw.get(), depth + 1, repeated)?;
                    if map.insert(key.clone(), value).is_some() {
                        *repeated = Some(key);
                    }
                }
                Value::Object(map)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = self.parse(part)?;
                let items = items.into_iter();
                let items = items.map(|raw| self.value(raw.get(), depth + 1, repeated));
                Value::Array(items.collect::<Result<_>>()?)
            }
            // The one number that is refused is one beyond a double.
            Some(b'-') => serde_json::from_str(part).unwrap_or(f64::MIN.into()),
            Some(b'0'..=b'9') => serde_json::from_str(part).unwrap_or(f64::MAX.into()),
            _ => self.parse(part)?,
        })
    }
}

/// What a value is, in a word.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Line {
        Line::parse(1, text).unwrap()
    }

    #[test]
    fn a_row_is_written_as_it_was_read() {
        let text = r#"{"id":98765432109876543210,"a":1.0,"b":-0,"c":1e400,"d":[1.50,{"k":1,"k":2}],"a":"\u00e9","e":1E2}"#;
        let mut line = parse(text);
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        assert_eq!(line.raw("id"), Some("98765432109876543210"));
        assert_eq!(line.fields()["c"], f64::MAX);
        assert_eq!(line.fields()["a"], "é");
        line.set("a", "new");
        line.set("z", 7);
        let expected = text.replace(r#""a":1.0"#, r#""a":"new""#);
        let expected = expected
            .replace(r#","a":"\u00e9""#, "")
            .replace('}', "")
            .replace("1E2", r#"1E2,"z":7"#);
        let written = serde_json::to_string(&line).unwrap();
        assert_eq!(written.replace('}', ""), expected);
        assert_eq!(line.value(Path::new("f"), "a").unwrap().unwrap(), "new");
        let made = Line::new(1, line.fields().clone());
        assert!(
            serde_json::to_string(&made)
                .unwrap()
                .starts_with(r#"{"id":9.87"#)
        );
    }

    #[test]
    fn a_repeated_key_is_refused_where_it_is_read() {
        let line = parse(r#"{"a":1,"a":2,"b":[{"c":{"d":1,"d":1}}],"e":1}"#);
        let read = |field| line.value(Path::new("f.jsonl"), field);
        assert_eq!(read("e").unwrap().unwrap(), 1);
        assert_eq!(
            read("a").unwrap_err().to_string(),
            "f.jsonl:1: field \"a\" is there twice"
        );
        assert_eq!(
            read("b").unwrap_err().to_string(),
            "f.jsonl:1: field \"b\" has the key \"d\" twice"
        );
    }

    #[test]
    fn a_field_must_be_there_and_a_string() {
        let line = parse(r#"{"n":1,"z":null}"#);
        let message = |field| {
            line.str(Path::new("f.jsonl"), field)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(message("x"), "f.jsonl:1: field \"x\" is missing");
        assert_eq!(message("z"), "f.jsonl:1: field \"z\" is null");
        assert_eq!(
            message("n"),
            "f.jsonl:1: field \"n\" must be a string, found number"
        );
        assert_eq!(line.optional_str(Path::new("f"), "z").unwrap(), None);
        assert!(line.optional_str(Path::new("f"), "n").is_err());
    }

    #[test]
    fn errors_say_what_is_wrong_where() {
        for (text, expected) in [
            (r#"{"a": tru}"#, "expected ident at column 10"),
            (
                r#"{"a": [1, NaN]}"#,
                "not JSON: NaN at column 11 is no value",
            ),
            (
                r#"{"a": -Infinity}"#,
                "not JSON: -Infinity at column 8 is no value",
            ),
            (r#"{"é": "\ud83d"}"#, "at column 15"),
            (r#"[1]"#, "must be a JSON object, found array"),
            ("7", "must be a JSON object, found number"),
        ] {
            let error = Line::parse(1, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let error = Line::parse(1, &deep).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 100 levels"), "{error}");
    }
}
