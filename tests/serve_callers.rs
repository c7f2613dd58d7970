//! Black-box tests of how `factory serve` treats its callers: errors, queues, adapters that come and go, keys, an end.

mod common;
#[path = "common/served.rs"]
mod served;

use common::{fails, golden, tiny};
use serde_json::json;
use served::{CHAT, Served, ask, content, receive, start, with};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn what_is_wrong_is_said_as_openais_clients_read_it() {
    let server = start(&["--max-body", "20KB", "--context", "200"]);
    let messages = json!([{"role": "user", "content": "x"}]);
    let long = "word ".repeat(300);
    for (path, body, status, param, code) in [
        (CHAT, json!({"messages": messages}), 400, "model", ""),
        (CHAT, ask("nothing", "x"), 404, "model", "model_not_found"),
        (CHAT, ask("auto", "x"), 404, "model", "model_not_found"),
        (
            CHAT,
            ask("lora", &long),
            400,
            "messages",
            "context_length_exceeded",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"max_tokens": 0})),
            400,
            "max_tokens",
            "",
        ),
        (CHAT, with(ask("lora", "x"), json!({"n": 0})), 400, "n", ""),
        (
            CHAT,
            with(ask("lora", "x"), json!({"n": 10_000})),
            400,
            "n",
            "",
        ),
        (CHAT, with(ask("lora", "x"), json!({"n": 2})), 400, "n", ""),
        (
            CHAT,
            with(ask("lora", "x"), json!({"temperature": -1})),
            400,
            "temperature",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"top_p": 0})),
            400,
            "top_p",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"stop": [""]})),
            400,
            "stop",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"stop": 1})),
            400,
            "stop",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"frequency_penalty": 0.5})),
            400,
            "frequency_penalty",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"tools": [{}]})),
            400,
            "tools",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"top_logprobs": 2})),
            400,
            "top_logprobs",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"stream_options": {}})),
            400,
            "stream_options",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"max_completion_tokens": 9})),
            400,
            "max_completion_tokens",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"logit_bias": {"x": 1}})),
            400,
            "logit_bias",
            "",
        ),
        (
            CHAT,
            with(ask("lora", "x"), json!({"beam_width": 4})),
            400,
            "beam_width",
            "",
        ),
        (
            CHAT,
            json!({"model": "lora", "messages": []}),
            400,
            "messages",
            "",
        ),
        (
            CHAT,
            json!({"model": "lora", "messages": [{"role": "robot", "content": "x"}]}),
            400,
            "messages",
            "",
        ),
        (
            CHAT,
            json!({"model": "lora", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            400,
            "messages",
            "",
        ),
        (
            "/v1/completions",
            json!({"model": "lora", "prompt": 1}),
            400,
            "prompt",
            "",
        ),
        (
            "/v1/completions",
            json!({"model": "lora", "prompt": [9999999]}),
            400,
            "prompt",
            "",
        ),
        (
            "/v1/completions",
            json!({"model": "lora", "prompt": "x", "echo": true}),
            400,
            "echo",
            "",
        ),
        (
            "/api/chat",
            json!({"model": "lora", "messages": messages, "format": "xml"}),
            400,
            "format",
            "",
        ),
        (
            "/v1/load_lora_adapter",
            json!({"lora_name": "n", "lora_path": "p"}),
            400,
            "lora_path",
            "",
        ),
        (
            "/v1/unload_lora_adapter",
            json!({"lora_name": "lora"}),
            400,
            "lora_name",
            "",
        ),
        ("/nowhere", json!({}), 404, "", ""),
        ("/v1/models", json!({}), 405, "", ""),
    ] {
        let reply = server.post(path, &body);
        let error = &reply.json()["error"];
        let said = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (reply.status, said("param").as_str(), said("code").as_str()),
            (status, param, code),
            "{body}: {error}"
        );
        assert!(said("message").len() > 5 && said("type") == "invalid_request_error");
    }
    for (body, status) in [
        (b"{\"model\"".to_vec(), 400),
        (b"[]".to_vec(), 400),
        (b"{\"model\": \"\xff\"}".to_vec(), 400),
        (vec![b' '; 30_000], 413),
    ] {
        let reply = receive(server.send(&format!("POST {CHAT}"), &body));
        assert_eq!(reply.status, status, "{}", reply.body);
        assert!(reply.json()["error"]["message"].is_string());
    }
    // Pages of other sites: one whose name leads to this machine, one whose browser does not ask first.
    let own = &server.address;
    for (headers, status) in [
        ("Host: evil.example".to_owned(), 403),
        ("Host: 127.evil.example".to_owned(), 403),
        ("Host: LOCALHOST".to_owned(), 200),
        ("Host: [::1]:80".to_owned(), 200),
        (format!("Host: {own}\r\nOrigin: https://evil.example"), 403),
        (format!("Host: {own}\r\nOrigin: http://{own}"), 200),
    ] {
        let reply = receive(server.send_with("GET /health", &headers, b""));
        assert_eq!(reply.status, status, "{headers}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn rows_of_callers_who_left_are_free_and_a_full_queue_says_so() {
    let server = start(&["--batch", "1", "--queue", "1"]);
    let endless = with(
        ask("lora", "go on"),
        json!({"max_tokens": 400, "stream": true, "logit_bias": {"258": -100}}),
    );
    let hold =
        |server: &Served| server.send(&format!("POST {CHAT}"), endless.to_string().as_bytes());
    let (running, waiting) = (hold(&server), hold(&server));
    server.until("two rows", |server| server.slots() == 2);
    let many = server.post(
        CHAT,
        &with(ask("lora", "and me"), json!({"n": 3, "temperature": 1})),
    );
    assert_eq!(
        (many.status, many.json()["error"]["param"].as_str()),
        (400, Some("n"))
    );
    let full = server.post(CHAT, &ask("lora", "and me"));
    assert_eq!(full.status, 429, "{}", full.body);
    assert!(full.head.contains("retry-after: 1"));
    assert_eq!(full.json()["error"]["type"], "rate_limit_error");
    drop(running);
    drop(waiting);
    server.until("no rows", |server| server.slots() == 0);
    for _ in 0..20 {
        content(&server.post(CHAT, &ask("lora", "and me")));
    }
    let aborted = server.get("/metrics").body;
    assert!(
        aborted.contains("factory:request_success_total{finished_reason=\"abort\"} 2"),
        "{aborted}"
    );
}

#[test]
fn adapters_come_and_go() {
    let root = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let to = root.path().join(to);
        fs::create_dir(&to).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(golden(from).join(file), to.join(file)).unwrap();
        }
    };
    copy("tiny-llama-lora", "one");
    copy("tiny-qwen3-lora", "foreign");
    let server = start(&[
        "--adapter-root",
        root.path().to_str().unwrap(),
        "--batch",
        "2",
    ]);
    let load = |name: &str, path: &str| {
        server.post(
            "/v1/load_lora_adapter",
            &json!({"lora_name": name, "lora_path": path}),
        )
    };
    let unload = |name: &str| server.post("/v1/unload_lora_adapter", &json!({"lora_name": name}));
    assert_eq!(load("third", "one").status, 200);
    let lora = content(&server.post(CHAT, &ask("lora", "count")));
    assert_eq!(content(&server.post(CHAT, &ask("third", "count"))), lora);
    for (name, path) in [
        ("fourth", "../"),
        ("fourth", "/etc"),
        ("fourth", "none"),
        ("fourth", "foreign"),
        ("third", "one"),
        ("auto", "one"),
        ("tiny-llama", "one"),
    ] {
        assert_eq!(load(name, path).status, 400, "{name} {path}");
    }
    // One goes while it answers: the answer is finished, and the others have theirs.
    let long = json!({"max_tokens": 300, "logit_bias": {"258": -100}});
    let whole = content(&server.post(CHAT, &with(ask("lora", "count"), long.clone())));
    let request = with(ask("lora", "count"), long);
    let running = server.send(&format!("POST {CHAT}"), request.to_string().as_bytes());
    server.until("one row", |server| server.slots() == 1);
    assert_eq!(unload("lora").status, 200);
    assert_eq!(server.post(CHAT, &ask("lora", "count")).status, 404);
    assert_eq!(content(&server.post(CHAT, &ask("third", "count"))), lora);
    assert_eq!(content(&receive(running)), whole);
    assert_eq!(content(&server.post(CHAT, &ask("third", "count"))), lora);
    assert_eq!(unload("lora").status, 404);
    // Another under the same name, at once.
    for _ in 0..5 {
        assert_eq!(
            (unload("third").status, load("third", "one").status),
            (200, 200)
        );
    }
    assert_eq!(
        server
            .get("/lora-adapters")
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn keys_are_asked_for_and_an_end_waits_for_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    fs::write(&keys, "first\nsecond\n").unwrap();
    let (base, shown) = (tiny(), keys.to_str().unwrap().to_owned());
    let serve = [
        "serve",
        "--base",
        &base,
        "--port",
        "0",
        "--api-keys",
        &shown,
    ];
    mode(&keys, 0o644);
    fails(&serve, 2, &["others can read", "chmod 600"]);
    mode(&keys, 0o600);
    let mut server = start(&["--api-keys", &shown]);
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.get("/v1/models").status, 401);
    let with_key = |key: &str| {
        let headers = format!(
            "Host: localhost
Authorization: Bearer {key}"
        );
        receive(server.send_with("GET /v1/models", &headers, b"")).status
    };
    assert_eq!((with_key("second"), with_key("third")), (200, 401));
    let taken = server.address.rsplit_once(':').unwrap().1.to_owned();
    fails(
        &["serve", "--base", &base, "--port", &taken],
        1,
        &["cannot listen at", "--port"],
    );

    let long = with(
        ask("lora", "count"),
        json!({"max_tokens": 300, "logit_bias": {"258": -100}}),
    );
    let headers = "Host: localhost
Authorization: Bearer first";
    let running = server.send_with(
        &format!("POST {CHAT}"),
        headers,
        long.to_string().as_bytes(),
    );
    // One who never sends all of his request keeps nobody waiting for long.
    let slow = server.send_with(
        "POST /v1/completions",
        &format!("{headers}\r\nContent-Length: 99"),
        b"",
    );
    std::thread::sleep(std::time::Duration::from_millis(300));
    let asked = Command::new("kill")
        .args(["-TERM", &server.child.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    assert_eq!(receive(running).json()["usage"]["completion_tokens"], 300);
    assert!(server.child.wait().unwrap().success());
    drop(slow);
}

#[cfg(unix)]
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
