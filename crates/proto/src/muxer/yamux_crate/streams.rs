//! The streams of a session, and the wakers that the crate wakes for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use crate::muxer::StreamKey;

/// One stream.
#[derive(Debug)]
pub(super) struct Entry {
    /// The crate's stream; `None` once it is over.
    pub(super) stream: Option<::yamux::Stream>,
    pub(super) id: u32,
    pub(super) opening: Opening,
    pub(super) read: Read,
    pub(super) outbound: bool,
    /// Our half has ended.
    pub(super) fin: bool,
    /// The crate takes no data at present, and wakes `writer` when it does.
    pub(super) blocked: bool,
    /// Bytes handed out and not consumed.
    pub(super) unconsumed: u32,
    pub(super) reader: HalfWaker,
    pub(super) writer: HalfWaker,
}

/// Opening state of a stream, as in our own engine.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    SynDue,
    AwaitingAck,
    Unaccepted,
    AckDue,
    Established,
}

/// The half that the remote writes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Open,
    /// Open, and the caller has reached [`UNCONSUMED_MAX`](super::UNCONSUMED_MAX).
    Full,
    Discarding,
    Finished,
}

/// A half of a stream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Half {
    Read,
    Write,
}

impl Entry {
    pub(super) const fn is_outbound_unacked(&self) -> bool {
        matches!(self.opening, Opening::SynDue | Opening::AwaitingAck)
    }

    /// Both halves have ended in order.
    pub(super) fn is_done(&self) -> bool {
        self.fin && self.read == Read::Finished
    }

    /// Schedules another poll of the reading half.
    pub(super) fn wake_reader(&self) {
        self.reader.waker.wake_by_ref();
    }
}

/// All streams by key, and the queue of those that the crate woke.
#[derive(Debug, Default)]
pub(super) struct Streams {
    entries: Vec<Option<Entry>>,
    free: Vec<StreamKey>,
    ready: Arc<Mutex<VecDeque<(StreamKey, Half)>>>,
}

impl Streams {
    pub(super) fn insert(&mut self, stream: ::yamux::Stream, opening: Opening) -> StreamKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            // There are as many entries as live streams, which the limits keep far below 2^32.
            StreamKey((self.entries.len() - 1) as u32)
        });
        let half_waker = |half| HalfWaker::new(&self.ready, key, half);
        let entry = Entry {
            id: stream.id().val(),
            stream: Some(stream),
            opening,
            read: Read::Open,
            outbound: opening == Opening::SynDue,
            fin: false,
            blocked: false,
            unconsumed: 0,
            reader: half_waker(Half::Read),
            writer: half_waker(Half::Write),
        };
        // The crate wakes only for a stream that was polled.
        entry.wake_reader();
        self.entries[key.index()] = Some(entry);
        key
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Entry> {
        self.entries.get(key.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index())?.as_mut()
    }

    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Entry> {
        let entry = self.entries.get_mut(key.index())?.take()?;
        self.free.push(key);
        Some(entry)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().flatten()
    }

    /// Returns the next half of a stream that the crate woke.
    pub(super) fn pop_ready(&mut self) -> Option<(StreamKey, Half)> {
        let (key, half) = self.ready.lock().pop_front()?;
        if let Some(entry) = self.get(key) {
            match half {
                Half::Read => entry.reader.reset(),
                Half::Write => entry.writer.reset(),
            }
        }
        Some((key, half))
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.lock().is_empty()
    }
}

/// Waker that adds a half of a stream to the ready queue, at most once.
#[derive(Debug)]
pub(super) struct HalfWaker {
    wake: Arc<HalfWake>,
    waker: Waker,
}

#[derive(Debug)]
struct HalfWake {
    ready: Arc<Mutex<VecDeque<(StreamKey, Half)>>>,
    key: StreamKey,
    half: Half,
    is_queued: AtomicBool,
}

impl HalfWaker {
    fn new(ready: &Arc<Mutex<VecDeque<(StreamKey, Half)>>>, key: StreamKey, half: Half) -> Self {
        let wake = Arc::new(HalfWake {
            ready: Arc::clone(ready),
            key,
            half,
            is_queued: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&wake));
        Self { wake, waker }
    }

    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    fn reset(&self) {
        self.wake.is_queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for HalfWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push_back((self.key, self.half));
        }
    }
}

/// Waker that marks the crate's connection for another poll.
#[derive(Debug, Default)]
pub(super) struct WakeFlag(AtomicBool);

impl WakeFlag {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.set();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
    }
}
