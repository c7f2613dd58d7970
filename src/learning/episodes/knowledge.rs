//! Documents that questions refer to, as Spider2's do.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Most bytes of a document that are read, and most characters that a prompt has of it.
const LARGEST: u64 = 1 << 20;
const MOST: usize = 12_000;

/// A folder of documents.
#[derive(Debug, Clone)]
pub struct Knowledge {
    folder: PathBuf,
}

/// A document as a prompt has it.
pub struct Document {
    pub text: String,
    /// Whether there is more of it.
    pub cut: bool,
}

impl Knowledge {
    /// That of a folder. Errors where it is none.
    pub fn new(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "{} is no folder", folder.display());
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The document of this name. Errors where it is not there, is not in the folder, or is no text.
    pub fn document(&self, name: &str) -> Result<Document> {
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            inside && !name.is_empty(),
            "external_knowledge {name:?} must name a file in the folder of documents"
        );
        let path = self.folder.join(name);
        let fault = || format!("external_knowledge: cannot read {}", path.display());
        let (real, folder) = (path.canonicalize(), self.folder.canonicalize());
        let real = real.with_context(fault)?;
        ensure!(
            real.starts_with(folder.with_context(fault)?),
            "external_knowledge: {} leads out of the folder of documents",
            path.display()
        );
        // To open a pipe would wait for who writes it.
        ensure!(
            real.is_file(),
            "external_knowledge: {} is no file",
            path.display()
        );
        let mut bytes = Vec::new();
        let file = File::open(real).with_context(fault)?;
        file.take(LARGEST)
            .read_to_end(&mut bytes)
            .with_context(fault)?;
        let whole = (bytes.len() as u64) < LARGEST;
        let text = match (String::from_utf8(bytes), whole) {
            (Ok(text), _) => text,
            // It may be cut in a character.
            (Err(error), false) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            (Err(error), true) => return Err(error).with_context(fault),
        };
        let shown: String = text.chars().take(MOST).collect();
        let cut = shown.len() < text.len() || !whole;
        Ok(Document {
            text: if cut { shown + "\n(cut)" } else { shown },
            cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn documents_are_read_from_their_folder_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("documents");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("rfm.md"), "Recency, frequency.").unwrap();
        fs::write(folder.join("long.md"), "é".repeat(900_000)).unwrap();
        fs::write(folder.join("picture.md"), [0xff, 0xd8]).unwrap();
        fs::write(dir.path().join("secret.md"), "x").unwrap();
        let knowledge = Knowledge::new(&folder).unwrap();
        let found = knowledge.document("rfm.md").unwrap();
        assert_eq!(
            (found.text.as_str(), found.cut),
            ("Recency, frequency.", false)
        );
        let long = knowledge.document("long.md").unwrap();
        assert!(long.cut && long.text.ends_with("é\n(cut)"));
        assert!(long.text.chars().count() < MOST + 10);
        for name in ["", "../secret.md", "/etc/hostname", "none.md", "picture.md"] {
            let error = knowledge.document(name).err().unwrap();
            assert!(
                format!("{error:#}").contains("external_knowledge"),
                "{error:#}"
            );
        }
        assert!(Knowledge::new(&folder.join("rfm.md")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("documents");
        fs::create_dir(&folder).unwrap();
        fs::write(dir.path().join("secret.md"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.md"), folder.join("a.md")).unwrap();
        let error = Knowledge::new(&folder)
            .unwrap()
            .document("a.md")
            .err()
            .unwrap();
        assert!(error.to_string().contains("leads out"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut make = std::process::Command::new("mkfifo");
        assert!(
            make.arg(dir.path().join("a.md"))
                .status()
                .unwrap()
                .success()
        );
        let found = Knowledge::new(dir.path()).unwrap().document("a.md");
        let error = found.err().unwrap();
        assert!(error.to_string().contains("is no file"), "{error}");
    }
}
