//! A hub of its own on this machine: the calls of an upload, answered and written down.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked: method and path, headers by small letters, body.
#[derive(Clone)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// The server; it ends with the test's process.
pub struct Hub {
    pub endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Hub {
    /// Answers for the token `right`; other callers are refused. `lfs` says which files are stored as objects.
    pub fn start(lfs: fn(&str) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, own) = (asked.clone(), endpoint.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept, own) = (stream.unwrap(), kept.clone(), own.clone());
                std::thread::spawn(move || serve(stream, &kept, &own, lfs));
            }
        });
        Self { endpoint, asked }
    }

    /// Everything so far, in its order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Asked>>, own: &str, lfs: fn(&str) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(asked) = read(&mut reader) {
        let (status, answer) = answer(&asked, own, lfs);
        kept.lock().unwrap().push(asked);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let mut stream = &stream;
        stream.write_all((head + &answer).as_bytes()).unwrap();
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = BTreeMap::new();
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some(Asked {
        line: first.trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body,
    })
}

fn answer(asked: &Asked, own: &str, lfs: fn(&str) -> bool) -> (&'static str, Value) {
    let body = || serde_json::from_slice::<Value>(&asked.body).unwrap();
    let known = asked
        .headers
        .get("authorization")
        .is_some_and(|a| a == "Bearer right");
    match asked.line.as_str() {
        // The address is signed.
        "PUT /store/object" => ("200 OK", json!({})),
        _ if !known => ("401 Unauthorized", json!({"error": "Invalid credentials"})),
        "POST /api/repos/create" => (
            "409 Conflict",
            json!({"error": "You already created this model repo"}),
        ),
        "POST /api/models/me/desk/preupload/main" => {
            let files = body()["files"].as_array().unwrap().clone();
            let mode = |file: &Value| {
                let path = file["path"].as_str().unwrap();
                json!({"path": path, "uploadMode": if lfs(path) { "lfs" } else { "regular" }, "shouldIgnore": false})
            };
            (
                "200 OK",
                json!({"files": files.iter().map(mode).collect::<Vec<_>>()}),
            )
        }
        "POST /me/desk.git/info/lfs/objects/batch" => {
            let object = body()["objects"][0].clone();
            let upload =
                json!({"href": format!("{own}/store/object"), "header": {"x-signed": "yes"}});
            let verify = json!({"href": format!("{own}/verify/object")});
            let object = json!({"oid": object["oid"], "size": object["size"], "actions": {"upload": upload, "verify": verify}});
            ("200 OK", json!({"transfer": "basic", "objects": [object]}))
        }
        "POST /verify/object" => ("200 OK", json!({})),
        "POST /api/models/me/desk/commit/main" => (
            "200 OK",
            json!({"success": true, "commitOid": "c0", "commitUrl": format!("{own}/me/desk/commit/c0")}),
        ),
        other => ("404 Not Found", json!({"error": other})),
    }
}
