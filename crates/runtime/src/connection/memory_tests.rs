//! What a connection holds, what it promises, and what becomes of both.

use crate::Limits;
use crate::error::ConnectionFault;
use crate::live::Live;

/// Moves `bytes` over a stream whose reader keeps up.
fn bulk(live: &mut Live, (from, to): (u32, u32), bytes: usize) {
    let chunk = vec![7; 256 << 10];
    let mut received = 0;
    while received < bytes {
        live.dialer.write(from, &chunk);
        live.settle();
        received += live.listener.read(to).0.len();
    }
}

// A103
#[test]
fn windows_grow_within_the_memory_of_their_connection_and_give_it_back() {
    let small = Limits {
        connection_bytes_max: 4 << 20,
        ..Limits::default()
    };
    let mut live = Live::with(Limits::default(), small);
    let (first, second) = (live.stream(), live.stream());
    bulk(&mut live, first, 32 << 20);
    // 256 KiB, then 512 KiB more, and the next doubling would be beyond half of the memory.
    assert_eq!(live.listener.connection.window_growth(), 1792 << 10);
    bulk(&mut live, second, 32 << 20);
    assert_eq!(live.listener.connection.window_growth(), 2 << 20);
    live.dialer.reset(first.0, 0);
    live.settle();
    assert_eq!(live.listener.connection.window_growth(), 256 << 10);
    live.dialer.connection.finish(ConnectionFault::Ended);
    live.listener.connection.finish(ConnectionFault::Ended);
    assert_eq!(live.listener.connection.window_growth(), 0);
}

#[test]
fn windows_do_not_grow_when_the_process_has_no_memory_for_it() {
    let poor = Limits {
        window_memory_bytes: 1,
        ..Limits::default()
    };
    let mut live = Live::with(Limits::default(), poor);
    let stream = live.stream();
    bulk(&mut live, stream, 8 << 20);
    assert_eq!(live.listener.connection.window_growth(), 0);
}
