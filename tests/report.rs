//! The report of a run and of several: what stands on it, that no text of a row can change it, that it stays small.

#[path = "common/page.rs"]
mod page;
#[path = "common/report_folder.rs"]
mod report_folder;
#[path = "common/run_folder.rs"]
mod run_folder;

use factory::eval::spread::Spread;
use factory::report::overview::{
    Beside, Matrix, MatrixGate, Overview, html as overview_html, markdown as overview_markdown,
    references, rung,
};
use factory::report::{MAX_PAGE, html, markdown};
use page::{attributes, elements, section};
use report_folder::{HOSTILE, fill, write};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn run(rows: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), rows);
    folder
}

#[test]
fn the_page_says_the_verdict_first_and_then_why() {
    let folder = run(40);
    let page = html(folder.path()).unwrap();
    let all = elements(&page);
    let sections = all
        .iter()
        .filter(|(name, _)| name == "section")
        .flat_map(|(_, attributes)| attributes);
    let sections: Vec<_> = sections
        .filter(|(key, _)| key == "id")
        .map(|(_, id)| id.as_str())
        .collect();
    assert_eq!(
        sections,
        [
            "decision", "gates", "compare", "training", "failures", "slices", "tradeoff", "rows",
            "data", "made"
        ]
    );
    let decision = section(&page, "decision");
    for text in [
        "Retry with other data",
        "1 of 2 gates passes.",
        "blend both sets | and train again",
        "gate kept: 0.750, min 0.8",
        "ada",
    ] {
        assert!(decision.contains(text), "{text}");
    }
    let gates = section(&page, "gates");
    for text in [
        "✓ pass",
        "✗ fail",
        "0.625",
        "25/40",
        "0.410 to 0.830",
        "0.800, missed by 5.0 points",
        "gained 10, lost 5, p = 0.3018",
    ] {
        assert!(gates.contains(text), "{text}");
    }
    assert_eq!(gates.matches("<svg").count(), 4);
    let failures = section(&page, "failures");
    assert!(
        failures.contains("own: 15 rows failed before, 10 fail after"),
        "{failures}"
    );
    assert!(section(&page, "training").contains("0.400 after step 20"));
    assert!(section(&page, "tradeoff").contains("No point passes every gate."));
    // What is known is not told from what is not by its absence.
    let compare = section(&page, "compare");
    for text in [
        "derived</span><small>from the rows a second",
        "missing</span><small>it was not measured",
        "not-applicable</span><small>a baseline has none",
        "skipped</span><small>an own machine",
        "0.910 <span class=\"tag state\">historical</span><small>large &lt;b&gt;, 2026-01-02",
    ] {
        assert!(compare.contains(text), "{text}: {compare}");
    }
    // Each link of the page leads somewhere.
    let ids = attributes(&all, "id");
    for link in attributes(&all, "href") {
        let inside = link.strip_prefix('#').is_some_and(|id| ids.contains(&id));
        assert!(inside || link == "data:,", "{link}");
    }
    assert_eq!(page, html(folder.path()).unwrap());
}

#[test]
fn every_row_that_flipped_or_fails_is_there_with_both_answers() {
    let folder = run(40);
    let page = html(folder.path()).unwrap();
    let all = elements(&page);
    let rows = |outcome: &str| {
        attributes(&all, "data-outcome")
            .iter()
            .filter(|one| **one == outcome)
            .count()
    };
    // Of two gates.
    assert_eq!(
        [rows("lost"), rows("gained"), rows("wrong"), rows("right")],
        [10, 20, 10, 40]
    );
    let start = page.find("id=\"row-0\"").unwrap();
    let row = &page[start
        ..start
            + page[start..]
                .find("</details>\n<details class=\"row")
                .unwrap()];
    for text in [
        "lost",
        "How many crates are in hall 0?",
        "SELECT count(*) FROM crates WHERE hall = 0;",
        "sql_no_select",
        "Baseline",
        "Candidate",
        "<i class=\"soft\">NULL</i>",
    ] {
        assert!(row.contains(text), "{text}: {row}");
    }
    assert!(page.contains("<mark>sum</mark>"));
    assert!(page.contains("no such column: hal"));
}

#[test]
fn a_run_as_a_recipe_leaves_it_is_shown_whole() {
    let fixture = run_folder::Fixture::new();
    let (folder, _) = fixture.run(&fixture.evidence());
    let page = html(&folder).unwrap();
    let all = elements(&page);
    assert!(
        !attributes(&all, "id").contains(&"lacks"),
        "something is missing"
    );
    for text in [
        "Ship it",
        "All 2 gates pass.",
        "5/6",
        "dora r4",
        "no-overlap",
        "derived</span><small>from the rows a second",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let outcomes = attributes(&all, "data-outcome");
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    // Three of six rows are in both gates.
    assert_eq!([count("gained"), count("lost"), count("right")], [6, 0, 1]);
    assert_eq!(outcomes.len(), 9);
    // A run that is not whole says what it is at.
    run_folder::change(&folder, "run-status.json", |status| {
        status["phase"] = json!("training")
    });
    fs::remove_file(folder.join("artifact.json")).unwrap();
    let page = html(&folder).unwrap();
    assert!(section(&page, "made").contains("<dt>phase</dt><dd>training</dd>"));
    assert!(section(&page, "lacks").contains("not-applicable</span> this run has nothing to ship"));
}

#[test]
fn no_text_of_a_row_does_anything() {
    let folder = run(40);
    let page = html(folder.path()).unwrap();
    let all = elements(&page);
    assert_eq!(all.iter().filter(|(name, _)| name == "script").count(), 1);
    for (name, attributes) in &all {
        assert!(
            !["img", "b", "iframe", "base", "object"].contains(&name.as_str()),
            "{name}"
        );
        assert!(
            attributes
                .iter()
                .all(|(key, _)| !key.starts_with("on") && key != "src" && key != "srcset"),
            "{attributes:?}"
        );
    }
    let hidden =
        |c: char| (c.is_control() && c != '\n' && c != '\t') || "\u{2028}\u{202e}".contains(c);
    assert!(!page.contains(hidden));
    assert!(page.contains("‹U+2028›‹U+202E›␀␛[31m␍␡"));
    assert!(page.contains("{{ 7 * 191 }}") && !page.contains("1337"));
    assert!(page.contains("&amp;lt;b&amp;gt; &amp;amp; &lt;b&gt;bold&lt;/b&gt;"));
    assert!(page.contains(HOSTILE[7]));
    // Nothing is loaded, and a script that got in would not run.
    assert!(page.contains("default-src 'none'") && !page.contains("script-src 'unsafe"));
    for word in ["http:", "https:", "@import", "url("] {
        assert!(
            !page
                .replace("http://www.w3.org/2000/svg", "")
                .contains(word),
            "{word}"
        );
    }
}

#[test]
fn a_page_of_many_long_rows_stays_small_and_says_what_it_leaves_out() {
    let folder = run(1_600);
    for who in ["baseline", "candidate"] {
        let path = folder.path().join(format!("rows/own.{who}.jsonl"));
        let text = fs::read_to_string(&path).unwrap();
        let long = "long & <long> ".repeat(300);
        fs::write(&path, text.replace("Certainly", &long)).unwrap();
    }
    let page = html(folder.path()).unwrap();
    assert!(page.len() < MAX_PAGE, "{}", page.len());
    elements(&page);
    assert!(
        page.contains("To keep this page small it leaves out"),
        "no note"
    );
    assert!(page.contains("1600 right rows"));
    let few = html(run(200).path()).unwrap();
    assert!(few.len() < MAX_PAGE);
    assert_eq!(attributes(&elements(&few), "data-outcome").len(), 400);
}

#[test]
fn a_folder_that_lacks_files_is_shown_and_what_it_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = html(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is no run folder"), "{error}");
    write(
        folder.path(),
        "run-status.json",
        &json!({"run_id": "half", "phase": "training"}),
    );
    fs::write(folder.path().join("gates.json"), "[{").unwrap();
    let page = html(folder.path()).unwrap();
    elements(&page);
    assert!(page.contains("Not decided") && page.contains("No gate was judged."));
    let lacks = section(&page, "lacks");
    for file in [
        "config.json",
        "decision.json",
        "dataset.json",
        "provenance.json",
        "recipe.toml",
    ] {
        assert!(
            lacks.contains(&format!(
                "<code>{file}</code> <span class=\"tag state\">missing</span> the file is not there"
            )),
            "{file}"
        );
    }
    assert!(lacks.contains("the file cannot be read: EOF"), "{lacks}");
    assert!(section(&page, "training").contains("not-applicable"));
    // One file less, of a whole run.
    let folder = run(8);
    for file in [
        "rows/own.baseline.jsonl",
        "metrics.jsonl",
        "slice-metrics.json",
    ] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    fs::write(
        folder.path().join("rows/kept.candidate.jsonl"),
        "{\"index\": 1}\n",
    )
    .unwrap();
    let page = html(folder.path()).unwrap();
    for file in [
        "rows/own.baseline.jsonl",
        "metrics.jsonl",
        "slice-metrics.json",
        "rows/kept.candidate.jsonl",
    ] {
        assert!(section(&page, "lacks").contains(file), "{file}");
    }
}

#[test]
fn the_text_has_its_sections_and_no_text_of_a_row() {
    let folder = run(40);
    let text = markdown(folder.path()).unwrap();
    let sections: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(
        sections,
        [
            "Decision",
            "Evidence",
            "Target",
            "Data",
            "Eval",
            "Performance",
            "Failures",
            "Next Action"
        ]
    );
    for part in [
        "**Retry with other data** (retry-data). 1 of 2 gates passes.",
        "- Reason: gate own passes, gate kept does not\n",
        "questions about a harbour \\<b\\>\n",
        "| `own` | `execution_accuracy`, factory | primary | 0.625 (25/40; 0.410 to 0.830) | 0.750 (30/40; 0.410 to 0.830) | +12.5 points | yes |",
        "| train | `harbour/train.jsonl` | 200 |",
        "- `kept`, min 0.8: 0.800, missed by 5.0 points",
        "- lost of `own`: `crate-000`, `crate-008`,",
        "blend both sets \\| and train again\n\n- `next/targeted.jsonl`, 2 lines\n",
        "```sh\nfactory sft --rank 8\n```",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(
        !text.contains("crates") && !text.contains("alert"),
        "{text}"
    );
    // Tables stay tables: the lines around each row of one are rows, or blank.
    let lines: Vec<_> = text.lines().collect();
    let rule = |line: &str| line.starts_with("|---");
    for at in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| rule(line))
        .map(|(at, _)| at)
    {
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(lines[at - 2].is_empty(), "{}", lines[at - 1]);
        assert_eq!(cells(lines[at - 1]), cells(lines[at]), "{}", lines[at - 1]);
        assert_eq!(cells(lines[at + 1]), cells(lines[at]), "{}", lines[at + 1]);
    }
    // Nothing is known, and it is said.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.json", &json!({}));
    let text = markdown(folder.path()).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("## ")).count(),
        8
    );
    assert!(text.contains("- `gates.json` (missing): the file is not there"));
}

#[test]
fn a_gate_on_a_plain_number_has_no_bar_and_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.json", &json!({"run_id": "number"}));
    write(
        folder.path(),
        "gates.json",
        &json!([{
            "name": "loss", "role": "primary", "mode": "summary", "metric": "eval.loss",
            "conditions": [{"what": "at most 1.5", "wanted": 1.5, "passed": true}, {"what": "baseline - 0.5", "wanted": null, "passed": true}],
            "value": 1.25, "passed_rows": 0, "n": 0, "interval": [1.25, 1.25], "baseline": null, "paired": null, "passed": true,
        }]),
    );
    let page = html(folder.path()).unwrap();
    let gates = section(&page, "gates");
    assert!(
        !gates.contains("<svg") && gates.contains("1.500, met by 0.250"),
        "{gates}"
    );
    assert!(gates.contains("the baseline lacks it, so it only informs"));
    assert!(page.contains("The gate passes.") && !section(&page, "lacks").contains("rows/"));
}

fn overview(place: &Path) -> Overview {
    let runs = place.join("runs");
    for name in ["base", "second"] {
        fill(&runs.join(name), 40);
    }
    let spread: Spread = serde_json::from_value(json!({
        "column": "exec_match", "seed": "seed", "groups": [
            {"variables": {"rank": "4"}, "values": {"0": 0.5, "1": 0.6}, "seeds": 2, "mean": 0.55, "standard_deviation": 0.0707, "min": 0.5, "max": 0.6, "against_first": null},
            {"variables": {"rank": "<8>"}, "values": {"0": 0.7, "1": 0.75}, "seeds": 2, "mean": 0.725, "standard_deviation": 0.0354, "min": 0.7, "max": 0.75,
                "against_first": {"difference": 0.175, "p": 0.00001, "interval": [0.05, 0.3], "seeds": 2, "rows": 40}}],
    }))
    .unwrap();
    let table = "[\"the others' <t5>\"]\nsecond = { own = 0.86, kept = 0.5 }\n";
    Overview {
        title: "A ladder <i>".to_owned(),
        description: None,
        rungs: ["base", "second"]
            .map(|name| rung(&runs.join(name), Some(name), &runs).unwrap())
            .into(),
        references: references(&table.parse().unwrap()).unwrap(),
        matrix: Some(Matrix {
            gates: vec![MatrixGate {
                name: "own".to_owned(),
                spread,
            }],
            beside: vec![Beside {
                variables: [("rank".to_owned(), "4".to_owned())].into(),
                facts: vec![("stable rank".to_owned(), "1.8".to_owned())],
            }],
        }),
    }
}

#[test]
fn several_runs_make_one_table() {
    let place = tempfile::tempdir().unwrap();
    let overview = overview(place.path());
    let page = overview_html(&overview).unwrap();
    let all = elements(&page);
    assert!(page.contains("<h1>A ladder &lt;i&gt;</h1>"));
    let links: Vec<_> = attributes(&all, "href")
        .into_iter()
        .filter(|link| link.ends_with(".html"))
        .collect();
    assert_eq!(links, ["./base/report.html", "./second/report.html"]);
    let runs = section(&page, "runs");
    for text in [
        "the others&#39; &lt;t5&gt;",
        "0.860",
        "0.750",
        "30/40 · 0.410 to 0.830",
        "+12.5 points",
        "Retry with other data",
        "small.gguf + train<",
    ] {
        assert!(runs.contains(text), "{text}: {runs}");
    }
    let matrix = section(&page, "matrix");
    for text in [
        "0.725 ± 0.035",
        "0.700, 0.750",
        "+17.5 points [+5.0, +30.0], p &lt; 0.0001",
        "&lt;8&gt;",
        "stable rank",
        "1.8",
    ] {
        assert!(matrix.contains(text), "{text}: {matrix}");
    }
    assert!(section(&page, "commands").contains("factory sft --rank 8"));
    let text = overview_markdown(&overview).unwrap();
    for part in [
        "| second | Retry with other data | 0.750 (30/40; 0.410 to 0.830), +12.5 points | 0.750 ✗ (30/40; 0.410 to 0.830), +12.5 points | 0.860 own, 0.500 kept | small.gguf + train",
        "| rank | own | stable rank |\n|---|---|---|\n| 4 | 0.550 ± 0.071 | 1.8 |\n| \\<8\\> | 0.725 ± 0.035 (+17.5 points \\[+5.0, +30.0\\], p \\< 0.0001) |  |\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // It can be handed on as it is.
    let again: Overview = serde_json::from_value(serde_json::to_value(&overview).unwrap()).unwrap();
    assert_eq!(overview_html(&again).unwrap(), page);
}

#[test]
fn references_that_are_no_numbers_are_refused_by_name() {
    let error = |text: &str| format!("{:#}", references(&text.parse().unwrap()).unwrap_err());
    assert!(
        error("[theirs]\nbase = 3\n")
            .contains("[reference.\"theirs\"]: expected rungs and their gates' values")
    );
    assert!(error("[theirs]\nbase = { own = \"x\" }\n").contains("[reference.\"theirs\"]"));
    assert!(error("[theirs]\nbase = { own = nan }\n").contains("a value is no number"));
}

#[test]
fn the_command_writes_page_and_text_again() {
    let folder = run(8);
    let path = folder.path().to_str().unwrap();
    let factory = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_factory"))
            .arg("report")
            .args(args)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, said, _) = factory(&[path]);
    assert_eq!((code, said.lines().count()), (Some(0), 2), "{said}");
    assert_eq!(
        fs::read_to_string(folder.path().join("report.html")).unwrap(),
        html(folder.path()).unwrap()
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("report.md")).unwrap(),
        markdown(folder.path()).unwrap()
    );
    let out = folder.path().join("both.html");
    let (code, ..) = factory(&[
        path,
        path,
        "--title",
        "Two runs",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(0));
    assert!(
        fs::read_to_string(&out)
            .unwrap()
            .contains("<h1>Two runs</h1>")
    );
    let (code, _, error) = factory(&[path, path]);
    assert!(
        code == Some(2) && error.contains("several runs need --out"),
        "{error}"
    );
    let (code, _, error) = factory(&[path, "--out", "x.pdf"]);
    assert!(
        code == Some(2) && error.contains("ends in .html or .md"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let (code, _, error) = factory(&[empty.path().to_str().unwrap()]);
    assert!(
        code == Some(1) && error.contains("is no run folder"),
        "{error}"
    );
}
