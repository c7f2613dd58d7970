//! Scoring processes, one a core: a stuck, crashed or killed process is replaced, and no other row is touched.
//!
//! There is no clock here. A process ends itself when a query is late ([`crate::db::watch`]) and its exit code says so; one that
//! ends in any other way may have been killed from outside, and its job is tried once more before anything is blamed. So it
//! makes no difference when this process, a scoring process or the machine stops for a while.

use super::modes::{self, Mode};
use super::session::{Query, Side};
use super::stop::Stop;
use super::worker::{Job, Message, Reply, Setup};
use crate::db::process::Process;
use crate::db::watch::{LATE, LATE_QUERY};
use crate::sql::error::SqlError;
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Jobs that a worker has been told: the one that it does and the next.
const AHEAD: usize = 2;
/// How often a process is started that somebody kills before it is ready.
const STARTS: usize = 3;
/// How often a worker that waits for a process looks whether anybody still waits for the answer.
const LOOK: Duration = Duration::from_millis(50);
/// Answers that wait to be taken: a slow disk must not let them pile up.
const WAITING: usize = 64;

/// The workers.
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// `command` starts a worker (see [`super::worker::serve`]); none is started before there is work for it.
    pub fn new(command: &[PathBuf], setup: &Setup, workers: usize) -> Self {
        let worker = || Worker {
            stop: Stop::default(),
            command: command.to_vec(),
            setup: setup.clone(),
            modes: modes::chosen(&setup.modes),
            process: None,
        };
        Self {
            workers: (0..workers.max(1)).map(|_| worker()).collect(),
        }
    }

    /// The same, whose processes are killed when `stop` says so; the run is an error then.
    pub fn until(mut self, stop: &Stop) -> Self {
        for worker in &mut self.workers {
            worker.stop = stop.clone();
        }
        self
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
            let (send, answers) = mpsc::sync_channel(WAITING);
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
    stop: Stop,
    process: Option<Process<Message>>,
}

/// Starts a process, which is ready then.
fn start(command: &[PathBuf], setup: &Setup) -> Result<Process<Message>> {
    for _ in 0..STARTS {
        let process = Process::start(command)?;
        process.tell(setup)?;
        if let Ok(Message::Ready) = process.messages.recv() {
            return Ok(process);
        }
    }
    let program = command.first().map(|program| program.display().to_string());
    bail!(
        "{} does not start as a scoring process",
        program.unwrap_or_default()
    )
}

/// How waiting for an answer ended.
enum End {
    Done(Reply),
    /// The process ended, in the middle of this query if there is one.
    Late(Option<Query>),
    /// The process ended for another reason: a crash, or somebody killed it.
    Lost(Option<Query>),
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
        let mut lost_before = false;
        loop {
            while told.len() < AHEAD {
                let Some((place, job)) = next() else { break };
                self.tell(&job)?;
                told.push_back((place, job));
            }
            let Some((place, job)) = told.front_mut() else {
                return Ok(());
            };
            let reply = match self.wait()? {
                End::Done(reply) => Some(reply),
                // An outsider's doing, until it happens again.
                End::Lost(_) if !lost_before => {
                    lost_before = true;
                    None
                }
                End::Lost(query) => {
                    lost_before = false;
                    let reason = "its process ended".to_owned();
                    self.blame(job, query, SqlError::ResourceLimit(reason))
                }
                End::Late(query) => {
                    let error = match &query {
                        Some(query) => self.late(query, job.patience),
                        None => SqlError::ResourceLimit("scoring it takes too long".to_owned()),
                    };
                    self.blame(job, query, error)
                }
            };
            if let Some(reply) = reply {
                let go_on = answer((*place, reply, start.elapsed()));
                told.pop_front();
                (start, lost_before) = (Instant::now(), false);
                if !go_on {
                    // What else it was told must not answer the next run.
                    self.process = None;
                    return Ok(());
                }
            }
            if self.process.is_none() {
                for (_, job) in &told {
                    self.tell(job)?;
                }
            }
        }
    }

    /// Notes what a query did to its process; without a query, the answer to a job that no process survives.
    fn blame(&self, job: &mut Job, query: Option<Query>, error: SqlError) -> Option<Reply> {
        match query {
            Some(query) => {
                job.known.push((query, error));
                None
            }
            None => Some(job.given_up(&self.modes, error)),
        }
    }

    /// What a query that was stopped from outside of SQLite did.
    fn late(&self, query: &Query, patience: u32) -> SqlError {
        let deadlines = match query.side {
            Side::Predicted => 1,
            Side::Gold => patience,
        };
        let timeout = self.setup.options.timeout * deadlines;
        SqlError::Timeout(timeout.as_millis() as u64)
    }

    fn tell(&mut self, job: &Job) -> Result<()> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(start(&self.command, &self.setup)?),
        };
        process.tell(job)
    }

    /// Waits for the answer to the job that was told first. There is no process afterwards if it ended.
    fn wait(&mut self) -> Result<End> {
        let Some(process) = self.process.take() else {
            bail!("no process to wait for");
        };
        let mut running = None;
        loop {
            match process.messages.recv_timeout(LOOK) {
                Ok(Message::Done(reply)) => {
                    self.process = Some(process);
                    return Ok(End::Done(reply));
                }
                Ok(Message::Running(query)) => running = Some(query),
                Ok(Message::Ready) => {}
                // Rows are not wrong for that, and none after it would be better off.
                Ok(Message::Gone(reason)) => bail!("{reason}"),
                Err(RecvTimeoutError::Timeout) if self.stop.stops() => {
                    bail!("stopped: nobody waits for the result any more")
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(match process.end()?.code() {
                        Some(LATE_QUERY) if running.is_some() => End::Late(running),
                        Some(LATE) => End::Late(None),
                        _ => End::Lost(running),
                    });
                }
            }
        }
    }
}
