//! A client that speaks lines of the protocol, and sees everything that the server says.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that was greeted.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    /// Lines of standard output.
    pub lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
    next: u64,
}

impl Session {
    /// Starts `factory mcp serve` in a folder, and shakes hands.
    pub fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(["mcp", "serve"])
            .args(flags)
            .current_dir(folder)
            .env_remove("DB_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines() {
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut errors = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut session = Self {
            input: child.stdin.take(),
            child,
            lines,
            log: Some(log),
            next: 0,
        };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let id = session.request("initialize", hello);
        let greeted = session.answer(id);
        assert_eq!(greeted["result"]["serverInfo"]["name"], "factory");
        assert_eq!(greeted["result"]["protocolVersion"], "2025-06-18");
        session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        session
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Sends a request; its number.
    pub fn request(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        self.send(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
        id
    }

    /// Sends the call of a tool; its number.
    pub fn call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The next message, which must be an answer.
    pub fn next(&mut self) -> Value {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .expect("the server says nothing");
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// The answer to a request, which must be the next that comes.
    pub fn answer(&mut self, id: u64) -> Value {
        let message = self.next();
        assert_eq!(message["id"], id, "{message}");
        message
    }

    /// Closes its input and waits for its end; the lines of its log.
    pub fn end(mut self) -> Vec<Value> {
        self.input = None;
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let log = self.log.take().unwrap().join().unwrap();
        let line =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        log.lines().map(line).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A test that failed leaves it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
