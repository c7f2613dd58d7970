//! What a user reads before the first run: the order of flags, completions, manual pages.

mod common;

use common::{fails, ok, text};

/// The flags that `factory COMMAND -h` lists, with the headings between them.
fn listed(command: &str) -> Vec<String> {
    let help = ok(&[command, "-h"]);
    let word = |line: &str| {
        let flag = line.find("--").map(|at| &line[at..]);
        let flag = flag.filter(|_| line.starts_with("  "));
        let heading = line.strip_suffix(':').filter(|h| !h.starts_with(' '));
        let said = flag.map(|flag| flag.split(' ').next().unwrap_or(flag));
        said.or(heading).map(str::to_owned)
    };
    help.lines().filter_map(word).collect()
}

#[test]
fn training_lists_what_people_need_first_and_the_rest_in_groups() {
    let listed = listed("sft");
    let first = "Options --data --base --out --rank --alpha --dora --epochs --batch --lr --max-seq --template --seed --device";
    let first: Vec<_> = first.split(' ').collect();
    assert_eq!(listed[..first.len()], first);
    let groups: Vec<_> = listed.iter().filter(|l| !l.starts_with('-')).collect();
    let expected = [
        "Options",
        "Adapter",
        "Data",
        "Schedule",
        "Memory",
        "Evaluation",
        "Output",
    ];
    assert_eq!(groups, expected);
}

#[test]
fn every_shell_completes_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(&["completions", shell]);
        for word in ["eval-sql", "db-dir", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("sql-worker"), "{shell}");
    }
    fails(&["completions", "cmd"], 2, &["cmd"]);
}

#[test]
fn manual_pages_say_every_command() {
    let page = ok(&["man", "adapter", "merge"]);
    assert!(page.contains("factory\\-adapter\\-merge"), "{page}");
    assert!(page.contains("\\-\\-dtype"), "{page}");
    fails(&["man", "nothing"], 2, &["\"nothing\""]);
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    ok(&["man", "--out", &text(&pages)]);
    let names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in ["factory.1", "factory-sft.1", "factory-adapter-merge.1"] {
        assert!(names.iter().any(|n| n == page), "{names:?}");
    }
    let hidden = names.iter().any(|n| n.contains("worker"));
    assert!(!hidden, "{names:?}");
    fails(&["man", "--out", &text(&pages)], 1, &["exists"]);
}
