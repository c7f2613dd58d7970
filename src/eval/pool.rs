//! Scoring processes, one a core: each row within its deadline, a stuck or crashed process replaced, no other row touched.

use super::session::{Event, Query};
use super::worker::{Job, Message, Reply, Setup};
use crate::sql::execute::SqlError;
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a worker may be late by before it is killed: it ends most queries itself.
const GRACE: Duration = Duration::from_millis(250);
/// How long opening a database may take; building one from a script has a shorter deadline of its own.
const OPENING: Duration = Duration::from_secs(90);
/// How often a row may cost a worker its life without a query to blame.
const MAX_UNEXPLAINED: usize = 3;

/// The workers.
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// `command` starts a worker (see [`super::worker::serve`]); none is started before there is work for it.
    pub fn new(command: &[PathBuf], setup: &Setup, workers: usize) -> Result<Self> {
        let setup_line = to_line(setup)?;
        let worker = || Worker {
            command: command.to_vec(),
            setup: setup_line.clone(),
            timeout: setup.options.timeout,
            process: None,
        };
        Ok(Self {
            workers: (0..workers.max(1)).map(|_| worker()).collect(),
        })
    }

    /// Does every job and hands each answer to `done` with the job's place, in the order in which they end. A job goes to the
    /// worker of its home if that is not busy for longer than others, because that one may remember its reference result.
    pub fn run(
        &mut self,
        jobs: Vec<(usize, Job)>,
        mut done: impl FnMut(usize, Reply, Duration) -> Result<()>,
    ) -> Result<()> {
        let mut queues = vec![VecDeque::new(); self.workers.len()];
        for (place, (home, job)) in jobs.into_iter().enumerate() {
            let home = home % queues.len();
            queues[home].push_back((place, job));
        }
        let queues = Mutex::new(queues);
        thread::scope(|scope| {
            let (send, answers) = mpsc::channel();
            for (me, worker) in self.workers.iter_mut().enumerate() {
                let (send, queues) = (send.clone(), &queues);
                scope.spawn(move || {
                    while let Some((place, job)) = next(queues, me) {
                        let answer = worker.perform(job);
                        let failed = answer.is_err();
                        // Nobody listens after an error.
                        if send.send((place, answer)).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for (place, answer) in answers {
                let (reply, elapsed) = answer?;
                done(place, reply, elapsed)?;
            }
            Ok(())
        })
    }
}

type Queue = VecDeque<(usize, Job)>;

/// The next job of a worker: of its own, else the last of the longest queue.
fn next(queues: &Mutex<Vec<Queue>>, me: usize) -> Option<(usize, Job)> {
    let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = queues[me].pop_front() {
        return Some(own);
    }
    queues
        .iter_mut()
        .max_by_key(|queue| queue.len())?
        .pop_back()
}

/// One place for a process.
struct Worker {
    command: Vec<PathBuf>,
    setup: Vec<u8>,
    timeout: Duration,
    process: Option<Process>,
}

/// How an attempt at a job ended.
enum End {
    Done(Reply),
    /// The process is gone, maybe because of a query.
    Lost(Option<Query>, SqlError),
}

impl Worker {
    fn perform(&mut self, mut job: Job) -> Result<(Reply, Duration)> {
        let start = Instant::now();
        let mut unexplained = 0;
        loop {
            match self.attempt(&job)? {
                End::Done(reply) => return Ok((reply, start.elapsed())),
                End::Lost(Some(query), error) => job.known.push((query, error)),
                End::Lost(None, error) => {
                    unexplained += 1;
                    if unexplained == MAX_UNEXPLAINED {
                        bail!("scoring processes end without running anything: {error}");
                    }
                }
            }
            self.process = None;
        }
    }

    fn attempt(&mut self, job: &Job) -> Result<End> {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.command, &self.setup)?);
        }
        let Some(process) = &mut self.process else {
            bail!("no process");
        };
        let mut running = None;
        let mut limit = OPENING;
        // A process that is gone is found by reading.
        let _ = process.tell(&to_line(job)?);
        loop {
            match process.messages.recv_timeout(limit) {
                Ok(Message::Done(reply)) => return Ok(End::Done(reply)),
                Ok(Message::Event(Event::Opening)) => (running, limit) = (None, OPENING),
                Ok(Message::Event(Event::Running(query))) => {
                    (running, limit) = (Some(query), self.timeout + GRACE);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let timeout = self.timeout.as_millis() as u64;
                    return Ok(End::Lost(running, SqlError::Timeout(timeout)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let reason = "its process ended".to_owned();
                    return Ok(End::Lost(running, SqlError::ResourceLimit(reason)));
                }
            }
        }
    }
}

/// A running worker; killed when dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Message>,
}

impl Process {
    fn start(command: &[PathBuf], setup: &[u8]) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            bail!("no command for scoring processes");
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without pipes");
        };
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
        let mut process = Self {
            child,
            input,
            messages,
        };
        let _ = process.tell(setup);
        Ok(process)
    }

    fn tell(&mut self, line: &[u8]) -> Result<()> {
        self.input.write_all(line)?;
        Ok(self.input.flush()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn to_line(content: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(content)?;
    line.push(b'\n');
    Ok(line)
}
