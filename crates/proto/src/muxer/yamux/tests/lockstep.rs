//! A session and its model, step by step.

use super::model::{Model, Stream, WINDOW};
use super::support::*;
use crate::muxer::yamux::frame::{HEADER_BYTES, Header, Kind};
use crate::muxer::yamux::{Config, ProtocolError, Session};
use crate::muxer::{Role, StreamKey};

/// What happens next; streams are named by their keys.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Open,
    Accept(u32),
    Acknowledge(u32),
    Send(u32, u64),
    Finish(u32),
    Consume(u32, u64),
    Discard(u32),
    Reset(u32, u32),
    Remove(u32),
    GoAway(u32),
    /// Control frames are written, as far as so many bytes go.
    Poll(usize),
    /// A frame of theirs.
    Frame(Header),
}

/// What came of a step.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// Both did it.
    Done,
    /// It makes no sense here: there is no such stream, or the caller must not.
    Nothing,
    /// The remote broke the rules, as both saw.
    Violation(ProtocolError),
}

#[derive(Clone)]
pub(super) struct Lockstep {
    pub(super) session: Session,
    pub(super) model: Model,
    /// Frames come in pieces of so many bytes.
    piece: usize,
}

/// Windows do not grow, and limits are met soon.
pub(super) fn narrow() -> Config {
    Config {
        inbound_streams_max: 4,
        accept_backlog: 2,
        unacked_max: 3,
        window_max: 0,
        frame_payload_max: WINDOW as u32,
        ..Config::default()
    }
}

impl Lockstep {
    pub(super) fn new(role: Role, piece: usize) -> Self {
        Self {
            session: Session::new(role, narrow()),
            model: Model::new(role, &narrow()),
            piece,
        }
    }

    /// Has both do `step` and compares all there is to see of them.
    pub(super) fn perform(&mut self, step: Step) -> Came {
        let came = match step {
            Step::Open => {
                let opened = self.session.open().map(|key| key.0);
                assert_eq!(opened, self.model.open());
                Came::Done
            }
            Step::GoAway(code) => {
                self.session.go_away(code);
                self.model.go_away(code);
                Came::Done
            }
            Step::Poll(room) => self.poll(room),
            Step::Frame(frame) => self.receive(frame),
            Step::Accept(key)
            | Step::Acknowledge(key)
            | Step::Send(key, _)
            | Step::Finish(key)
            | Step::Consume(key, _)
            | Step::Discard(key)
            | Step::Reset(key, _)
            | Step::Remove(key) => match self.model.streams.get(&key).cloned() {
                Some(stream) if !stream.removed => self.call(key, &stream, step),
                _ => Came::Nothing,
            },
        };
        if came == Came::Done {
            self.compare();
        }
        came
    }

    fn call(&mut self, key: u32, stream: &Stream, step: Step) -> Came {
        let (session, model) = (&mut self.session, &mut self.model);
        let name = StreamKey(key);
        match step {
            Step::Accept(_) => {
                session.accept(name);
                model.accept(key);
            }
            Step::Acknowledge(_) => {
                session.acknowledge(name);
                model.acknowledge(key);
            }
            Step::Send(_, bytes) => {
                let bytes = bytes.min(stream.credit()).min(WINDOW);
                if !stream.is_writable() || bytes == 0 {
                    return Came::Nothing;
                }
                let header = session.data_header(name, bytes as u32);
                assert_eq!(headers(&header), [model.send(key, bytes)]);
            }
            Step::Finish(_) => {
                if !stream.is_writable() {
                    return Came::Nothing;
                }
                assert_eq!(headers(&session.fin_frame(name)), [model.finish(key)]);
            }
            Step::Consume(_, bytes) => {
                let bytes = bytes.min(stream.held());
                if bytes == 0 {
                    return Came::Nothing;
                }
                session.consumed(name, bytes as u32, NOW, &mut Purse::of(0));
                model.consume(key, bytes);
            }
            Step::Discard(_) => {
                session.discard(name);
                model.discard(key);
            }
            Step::Reset(_, code) => {
                session.reset(name, code);
                model.reset(key, code);
            }
            Step::Remove(_) => {
                session.remove(name);
                model.remove(key);
            }
            Step::Open | Step::GoAway(_) | Step::Poll(_) | Step::Frame(_) => unreachable!(),
        }
        Came::Done
    }

    fn poll(&mut self, room: usize) -> Came {
        let mut out = Vec::new();
        let written = self.session.poll_control(&mut out, room);
        assert!(written == out.len() && written <= room);
        let is_all = room - written >= HEADER_BYTES;
        self.model.wrote(&headers(&out));
        if is_all {
            assert!(self.model.is_silent(), "not all is said: {:?}", self.model);
            assert_eq!(self.model.goaway_due(), None);
            assert!(!self.session.has_control());
        }
        Came::Done
    }

    fn receive(&mut self, frame: Header) -> Came {
        let expected = self.model.receive(frame);
        let mut bytes = frame.encode().to_vec();
        // Of a frame that is refused at its header nothing more is needed.
        if frame.kind == Kind::Data && expected.is_ok() {
            bytes.resize(HEADER_BYTES + frame.length as usize, 7);
        }
        let reported = feed_in(&mut self.session, &bytes, self.piece);
        assert_eq!(reported, expected, "{frame:?}");
        match reported {
            Ok(_) => Came::Done,
            Err(error) => Came::Violation(error),
        }
    }

    fn compare(&self) {
        let (session, model) = (&self.session, &self.model);
        for (&key, expected) in &model.streams {
            let stream = session.streams.get(StreamKey(key)).expect("an entry");
            assert_eq!(stream.id, expected.id);
            assert_eq!(u64::from(stream.window.remaining()), expected.allowed());
            assert_eq!(u64::from(stream.credit), expected.credit());
            let credit = if expected.is_writable() {
                expected.credit()
            } else {
                0
            };
            assert_eq!(u64::from(session.send_credit(StreamKey(key))), credit);
        }
        let live = (session.inbound_live(), session.outbound_live());
        let inbound = model.count(|stream| stream.inbound);
        assert_eq!(live, (inbound, model.streams.len() as u32 - inbound));
        assert_eq!(session.unacked, model.unacked());
        assert_eq!(session.unaccepted, model.unaccepted());
        assert_eq!(session.allowances.stray_bytes, model.strays);
    }
}
