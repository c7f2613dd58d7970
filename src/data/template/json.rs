//! JSON as Python's `json.dumps` writes it, which is what models saw of tools and arguments.

use crate::sql::python;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Deepest nesting that is written.
const DEEPEST: usize = 128;

/// The filter `tojson` as transformers defines it.
pub fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let wrong = |message: &str| Error::new(ErrorKind::InvalidOperation, message.to_owned());
    if options
        .get::<Option<bool>>("ensure_ascii")?
        .unwrap_or(false)
    {
        return Err(wrong("tojson with ensure_ascii is not supported"));
    }
    let indent = options.get::<Option<Value>>("indent")?;
    let indent = indent.filter(|indent| !indent.is_none());
    let indent = match indent {
        None => None,
        Some(indent) => Some(match (indent.as_str(), indent.as_usize()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(spaces)) if spaces <= 64 => " ".repeat(spaces),
            _ => return Err(wrong("tojson: indent is no number of spaces")),
        }),
    };
    let separators = options.get::<Option<Value>>("separators")?;
    let separators = separators.filter(|separators| !separators.is_none());
    let (item, key) = match &separators {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some(pair) => {
            let texts: Option<Vec<String>> = pair
                .try_iter()?
                .map(|text| text.as_str().map(str::to_owned))
                .collect();
            match texts.as_deref() {
                Some([item, key]) => (item.clone(), key.clone()),
                _ => return Err(wrong("tojson: separators are two texts")),
            }
        }
    };
    let sort = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut writer = Writer {
        out: String::new(),
        item,
        key,
        indent,
        sort,
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// JSON with a space behind each comma and colon, as `json.dumps` writes it by default.
pub fn dumps(json: &serde_json::Value) -> anyhow::Result<String> {
    let mut writer = Writer {
        out: String::new(),
        item: ", ".to_owned(),
        key: ": ".to_owned(),
        indent: None,
        sort: false,
    };
    writer.value(&value(json), 0)?;
    Ok(writer.out)
}

/// JSON for a template. Numbers are as Python reads them: whole ones exact, others double.
pub fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::String(text) => Value::from(text),
        Json::Number(number) => match number.to_string().parse::<i128>() {
            Ok(whole) => Value::from(whole),
            Err(_) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(fields) => {
            let fields = fields.iter();
            Value::from_pairs(fields.map(|(name, field)| (name.as_str(), value(field))))
        }
    }
}

struct Writer {
    out: String,
    item: String,
    key: String,
    indent: Option<String>,
    sort: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            let message = "tojson: nested too deeply";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        match value.kind() {
            ValueKind::None => self.out += "null",
            ValueKind::Bool => {
                self.out += match value.is_true() {
                    true => "true",
                    false => "false",
                }
            }
            ValueKind::Number => self.out += &number(value),
            ValueKind::String => self.out += &quoted(value.as_str().unwrap_or_default()),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                let keys = keys.into_iter().map(|key| (Some(key.clone()), key));
                self.list(value, keys.collect(), ['{', '}'], depth)?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item));
                self.list(value, items.collect(), ['[', ']'], depth)?;
            }
            other => {
                let message = format!("tojson: {other} is not JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    /// A list of items, or of the values of keys.
    fn list(
        &mut self,
        whole: &Value,
        entries: Vec<(Option<Value>, Value)>,
        [open, close]: [char; 2],
        depth: usize,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = entries.is_empty();
        for (i, (key, item)) in entries.into_iter().enumerate() {
            if i > 0 {
                self.out += &self.item.clone();
            }
            self.line(depth + 1);
            match key {
                None => self.value(&item, depth + 1)?,
                Some(key) => {
                    let name = key.as_str().map_or(key.to_string(), str::to_owned);
                    self.out += &quoted(&name);
                    self.out += &self.key.clone();
                    self.value(&whole.get_item(&key)?, depth + 1)?;
                }
            }
        }
        if !empty {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out += &indent.repeat(depth);
        }
    }
}

/// Python escapes what JSON must and nothing else, as serde_json does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number as Python's `repr` writes it.
pub fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => python::real(float),
        _ => value.to_string(),
    }
}
