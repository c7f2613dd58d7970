//! The fields of a request, each taken by its name; what is left at the end is refused.

use super::error::ApiError;
use serde_json::{Map, Value};

/// What is not taken yet.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Those of a body.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::request("the body is no JSON object")),
            Err(error) => Err(ApiError::request(format!("the body is no JSON: {error}"))),
        }
    }

    /// Those of an object in a field.
    pub fn of(name: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ApiError::field(name, format!("{name} is no object"))),
        }
    }

    /// `None` where it is not there or null.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        // The order of what is left decides which is named.
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(name, format!("{name} is no string"))),
        }
    }

    /// A number of `least` to `most`.
    pub fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("{name} is no number from {least} to {most}");
                Err(ApiError::field(name, message))
            }
        }
    }

    /// A whole number of `least` to `most`.
    pub fn count(
        &mut self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        match count {
            Some(count) if (least..=most).contains(&count) => Ok(Some(count)),
            _ => {
                let message = format!("{name} is no whole number from {least} to {most}");
                Err(ApiError::field(name, message))
            }
        }
    }

    /// True or false; false where it is not there.
    pub fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    /// True or false.
    pub fn choice(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(ApiError::field(
                name,
                format!("{name} is neither true nor false"),
            )),
        }
    }

    /// A whole number, any that fits 64 bits; one by chance where it is not there.
    pub fn seed(&mut self) -> Result<u64, ApiError> {
        let name = "seed";
        let Some(value) = self.value(name) else {
            return Ok(rand::random());
        };
        let seed = value.as_u64().or(value.as_i64().map(i64::cast_unsigned));
        seed.ok_or_else(|| ApiError::field(name, "seed is no whole number of 64 bits"))
    }

    /// Takes a field if it is this number.
    pub fn is(&mut self, name: &str, number: i64) -> bool {
        let is = self.0.get(name).and_then(Value::as_i64) == Some(number);
        if is {
            self.0.shift_remove(name);
        }
        is
    }

    /// A text or several.
    pub fn texts(&mut self, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
        let refused = |what: &str| ApiError::field(name, format!("{name} {what}"));
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(texts)) if texts.len() <= most => {
                let text = |value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(refused("has what is no string")),
                };
                texts.into_iter().map(text).collect()
            }
            Some(Value::Array(_)) => Err(refused(&format!("has more than {most} strings"))),
            Some(_) => Err(refused("is neither a string nor a list of them")),
        }
    }

    /// Takes fields that change no answer.
    pub fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.0.shift_remove(*name);
        }
    }

    /// Takes fields that change no answer with this value, which is their default.
    pub fn only(&mut self, name: &str, value: Value) -> Result<(), ApiError> {
        let same = |found: &Value| match (found.as_f64(), value.as_f64()) {
            (Some(found), Some(value)) => found == value,
            _ => *found == value,
        };
        match self.value(name) {
            Some(found) if !same(&found) => {
                let message = format!("{name} can only be {value} here, which is its default");
                Err(ApiError::field(name, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what is left.
    pub fn end(self) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} is not known here");
                Err(ApiError::field(name, message))
            }
        }
    }
}
