//! The way of a worker's words to who started it: a descriptor that nothing else in the process writes to, as engines may print.

use anyhow::Result;
use std::fs::File;

/// What standard output was. From now on that leads nowhere.
#[cfg(unix)]
pub fn output() -> Result<File> {
    use std::os::fd::{AsFd, AsRawFd};
    let own = std::io::stdout().as_fd().try_clone_to_owned()?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open; standard output's is replaced at once, and the standard library does not own it.
    let replaced = unsafe { libc::dup2(nowhere.as_raw_fd(), std::io::stdout().as_raw_fd()) };
    match replaced {
        -1 => Err(std::io::Error::last_os_error().into()),
        _ => Ok(own.into()),
    }
}

/// Standard output itself: elsewhere there is no other.
#[cfg(not(unix))]
pub fn output() -> Result<std::io::Stdout> {
    Ok(std::io::stdout())
}
