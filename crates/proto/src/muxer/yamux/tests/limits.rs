//! Well-behaved remotes at the limits.

use super::support::*;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{Config, OpenError, Session};
use crate::muxer::{Role, StreamErrorCode, StreamKey};

const LIMIT: u32 = StreamErrorCode::ResourceLimitExceeded as u32;

fn resets(session: &mut Session) -> Vec<(u32, u32)> {
    control(session).iter().filter_map(as_reset).collect()
}

// A076, Y18, go 150
#[test]
fn streams_beyond_the_backlog_are_reset_and_the_others_work() {
    let mut session = listener();
    let mut opened = Vec::new();
    for turn in 0..300 {
        opened.append(&mut feed(&mut session, &data(SYN, 2 * turn + 1, 10)).unwrap());
    }
    let expected: Vec<OwnedEvent> = (0..256)
        .flat_map(|key| [OwnedEvent::Opened(key), OwnedEvent::Data(key, vec![7; 10])])
        .collect();
    assert_eq!(opened, expected);
    let expected: Vec<(u32, u32)> = (256..300).map(|turn| (2 * turn + 1, LIMIT)).collect();
    assert_eq!(resets(&mut session), expected);
    // An accepted stream makes room for another.
    session.accept(StreamKey(17));
    assert_eq!(
        feed(&mut session, &update(SYN, 1_001, 0)).unwrap(),
        [OwnedEvent::Opened(256)]
    );
    assert_eq!(
        feed(&mut session, &data(NONE, 1, 5)).unwrap(),
        [OwnedEvent::Data(0, vec![7; 5])]
    );
}

// go 157
#[test]
fn streams_beyond_the_limit_are_reset_until_one_is_removed() {
    let config = Config {
        inbound_streams_max: 5,
        ..Config::default()
    };
    let mut session = Session::new(Role::Listener, config);
    for turn in 0..6 {
        feed(&mut session, &update(SYN, 2 * turn + 1, 0)).unwrap();
        session.accept(StreamKey(turn));
    }
    assert_eq!(resets(&mut session), [(11, LIMIT)]);
    session.reset(StreamKey(2), 0);
    session.remove(StreamKey(2));
    // Its place is free once its reset is written.
    assert_eq!(feed(&mut session, &update(SYN, 13, 0)).unwrap(), []);
    assert_eq!(resets(&mut session), [(13, LIMIT), (5, 0)]);
    assert_eq!(
        feed(&mut session, &update(SYN, 15, 0)).unwrap(),
        [OwnedEvent::Opened(2)]
    );
}

#[test]
fn the_first_frame_of_a_refused_stream_is_dropped() {
    let config = Config {
        inbound_streams_max: 0,
        ..Config::default()
    };
    for piece in [1, 7, 1_000] {
        let mut session = Session::new(Role::Listener, config.clone());
        let frames = [
            data(SYN.with(FIN), 1, 100),
            data(SYN, 3, 100),
            data(NONE, 3, 9),
        ]
        .concat();
        assert_eq!(feed_in(&mut session, &frames, piece).unwrap(), []);
        assert_eq!(resets(&mut session), [(1, LIMIT), (3, LIMIT)]);
        assert_eq!(session.stats().refused, 2);
    }
}

// A090, Y18
#[test]
fn opens_wait_for_acknowledgements() {
    let mut session = dialer();
    for _ in 0..256 {
        session.open().unwrap();
    }
    assert_eq!(session.open(), Err(OpenError::Unacked));
    assert_eq!(control(&mut session).len(), 256);
    // The others work meanwhile.
    assert_eq!(
        feed(&mut session, &data(NONE, 1, 5)).unwrap(),
        [OwnedEvent::Data(0, vec![7; 5])]
    );
    assert_eq!(
        feed(&mut session, &update(ACK, 9, 0)).unwrap(),
        [OwnedEvent::Acked(4)]
    );
    assert_eq!(session.open(), Ok(StreamKey(256)));
    assert_eq!(session.open(), Err(OpenError::Unacked));
}

#[test]
fn an_unacknowledged_stream_that_ends_makes_room() {
    let config = Config {
        unacked_max: 1,
        ..Config::default()
    };
    let mut session = Session::new(Role::Dialer, config);
    // Reset by the remote.
    let key = session.open().unwrap();
    control(&mut session);
    assert_eq!(
        feed(&mut session, &update(RST, 1, 8)).unwrap(),
        [OwnedEvent::Reset(0, 8)]
    );
    session.remove(key);
    // Reset locally: the next may be opened before the reset is written.
    let key = session.open().unwrap();
    control(&mut session);
    session.reset(key, 1);
    session.remove(key);
    let key = session.open().unwrap();
    assert_eq!(key, StreamKey(1));
    // Finished in both directions without ever being acknowledged.
    session.fin_frame(key);
    assert_eq!(
        feed(&mut session, &update(FIN, 5, 0)).unwrap(),
        [OwnedEvent::Finished(1)]
    );
    assert!(session.open().is_ok());
}

#[test]
fn control_frames_wait_for_room() {
    let mut session = dialer();
    for _ in 0..5 {
        session.open().unwrap();
    }
    let mut out = vec![0xEE];
    assert_eq!(session.poll_control(&mut out, 11), 0);
    assert_eq!(session.poll_control(&mut out, 35), 24);
    assert!(session.has_control());
    assert_eq!(session.poll_control(&mut out, 1_000), 36);
    let ids: Vec<u32> = headers(&out[1..])
        .iter()
        .map(|header: &Header| header.id)
        .collect();
    assert_eq!(ids, [1, 3, 5, 7, 9]);
}
