//! `factory grpo --tools` as a user meets it: episodes played, judged and learned from; interrupted runs; what is wrong with tools.

mod common;
#[path = "common/tools.rs"]
#[allow(dead_code)]
mod tools;

use common::{base, factory, fails, ok, refs, roomy, text};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::learning::episodes::episode::{End, Episode};
use factory::model::linear::Gradients;
use factory::training::objective::policy::{Advantage, Kind, Policy, Rollout, Settings};
use factory::training::packing::pack;
use factory::training::trainer::pass;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use tools::folder;

/// Rewards of answers and of turns.
const REWARDS: &str = "distribution = \"per_turn\"
[[reward]]
verifier = \"execution\"
weight = 0.9
[[reward]]
verifier = \"ended\"
weight = 0.1
[[reward]]
verifier = \"looked_up\"
weight = 0.1
[[reward]]
verifier = \"step_runs\"
weight = 0.1
[[penalty]]
fault = \"malformed\"
weight = -0.2
[[penalty]]
fault = \"repeated\"
weight = -0.1
";

/// A folder with a database, rows, rewards and a base, and an adapter that has begun to play.
struct Stand {
    dir: TempDir,
    base: String,
    start: String,
}

impl Stand {
    fn new() -> Self {
        let dir = folder();
        let base = roomy(dir.path(), "tiny-llama");
        let stand = Self {
            start: text(&dir.path().join("start")),
            base,
            dir,
        };
        let rows = [
            json!({"id": "a", "prompt": "Which?", "db": "boats", "gold_sql": "SELECT id FROM boats"}),
            json!({"id": "b", "prompt": "Who?", "db": "boats", "gold_sql": "SELECT oars FROM boats"}),
        ];
        let rows = rows.map(|row| row.to_string()).join("\n");
        fs::write(stand.path("rows.jsonl"), rows).unwrap();
        fs::write(stand.path("rewards.toml"), REWARDS).unwrap();
        let (data, made, dbs) = (
            stand.path("rows.jsonl"),
            stand.path("made.jsonl"),
            text(stand.dir.path()),
        );
        let Self { base, start, .. } = &stand;
        ok(&[
            "episodes", "make", "--data", &data, "--db-dir", &dbs, "--base", base, "--turns", "5",
            "--out", &made,
        ]);
        // The answer alone, and a look at the tables before it, so that a tiny base learns them half in a moment.
        let mut short = stand.lines("made.jsonl");
        for (looks, row) in short.iter_mut().enumerate() {
            let messages = row["messages"].as_array_mut().unwrap();
            messages.drain(2 + 2 * looks..messages.len() - 1);
        }
        let short: Vec<String> = short.iter().map(Value::to_string).collect();
        fs::write(&made, short.join("\n")).unwrap();
        ok(&[
            "sft",
            "--data",
            &made,
            "--base",
            base,
            "--out",
            start,
            "--device",
            "cpu",
            "--rank",
            "16",
            "--lr",
            "0.02",
            "--steps",
            "60",
            "--batch",
            "2",
            "--max-seq",
            "4096",
        ]);
        stand
    }

    fn path(&self, name: &str) -> String {
        text(&self.dir.path().join(name))
    }

    /// The words of a run that becomes `out`; what `more` says counts before what is usual.
    fn words(&self, out: &str, more: &[&str]) -> Vec<String> {
        let usual = [
            ("--data", self.path("rows.jsonl")),
            ("--db-dir", text(self.dir.path())),
            ("--base", self.base.clone()),
            ("--init", self.start.clone()),
            ("--out", self.path(out)),
            ("--device", "cpu".to_owned()),
            ("--batch", "2".to_owned()),
            ("--samples", "4".to_owned()),
            ("--max-tokens", "60".to_owned()),
            ("--lr", "0.0005".to_owned()),
            ("--tools", "builtin".to_owned()),
            ("--turns", "5".to_owned()),
        ];
        let usual = usual.iter().filter(|(flag, _)| !more.contains(flag));
        let usual = usual.flat_map(|(flag, value)| [*flag, value]);
        let words = ["grpo"].into_iter().chain(usual);
        let all = words.chain(more.iter().copied());
        all.map(str::to_owned).collect()
    }

    fn weights(&self, folder: &str) -> Vec<u8> {
        fs::read(
            self.dir
                .path()
                .join(folder)
                .join("adapter_model.safetensors"),
        )
        .unwrap()
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join(file)).unwrap();
        let line = |line: &str| serde_json::from_str(line).unwrap();
        text.lines().map(line).collect()
    }
}

#[test]
fn episodes_are_learned_from() {
    let stand = Stand::new();
    let rewards = stand.path("rewards.toml");
    let more = [
        "--steps",
        "8",
        "--iterations",
        "2",
        "--rewards",
        &rewards,
        "--seed",
        "2",
    ];
    ok(&refs(&stand.words("out", &more)));
    let metrics = stand.lines("out/metrics.jsonl");
    let number = |line: &Value, name: &str| {
        line[name]
            .as_f64()
            .unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    for name in [
        "reward",
        "completions/ended",
        "rollouts/passed",
        "episodes/turns",
        "episodes/step_reward",
        "episodes/tool_errors",
        "episodes/unknown_tables",
        "episodes/repeated",
        "episodes/malformed",
    ] {
        number(&metrics[0], name);
    }
    // The second step on the same episodes finds those likelier that were worth more.
    let loss = |line: &Value| number(line, "loss");
    let learned: Vec<&[Value]> = metrics
        .chunks(2)
        .filter(|both| loss(&both[0]) != 0.0)
        .collect();
    assert!(!learned.is_empty());
    for both in learned {
        assert!(loss(&both[1]) < loss(&both[0]), "{both:?}");
    }
    // Training finds for each token what the sampler found, whatever was said between turns.
    let off = metrics
        .iter()
        .step_by(2)
        .filter_map(|line| line["sampler_difference"].as_f64())
        .fold(0.0, f64::max);
    assert!(off < 1e-3, "{off}");
    let rollouts = stand.lines("out/rollouts.jsonl");
    assert_eq!(rollouts.len(), 8 * 2 * 4);
    for line in &rollouts {
        let turns = line["turns"].as_array().unwrap().len();
        assert!((1..=5).contains(&turns));
        for each in ["written", "step_rewards", "advantages"] {
            assert_eq!(line[each].as_array().unwrap().len(), turns, "{each}");
        }
        let ended = line["end"] == "answered";
        assert!(ended || turns == 5, "{line}");
        assert!(line["passed"] == false || ended);
    }
    // Two turns of an episode that are worth different numbers are learned by different ones.
    let differs = |line: &&Value, name: &str| {
        let all = line[name].as_array().unwrap();
        all.iter().any(|one| *one != all[0])
    };
    let some = rollouts.iter().find(|line| differs(line, "step_rewards"));
    assert!(differs(&some.unwrap(), "advantages"));
    let shown = ok(&[
        "episodes",
        "replay",
        &stand.path("out/rollouts.jsonl"),
        "--row",
        "3",
    ]);
    let all = rollouts.len();
    let title = format!("Episode 3 of {all}: ");
    assert!(shown.contains(&title), "{shown}");
    // It repeats from its settings.
    let (config, again) = (stand.path("out/config.toml"), stand.path("again"));
    ok(&["grpo", "--config", &config, "--out", &again]);
    assert_eq!(stand.weights("out"), stand.weights("again"));
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes_with_any_number_of_threads() {
    let stand = Stand::new();
    let rewards = stand.path("rewards.toml");
    let more = [
        "--rewards",
        &rewards,
        "--steps",
        "6",
        "--iterations",
        "2",
        "--beta",
        "0.02",
        "--checkpoint-every",
        "1",
        "--no-guards",
    ];
    ok(&refs(&stand.words("whole", &more)));
    let rollouts =
        |folder: &str| fs::read(stand.path(&format!("{folder}/rollouts.jsonl"))).unwrap();
    // In the middle of the episodes of a step, and between two steps on the same episodes.
    for (at, threads) in [(1, "1"), (2, "8"), (4, "2")] {
        let name = format!("killed-{at}");
        let out = stand.path(&name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(stand.words(&name, &more))
            .env("RAYON_NUM_THREADS", threads)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let state = stand.path(&format!("{name}.partial/state-{at}.safetensors"));
        let exists = |path: &str| Path::new(path).exists();
        while !exists(&state) && !exists(&out) && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !exists(&out) {
            ok(&["grpo", "--resume", &out]);
        }
        assert_eq!(
            stand.weights(&name),
            stand.weights("whole"),
            "behind step {at}"
        );
        assert_eq!(rollouts(&name), rollouts("whole"), "behind step {at}");
    }
}

#[test]
fn rewards_that_are_all_alike_change_no_byte() {
    let stand = Stand::new();
    let half = "[[reward]]\ncommand = [\"sh\", \"-c\", \"while read line; do echo 0.5; done\"]\nweight = 1.0\n";
    fs::write(stand.path("half.toml"), half).unwrap();
    let half = stand.path("half.toml");
    let more = ["--rewards", &half, "--steps", "2", "--weight-decay", "0.1"];
    ok(&refs(&stand.words("out", &more)));
    assert_eq!(stand.weights("out"), stand.weights("start"));
}

#[test]
fn the_adapter_that_plays_best_is_kept() {
    let stand = Stand::new();
    let (rows, dbs) = (stand.path("rows.jsonl"), text(stand.dir.path()));
    let eval = [
        "--eval-data",
        &rows,
        "--eval-db",
        &dbs,
        "--eval-every",
        "1",
        "--steps",
        "2",
    ];
    // The start plays all rows right, and so is what is kept where no step is better.
    let told = factory(&refs(&stand.words("slow", &eval)));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("execution accuracy 1.000 (2/2)"), "{told}");
    assert!(told.contains("no step made the adapter better"), "{told}");
    assert_eq!(stand.weights("slow"), stand.weights("start"));
    // So fast that it forgets at once what it knows.
    let words = stand.words("fast", &[&eval[..], &["--lr", "1.0"]].concat());
    fails(&refs(&words), 1, &["execution accuracy fell from 1.000"]);
    assert!(!Path::new(&stand.path("fast")).exists());
}

#[test]
fn what_is_wrong_with_tools_is_one_line() {
    let stand = Stand::new();
    let run = |more: &[&str], code, parts: &[&str]| {
        let words = stand.words("none", &[&["--steps", "2"], more].concat());
        fails(&refs(&words), code, parts);
        assert!(!Path::new(&stand.path("none")).exists());
    };
    run(&["--template", "base"], 2, &["plain or chatml"]);
    run(&["--tools", "mcp:/nowhere/x"], 1, &["cannot start"]);
    run(&["--tools", "some"], 2, &["builtin"]);
    run(
        &["--tools", "mcp:sh -c 'head -c 3000000 /dev/zero'"],
        1,
        &["protocol"],
    );
    run(
        &["--knowledge", &stand.path("nothing")],
        1,
        &["is no folder"],
    );
    run(&["--max-tokens", "9000"], 1, &["rows.jsonl:1"]);
    run(&["--max-seq", "100"], 1, &["rows.jsonl:1", "--max-seq 100"]);
    run(&["--on-long", "skip"], 2, &["--on-long", "--tools"]);
    // What only episodes have.
    let rewards = stand.path("rewards.toml");
    let without = |more: &[&str], parts: &[&str]| {
        let mut words = stand.words("none", &[&["--steps", "2"], more].concat());
        for flag in ["--tools", "--turns"] {
            let at = words.iter().position(|word| word == flag).unwrap();
            if !more.contains(&flag) {
                words.drain(at..at + 2);
            }
        }
        fails(&refs(&words), 2, parts);
    };
    without(&["--rewards", &rewards], &["rewards.toml", "--tools"]);
    without(&["--turns", "3"], &["required"]);
    without(&["--query-seconds", "3"], &["required"]);
}

#[test]
fn a_server_that_dies_in_mid_run_leaves_a_state_to_go_on_from() {
    let stand = Stand::new();
    let (gone, once) = (stand.path("gone"), stand.path("once"));
    let program = env!("CARGO_BIN_EXE_factory");
    let server = format!("mcp:sh -c 'test ! -e {gone} && exec {program} mcp serve --db {{file}}'");
    let reward = |script: &str| {
        let words = json!(["sh", "-c", script]);
        format!(
            "[[reward]]\ncommand = {words}\nweight = 0.01\n[[reward]]\nverifier = \"step_runs\"\nweight = 0.1\n[[penalty]]\nfault = \"malformed\"\nweight = -0.1\n"
        )
    };
    let rewards = stand.path("dying.toml");
    let kill = format!("while read line; do test -e {once} || touch {once} {gone}; echo 0.5; done");
    fs::write(&rewards, reward(&kill)).unwrap();
    let more = [
        "--rewards",
        &rewards,
        "--steps",
        "3",
        "--checkpoint-every",
        "1",
        "--no-guards",
        "--resample",
        "0",
    ];
    let served = [&more[..], &["--tools", &server]].concat();
    let told = fails_with(&stand.words("out", &served));
    assert!(told.contains("tools of database boats"), "{told}");
    assert!(told.contains("the state after step 1 is kept"), "{told}");
    fs::remove_file(&gone).unwrap();
    ok(&["grpo", "--resume", &stand.path("out")]);
    // The same as with this program's tools, which nothing happened to.
    ok(&refs(&stand.words("whole", &more)));
    assert_eq!(stand.weights("out"), stand.weights("whole"));
}

/// What a command says that fails.
fn fails_with(words: &[String]) -> String {
    let output = factory(&refs(words));
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// An episode of two turns between which a tool says this.
fn episode(said: &[u32]) -> Episode {
    let mut tokens = vec![11, 12, 13, 14, 21, 22, 23];
    tokens.extend(said);
    let second = tokens.len();
    tokens.extend([31, 32]);
    Episode {
        written: vec![4..7, second..second + 2],
        tokens,
        logprobs: Vec::new(),
        turns: Vec::new(),
        end: End::Turns,
    }
}

#[test]
fn what_a_tool_says_has_no_gradient_of_its_own() {
    let base = base("tiny-llama");
    let adapter = Adapter::init(AdapterConfig::default(), &base.decoder, 1).unwrap();
    let of = |said: &[u32], advantages: [f64; 2]| {
        let example = episode(said).example();
        let [first, second] = advantages;
        let mut policy = Policy::new(Settings::new(Kind::DrGrpo, 16));
        policy.take(vec![Rollout {
            advantage: Advantage::Labels(vec![first, first, first, second, second]),
            ..Rollout::default()
        }]);
        policy.begin(1, example.labels());
        let packed = pack([&example], true);
        assert_eq!(packed.labels.len(), 5);
        let mut gradients = Gradients::default();
        pass(
            &base.decoder,
            &adapter,
            &packed,
            &[0],
            &mut policy,
            &mut gradients,
        )
        .unwrap();
        let flat = |(name, tensor): (&String, &candle_core::Tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (name.clone(), values)
        };
        gradients.0.iter().map(flat).collect::<Vec<_>>()
    };
    // Of the first turn alone the gradient is what it is, whatever was said behind it.
    let first = of(&[41, 42, 43], [1.0, 0.0]);
    assert_eq!(first, of(&[51, 52, 53], [1.0, 0.0]));
    assert!(
        first
            .iter()
            .any(|(_, values)| values.iter().any(|x| *x != 0.0))
    );
    // The second turn is learned for what it heard.
    assert_ne!(of(&[41, 42, 43], [0.0, 1.0]), of(&[51, 52, 53], [0.0, 1.0]));
    // Without advantages nothing is learned, of what was said neither.
    let nothing = of(&[41, 42, 43], [0.0, 0.0]);
    assert!(
        nothing
            .iter()
            .all(|(_, values)| values.iter().all(|x| *x == 0.0))
    );
}
