//! Random scripts and random bytes.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::support::*;
use crate::muxer::yamux::frame::{HEADER_BYTES, Header};
use crate::muxer::yamux::{Config, Event, Session};
use crate::muxer::{Role, StreamKey};

/// A step of a script; `stream` picks one of the live streams of `side`.
#[derive(Clone, Debug)]
enum Step {
    Open {
        side: usize,
    },
    Accept {
        side: usize,
        stream: usize,
    },
    Write {
        side: usize,
        stream: usize,
        bytes: u32,
    },
    Finish {
        side: usize,
        stream: usize,
    },
    Read {
        side: usize,
        stream: usize,
        bytes: u32,
    },
    Discard {
        side: usize,
        stream: usize,
    },
    Reset {
        side: usize,
        stream: usize,
        code: u32,
    },
    Sweep {
        side: usize,
    },
    Ping {
        side: usize,
    },
    Pump {
        side: usize,
        piece: usize,
        after: Duration,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2_usize;
    let at = (0..2_usize, 0..8_usize);
    prop_oneof![
        2 => side.clone().prop_map(|side| Step::Open { side }),
        2 => at.clone().prop_map(|(side, stream)| Step::Accept { side, stream }),
        6 => (at.clone(), 0..400_000_u32)
            .prop_map(|((side, stream), bytes)| Step::Write { side, stream, bytes }),
        2 => at.clone().prop_map(|(side, stream)| Step::Finish { side, stream }),
        6 => (at.clone(), 1..600_000_u32)
            .prop_map(|((side, stream), bytes)| Step::Read { side, stream, bytes }),
        1 => at.clone().prop_map(|(side, stream)| Step::Discard { side, stream }),
        1 => (at, any::<u32>())
            .prop_map(|((side, stream), code)| Step::Reset { side, stream, code }),
        1 => side.clone().prop_map(|side| Step::Sweep { side }),
        1 => side.clone().prop_map(|side| Step::Ping { side }),
        8 => (side, 1..5_000_usize, 0..50_u64).prop_map(|(side, piece, ms)| Step::Pump {
            side,
            piece,
            after: Duration::from_millis(ms),
        }),
    ]
}

/// Returns the id of the `stream`th live stream at `side`, modulo their number.
fn pick(pair: &Pair, side: usize, stream: usize) -> Option<u32> {
    let ids: Vec<u32> = pair.ends[side].streams.keys().copied().collect();
    (!ids.is_empty()).then(|| ids[stream % ids.len()])
}

fn perform(pair: &mut Pair, step: &Step) {
    let now = pair.now;
    match *step {
        Step::Open { side } => {
            pair.open(side);
        }
        Step::Pump { side, piece, after } => {
            pair.piece = piece;
            pair.now += after;
            pair.pump(side);
        }
        Step::Sweep { side } => pair.ends[side].sweep(),
        Step::Ping { side } => pair.ends[side].session.ping(now),
        Step::Accept { side, stream }
        | Step::Write { side, stream, .. }
        | Step::Finish { side, stream }
        | Step::Read { side, stream, .. }
        | Step::Discard { side, stream }
        | Step::Reset { side, stream, .. } => {
            if let Some(id) = pick(pair, side, stream) {
                perform_on(&mut pair.ends[side], id, step, now);
            }
        }
    }
}

fn perform_on(end: &mut End, id: u32, step: &Step, now: Duration) {
    let entry = end.entry(id);
    match *step {
        Step::Accept { .. } => {
            let key = entry.key;
            end.session.accept(key);
        }
        Step::Write { bytes, .. } if entry.fin == FinState::Open => entry.queued += bytes,
        Step::Finish { .. } if entry.fin == FinState::Open => entry.fin = FinState::Queued,
        Step::Read { bytes, .. } => end.read(id, bytes, now),
        Step::Discard { .. } => end.discard(id),
        Step::Reset { code, .. } => end.reset(id, code),
        _ => {}
    }
}

/// Asserts, after everything was pumped and read, that each side has received what the other wrote.
fn assert_complete(pair: &mut Pair) {
    let ids: Vec<u32> = pair.ends[DIALER].streams.keys().copied().collect();
    for id in ids {
        let [one, other] = &mut pair.ends;
        let Some(other) = other.streams.get(&id) else {
            // Over at both ends, and removed at the other.
            let one = one.entry(id);
            assert!(one.is_finished && one.fin == FinState::Sent);
            continue;
        };
        let one = one.entry(id);
        for (from, to) in [(&*one, other), (other, &*one)] {
            assert_eq!(from.sent, from.queued);
            assert!(to.is_discarding || to.received == from.sent);
            assert_eq!(to.is_finished, from.fin == FinState::Sent);
        }
    }
}

/// A frame from a faulty peer, with a payload that may or may not match its length.
fn odd_frame() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..40_u32, 262_100..262_200_u32, any::<u32>()];
    let id = prop_oneof![0..12_u32, any::<u32>()];
    (0..4_u8, 0..16_u8, id, length, 0..60_usize).prop_map(|(kind, flags, id, length, body)| {
        let mut bytes = vec![0, kind, 0, flags];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.resize(HEADER_BYTES + body.min(length as usize), 7);
        bytes
    })
}

/// Responds to the session's events with arbitrary calls.
fn provoke(session: &mut Session, bytes: &[u8], piece: usize, choices: &[u8]) {
    let mut choices = choices.iter().copied().cycle();
    let mut budget = LimitedBudget::of(8 << 20);
    let mut out = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            let Ok(event) = session.poll_event(&mut input, NOW) else {
                session.go_away(1);
                session.poll_control(&mut out, usize::MAX);
                return;
            };
            let Some(event) = event else { break };
            let (key, held) = match event {
                Event::Opened { key }
                | Event::Acked { key }
                | Event::Finished { key }
                | Event::Writable { key } => (key, 0),
                Event::Data { key, bytes } => (key, bytes.len() as u32),
                Event::Reset { key, .. } => {
                    session.remove(key);
                    continue;
                }
                Event::GoAway { .. } | Event::Pong { .. } => continue,
            };
            match choices.next() {
                Some(0..20) => session.reset(key, 1),
                Some(20..40) => session.remove(key),
                Some(40..80) => session.accept(key),
                Some(80..100) => session.discard(key),
                Some(100..120) => {
                    let _ = session.open();
                }
                Some(120..160) if session.send_credit(key) > 3 => {
                    session.data_header(key, 3);
                }
                Some(160..180) if session.send_credit(key) > 3 => {
                    session.data_header(key, 3);
                    session.fin_frame(key);
                }
                Some(180..200) => {
                    session.poll_control(&mut out, 24);
                }
                _ => {
                    session.consumed(key, held, NOW, &mut budget);
                }
            }
        }
    }
    session.poll_control(&mut out, usize::MAX);
    headers(&out);
}

proptest! {
    // Each case moves megabytes, byte by byte.
    #![proptest_config(ProptestConfig::with_cases(48))]

    // go 144, go 161
    #[test]
    fn prop_two_sessions_carry_every_byte_once_and_in_order(
        steps in vec(step(), 1..120),
        window_max in prop_oneof![Just(0_u32), 300_000..2_000_000_u32, Just(16 << 20)],
    ) {
        let config = Config { window_max, ..Config::default() };
        let mut pair = Pair::new(&config, 1);
        for step in &steps {
            perform(&mut pair, step);
        }
        pair.piece = 1 << 20;
        pair.run_until_idle();
        assert_complete(&mut pair);
        pair.ends.iter_mut().for_each(End::sweep);
        let ids: Vec<u32> = pair.ends[DIALER].streams.keys().copied().collect();
        for id in ids {
            pair.ends[DIALER].reset(id, 0);
        }
        pair.run_until_idle();
        for end in &mut pair.ends {
            prop_assert!(end.streams.is_empty());
            let live = (end.session.inbound_live(), end.session.outbound_live());
            prop_assert_eq!(live, (0, 0));
            prop_assert_eq!((end.session.unacked, end.session.unaccepted), (0, 0));
        }
    }
}

proptest! {
    #[test]
    fn prop_arbitrary_bytes_never_panic(
        bytes in vec(any::<u8>(), 0..400),
        piece in 1..40_usize,
        choices in vec(any::<u8>(), 1..50),
    ) {
        for role in [Role::Dialer, Role::Listener] {
            provoke(&mut Session::new(role, Config::default()), &bytes, piece, &choices);
        }
    }

    #[test]
    fn prop_odd_frames_never_panic(
        frames in vec(odd_frame(), 0..60),
        piece in 1..200_usize,
        choices in vec(any::<u8>(), 1..50),
    ) {
        for role in [Role::Dialer, Role::Listener] {
            let mut session = Session::new(role, Config::default());
            let _ = session.open();
            provoke(&mut session, &frames.concat(), piece, &choices);
        }
    }

    #[test]
    fn prop_fragments_report_the_same_events_as_the_whole(
        frames in vec(odd_frame(), 0..20),
        piece in 1..30_usize,
    ) {
        let bytes = frames.concat();
        let (mut whole, mut pieces) = (listener(), listener());
        prop_assert_eq!(feed(&mut whole, &bytes), feed_in(&mut pieces, &bytes, piece));
        prop_assert_eq!(control(&mut whole), control(&mut pieces));
    }
}

#[test]
fn an_unknown_key_is_ignored() {
    let mut session = dialer();
    let key = StreamKey(5);
    session.accept(key);
    session.acknowledge(key);
    session.consumed(key, 5, NOW, &mut LimitedBudget::of(0));
    session.discard(key);
    session.reset(key, 1);
    session.remove(key);
    assert_eq!(session.send_credit(key), 0);
    assert_eq!(session.receive_window(key), 0);
    assert_eq!(session.stream_id(key), None);
    assert_eq!(control(&mut session), Vec::<Header>::new());
}
