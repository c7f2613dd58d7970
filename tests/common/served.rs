//! A server of this program's, and what it answers.

use super::common::{golden, tiny};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It ends with this.
pub struct Served {
    pub child: Child,
    pub address: String,
}

/// What was answered.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

#[allow(dead_code)] // each test file uses some
impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The data of an event stream, the last of which is [DONE].
    pub fn events(&self) -> Vec<Value> {
        let lines = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let mut lines: Vec<&str> = lines.collect();
        assert_eq!(lines.pop(), Some("[DONE]"), "{}", self.body);
        let read = |line: &&str| serde_json::from_str(line).unwrap();
        lines.iter().map(read).collect()
    }
}

#[allow(dead_code)] // each test file uses some
impl Served {
    /// Serves at any port.
    pub fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(["serve", "--port", "0", "--device", "cpu"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once(" at http://")?.1.to_owned())
        });
        let address = address.expect("it says where it serves");
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// A connection on which a request was sent.
    pub fn send(&self, line: &str, body: &[u8]) -> TcpStream {
        self.send_with(line, &format!("Host: {}", self.address), body)
    }

    /// The same, with headers, of which one is the host.
    pub fn send_with(&self, line: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // It may be refused before it is read.
        let _ = stream.write_all(body);
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        receive(self.send(&format!("GET {path}"), b""))
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        receive(self.send(&format!("POST {path}"), body.to_string().as_bytes()))
    }

    /// Waits until it says so.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn slots(&self) -> usize {
        self.get("/slots").json().as_array().unwrap().len()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The response of a connection that the server closes.
pub fn receive(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // A body that was refused unread may reset the connection behind the response.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let head = head.to_ascii_lowercase();
    let body = match head.contains("transfer-encoding: chunked") {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Reply {
        status: status.unwrap_or(0),
        head,
        body,
    }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &rest[..length];
        text = &rest[length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}

#[allow(dead_code)] // each test file uses some
pub const CHAT: &str = "/v1/chat/completions";

pub fn adapter(name: &str) -> String {
    format!("{name}={}", golden(&format!("tiny-llama-{name}")).display())
}

/// Serves the tiny base with two adapters.
pub fn start(flags: &[&str]) -> Served {
    let (base, lora, dora) = (tiny(), adapter("lora"), adapter("dora"));
    let own = ["--base", &base, "--lora", &lora, "--lora", &dora];
    Served::start(&[&own, flags].concat())
}

#[allow(dead_code)] // each test file uses some
pub fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 12})
}

pub fn with(mut request: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(more);
    request
}

#[allow(dead_code)] // each test file uses some
pub fn content(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let value = reply.json();
    value["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}
