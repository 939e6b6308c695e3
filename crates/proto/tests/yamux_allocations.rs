//! A yamux session in steady state does not allocate per frame, per window update or per stream.

mod counting;

use std::time::Duration;

use ferroswarm_proto::muxer::yamux::{Config, Event, FRAME_PAYLOAD_MAX, Session};
use ferroswarm_proto::muxer::{MemoryBudget, Role, StreamKey};

use counting::counts;

/// Returns the number of allocations in a thousand rounds, after a thousand rounds of warm-up.
fn allocations_of(mut round: impl FnMut()) -> usize {
    (0..1_000).for_each(|_| round());
    let before = counts().0;
    (0..1_000).for_each(|_| round());
    counts().0 - before
}

struct UnlimitedBudget;

impl MemoryBudget for UnlimitedBudget {
    fn reserve(&mut self, _bytes: u32) -> bool {
        true
    }
}

/// Two sessions and the bytes in flight between them.
struct Pair {
    ends: [Session; 2],
    wire: Vec<u8>,
    now: Duration,
    received: usize,
}

const DIALER: usize = 0;
const LISTENER: usize = 1;

impl Pair {
    fn new() -> Self {
        let end = |role| Session::new(role, Config::default());
        Self {
            ends: [end(Role::Dialer), end(Role::Listener)],
            wire: Vec::with_capacity(1 << 20),
            now: Duration::from_secs(1),
            received: 0,
        }
    }

    fn write(&mut self, side: usize, key: StreamKey, length: usize) {
        let header = self.ends[side].data_header(key, length as u32);
        self.wire.extend_from_slice(&header);
        self.wire.resize(self.wire.len() + length, 7);
    }

    fn finish(&mut self, side: usize, key: StreamKey) {
        let frame = self.ends[side].fin_frame(key);
        self.wire.extend_from_slice(&frame);
    }

    /// Delivers the output of `side`; payload is consumed and reset streams are removed.
    fn deliver(&mut self, side: usize) {
        self.ends[side].poll_control(&mut self.wire, usize::MAX);
        self.now += Duration::from_micros(10);
        let receiver = &mut self.ends[1 - side];
        let mut input = self.wire.as_slice();
        while let Some(event) = receiver
            .poll_event(&mut input, self.now)
            .expect("both follow the protocol")
        {
            match event {
                Event::Opened { key } => receiver.accept(key),
                Event::Data { key, bytes } => {
                    self.received += bytes.len();
                    receiver.consumed(key, bytes.len() as u32, self.now, &mut UnlimitedBudget);
                }
                Event::Reset { key, .. } => receiver.remove(key),
                Event::Finished { .. }
                | Event::Acked { .. }
                | Event::Writable { .. }
                | Event::GoAway { .. }
                | Event::Pong { .. } => {}
            }
        }
        self.wire.clear();
    }
}

#[test]
fn data_frames_and_window_updates_allocate_nothing() {
    let mut pair = Pair::new();
    let keys: Vec<StreamKey> = (0..10).map(|_| pair.ends[DIALER].open().unwrap()).collect();
    let round = || {
        for key in &keys {
            pair.write(DIALER, *key, FRAME_PAYLOAD_MAX);
            pair.write(DIALER, *key, 100);
        }
        pair.deliver(DIALER);
        for key in &keys {
            pair.write(LISTENER, *key, 1_000);
        }
        pair.ends[LISTENER].ping(pair.now);
        pair.deliver(LISTENER);
    };
    assert_eq!(allocations_of(round), 0);
    assert_eq!(
        pair.received,
        2_000 * 10 * (FRAME_PAYLOAD_MAX + 100 + 1_000)
    );
}

#[test]
fn streams_that_come_and_go_allocate_nothing() {
    let mut pair = Pair::new();
    let round = || {
        for _ in 0..10 {
            let key = pair.ends[DIALER].open().unwrap();
            pair.write(DIALER, key, 10);
            pair.finish(DIALER, key);
            pair.deliver(DIALER);
            // Both slabs hold only this stream, so it has the same key in both.
            pair.write(LISTENER, key, 10);
            pair.finish(LISTENER, key);
            pair.ends[LISTENER].remove(key);
            pair.deliver(LISTENER);
            pair.ends[DIALER].remove(key);
        }
        let key = pair.ends[DIALER].open().unwrap();
        pair.deliver(DIALER);
        pair.ends[DIALER].reset(key, 5);
        pair.ends[DIALER].remove(key);
        pair.deliver(DIALER);
        pair.deliver(LISTENER);
    };
    assert_eq!(allocations_of(round), 0);
    let [dialer, listener] = &pair.ends;
    assert_eq!((dialer.outbound_live(), listener.inbound_live()), (0, 0));
    assert_eq!(listener.stats().inbound_opened, 22_000);
}
