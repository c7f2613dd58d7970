//! A reward that a command gives: it reads a line of JSON for each answer and writes a number, 0 to 1, for each, in their order. What it writes is
//! read on a thread, so that one that keeps its answers to itself is noticed.

use crate::run::observer::Observer;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Most bytes of a line that a command answers, and most that an error shows of it.
const LONGEST: u64 = 1_000;
const SHOWN: usize = 80;
/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(600);
/// Wait without an answer that is worth a remark.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often somebody who wants the work to stop is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The command at work.
pub struct Judge {
    name: String,
    child: Child,
    /// Taken away to tell it that nothing more comes.
    asked: Option<ChildStdin>,
    /// The lines that it wrote, until it wrote something else or ended.
    answers: Receiver<String>,
}

impl Judge {
    /// Starts it.
    pub fn start(words: &[String]) -> Result<Self> {
        let name = words.join(" ");
        let (program, arguments) = words.split_first().context("a command without words")?;
        let child = Command::new(program)
            .args(arguments)
            // Python keeps what it writes into a pipe to itself, unless it is told otherwise.
            .env("PYTHONUNBUFFERED", "1")
            // Ctrl-C in a terminal goes to the whole group: the command would end before the answers at hand are judged.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child =
            child.with_context(|| format!("the reward command {name:?} cannot be started"))?;
        let asked = child.stdin.take();
        let answers = child.stdout.take().context("a command without an output")?;
        Ok(Self {
            name,
            child,
            asked,
            answers: lines(answers),
        })
    }

    /// The number for each of `questions`. One is asked behind the other's answer, so that no pipe fills up. Errors where there are more numbers
    /// than questions, and where the observer says stop.
    pub fn numbers(&mut self, questions: &[String], observer: &dyn Observer) -> Result<Vec<f64>> {
        questions
            .iter()
            .map(|question| self.number(question, observer))
            .collect()
    }

    fn number(&mut self, question: &str, observer: &dyn Observer) -> Result<f64> {
        let name = &self.name;
        if let Ok(line) = self.answers.try_recv() {
            bail!(
                "the reward command {name:?} wrote {:?} that nobody asked for: one number for each line that it reads, and nothing else",
                shown(&line)
            );
        }
        let asked = self.asked.as_mut().context("a command that was ended")?;
        let sent = writeln!(asked, "{question}").and_then(|()| asked.flush());
        let begun = Instant::now();
        let mut said = false;
        let line = loop {
            if !said && begun.elapsed() > PATIENCE {
                said = true;
                observer.note(format_args!(
                    "waiting for the reward command {name:?}: it is to read a line, write a number and flush it, line after line"
                ));
            }
            match self.answers.recv_timeout(LOOK) {
                Ok(line) if sent.is_ok() => break line,
                Ok(_) | Err(RecvTimeoutError::Disconnected) => match ended(&mut self.child) {
                    Some(status) => bail!("the reward command {name:?} ended: {status}"),
                    None => bail!("the reward command {name:?} closed its output"),
                },
                Err(RecvTimeoutError::Timeout) if observer.stops() => bail!("interrupted"),
                Err(RecvTimeoutError::Timeout) => ensure!(
                    begun.elapsed() < WAIT,
                    "the reward command {name:?} did not answer within {} s: it must flush its output behind each number",
                    WAIT.as_secs()
                ),
            }
        };
        let text = line.trim();
        let number: f64 = text.parse().ok().with_context(|| {
            let text = shown(text);
            format!("the reward command {name:?} answered {text:?}, which is no number")
        })?;
        ensure!(
            (0.0..=1.0).contains(&number),
            "the reward command {name:?} answered {number}, expected 0 to 1: its weight in the file says what it counts"
        );
        Ok(number)
    }
}

/// Reads lines until there are no more, or one is too long or no text.
fn lines(output: ChildStdout) -> Receiver<String> {
    // Bounded: one that writes without end waits.
    let (sender, lines) = sync_channel(16);
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = String::new();
            match output.by_ref().take(LONGEST).read_line(&mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => break,
            }
        }
    });
    lines
}

/// The beginning of what a command wrote.
fn shown(text: &str) -> String {
    text.trim_end().chars().take(SHOWN).collect()
}

/// How a command ended whose output is closed already; it may take a moment.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..100 {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

impl Drop for Judge {
    fn drop(&mut self) {
        // Most end where their input does; what does not is no longer needed.
        self.asked = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
