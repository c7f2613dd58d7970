//! What a server writes, watched line by line: text that is no message of the protocol is passed over by the library, and a line without end would be
//! taken for the server's end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Longest line, in bytes.
const LONGEST: usize = 8 << 20;
/// How much of a line an error shows, in bytes.
const SHOWN: usize = 80;

/// A server's output.
pub struct Watched<R> {
    pub output: R,
    pub seen: Arc<Mutex<Seen>>,
}

/// What was seen of it.
#[derive(Default)]
pub struct Seen {
    /// The beginning of the line at hand, and its length.
    begins: Vec<u8>,
    length: usize,
    fault: Option<String>,
}

/// What was wrong with the output so far, if anything was.
pub fn fault(seen: &Mutex<Seen>) -> Option<String> {
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .fault
        .clone()
}

impl Seen {
    /// Takes note of some bytes; whether a line became too long.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = SHOWN.saturating_sub(self.begins.len());
            self.begins.extend(part.iter().take(room));
            self.length += part.len();
            if self.length > LONGEST {
                self.fault = Some(format!(
                    "it answered with a line of more than {} MB",
                    LONGEST >> 20
                ));
                return true;
            }
            if part.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&std::mem::take(&mut self.begins)).into_owned();
                self.length = 0;
                let text = text.trim();
                if !text.is_empty() && !text.starts_with(['{', '[']) {
                    let own = || format!("it wrote {text:?}, which is no message of the protocol");
                    self.fault.get_or_insert_with(own);
                }
            }
        }
        false
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match seen.take(&buffer.filled()[before..]) {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_messages_are_shown_and_endless_ones_refused() {
        let mut seen = Seen::default();
        assert!(!seen.take(b"{\"id\":"));
        assert!(!seen.take(b" 1}\n\n[]\n"));
        assert_eq!(seen.fault, None);
        assert!(!seen.take(b"Server "));
        assert!(!seen.take(b"ready\n{}\n"));
        let expected = "it wrote \"Server ready\", which is no message of the protocol";
        assert_eq!(seen.fault.as_deref(), Some(expected));
        let mut seen = Seen::default();
        let part = vec![b'x'; 1 << 20];
        assert!((0..8).all(|_| !seen.take(&part)));
        assert!(seen.take(&part));
        assert!(
            seen.fault
                .is_some_and(|fault| fault.contains("more than 8 MB"))
        );
    }
}
