//! Yamux sessions with arbitrary remotes and callers that keep to the API's contract.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ferroswarm_proto::muxer::yamux::{Config, Event, HEADER_BYTES, ProtocolError, Session};
use ferroswarm_proto::muxer::{MemoryBudget, Role, StreamKey};

use crate::{piece, settings};

/// Limits low enough for a short input to reach.
const STREAMS_MAX: u32 = 8;
const BACKLOG_MAX: u32 = 4;
const UNACKED_MAX: u32 = 4;
/// Memory budget for window growth, over all streams.
const BUDGET_BYTES: u64 = 1 << 20;
/// Bound on pending control frames, whatever the remote does: resets, pongs, a ping and a GoAway.
const CONTROL_FRAMES_MAX: usize = 2_048 + 8 + 2;

/// Arbitrary bytes from the remote, to a caller that reacts at random.
pub fn yamux_bytes(data: &[u8]) {
    let ([role, cut, a, b, c, d, e, f], bytes) = settings(data);
    let reactions = [a, b, c, d, e, f];
    let run = |piece| {
        let mut end = End::new(role_of(role), piece);
        end.open();
        for (input, reaction) in bytes.chunks(64).zip(reactions.iter().cycle()) {
            end.receive(input);
            let stream = reaction >> 4;
            match reaction & 15 {
                0 => end.open(),
                1 => end.accept(stream),
                2 => end.discard(stream),
                3 => end.reset(stream, 7),
                4 => end.remove(stream),
                5 => end.write(stream, 1_000),
                6 => end.finish(stream),
                7 => end.wait(5_000),
                8 => end.control(24),
                9 => end.session.ping(end.now),
                _ => end.read(stream, u32::MAX),
            }
        }
        end.close()
    };
    assert_eq!(run(usize::MAX), run(piece(cut)));
}

/// Frames from the remote and calls of the caller, in any order.
pub fn yamux_frames(data: &[u8]) {
    let ([role, cut], rest) = settings(data);
    let mut input = Unstructured::new(rest);
    let mut steps = Vec::new();
    while !input.is_empty()
        && let Ok(step) = Step::arbitrary(&mut input)
    {
        steps.push(step);
    }
    let run = |piece| {
        let mut end = End::new(role_of(role), piece);
        for step in &steps {
            step.perform(&mut end);
        }
        end.close()
    };
    assert_eq!(run(usize::MAX), run(piece(cut)));
}

fn role_of(choice: u8) -> Role {
    if choice & 1 == 0 {
        Role::Listener
    } else {
        Role::Dialer
    }
}

#[derive(Arbitrary, Debug)]
enum Step {
    Frame {
        kind: u8,
        flags: u8,
        id: u8,
        length: Length,
        body: u16,
    },
    Bytes(Vec<u8>),
    Open,
    Accept(u8),
    Acknowledge(u8),
    Read(u8, u32),
    Discard(u8),
    Reset(u8, u32),
    Remove(u8),
    Write(u8, u16),
    Finish(u8),
    Control(u16),
    Ping,
    Wait(u16),
    Pause,
    Resume,
    GoAway(u32),
}

#[derive(Arbitrary, Debug)]
enum Length {
    OfBody,
    AroundWindow(i8),
    Any(u32),
}

impl Step {
    fn perform(&self, end: &mut End) {
        let now = end.now;
        match *self {
            Self::Frame {
                kind,
                flags,
                id,
                ref length,
                body,
            } => {
                let length = match *length {
                    Length::OfBody => u32::from(body),
                    Length::AroundWindow(offset) => {
                        262_144_u32.saturating_add_signed(offset.into())
                    }
                    Length::Any(length) => length,
                };
                let kind = kind % 4;
                let mut frame = vec![0, kind, 0, flags % 16, 0, 0, 0, id % 32];
                frame.extend_from_slice(&length.to_be_bytes());
                if kind == 0 {
                    let body = length.min(body.into()) as usize;
                    frame.resize(HEADER_BYTES + body, 7);
                }
                end.receive(&frame);
            }
            Self::Bytes(ref bytes) => end.receive(bytes),
            Self::Open => end.open(),
            Self::Accept(stream) => end.accept(stream),
            Self::Acknowledge(stream) => {
                end.with(stream, |session, key, _| session.acknowledge(key))
            }
            Self::Read(stream, bytes) => end.read(stream, bytes),
            Self::Discard(stream) => end.discard(stream),
            Self::Reset(stream, code) => end.reset(stream, code),
            Self::Remove(stream) => end.remove(stream),
            Self::Write(stream, bytes) => end.write(stream, bytes.into()),
            Self::Finish(stream) => end.finish(stream),
            Self::Control(room) => end.control(room.into()),
            Self::Ping => end.session.ping(now),
            Self::Wait(ms) => end.wait(ms.into()),
            Self::Pause => end.session.pause_clock(),
            Self::Resume => end.session.resume_clock(now),
            Self::GoAway(code) => end.session.go_away(code),
        }
    }
}

/// A reported event; consecutive data of a stream is merged into one.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    Opened(u32),
    Acked(u32),
    Data(u32, usize),
    Finished(u32),
    Reset(u32, u32),
    Writable(u32),
    GoAway(u32),
    Pong,
    Failed(ProtocolError),
}

/// The caller's view of a stream.
#[derive(Debug, Default)]
struct StreamView {
    is_outbound: bool,
    is_acked: bool,
    is_finished: bool,
    /// No event may be reported for the stream any more.
    is_reset: bool,
    is_discarding: bool,
    is_write_finished: bool,
    unread: u64,
}

/// A session, its caller's state, and everything it reported and sent.
struct End {
    session: Session,
    piece: usize,
    now: Duration,
    streams: BTreeMap<u32, StreamView>,
    budget: Budget,
    reported: Vec<Report>,
    sent: Vec<u8>,
    has_failed: bool,
}

struct Budget {
    reserved: u64,
}

impl MemoryBudget for Budget {
    fn reserve(&mut self, bytes: u32) -> bool {
        let fits = self.reserved + u64::from(bytes) <= BUDGET_BYTES;
        if fits {
            self.reserved += u64::from(bytes);
        }
        fits
    }
}

impl End {
    fn new(role: Role, piece: usize) -> Self {
        let config = Config {
            inbound_streams_max: STREAMS_MAX,
            accept_backlog: BACKLOG_MAX,
            unacked_max: UNACKED_MAX,
            ..Config::default()
        };
        Self {
            session: Session::new(role, config),
            piece,
            now: Duration::from_secs(1),
            streams: BTreeMap::new(),
            budget: Budget { reserved: 0 },
            reported: Vec::new(),
            sent: Vec::new(),
            has_failed: false,
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        for mut input in bytes.chunks(self.piece) {
            loop {
                match self.session.poll_event(&mut input, self.now) {
                    Ok(Some(event)) => self.handle_event(event),
                    Ok(None) => break,
                    Err(error) => return self.fail(error),
                }
            }
            assert!(input.is_empty());
        }
        assert!(self.session.inbound_live() <= STREAMS_MAX);
    }

    fn handle_event(&mut self, event: Event<'_>) {
        assert!(!self.has_failed);
        let reported = match event {
            Event::Opened { key } => {
                let before = self.streams.insert(key.0, StreamView::default());
                assert!(before.is_none());
                Report::Opened(key.0)
            }
            Event::Acked { key } => {
                let stream = self.live(key);
                assert!(stream.is_outbound && !std::mem::replace(&mut stream.is_acked, true));
                Report::Acked(key.0)
            }
            Event::Data { key, bytes } => {
                let window = self.session.receive_window(key);
                let stream = self.live(key);
                assert!(!stream.is_finished && !stream.is_discarding && !bytes.is_empty());
                stream.unread += bytes.len() as u64;
                assert!(stream.unread <= window.into());
                if let Some(Report::Data(last, count)) = self.reported.last_mut()
                    && *last == key.0
                {
                    *count += bytes.len();
                    return;
                }
                Report::Data(key.0, bytes.len())
            }
            Event::Finished { key } => {
                let stream = self.live(key);
                assert!(!std::mem::replace(&mut stream.is_finished, true));
                Report::Finished(key.0)
            }
            Event::Reset { key, code } => {
                self.live(key).is_reset = true;
                Report::Reset(key.0, code)
            }
            Event::Writable { key } => {
                assert!(!self.live(key).is_write_finished);
                Report::Writable(key.0)
            }
            Event::GoAway { code } => Report::GoAway(code),
            Event::Pong { .. } => Report::Pong,
        };
        self.reported.push(reported);
    }

    /// Returns the stream that an event refers to.
    fn live(&mut self, key: StreamKey) -> &mut StreamView {
        let stream = self.streams.get_mut(&key.0).expect("it was opened");
        assert!(!stream.is_reset);
        stream
    }

    /// Runs `act` on the stream that `choice` selects, if there is any.
    fn with(&mut self, choice: u8, act: impl FnOnce(&mut Session, StreamKey, &mut StreamView)) {
        let count = self.streams.len().max(1);
        if let Some((key, stream)) = self.streams.iter_mut().nth(usize::from(choice) % count) {
            act(&mut self.session, StreamKey(*key), stream);
        }
    }

    fn open(&mut self) {
        if let Ok(key) = self.session.open() {
            let stream = StreamView {
                is_outbound: true,
                ..StreamView::default()
            };
            assert!(self.streams.insert(key.0, stream).is_none());
        }
    }

    fn accept(&mut self, choice: u8) {
        self.with(choice, |session, key, _| session.accept(key));
    }

    fn read(&mut self, choice: u8, bytes: u32) {
        let (now, mut budget) = (
            self.now,
            Budget {
                reserved: self.budget.reserved,
            },
        );
        self.with(choice, |session, key, stream| {
            let bytes = stream.unread.min(bytes.into());
            stream.unread -= bytes;
            session.consumed(key, bytes as u32, now, &mut budget);
        });
        self.budget = budget;
    }

    fn discard(&mut self, choice: u8) {
        self.with(choice, |session, key, stream| {
            stream.is_discarding = true;
            session.discard(key);
        });
    }

    fn reset(&mut self, choice: u8, code: u32) {
        self.with(choice, |session, key, stream| {
            stream.is_reset = true;
            session.reset(key, code);
        });
    }

    fn remove(&mut self, choice: u8) {
        let mut removed = None;
        self.with(choice, |session, key, _| {
            session.remove(key);
            removed = Some(key.0);
        });
        if let Some(key) = removed {
            self.streams.remove(&key);
        }
    }

    fn write(&mut self, choice: u8, bytes: u32) {
        let mut header = None;
        self.with(choice, |session, key, stream| {
            let count = session.send_credit(key).min(bytes);
            if count > 0 && !stream.is_write_finished {
                header = Some(session.data_header(key, count.min(16_372)));
            }
        });
        self.sent.extend(header.into_iter().flatten());
    }

    fn finish(&mut self, choice: u8) {
        let mut header = None;
        self.with(choice, |session, key, stream| {
            if session.send_credit(key) > 0 && !stream.is_write_finished {
                stream.is_write_finished = true;
                header = Some(session.fin_frame(key));
            }
        });
        self.sent.extend(header.into_iter().flatten());
    }

    fn control(&mut self, room: usize) {
        let count = self.session.poll_control(&mut self.sent, room);
        assert!(count <= room);
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        if self
            .session
            .poll_deadline()
            .is_some_and(|at| at <= self.now)
            && let Err(error) = self.session.handle_deadline(self.now)
        {
            self.fail(error);
        }
    }

    /// Records the failure; checks that the session accepts no more input and repeats the error.
    fn fail(&mut self, error: ProtocolError) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.reported.push(Report::Failed(error));
        }
        let again = self.session.poll_event(&mut &b"\0"[..], self.now);
        assert_eq!(again, Err(error));
    }

    /// Removes every stream; checks that only a bounded number of control frames is left to send.
    fn close(mut self) -> (Vec<Report>, Vec<u8>) {
        let keys: Vec<u32> = self.streams.keys().copied().collect();
        for key in &keys {
            self.session.remove(StreamKey(*key));
        }
        self.session.go_away(0);
        let before = self.sent.len();
        self.control(usize::MAX);
        let frames = (self.sent.len() - before) / HEADER_BYTES;
        // Resets of streams removed earlier may still be pending, one frame each.
        assert!(frames <= CONTROL_FRAMES_MAX + self.reported.len() + keys.len());
        assert!(!self.session.has_control());
        let live = (self.session.inbound_live(), self.session.outbound_live());
        assert_eq!(live, (0, 0));
        (self.reported, self.sent)
    }
}
