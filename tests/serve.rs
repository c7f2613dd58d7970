//! Black-box tests of `factory serve`.

mod common;
#[path = "common/served.rs"]
mod served;

use common::{fails, golden, tiny};
use serde_json::{Value, json};
use served::{Reply, Served, receive};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

const CHAT: &str = "/v1/chat/completions";

fn adapter(name: &str) -> String {
    format!("{name}={}", golden(&format!("tiny-llama-{name}")).display())
}

/// Serves the tiny base with two adapters.
fn start(flags: &[&str]) -> Served {
    let (base, lora, dora) = (tiny(), adapter("lora"), adapter("dora"));
    let own = ["--base", &base, "--lora", &lora, "--lora", &dora];
    Served::start(&[&own, flags].concat())
}

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 12})
}

fn with(mut request: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(more);
    request
}

fn content(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let value = reply.json();
    value["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn chats_are_answered_whole_and_in_pieces() {
    let server = start(&[]);
    assert_eq!(server.get("/health").json()["status"], "ok");
    let models = server.get("/v1/models").json();
    let names: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["tiny-llama", "lora", "dora"]);
    assert_eq!(server.get("/v1/models/dora").json()["parent"], "tiny-llama");
    let mut said = Vec::new();
    for model in names {
        let whole = server.post(CHAT, &ask(model, "count the heads"));
        let text = content(&whole);
        let usage = &whole.json()["usage"];
        assert_eq!(
            usage["total_tokens"].as_u64().unwrap(),
            usage["prompt_tokens"].as_u64().unwrap() + 12
        );
        let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
        let events = server
            .post(CHAT, &with(ask(model, "count the heads"), stream))
            .events();
        let pieces = events
            .iter()
            .filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
        assert_eq!(pieces.collect::<String>(), text);
        assert!(events.len() > 5, "piece by piece");
        assert_eq!(events.last().unwrap()["usage"], *usage);
        let reasons = events
            .iter()
            .filter_map(|e| e["choices"][0]["finish_reason"].as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["length"]);
        said.push(text);
    }
    assert!(said[0] != said[1] && said[1] != said[2]);
    let line = server.post("/api/chat", &json!({"model": "lora:latest", "messages": [{"role": "user", "content": "count the heads"}], "options": {"num_predict": 12}}));
    let lines = line
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let text: String = lines
        .iter()
        .map(|l| l["message"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(text, said[1]);
    assert_eq!(lines.last().unwrap()["done_reason"], "length");
    let one = server.post("/api/generate", &json!({"model": "lora", "prompt": "count the heads", "stream": false, "options": {"num_predict": 12}}));
    assert_eq!(one.json()["response"], said[1].as_str());
    assert_eq!(server.get("/api/tags").json()["models"][1]["name"], "lora");
}

#[test]
fn samples_repeat_by_seed_and_tokens_have_their_probabilities() {
    let server = start(&[]);
    let drawn = json!({"n": 3, "temperature": 1.0, "seed": 7});
    let texts = |reply: Reply| -> Vec<String> {
        let value = reply.json();
        let choices = value["choices"].as_array().unwrap();
        choices
            .iter()
            .map(|c| c["message"]["content"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = texts(server.post(CHAT, &with(ask("lora", "draw"), drawn.clone())));
    assert_eq!(
        first,
        texts(server.post(CHAT, &with(ask("lora", "draw"), drawn.clone())))
    );
    assert!(first.len() == 3 && first[0] != first[1]);
    let one = json!({"temperature": 1.0, "seed": 7});
    assert_eq!(
        texts(server.post(CHAT, &with(ask("lora", "draw"), one))),
        first[..1]
    );

    let told = json!({"logprobs": true, "top_logprobs": 3});
    let whole = server
        .post(CHAT, &with(ask("lora", "draw"), told.clone()))
        .json();
    let tokens = whole["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(tokens.len(), 12);
    for token in &tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        // Greedy: the likeliest is the chosen one.
        assert_eq!((top.len(), &top[0]["logprob"]), (3, &token["logprob"]));
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
    }
    let events = server
        .post(
            CHAT,
            &with(ask("lora", "draw"), with(told, json!({"stream": true}))),
        )
        .events();
    let streamed = events
        .iter()
        .filter_map(|e| e["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(streamed.flatten().cloned().collect::<Vec<_>>(), tokens);

    // A token that is forbidden does not come, one that is wanted comes.
    let first = server
        .post("/tokenize", &json!({"content": tokens[0]["token"]}))
        .json();
    let id = first["tokens"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .to_string();
    let never = json!({"logit_bias": {&id: -100}});
    let other = content(&server.post(CHAT, &with(ask("lora", "draw"), never)));
    assert_ne!(
        other,
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
    let always = json!({"logit_bias": {&id: 100}, "max_tokens": 3});
    let same = server
        .post(
            CHAT,
            &with(ask("lora", "draw"), with(json!({"logprobs": true}), always)),
        )
        .json();
    let same = same["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert!(same.iter().all(|t| t["token"] == tokens[0]["token"]));
}

#[test]
fn answers_are_held_to_schemas_and_grammars() {
    let server = start(&[]);
    let schema = json!({
        "type": "object",
        "properties": {"name": {"enum": ["Ada", "Bo"]}, "old": {"type": "boolean"}},
        "required": ["name", "old"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    let drawn = json!({"n": 4, "temperature": 1.5, "max_tokens": 200});
    let asked = with(
        ask("lora", "Who?"),
        with(drawn, json!({"response_format": format})),
    );
    let reply = server.post(CHAT, &asked).json();
    for choice in reply["choices"].as_array().unwrap() {
        let text = choice["message"]["content"].as_str().unwrap();
        let person: Value = serde_json::from_str(text).unwrap();
        assert!(
            ["Ada", "Bo"].contains(&person["name"].as_str().unwrap()),
            "{text}"
        );
        assert!(person["old"].is_boolean() && choice["finish_reason"] == "stop");
    }
    let grammar = json!({"grammar": "start: /[ab]{3}/ \"!\""});
    let text = content(&server.post(CHAT, &with(ask("lora", "Who?"), grammar.clone())));
    assert!(
        text.len() == 4 && text.ends_with('!') && text[..3].chars().all(|c| "ab".contains(c)),
        "{text}"
    );
    // Among others, and told piece by piece.
    let events = server
        .post(
            CHAT,
            &with(with(ask("lora", "Who?"), grammar), json!({"stream": true})),
        )
        .events();
    let pieces = events
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), text);
    let own = json!({"model": "lora", "prompt": "Who?", "stream": false, "format": schema, "options": {"num_predict": 200}});
    let said = server.post("/api/generate", &own).json();
    serde_json::from_str::<Value>(said["response"].as_str().unwrap()).unwrap();
    for (more, param) in [
        (json!({"grammar": "start: nothing"}), "grammar"),
        (
            json!({"grammar": "start: \"a\"", "response_format": {"type": "json_object"}}),
            "grammar",
        ),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "rocket"}}}}),
            "response_format",
        ),
    ] {
        let reply = server.post(CHAT, &with(ask("lora", "Who?"), more));
        assert_eq!(
            (reply.status, reply.json()["error"]["param"].as_str()),
            (400, Some(param)),
            "{}",
            reply.body
        );
    }
}

#[test]
fn mixtures_and_the_router_choose_adapters_of_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.json");
    let rule = json!({"kind": "rules", "rules": [{"field": "prompt", "matches": "heads", "route": "lora"}]});
    fs::write(&rules, rule.to_string()).unwrap();
    let server = start(&["--route", rules.to_str().unwrap()]);
    let alone = content(&server.post(CHAT, &ask("lora", "count the heads")));
    let routed = server.post(CHAT, &ask("auto", "count the heads"));
    assert_eq!(content(&routed), alone);
    assert!(
        routed.head.contains("x-factory-route: lora"),
        "{}",
        routed.head
    );
    assert_eq!(
        (
            routed.json()["model"].as_str(),
            routed.json()["route"]["adapter"].as_str()
        ),
        (Some("lora"), Some("lora"))
    );
    let other = server.post(CHAT, &ask("auto", "count the tails"));
    assert!(
        other.head.contains("x-factory-route: base"),
        "{}",
        other.head
    );
    assert_eq!(
        content(&other),
        content(&server.post(CHAT, &ask("tiny-llama", "count the tails")))
    );

    let mixed = |lora: Value| {
        server.post(
            CHAT,
            &with(ask("tiny-llama", "count the heads"), json!({"lora": lora})),
        )
    };
    assert_eq!(content(&mixed(json!([{"id": 0, "scale": 1}]))), alone);
    assert_eq!(
        content(&mixed(json!([{"id": "lora"}, {"id": 1, "scale": 0}]))),
        alone
    );
    let half = content(&mixed(
        json!([{"id": 0, "scale": 0.5}, {"id": 1, "scale": 0.5}]),
    ));
    let (base, lora, dora) = (tiny(), adapter("lora"), adapter("dora"));
    let output = common::ok(&[
        "generate",
        "--device",
        "cpu",
        "--base",
        &base,
        "--lora",
        &lora,
        "--lora-weight",
        "0.5",
        "--lora",
        &dora,
        "--lora-weight",
        "0.5",
        "--max-tokens",
        "12",
        "--prompt",
        "count the heads",
    ]);
    assert_eq!(half, output.trim_end_matches('\n'));
    assert_eq!(mixed(json!([{"id": 2}])).json()["error"]["param"], "lora");
    let twice = json!({"lora": [{"id": 0}]});
    assert_eq!(
        server.post(CHAT, &with(ask("lora", "x"), twice)).json()["error"]["param"],
        "lora"
    );
}

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
fn a_request_among_others_gets_the_bytes_that_it_gets_alone() {
    let server = start(&["--weights", "q8"]);
    let request = |i: usize| {
        let model = ["lora", "dora", "tiny-llama"][i % 3];
        let drawn = json!({"temperature": 1.0, "seed": i, "logprobs": true});
        with(ask(model, &format!("question {} of many", i / 2)), drawn)
    };
    let told = |reply: Reply| reply.json()["choices"].clone();
    let alone: Vec<Value> = (0..32)
        .map(|i| told(server.post(CHAT, &request(i))))
        .collect();
    let together: Vec<Value> = thread::scope(|scope| {
        let asked = |i| {
            let (server, request) = (&server, &request);
            scope.spawn(move || told(server.post(CHAT, &request(i))))
        };
        let threads: Vec<_> = (0..32).map(asked).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(alone, together);
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
