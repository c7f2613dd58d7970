//! What the server says of its calls: a line before each and one after it, each a JSON object.

use crate::run::observer::Observer;
use crate::run::words::plain;
use regex::Regex;
use rmcp::model::{JsonObject, RequestId};
use serde_json::{Value, json};
use std::fmt::Arguments;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Takes a line.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// The log. Calls are counted over all clients, whose own numbers may be the same.
#[derive(Clone)]
pub struct Log {
    sink: Sink,
    calls: Arc<AtomicU64>,
    /// A URL, which a client may send where a name belongs, may have a password in it.
    password: Option<Regex>,
}

/// How a call ended.
pub enum Outcome<'o> {
    Ok,
    Error(&'o str),
    Cancelled,
}

/// A call whose end is to be told.
pub struct Entry<'l> {
    log: &'l Log,
    call: u64,
    tool: String,
    begun: Instant,
}

impl Log {
    pub fn new(sink: Sink) -> Self {
        Self {
            sink,
            calls: Arc::default(),
            // The pattern is a constant, and right.
            password: Regex::new(r#"(://)[^\s"'\\]*(?:@|password=)[^\s"'\\]*"#).ok(),
        }
    }

    /// Tells what happened beside calls.
    pub fn event(&self, event: &str, text: &str) {
        self.line(json!({"event": event, "text": self.safe(text)}));
    }

    /// Tells that a call begins. Parameters are as they came, the first 3,000 characters of them.
    pub fn begin(&self, tool: &str, id: &RequestId, parameters: &JsonObject) -> Entry<'_> {
        let call = self.calls.fetch_add(1, Relaxed) + 1;
        let tool = plain(tool);
        let parameters = serde_json::to_string(parameters).unwrap_or_default();
        self.line(json!({"event": "call", "call": call, "id": id, "tool": tool, "params": self.safe(&parameters)}));
        Entry {
            log: self,
            call,
            tool,
            begun: Instant::now(),
        }
    }

    fn safe(&self, text: &str) -> String {
        match &self.password {
            Some(password) => plain(&password.replace_all(text, "$1***")),
            None => String::new(),
        }
    }

    fn line(&self, line: Value) {
        (self.sink)(&line.to_string());
    }
}

impl Entry<'_> {
    /// Tells how the call ended.
    pub fn end(self, outcome: &Outcome) {
        let (outcome, error) = match outcome {
            Outcome::Ok => ("ok", None),
            Outcome::Error(error) => ("error", Some(self.log.safe(error))),
            Outcome::Cancelled => ("cancelled", None),
        };
        let ms = self.begun.elapsed().as_millis() as u64;
        let mut line = json!({"event": "done", "call": self.call, "tool": self.tool, "outcome": outcome, "ms": ms});
        if let Some(error) = error {
            line["error"] = error.into();
        }
        self.log.line(line);
    }
}

impl Observer for Log {
    fn note(&self, line: Arguments) {
        self.event("note", &line.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_call_has_two_lines_and_no_password() {
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = lines.clone();
        let log = Log::new(Arc::new(move |line| {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(line).unwrap());
        }));
        let parameters =
            json!({"connectionId": "postgres://me:hunter2@host/shop", "sql": "x".repeat(9_000)});
        let entry = log.begin(
            "sql_execution",
            &RequestId::Number(7),
            parameters.as_object().unwrap(),
        );
        entry.end(&Outcome::Error("no postgres://me:hunter2@host/shop"));
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0]["event"], "call");
        assert_eq!(lines[0]["id"], 7);
        let shown = lines[0]["params"].as_str().unwrap();
        assert!(shown.contains("postgres://***\"") && shown.ends_with('…'));
        assert_eq!(lines[1]["error"], "no postgres://***");
        assert_eq!(lines[1]["call"], 1);
        assert!(lines[1]["ms"].is_u64());
        assert!(!format!("{lines:?}").contains("hunter2"));
    }
}
