//! A bounded in-memory byte pipe, in place of a connection's socket.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use crate::pipe::BytePipe;
use crate::sync::{Arc, Mutex};

/// One direction.
struct Lane {
    state: Mutex<LaneState>,
}

struct LaneState {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer sends no more.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
    /// Number of the system error that writes fail with.
    failure: Option<i32>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(LaneState {
                bytes: VecDeque::new(),
                capacity,
                ended: false,
                abandoned: false,
                failure: None,
                reader: None,
                writer: None,
            }),
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
            state.bytes.clear();
            state.writer.take()
        };
        wake(writer);
    }
}

/// One end of a pipe; dropping it closes both directions.
pub(crate) struct FakePipe {
    inbound: Arc<Lane>,
    outbound: Arc<Lane>,
}

/// Creates a pipe that holds up to `capacity` bytes in each direction.
pub(crate) fn pipe(capacity: usize) -> (FakePipe, FakePipe) {
    let (one, other) = (Lane::new(capacity), Lane::new(capacity));
    let left = FakePipe {
        inbound: Arc::clone(&one),
        outbound: Arc::clone(&other),
    };
    let right = FakePipe {
        inbound: other,
        outbound: one,
    };
    (left, right)
}

impl FakePipe {
    /// Makes the writes of the other end fail with a system error from here on.
    pub(crate) fn fail_remote_writes(&self, number: i32) {
        self.inbound.state.lock().failure = Some(number);
    }
}

impl BytePipe for FakePipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.inbound.state.lock();
        if state.bytes.is_empty() {
            return if state.ended {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let count = state.bytes.len().min(into.len());
        for (target, byte) in into.iter_mut().zip(state.bytes.drain(..count)) {
            *target = byte;
        }
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Ok(count)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.outbound.state.lock();
        if let Some(number) = state.failure {
            return Err(io::Error::from_raw_os_error(number));
        }
        if state.abandoned || state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(state.capacity - state.bytes.len());
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
        if state.bytes.len() == state.capacity && !state.abandoned {
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

impl Drop for FakePipe {
    fn drop(&mut self) {
        self.close();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
