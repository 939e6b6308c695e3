//! The event queue of `src/event_queue.rs` for in-memory pipes, and pipes that can be lent to it.

use std::io;
use std::task::{Context, Poll, Wake, Waker};

use crate::pipe::BytePipe;
use crate::sync::{Arc, Mutex};
use crate::world::Signal;

/// Readiness of one pipe.
pub(crate) struct Readiness {
    pub(crate) token: usize,
    pub(crate) ended: bool,
}

/// Pipes whose incoming bytes raise the doorbell signal of an environment's thread.
pub(crate) struct EventQueue(Arc<Events>);

struct Events {
    tokens: Mutex<Vec<usize>>,
    signal: Arc<Signal>,
}

impl EventQueue {
    /// Always fails: a scenario creates its own with [`of`](Self::of).
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn of(signal: &Arc<Signal>) -> Self {
        Self(Arc::new(Events {
            tokens: Mutex::default(),
            signal: Arc::clone(signal),
        }))
    }

    pub(crate) fn descriptor(&self) -> i32 {
        0
    }

    pub(crate) fn take(&self) -> Vec<Readiness> {
        let tokens = std::mem::take(&mut *self.0.tokens.lock());
        let found = tokens.into_iter().map(|token| Readiness {
            token,
            ended: false,
        });
        found.collect()
    }
}

/// Waker of a lent pipe, which records its events.
struct PipeWaker {
    events: Arc<Events>,
    token: usize,
}

impl Wake for PipeWaker {
    fn wake(self: Arc<Self>) {
        self.events.tokens.lock().push(self.token);
        self.events.signal.raise();
    }
}

/// A pipe that can be lent.
pub(crate) struct LendablePipe<P> {
    pipe: P,
    lent_to: Mutex<Option<Waker>>,
}

impl<P: BytePipe> LendablePipe<P> {
    pub(crate) const fn new(pipe: P) -> Self {
        Self {
            pipe,
            lent_to: Mutex::new(None),
        }
    }

    /// Waits for the next bytes, which may already be there.
    fn follow(&self) {
        let waker = self.lent_to.lock().clone();
        if let Some(waker) = waker
            && self
                .pipe
                .poll_readable(&mut Context::from_waker(&waker))
                .is_ready()
        {
            waker.wake();
        }
    }

    fn is_lent(&self) -> bool {
        self.lent_to.lock().is_some()
    }
}

impl<P: BytePipe> BytePipe for LendablePipe<P> {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.pipe.try_read(into);
        if read
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            self.follow();
        }
        read
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.try_write(bytes)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_lent() {
            return Poll::Pending;
        }
        self.pipe.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_lent() {
            return Poll::Pending;
        }
        self.pipe.poll_writable(cx)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.pipe.shutdown()
    }

    fn close(&self) {
        self.pipe.close();
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        let events = Arc::clone(&to.0);
        *self.lent_to.lock() = Some(Waker::from(Arc::new(PipeWaker { events, token })));
        self.follow();
        true
    }

    fn reclaim(&self, _from: &EventQueue) -> io::Result<()> {
        *self.lent_to.lock() = None;
        Ok(())
    }
}
