//! Yamux sessions with remotes of any kind and callers that do what callers may.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ferroswarm_proto::muxer::yamux::{Config, Event, HEADER_BYTES, ProtocolError, Session};
use ferroswarm_proto::muxer::{MemoryBudget, Role, StreamKey};

use crate::{piece, settings};

/// Limits that a short input reaches.
const STREAMS_MAX: u32 = 8;
const BACKLOG_MAX: u32 = 4;
const UNACKED_MAX: u32 = 4;
/// Window growth that may be lent, over all streams.
const BUDGET_BYTES: u64 = 1 << 20;
/// Control frames that may wait whatever the remote does: resets, pongs, a ping and a goodbye.
const CONTROL_FRAMES_MAX: usize = 2_048 + 8 + 2;

/// Any bytes from the remote, to a caller that reacts without understanding.
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

/// Frames of the remote and commands of the caller, in any order.
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

/// What a session told, with neighbouring data of a stream as one.
#[derive(Debug, PartialEq, Eq)]
enum Told {
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

/// A stream as its caller knows it.
#[derive(Debug, Default)]
struct Known {
    is_outbound: bool,
    is_acked: bool,
    is_finished: bool,
    /// Nothing may be told of it any more.
    is_reset: bool,
    is_discarding: bool,
    is_write_finished: bool,
    unread: u64,
}

/// One session, its caller, and everything that it told and sent.
struct End {
    session: Session,
    piece: usize,
    now: Duration,
    streams: BTreeMap<u32, Known>,
    budget: Budget,
    reported: Vec<Told>,
    sent: Vec<u8>,
    has_failed: bool,
}

struct Budget {
    lent: u64,
}

impl MemoryBudget for Budget {
    fn reserve(&mut self, bytes: u32) -> bool {
        let fits = self.lent + u64::from(bytes) <= BUDGET_BYTES;
        if fits {
            self.lent += u64::from(bytes);
        }
        fits
    }

    fn release(&mut self, bytes: u32) {
        self.lent = self
            .lent
            .checked_sub(bytes.into())
            .expect("only what was lent comes back");
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
            budget: Budget { lent: 0 },
            reported: Vec::new(),
            sent: Vec::new(),
            has_failed: false,
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        for mut input in bytes.chunks(self.piece) {
            loop {
                match self.session.poll_event(&mut input, self.now) {
                    Ok(Some(event)) => self.hear(event),
                    Ok(None) => break,
                    Err(error) => return self.fail(error),
                }
            }
            assert!(input.is_empty());
        }
        assert!(self.session.inbound_live() <= STREAMS_MAX);
    }

    fn hear(&mut self, event: Event<'_>) {
        assert!(!self.has_failed);
        let reported = match event {
            Event::Opened { key } => {
                let before = self.streams.insert(key.0, Known::default());
                assert!(before.is_none());
                Told::Opened(key.0)
            }
            Event::Acked { key } => {
                let stream = self.live(key);
                assert!(stream.is_outbound && !std::mem::replace(&mut stream.is_acked, true));
                Told::Acked(key.0)
            }
            Event::Data { key, bytes } => {
                let window = self.session.receive_window(key);
                let stream = self.live(key);
                assert!(!stream.is_finished && !stream.is_discarding && !bytes.is_empty());
                stream.unread += bytes.len() as u64;
                assert!(stream.unread <= window.into());
                if let Some(Told::Data(last, count)) = self.reported.last_mut()
                    && *last == key.0
                {
                    *count += bytes.len();
                    return;
                }
                Told::Data(key.0, bytes.len())
            }
            Event::Finished { key } => {
                let stream = self.live(key);
                assert!(!std::mem::replace(&mut stream.is_finished, true));
                Told::Finished(key.0)
            }
            Event::Reset { key, code } => {
                self.live(key).is_reset = true;
                Told::Reset(key.0, code)
            }
            Event::Writable { key } => {
                assert!(!self.live(key).is_write_finished);
                Told::Writable(key.0)
            }
            Event::GoAway { code } => Told::GoAway(code),
            Event::Pong { .. } => Told::Pong,
        };
        self.reported.push(reported);
    }

    /// The stream that something is told of.
    fn live(&mut self, key: StreamKey) -> &mut Known {
        let stream = self.streams.get_mut(&key.0).expect("it was opened");
        assert!(!stream.is_reset);
        stream
    }

    /// Does something to the stream that `choice` picks, if there is any.
    fn with(&mut self, choice: u8, act: impl FnOnce(&mut Session, StreamKey, &mut Known)) {
        let count = self.streams.len().max(1);
        if let Some((key, stream)) = self.streams.iter_mut().nth(usize::from(choice) % count) {
            act(&mut self.session, StreamKey(*key), stream);
        }
    }

    fn open(&mut self) {
        if let Ok(key) = self.session.open() {
            let stream = Known {
                is_outbound: true,
                ..Known::default()
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
                lent: self.budget.lent,
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

    /// The session takes nothing more, and says so again.
    fn fail(&mut self, error: ProtocolError) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.reported.push(Told::Failed(error));
        }
        let again = self.session.poll_event(&mut &b"\0"[..], self.now);
        assert_eq!(again, Err(error));
    }

    /// Removes every stream; nothing is left but what waits to be sent, which has a bound.
    fn close(mut self) -> (Vec<Told>, Vec<u8>) {
        let keys: Vec<u32> = self.streams.keys().copied().collect();
        for key in &keys {
            self.session.remove(StreamKey(*key));
        }
        self.session.release_windows(&mut self.budget);
        assert_eq!(self.budget.lent, 0);
        self.session.go_away(0);
        let before = self.sent.len();
        self.control(usize::MAX);
        let frames = (self.sent.len() - before) / HEADER_BYTES;
        // Streams removed earlier may still owe their resets, a frame each.
        assert!(frames <= CONTROL_FRAMES_MAX + self.reported.len() + keys.len());
        assert!(!self.session.has_control());
        let live = (self.session.inbound_live(), self.session.outbound_live());
        assert_eq!(live, (0, 0));
        (self.reported, self.sent)
    }
}
