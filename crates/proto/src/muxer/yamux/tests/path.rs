//! Window growth over a path with a given rate and round trip, frame by frame.

use std::collections::VecDeque;
use std::time::Duration;

use super::support::*;
use crate::muxer::yamux::frame::{HEADER_BYTES, Header};
use crate::muxer::yamux::{Config, FRAME_PAYLOAD_MAX, Session};
use crate::muxer::{Role, StreamKey};

const KEY: StreamKey = StreamKey(0);

/// A path from a sender that always has data to a reader that consumes everything immediately.
struct Path {
    session: Session,
    budget: LimitedBudget,
    /// Bytes per second.
    rate: u64,
    rtt: Duration,
    /// Time at which the link has room for the next frame.
    free_at: Duration,
    /// Bytes that the sender may send.
    credit: u64,
    /// Credit in flight to the sender.
    updates: VecDeque<(Duration, u64)>,
    received: u64,
}

impl Path {
    fn new(megabits: u64, rtt_ms: u64, budget: u64) -> Self {
        let rtt = Duration::from_millis(rtt_ms);
        let mut session = Session::new(Role::Listener, Config::default());
        feed(&mut session, &update(SYN, 1, 0)).unwrap();
        session.accept(KEY);
        session.ping(NOW);
        control(&mut session);
        let pong = Header::ping(ACK, 0).encode();
        session
            .poll_event(&mut pong.as_slice(), NOW + rtt)
            .unwrap()
            .expect("a pong");
        Self {
            session,
            budget: LimitedBudget::of(budget),
            rate: megabits * 1_000_000 / 8,
            rtt,
            free_at: NOW + rtt,
            credit: 256 << 10,
            updates: VecDeque::new(),
            received: 0,
        }
    }

    /// Returns the bandwidth-delay product in bytes.
    fn product(&self) -> u64 {
        u64::try_from(self.rtt.as_micros()).unwrap() * self.rate / 1_000_000
    }

    /// Sends for `time`; returns the number of bytes that arrived.
    fn run(&mut self, time: Duration) -> u64 {
        let (until, before) = (self.free_at + time, self.received);
        while self.free_at < until {
            while let Some((at, delta)) = self.updates.front().copied()
                && at <= self.free_at
            {
                self.updates.pop_front();
                self.credit += delta;
            }
            if self.credit == 0 {
                let (at, _) = *self.updates.front().expect("credit is in flight");
                self.free_at = at;
                continue;
            }
            self.send_frame();
        }
        self.received - before
    }

    fn send_frame(&mut self) {
        static ZEROS: [u8; FRAME_PAYLOAD_MAX] = [0; FRAME_PAYLOAD_MAX];
        let length = self.credit.min(FRAME_PAYLOAD_MAX as u64);
        self.credit -= length;
        let wire = length + HEADER_BYTES as u64;
        self.free_at += Duration::from_nanos(wire * 1_000_000_000 / self.rate);
        let arrives_at = self.free_at + self.rtt / 2;
        let header = Header::data(NONE, 1, length as u32).encode();
        for mut input in [&header[..], &ZEROS[..length as usize]] {
            while self
                .session
                .poll_event(&mut input, arrives_at)
                .unwrap()
                .is_some()
            {}
        }
        self.received += length;
        self.session
            .consumed(KEY, length as u32, arrives_at, &mut self.budget);
        for header in control(&mut self.session) {
            let at = arrives_at + self.rtt / 2;
            self.updates.push_back((at, u64::from(header.length)));
        }
    }

    fn window(&self) -> u64 {
        u64::from(self.session.receive_window(KEY))
    }

    /// Returns the number of round trips until the path is full, and asserts that it stays full.
    fn fill(&mut self) -> u32 {
        let full = self.product() * 98 / 100;
        for round_trips in 1..100 {
            if self.run(self.rtt) >= full {
                let received = self.run(self.rtt * 20);
                assert!(received >= 20 * full, "{received} bytes in 20 round trips");
                return round_trips;
            }
        }
        panic!("a window of {} fills no path", self.window());
    }
}

// Y13: here js stays at a window of 16 MiB, and go, which stops growing early, at 7 MB.
#[test]
fn a_window_fills_a_path_of_2_gbit_a_second_and_63_ms() {
    let mut path = Path::new(2_000, 63, 16 << 20);
    assert_eq!(path.product(), 15_750_000);
    let round_trips = path.fill();
    assert!(round_trips <= 12, "full after {round_trips} round trips");
    assert_eq!(path.window(), 16 << 20);
}

#[test]
fn a_window_fills_any_path_that_the_budget_holds() {
    for (megabits, rtt_ms) in [(100, 20), (1_000, 63), (1_000, 250), (10_000, 63)] {
        let mut path = Path::new(megabits, rtt_ms, 1 << 30);
        let round_trips = path.fill();
        let (window, product) = (path.window(), path.product());
        assert!(window >= product, "{window} of {product} bytes");
        // It doubles as long as a window is used up within four round trips.
        assert!(window <= 8 * product, "{window} for {product} bytes");
        assert!(round_trips <= 20, "full after {round_trips} round trips");
    }
}

// A window that the budget does not let grow keeps its size, and the stream continues.
#[test]
fn a_window_refused_growth_carries_one_window_per_round_trip() {
    let mut path = Path::new(2_000, 63, 1 << 20);
    path.run(path.rtt * 20);
    assert_eq!(path.window(), 1 << 20);
    let received = path.run(path.rtt * 100);
    let expected = 100 * (1 << 20);
    // Consumed and unannounced bytes, up to a quarter, are not in use.
    assert!((expected * 3 / 4..=expected).contains(&received));
}
