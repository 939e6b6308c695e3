//! Pipes filled and emptied by calls, in place of a socket when the application carries the bytes.
//!
//! ```text
//!               feed ──> inbound ──> try_read
//!       Feed                                   FedPipe, under a connection
//!               take <── outbound <── try_write
//! ```
//!
//! It is not an inverted slot: the application's side of a slot is JavaScript by construction,
//! whose readiness is pending bits in the hub, and a stream's state machine governs its bytes. A
//! connection's driver needs readiness as a waker, and of bytes no more than their order.

use std::io;
use std::task::{Context, Poll, Waker};

use ferroswarm_proto::stream::Pipe;
use thiserror::Error;

use crate::hub::Hub;
use crate::pipe::BytePipe;
use crate::sync::{Arc, Mutex};

pub(crate) use port::{Port, PortEvents};

mod port;

/// The connection's end of a pipe that a [`Feed`] fills and empties. Dropping it closes it.
pub struct FedPipe {
    inbound: Arc<Lane>,
    outbound: Arc<Lane>,
}

/// The other end: feeds bytes received for a connection, and takes bytes to send.
///
/// The pipe holds up to its bound in each direction; a caller that finds it full, or empty, is
/// woken later. Wakers are called on the other end's thread, a driver's under its connection's
/// lock: they must return at once and call neither end. Dropping it is [`abort`](Self::abort).
pub struct Feed {
    inbound: Arc<Lane>,
    outbound: Arc<Lane>,
}

/// Reason a pipe accepts no more bytes.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedError {
    /// [`Feed::end`] or [`Feed::abort`] was called before.
    #[error("the pipe was ended")]
    Ended,
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
}

impl FedPipe {
    /// Creates both ends of a pipe that holds up to `bytes_max` bytes, at least 1, in each
    /// direction, in chunks of `hub`'s pool.
    pub fn new(hub: &Arc<Hub>, bytes_max: usize) -> (Self, Feed) {
        let lane = || Arc::new(Lane::new(Arc::clone(hub), bytes_max.max(1)));
        let (inbound, outbound) = (lane(), lane());
        let feed = Feed {
            inbound: Arc::clone(&inbound),
            outbound: Arc::clone(&outbound),
        };
        (Self { inbound, outbound }, feed)
    }
}

impl Feed {
    /// Feeds as many of `bytes` as there is room for. If there is none, `cx` is woken when the
    /// connection has read half of the buffered bytes.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub fn poll_feed(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, FeedError>> {
        match self.inbound.write(bytes, Some(cx)) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Moves bytes to send into `into`; 0 is the end, after the last of them. If there are none
    /// yet, `cx` is woken when there are.
    pub fn poll_take(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<usize> {
        match self.outbound.read(into, Some(cx)) {
            Ok(Some(count)) => Poll::Ready(count),
            Ok(None) => Poll::Pending,
            // Only this end breaks a pipe, after which there is nothing to take.
            Err(Broken) => Poll::Ready(0),
        }
    }

    /// Ends the inbound direction after the bytes fed so far. The connection can still send.
    pub fn end(&self) {
        self.inbound.end();
    }

    /// Abandons both directions: the connection finds its pipe reset, unless it was ended before,
    /// and its writes are refused.
    pub fn abort(&self) {
        self.inbound.reset();
        self.outbound.abandon();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.abort();
    }
}

impl BytePipe for FedPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self.inbound.read(into, None) {
            Ok(count) => count.ok_or_else(|| io::ErrorKind::WouldBlock.into()),
            Err(Broken) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.outbound.write(bytes, None) {
            Ok(count) => count.ok_or_else(|| io::ErrorKind::WouldBlock.into()),
            Err(FeedError::Ended) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(FeedError::Closed) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn unaccepted(&self) -> Option<usize> {
        Some(self.outbound.len())
    }

    fn is_relayed(&self) -> bool {
        true
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbound.poll_readable(cx).map(Ok)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.poll_writable(cx).map(Ok)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.outbound.end();
        Ok(())
    }

    fn close(&self) {
        self.outbound.end();
        self.inbound.abandon();
    }
}

impl Drop for FedPipe {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer was reset, or the reader is gone.
struct Broken;

/// One direction. Its lock is taken before the hub's and after that of the connection.
struct Lane {
    hub: Arc<Hub>,
    bytes_max: usize,
    state: Mutex<LaneState>,
}

#[derive(Default)]
struct LaneState {
    bytes: Pipe,
    writer: Writer,
    /// The reader is gone.
    is_abandoned: bool,
    /// Waker of a reader that waits for bytes.
    reader: Option<Waker>,
    /// Waker of a writer that waits for room.
    blocked: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum Writer {
    #[default]
    Open,
    Ended,
    Reset,
}

impl Lane {
    fn new(hub: Arc<Hub>, bytes_max: usize) -> Self {
        Self {
            hub,
            bytes_max,
            state: Mutex::default(),
        }
    }

    fn len(&self) -> usize {
        self.state.lock().bytes.len()
    }

    /// Returns how many of `bytes` fit; `None` if it is full: `cx` is woken when there is room.
    fn write(
        &self,
        bytes: &[u8],
        cx: Option<&mut Context<'_>>,
    ) -> Result<Option<usize>, FeedError> {
        let mut state = self.state.lock();
        if state.writer != Writer::Open {
            return Err(FeedError::Ended);
        }
        if state.is_abandoned {
            return Err(FeedError::Closed);
        }
        let room = self.bytes_max - state.bytes.len();
        if room == 0 {
            if let Some(cx) = cx {
                state.blocked = Some(cx.waker().clone());
            }
            return Ok(None);
        }
        let count = bytes.len().min(room);
        state.bytes.push(&bytes[..count], &mut self.hub.pool());
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
        Ok(Some(count))
    }

    /// Returns the number of bytes read, 0 at the end; `None` if there are none yet: `cx` is woken
    /// when there are.
    fn read(&self, into: &mut [u8], cx: Option<&mut Context<'_>>) -> Result<Option<usize>, Broken> {
        let mut state = self.state.lock();
        if state.is_abandoned {
            return Err(Broken);
        }
        if state.bytes.is_empty() {
            return match state.writer {
                Writer::Ended => Ok(Some(0)),
                Writer::Reset => Err(Broken),
                Writer::Open => {
                    if let Some(cx) = cx {
                        state.reader = Some(cx.waker().clone());
                    }
                    Ok(None)
                }
            };
        }
        let count = state.bytes.copy_to(into, &mut self.hub.pool());
        // A writer woken for every bit of room would write little each time.
        let has_room = state.bytes.len() <= self.bytes_max / 2;
        let blocked = if has_room { state.blocked.take() } else { None };
        drop(state);
        wake([blocked]);
        Ok(Some(count))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.bytes.is_empty() && state.writer == Writer::Open && !state.is_abandoned {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let is_full = state.bytes.len() == self.bytes_max;
        if is_full && state.writer == Writer::Open && !state.is_abandoned {
            state.blocked = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Ends the direction after the bytes written.
    fn end(&self) {
        self.finish(|state| {
            if state.writer == Writer::Open {
                state.writer = Writer::Ended;
            }
            false
        });
    }

    /// Discards the bytes written, unless the direction was ended.
    fn reset(&self) {
        self.finish(|state| {
            let is_open = state.writer == Writer::Open;
            if is_open {
                state.writer = Writer::Reset;
            }
            is_open
        });
    }

    /// Discards the bytes written: the reader is gone.
    fn abandon(&self) {
        self.finish(|state| {
            state.is_abandoned = true;
            true
        });
    }

    /// Applies a change, discards the bytes if it returns true, and wakes all waiters.
    fn finish(&self, change: impl FnOnce(&mut LaneState) -> bool) {
        let mut state = self.state.lock();
        if change(&mut state) {
            state.bytes.clear(&mut self.hub.pool());
        }
        let waiting = [state.reader.take(), state.blocked.take()];
        drop(state);
        wake(waiting);
    }
}

/// Wakes all waiters. The lock must be released: a waker may be dropped together with its task.
fn wake(waiting: impl IntoIterator<Item = Option<Waker>>) {
    for waker in waiting.into_iter().flatten() {
        waker.wake();
    }
}
