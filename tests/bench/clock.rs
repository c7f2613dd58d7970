//! Time as benches take it.

use std::time::Instant;

/// A clock from its start on.
pub struct Clock {
    start: Instant,
    /// Of a clock of processor time: what the process had taken.
    before: Option<f64>,
}

impl Clock {
    /// Of the wall, or with `cpu` of the processor time of this process, which other programs lengthen little.
    pub fn start(cpu: bool) -> Self {
        Self {
            before: cpu.then(processor),
            start: Instant::now(),
        }
    }

    pub fn seconds(&self) -> f64 {
        match self.before {
            Some(before) => processor() - before,
            None => self.start.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(unix)]
fn processor() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes the struct that it is given.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[cfg(not(unix))]
fn processor() -> f64 {
    panic!("--cpu-time is known on Unix alone");
}
