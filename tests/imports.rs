//! Who may import whom: each module only what stands to its right.

use std::path::{Path, PathBuf};

const ALLOWED: [(&str, &[&str]); 11] = [
    ("recipe", &["eval", "run", "data", "sql"]),
    (
        "answering",
        &["generation", "router", "adapters", "data", "model", "run"],
    ),
    ("eval", &["generation", "sql", "data", "run"]),
    ("training", &["adapters", "model", "data", "run"]),
    ("generation", &["adapters", "model"]),
    ("data", &["sql", "model::tokenizer"]),
    ("adapters", &["model"]),
    ("model", &[]),
    ("router", &[]),
    ("sql", &[]),
    ("run", &[]),
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    entries
        .flat_map(|p| match p.is_dir() {
            true => rust_files(&p),
            false => vec![p],
        })
        .collect()
}

#[test]
fn modules_import_only_what_they_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (module, allowed) in ALLOWED {
        for file in rust_files(&src.join(module)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for path in text.split("crate::").skip(1) {
                seen += 1;
                let own = path.starts_with(&format!("{module}::"));
                let fine = allowed.iter().any(|a| path.starts_with(&format!("{a}::")));
                let line = path.lines().next().unwrap();
                assert!(
                    own || fine,
                    "{}: {module} may not import crate::{line}",
                    file.display()
                );
            }
        }
    }
    assert!(seen > 40, "the imports were not found");
}
