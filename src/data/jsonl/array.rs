//! A JSON array of objects, read one after another.

use super::source::{Limited, Source};
use super::{Each, Line};
use anyhow::{Context, Error, Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::cell::Cell;
use std::fmt;
use std::path::Path;

/// Hands on the objects; the number of each is its place in the array, from 1.
pub fn each(source: &mut Source, longest: u64, each: Each) -> Result<()> {
    let path = source.path.to_owned();
    source.skip_mark()?;
    let left = Cell::new(longest);
    let text = Limited {
        source,
        left: &left,
    };
    let mut objects = Objects {
        path: &path,
        left: &left,
        longest,
        each,
        number: 0,
        fault: None,
    };
    let mut json = serde_json::Deserializer::from_reader(text);
    let read = DeserializeSeed::deserialize(&mut objects, &mut json);
    let read = read.and_then(|()| json.end());
    let (number, fault) = (objects.number, objects.fault);
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            let place = format!("{}:{}", path.display(), number + 1);
            Err(if error.is_eof() {
                anyhow!("{place}: the file ends before its array does: is it cut short?")
            } else if error.is_io() {
                anyhow!("{place}: cannot be read: {error}; a row may have {longest} bytes")
            } else {
                anyhow!("{place}: not JSON: {error}; write an array of objects")
            })
        }
    }
}

struct Objects<'a> {
    path: &'a Path,
    /// How many bytes may still be read.
    left: &'a Cell<u64>,
    longest: u64,
    each: Each<'a>,
    number: usize,
    /// What ended the reading, if it was no JSON.
    fault: Option<Error>,
}

impl<'de> DeserializeSeed<'de> for &mut Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(object) = array.next_element::<Box<RawValue>>()? {
            self.left.set(self.longest);
            self.number += 1;
            let row = Line::parse(self.number, &compact(object.get()));
            let row = row.with_context(|| format!("{}:{}", self.path.display(), self.number));
            if let Err(fault) = (self.each)(self.number, row) {
                self.fault = Some(fault);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// JSON without the white space between its parts: a row is one line when it is written.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = move |c: &char| {
        if in_string {
            (in_string, escaped) = (*c != '"' || escaped, *c == '\\' && !escaped);
            return true;
        }
        in_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}
