//! One stage's process: started, listened to, stopped, and how it ended.

use super::planned::Planned;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// The environment variable that tells a stage's process who started it, so that it ends when that is gone.
pub const PARENT: &str = "FACTORY_STAGE_OF";

/// Most bytes of a log's end that are looked at.
const END: u64 = 16 << 10;
/// Lines of a log's end that a failure is told with.
const LINES: usize = 12;

/// A process that runs a stage.
pub struct Running {
    /// The stage's place in the plan.
    pub at: usize,
    /// Whether it goes on where it was interrupted.
    pub resumed: bool,
    pub begun: Instant,
    pub log: Log,
    child: Child,
}

/// How a process ended.
pub struct End {
    pub status: ExitStatus,
    /// In MB of 10⁶, where the system says it.
    pub peak_rss_mb: Option<f64>,
}

impl Running {
    /// Starts `program` for a stage. As long as its process lives, and whoever holds `lock`, the stage's folder is held.
    pub fn start(
        program: &Path,
        at: usize,
        stage: &Planned,
        resumed: bool,
        lock: &File,
    ) -> Result<Self> {
        let path = stage.folder.join("log");
        let cannot = || format!("cannot write {}", path.display());
        let mut log = OpenOptions::new();
        log.create(true).append(true);
        let mut log = log.open(&path).with_context(cannot)?;
        let words = words(stage, resumed);
        let mut command = Command::new(program);
        command
            .args(&words)
            .env(PARENT, std::process::id().to_string());
        // A Ctrl-C is for the program that runs the recipe: it asks each process once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        writeln!(log, "$ factory {}", quoted(&words)).with_context(cannot)?;
        let start = log.stream_position().with_context(cannot)?;
        let output = match stage.printed {
            true => File::create(printed(stage)).with_context(cannot)?,
            false => log.try_clone().with_context(cannot)?,
        };
        let child = command
            // Nothing is read from it. That the process has the file open holds the lock.
            .stdin(Stdio::from(lock.try_clone().with_context(cannot)?))
            .stdout(output)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            at,
            resumed,
            begun: Instant::now(),
            log: Log {
                path,
                start,
                seen: start,
            },
            child,
        })
    }

    /// How it ended, once it has.
    pub fn end(&mut self) -> Result<Option<End>> {
        wait(&mut self.child).context("cannot wait for a stage's process")
    }

    /// Asks it to save and end.
    pub fn stop(&mut self) {
        #[cfg(unix)]
        // SAFETY: the process is our child and not waited for yet, so that its id is no other's.
        unsafe {
            libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM);
        }
        #[cfg(not(unix))]
        // It may have ended by itself.
        let _ = self.child.kill();
    }
}

/// The words of a stage's command, as its process is given them.
fn words(stage: &Planned, resumed: bool) -> Vec<String> {
    let mut words = stage.command.clone();
    match (resumed, stage.resume) {
        (true, super::commands::Resume::Folder) => {
            let out = stage.outputs["main"].to_string_lossy().into_owned();
            words = [stage.words.clone(), vec!["--resume".to_owned(), out]].concat();
        }
        (true, _) => words.push("--resume".to_owned()),
        (false, _) => {}
    }
    words
}

/// What a stage prints, until it is whole.
pub fn printed(stage: &Planned) -> PathBuf {
    stage.folder.join(".printed")
}

/// Words as a shell takes them.
pub fn quoted(words: &[String]) -> String {
    let words = words.iter().map(|word| match shlex::try_quote(word) {
        Ok(word) => word.into_owned(),
        // A NUL, which no command line can have.
        Err(_) => word.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(unix)]
fn wait(child: &mut Child) -> Result<Option<End>> {
    use std::os::unix::process::ExitStatusExt;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both are valid for writing, and zeros are a valid `rusage`. Nothing else waits for this child, whose `Child` does
    // so only when asked.
    let (ended, usage) = unsafe {
        let id = child.id() as libc::pid_t;
        let ended = libc::wait4(id, &mut status, libc::WNOHANG, usage.as_mut_ptr());
        (ended, usage.assume_init())
    };
    match ended {
        0 => Ok(None),
        ended if ended < 0 => Err(std::io::Error::last_os_error().into()),
        _ => {
            // Bytes on Apple's systems, KiB elsewhere.
            let unit = if cfg!(target_vendor = "apple") {
                1.0
            } else {
                1024.0
            };
            Ok(Some(End {
                status: ExitStatus::from_raw(status),
                peak_rss_mb: Some(usage.ru_maxrss as f64 * unit / 1e6),
            }))
        }
    }
}

#[cfg(not(unix))]
fn wait(child: &mut Child) -> Result<Option<End>> {
    let ended = child.try_wait()?;
    Ok(ended.map(|status| End {
        status,
        peak_rss_mb: None,
    }))
}

/// What a process writes.
pub struct Log {
    pub path: PathBuf,
    /// Where what this process wrote begins.
    start: u64,
    seen: u64,
}

impl Log {
    /// The last line, if there is a new one.
    pub fn news(&mut self) -> Option<String> {
        let length = std::fs::metadata(&self.path).ok()?.len();
        if length <= self.seen {
            return None;
        }
        self.seen = length;
        self.text()
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .map(str::to_owned)
    }

    /// The end of what this process wrote.
    pub fn text(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(END).max(self.start)))?;
            let mut bytes = Vec::new();
            file.take(END).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        // A log that is gone has no last line.
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// Its last lines.
    pub fn tail(&self) -> Vec<String> {
        let text = self.text();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let from = lines.len().saturating_sub(LINES);
        lines[from..].iter().map(|line| line.to_string()).collect()
    }
}
