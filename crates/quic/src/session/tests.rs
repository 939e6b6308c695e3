use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ferroswarm_secure::HandshakeError;
use proptest::prelude::*;

use super::receive::*;
use super::*;
use crate::Config;
use crate::testing::{Fate, Pair, identity};

mod windows;

const SECOND: Duration = Duration::from_secs(1);

/// Opens a stream of the dialer with its first bytes; returns its key at both ends.
fn open(pair: &mut Pair, bytes: &[u8]) -> (StreamKey, StreamKey) {
    let near = pair.dialer.session().open().expect("room");
    assert_eq!(pair.dialer.session().write(near, bytes).count, bytes.len());
    pair.settle();
    let events = pair.listener.take_events();
    let Some(Event::Opened { key }) = events.first() else {
        panic!("expected a stream, found {events:?}");
    };
    (near, *key)
}

/// Bytes and the end of one stream among events.
fn received(events: &[Event], of: StreamKey) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut finished = false;
    for event in events {
        match event {
            Event::Data { key, bytes: more } if *key == of => bytes.extend_from_slice(more),
            Event::Finished { key } if *key == of => finished = true,
            _ => {}
        }
    }
    (bytes, finished)
}

#[test]
fn both_ends_authenticate_each_other_by_their_identity_keys() {
    let mut pair = Pair::connected(&Config::default());
    let [dialer, listener] = [&pair.dialer, &pair.listener].map(|end| {
        (
            *end.identity.peer_id(),
            end.identity.keypair().public().clone(),
        )
    });
    assert_eq!(pair.dialer.session().peer().unwrap(), listener);
    assert_eq!(pair.listener.session().peer().unwrap(), dialer);
}

#[test]
fn a_peer_other_than_the_expected_one_is_refused_by_the_dialer_who_knows_why() {
    let mut pair = Pair::new(&Config::default());
    let expected = *identity().peer_id();
    let dialer = pair.dial(Some(expected));
    pair.settle();
    let actual = *pair.listener.identity.peer_id();
    let refusal = dialer.refusal();
    assert!(
        matches!(refusal, Some(HandshakeError::PeerIdMismatch { expected: e, actual: a }) if (e, a) == (expected, actual)),
        "{refusal:?}"
    );
    assert!(pair.dialer.session().ended().is_some());
    // bad_certificate: the remote learns that it was refused.
    assert!(matches!(
        pair.listener.session().ended(),
        Some(CloseReason::Alert(_))
    ));
}

#[test]
fn a_remote_that_must_prove_its_address_comes_again_with_a_token() {
    let mut pair = Pair::new(&Config::default());
    pair.listener.demands_proof = true;
    pair.dial(None);
    pair.settle();
    // One datagram, which holds the whole ClientHello.
    assert_eq!(pair.listener.proofs_demanded, 1);
    assert!(!pair.dialer.session().is_handshaking());
}

#[test]
fn a_stream_that_is_opened_as_the_handshake_ends_is_reported() {
    let mut pair = Pair::new(&Config::default());
    pair.listener.is_in_handshake = true;
    pair.dial(None);
    pair.settle();
    let near = pair.dialer.session().open().expect("room");
    pair.dialer.session().write(near, b"first");
    pair.settle();
    pair.listener.is_in_handshake = false;
    pair.settle();
    let key = StreamKey(0);
    let events = pair.listener.take_events();
    assert_eq!(events.first(), Some(&Event::Opened { key }));
    assert_eq!(received(&events, key).0, b"first");
}

#[test]
fn halves_end_one_by_one() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"ping");
    pair.dialer.session().finish(near);
    assert!(pair.dialer.session().is_delivering());
    pair.settle();
    assert_eq!(
        received(&pair.listener.take_events(), far),
        (Vec::new(), true)
    );
    pair.run(SECOND, |pair| !pair.dialer.session().is_delivering());
    assert!(!pair.dialer.session().is_delivering());
    assert_eq!(pair.listener.session().write(far, b"pong").count, 4);
    pair.listener.session().finish(far);
    pair.settle();
    assert_eq!(
        received(&pair.dialer.take_events(), near),
        (b"pong".to_vec(), true)
    );
}

#[test]
fn a_reset_carries_its_code_in_both_directions() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    pair.dialer.session().reset(near, 0x1003);
    pair.settle();
    assert_eq!(
        pair.listener.take_events(),
        [Event::Reset {
            key: far,
            code: 0x1003
        }]
    );
    let (near, far) = open(&mut pair, b"x");
    pair.listener.session().reset(far, 7);
    pair.settle();
    assert_eq!(
        pair.dialer.take_events(),
        [Event::Reset { key: near, code: 7 }]
    );
}

#[test]
fn a_remote_that_stops_reading_drops_what_is_written_and_still_sends() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    pair.listener.session().stop(far, 0);
    pair.settle();
    assert_eq!(pair.dialer.take_events(), [Event::Writable { key: near }]);
    let written = pair.dialer.session().write(near, &[0; 1 << 20]);
    assert_eq!(
        written,
        Write {
            count: 1 << 20,
            is_blocked: false
        }
    );
    pair.dialer.session().finish(near);
    assert!(!pair.dialer.session().is_delivering());
    assert_eq!(pair.listener.session().write(far, b"still").count, 5);
    pair.settle();
    assert_eq!(received(&pair.dialer.take_events(), near).0, b"still");
}

#[test]
fn a_half_that_is_left_is_ended_by_the_remote_itself_or_stopped_when_it_does_not() {
    let mut pair = Pair::connected(&Config::default());
    for (ends, bytes, stops) in [
        (true, 100, false),
        (false, 100, true),
        (false, 2 * LEFT_BYTES_MAX as usize, true),
    ] {
        let (near, far) = open(&mut pair, b"x");
        let now = pair.now;
        let listener = pair.listener.session();
        listener.leave(far, now);
        listener.finish(far);
        listener.remove(far);
        pair.dialer.session().write(near, &vec![0; bytes]);
        if ends {
            pair.dialer.session().finish(near);
        }
        pair.run(SECOND, |_| false);
        let is_stopped = |pair: &mut Pair| {
            let events = pair.dialer.take_events();
            events.contains(&Event::Writable { key: near })
        };
        let is_long = bytes > LEFT_BYTES_MAX as usize;
        assert_eq!(is_stopped(&mut pair), is_long);
        pair.run(LEFT_TIME, |_| false);
        assert_eq!(is_stopped(&mut pair), stops && !is_long, "{ends} {bytes}");
        assert!(pair.listener.session().leaving.is_empty());
    }
}

#[test]
fn a_remote_has_as_many_streams_at_a_time_as_are_allowed_and_more_when_they_end() {
    let config = Config {
        streams_max: 2,
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    let (first, far) = open(&mut pair, b"x");
    open(&mut pair, b"x");
    assert_eq!(pair.dialer.session().open(), None);
    pair.dialer.session().finish(first);
    pair.listener.session().finish(far);
    pair.run(SECOND, |pair| {
        pair.dialer.events.contains(&Event::MoreStreams)
    });
    assert!(pair.dialer.events.contains(&Event::MoreStreams));
    assert!(pair.dialer.session().open().is_some());
    assert_eq!(pair.dialer.session().open(), None);
}

#[test]
fn a_remote_is_allowed_the_rest_of_its_streams_when_it_uses_many() {
    let mut pair = Pair::connected(&Config::default());
    let open_all = |pair: &mut Pair| {
        let mut count = 0;
        while let Some(key) = pair.dialer.session().open() {
            pair.dialer.session().write(key, b"x");
            count += 1;
        }
        pair.settle();
        count
    };
    assert_eq!(open_all(&mut pair), STREAMS_AT_FIRST);
    assert_eq!(
        open_all(&mut pair),
        Config::default().streams_max - STREAMS_AT_FIRST
    );
    assert_eq!(open_all(&mut pair), 0);
}

#[test]
fn an_event_of_a_stream_that_is_removed_does_not_reach_the_next_one_with_its_key() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    pair.listener.session().stop(far, 7);
    pair.dialer.is_in_handshake = true;
    pair.settle();
    pair.dialer.session().remove(near);
    let next = pair.dialer.session().open().expect("room");
    assert_eq!(next, near);
    pair.dialer.is_in_handshake = false;
    pair.settle();
    assert_eq!(pair.dialer.take_events(), []);
}

#[test]
fn written_bytes_are_unacknowledged_until_the_remote_says_so() {
    let has_unacknowledged = |pair: &mut Pair| {
        let now = pair.now;
        pair.dialer.session().has_unacknowledged(now)
    };
    let mut pair = Pair::connected(&Config::default());
    assert!(!has_unacknowledged(&mut pair));
    let (near, _) = open(&mut pair, b"x");
    pair.run(SECOND, |pair| !has_unacknowledged(pair));
    pair.dialer.session().write(near, &[0; 1 << 20]);
    assert!(has_unacknowledged(&mut pair));
    pair.treat(|| Fate::Lost);
    pair.settle();
    assert!(has_unacknowledged(&mut pair));
    pair.treat(|| Fate::Delivered);
    pair.run(10 * SECOND, |pair| !has_unacknowledged(pair));
    assert!(!has_unacknowledged(&mut pair));
}

#[test]
fn a_remote_that_stops_reading_before_its_stream_is_accepted_is_heeded() {
    for code in [0u32, 7] {
        let mut pair = Pair::connected(&Config::default());
        let near = pair.dialer.session().open().expect("room");
        pair.dialer.session().write(near, b"x");
        // Both reach the listener before it polls.
        pair.dialer.session().stop(near, code);
        pair.settle();
        let events = pair.listener.take_events();
        let Some(Event::Opened { key }) = events.first() else {
            panic!("expected a stream, found {events:?}");
        };
        let is_reset = events.contains(&Event::Reset { key: *key, code });
        assert_eq!(is_reset, code != 0, "{events:?}");
        let stream = pair.listener.session().stream(*key).expect("a stream");
        assert!(!stream.sends);
    }
}

#[test]
fn datagrams_are_as_long_as_the_path_carries() {
    let mut pair = Pair::connected(&Config::default());
    pair.run(SECOND, |_| false);
    assert_eq!(pair.dialer.session().connection.current_mtu(), 1_452);
    assert_eq!(pair.listener.session().connection.current_mtu(), 1_452);
}

#[test]
fn over_loopback_datagrams_are_as_long_as_the_remote_takes_without_a_probe() {
    // That of rust-libp2p.
    for taken in [4_096, 1_472] {
        let mut pair = Pair::new(&Config::default());
        pair.listener.take_at_most(taken);
        for end in [&mut pair.dialer, &mut pair.listener] {
            end.address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        pair.dial(None);
        pair.run(SECOND, |_| false);
        for (end, mtu) in [(&mut pair.dialer, taken), (&mut pair.listener, 4_096)] {
            let connection = &end.session().connection;
            assert_eq!(connection.current_mtu(), mtu);
            assert_eq!(connection.stats().path.sent_plpmtud_probes, 0);
        }
    }
}

#[test]
fn a_close_carries_its_code_and_ends_after_the_bytes_before_it() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    pair.dialer.session().write(near, b"last");
    pair.settle();
    let now = pair.now;
    pair.dialer.session().close(now, 0x1005);
    pair.settle();
    assert_eq!(received(&pair.listener.take_events(), far).0, b"last");
    assert_eq!(
        pair.listener.session().ended(),
        Some(&CloseReason::Remote(0x1005))
    );
    pair.run(5 * SECOND, |pair| pair.dialer.session().is_drained());
    assert!(pair.dialer.session().is_drained());
}

#[test]
fn a_close_is_sent_though_the_congestion_window_is_full() {
    let mut pair = Pair::connected(&Config::default());
    let (near, _) = open(&mut pair, b"x");
    pair.dialer.session().write(near, &[0; 1 << 20]);
    // Sent, and never acknowledged: what is left waits for the window.
    pair.treat(|| Fate::Lost);
    pair.settle();
    pair.treat(|| Fate::Delivered);
    let now = pair.now;
    pair.dialer.session().close(now, 0x1005);
    pair.settle();
    assert_eq!(
        pair.listener.session().ended(),
        Some(&CloseReason::Remote(0x1005))
    );
}

#[test]
fn a_silent_remote_is_timed_out() {
    let mut pair = Pair::connected(&Config::default());
    pair.treat(|| Fate::Lost);
    pair.run(60 * SECOND, |pair| pair.dialer.session().ended().is_some());
    assert_eq!(pair.dialer.session().ended(), Some(&CloseReason::TimedOut));
    // Of silence, since the last datagram or the probe that was not answered.
    assert!((30..=45).contains(&pair.now.as_secs()), "{:?}", pair.now);
}

#[test]
fn an_idle_connection_is_kept_alive() {
    let mut pair = Pair::connected(&Config::default());
    pair.run(120 * SECOND, |_| false);
    assert_eq!(pair.dialer.session().ended(), None);
    assert_eq!(pair.listener.session().ended(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_arrive_once_and_in_order_whatever_happens_to_datagrams(
        seed in any::<u64>(),
        length in 1usize..200_000,
    ) {
        let mut pair = Pair::connected(&Config::default());
        let state = Rc::new(Cell::new(seed | 1));
        pair.treat(move || {
            // xorshift64
            let mut next = state.get();
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            state.set(next);
            match next % 16 {
                0 | 1 => Fate::Lost,
                2 | 3 => Fate::Twice,
                4 | 5 => Fate::Late,
                _ => Fate::Delivered,
            }
        });
        let expected: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let near = pair.dialer.session().open().expect("room");
        let mut sent = 0;
        let mut bytes = Vec::new();
        let mut finished = false;
        for _ in 0..1_000 {
            if sent < length {
                sent += pair.dialer.session().write(near, &expected[sent..]).count;
                if sent == length {
                    pair.dialer.session().finish(near);
                }
            }
            pair.run(SECOND / 4, |_| false);
            for event in pair.listener.take_events() {
                match event {
                    Event::Data { key, bytes: more } => {
                        let (count, now) = (more.len() as u32, pair.now);
                        let session = pair.listener.session();
                        session.consumed(key, count, now, &mut windows::Memory(true));
                        bytes.extend_from_slice(&more);
                    }
                    Event::Finished { .. } => finished = true,
                    Event::Opened { .. } => {}
                    other => panic!("unexpected {other:?}"),
                }
            }
            if finished {
                break;
            }
        }
        prop_assert!(finished);
        prop_assert!(bytes == expected);
    }
}
