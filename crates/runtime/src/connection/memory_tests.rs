//! Memory held by a connection, receive windows it has granted, and their release.

use std::time::Duration;

use crate::Limits;
use crate::error::{CallError, ConnectionFault};
use crate::live::{Live, Side};
use crate::record::Record;
use crate::slot::{Proposals, ResetReport};
use crate::testing::EndLimits;

/// `StreamErrorCode::GarbageCollected`.
const GARBAGE_COLLECTED: u32 = 0x1006;

/// `StreamErrorCode::ResourceLimitExceeded`.
const RESOURCE_LIMIT_EXCEEDED: u32 = 0x1002;

/// Returns the growth of the receive windows of a connection that holds no bytes.
fn growth(side: &Side) -> u64 {
    let connection = &side.connection;
    // The scope is closed with a connection that holds nothing.
    let stat = connection.resources().stat(connection.scope());
    stat.map_or(0, |(usage, _)| usage.memory)
}

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
fn windows_grow_within_the_memory_of_their_connection_and_return_it() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 4 << 20);
    let mut live = Live::with(Limits::default(), small);
    let (first, second) = (live.stream(), live.stream());
    bulk(&mut live, first, 32 << 20);
    // Windows double from 256 KiB until the next doubling would exceed half of the memory.
    assert_eq!(growth(&live.listener), 1792 << 10);
    bulk(&mut live, second, 32 << 20);
    assert_eq!(growth(&live.listener), 2 << 20);
    live.dialer.reset(first.0, 0);
    live.settle();
    // The returned growth lets the other grow once more, by the bytes it had consumed.
    assert_eq!(growth(&live.listener), 768 << 10);
    live.dialer.reset(second.0, 0);
    live.settle();
    assert_eq!(growth(&live.listener), 0);
}

// A103: a window of 16 MiB fits into the default memory of a connection while bytes are unread.
#[test]
fn unread_bytes_are_covered_by_the_growth_of_windows() {
    let mut live = Live::new();
    let stream = live.stream();
    bulk(&mut live, stream, 8 << 20);
    let grown = growth(&live.listener);
    assert!(grown > 1 << 20);
    live.dialer.write(stream.0, &vec![7; 256 << 10]);
    live.settle();
    let held = live.listener.connection.held() as u64;
    assert!(held >= 256 << 10, "{held}");
    assert_eq!(growth(&live.listener), grown);
    live.dialer.close_write(stream.0);
    live.listener.close_write(stream.1);
    live.settle();
    assert_eq!(live.listener.read(stream.1).0.len(), 256 << 10);
    live.dialer.reset(stream.0, 0);
    live.settle();
    assert_eq!(growth(&live.listener), 0);
}

#[test]
fn an_ended_connection_returns_its_window_growth() {
    let mut live = Live::new();
    let stream = live.stream();
    bulk(&mut live, stream, 4 << 20);
    assert!(growth(&live.listener) > 0);
    live.listener.connection.finish(ConnectionFault::Ended);
    assert_eq!(growth(&live.listener), 0);
}

#[test]
fn windows_do_not_grow_without_memory_of_their_stream() {
    let poor = EndLimits::of_scopes(|limits| limits.stream.memory = 1);
    let mut live = Live::with(Limits::default(), poor);
    let stream = live.stream();
    bulk(&mut live, stream, 8 << 20);
    assert_eq!(growth(&live.listener), 0);
}

/// Returns the stream that was reset and its report; nothing else was reported.
fn only_reset(side: &mut Side) -> (u32, ResetReport) {
    match side.take_records()[..] {
        [
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
        ] => (stream, report),
        ref reported => panic!("reported {reported:?}"),
    }
}

/// Slightly more than `linger_timeout`.
const LINGER: Duration = Duration::from_secs(61);

/// Fills the window of a stream that is not read, and its send pipe.
fn stuff(live: &mut Live) -> (u32, u32) {
    let (dialed, accepted) = live.stream();
    let bytes = vec![1; 256 << 10];
    while live.dialer.write(dialed, &bytes) > 0 {
        live.settle();
    }
    live.dialer.take_records();
    (dialed, accepted)
}

fn wait(live: &mut Live, time: Duration) {
    live.dialer.connection.advance(time);
    live.listener.connection.advance(time);
    live.settle();
}

#[test]
fn a_closed_stream_whose_bytes_are_not_taken_is_reset() {
    let mut live = Live::new();
    let (dialed, accepted) = stuff(&mut live);
    live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
    live.settle();
    wait(&mut live, LINGER - Duration::from_secs(2));
    assert_eq!(live.dialer.take_records(), []);
    wait(&mut live, Duration::from_secs(2));
    let (stream, report) = only_reset(&mut live.dialer);
    assert_eq!(
        (stream, report.code, report.remote),
        (dialed, GARBAGE_COLLECTED, false)
    );
    let (stream, report) = only_reset(&mut live.listener);
    assert_eq!(
        (stream, report.code, report.remote),
        (accepted, GARBAGE_COLLECTED, true)
    );
    assert_eq!(live.dialer.connection.stream_count(), 0);
    assert_eq!(live.dialer.connection.unsealed(), 0);
}

#[test]
fn a_stream_closed_for_writing_may_wait_until_its_reader_is_done() {
    let mut live = Live::new();
    let (dialed, accepted) = stuff(&mut live);
    live.dialer.close_write(dialed);
    wait(&mut live, 2 * LINGER);
    assert_eq!(live.dialer.take_records(), []);
    // The remote's end has been read: the stream is closed locally.
    live.listener.close_write(accepted);
    live.settle();
    live.dialer.read(dialed).1.unwrap_err();
    live.settle();
    wait(&mut live, LINGER);
    let (stream, report) = only_reset(&mut live.dialer);
    assert_eq!((stream, report.code), (dialed, GARBAGE_COLLECTED));
}

#[test]
fn a_closed_stream_whose_bytes_are_taken_slowly_is_not_reset() {
    let mut live = Live::new();
    let (dialed, accepted) = stuff(&mut live);
    live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
    let mut some = vec![0; 100 << 10];
    let mut received = 0;
    loop {
        match live.listener.environment.read(accepted, &mut some) {
            Ok(count) => received += count,
            Err(error) => {
                assert_eq!(error, CallError::EndOfStream);
                break;
            }
        }
        wait(&mut live, LINGER);
    }
    assert!(received >= 500 << 10, "received {received} bytes");
}

// A073, A074: the window lets a stream send 262,144 single bytes.
#[test]
fn single_bytes_take_no_more_than_twice_their_memory() {
    let mut live = Live::raw();
    let stream = live.dialer.open(Proposals::Raw);
    for _ in 0..256 << 10 {
        live.dialer.write(stream, &[7]);
        live.dialer.environment.flush();
    }
    live.settle();
    let (bytes, held) = (256 << 10, live.listener.connection.held());
    assert!(
        (bytes..=2 * bytes).contains(&held),
        "{held} for {bytes} bytes"
    );
}

#[test]
fn partly_read_pipes_are_compacted_before_a_stream_is_reset() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 1 << 20);
    let mut live = Live::with(Limits::default(), small);
    // Each stream holds a byte or two in a chunk of 64 KiB.
    let streams: Vec<(u32, u32)> = (0..40).map(|_| live.stream()).collect();
    for (dialed, accepted) in &streams {
        live.dialer.write(*dialed, &[7; 200 << 10]);
        live.settle();
        let mut buffer = vec![0; (200 << 10) - 1];
        let mut taken = 0;
        while taken < buffer.len() {
            taken += live
                .listener
                .environment
                .read(*accepted, &mut buffer[taken..])
                .unwrap();
            live.settle();
        }
        assert!(live.listener.connection.held() <= 1 << 20);
    }
    assert_eq!(live.listener.connection.hub.stats.memory_resets.get(), 0);
    for (_, accepted) in &streams {
        assert_eq!(live.listener.read(*accepted).0, [7]);
    }
    assert_eq!(live.listener.connection.held(), 0);
}

#[test]
fn a_connection_over_its_memory_limit_keeps_reading_and_resets_only_the_largest_streams() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 1 << 20);
    let mut live = Live::with(Limits::default(), small);
    let (light, light_there) = live.stream();
    live.dialer.write(light, b"kept");
    let mut reset = 0;
    for _ in 0..20 {
        let (heavy, _) = live.stream();
        live.dialer.write(heavy, &[1; 200 << 10]);
        live.settle();
        assert!(live.listener.connection.held() <= 1 << 20);
        for record in live.listener.take_records() {
            if let Record::StreamReset { report, .. } = record {
                assert_eq!(report.code, RESOURCE_LIMIT_EXCEEDED);
                reset += 1;
            }
        }
    }
    // Three streams of 200 KiB fit, each in chunks of 256 KiB.
    assert_eq!(reset, 17);
    assert_eq!(live.listener.connection.hub.stats.memory_resets.get(), 17);
    assert_eq!(live.listener.connection.hub.stats.read_pauses.get(), 0);
    assert_eq!(live.listener.read(light_there).0, b"kept");
}

#[test]
fn unread_bytes_stay_charged_after_the_end_of_their_connection_until_they_are_read() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, &vec![7; 200 << 10]);
    live.dialer.close_write(dialed);
    live.listener.close_write(accepted);
    live.settle();
    live.dialer.connection.finish(ConnectionFault::Ended);
    live.listener.connection.finish(ConnectionFault::Ended);
    live.settle();
    assert!(growth(&live.listener) >= 200 << 10);
    assert_eq!(live.listener.read(accepted).0.len(), 200 << 10);
    live.settle();
    assert_eq!(growth(&live.listener), 0);
}

#[test]
fn bytes_that_are_not_sent_cost_no_stream_that_receives() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 128 << 10);
    let mut live = Live::with(small, EndLimits::default());
    let (echo, echo_there) = live.stream();
    // The remote's window is full, and the rest waits here, beyond the memory of the connection.
    let uploads: Vec<_> = (0..12).map(|_| live.stream().0).collect();
    live.listener.drains = false;
    for upload in &uploads {
        for _ in 0..20 {
            live.dialer.write(*upload, &[1; 32 << 10]);
            live.settle();
        }
    }
    live.listener.drains = true;
    live.listener.write(echo_there, &[2; 40 << 10]);
    live.settle();
    assert_eq!(live.dialer.read(echo).0.len(), 40 << 10);
    assert_eq!(live.dialer.connection.hub.stats.memory_resets.get(), 0);
}
