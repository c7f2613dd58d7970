//! The state of the sources, as git knows it.

use super::records::Git;
use std::process::Command;

/// Of the current folder; without git, or outside of a repository, a note says so.
pub fn git() -> Git {
    let commit = ask(&["rev-parse", "HEAD"]);
    let Some(commit) = commit else {
        return Git {
            commit: None,
            branch: None,
            dirty: None,
            note: Some("missing: no git, or no repository with a commit".to_owned()),
        };
    };
    Git {
        commit: Some(commit),
        // None where no branch is checked out.
        branch: ask(&["symbolic-ref", "--short", "HEAD"]),
        dirty: ask(&["status", "--porcelain", "--untracked-files=no"])
            .map(|changes| !changes.is_empty()),
        note: None,
    }
}

fn ask(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
