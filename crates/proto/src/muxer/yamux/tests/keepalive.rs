//! Deadlines: keepalive, stalled frames, late acknowledgements.

use std::time::Duration;

use super::support::*;
use crate::muxer::Outgoing;
use crate::muxer::Role;
use crate::muxer::StreamKey;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{Config, Event, ProtocolError, Session};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a session whose clock started at second 100 and whose first ping was answered a second
/// later.
fn started() -> Session {
    let mut session = dialer();
    assert_eq!(session.poll_deadline(), Some(Duration::ZERO));
    session.handle_deadline(at(100)).unwrap();
    assert_eq!(control(&mut session), []);
    session.ping(at(100));
    assert_eq!(control(&mut session), [Header::ping(SYN, 0)]);
    assert_eq!(pong(&mut session, 0, at(101)), Some(at(1)));
    session
}

fn pong(session: &mut Session, id: u32, now: Duration) -> Option<Duration> {
    let frame = Header::ping(ACK, id).encode();
    match session.poll_event(&mut frame.as_slice(), now).unwrap() {
        Some(Event::Pong { rtt }) => Some(rtt),
        Some(event) => panic!("{event:?}"),
        None => None,
    }
}

fn receive(session: &mut Session, bytes: &[u8], now: Duration) {
    let mut input = bytes;
    while session.poll_event(&mut input, now).unwrap().is_some() {}
}

/// Advances to `end` without input, asserting that no ping is due before.
fn silent_until(session: &mut Session, end: Duration) {
    loop {
        assert!(!session.has_control());
        let due = session.poll_deadline().unwrap();
        assert!(due <= end, "{due:?}");
        session.handle_deadline(due).unwrap();
        if due == end {
            return;
        }
    }
}

// go 151
#[test]
fn a_session_pings_on_request_and_after_an_interval_of_silence() {
    let mut session = started();
    assert_eq!(session.rtt(), Some(at(1)));
    silent_until(&mut session, at(131));
    assert_eq!(control(&mut session), [Header::ping(SYN, 1)]);
    assert_eq!(pong(&mut session, 1, at(134)), Some(at(3)));
    assert_eq!(session.rtt(), Some(at(2)));
    silent_until(&mut session, at(164));
    assert_eq!(control(&mut session), [Header::ping(SYN, 2)]);
}

#[test]
fn a_remote_that_sends_is_not_pinged() {
    let mut session = started();
    receive(&mut session, &update(SYN, 2, 0), at(120));
    for second in 121..=150 {
        receive(
            &mut session,
            &Header::window_update(NONE, 2, 1).encode(),
            at(second),
        );
        session.handle_deadline(at(second)).unwrap();
        assert_eq!(control(&mut session), []);
    }
    silent_until(&mut session, at(180));
    assert_eq!(control(&mut session), [Header::ping(SYN, 1)]);
}

// go 151, go 153
#[test]
fn silence_after_a_ping_ends_the_connection() {
    let mut session = started();
    silent_until(&mut session, at(131));
    assert_eq!(session.poll_deadline(), Some(at(141)));
    session.handle_deadline(at(140)).unwrap();
    assert_eq!(
        session.handle_deadline(at(141)),
        Err(ProtocolError::KeepaliveTimeout)
    );
    assert_eq!(
        feed(&mut session, &update(SYN, 2, 0)),
        Err(ProtocolError::KeepaliveTimeout)
    );
}

#[test]
fn anything_received_is_a_sign_of_life() {
    let mut session = started();
    silent_until(&mut session, at(131));
    receive(&mut session, &update(SYN, 2, 0), at(138));
    assert_eq!(session.poll_deadline(), Some(at(148)));
    session.handle_deadline(at(147)).unwrap();
    assert_eq!(
        session.handle_deadline(at(148)),
        Err(ProtocolError::KeepaliveTimeout)
    );
}

#[test]
fn data_that_the_remote_takes_extends_the_wait_for_a_pong() {
    let mut session = started();
    silent_until(&mut session, at(131));
    session.outgoing(Outgoing::Waits, at(133));
    assert_eq!(session.poll_deadline(), Some(at(161)));
    session.outgoing(Outgoing::Moves, at(155));
    assert_eq!(session.poll_deadline(), Some(at(185)));
    // All data has been taken by the remote, and so has the ping.
    session.outgoing(Outgoing::Gone, at(158));
    session.handle_deadline(at(184)).unwrap();
    assert_eq!(
        session.handle_deadline(at(185)),
        Err(ProtocolError::KeepaliveTimeout)
    );
}

#[test]
fn bytes_of_an_incomplete_record_are_a_sign_of_life() {
    let mut session = started();
    silent_until(&mut session, at(131));
    session.heard(at(139));
    assert_eq!(session.poll_deadline(), Some(at(149)));
}

#[test]
fn a_paused_clock_neither_pings_nor_times_out() {
    let mut session = started();
    silent_until(&mut session, at(131));
    control(&mut session);
    session.pause_clock();
    assert_eq!(session.poll_deadline(), None);
    session.handle_deadline(at(1_000)).unwrap();
    session.resume_clock(at(1_000));
    assert_eq!(session.poll_deadline(), Some(at(1_010)));
    // The pong is a sign of life, not a measurement.
    assert_eq!(pong(&mut session, 1, at(1_001)), None);
    assert_eq!(session.rtt(), Some(at(1)));
    // The silence was our own doing: it starts over.
    session.handle_deadline(at(1_002)).unwrap();
    silent_until(&mut session, at(1_031));
    assert_eq!(control(&mut session), [Header::ping(SYN, 2)]);
}

// A072
#[test]
fn a_frame_that_is_not_completed_ends_the_connection() {
    let header_only = Header::data(SYN, 2, 200_000).encode();
    for front in [&header_only[..], &header_only[..5]] {
        let mut session = started();
        receive(&mut session, front, at(110));
        assert_eq!(session.poll_deadline(), Some(at(130)));
        session.handle_deadline(at(129)).unwrap();
        assert_eq!(
            session.handle_deadline(at(130)),
            Err(ProtocolError::FrameStalled)
        );
    }
}

#[test]
fn without_an_interval_no_ping_is_sent_automatically() {
    let config = Config {
        keepalive_interval: Duration::ZERO,
        ..Config::default()
    };
    let mut session = Session::new(Role::Dialer, config);
    session.handle_deadline(at(1)).unwrap();
    assert_eq!(session.poll_deadline(), None);
    session.handle_deadline(at(1_000)).unwrap();
    assert_eq!(control(&mut session), []);
}

#[test]
fn one_ping_is_in_flight_at_a_time() {
    let mut session = started();
    session.ping(at(102));
    session.ping(at(103));
    assert_eq!(control(&mut session), [Header::ping(SYN, 1)]);
    assert_eq!(pong(&mut session, 1, at(104)), Some(at(2)));
}

#[test]
fn an_acknowledgement_without_a_frame_to_carry_it_is_sent_alone() {
    let mut session = started();
    receive(
        &mut session,
        &[update(SYN, 2, 0), update(SYN, 4, 0)].concat(),
        at(110),
    );
    session.accept(StreamKey(0));
    session.accept(StreamKey(1));
    let due = at(110) + Duration::from_millis(20);
    assert_eq!(session.poll_deadline(), Some(due));
    session.data_header(StreamKey(1), 3);
    assert!(!session.has_control());
    session.handle_deadline(due).unwrap();
    assert_eq!(control(&mut session), [Header::window_update(ACK, 2, 0)]);
    assert_eq!(session.poll_deadline(), Some(at(130)));
}

#[test]
fn the_acknowledgement_deadline_ends_when_frames_have_carried_them_all() {
    let mut session = started();
    let opened = [2, 4, 6].map(|id| update(SYN, id, 0)).concat();
    receive(&mut session, &opened, at(110));
    let due = at(110) + Duration::from_millis(20);
    for key in [0, 1, 2].map(StreamKey) {
        session.accept(key);
    }
    session.data_header(StreamKey(0), 3);
    session.fin_frame(StreamKey(1));
    assert_eq!(session.poll_deadline(), Some(due));
    session.data_header(StreamKey(2), 3);
    assert_eq!(session.poll_deadline(), Some(at(130)));
    assert!(!session.has_control());
    // The next acknowledgement has a delay of its own.
    receive(&mut session, &update(SYN, 8, 0), at(111));
    session.accept(StreamKey(3));
    let next = at(111) + Duration::from_millis(20);
    assert_eq!(session.poll_deadline(), Some(next));
    session.handle_deadline(next).unwrap();
    assert_eq!(control(&mut session), [Header::window_update(ACK, 8, 0)]);
}
