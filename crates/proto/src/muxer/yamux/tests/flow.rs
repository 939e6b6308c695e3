//! Windows: when credit goes back, and when a window grows.

use std::time::Duration;

use super::support::*;
use crate::muxer::StreamKey;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{Config, Fin, Session};

const KEY: StreamKey = StreamKey(0);
const QUARTER: u32 = 64 << 10;

/// A listener's session with stream 1 open, the window sent in full and nothing consumed.
fn full() -> Session {
    let mut session = listener();
    feed(&mut session, &data(SYN, 1, 4 * QUARTER)).unwrap();
    session.poll_control(&mut Vec::new(), usize::MAX);
    session
}

// Y13
#[test]
fn credit_goes_back_a_quarter_at_a_time() {
    let mut session = full();
    let mut purse = Purse::of(0);
    session.consumed(KEY, QUARTER - 1, NOW, &mut purse);
    assert_eq!(control(&mut session), []);
    session.consumed(KEY, 1, NOW, &mut purse);
    // What is consumed before the update is written goes with it.
    session.consumed(KEY, 5, NOW, &mut purse);
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, QUARTER + 5)]
    );
    session.consumed(KEY, QUARTER, NOW, &mut purse);
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, QUARTER)]
    );
}

// Y6: level-triggered, so that a stream has one update to send at any time.
#[test]
fn updates_of_a_stalled_connection_do_not_pile_up() {
    let mut session = full();
    for _ in 0..4 * QUARTER {
        session.consumed(KEY, 1, NOW, &mut Purse::of(0));
    }
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, 4 * QUARTER)]
    );
}

#[test]
fn a_finished_stream_gets_no_credit() {
    let mut session = full();
    feed(&mut session, &update(FIN, 1, 0)).unwrap();
    session.consumed(KEY, 4 * QUARTER, NOW, &mut Purse::of(0));
    assert_eq!(control(&mut session), []);
}

/// Sends as much as the windows allow for `rounds` round trips of `rtt`; returns the window.
fn bulk(pair: &mut Pair, id: u32, rtt: Duration, rounds: u32) -> u32 {
    for _ in 0..rounds {
        pair.ends[DIALER].entry(id).queued = pair.ends[DIALER].entry(id).sent + (64 << 20);
        pair.pump(DIALER);
        pair.now += rtt;
        let now = pair.now;
        while pair.ends[LISTENER].entry(id).unread > 0 {
            // As the runtime does it: a quarter of the initial window at a time.
            pair.ends[LISTENER].read(id, QUARTER, now);
        }
        pair.pump(LISTENER);
    }
    let key = pair.ends[LISTENER].entry(id).key;
    pair.ends[LISTENER].session.receive_window(key)
}

fn paired(rtt: Duration, config: &Config) -> (Pair, u32) {
    let mut pair = Pair::new(config, 1 << 20);
    let id = pair.open(DIALER);
    pair.settle();
    let now = pair.now;
    pair.ends[LISTENER].session.ping(now);
    pair.pump(LISTENER);
    pair.now += rtt;
    pair.settle();
    assert_eq!(pair.ends[LISTENER].session.rtt(), Some(rtt));
    (pair, id)
}

// Y13: no stall below the maximum, whatever the round trip.
#[test]
fn a_window_limited_stream_grows_to_the_maximum_at_any_round_trip() {
    for rtt_ms in [1, 20, 50, 100, 300] {
        let rtt = Duration::from_millis(rtt_ms);
        let (mut pair, id) = paired(rtt, &Config::default());
        assert_eq!(bulk(&mut pair, id, rtt, 12), 16 << 20, "at {rtt:?}");
        assert_eq!(pair.ends[LISTENER].purse.lent, (16 << 20) - (256 << 10));
    }
}

// A loopback at 370 MB/s, the measured rate of a window of 256 KiB.
#[test]
fn bulk_over_loopback_has_4_mib_of_window_after_8_mib() {
    let (mut pair, id) = paired(Duration::from_micros(50), &Config::default());
    let mut window = 256 << 10;
    let mut sent = 0;
    while window < 4 << 20 {
        let wait = Duration::from_nanos(u64::from(window) * 27 / 10);
        window = bulk(&mut pair, id, wait, 1);
        sent = pair.ends[DIALER].entry(id).sent;
        assert!(sent < 8 << 20);
    }
    assert!(sent >= 2 << 20);
}

// Without a pong, or before the first.
#[test]
fn bulk_grows_without_a_measured_round_trip() {
    let mut pair = Pair::new(&Config::default(), 1 << 20);
    let id = pair.open(DIALER);
    pair.settle();
    assert_eq!(bulk(&mut pair, id, Duration::from_millis(1), 12), 16 << 20);
}

#[test]
fn a_slow_reader_keeps_its_window() {
    let rtt = Duration::from_millis(20);
    let (mut pair, id) = paired(rtt, &Config::default());
    // A window in five round trips.
    pair.ends[DIALER].entry(id).queued = 64 << 20;
    for _ in 0..100 {
        pair.pump(DIALER);
        pair.now += rtt;
        let now = pair.now;
        pair.ends[LISTENER].read(id, (256 << 10) / 5, now);
        pair.pump(LISTENER);
    }
    let key = pair.ends[LISTENER].entry(id).key;
    assert_eq!(pair.ends[LISTENER].session.receive_window(key), 256 << 10);
}

// A rate of 5 MiB/s over 100 ms: 512 KiB in a round trip.
#[test]
fn growth_stops_at_a_few_times_what_the_path_takes() {
    let rtt = Duration::from_millis(100);
    let (mut pair, id) = paired(rtt, &Config::default());
    for _ in 0..1_000 {
        pair.ends[DIALER].entry(id).queued += 52_429;
        pair.pump(DIALER);
        pair.now += rtt / 10;
        let now = pair.now;
        pair.ends[LISTENER].read(id, u32::MAX, now);
        pair.pump(LISTENER);
    }
    let key = pair.ends[LISTENER].entry(id).key;
    let window = pair.ends[LISTENER].session.receive_window(key);
    assert!((2 << 20..=4 << 20).contains(&window), "{window}");
}

// A stream that was idle grows as quickly as a fresh one.
#[test]
fn an_idle_time_does_not_hinder_growth() {
    let rtt = Duration::from_millis(50);
    let (mut pair, id) = paired(rtt, &Config::default());
    pair.now += Duration::from_secs(3_600);
    assert_eq!(bulk(&mut pair, id, rtt, 12), 16 << 20);
}

// A103
#[test]
fn growth_is_capped_by_the_budget_whatever_the_remote_makes_of_the_round_trip() {
    let rtt = Duration::from_secs(30);
    let (mut pair, id) = paired(rtt, &Config::default());
    pair.ends[LISTENER].purse = Purse::of(1 << 20);
    // 256 and 512 KiB are granted, the next MiB is not.
    assert_eq!(bulk(&mut pair, id, Duration::from_millis(100), 20), 1 << 20);
    assert_eq!(pair.ends[LISTENER].purse.lent, 768 << 10);
    pair.ends[LISTENER].reset(id, 0);
    let End { session, purse, .. } = &mut pair.ends[LISTENER];
    session.release_windows(purse);
    assert_eq!((purse.left, purse.lent), (1 << 20, 0));
}

#[test]
fn growth_ends_at_the_configured_maximum() {
    let rtt = Duration::from_millis(10);
    for (window_max, expected) in [(3 << 20, 3 << 20), (256 << 10, 256 << 10), (0, 256 << 10)] {
        let config = Config {
            window_max,
            ..Config::default()
        };
        let (mut pair, id) = paired(rtt, &config);
        assert_eq!(bulk(&mut pair, id, rtt, 12), expected);
    }
}

#[test]
fn credit_is_told_only_when_there_was_none() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 10)).unwrap();
    assert_eq!(session.send_credit(KEY), (256 << 10) + 10);
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    while session.send_credit(KEY) > 0 {
        session.data_header(KEY, session.send_credit(KEY).min(16_372), Fin::No);
    }
    assert_eq!(
        feed(&mut session, &update(NONE, 1, 5)).unwrap(),
        [Told::Writable(0)]
    );
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    assert_eq!(session.send_credit(KEY), 10);
    // Nobody waits for credit on a half that is closed.
    session.data_header(KEY, 10, Fin::Yes);
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    assert_eq!(session.send_credit(KEY), 0);
}
