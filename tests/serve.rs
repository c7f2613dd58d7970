//! Black-box tests of what `factory serve` answers.

mod common;
#[path = "common/served.rs"]
mod served;

use common::tiny;
use serde_json::{Value, json};
use served::{CHAT, Reply, adapter, ask, content, start, with};
use std::fs;
use std::thread;

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
    let begins_a_query = |text: &str| {
        let text = text.trim_start().to_lowercase();
        ["select", "with", "values", "("]
            .iter()
            .any(|word| text.starts_with(word) || word.starts_with(&text))
    };
    let drawn = with(ask("lora", "Who?"), json!({"n": 8, "temperature": 1.5}));
    let free = server.post(CHAT, &drawn).json();
    let text_of = |choice: &Value| choice["message"]["content"].as_str().unwrap().to_owned();
    let texts = |reply: &Value| -> Vec<String> {
        let choices = reply["choices"].as_array().unwrap();
        choices.iter().map(text_of).collect()
    };
    assert!(!texts(&free).iter().all(|text| begins_a_query(text)));
    let tables = json!({"schema": "CREATE TABLE buyers (id INT, name TEXT)"});
    for constrain in [json!("sql"), tables] {
        let held = with(drawn.clone(), json!({"constrain": constrain}));
        let held = server.post(CHAT, &held).json();
        assert!(
            texts(&held).iter().all(|text| begins_a_query(text)),
            "{held}"
        );
    }
    let own = json!({"model": "lora", "prompt": "Who?", "stream": false, "constrain": "sql"});
    let said = server.post("/api/generate", &own).json();
    assert!(begins_a_query(said["response"].as_str().unwrap()), "{said}");
    for (more, param) in [
        (json!({"constrain": "schema"}), "constrain"),
        (json!({"constrain": {"schema": "buyers"}}), "constrain"),
        (
            json!({"constrain": {"schema": "CREATE TABLE buyers ("}}),
            "constrain",
        ),
        (
            json!({"constrain": "sql", "grammar": "start: \"a\""}),
            "constrain",
        ),
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
