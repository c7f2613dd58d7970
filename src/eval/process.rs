//! One scoring process: started, told jobs, listened to, killed.

use super::worker::{Job, Message, Setup};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// How long a process may take to start.
const START: Duration = Duration::from_secs(60);

/// A running worker; killed when dropped.
pub struct Process {
    child: Child,
    input: Sender<Vec<u8>>,
    pub messages: Receiver<Message>,
}

impl Process {
    /// Starts `command` and waits until it is ready.
    pub fn start(command: &[PathBuf], setup: &Setup) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            bail!("no command for scoring processes");
        };
        let mut command = Command::new(program);
        // A Ctrl-C is for the program that told the jobs: it decides when this process goes.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(mut pipe), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without pipes");
        };
        // A process that is stuck does not read: writing to it must not keep anybody from the clock. Both threads end with
        // the process, whose end closes the pipes.
        let (input, lines) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            for line in lines {
                if pipe.write_all(&line).and_then(|()| pipe.flush()).is_err() {
                    return;
                }
            }
        });
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let message = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                // Gone, or no worker at all: either way the channel closes.
                let Some(message) = message else { return };
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let process = Self {
            child,
            input,
            messages,
        };
        process.send(setup)?;
        match process.messages.recv_timeout(START) {
            Ok(Message::Ready) => Ok(process),
            _ => bail!("{} does not start as a scoring process", program.display()),
        }
    }

    /// Tells a job. That the process is gone is found by listening.
    pub fn tell(&self, job: &Job) -> Result<()> {
        self.send(job)
    }

    fn send(&self, content: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        let _ = self.input.send(line);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
