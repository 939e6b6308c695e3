//! How far remotes may be ahead of the application.

use ferroswarm_proto::muxer::MemoryBudget;

use super::*;
use crate::window::Window;

/// Memory for the growth of windows, or none.
pub(super) struct Memory(pub(super) bool);

impl MemoryBudget for Memory {
    fn reserve(&mut self, _bytes: u32) -> bool {
        self.0
    }
}

/// Writes until flow control stops that; returns the bytes written, and passed on.
fn fill(pair: &mut Pair, near: StreamKey, far: StreamKey) -> (usize, usize) {
    let (mut sent, mut passed) = (0, 0);
    loop {
        let written = pair.dialer.session().write(near, &[0; 64 << 10]);
        pair.run(SECOND, |_| false);
        let more = received(&pair.listener.take_events(), far).0.len();
        (sent, passed) = (sent + written.count, passed + more);
        if written.count == 0 && more == 0 {
            return (sent, passed);
        }
    }
}

#[test]
fn bytes_ahead_of_the_application_wait_within_the_windows() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    let ahead = AHEAD_MIN as usize;
    let (sent, passed) = fill(&mut pair, near, far);
    assert_eq!(1 + passed, ahead);
    let window = Config::default().stream_window as usize;
    let held = ahead + window + SEND_WINDOW_MAX as usize;
    assert!(1 + sent >= window && sent <= held, "{sent}");
    let now = pair.now;
    let session = pair.listener.session();
    assert_eq!(session.reserved() as usize, window);
    // What has been read is followed by as much.
    session.consumed(far, AHEAD_MIN, now, &mut Memory(false));
    pair.settle();
    assert_eq!(received(&pair.listener.take_events(), far).0.len(), ahead);
}

#[test]
fn streams_that_nobody_reads_leave_room_for_the_others() {
    let mut pair = Pair::connected(&Config::default());
    for _ in 0..3 {
        let (near, far) = open(&mut pair, b"x");
        fill(&mut pair, near, far);
    }
    let (near, far) = open(&mut pair, b"x");
    let (_, passed) = fill(&mut pair, near, far);
    assert_eq!(1 + passed, AHEAD_MIN as usize);
    for (key, _) in (0..).map(StreamKey).zip(0..4) {
        pair.listener.session().reset(key, 0);
        pair.listener.session().remove(key);
    }
    pair.settle();
    // What the remote may still send stays reserved.
    let window = Config::default().stream_window;
    assert!(pair.listener.session().reserved() >= window);
}

#[test]
fn streams_that_are_read_late_again_and_again_get_the_remote_no_credit_beyond_the_window() {
    let mut pair = Pair::connected(&Config::default());
    let (near, far) = open(&mut pair, b"x");
    for _ in 0..20 {
        // A burst of what may be ahead, and a little more: the stream is full.
        let burst = vec![0; AHEAD_MIN as usize + 1];
        pair.dialer.session().write(near, &burst);
        pair.settle();
        let now = pair.now + SECOND;
        pair.listener.take_events();
        let session = pair.listener.session();
        session.consumed(far, AHEAD_MIN + 1, now, &mut Memory(false));
        pair.settle();
        pair.listener.take_events();
    }
    let mut sent = 0;
    for _ in 0..10 {
        let near = pair.dialer.session().open().expect("room");
        loop {
            let written = pair.dialer.session().write(near, &[0; 1 << 20]);
            pair.settle();
            if written.count == 0 {
                break;
            }
            sent += written.count;
        }
    }
    let ahead = 11 * AHEAD_MIN as usize;
    let window = Config::default().connection_window as usize;
    let held = window + ahead + SEND_WINDOW_MAX as usize;
    assert!(sent <= held, "{sent} of {held}");
}

#[test]
fn without_memory_unread_streams_share_the_first_window() {
    let mut pair = Pair::connected(&Config::default());
    pair.listener.has_memory = false;
    let (near, far) = open(&mut pair, b"x");
    let (sent, _) = fill(&mut pair, near, far);
    let first = Window::first(u32::MAX) as usize;
    let held = first + AHEAD_MIN as usize + SEND_WINDOW_MAX as usize;
    assert!(sent >= first && sent <= held, "{sent}");
    assert_eq!(pair.listener.session().reserved(), 0);
}

#[test]
fn a_stream_that_is_read_fast_is_passed_on_further_ahead_if_there_is_memory() {
    for (memory, wait, factor) in [
        (true, Duration::ZERO, 2),
        (false, Duration::ZERO, 1),
        (true, AHEAD_TIME, 1),
    ] {
        let mut pair = Pair::connected(&Config::default());
        let (near, far) = open(&mut pair, b"x");
        fill(&mut pair, near, far);
        let now = pair.now;
        let session = pair.listener.session();
        session.consumed(far, AHEAD_MIN, now, &mut Memory(false));
        session.consumed(far, AHEAD_MIN, now + wait, &mut Memory(memory));
        pair.settle();
        fill(&mut pair, near, far);
        let stream = pair.listener.session().stream(far).expect("a stream");
        assert_eq!(stream.unread, factor * AHEAD_MIN, "{memory} {wait:?}");
    }
}
