//! A reward that a command gives: it reads a line of JSON for each answer and writes a number, 0 to 1, for each, in their order.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Most bytes of a line that a command answers.
const LONGEST: u64 = 1_000;

/// The command at work.
pub struct Judge {
    name: String,
    child: Child,
    /// Taken away to tell it that nothing more comes.
    asked: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts it.
    pub fn start(words: &[String]) -> Result<Self> {
        let name = words.join(" ");
        let (program, arguments) = words.split_first().context("a command without words")?;
        let child = Command::new(program)
            .args(arguments)
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
            answers: BufReader::new(answers),
        })
    }

    /// The number for each of `questions`. One is asked behind the other's answer, so that no pipe fills up.
    pub fn numbers(&mut self, questions: &[String]) -> Result<Vec<f64>> {
        questions
            .iter()
            .map(|question| self.number(question))
            .collect()
    }

    fn number(&mut self, question: &str) -> Result<f64> {
        let name = &self.name;
        let asked = self.asked.as_mut().context("a command that was ended")?;
        let sent = writeln!(asked, "{question}").and_then(|()| asked.flush());
        let mut line = String::new();
        let read = sent.and_then(|()| self.answers.by_ref().take(LONGEST).read_line(&mut line));
        match read {
            Ok(1..) => {}
            Ok(0) | Err(_) => match ended(&mut self.child) {
                Some(status) => bail!("the reward command {name:?} ended: {status}"),
                None => bail!("the reward command {name:?} closed its output"),
            },
        }
        let text = line.trim();
        let number: f64 = text.parse().ok().with_context(|| {
            format!("the reward command {name:?} answered {text:?}, which is no number")
        })?;
        ensure!(
            (0.0..=1.0).contains(&number),
            "the reward command {name:?} answered {number}, expected 0 to 1: its weight in the file says what it counts"
        );
        Ok(number)
    }
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
