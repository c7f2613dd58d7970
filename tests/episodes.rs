//! Episodes: what is learned is what is played, and the commands as a user meets them.

mod common;
#[path = "common/tools.rs"]
mod tools;

use common::{base, fails, ok, refs, roomy, text};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::answering::policy::Policy;
use factory::data::record::{self, Content};
use factory::data::template::{Renderer, Template};
use factory::db::home::Home;
use factory::db::notes::Dialect;
use factory::generation::sampler::SamplerConfig;
use factory::generation::stop::StopConfig;
use factory::learning::episodes::call::{ALL_TABLES, Call, EXECUTE, Outcome};
use factory::learning::episodes::episode::{End, Episode};
use factory::learning::episodes::play::play;
use factory::learning::episodes::protocol::{Protocol, Setting};
use factory::learning::episodes::table::{Config, Table, Task};
use factory::learning::episodes::tools::{Said, Tools, all};
use factory::model::load::Base;
use factory::run::observer::Observer;
use serde_json::{Value, json};
use std::fmt::Arguments;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use tools::{builtin, folder};

struct Quiet;

impl Observer for Quiet {
    fn note(&self, _: Arguments) {}
}

#[test]
fn what_sft_learns_is_what_is_played() {
    let offered = all(&builtin(Home::Folder(PathBuf::new())));
    let calls = [
        Call::new(ALL_TABLES, json!({})),
        Call::new(EXECUTE, json!({"query": "SELECT 1"})),
        Call::answer("SELECT name FROM boats"),
    ];
    for (template, name) in [
        (Template::Plain, "tiny-llama"),
        (Template::Chatml, "tiny-qwen3"),
    ] {
        let mut base = base(name);
        template.prepare(&mut base.tokenizer);
        let protocol = Protocol::of(template).unwrap();
        let renderer = Renderer::new(template, &base.tokenizer).unwrap();
        let setting = Setting {
            dialect: Dialect::Sqlite,
            turns: 6,
            knowledge: None,
            tools: &offered,
        };
        let asked = record::user("Which boats?".to_owned());
        let begun = protocol.begin(&asked, &setting).unwrap();
        let mut whole = begun.clone();
        for (at, call) in calls.iter().enumerate() {
            whole.turns.push(protocol.says(call));
            if at < 2 {
                whole.turns.push(protocol.hears("boats <b>", 5 - at));
            }
        }
        let examples = renderer.examples(&Content::Turns(whole)).unwrap();
        assert_eq!(examples.len(), 1, "{template:?}");
        // Drawn as it was learned, the episode has the very same tokens.
        let mut played = renderer.prompt(&begun).unwrap();
        let mut learned = examples[0].iter().filter(|piece| piece.learned);
        for (at, call) in calls.iter().enumerate() {
            let drawn = &learned.next().unwrap().tokens;
            let shown = base.tokenizer.show(drawn).unwrap();
            assert_eq!(protocol.call(&shown, false), Ok(call.clone()));
            played.extend(drawn);
            if at < 2 {
                let hears = protocol.hears("boats <b>", 5 - at);
                let behind = renderer.behind(drawn, vec![hears.clone()]).unwrap();
                // Cut by its stop text, it has no end of its own.
                let (end, cut) = drawn.split_last().unwrap();
                let mut from_cut = renderer.behind(cut, vec![hears]).unwrap();
                assert_eq!(from_cut.remove(0), *end);
                assert_eq!(from_cut, behind);
                played.extend(behind);
            }
        }
        let row = examples[0].iter().flat_map(|piece| piece.tokens.clone());
        assert_eq!(played, row.collect::<Vec<_>>(), "{template:?}");
    }
    assert!(Protocol::of(Template::Base).is_err());
}

/// Says that nothing is there.
struct Mute;

impl Tools for Mute {
    fn offered(&self) -> &[Value] {
        &[]
    }

    fn answers(&self, calls: &[(&str, &Call)]) -> anyhow::Result<Vec<Said>> {
        let said = Said {
            text: "nothing".to_owned(),
            outcome: Outcome::Ok,
        };
        Ok(vec![said; calls.len()])
    }
}

fn played(base: &Base, which: &[usize], samples: usize, config: Config) -> Vec<Vec<Episode>> {
    let adapter = Adapter::init(AdapterConfig::default(), &base.decoder, 1).unwrap();
    let policy = Policy::new(base, &adapter, None).unwrap();
    let renderer = Renderer::new(Template::Plain, &base.tokenizer).unwrap();
    let tasks: Vec<Task> = (0..4)
        .map(|i| Task {
            db: "boats".to_owned(),
            prompt: base.tokenizer.encode(&format!("Oars: {i}?\n")).unwrap(),
        })
        .collect();
    let table = Table {
        config,
        protocol: Protocol::Tags,
        renderer: &renderer,
        tools: &Mute,
        observer: &Quiet,
    };
    let sampler = SamplerConfig {
        temperature: 1.0,
        seed: 3,
        samples,
        logprobs: Some(0),
        ..SamplerConfig::default()
    };
    let engine = |sampler: SamplerConfig, stop: StopConfig| {
        let mut engine = policy.engine(sampler, stop);
        engine.batch = 3;
        engine
    };
    play(&table, &engine, &tasks, which, &sampler).unwrap()
}

#[test]
fn an_episode_says_who_wrote_its_tokens() {
    let base = base("tiny-llama");
    let renderer = Renderer::new(Template::Plain, &base.tokenizer).unwrap();
    let config = Config {
        turns: 3,
        max_tokens: 12,
        ..Config::default()
    };
    let all = played(&base, &[0, 1, 2, 3], 2, config);
    for (row, own) in all.iter().enumerate() {
        assert_eq!(own.len(), 2);
        assert_ne!(own[0].tokens, own[1].tokens);
        for episode in own {
            assert_eq!(episode.end, End::Turns);
            assert_eq!((episode.turns.len(), episode.written.len()), (3, 3));
            let prompt = base.tokenizer.encode(&format!("Oars: {row}?\n")).unwrap();
            assert_eq!(episode.tokens[..prompt.len()], prompt);
            // Prompt, turns and what was told, and nothing else.
            let mut tokens = prompt;
            let mut drawn = 0;
            for (at, turn) in episode.turns.iter().enumerate() {
                let written = episode.written[at].clone();
                assert_eq!(written.start, tokens.len());
                assert!((1..=12).contains(&written.len()));
                drawn += written.len();
                let own = &episode.tokens[written];
                tokens.extend(own);
                assert_eq!((turn.outcome, turn.repeated), (Outcome::Malformed, false));
                let Some(told) = &turn.observed else {
                    assert_eq!(at, 2);
                    continue;
                };
                assert!(told.contains("No call found"), "{told}");
                let hears = Protocol::Tags.hears(told, 2 - at);
                tokens.extend(renderer.behind(own, vec![hears]).unwrap());
            }
            assert_eq!(tokens, episode.tokens);
            assert_eq!(drawn, episode.logprobs.len());
            assert!(episode.logprobs.iter().all(|p| *p < 0.0));
            let example = episode.example();
            assert_eq!(
                (example.labels(), example.learned),
                (drawn, episode.written.clone())
            );
        }
    }
    // Whatever is played beside it.
    let tokens = |own: &[Episode]| own.iter().map(|one| one.tokens.clone()).collect::<Vec<_>>();
    let alone = played(&base, &[2], 2, config);
    assert_eq!(tokens(&alone[0]), tokens(&all[2]));
    let two = played(&base, &[3, 0], 2, config);
    assert_eq!(tokens(&two[0]), tokens(&all[3]));
    assert_eq!(tokens(&two[1]), tokens(&all[0]));
}

#[test]
fn an_episode_ends_where_the_model_is_full() {
    let base = base("tiny-llama");
    let config = Config {
        turns: 20,
        max_tokens: 100,
        ..Config::default()
    };
    for episode in played(&base, &[0, 1], 1, config).concat() {
        assert_eq!(episode.end, End::Full);
        assert!((1..20).contains(&episode.turns.len()));
        assert!(episode.tokens.len() <= base.decoder.config.max_position_embeddings + 512);
        assert!(episode.turns.last().unwrap().observed.is_some());
    }
    let nothing = Config {
        max_tokens: 10_000,
        ..config
    };
    let none = &played(&base, &[0], 1, nothing)[0][0];
    assert_eq!(
        (none.end, none.turns.len(), none.answer()),
        (End::Full, 0, None)
    );
}

/// A folder with databases, rows, a document, and a base; the words of every command on them.
fn workplace() -> (TempDir, String) {
    let dir = folder();
    let rows = [
        json!({"id": "a", "prompt": "Which have four oars?", "db": "boats", "gold_sql": "SELECT id FROM boats WHERE oars = 4", "external_knowledge": "oars.md"}),
        json!({"id": "b", "prompt": "How many?", "db": "boats", "gold_sql": "SELECT count(*) FROM boats"}),
        json!({"id": "c", "prompt": "Who sails?", "db": "boats", "gold_sql": "SELECT sailor FROM crews"}),
    ];
    let rows = rows.map(|row| row.to_string()).join("\n");
    fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    fs::create_dir(dir.path().join("documents")).unwrap();
    fs::write(dir.path().join("documents/oars.md"), "An oar is wet.").unwrap();
    let base = roomy(dir.path(), "tiny-llama");
    (dir, base)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

#[test]
fn episodes_are_made_learned_played_and_shown() {
    let (dir, base) = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (rows, dbs, made) = (path("rows.jsonl"), text(dir.path()), path("made.jsonl"));
    let make = |out: &str, seed: &str| {
        ok(&[
            "episodes", "make", "--data", &rows, "--db-dir", &dbs, "--base", &base, "--out", out,
            "--seed", seed,
        ])
    };
    let told = make(&made, "0");
    assert!(told.contains("3 episodes"), "{told}");
    make(&path("again.jsonl"), "0");
    assert_eq!(
        fs::read(&made).unwrap(),
        fs::read(path("again.jsonl")).unwrap()
    );
    for row in lines(Path::new(&made)) {
        let messages = row["messages"].as_array().unwrap();
        let last = messages.last().unwrap()["content"].as_str().unwrap();
        let gold = row["gold_sql"].as_str().unwrap();
        assert_eq!(last, format!("<solution>{gold}</solution>"));
        let tried = messages
            .iter()
            .any(|m| m["content"] == format!("<sql>{gold}</sql>"));
        assert!(tried, "{row}");
        let told = messages.iter().filter(|m| m["role"] == "user").skip(1);
        for observation in told {
            let text = observation["content"].as_str().unwrap();
            assert!(text.starts_with("<observation>\n"), "{text}");
            assert_eq!(text.matches("</observation>").count(), 1, "{text}");
            assert!(!text.contains("<|"), "{text}");
        }
    }
    // One row, so that the tiny base can learn it by heart, and one all of whose turns are learned.
    let at = lines(Path::new(&made))
        .iter()
        .position(|row| !row.to_string().contains("\"weight\":0"))
        .unwrap();
    let nth = |file: &str| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().nth(at).unwrap().to_owned()
    };
    fs::write(path("one.jsonl"), nth(&made)).unwrap();
    fs::write(path("first.jsonl"), nth(&rows)).unwrap();
    let lora = path("adapter");
    ok(&[
        "sft",
        "--data",
        &path("one.jsonl"),
        "--base",
        &base,
        "--out",
        &lora,
        "--device",
        "cpu",
        "--rank",
        "16",
        "--lr",
        "0.02",
        "--steps",
        "400",
        "--batch",
        "1",
        "--max-seq",
        "4096",
    ]);
    let run = |out: &str, more: &[&str]| {
        let words = [
            "episodes",
            "run",
            "--data",
            &path("first.jsonl"),
            "--db-dir",
            &dbs,
            "--lora",
            &lora,
            "--base",
            &base,
            "--device",
            "cpu",
            "--out",
            out,
        ];
        ok(&[&words[..], more].concat())
    };
    let (out, summary) = (path("episodes.jsonl"), path("summary.json"));
    let told = run(&out, &["--summary-out", &summary]);
    assert!(told.contains("right: 1 of 1 (1.000)"), "{told}");
    assert!(told.contains("ended: answered 1"), "{told}");
    let episode = &lines(Path::new(&out))[0];
    assert_eq!(episode["passed"], true);
    let wanted = lines(&dir.path().join("one.jsonl")).remove(0);
    let messages = wanted["messages"].as_array().unwrap().iter();
    let wanted_turns = messages.filter(|m| m["role"] == "assistant");
    let wanted_turns: Vec<&Value> = wanted_turns.map(|m| &m["content"]).collect();
    let turns = episode["turns"].as_array().unwrap();
    let drawn: Vec<&Value> = turns.iter().map(|turn| &turn["said"]).collect();
    assert_eq!(drawn, wanted_turns);
    assert!(turns.iter().all(|turn| turn["outcome"] == "ok"));
    let found: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    assert_eq!(
        (&found["passed"], &found["turns"]),
        (&json!(1), &json!(turns.len()))
    );
    // The tools of a server are the same, and so are the tokens.
    let program = env!("CARGO_BIN_EXE_factory");
    let served = format!("mcp:{program} mcp serve --db {{file}}");
    run(&path("served.jsonl"), &["--tools", &served]);
    assert_eq!(
        fs::read(&out).unwrap(),
        fs::read(path("served.jsonl")).unwrap()
    );
    // Episodes are predictions, so that recipes can hold them against gates.
    let scored = path("scored.jsonl");
    ok(&["eval-sql", &out, "--db-dir", &dbs, "--out", &scored]);
    let row = &lines(Path::new(&scored))[0];
    assert_eq!(row["exec_match"], true);
    for field in ["id", "gold_sql"] {
        assert_eq!(row[field], wanted[field], "{row}");
    }
    let shown = ok(&["episodes", "replay", &out]);
    let gold = wanted["gold_sql"].as_str().unwrap();
    for part in [
        "Episode 1 of 1",
        "right: answered",
        "final_answer [ok]",
        gold,
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let page = path("page.html");
    ok(&["episodes", "replay", &out, "--html", &page]);
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("final_answer") && page.contains("default-src 'none'"));
    fails(
        &["episodes", "replay", &out, "--row", "2"],
        2,
        &["has 1 episodes"],
    );
    fails(&["episodes", "replay", &rows], 1, &["rows.jsonl:1"]);
}

#[test]
fn tools_are_called_as_qwen3_calls_them() {
    let (dir, _) = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (rows, dbs, made) = (path("rows.jsonl"), text(dir.path()), path("made.jsonl"));
    let base = roomy(dir.path(), "tiny-qwen3");
    ok(&[
        "episodes",
        "make",
        "--data",
        &rows,
        "--db-dir",
        &dbs,
        "--base",
        &base,
        "--out",
        &made,
        "--template",
        "chatml",
    ]);
    for row in lines(Path::new(&made)) {
        let tools = row["tools"].as_array().unwrap();
        assert_eq!(tools.len(), 5);
        let messages = row["messages"].as_array().unwrap();
        let call = &messages.last().unwrap()["tool_calls"][0]["function"];
        assert_eq!(call["arguments"]["sql"], row["gold_sql"]);
        assert!(messages.iter().any(|m| m["role"] == "tool"));
    }
    let told = ok(&[
        "sft",
        "--data",
        &made,
        "--base",
        &base,
        "--template",
        "chatml",
        "--out",
        &path("a"),
        "--device",
        "cpu",
        "--steps",
        "1",
        "--max-seq",
        "8192",
    ]);
    assert!(told.contains("adapter"), "{told}");
}

#[test]
fn questions_of_spider2_are_played_on_the_databases_that_are_there() {
    let (dir, base) = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let questions = [
        json!({"instance_id": "local1", "db": "boats", "question": "Oars?", "external_knowledge": "oars.md"}),
        json!({"instance_id": "bq2", "db": "elsewhere", "question": "x", "external_knowledge": null}),
    ];
    let questions = questions.map(|row| row.to_string()).join("\n");
    fs::write(path("questions.jsonl"), questions).unwrap();
    let (questions, dbs, out) = (path("questions.jsonl"), text(dir.path()), path("out.jsonl"));
    let words = |more: &'static [&'static str]| {
        let words = [
            "episodes",
            "run",
            "--spider2",
            &questions,
            "--db-dir",
            &dbs,
            "--base",
            &base,
            "--device",
            "cpu",
            "--out",
            &out,
            "--turns",
            "2",
            "--max-tokens",
            "8",
        ];
        let words = words.iter().chain(more).map(|word| word.to_string());
        words.collect::<Vec<String>>()
    };
    let run = |more| {
        let words = words(more);
        ok(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let told = run(&["--samples", "3", "--temperature", "1"]);
    assert!(
        told.contains("3 episodes on 1 rows, 2.00 turns each"),
        "{told}"
    );
    assert!(!told.contains("right"), "{told}");
    let played = lines(Path::new(&out));
    assert_eq!(
        (&played[0]["id"], &played[0]["passed"]),
        (&json!("local1"), &Value::Null)
    );
    assert!(!played[0]["opening"].as_str().unwrap().contains("wet"));
    let documents = path("documents");
    let mut with: Vec<String> = words(&["--knowledge"]);
    with.push(documents);
    ok(&with.iter().map(String::as_str).collect::<Vec<_>>());
    let prompt = lines(Path::new(&out))[0]["opening"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(prompt.contains("An oar is wet."), "{prompt}");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let (dir, base) = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let rows = fs::read_to_string(path("rows.jsonl")).unwrap() + "\n";
    fs::write(path("rows.jsonl"), rows.repeat(20)).unwrap();
    let (rows, dbs) = (path("rows.jsonl"), text(dir.path()));
    let run = |out: &str, more: &[&str]| {
        let fixed = "episodes run --device cpu --batch 1 --turns 2 --max-tokens 24 --temperature 1";
        let own = [
            "--data",
            &rows,
            "--db-dir",
            &dbs,
            "--base",
            &base,
            "--out",
            &path(out),
        ];
        let words = fixed.split(' ').chain(own).chain(more.iter().copied());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    ok(&refs(&run("whole", &[])));
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(run("killed", &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let kept = dir.path().join("killed.partial");
    while fs::read_to_string(&kept).map_or(0, |text| text.lines().count()) < 4 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fails(
        &refs(&run("killed", &[])),
        1,
        &["killed.partial", "--resume"],
    );
    let other = run("killed", &["--resume", "--seed", "5"]);
    fails(&refs(&other), 1, &["other inputs or flags (--seed)"]);
    ok(&refs(&run("killed", &["--resume"])));
    let [whole, killed] = ["whole", "killed"].map(|out| fs::read(path(out)).unwrap());
    assert!(whole == killed);
    assert!(!kept.exists());
}

#[test]
fn mistakes_are_named() {
    let (dir, base) = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (rows, dbs, out) = (path("rows.jsonl"), text(dir.path()), path("out.jsonl"));
    let run = |more: &[&str], code, parts: &[&str]| {
        let words = [
            "episodes", "run", "--data", &rows, "--base", &base, "--device", "cpu", "--out", &out,
        ];
        fails(&[&words[..], more].concat(), code, parts);
        assert!(!Path::new(&out).exists());
    };
    run(&[], 2, &["--db-dir"]);
    let at = ["--db-dir", &dbs];
    let run = |more: &[&str], code, parts: &[&str]| run(&[&at[..], more].concat(), code, parts);
    run(&["--template", "base"], 2, &["plain or chatml"]);
    run(&["--route", "r.json"], 2, &["--route"]);
    run(&["--tools", "mcp:"], 2, &["builtin"]);
    run(&["--tools", "mcp:/nowhere/x"], 1, &["cannot start"]);
    run(&["--samples", "2"], 2, &["--temperature"]);
    run(&["--knowledge", &path("nothing")], 1, &["is no folder"]);
    run(&["--turns", "21"], 2, &["21"]);
    let make = |more: &[&str], code, parts: &[&str]| {
        let words = [
            "episodes", "make", "--data", &rows, "--db-dir", &dbs, "--base", &base, "--out", &out,
        ];
        fails(&[&words[..], more].concat(), code, parts);
    };
    make(&["--turns", "4"], 2, &["up to 5"]);
    make(&["--template", "base"], 2, &["plain or chatml"]);
    let broken = json!({"prompt": "x", "db": "boats", "gold_sql": "SELECT nope FROM boats"});
    fs::write(&rows, broken.to_string()).unwrap();
    make(&[], 1, &["no row has a reference that runs"]);
}
