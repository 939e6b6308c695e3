//! The seam under a connection: a socket, or anything that carries bytes both ways.

use std::io;
use std::task::{Context, Poll};

use crate::event_queue::EventQueue;

/// A non-blocking byte pipe. Every method takes `&self`: the driver and an inline writer share it
/// under the connection's lock.
pub(crate) trait BytePipe: Send + Sync {
    /// Reads what is there; 0 is the end, `WouldBlock` nothing yet.
    ///
    /// # Errors
    /// Those of the socket.
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what fits; `WouldBlock` when nothing does.
    ///
    /// # Errors
    /// Those of the socket.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Bytes written that the remote has not taken; none where that cannot be told.
    fn unaccepted(&self) -> Option<usize> {
        None
    }

    /// Ready when a read may find something; else wakes `cx` later.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when a write may find room; else wakes `cx` later.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// No more bytes of ours follow.
    ///
    /// # Errors
    /// Those of the socket.
    fn shutdown(&self) -> io::Result<()>;

    /// Lets go of the socket, whoever still holds the pipe; everything else fails from here on.
    fn close(&self);

    /// Leaves the I/O thread's event queue for another, which tells of incoming bytes under `token`;
    /// false where that cannot be: it has stayed, or everything else fails from here on. While it is
    /// lent, the polls of this trait are pending and wake nobody.
    fn lend(&self, _to: &EventQueue, _token: usize) -> bool {
        false
    }

    /// Comes back from `from` to the event queue of the present I/O thread, with whatever has come in
    /// the meantime.
    ///
    /// # Errors
    /// Those of the event queues.
    fn reclaim(&self, _from: &EventQueue) -> io::Result<()> {
        Ok(())
    }
}
