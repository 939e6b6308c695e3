//! A raw peer for one session, and a pair of connected sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::muxer::yamux::frame::{Flags, HEADER_BYTES, Header, Kind};
use crate::muxer::yamux::{Config, Event, ProtocolError, Session};
use crate::muxer::{MemoryBudget, Role, StreamKey};

pub(super) const NOW: Duration = Duration::from_secs(5);

pub(super) const SYN: Flags = Flags::SYN;
pub(super) const ACK: Flags = Flags::ACK;
pub(super) const FIN: Flags = Flags::FIN;
pub(super) const RST: Flags = Flags::RST;
pub(super) const NONE: Flags = Flags::NONE;

/// An event that owns its bytes; adjacent data of a stream is merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OwnedEvent {
    Opened(u32),
    Acked(u32),
    Data(u32, Vec<u8>),
    Finished(u32),
    Reset(u32, u32),
    Writable(u32),
    GoAway(u32),
    Pong(Duration),
}

impl OwnedEvent {
    pub(super) fn record(event: Event<'_>, into: &mut Vec<Self>) {
        let reported = match event {
            Event::Opened { key } => Self::Opened(key.0),
            Event::Acked { key } => Self::Acked(key.0),
            Event::Data { key, bytes } => {
                assert!(!bytes.is_empty());
                if let Some(Self::Data(last, held)) = into.last_mut()
                    && *last == key.0
                {
                    held.extend_from_slice(bytes);
                    return;
                }
                Self::Data(key.0, bytes.to_vec())
            }
            Event::Finished { key } => Self::Finished(key.0),
            Event::Reset { key, code } => Self::Reset(key.0, code),
            Event::Writable { key } => Self::Writable(key.0),
            Event::GoAway { code } => Self::GoAway(code),
            Event::Pong { rtt } => Self::Pong(rtt),
        };
        into.push(reported);
    }
}

/// A data frame with a payload of `length` sevens.
pub(super) fn data(flags: Flags, id: u32, length: u32) -> Vec<u8> {
    let mut bytes = Header::data(flags, id, length).encode().to_vec();
    bytes.resize(HEADER_BYTES + length as usize, 7);
    bytes
}

pub(super) fn update(flags: Flags, id: u32, length: u32) -> Vec<u8> {
    Header::window_update(flags, id, length).encode().to_vec()
}

pub(super) fn listener() -> Session {
    Session::new(Role::Listener, Config::default())
}

pub(super) fn dialer() -> Session {
    Session::new(Role::Dialer, Config::default())
}

/// Feeds `bytes` in pieces of `piece` bytes.
pub(super) fn feed_in(
    session: &mut Session,
    bytes: &[u8],
    piece: usize,
) -> Result<Vec<OwnedEvent>, ProtocolError> {
    let mut reported = Vec::new();
    for mut input in bytes.chunks(piece) {
        while let Some(event) = session.poll_event(&mut input, NOW)? {
            OwnedEvent::record(event, &mut reported);
        }
        assert!(input.is_empty());
    }
    Ok(reported)
}

pub(super) fn feed(session: &mut Session, bytes: &[u8]) -> Result<Vec<OwnedEvent>, ProtocolError> {
    feed_in(session, bytes, usize::MAX)
}

/// Returns all pending control frames.
pub(super) fn control(session: &mut Session) -> Vec<Header> {
    let mut out = Vec::new();
    assert_eq!(session.poll_control(&mut out, usize::MAX), out.len());
    assert!(!session.has_control());
    headers(&out)
}

/// Returns the headers of frames without payload.
pub(super) fn headers(bytes: &[u8]) -> Vec<Header> {
    let (chunks, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    chunks
        .iter()
        .map(|bytes| Header::decode(*bytes).expect("written headers decode"))
        .collect()
}

/// Budget that grants reservations until it is exhausted.
#[derive(Debug)]
pub(super) struct LimitedBudget {
    pub(super) left: u64,
    pub(super) reserved: u64,
}

impl LimitedBudget {
    pub(super) const fn of(left: u64) -> Self {
        Self { left, reserved: 0 }
    }
}

impl MemoryBudget for LimitedBudget {
    fn reserve(&mut self, bytes: u32) -> bool {
        let bytes = u64::from(bytes);
        let granted = bytes <= self.left;
        if granted {
            self.left -= bytes;
            self.reserved += bytes;
        }
        granted
    }
}

/// Two sessions; their output is delivered in pieces of `piece` bytes.
pub(super) struct Pair {
    pub(super) ends: [End; 2],
    pub(super) now: Duration,
    pub(super) piece: usize,
}

/// One session and an application that sends a pattern.
pub(super) struct End {
    pub(super) session: Session,
    pub(super) streams: BTreeMap<u32, Entry>,
    pub(super) reported: Vec<OwnedEvent>,
    pub(super) budget: LimitedBudget,
    wire: Vec<u8>,
}

/// The application's side of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: StreamKey,
    pub(super) queued: u32,
    pub(super) sent: u32,
    pub(super) received: u32,
    pub(super) unread: u32,
    pub(super) fin: FinState,
    pub(super) is_finished: bool,
    pub(super) is_discarding: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum FinState {
    Open,
    Queued,
    Sent,
}

pub(super) const DIALER: usize = 0;
pub(super) const LISTENER: usize = 1;

impl Pair {
    pub(super) fn new(config: &Config, piece: usize) -> Self {
        let end = |role| End {
            session: Session::new(role, config.clone()),
            streams: BTreeMap::new(),
            reported: Vec::new(),
            budget: LimitedBudget::of(64 << 20),
            wire: Vec::new(),
        };
        Self {
            ends: [end(Role::Dialer), end(Role::Listener)],
            now: NOW,
            piece,
        }
    }

    /// Opens a stream at `side`; returns its id.
    pub(super) fn open(&mut self, side: usize) -> u32 {
        self.ends[side].open()
    }

    /// Moves everything that `side` may send to the other end; returns whether there was any.
    pub(super) fn pump(&mut self, side: usize) -> bool {
        let wire = self.ends[side].transmit();
        for piece in wire.chunks(self.piece) {
            self.ends[1 - side].receive(piece, self.now, side);
        }
        !wire.is_empty()
    }

    /// Reads and pumps until both ends are idle.
    pub(super) fn run_until_idle(&mut self) {
        loop {
            for end in &mut self.ends {
                end.read_all(self.now);
            }
            let moved = [self.pump(DIALER), self.pump(LISTENER)];
            if moved == [false, false] {
                return;
            }
        }
    }
}

impl End {
    pub(super) fn open(&mut self) -> u32 {
        let key = self.session.open().expect("the limits leave room");
        self.adopt(key)
    }

    pub(super) fn entry(&mut self, id: u32) -> &mut Entry {
        self.streams.get_mut(&id).expect("the stream has an entry")
    }

    /// Reads everything that is unread.
    pub(super) fn read_all(&mut self, now: Duration) {
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.read(id, u32::MAX, now);
        }
    }

    pub(super) fn read(&mut self, id: u32, bytes: u32, now: Duration) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        let bytes = bytes.min(entry.unread);
        if bytes > 0 {
            entry.unread -= bytes;
            self.session
                .consumed(entry.key, bytes, now, &mut self.budget);
        }
    }

    pub(super) fn discard(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.is_discarding = true;
            entry.unread = 0;
            self.session.discard(entry.key);
        }
    }

    pub(super) fn reset(&mut self, id: u32, code: u32) {
        if let Some(entry) = self.streams.remove(&id) {
            self.session.reset(entry.key, code);
            self.session.remove(entry.key);
        }
    }

    /// Removes every stream that both sides finished.
    pub(super) fn sweep(&mut self) {
        let session = &mut self.session;
        self.streams.retain(|_, entry| {
            let is_over = entry.is_finished && entry.fin == FinState::Sent;
            if is_over {
                session.remove(entry.key);
            }
            !is_over
        });
    }

    fn adopt(&mut self, key: StreamKey) -> u32 {
        let id = self.session.stream_id(key).expect("the stream is live");
        let entry = Entry {
            key,
            queued: 0,
            sent: 0,
            received: 0,
            unread: 0,
            fin: FinState::Open,
            is_finished: false,
            is_discarding: false,
        };
        assert!(self.streams.insert(id, entry).is_none());
        id
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut wire = std::mem::take(&mut self.wire);
        for (id, entry) in &mut self.streams {
            loop {
                let left = entry.queued - entry.sent;
                let credit = self.session.send_credit(entry.key);
                let len = left.min(credit).min(16_372);
                let is_last = len == left && entry.fin == FinState::Queued;
                if len == 0 && !is_last {
                    break;
                }
                if len > 0 {
                    wire.extend_from_slice(&self.session.data_header(entry.key, len));
                    let role = self.session.role;
                    wire.extend((0..len).map(|at| pattern(role, *id, entry.sent + at)));
                    entry.sent += len;
                }
                if is_last {
                    wire.extend_from_slice(&self.session.fin_frame(entry.key));
                    entry.fin = FinState::Sent;
                    break;
                }
            }
        }
        self.session.poll_control(&mut wire, usize::MAX);
        wire
    }

    fn receive(&mut self, mut input: &[u8], now: Duration, from: usize) {
        let role = if from == DIALER {
            Role::Dialer
        } else {
            Role::Listener
        };
        loop {
            let event = self
                .session
                .poll_event(&mut input, now)
                .expect("both ends follow the protocol");
            let Some(event) = event else { break };
            match event {
                Event::Opened { key } => {
                    self.adopt(key);
                }
                Event::Data { key, bytes } => {
                    let (id, entry) = self.find(key);
                    assert!(!entry.is_finished && !entry.is_discarding);
                    for byte in bytes {
                        assert_eq!(*byte, pattern(role, id, entry.received));
                        entry.received += 1;
                    }
                    entry.unread += bytes.len() as u32;
                    let unread = entry.unread;
                    assert!(unread <= self.session.receive_window(key));
                }
                Event::Finished { key } => {
                    let (_, entry) = self.find(key);
                    assert!(!std::mem::replace(&mut entry.is_finished, true));
                }
                Event::Reset { key, .. } => {
                    let (id, _) = self.find(key);
                    self.streams.remove(&id);
                    self.session.remove(key);
                }
                Event::Acked { .. }
                | Event::Writable { .. }
                | Event::GoAway { .. }
                | Event::Pong { .. } => {}
            }
            OwnedEvent::record(event, &mut self.reported);
        }
    }

    fn find(&mut self, key: StreamKey) -> (u32, &mut Entry) {
        let (id, entry) = self
            .streams
            .iter_mut()
            .find(|(_, entry)| entry.key == key)
            .expect("events name live streams");
        (*id, entry)
    }
}

/// Returns the byte at offset `at` of the data that `role` sends on a stream.
fn pattern(role: Role, id: u32, at: u32) -> u8 {
    let salt = id.wrapping_mul(97) ^ (role == Role::Dialer) as u32;
    (at.wrapping_mul(31) ^ (at >> 8) ^ salt) as u8
}

/// Returns the stream and the code of a reset; `None` for any other header.
pub(super) fn as_reset(header: &Header) -> Option<(u32, u32)> {
    let is_reset = header.kind == Kind::WindowUpdate && header.flags == RST;
    is_reset.then_some((header.id, header.length))
}
