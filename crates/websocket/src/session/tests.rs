use std::collections::VecDeque;
use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, Utf8Bytes};
use tungstenite::protocol::{Role as OracleRole, WebSocket};

use super::*;

/// Keys that do not repeat soon, for repeatable runs.
fn keys() -> MaskKeys {
    MaskKeys::new(|bytes| {
        for (index, byte) in (0..=u8::MAX).zip(bytes) {
            *byte = index.wrapping_mul(37);
        }
        Ok(())
    })
}

fn session(role: Role) -> Session {
    match role {
        Role::Dialer => Session::dialer(keys()),
        Role::Listener => Session::listener(),
    }
}

/// A connection of the oracle: what it reads is queued, what it writes is kept.
#[derive(Default)]
struct Wire {
    inbound: VecDeque<u8>,
    outbound: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inbound.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbound.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The remote of a session in `role`, by tungstenite.
fn oracle(role: Role) -> WebSocket<Wire> {
    let role = match role {
        Role::Dialer => OracleRole::Server,
        Role::Listener => OracleRole::Client,
    };
    WebSocket::from_raw_socket(Wire::default(), role, None)
}

/// What the input of a session amounts to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    payload: Vec<u8>,
    is_closed: bool,
    error: Option<FrameError>,
}

/// Feeds `input` in pieces of the given lengths, in turn.
fn feed(session: &mut Session, input: &[u8], cuts: &[usize]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rest = input;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let cut = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, next) = rest.split_at(cut);
        rest = next;
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match session.handle_input(&mut piece[at..]) {
                Ok(Received::Payload { payload, consumed }) => {
                    assert!(!payload.is_empty() && payload.end <= consumed);
                    let bytes = &piece[at + payload.start..at + payload.end];
                    outcome.payload.extend_from_slice(bytes);
                    at += consumed;
                }
                Ok(Received::Incomplete) => break,
                Ok(Received::Closed) => {
                    outcome.is_closed = true;
                    return outcome;
                }
                Err(error) => {
                    assert_eq!(session.handle_input(&mut []), Err(error));
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
    outcome
}

fn output(session: &mut Session) -> Vec<u8> {
    let mut out = Vec::new();
    session.poll_output(&mut out).unwrap();
    assert!(!session.has_output());
    out
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Dialer), Just(Role::Listener)]
}

/// A frame of the remote.
#[derive(Clone, Debug)]
enum Step {
    Message(Vec<u8>),
    Text(String),
    Fragments(Vec<Vec<u8>>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = |length| vec(any::<u8>(), 0..length);
    let step = prop_oneof![
        bytes(300).prop_map(Step::Message),
        vec(any::<u8>(), 65_500..65_600).prop_map(Step::Message),
        ".{0,40}".prop_map(Step::Text),
        vec(bytes(200), 2..5).prop_map(Step::Fragments),
        bytes(126).prop_map(Step::Ping),
        bytes(126).prop_map(Step::Pong),
    ];
    vec(step, 0..8)
}

/// Makes the oracle send `steps`; returns the stream that they carry.
fn send(oracle: &mut WebSocket<Wire>, steps: &[Step]) -> Vec<u8> {
    let mut stream = Vec::new();
    for step in steps {
        match step {
            Step::Message(bytes) => {
                stream.extend_from_slice(bytes);
                oracle.write(Message::binary(bytes.clone())).unwrap();
            }
            Step::Text(text) => {
                stream.extend_from_slice(text.as_bytes());
                oracle.write(Message::text(text.clone())).unwrap();
            }
            Step::Fragments(fragments) => {
                for (index, bytes) in fragments.iter().enumerate() {
                    stream.extend_from_slice(bytes);
                    let kind = match index {
                        0 => Data::Binary,
                        _ => Data::Continue,
                    };
                    let is_final = index + 1 == fragments.len();
                    let frame = Frame::message(bytes.clone(), OpCode::Data(kind), is_final);
                    oracle.write(Message::Frame(frame)).unwrap();
                    // Control frames may be sent between fragments.
                    oracle.write(Message::Pong(Vec::new().into())).unwrap();
                }
            }
            Step::Ping(bytes) => oracle.write(Message::Ping(bytes.clone().into())).unwrap(),
            Step::Pong(bytes) => oracle.write(Message::Pong(bytes.clone().into())).unwrap(),
        }
    }
    oracle.flush().unwrap();
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn prop_reads_what_the_oracle_sends_however_it_is_split(
        role in roles(),
        steps in steps(),
        cuts in vec(1_usize..5_000, 1..8),
    ) {
        let mut oracle = oracle(role);
        let stream = send(&mut oracle, &steps);
        let sent = std::mem::take(&mut oracle.get_mut().outbound);
        let mut session = session(role);
        let outcome = feed(&mut session, &sent, &cuts);
        prop_assert_eq!((outcome.error, outcome.is_closed), (None, false));
        prop_assert!(outcome.payload == stream);
        // Exactly the latest ping is answered.
        let ping = steps.iter().rev().find_map(|step| match step {
            Step::Ping(bytes) => Some(bytes.clone()),
            _ => None,
        });
        oracle.get_mut().inbound.extend(output(&mut session));
        match ping {
            Some(bytes) => prop_assert_eq!(oracle.read().unwrap(), Message::Pong(bytes.into())),
            None => prop_assert!(oracle.get_ref().inbound.is_empty()),
        }
    }

    #[test]
    fn prop_the_oracle_reads_what_is_sent(
        role in roles(),
        payloads in vec(prop_oneof![
            vec(any::<u8>(), 0..300),
            vec(any::<u8>(), 65_500..65_600),
        ], 0..5),
    ) {
        let mut session = session(role);
        let mut oracle = oracle(role);
        for payload in &payloads {
            let mut out = Vec::new();
            session.send(payload, &mut out).unwrap();
            prop_assert!(out.len() <= payload.len() + crate::HEADER_BYTES_MAX);
            prop_assert_eq!(out.is_empty(), payload.is_empty());
            oracle.get_mut().inbound.extend(out);
        }
        session.close();
        oracle.get_mut().inbound.extend(output(&mut session));
        for payload in payloads.into_iter().filter(|payload| !payload.is_empty()) {
            prop_assert_eq!(oracle.read().unwrap(), Message::binary(payload));
        }
        let Message::Close(Some(close)) = oracle.read().unwrap() else {
            panic!("expected a close frame");
        };
        prop_assert_eq!(close.code, CloseCode::Normal);
    }

    #[test]
    fn prop_the_outcome_of_any_input_does_not_depend_on_how_it_is_split(
        role in roles(),
        steps in steps(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cuts in vec(1_usize..100, 1..8),
    ) {
        let mut oracle = oracle(role);
        send(&mut oracle, &steps);
        let mut sent = std::mem::take(&mut oracle.get_mut().outbound);
        for (at, byte) in flips {
            if !sent.is_empty() {
                let at = at.index(sent.len());
                sent[at] ^= byte;
            }
        }
        let (mut whole, mut pieces) = (session(role), session(role));
        let expected = feed(&mut whole, &sent, &[usize::MAX]);
        prop_assert!(feed(&mut pieces, &sent, &cuts) == expected);
        prop_assert_eq!(output(&mut whole), output(&mut pieces));
    }
}

#[test]
fn reads_the_examples_of_the_specification() {
    let unmasked: [(&[u8], &[u8]); 4] = [
        (&[0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], b"Hello"),
        (
            &[0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F],
            b"Hello",
        ),
        (&[0x8A, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], b""),
        (&[0x82, 0x7E, 0x01, 0x00, 7], &[7]),
    ];
    for (bytes, payload) in unmasked {
        let outcome = feed(&mut session(Role::Dialer), bytes, &[]);
        assert_eq!((&*outcome.payload, outcome.error), (payload, None));
    }
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let masked = [0x7F, 0x9F, 0x4D, 0x51, 0x58];
    let hello = [&[0x81, 0x85], &key[..], &masked].concat();
    let outcome = feed(&mut session(Role::Listener), &hello, &[]);
    assert_eq!(outcome.payload, b"Hello");
    // A ping, and the pong that answers it.
    let mut session = session(Role::Listener);
    let ping = [&[0x89, 0x85], &key[..], &masked].concat();
    feed(&mut session, &ping, &[]);
    assert_eq!(output(&mut session), b"\x8A\x05Hello");
}

/// Unmasked input and the violation in it.
#[test]
fn names_the_violation_and_the_close_code_that_answers_it() {
    let long_ping = [&[0x89, 126, 0, 126][..], &[0; 126]].concat();
    let cases: [(&[u8], FrameError, u16); 13] = [
        (&[0xC2, 0], FrameError::ReservedBit, 1002),
        (&[0x83, 0], FrameError::Opcode(3), 1002),
        (&[0x8B, 0], FrameError::Opcode(11), 1002),
        (&[0x82, 0x81, 1, 2, 3, 4, 5], FrameError::Masked, 1002),
        (&[0x82, 126, 0, 5], FrameError::LengthNotMinimal, 1002),
        (
            &[0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 1],
            FrameError::TooLarge { length: 0x10_0001 },
            1009,
        ),
        (&[0x09, 0], FrameError::ControlFragmented, 1002),
        (&long_ping, FrameError::ControlTooLarge, 1002),
        (&[0x80, 0], FrameError::NothingToContinue, 1002),
        (&[0x02, 0, 0x82, 0], FrameError::MessageWithinMessage, 1002),
        (&[0x88, 1, 3], FrameError::CloseLength, 1002),
        (&[0x88, 2, 0x03, 0xEE], FrameError::CloseCode(1006), 1002),
        (&[0x88, 3, 0x03, 0xE8, 0xFF], FrameError::CloseReason, 1002),
    ];
    for (bytes, expected, code) in cases {
        let mut session = session(Role::Dialer);
        assert_eq!(feed(&mut session, bytes, &[1]).error, Some(expected));
        assert_eq!(
            session.send(b"late", &mut Vec::new()),
            Err(SendError::Closing)
        );
        let mut oracle = oracle(Role::Dialer);
        oracle.get_mut().inbound.extend(output(&mut session));
        let Ok(Message::Close(Some(close))) = oracle.read() else {
            panic!("expected a close frame after {expected:?}");
        };
        assert_eq!(u16::from(close.code), code, "{expected:?}");
        // Once is enough.
        session.close();
        assert!(output(&mut session).is_empty());
    }
    let unmasked = feed(&mut session(Role::Listener), &[0x82, 1, 0], &[]);
    assert_eq!(unmasked.error, Some(FrameError::Unmasked));
}

#[test]
fn a_close_frame_is_echoed_once_and_ends_the_stream() {
    let cases = [
        (Some((1000, "")), 1000, true),
        (Some((1001, "bye")), 1001, true),
        (Some((1011, "failed")), 1011, false),
        (Some((4242, "ours")), 4242, false),
        (None, 1005, true),
    ];
    for (frame, code, is_orderly) in cases {
        let mut oracle = oracle(Role::Listener);
        let frame = frame.map(|(code, reason)| CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::from_static(reason),
        });
        let reason = frame.as_ref().map(|frame| frame.reason.to_string());
        oracle.write(Message::binary(b"last".to_vec())).unwrap();
        oracle.close(frame).unwrap();
        let mut sent = std::mem::take(&mut oracle.get_mut().outbound);
        sent.extend_from_slice(b"ignored");
        let mut session = session(Role::Listener);
        let outcome = feed(&mut session, &sent, &[3]);
        assert_eq!((&*outcome.payload, outcome.is_closed), (&b"last"[..], true));
        let close = session.remote_close().unwrap();
        assert_eq!((close.code, close.is_orderly()), (code, is_orderly));
        assert_eq!(*close.reason, *reason.unwrap_or_default());
        assert_eq!(
            session.send(b"late", &mut Vec::new()),
            Err(SendError::Closing)
        );
        let echo = output(&mut session);
        assert!(!echo.is_empty());
        session.close();
        assert_eq!(session.handle_input(&mut [0x88]), Ok(Received::Closed));
        assert!(output(&mut session).is_empty());
        oracle.get_mut().inbound.extend(echo);
        assert!(matches!(oracle.read(), Ok(Message::Close(_))));
    }
}

#[test]
fn after_our_close_frame_the_remote_may_still_send() {
    let mut session = session(Role::Dialer);
    session.close();
    assert!(session.has_output());
    assert!(!output(&mut session).is_empty());
    let outcome = feed(&mut session, b"\x82\x04more\x89\x00\x88\x02\x03\xE8", &[]);
    assert_eq!((&*outcome.payload, outcome.is_closed), (&b"more"[..], true));
    // Neither the ping nor the echo is answered.
    assert!(output(&mut session).is_empty());
}

#[test]
fn a_frame_of_the_largest_length_is_passed_on_piece_by_piece() {
    let mut session = session(Role::Dialer);
    let header = [0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0];
    assert_eq!(
        session.handle_input(&mut header.clone()),
        Ok(Received::Incomplete)
    );
    for _ in 0..16 {
        let mut piece = vec![0; 1 << 16];
        let payload = 0..piece.len();
        let consumed = piece.len();
        let expected = Ok(Received::Payload { payload, consumed });
        assert_eq!(session.handle_input(&mut piece), expected);
    }
    assert_eq!(
        session.handle_input(&mut header.clone()),
        Ok(Received::Incomplete)
    );
}

#[test]
fn refuses_to_send_what_exceeds_a_frame() {
    let mut session = session(Role::Listener);
    let bytes = vec![0; FRAME_BYTES_MAX + 1];
    let mut out = Vec::new();
    assert_eq!(
        session.send(&bytes, &mut out),
        Err(SendError::TooLarge(bytes.len()))
    );
    assert!(out.is_empty());
    session.send(&bytes[1..], &mut out).unwrap();
    assert_eq!(out.len(), FRAME_BYTES_MAX + 10);
}
