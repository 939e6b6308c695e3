//! The end of a fed pipe that JavaScript holds: its calls, and what it is told between them.

use std::task::{Context, Poll, Wake, Waker};

use super::{FedPipe, Feed, FeedError};
use crate::hub::{Hub, Ready};
use crate::sync::{Arc, AtomicU32, AtomicUsize, Ordering};

/// Bytes that a pipe holds in each direction: one read of the largest buffer that Node.js reads a
/// socket into. More would only delay what is written behind it.
const PIPE_BYTES: usize = 64 << 10;

/// A [`Feed`] that tells JavaScript through the hub when a call that found it full, or empty, can
/// be repeated.
pub(crate) struct Port {
    feed: Feed,
    events: Arc<PortEvents>,
    has_room: Waker,
    has_output: Waker,
}

/// Pending notifications of a port, which is in the ready list at most once.
pub(crate) struct PortEvents {
    hub: Arc<Hub>,
    handle: AtomicU32,
    pending: AtomicUsize,
}

/// Waker of one event.
struct Signal {
    events: Arc<PortEvents>,
    event: usize,
}

const HAS_ROOM: usize = 1;
const HAS_OUTPUT: usize = 2;

impl Port {
    /// Creates both ends of a pipe.
    pub(crate) fn new(hub: &Arc<Hub>) -> (Self, FedPipe) {
        let (pipe, feed) = FedPipe::new(hub, PIPE_BYTES);
        let events = Arc::new(PortEvents {
            hub: Arc::clone(hub),
            handle: AtomicU32::new(0),
            pending: AtomicUsize::new(0),
        });
        let waker = |event| {
            let events = Arc::clone(&events);
            Waker::from(Arc::new(Signal { events, event }))
        };
        let port = Self {
            feed,
            has_room: waker(HAS_ROOM),
            has_output: waker(HAS_OUTPUT),
            events,
        };
        (port, pipe)
    }

    /// Sets the handle in its notifications, of which there are none before its first call.
    pub(crate) fn set_handle(&self, handle: u32) {
        self.events.handle.store(handle, Ordering::SeqCst);
    }

    /// Feeds received bytes; returns how many, 0 if the pipe is full: a notification follows.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub(crate) fn feed(&self, bytes: &[u8]) -> Result<usize, FeedError> {
        let mut cx = Context::from_waker(&self.has_room);
        match self.feed.poll_feed(&mut cx, bytes) {
            Poll::Ready(fed) => fed,
            Poll::Pending => Ok(0),
        }
    }

    /// Takes bytes to send; returns how many, `None` at the end, 0 if there are none yet: a
    /// notification follows.
    pub(crate) fn take(&self, into: &mut [u8]) -> Option<usize> {
        let mut cx = Context::from_waker(&self.has_output);
        match self.feed.poll_take(&mut cx, into) {
            Poll::Ready(0) => None,
            Poll::Ready(count) => Some(count),
            Poll::Pending => Some(0),
        }
    }

    /// See [`Feed::end`].
    pub(crate) fn end(&self) {
        self.feed.end();
    }
}

impl PortEvents {
    pub(crate) fn handle(&self) -> u32 {
        self.handle.load(Ordering::SeqCst)
    }

    /// Takes the pending notifications: whether there is room, and whether there is output.
    pub(crate) fn take(&self) -> (bool, bool) {
        let pending = self.pending.swap(0, Ordering::SeqCst);
        (pending & HAS_ROOM != 0, pending & HAS_OUTPUT != 0)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// Does not ring: the connection may be locked. Whoever uses the pipe announces it afterwards.
    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.events.pending.fetch_or(self.event, Ordering::SeqCst);
        if before == 0 {
            let events = Arc::clone(&self.events);
            self.events.hub.queue(Ready::Pipe(events));
        }
    }
}
