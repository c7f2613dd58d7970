//! The server over HTTP: for this machine alone.

use super::common::fails;
use super::shop;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server, and the port that it listens at.
struct Served(Child, u16);

impl Served {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(["mcp", "serve", "--http", "0"])
            .current_dir(folder)
            .env_remove("DB_URL")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        // What it says later must go somewhere.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["event"], "listening");
        let url = line["text"].as_str().unwrap();
        let port = url.strip_prefix("http://127.0.0.1:").unwrap();
        let port = port.strip_suffix("/mcp").unwrap().parse().unwrap();
        Self(child, port)
    }

    /// The status of an answer, and its body.
    fn post(&self, host: &str, more: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).unwrap();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             Connection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn only_this_machine_under_its_own_names_is_answered() {
    let dir = shop();
    let served = Served::start(dir.path());
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let own = format!("localhost:{}", served.1);
    let (status, answer) = served.post(&own, "", &hello);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"name\":\"factory\""), "{answer}");
    for host in ["evil.example", "127.0.0.1.evil.example", "192.168.0.1"] {
        let (status, answer) = served.post(host, "", &hello);
        assert_eq!(status, 403, "{host}: {answer}");
    }
    let (status, _) = served.post(&own, "Origin: http://evil.example\r\n", &hello);
    assert_eq!(status, 403);
    let (status, _) = served.post(&own, &format!("Origin: http://{own}\r\n"), &hello);
    assert_eq!(status, 200);

    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params":
        {"name": "sql_execution", "arguments": {"connectionId": "shop", "sql": "SELECT 41 + 1"}}});
    let (status, answer) = served.post(&own, "MCP-Protocol-Version: 2025-06-18\r\n", &call);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("[[42]]"), "{answer}");
}

#[test]
fn another_address_than_the_loopback_is_refused() {
    let dir = shop();
    let db = dir.path().join("shop.sqlite");
    let db = db.to_str().unwrap();
    let serve = ["mcp", "serve", "--db", db, "--http", "0", "--host"];
    fails(
        &[&serve[..], &["0.0.0.0"]].concat(),
        2,
        &["--host 0.0.0.0", "this machine"],
    );
}
