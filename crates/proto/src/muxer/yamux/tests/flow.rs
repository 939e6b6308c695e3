//! Windows: credit and growth.

use std::time::Duration;

use super::support::*;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{Config, Session};
use crate::muxer::{Role, StreamKey};

const KEY: StreamKey = StreamKey(0);
const QUARTER: u32 = 64 << 10;

/// Returns a listener's session with stream 1 open, its window received in full and nothing
/// consumed.
fn full() -> Session {
    let mut session = listener();
    feed(&mut session, &data(SYN, 1, 4 * QUARTER)).unwrap();
    session.poll_control(&mut Vec::new(), usize::MAX);
    session
}

// Y13, go 154
#[test]
fn credit_is_returned_a_quarter_at_a_time() {
    let mut session = full();
    let mut budget = LimitedBudget::of(0);
    session.consumed(KEY, QUARTER - 1, NOW, &mut budget);
    assert_eq!(control(&mut session), []);
    session.consumed(KEY, 1, NOW, &mut budget);
    // Bytes consumed before the update is written are included.
    session.consumed(KEY, 5, NOW, &mut budget);
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, QUARTER + 5)]
    );
    session.consumed(KEY, QUARTER, NOW, &mut budget);
    assert_eq!(
        control(&mut session),
        [Header::window_update(NONE, 1, QUARTER)]
    );
}

// Y6: level-triggered, so a stream has at most one update to send.
#[test]
fn updates_of_a_stalled_connection_do_not_pile_up() {
    let mut session = full();
    for _ in 0..4 * QUARTER {
        session.consumed(KEY, 1, NOW, &mut LimitedBudget::of(0));
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
    session.consumed(KEY, 4 * QUARTER, NOW, &mut LimitedBudget::of(0));
    assert_eq!(control(&mut session), []);
}

/// A remote that sends on stream 1 of a listener's session, over a path with a round trip.
struct Sender {
    session: Session,
    budget: LimitedBudget,
    now: Duration,
    /// Bytes that the remote may send.
    credit: u32,
    sent: u64,
    unread: u32,
}

impl Sender {
    fn new(config: Config) -> Self {
        let mut session = Session::new(Role::Listener, config);
        feed(&mut session, &update(SYN, 1, 0)).unwrap();
        control(&mut session);
        Self {
            session,
            budget: LimitedBudget::of(64 << 20),
            now: NOW,
            credit: 256 << 10,
            sent: 0,
            unread: 0,
        }
    }

    /// Like [`new`](Self::new), with a measured round trip.
    fn with_round_trip(rtt: Duration, config: Config) -> Self {
        let mut sender = Self::new(config);
        sender.session.ping(sender.now);
        let ping = control(&mut sender.session)[0].length;
        sender.now += rtt;
        let pong = Header::ping(ACK, ping).encode();
        sender
            .session
            .poll_event(&mut pong.as_slice(), sender.now)
            .unwrap();
        assert_eq!(sender.session.rtt(), Some(rtt));
        sender
    }

    fn window(&self) -> u32 {
        self.session.receive_window(KEY)
    }

    /// Sends `bytes`, limited by the credit.
    fn send(&mut self, bytes: u32) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let mut left = bytes.min(self.credit);
        self.credit -= left;
        self.sent += u64::from(left);
        while left > 0 {
            let length = left.min(ZEROS.len() as u32);
            let header = Header::data(NONE, 1, length).encode();
            let none = self
                .session
                .poll_event(&mut header.as_slice(), self.now)
                .unwrap();
            assert_eq!(none, None);
            let mut body = &ZEROS[..length as usize];
            self.session.poll_event(&mut body, self.now).unwrap();
            self.unread += length;
            left -= length;
        }
    }

    /// Reads at most `bytes`, a quarter of the initial window at a time; the remote gets the credit
    /// immediately.
    fn read(&mut self, bytes: u32) {
        let mut left = bytes.min(self.unread);
        self.unread -= left;
        while left > 0 {
            let bytes = left.min(QUARTER);
            self.session
                .consumed(KEY, bytes, self.now, &mut self.budget);
            left -= bytes;
        }
        for header in control(&mut self.session) {
            self.credit += header.length;
        }
    }

    /// Sends as much as the window allows, once per round trip; returns the window.
    fn bulk(&mut self, rtt: Duration, round_trips: u32) -> u32 {
        for _ in 0..round_trips {
            self.send(u32::MAX);
            self.now += rtt;
            self.read(u32::MAX);
        }
        self.window()
    }
}

// Y13: growth does not stall below the budget, whatever the round trip.
#[test]
fn a_window_limited_stream_grows_to_the_budget_at_any_round_trip() {
    for rtt_ms in [1, 20, 50, 100, 300] {
        let rtt = Duration::from_millis(rtt_ms);
        let mut sender = Sender::with_round_trip(rtt, Config::default());
        assert_eq!(sender.bulk(rtt, 16), 64 << 20, "at {rtt:?}");
        assert_eq!(sender.budget.reserved, (64 << 20) - (256 << 10));
    }
}

// A loopback at 370 MB/s, the rate measured with a window of 256 KiB.
#[test]
fn bulk_over_loopback_has_4_mib_of_window_within_8_mib() {
    let mut sender = Sender::with_round_trip(Duration::from_micros(50), Config::default());
    while sender.window() < 4 << 20 {
        let wait = Duration::from_nanos(u64::from(sender.window()) * 27 / 10);
        sender.bulk(wait, 1);
    }
    assert!(sender.sent < 8 << 20, "{}", sender.sent);
}

// Without pongs, or before the first.
#[test]
fn bulk_grows_without_a_measured_round_trip() {
    let mut sender = Sender::new(Config::default());
    assert_eq!(sender.bulk(Duration::from_millis(1), 16), 64 << 20);
}

#[test]
fn a_slow_reader_keeps_its_window() {
    let rtt = Duration::from_millis(20);
    let mut sender = Sender::with_round_trip(rtt, Config::default());
    for _ in 0..100 {
        sender.send(u32::MAX);
        sender.now += rtt;
        // A window in five round trips.
        sender.read((256 << 10) / 5);
    }
    assert_eq!(sender.window(), 256 << 10);
}

// A rate of 5 MiB/s over 100 ms: 512 KiB per round trip.
#[test]
fn growth_stops_at_a_few_times_the_capacity_of_the_path() {
    let rtt = Duration::from_millis(100);
    let mut sender = Sender::with_round_trip(rtt, Config::default());
    for _ in 0..1_000 {
        sender.send(52_429);
        sender.now += rtt / 10;
        sender.read(u32::MAX);
    }
    let window = sender.window();
    assert!((2 << 20..=4 << 20).contains(&window), "{window}");
}

// A stream that was idle grows as quickly as a fresh one.
#[test]
fn idle_time_does_not_hinder_growth() {
    let rtt = Duration::from_millis(50);
    let mut sender = Sender::with_round_trip(rtt, Config::default());
    sender.now += Duration::from_secs(3_600);
    assert_eq!(sender.bulk(rtt, 16), 64 << 20);
}

// A103
#[test]
fn growth_is_capped_by_the_budget_whatever_round_trip_the_remote_fakes() {
    let mut sender = Sender::with_round_trip(Duration::from_secs(30), Config::default());
    sender.budget = LimitedBudget::of(1 << 20);
    // 256 and 512 KiB are granted, the next MiB is not.
    assert_eq!(sender.bulk(Duration::from_millis(100), 20), 1 << 20);
    assert_eq!(sender.budget.reserved, 768 << 10);
}

#[test]
fn growth_ends_at_the_configured_maximum() {
    let rtt = Duration::from_millis(10);
    for (window_max, expected) in [(3 << 20, 3 << 20), (256 << 10, 256 << 10), (0, 256 << 10)] {
        let config = Config {
            window_max,
            ..Config::default()
        };
        assert_eq!(Sender::with_round_trip(rtt, config).bulk(rtt, 12), expected);
    }
}

#[test]
fn credit_is_reported_only_when_there_was_none() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 10)).unwrap();
    assert_eq!(session.send_credit(KEY), (256 << 10) + 10);
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    while session.send_credit(KEY) > 0 {
        session.data_header(KEY, session.send_credit(KEY).min(16_372));
    }
    assert_eq!(
        feed(&mut session, &update(NONE, 1, 5)).unwrap(),
        [OwnedEvent::Writable(0)]
    );
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    assert_eq!(session.send_credit(KEY), 10);
    // No event reports credit on a closed half.
    session.data_header(KEY, 10);
    session.fin_frame(KEY);
    assert_eq!(feed(&mut session, &update(NONE, 1, 5)).unwrap(), []);
    assert_eq!(session.send_credit(KEY), 0);
}
