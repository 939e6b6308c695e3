//! A session and its model, step by step.

use super::model::{Model, Stream, WINDOW};
use super::support::*;
use crate::muxer::yamux::frame::{HEADER_BYTES, Header, Kind};
use crate::muxer::yamux::{Config, ProtocolError, Session};
use crate::muxer::{Role, StreamKey};

/// Next step; streams are identified by their keys.
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
    /// Write control frames, at most this many bytes.
    Poll(usize),
    /// A frame from the remote.
    Frame(Header),
}

/// Result of a step.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum StepResult {
    /// Both performed it.
    Done,
    /// Not applicable: there is no such stream, or the caller must not do it.
    Skipped,
    /// The remote violated the protocol, as both detected.
    Violation(ProtocolError),
}

#[derive(Clone)]
pub(super) struct Lockstep {
    pub(super) session: Session,
    pub(super) model: Model,
    /// Frames arrive in pieces of this many bytes.
    piece: usize,
}

/// Returns a configuration without window growth and with low limits.
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

    /// Performs `step` on both and compares their observable state.
    pub(super) fn perform(&mut self, step: Step) -> StepResult {
        let result = match step {
            Step::Open => {
                let opened = self.session.open().map(|key| key.0);
                assert_eq!(opened, self.model.open());
                StepResult::Done
            }
            Step::GoAway(code) => {
                self.session.go_away(code);
                self.model.go_away(code);
                StepResult::Done
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
                _ => StepResult::Skipped,
            },
        };
        if result == StepResult::Done {
            self.compare();
        }
        result
    }

    fn call(&mut self, key: u32, stream: &Stream, step: Step) -> StepResult {
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
                    return StepResult::Skipped;
                }
                let header = session.data_header(name, bytes as u32);
                assert_eq!(headers(&header), [model.send(key, bytes)]);
            }
            Step::Finish(_) => {
                if !stream.is_writable() {
                    return StepResult::Skipped;
                }
                assert_eq!(headers(&session.fin_frame(name)), [model.finish(key)]);
            }
            Step::Consume(_, bytes) => {
                let bytes = bytes.min(stream.held());
                if bytes == 0 {
                    return StepResult::Skipped;
                }
                session.consumed(name, bytes as u32, NOW, &mut LimitedBudget::of(0));
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
        StepResult::Done
    }

    fn poll(&mut self, room: usize) -> StepResult {
        let mut out = Vec::new();
        let written = self.session.poll_control(&mut out, room);
        assert!(written == out.len() && written <= room);
        let is_all = room - written >= HEADER_BYTES;
        self.model.wrote(&headers(&out));
        if is_all {
            assert!(
                self.model.has_nothing_due(),
                "control frames are missing: {:?}",
                self.model
            );
            assert_eq!(self.model.goaway_due(), None);
            assert!(!self.session.has_control());
        }
        StepResult::Done
    }

    fn receive(&mut self, frame: Header) -> StepResult {
        let expected = self.model.receive(frame);
        let mut bytes = frame.encode().to_vec();
        // A frame refused at its header needs no payload.
        if frame.kind == Kind::Data && expected.is_ok() {
            bytes.resize(HEADER_BYTES + frame.length as usize, 7);
        }
        let reported = feed_in(&mut self.session, &bytes, self.piece);
        assert_eq!(reported, expected, "{frame:?}");
        match reported {
            Ok(_) => StepResult::Done,
            Err(error) => StepResult::Violation(error),
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
