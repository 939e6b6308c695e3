//! A bounded byte pipe in memory, in place of a connection's socket.
//!
//! Its ends may be on any two threads of the process. A write wakes the reader that waits, and a
//! read the writer; while neither waits, no system call is made.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::task::{Context, Poll, Waker};

use crate::pipe::BytePipe;
use crate::sync::{Arc, Mutex};

/// Memory that an empty direction keeps, for small messages back and forth; more is released.
const KEPT_BYTES: usize = 4 << 10;

/// One direction. Its lock is a leaf, and released before a waker is called.
struct Lane {
    capacity: usize,
    state: Mutex<LaneState>,
}

#[derive(Default)]
struct LaneState {
    bytes: VecDeque<u8>,
    /// The writer sends no more.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
    /// Number of the system error that writes fail with.
    #[cfg(test)]
    failure: Option<i32>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
        })
    }

    fn end(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.ended = true;
            state.reader.take()
        };
        wake(reader);
    }

    fn abandon(&self) {
        let writer = {
            let mut state = self.state.lock();
            state.abandoned = true;
            state.bytes = VecDeque::new();
            state.writer.take()
        };
        wake(writer);
    }
}

/// One end of a pipe; dropping it closes both directions.
pub(crate) struct MemoryPipe {
    inbound: Arc<Lane>,
    outbound: Arc<Lane>,
}

/// Creates a pipe that holds up to `capacity` bytes, at least 1, in each direction.
pub(crate) fn pipe(capacity: usize) -> (MemoryPipe, MemoryPipe) {
    let (one, other) = (Lane::new(capacity), Lane::new(capacity));
    let left = MemoryPipe {
        inbound: Arc::clone(&one),
        outbound: Arc::clone(&other),
    };
    let right = MemoryPipe {
        inbound: other,
        outbound: one,
    };
    (left, right)
}

impl MemoryPipe {
    /// Makes the writes of the other end fail with a system error from here on.
    #[cfg(test)]
    pub(crate) fn fail_remote_writes(&self, number: i32) {
        self.inbound.state.lock().failure = Some(number);
    }
}

impl BytePipe for MemoryPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.inbound.state.lock();
        if state.bytes.is_empty() {
            if state.ended {
                return Ok(0);
            }
            if state.bytes.capacity() > KEPT_BYTES {
                state.bytes = VecDeque::new();
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut count = 0;
        // Each of its two slices is read by itself.
        while count < into.len() && !state.bytes.is_empty() {
            count += state.bytes.read(&mut into[count..])?;
        }
        // A writer woken for every bit of room would write little each time.
        let has_room = state.bytes.len() <= self.inbound.capacity / 2;
        let writer = if has_room { state.writer.take() } else { None };
        drop(state);
        wake(writer);
        Ok(count)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.outbound.state.lock();
        #[cfg(test)]
        if let Some(number) = state.failure {
            return Err(io::Error::from_raw_os_error(number));
        }
        if state.abandoned || state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(self.outbound.capacity - state.bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.bytes.extend(&bytes[..count]);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(count)
    }

    fn unaccepted(&self) -> Option<usize> {
        Some(self.outbound.state.lock().bytes.len())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.inbound.state.lock();
        if state.bytes.is_empty() && !state.ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.outbound.state.lock();
        if state.bytes.len() == self.outbound.capacity && !state.abandoned {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
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

impl Drop for MemoryPipe {
    fn drop(&mut self) {
        self.close();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
