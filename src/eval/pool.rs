//! Scoring processes, one a core: each row within its deadline, a stuck or crashed process replaced, no other row touched.

use super::modes::{self, Mode};
use super::process::Process;
use super::session::{Event, Query, Side};
use super::worker::{Job, Message, Reply, Setup};
use crate::sql::execute::SqlError;
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a worker may be late by before it is killed: it ends most queries itself.
const GRACE: Duration = Duration::from_millis(250);
/// How long anything but a query may take: opening a database (building one from a script has a shorter deadline of its own),
/// comparing results.
const BETWEEN: Duration = Duration::from_secs(90);
/// How often a row may cost a worker its life without a query to blame; then the row is given up.
const MAX_UNEXPLAINED: usize = 2;
/// Jobs that a worker has been told: the one that it does and the next.
const AHEAD: usize = 2;

/// The workers.
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// `command` starts a worker (see [`super::worker::serve`]); none is started before there is work for it.
    pub fn new(command: &[PathBuf], setup: &Setup, workers: usize) -> Self {
        let worker = || Worker {
            command: command.to_vec(),
            setup: setup.clone(),
            modes: modes::chosen(&setup.modes),
            process: None,
        };
        Self {
            workers: (0..workers.max(1)).map(|_| worker()).collect(),
        }
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
                    let answers =
                        worker.work(|| next(queues, me), |answer| send.send(Ok(answer)).is_ok());
                    if let Err(error) = answers {
                        // Nobody listens after an error.
                        let _ = send.send(Err(error));
                    }
                });
            }
            drop(send);
            for answer in answers {
                let (place, reply, elapsed) = answer?;
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
    setup: Setup,
    modes: Vec<&'static dyn Mode>,
    process: Option<Process>,
}

/// How waiting for an answer ended.
enum End {
    Done(Reply),
    /// The process is gone, maybe because of a query.
    Lost(Option<Query>, SqlError),
}

impl Worker {
    /// Does jobs until `next` has none or `answer` says false. The process is always one job ahead, so that it need not wait.
    fn work(
        &mut self,
        mut next: impl FnMut() -> Option<(usize, Job)>,
        mut answer: impl FnMut((usize, Reply, Duration)) -> bool,
    ) -> Result<()> {
        let mut told: VecDeque<(usize, Job)> = VecDeque::new();
        let mut start = Instant::now();
        let mut unexplained = 0;
        loop {
            while told.len() < AHEAD {
                let Some((place, job)) = next() else { break };
                self.tell(&job)?;
                told.push_back((place, job));
            }
            let Some((place, job)) = told.front_mut() else {
                return Ok(());
            };
            let end = match self.wait(job.patience)? {
                End::Lost(None, error) if unexplained == MAX_UNEXPLAINED => {
                    self.process = None;
                    End::Done(job.given_up(&self.modes, error))
                }
                end => end,
            };
            match end {
                End::Done(reply) => {
                    let go_on = answer((*place, reply, start.elapsed()));
                    told.pop_front();
                    (start, unexplained) = (Instant::now(), 0);
                    if !go_on {
                        // What else it was told must not answer the next run.
                        self.process = None;
                        return Ok(());
                    }
                    if self.process.is_some() {
                        continue;
                    }
                }
                End::Lost(Some(query), error) => job.known.push((query, error)),
                End::Lost(None, _) => unexplained += 1,
            }
            self.process = None;
            for (_, job) in &told {
                self.tell(job)?;
            }
        }
    }

    fn tell(&mut self, job: &Job) -> Result<()> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.command, &self.setup)?),
        };
        process.tell(job)
    }

    /// Waits for the answer to the job that was told first.
    fn wait(&self, patience: u32) -> Result<End> {
        let Some(process) = &self.process else {
            bail!("no process to wait for");
        };
        let mut running = None;
        let mut limit = BETWEEN;
        loop {
            match process.messages.recv_timeout(limit) {
                Ok(Message::Done(reply)) => return Ok(End::Done(reply)),
                Ok(Message::Ready) => {}
                Ok(Message::Event(Event::Opening | Event::Returned)) => {
                    (running, limit) = (None, BETWEEN);
                }
                Ok(Message::Event(Event::Running(query))) => {
                    let deadlines = match query.side {
                        Side::Predicted => 1,
                        Side::Gold => patience,
                    };
                    let timeout = self.setup.options.timeout * deadlines;
                    (running, limit) = (Some(query), timeout + GRACE);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let timeout = self.setup.options.timeout.as_millis() as u64;
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
