//! The streams of a session, and the wakers by which the crate calls for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use crate::muxer::StreamKey;

/// One stream.
#[derive(Debug)]
pub(super) struct Entry {
    /// The crate's side of it; none once it was reset here.
    pub(super) stream: Option<::yamux::Stream>,
    pub(super) id: u32,
    pub(super) opening: Opening,
    pub(super) read: Read,
    pub(super) outbound: bool,
    /// Our half has ended.
    pub(super) fin: bool,
    /// The crate takes no data at present, and calls when it does.
    pub(super) blocked: bool,
    /// Handed out and not consumed.
    pub(super) unconsumed: u32,
    pub(super) reader: Bell,
    pub(super) writer: Bell,
}

/// How far the opening of a stream has been told, as in our own engine.
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
    /// Open, and the caller has all that it may have unconsumed.
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

    /// Asks for another look at what there is to read.
    pub(super) fn look_again(&self) {
        self.reader.waker.wake_by_ref();
    }
}

/// All streams by key, and those that the crate called for.
#[derive(Debug, Default)]
pub(super) struct Streams {
    entries: Vec<Option<Entry>>,
    free: Vec<StreamKey>,
    called: Arc<Mutex<VecDeque<(StreamKey, Half)>>>,
}

impl Streams {
    pub(super) fn insert(&mut self, stream: ::yamux::Stream, opening: Opening) -> StreamKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            // As many as live streams, which the limits keep far below 2^32.
            StreamKey((self.entries.len() - 1) as u32)
        });
        let bell = |half| Bell::new(&self.called, key, half);
        let entry = Entry {
            id: stream.id().val(),
            stream: Some(stream),
            opening,
            read: Read::Open,
            outbound: opening == Opening::SynDue,
            fin: false,
            blocked: false,
            unconsumed: 0,
            reader: bell(Half::Read),
            writer: bell(Half::Write),
        };
        // The crate calls only for a stream that was polled.
        entry.look_again();
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

    /// The next half of a stream that the crate called for.
    pub(super) fn pop_called(&mut self) -> Option<(StreamKey, Half)> {
        let (key, half) = self.called.lock().pop_front()?;
        if let Some(entry) = self.get(key) {
            match half {
                Half::Read => entry.reader.reset(),
                Half::Write => entry.writer.reset(),
            }
        }
        Some((key, half))
    }

    pub(super) fn has_called(&self) -> bool {
        !self.called.lock().is_empty()
    }
}

/// Puts a half of a stream on the list of those called for, once.
#[derive(Debug)]
pub(super) struct Bell {
    call: Arc<Call>,
    waker: Waker,
}

#[derive(Debug)]
struct Call {
    called: Arc<Mutex<VecDeque<(StreamKey, Half)>>>,
    key: StreamKey,
    half: Half,
    is_listed: AtomicBool,
}

impl Bell {
    fn new(called: &Arc<Mutex<VecDeque<(StreamKey, Half)>>>, key: StreamKey, half: Half) -> Self {
        let call = Arc::new(Call {
            called: Arc::clone(called),
            key,
            half,
            is_listed: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&call));
        Self { call, waker }
    }

    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    fn reset(&self) {
        self.call.is_listed.store(false, Ordering::Relaxed);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_listed.swap(true, Ordering::Relaxed) {
            self.called.lock().push_back((self.key, self.half));
        }
    }
}

/// Remembers that the crate's connection wants to be polled again.
#[derive(Debug, Default)]
pub(super) struct Alarm(AtomicBool);

impl Alarm {
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

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.set();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
    }
}
