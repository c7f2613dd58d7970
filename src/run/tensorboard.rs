//! Metrics as a TensorBoard event file.

use serde_json::{Map, Value};
use std::fs::File;
use std::io;
use std::path::Path;
use syntaxdot_summary::SummaryWriter;

/// TensorBoard looks for `tfevents` in a name.
pub const FILE: &str = "events.out.tfevents.factory";

/// An event file that is written as the run goes on.
pub struct Events(SummaryWriter<File>);

impl Events {
    /// Begins the file anew.
    pub fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self(SummaryWriter::new(File::create(folder.join(FILE))?)?))
    }

    /// Adds every number of a line of the metrics under its name, at the line's `step`.
    pub fn add(&mut self, line: &Map<String, Value>) -> io::Result<()> {
        let Some(step) = line.get("step").and_then(Value::as_i64) else {
            return Ok(());
        };
        let numbers = line
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_f64()?)));
        for (name, value) in numbers.filter(|(name, _)| *name != "step") {
            self.0.write_scalar(name, step, value as f32)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_number_of_a_line_is_an_event_at_its_step() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = Events::create(dir.path()).unwrap();
        for line in [
            json!({"step": 1, "loss": 0.5, "note": "text"}),
            json!({"step": 2, "loss": 0.25, "lr": 1}),
        ] {
            events.add(line.as_object().unwrap()).unwrap();
        }
        let file = std::fs::read(dir.path().join(FILE)).unwrap();
        let (mut rest, mut found) = (&file[..], Vec::new());
        while !rest.is_empty() {
            // A length, its check sum, that many bytes, their check sum.
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let record = &rest[12..12 + length];
            rest = &rest[16 + length..];
            // The wall time, field 2: the step, field 5: a summary of one value with field 1, a tag, and field 2, a float.
            if let [0x10, step, 0x2a, _, 0x0a, _, 0x0a, length, tag @ ..] = &record[9..] {
                let (tag, value) = tag.split_at(usize::from(*length));
                let value = value.last_chunk().copied().map(f32::from_le_bytes);
                found.push((String::from_utf8(tag.to_vec()).unwrap(), *step, value));
            }
        }
        let wanted = [("loss", 1, 0.5), ("loss", 2, 0.25), ("lr", 2, 1.0)];
        let wanted = wanted.map(|(tag, step, value)| (tag.to_owned(), step, Some(value)));
        assert_eq!(found, wanted);
    }
}
