//! Remotes that violate the protocol.

use super::support::*;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{ProtocolError, Session};
use crate::muxer::{StreamErrorCode, StreamKey};

/// Feeds `frame` up to `times` times; returns the number of accepted repetitions and the violation
/// that ended them.
#[track_caller]
fn flood(session: &mut Session, frame: &[u8], times: u32) -> (u32, ProtocolError) {
    for count in 0..times {
        if let Err(error) = feed(session, frame) {
            return (count, error);
        }
    }
    panic!("{times} frames were accepted");
}

#[track_caller]
fn assert_violates(session: &mut Session, frame: &[u8], expected: ProtocolError) {
    assert_eq!(feed(session, frame), Err(expected));
    assert_eq!(expected.goaway_code(), 1);
    // The failure is permanent.
    assert_eq!(feed(session, &update(SYN, 9, 0)), Err(expected));
}

// A065
#[test]
fn unknown_versions_types_and_flags_end_the_connection() {
    let with = |index: usize, value: u8| {
        let mut frame = update(SYN, 1, 0);
        frame[index] = value;
        frame
    };
    assert_violates(
        &mut listener(),
        &with(0, 1),
        ProtocolError::InvalidVersion { version: 1 },
    );
    for kind in 4..=255 {
        assert_violates(
            &mut listener(),
            &with(1, kind),
            ProtocolError::InvalidType { kind },
        );
    }
    let mut frame = with(2, 0xFF);
    frame[3] = 0xFF;
    assert_violates(
        &mut listener(),
        &frame,
        ProtocolError::UnknownFlags { flags: 0xFFFF },
    );
}

// A066
#[test]
fn a_first_frame_beyond_the_window_is_refused_before_a_stream_exists() {
    let mut session = listener();
    let error = ProtocolError::WindowExceeded {
        id: 1,
        length: 262_145,
        window: 262_144,
    };
    assert_violates(&mut session, &Header::data(SYN, 1, 262_145).encode(), error);
    assert_eq!(session.inbound_live(), 0);
}

// A067, A095
#[test]
fn a_window_is_used_up_to_its_last_byte_and_not_beyond() {
    let mut session = listener();
    let reported = feed(&mut session, &data(SYN, 1, 262_144)).unwrap();
    assert_eq!(
        reported,
        [OwnedEvent::Opened(0), OwnedEvent::Data(0, vec![7; 262_144])]
    );
    let error = ProtocolError::WindowExceeded {
        id: 1,
        length: 1,
        window: 0,
    };
    assert_violates(&mut session, &Header::data(NONE, 1, 1).encode(), error);
}

// A095, go 155
#[test]
fn a_byte_beyond_the_announced_credit_ends_the_connection() {
    let mut session = listener();
    feed(&mut session, &data(SYN, 1, 200_000)).unwrap();
    session.consumed(StreamKey(0), 100_000, NOW, &mut LimitedBudget::of(0));
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, 100_000)]
    );
    feed(&mut session, &data(NONE, 1, 162_143)).unwrap();
    let error = ProtocolError::WindowExceeded {
        id: 1,
        length: 2,
        window: 1,
    };
    assert_violates(&mut session, &data(NONE, 1, 2), error);
}

// A068
#[test]
fn credit_that_overflows_ends_the_connection() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    let error = ProtocolError::CreditOverflow {
        id: 1,
        delta: 0xFFFF_0000,
    };
    assert_violates(&mut session, &update(NONE, 1, 0xFFFF_0000), error);
}

// A069
#[test]
fn credit_that_overflows_with_the_syn_ends_the_connection() {
    let error = ProtocolError::CreditOverflow {
        id: 1,
        delta: 0xFFFC_0001,
    };
    let mut session = listener();
    assert_violates(&mut session, &update(SYN, 1, 0xFFFC_0001), error);
    assert_eq!(session.inbound_live(), 0);
}

// A070
#[test]
fn credit_may_fill_32_bits() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0x7FFF_FFFF)).unwrap();
    feed(&mut session, &update(NONE, 1, 0x7FFC_0000)).unwrap();
    assert_eq!(session.send_credit(StreamKey(0)), u32::MAX);
    let error = ProtocolError::CreditOverflow { id: 1, delta: 1 };
    assert_violates(&mut session, &update(NONE, 1, 1), error);
}

// A071, Y15
#[test]
fn an_impossible_length_is_refused_at_the_header() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    let error = ProtocolError::WindowExceeded {
        id: 1,
        length: u32::MAX,
        window: 262_144,
    };
    assert_violates(
        &mut session,
        &Header::data(NONE, 1, u32::MAX).encode(),
        error,
    );

    let mut session = listener();
    let error = ProtocolError::StrayData {
        id: 1,
        length: u32::MAX,
        allowance: 1 << 20,
    };
    assert_violates(
        &mut session,
        &Header::data(NONE, 1, u32::MAX).encode(),
        error,
    );
}

// A075
#[test]
fn empty_frames_exhaust_a_budget() {
    for frame in [
        data(NONE, 1, 0),
        update(NONE, 1, 0),
        update(ACK, 1, 0),
        update(RST, 99, 0),
    ] {
        let mut session = listener();
        feed(&mut session, &update(SYN, 1, 0)).unwrap();
        let end = flood(&mut session, &frame, 1_000_000);
        assert_eq!(end, (1_000, ProtocolError::IdleFlood));
    }
}

// A077
#[test]
fn rapid_resets_exhaust_a_budget() {
    let mut session = listener();
    let mut opened = 0;
    for turn in 0..100_000 {
        let id = 2 * turn + 1;
        let frames = [update(SYN, id, 0), update(RST, id, 0)].concat();
        match feed(&mut session, &frames) {
            Ok(reported) => {
                opened += 1;
                assert_eq!(reported, [OwnedEvent::Opened(0), OwnedEvent::Reset(0, 0)]);
                session.accept(StreamKey(0));
                session.remove(StreamKey(0));
            }
            Err(error) => {
                assert_eq!(error, ProtocolError::RapidReset);
                assert_eq!(opened, 1_000);
                return;
            }
        }
    }
    panic!("every stream was accepted");
}

// A077: a client that has read its response to the end may reset the stream.
#[test]
fn streams_reset_after_our_fin_are_no_violation() {
    let mut session = listener();
    for turn in 0..10_000 {
        let id = 2 * turn + 1;
        feed(&mut session, &update(SYN, id, 0)).unwrap();
        session.accept(StreamKey(0));
        session.fin_frame(StreamKey(0));
        let reported = feed(&mut session, &update(RST, id, 0)).unwrap();
        assert_eq!(reported, [OwnedEvent::Reset(0, 0)]);
        session.remove(StreamKey(0));
    }
}

// A077: the pair in one frame is not even reported.
#[test]
fn rapid_resets_in_single_frames_exhaust_a_budget() {
    let mut session = listener();
    let end = flood(&mut session, &update(SYN.with(RST), 1, 0), 100_000);
    assert_eq!(end, (1_000, ProtocolError::RapidReset));
}

// A077: the queue of a caller that does not keep up is bounded.
#[test]
fn streams_reset_before_they_are_removed_keep_their_place_in_the_backlog() {
    let mut session = listener();
    let mut opened = 0;
    for turn in 0..500 {
        let id = 2 * turn + 1;
        let frames = [update(SYN, id, 0), update(RST, id, 0)].concat();
        opened += feed(&mut session, &frames)
            .unwrap()
            .iter()
            .filter(|reported| matches!(reported, OwnedEvent::Opened(_)))
            .count();
    }
    assert_eq!(opened, 256);
}

// A078
#[test]
fn empty_streams_that_end_in_order_are_no_violation() {
    let mut session = listener();
    for turn in 0..100_000 {
        let reported = feed(&mut session, &update(SYN.with(FIN), 2 * turn + 1, 0)).unwrap();
        assert_eq!(reported, [OwnedEvent::Opened(0), OwnedEvent::Finished(0)]);
        session.accept(StreamKey(0));
        session.fin_frame(StreamKey(0));
        session.remove(StreamKey(0));
    }
    assert_eq!(session.inbound_live(), 0);
}

// A079
#[test]
fn resets_provoked_by_a_remote_that_does_not_read_are_bounded() {
    let mut session = listener();
    for turn in 0..256 + 2_048 {
        feed(&mut session, &update(SYN, 2 * turn + 1, 0)).unwrap();
        // The session is congested long before, which stops the caller from reading.
        assert_eq!(session.is_congested(), turn >= 256 + 512 - 1);
    }
    assert_eq!(
        feed(&mut session, &update(SYN, 100_001, 0)),
        Err(ProtocolError::ResetBacklog { limit: 2_048 })
    );
}

// A079: the same with a remote that reads.
#[test]
fn streams_beyond_the_limits_exhaust_a_budget() {
    let mut session = listener();
    for turn in 0..200_000 {
        if let Err(error) = feed(&mut session, &update(SYN, 2 * turn + 1, 0)) {
            assert_eq!((turn, error), (256 + 16_384, ProtocolError::RefusalFlood));
            return;
        }
        session.poll_control(&mut Vec::new(), usize::MAX);
    }
    panic!("every stream was accepted");
}

// A079: the same where the caller has no room.
#[test]
fn streams_turned_away_exhaust_a_budget() {
    let mut session = listener();
    for turn in 0..200_000 {
        match feed(&mut session, &update(SYN, 2 * turn + 1, 0)) {
            Ok(_) => session.turn_away(StreamKey(0), StreamErrorCode::ResourceLimitExceeded),
            Err(error) => {
                assert_eq!((turn, error), (16_384 + 1, ProtocolError::RefusalFlood));
                return;
            }
        }
        assert_eq!(control(&mut session).len(), 1);
    }
    panic!("every stream was accepted");
}

// A080, go 158
#[test]
fn pings_are_answered_a_few_at_a_time() {
    let mut session = listener();
    for id in 0..1_000_000 {
        assert_eq!(
            feed(&mut session, &Header::ping(SYN, id).encode()).unwrap(),
            []
        );
    }
    let pongs: Vec<Header> = (0..8).map(|id| Header::ping(ACK, id)).collect();
    assert_eq!(control(&mut session), pongs);
    assert_eq!(session.stats().pings_dropped, 1_000_000 - 8);
}

#[test]
fn pings_beyond_the_rate_are_dropped() {
    let mut session = listener();
    session.poll_control(&mut Vec::new(), usize::MAX);
    let mut answered = 0;
    for id in 0..10_000 {
        feed(&mut session, &Header::ping(SYN, id).encode()).unwrap();
        answered += control(&mut session).len();
    }
    assert_eq!(answered, 256);
}

// A081
#[test]
fn unsolicited_pongs_are_ignored() {
    let mut session = listener();
    let pong = |id| Header::ping(ACK, id).encode();
    assert_eq!(feed(&mut session, &pong(0)).unwrap(), []);
    session.ping(NOW);
    // The ping is not even written yet.
    assert_eq!(feed(&mut session, &pong(0)).unwrap(), []);
    control(&mut session);
    assert_eq!(feed(&mut session, &pong(7)).unwrap(), []);
    assert_eq!(session.rtt(), None);
    let reported = feed(&mut session, &[pong(0), pong(0)].concat()).unwrap();
    assert_eq!(reported, [OwnedEvent::Pong(std::time::Duration::ZERO)]);
    assert_eq!(
        flood(&mut session, &pong(0), 1_000_000).1,
        ProtocolError::IdleFlood
    );
}

// A082
#[test]
fn session_frames_carry_no_stream_id_and_stream_frames_carry_one() {
    let mut ping = Header::ping(SYN, 1);
    ping.id = 7;
    let mut goaway = Header::go_away(0);
    goaway.id = 9;
    let named = |id| ProtocolError::SessionFrameOnStream { id };
    assert_violates(&mut dialer(), &ping.encode(), named(7));
    assert_violates(&mut dialer(), &goaway.encode(), named(9));
    for frame in [
        update(SYN, 0, 0),
        data(SYN, 0, 1),
        data(NONE, 0, 1),
        update(FIN, 0, 0),
    ] {
        assert_violates(
            &mut dialer(),
            &frame,
            ProtocolError::InvalidStreamId { id: 0 },
        );
        assert_violates(
            &mut listener(),
            &frame,
            ProtocolError::InvalidStreamId { id: 0 },
        );
    }
}

// A083
#[test]
fn streams_with_our_ids_are_refused() {
    let wrong = |id| ProtocolError::InvalidStreamId { id };
    assert_violates(&mut listener(), &update(SYN, 2, 0), wrong(2));
    assert_violates(&mut dialer(), &update(SYN, 1, 0), wrong(1));
}

// A084
#[test]
fn a_second_syn_on_a_live_stream_ends_the_connection() {
    for frame in [
        update(SYN, 1, 0),
        data(SYN, 1, 5),
        update(SYN.with(RST), 1, 0),
    ] {
        let mut session = listener();
        feed(&mut session, &data(SYN, 1, 5)).unwrap();
        assert_violates(
            &mut session,
            &frame,
            ProtocolError::DuplicateStream { id: 1 },
        );
    }
}

// A092
#[test]
fn data_for_unknown_streams_exhausts_a_budget() {
    let mut session = listener();
    for turn in 0..64 {
        assert_eq!(
            feed(&mut session, &data(NONE, turn + 1, 1 << 14)).unwrap(),
            []
        );
    }
    let error = ProtocolError::StrayData {
        id: 999,
        length: 1,
        allowance: 0,
    };
    assert_violates(&mut session, &data(NONE, 999, 1), error);
}

// A092: data in flight when a stream is reset locally is no violation, whatever its size.
#[test]
fn data_in_flight_to_a_reset_stream_is_free() {
    let mut session = listener();
    for turn in 0..100 {
        let id = 2 * turn + 1;
        let key = StreamKey(0);
        assert_eq!(
            feed(&mut session, &update(SYN, id, 0)).unwrap(),
            [OwnedEvent::Opened(0)]
        );
        session.reset(key, 0);
        session.remove(key);
        control(&mut session);
        assert_eq!(feed(&mut session, &data(NONE, id, 262_144)).unwrap(), []);
    }
    // Nor is data of a stream refused by a limit.
    session.go_away(0);
    feed(&mut session, &data(SYN, 1, 262_143)).unwrap();
    feed(&mut session, &data(NONE, 1, 1)).unwrap();
    assert_eq!(session.allowances.stray_bytes, 1 << 20);
}

#[test]
fn window_updates_beyond_the_bytes_sent_exhaust_a_budget() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    let end = flood(&mut session, &update(NONE, 1, 1), 1_000_000);
    assert_eq!(end, (10_000, ProtocolError::WindowUpdateFlood));
    let mut session = listener();
    let end = flood(&mut session, &update(NONE, 77, 1), 1_000_000);
    assert_eq!(end, (10_000, ProtocolError::WindowUpdateFlood));
}

// A094
#[test]
fn credit_of_single_bytes_is_used_as_it_arrives() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    let key = StreamKey(0);
    while session.send_credit(key) > 0 {
        session.data_header(key, session.send_credit(key).min(16_372));
    }
    for _ in 0..1 << 20 {
        assert_eq!(
            feed(&mut session, &update(NONE, 1, 1)).unwrap(),
            [OwnedEvent::Writable(0)]
        );
        assert_eq!(session.send_credit(key), 1);
        session.data_header(key, 1);
    }
}
