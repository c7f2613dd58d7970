use super::*;
use crate::data::jsonl::Line;
use crate::eval::judged::Judged;
use crate::eval::returned::Returned;
use crate::learning::draw::Sample;

/// Hears nothing and stops nothing.
struct Patient;

impl Observer for Patient {
    fn note(&self, _: std::fmt::Arguments) {}
}

fn sample(text: &str, finish: Finish) -> Sample {
    Sample {
        text: Some(text.to_owned()),
        finish,
        tokens: Vec::new(),
        logprobs: Vec::new(),
    }
}

fn judged(failure: Option<&str>, error: Option<&str>, columns: bool) -> Judged {
    Judged {
        failure: failure.map(str::to_owned),
        error: error.map(str::to_owned),
        returned: (error.is_none() && failure != Some("no_sql")).then(|| Returned {
            rows: 1,
            digest: String::new(),
        }),
        columns,
        soft_f1: match failure {
            None => 1.0,
            Some(_) if columns => 0.25,
            Some(_) => 0.0,
        },
    }
}

/// A right answer, one with as many columns, one that runs, one that fails, one without a query that was cut.
fn answers() -> Vec<Drawn> {
    let cut = sample("the the", Finish::Length);
    let all = [
        (sample("a", Finish::Stop), judged(None, None, true)),
        (sample("b", Finish::Stop), judged(Some("wrong"), None, true)),
        (
            sample("c", Finish::Stop),
            judged(Some("wrong"), None, false),
        ),
        (
            sample("d", Finish::Stop),
            judged(Some("sql_error"), Some("no such table"), false),
        ),
        (cut, judged(Some("no_sql"), None, false)),
    ];
    let drawn = all.map(|(sample, judged)| Drawn {
        sample,
        judged,
        // As the reference of [`row`] is.
        query: Some("select 1".to_owned()),
    });
    drawn.into()
}

fn row() -> Row {
    let fields = json!({"prompt": "q", "db": "x", "gold_sql": "select 1"});
    let fields = fields.as_object().cloned().unwrap_or_default();
    let line = Line::new(1, fields);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, serde_json::to_string(line.fields()).unwrap()).unwrap();
    let rows = super::super::rows::Rows::read(&path, &Default::default(), None).unwrap();
    rows.rows.into_iter().next().unwrap()
}

fn of(parts: Vec<Part>) -> Result<Vec<Option<f64>>> {
    let config = Config {
        parts,
        ..Config::default()
    };
    Rewards::open(&config)?.of(&row(), &answers(), &[], &Patient)
}

#[test]
fn a_right_answer_is_worth_one_and_a_close_one_a_tenth() {
    let mut rewards = Rewards::open(&Config::default()).unwrap();
    let found = rewards.of(&row(), &answers(), &[], &Patient).unwrap();
    assert_eq!(
        found,
        [Some(1.0), Some(0.1), Some(0.0), Some(0.0), Some(0.0)]
    );
    // One that could not be drawn is worth nothing, and not zero.
    let none = Drawn {
        sample: Sample {
            text: None,
            ..sample("", Finish::Error)
        },
        judged: Judged::no_answer(),
        query: None,
    };
    let found = rewards.of(&row(), &[none], &[], &Patient).unwrap();
    assert_eq!(found, [None]);
}

#[test]
fn a_file_says_what_counts() {
    let read = file::read(
        "[[reward]]\nverifier = \"runs\"\nweight = 0.5\n[[reward]]\nverifier = \"ended\"\nweight = 0.25\n\
         [[penalty]]\nfault = \"fails\"\nweight = -0.125\n[[penalty]]\nfault = \"no_query\"\nweight = -0.5\n\
         [[penalty]]\nfault = \"cut\"\nweight = -1.0\n",
    );
    let found = of(read.unwrap().parts).unwrap();
    assert_eq!(
        found,
        [Some(0.75), Some(0.75), Some(0.75), Some(0.125), Some(-1.5)]
    );
    let read = file::read("[[reward]]\nverifier = \"soft_f1\"\nweight = 0.5\n");
    let found = of(read.unwrap().parts).unwrap();
    assert_eq!(
        found,
        [Some(0.5), Some(0.125), Some(0.0), Some(0.0), Some(0.0)]
    );
    for (text, fault) in [
        ("", "no [[reward]]"),
        (
            "[[reward]]\nverifier = \"execution\"\nweight = nan",
            "weight NaN is no number",
        ),
        (
            "[[reward]]\nverifier = \"execution\"\nweight = -1.0",
            "[[penalty]]",
        ),
        (
            "[[reward]]\nverifier = \"execution\"\nweight = 1.0\n[[penalty]]\nfault = \"cut\"\nweight = 0.1",
            "would pay",
        ),
        ("[[reward]]\nweight = 1.0", "verifier or command"),
        ("[[reward]]\nverifier = \"beauty\"\nweight = 1.0", "line 2"),
        (
            "[[reward]]\nverifier = \"beauty\"\nweight = 1.0",
            "of a turn: unknown variant `beauty`, expected `step_runs` or `looked_up`",
        ),
        (
            "[[reward]]\nverifier = \"runs\"\nweight = 1.0\n[[penalty]]\nfault = \"repeated\"\nweight = 0.1",
            "would pay",
        ),
        (
            "distribution = \"per_turn\"\n[[reward]]\nverifier = \"runs\"\nweight = 1.0",
            "there are none",
        ),
        (
            "distribution = \"per_token\"\n[[reward]]\nverifier = \"step_runs\"\nweight = 1.0",
            "line 1",
        ),
        (
            "[[reward]]\nverifier = \"execution\"\nweight = 1.0\nbonus = 2",
            "line 4",
        ),
        ("[[reward]]\ncommand = []\nweight = 1.0", "command is empty"),
    ] {
        let error = format!("{:#}", file::read(text).unwrap_err());
        assert!(error.contains(fault), "{text}: {error}");
    }
}

#[test]
fn what_a_file_says_of_turns_is_apart() {
    let read = file::read(
        "distribution = \"per_turn\"\n[[reward]]\nverifier = \"execution\"\nweight = 1.0\n\
         [[reward]]\nverifier = \"looked_up\"\nweight = 0.25\n[[penalty]]\nfault = \"step_fails\"\nweight = -0.5\n",
    )
    .unwrap();
    assert_eq!(read.parts, [Part::Verified(Verifier::Execution, 1.0)]);
    let steps = Steps {
        parts: vec![
            steps::Part::Verified(steps::Verifier::LookedUp, 0.25),
            steps::Part::Punished(steps::Fault::StepFails, -0.5),
        ],
        distribution: steps::Distribution::PerTurn,
    };
    assert_eq!(read.steps, steps);
}

#[cfg(unix)]
#[test]
fn a_command_answers_a_number_for_each_line_or_is_named() {
    let command = |script: &str| {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        of(vec![Part::Command(words, 0.5)])
    };
    let half = command(
        "while read line; do case $line in *'\"answer\":\"a\"'*) echo 1;; *) echo 0.5;; esac; done",
    );
    assert_eq!(
        half.unwrap(),
        [Some(0.5), Some(0.25), Some(0.25), Some(0.25), Some(0.25)]
    );
    for (script, fault) in [
        ("read line; echo 1; exit 3", "ended: exit status: 3"),
        (
            "while read line; do echo good; done",
            "\"good\", which is no number",
        ),
        (
            "while read line; do echo nan; done",
            "answered NaN, expected 0 to 1",
        ),
        (
            "while read line; do echo 7; done",
            "answered 7, expected 0 to 1",
        ),
        (
            "while read line; do printf '0.5\\n0.1\\n'; done",
            "that nobody asked for",
        ),
        (
            "while read line; do head -c 5000 /dev/zero | tr '\\0' 1; done",
            "expected 0 to 1",
        ),
    ] {
        let error = format!("{:#}", command(script).unwrap_err());
        assert!(error.contains(fault), "{script}: {error}");
    }
    let none = of(vec![Part::Command(vec!["no-such-command".to_owned()], 1.0)]);
    assert!(format!("{:#}", none.unwrap_err()).contains("no-such-command"));
}
