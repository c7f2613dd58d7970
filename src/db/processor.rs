//! The clocks that queries are timed by: processor time. It stands still while a process is stopped, while the machine sleeps
//! and while others have the processor, so that a query's time depends on the query alone.

use std::time::Duration;

/// What this thread has used.
#[cfg(unix)]
pub fn of_thread() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// What all threads of this process have used.
#[cfg(unix)]
pub fn of_process() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[cfg(unix)]
fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Sound: the call writes `time` and nothing else. Both clocks are there on every system that this builds for.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Elsewhere it is the time since the first look.
#[cfg(not(unix))]
pub fn of_thread() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The same.
#[cfg(not(unix))]
pub fn of_process() -> Duration {
    of_thread()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::thread::sleep;

    #[test]
    fn work_is_counted_and_sleep_is_not() {
        let start = of_thread();
        sleep(Duration::from_millis(120));
        assert!(of_thread() - start < Duration::from_millis(60));
        // The process's time is looked at first and last: it encloses the thread's.
        let (process, thread) = (of_process(), of_thread());
        while of_thread() - thread < Duration::from_millis(20) {
            black_box(0);
        }
        assert!(of_process() - process >= Duration::from_millis(20));
    }
}
