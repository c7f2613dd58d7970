//! One worker process: started, told jobs as JSON lines, listened to, killed.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// A running worker that says `M`; killed when dropped.
pub struct Process<M> {
    child: Child,
    input: Sender<Vec<u8>>,
    pub messages: Receiver<M>,
}

impl<M: DeserializeOwned + Send + 'static> Process<M> {
    /// Starts `command`.
    pub fn start(command: &[PathBuf]) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            bail!("no command for worker processes");
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
            // The time of day is the run's; its local form must not be the machine's either.
            .env("TZ", "UTC")
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(mut pipe), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without pipes");
        };
        // A process that is stuck does not read: writing to it must not keep anybody from listening. Both threads end with
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
        Ok(Self {
            child,
            input,
            messages,
        })
    }

    /// Tells it something. That it is gone is found by listening.
    pub fn tell(&self, content: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        let _ = self.input.send(line);
        Ok(())
    }

    /// How a process ended that says nothing any more.
    pub fn end(mut self) -> Result<ExitStatus> {
        // Should it go on without saying anything, it ends now; where it ended, this changes nothing.
        let _ = self.child.kill();
        Ok(self.child.wait()?)
    }
}

impl<M> Drop for Process<M> {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
