//! Who may import whom: each room of src/ only what stands to its right, and no two files of a room each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ALLOWED: [(&str, &[&str]); 20] = [
    (
        "mcp",
        &["ask", "answering", "eval", "db", "model", "sql", "run"],
    ),
    (
        "ask",
        &[
            "answering",
            "generation",
            "router",
            "eval",
            "adapters",
            "data",
            "db",
            "model",
            "sql",
            "run",
        ],
    ),
    (
        "serve",
        &[
            "ask",
            "answering",
            "eval",
            "generation",
            "router",
            "adapters",
            "data",
            "model",
            "run",
        ],
    ),
    (
        "learning",
        &[
            "mcp",
            "session",
            "training",
            "answering",
            "generation",
            "eval",
            "adapters",
            "data",
            "db",
            "model",
            "sql",
            "run",
        ],
    ),
    (
        "check",
        &["session", "eval", "training", "data", "sql", "run"],
    ),
    (
        "package",
        &[
            "report",
            "recipe",
            "answering",
            "generation",
            "eval",
            "adapters",
            "data",
            "model",
            "run",
        ],
    ),
    ("recipe", &["eval", "run", "data", "db", "sql"]),
    (
        "session",
        &[
            "answering",
            "eval",
            "training",
            "adapters",
            "data",
            "model",
            "run",
        ],
    ),
    ("report", &["recipe", "eval", "run", "data"]),
    (
        "answering",
        &[
            "generation",
            "router",
            "eval",
            "adapters",
            "data",
            "db",
            "model",
            "run",
        ],
    ),
    ("eval", &["db", "sql", "data", "run"]),
    ("training", &["adapters", "model", "data", "run"]),
    ("generation", &["adapters", "model"]),
    ("data", &["db", "sql", "run", "model::tokenizer"]),
    ("db", &["sql", "run"]),
    ("adapters", &["model"]),
    ("model", &[]),
    ("router", &[]),
    ("sql", &[]),
    ("run", &[]),
];

/// Imports everything, and is imported by nothing.
const TOP: &str = "cli";

/// Rooms without a circle of files.
const IN_LAYERS: [&str; 7] = [
    "learning",
    "check",
    "package",
    "recipe",
    "answering",
    "session",
    "report",
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|p| match p.is_dir() {
            true => rust_files(&p),
            false => vec![p],
        })
        .collect()
}

#[test]
fn every_room_has_its_row() {
    let entries = fs::read_dir(src()).unwrap().map(|e| e.unwrap().path());
    let rooms: BTreeSet<String> = entries
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !["lib", "main"].contains(&name.as_str()))
        .collect();
    let rows = ALLOWED.iter().map(|(room, _)| *room).chain([TOP]);
    assert_eq!(rooms, rows.map(str::to_owned).collect());
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut seen = 0;
    for (room, allowed) in ALLOWED {
        for file in rust_files(&src().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            for path in text.split("crate::").skip(1) {
                seen += 1;
                let own = path.starts_with(&format!("{room}::"));
                let fine = allowed.iter().any(|a| path.starts_with(&format!("{a}::")));
                let line = path.lines().next().unwrap();
                assert!(
                    own || fine,
                    "{}: {room} may not import crate::{line}",
                    file.display()
                );
            }
        }
    }
    assert!(seen > 40, "the imports were not found");
}

#[test]
fn only_the_top_reads_flags_and_prints() {
    for (room, _) in ALLOWED {
        for file in rust_files(&src().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            for word in ["print!(", "println!(", "stdout()", "stderr()", "clap::Args"] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn files_of_a_room_stand_in_layers() {
    for room in IN_LAYERS {
        let imports = imports(room);
        if let Some(circle) = circle(&imports) {
            panic!("{room}: a circle: {}", circle.join(" -> "));
        }
    }
    let session = &imports("session")["session::run"];
    assert!(session.contains("session::course"), "{session:?}");
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: Imports = BTreeMap::new();
        for (from, to) in edges {
            let entry = graph.entry(from.to_string()).or_default();
            entry.insert(to.to_string());
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let round = circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(round, ["b", "c", "b"]);

    let known = ["r", "r::a", "r::b", "r::b::c"].map(str::to_owned);
    let of = |module: &str, text: &str| named(module, text, &known.clone().into());
    assert_eq!(
        of("r::a", "use super::{b::{self, c::X}, Y};\nuse crate::r::b;"),
        BTreeSet::from(["r", "r::b", "r::b::c"].map(str::to_owned))
    );
    assert_eq!(
        of("r::b", "pub use c::X;\n// super::a is not meant\n"),
        BTreeSet::from(["r::b::c".to_owned()])
    );
    assert_eq!(
        of("r::b::c", "let x = super::super::a::x();"),
        BTreeSet::from(["r::a".to_owned()])
    );
}

/// The modules of a room that each of its files names.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports(room: &str) -> Imports {
    let files: BTreeMap<String, PathBuf> = rust_files(&src().join(room))
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(src()).unwrap().with_extension("");
            let parts = inside.iter().map(|part| part.to_str().unwrap());
            let parts: Vec<&str> = parts.filter(|part| *part != "mod").collect();
            (parts.join("::"), path)
        })
        .collect();
    let known = files.keys().cloned().collect();
    let of = |(module, path): (&String, &PathBuf)| {
        let text = fs::read_to_string(path).unwrap();
        (module.clone(), named(module, &text, &known))
    };
    files.iter().map(of).collect()
}

/// The modules among `known`, but for itself, that the text of `module` names.
fn named(module: &str, text: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    // In its tests `super` is the module itself.
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let own: Vec<String> = module.split("::").map(str::to_owned).collect();
    let mut paths = Vec::new();
    for (word, start) in [("crate::", &[][..]), ("use ", &own)] {
        for rest in code.split(word).skip(1) {
            expand(rest, start.to_vec(), &mut paths);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if !code[..at].ends_with("::") {
            expand(&code[at..], own.clone(), &mut paths);
        }
    }
    let longest = |path: Vec<String>| {
        let prefixes = (1..=path.len()).rev().map(|n| path[..n].join("::"));
        prefixes.into_iter().find(|prefix| known.contains(prefix))
    };
    let modules = paths.into_iter().filter_map(longest);
    modules.filter(|other| other != module).collect()
}

/// Adds to `paths` those that `text` begins with behind `start`: `a::b`, or `a::{b, c::d}`.
fn expand(text: &str, mut start: Vec<String>, paths: &mut Vec<Vec<String>>) {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (at, c) in inner.char_indices() {
            if depth == 0 && [',', '}'].contains(&c) {
                expand(&inner[from..at], start.clone(), paths);
                from = at + 1;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    match name {
        "" | "self" => {}
        "super" => {
            start.pop();
        }
        name => start.push(name.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, start, paths),
        None => paths.push(start),
    }
}

/// Modules that import each other, the first of them again at the end.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn walk(at: &str, imports: &Imports, way: &mut Vec<String>) -> Option<Vec<String>> {
        if let Some(first) = way.iter().position(|module| module == at) {
            let mut round = way[first..].to_vec();
            round.push(at.to_owned());
            return Some(round);
        }
        way.push(at.to_owned());
        let found = imports
            .get(at)
            .into_iter()
            .flatten()
            .find_map(|next| walk(next, imports, way));
        way.pop();
        found
    }
    imports
        .keys()
        .find_map(|module| walk(module, imports, &mut Vec::new()))
}
