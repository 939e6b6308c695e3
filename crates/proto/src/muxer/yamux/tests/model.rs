//! Reference model of a session, as simple as possible: totals instead of balances, a search
//! instead of an index, no clock and no window growth.

use std::collections::BTreeMap;

use super::support::{ACK, FIN, OwnedEvent, RST, SYN};
use crate::muxer::yamux::frame::{Flags, Header, Kind};
use crate::muxer::yamux::{Config, OpenError, ProtocolError};
use crate::muxer::{Role, StreamErrorCode};

/// Window of every stream, in both directions.
pub(super) const WINDOW: u64 = 256 << 10;

const QUARTER: u64 = WINDOW / 4;
const VIOLATION: u32 = StreamErrorCode::ProtocolViolation as u32;

/// Byte allowance for unknown streams.
const STRAYS: u64 = 1 << 20;

/// Maximum number of queued pongs.
const PONGS_MAX: usize = 8;

pub(super) type Outcome = Result<Vec<OwnedEvent>, ProtocolError>;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    SynDue,
    AwaitingAck,
    Unaccepted,
    AckDue,
    Established,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Open,
    ResetDue(u32),
    Over,
}

/// An entry, from the event or call that created it until it is over and removed.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) inbound: bool,
    pub(super) opening: Opening,
    pub(super) ending: Ending,
    pub(super) removed: bool,
    pub(super) discards: bool,
    pub(super) their_fin: bool,
    pub(super) our_fin: bool,
    ack_wanted: bool,
    /// Payload bytes received, those of them consumed, and those of these credited to the remote.
    received: u64,
    consumed: u64,
    announced: u64,
    /// Payload bytes sent, and total credit granted by the remote.
    sent: u64,
    granted: u64,
}

impl Stream {
    const fn new(id: u32, inbound: bool) -> Self {
        Self {
            id,
            inbound,
            opening: if inbound {
                Opening::Unaccepted
            } else {
                Opening::SynDue
            },
            ending: Ending::Open,
            removed: false,
            discards: false,
            their_fin: false,
            our_fin: false,
            ack_wanted: false,
            received: 0,
            consumed: 0,
            announced: 0,
            sent: 0,
            granted: WINDOW,
        }
    }

    pub(super) const fn allowed(&self) -> u64 {
        WINDOW + self.announced - self.received
    }

    pub(super) const fn held(&self) -> u64 {
        self.received - self.consumed
    }

    pub(super) const fn owed(&self) -> u64 {
        self.consumed - self.announced
    }

    /// Bytes that the remote still takes.
    pub(super) const fn credit(&self) -> u64 {
        self.granted - self.sent
    }

    pub(super) fn is_open(&self) -> bool {
        self.ending == Ending::Open
    }

    pub(super) fn is_writable(&self) -> bool {
        self.is_open() && !self.our_fin
    }

    fn owes_credit(&self) -> bool {
        self.is_open() && !self.their_fin && self.owed() >= QUARTER
    }

    fn take_opening_flag(&mut self) -> Flags {
        let (next, flag) = match self.opening {
            Opening::SynDue => (Opening::AwaitingAck, SYN),
            Opening::AckDue => (Opening::Established, ACK),
            opening => (opening, Flags::NONE),
        };
        self.opening = next;
        flag
    }
}

/// The whole session.
#[derive(Clone, Debug)]
pub(super) struct Model {
    role: Role,
    config: Config,
    next_id: u32,
    /// By key.
    pub(super) streams: BTreeMap<u32, Stream>,
    /// Used keys that are free again, in the order in which they were freed.
    free: Vec<u32>,
    keys: u32,
    refusals: Vec<(u32, u32)>,
    pongs: Vec<u32>,
    goaway_due: Option<u32>,
    going_away: bool,
    remote_going_away: bool,
    pub(super) strays: u64,
}

impl Model {
    pub(super) fn new(role: Role, config: &Config) -> Self {
        Self {
            role,
            config: config.clone(),
            next_id: if role == Role::Dialer { 1 } else { 2 },
            streams: BTreeMap::new(),
            free: Vec::new(),
            keys: 0,
            refusals: Vec::new(),
            pongs: Vec::new(),
            goaway_due: None,
            going_away: false,
            remote_going_away: false,
            strays: STRAYS,
        }
    }

    pub(super) fn count(&self, which: impl Fn(&Stream) -> bool) -> u32 {
        self.streams.values().filter(|stream| which(stream)).count() as u32
    }

    pub(super) fn unacked(&self) -> u32 {
        self.count(|stream| {
            stream.is_open() && matches!(stream.opening, Opening::SynDue | Opening::AwaitingAck)
        })
    }

    pub(super) fn unaccepted(&self) -> u32 {
        self.count(|stream| stream.opening == Opening::Unaccepted)
    }

    pub(super) fn open(&mut self) -> Result<u32, OpenError> {
        if self.going_away || self.remote_going_away {
            return Err(OpenError::GoingAway);
        }
        if self.unacked() >= self.config.unacked_max {
            return Err(OpenError::Unacked);
        }
        let id = self.next_id;
        self.next_id += 2;
        Ok(self.insert(Stream::new(id, false)))
    }

    pub(super) fn accept(&mut self, key: u32) {
        let stream = self.stream(key);
        if stream.opening == Opening::Unaccepted {
            stream.opening = if stream.is_open() {
                Opening::AckDue
            } else {
                Opening::Established
            };
        }
    }

    pub(super) fn acknowledge(&mut self, key: u32) {
        let stream = self.stream(key);
        stream.ack_wanted |= stream.opening == Opening::AckDue;
    }

    pub(super) fn consume(&mut self, key: u32, bytes: u64) {
        let stream = self.stream(key);
        if stream.is_open() && !stream.their_fin && !stream.discards {
            stream.consumed += bytes;
        }
    }

    pub(super) fn discard(&mut self, key: u32) {
        let stream = self.stream(key);
        if !stream.their_fin {
            stream.discards = true;
            stream.consumed = stream.received;
        }
    }

    /// Returns the header of a data frame on a stream that is writable and has the credit.
    pub(super) fn send(&mut self, key: u32, bytes: u64) -> Header {
        let stream = self.stream(key);
        stream.sent += bytes;
        Header::data(stream.take_opening_flag(), stream.id, bytes as u32)
    }

    /// Returns the frame that ends our half of a writable stream.
    pub(super) fn finish(&mut self, key: u32) -> Header {
        let stream = self.stream(key);
        stream.our_fin = true;
        let header = Header::window_update(stream.take_opening_flag().with(FIN), stream.id, 0);
        if stream.their_fin {
            self.end(key, Ending::Over);
        }
        header
    }

    pub(super) fn reset(&mut self, key: u32, code: u32) {
        let stream = self.stream(key);
        if stream.is_open() {
            let ending = if stream.opening == Opening::SynDue {
                Ending::Over
            } else {
                Ending::ResetDue(code)
            };
            self.end(key, ending);
        }
    }

    pub(super) fn remove(&mut self, key: u32) {
        self.reset(key, 0);
        self.stream(key).removed = true;
        self.free_if_done(key);
    }

    pub(super) fn go_away(&mut self, code: u32) {
        self.going_away = true;
        self.goaway_due = Some(code);
    }

    /// Returns the outcome of a frame from the remote.
    pub(super) fn receive(&mut self, frame: Header) -> Outcome {
        match frame.kind {
            Kind::Data | Kind::WindowUpdate => self.receive_on_stream(frame),
            Kind::Ping | Kind::GoAway if frame.id != 0 => {
                Err(ProtocolError::SessionFrameOnStream { id: frame.id })
            }
            Kind::Ping => {
                if frame.flags.has(SYN) && self.pongs.len() < PONGS_MAX {
                    self.pongs.push(frame.length);
                }
                Ok(vec![])
            }
            Kind::GoAway => {
                self.remote_going_away = true;
                Ok(vec![OwnedEvent::GoAway(frame.length)])
            }
        }
    }

    fn receive_on_stream(&mut self, frame: Header) -> Outcome {
        let Header { id, length, .. } = frame;
        if frame.flags.has(SYN) {
            return self.receive_syn(frame);
        }
        let known = self
            .streams
            .iter()
            .find(|(_, stream)| stream.id == id && stream.ending != Ending::Over);
        let Some((&key, _)) = known else {
            if id == 0 {
                return Err(ProtocolError::InvalidStreamId { id });
            }
            if frame.kind == Kind::Data {
                let allowance = self.strays;
                let stray = ProtocolError::StrayData {
                    id,
                    length,
                    allowance,
                };
                self.strays = allowance.checked_sub(u64::from(length)).ok_or(stray)?;
            }
            return Ok(vec![]);
        };
        if frame.kind == Kind::Data {
            self.receive_data(key, frame)
        } else {
            self.receive_update(key, frame)
        }
    }

    fn receive_data(&mut self, key: u32, frame: Header) -> Outcome {
        let length = u64::from(frame.length);
        let stream = self.stream(key);
        if length > stream.allowed() {
            return Err(ProtocolError::WindowExceeded {
                id: frame.id,
                length: frame.length,
                window: stream.allowed() as u32,
            });
        }
        stream.received += length;
        let mut reported = Vec::new();
        if stream.is_open() && length > 0 {
            if stream.their_fin {
                if !frame.flags.has(RST) {
                    self.end(key, Ending::ResetDue(VIOLATION));
                    return Ok(vec![OwnedEvent::Reset(key, VIOLATION)]);
                }
            } else if stream.discards {
                stream.consumed += length;
            } else {
                reported.push(OwnedEvent::Data(key, vec![7; frame.length as usize]));
            }
        }
        Ok(self.receive_flags(key, frame, None, reported))
    }

    fn receive_update(&mut self, key: u32, frame: Header) -> Outcome {
        let stream = self.stream(key);
        let mut writable = None;
        if !frame.flags.has(RST) {
            let delta = u64::from(frame.length);
            if stream.credit() + delta > u64::from(u32::MAX) {
                return Err(ProtocolError::CreditOverflow {
                    id: frame.id,
                    delta: frame.length,
                });
            }
            let was_dry = stream.credit() == 0 && delta > 0;
            stream.granted += delta;
            writable = (was_dry && stream.is_writable()).then_some(OwnedEvent::Writable(key));
        }
        Ok(self.receive_flags(key, frame, writable, vec![]))
    }

    /// Handles ACK, FIN and RST: `writable` precedes the payload, the end follows it.
    fn receive_flags(
        &mut self,
        key: u32,
        frame: Header,
        writable: Option<OwnedEvent>,
        payload: Vec<OwnedEvent>,
    ) -> Vec<OwnedEvent> {
        let flags = frame.flags;
        let stream = self.stream(key);
        if !stream.is_open() {
            if flags.has(RST) {
                self.end(key, Ending::Over);
            }
            return vec![];
        }
        let mut reported = Vec::new();
        if flags.has(ACK) && stream.opening == Opening::AwaitingAck {
            stream.opening = Opening::Established;
            reported.push(OwnedEvent::Acked(key));
        }
        if flags.has(RST) {
            let is_coded = frame.kind == Kind::WindowUpdate;
            self.end(key, Ending::Over);
            return vec![OwnedEvent::Reset(
                key,
                if is_coded { frame.length } else { 0 },
            )];
        }
        reported.extend(writable);
        reported.extend(payload);
        let stream = self.stream(key);
        if flags.has(FIN) && !stream.their_fin {
            stream.their_fin = true;
            reported.push(OwnedEvent::Finished(key));
            if stream.our_fin {
                self.end(key, Ending::Over);
            }
        }
        reported
    }

    fn receive_syn(&mut self, frame: Header) -> Outcome {
        let Header { id, length, .. } = frame;
        let theirs = u32::from(self.role == Role::Listener);
        if id == 0 || id % 2 != theirs {
            return Err(ProtocolError::InvalidStreamId { id });
        }
        let is_live = |stream: &Stream| stream.id == id && stream.ending != Ending::Over;
        if self.streams.values().any(is_live) {
            return Err(ProtocolError::DuplicateStream { id });
        }
        let mut stream = Stream::new(id, true);
        if frame.kind == Kind::Data {
            if u64::from(length) > WINDOW {
                return Err(ProtocolError::WindowExceeded {
                    id,
                    length,
                    window: WINDOW as u32,
                });
            }
            stream.received = u64::from(length);
        } else if !frame.flags.has(RST) {
            if WINDOW + u64::from(length) > u64::from(u32::MAX) {
                return Err(ProtocolError::CreditOverflow { id, delta: length });
            }
            stream.granted += u64::from(length);
        }
        if frame.flags.has(RST) {
            return Ok(vec![]);
        }
        let is_full = self.count(|stream| stream.inbound) >= self.config.inbound_streams_max
            || self.unaccepted() >= self.config.accept_backlog;
        let is_over = self.going_away || self.remote_going_away;
        if is_over || is_full {
            let code = if is_over {
                StreamErrorCode::Shutdown
            } else {
                StreamErrorCode::ResourceLimitExceeded
            };
            self.strays += stream.allowed();
            self.refusals.push((id, code as u32));
            return Ok(vec![]);
        }
        stream.their_fin = frame.flags.has(FIN);
        let (received, their_fin) = (stream.received, stream.their_fin);
        let key = self.insert(stream);
        let mut reported = vec![OwnedEvent::Opened(key)];
        if received > 0 {
            reported.push(OwnedEvent::Data(key, vec![7; received as usize]));
        }
        if their_fin {
            reported.push(OwnedEvent::Finished(key));
        }
        Ok(reported)
    }

    /// Records control frames that the session wrote and asserts that each was due.
    pub(super) fn wrote(&mut self, frames: &[Header]) {
        for frame in frames {
            let known = match frame.kind {
                Kind::Ping => {
                    assert_eq!(*frame, Header::ping(ACK, self.pongs.remove(0)));
                    continue;
                }
                Kind::GoAway => {
                    assert!(self.goaway_due.take() == Some(frame.length), "{frame:?}");
                    assert!(
                        self.has_nothing_due(),
                        "a GoAway is not the last: {frames:?}"
                    );
                    continue;
                }
                Kind::WindowUpdate if frame.flags == RST && !self.refusals.is_empty() => {
                    assert_eq!(self.refusals.remove(0), (frame.id, frame.length));
                    continue;
                }
                Kind::WindowUpdate | Kind::Data => self
                    .streams
                    .iter_mut()
                    .find(|(_, stream)| stream.id == frame.id && stream.ending != Ending::Over),
            };
            let (&key, stream) = known.expect("control frames belong to streams that are not over");
            if let Ending::ResetDue(code) = stream.ending {
                assert_eq!(*frame, Header::window_update(RST, stream.id, code));
                self.end(key, Ending::Over);
                continue;
            }
            let delta = if stream.owes_credit() {
                stream.owed()
            } else {
                0
            };
            let flags = stream.take_opening_flag();
            stream.announced += delta;
            assert_eq!(
                *frame,
                Header::window_update(flags, stream.id, delta as u32)
            );
            assert!(delta > 0 || !flags.is_empty(), "a frame without effect");
        }
    }

    /// Whether no control frame is due, a GoAway excepted.
    pub(super) fn has_nothing_due(&self) -> bool {
        let has_nothing_due = |stream: &Stream| match stream.ending {
            Ending::Over => true,
            Ending::ResetDue(_) => false,
            Ending::Open => {
                let is_ack_due = stream.opening == Opening::AckDue && stream.ack_wanted;
                stream.opening != Opening::SynDue && !is_ack_due && !stream.owes_credit()
            }
        };
        self.pongs.is_empty()
            && self.refusals.is_empty()
            && self.streams.values().all(has_nothing_due)
    }

    pub(super) const fn goaway_due(&self) -> Option<u32> {
        self.goaway_due
    }

    fn stream(&mut self, key: u32) -> &mut Stream {
        self.streams.get_mut(&key).expect("a known key")
    }

    fn insert(&mut self, stream: Stream) -> u32 {
        let key = self.free.pop().unwrap_or_else(|| {
            self.keys += 1;
            self.keys - 1
        });
        assert!(self.streams.insert(key, stream).is_none());
        key
    }

    fn end(&mut self, key: u32, ending: Ending) {
        let stream = self.stream(key);
        let stray = if matches!(stream.ending, Ending::ResetDue(_)) {
            stream.allowed()
        } else {
            0
        };
        stream.ending = ending;
        self.strays += stray;
        self.free_if_done(key);
    }

    fn free_if_done(&mut self, key: u32) {
        let stream = self.stream(key);
        if stream.removed && stream.ending == Ending::Over {
            self.streams.remove(&key);
            self.free.push(key);
        }
    }
}
