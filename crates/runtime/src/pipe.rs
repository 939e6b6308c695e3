//! The transport interface of a connection: a socket, or anything that carries bytes both ways.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use crate::event_queue::EventQueue;

/// A non-blocking byte pipe. Every method takes `&self`: the driver and an inline writer share it
/// under the connection's lock.
pub(crate) trait BytePipe: Send + Sync {
    /// Reads available bytes; 0 is the end, `WouldBlock` means none yet, and `Interrupted` none in
    /// what was read so far.
    ///
    /// # Errors
    /// Errors of the socket.
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as fit; `WouldBlock` when none do. The caller offers the rest again
    /// before anything else: a pipe may have ciphered it, or put it into a frame, already.
    ///
    /// # Errors
    /// Errors of the socket.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns the bytes written that the remote has not accepted; `None` if that is unknown.
    fn unaccepted(&self) -> Option<usize> {
        None
    }

    /// Returns whether what was written waits in this process until somebody carries it on, so that a
    /// close has to wait for that.
    fn is_relayed(&self) -> bool {
        false
    }

    /// Ready when a read may make progress; else wakes `cx` later, and carries on what the pipe has to
    /// answer by itself.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when a write may make progress; else wakes `cx` later.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends our direction.
    ///
    /// # Errors
    /// Errors of the socket.
    fn shutdown(&self) -> io::Result<()>;

    /// Closes the socket even if the pipe is still referenced; every other call fails from here on.
    fn close(&self);

    /// Moves the socket from the I/O thread's event queue to another, which reports incoming bytes
    /// under `token`. Returns false on failure: it has stayed, or every other call fails from here
    /// on. While it is lent, the polls of this trait are pending and wake nobody.
    fn lend(&self, _to: &EventQueue, _token: usize) -> bool {
        false
    }

    /// Moves the socket back from `from` to the event queue of the current I/O thread, with any
    /// bytes received meanwhile.
    ///
    /// # Errors
    /// Errors of the event queues.
    fn reclaim(&self, _from: &EventQueue) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what a pipe over `inner` holds back, by `flush`, until the socket takes no more; wakes `cx`
/// when it does again. A failure is for the writer.
pub(crate) fn poll_flush(
    inner: &dyn BytePipe,
    cx: &mut Context<'_>,
    mut flush: impl FnMut() -> io::Result<()>,
) {
    while let Err(error) = flush() {
        if error.kind() != io::ErrorKind::WouldBlock
            || !matches!(inner.poll_writable(cx), Poll::Ready(Ok(())))
        {
            return;
        }
    }
}

/// Reads from the pipe below one that is of no use any more; yields nothing but its end and errors.
pub(crate) fn discard(inner: &dyn BytePipe, into: &mut [u8]) -> io::Result<usize> {
    match inner.try_read(into)? {
        0 => Ok(0),
        _ => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// Returns the outcome of a flush whose rest may be sent later.
///
/// # Errors
/// Errors other than a full socket.
pub(crate) fn unless_full(flushed: io::Result<()>) -> io::Result<()> {
    match flushed {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        flushed => flushed,
    }
}

/// Writes all of `bytes`.
///
/// # Errors
/// Errors of the socket.
pub(crate) async fn write_all(pipe: &dyn BytePipe, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pipe.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| pipe.poll_writable(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
