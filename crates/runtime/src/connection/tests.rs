//! Stream lifecycle on a live connection.

use std::time::Duration;

use crate::Limits;
use crate::StreamSlot;
use crate::connection::{CloseManner, CloseRequest, EndReport};
use crate::error::{CallError, ConnectionFault, StreamFault};
use crate::live::{Live, Side, closed};
use crate::record::Record;
use crate::resources::ResourceOptions;
use crate::slot::Proposals;
use crate::testing::EndLimits;
use crate::testing::pair::SINGLE;
use crate::{HANDLE_PENDING, State};

#[path = "engine_tests.rs"]
mod engines;

#[path = "opening_tests.rs"]
mod opening;
use self::opening::{
    abandoned_waiting_streams_are_freed, streams_opened_at_once_wait_for_a_busy_remote,
};

#[path = "reset_tests.rs"]
mod resets;

/// Unacknowledged outbound streams at which the next one waits.
const UNACKED_MAX: u32 = 256;

fn fault_of(side: &mut Side, expected: u32) -> Option<StreamFault> {
    match side.take_records()[..] {
        [
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
        ] => {
            assert_eq!(stream, expected);
            report.fault
        }
        ref reported => panic!("reported {reported:?}"),
    }
}

#[test]
fn a_stream_whose_end_is_read_last_frees_its_place_before_the_next_one() {
    let mut live = Live::new();
    for _ in 0..3 {
        let (dialed, taken) = live.stream_of(Proposals::Lazy(SINGLE));
        live.listener.close_write(taken);
        live.dialer.close_write(dialed);
        live.settle();
        let end = (Vec::new(), Err(CallError::EndOfStream));
        assert_eq!(live.listener.read(taken), end);
        let mut reported = Vec::new();
        let environment = &mut live.listener.environment;
        environment.drain(64, |record| reported.push(record));
        assert_eq!(reported, closed(taken));
    }
}

#[test]
fn a_lazy_protocol_that_is_refused_fails_the_stream() {
    let mut live = Live::new();
    let stream = live.dialer.open(Proposals::Lazy(9));
    live.dialer.write(stream, b"too early");
    live.settle();
    let fault = fault_of(&mut live.dialer, stream);
    assert_eq!(fault, Some(StreamFault::UnsupportedProtocol));
    assert_eq!(live.dialer.connection.stream_count(), 0);
    assert_eq!(live.listener.connection.stream_count(), 0);
    assert_eq!(live.listener.take_records(), []);
}

#[test]
fn the_first_supported_of_several_protocols_is_negotiated() {
    let mut live = Live::new();
    let proposals = Proposals::AnyOf(Box::from([9, 10, 3, 4]));
    let answer = live
        .dialer
        .environment
        .open(live.dialer.handle, proposals)
        .unwrap();
    let stream = answer & !HANDLE_PENDING;
    assert_ne!(answer, stream, "it is not usable yet");
    assert_eq!(live.dialer.write(stream, b"no byte precedes the choice"), 0);
    live.settle();
    let reported = live.dialer.take_records();
    let [
        Record::StreamNegotiated {
            protocol: 3,
            fault: None,
            ..
        },
        Record::StreamWritable { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    live.dialer.write(stream, b"now");
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamOpened {
            stream,
            protocol: 3,
            ..
        },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    assert_eq!(live.listener.read(stream).0, b"now");
}

#[test]
fn a_single_protocol_can_be_settled_before_the_stream_is_usable() {
    let mut live = Live::new();
    let mut settled = |protocol| {
        let proposals = Proposals::AnyOf(Box::from([protocol]));
        let dialer = &mut live.dialer;
        let answer = dialer.environment.open(dialer.handle, proposals).unwrap();
        let stream = answer & !HANDLE_PENDING;
        assert_ne!(answer, stream, "it is not usable yet");
        live.settle();
        stream
    };
    let (supported, unsupported) = (settled(3), settled(9));
    let reported = live.dialer.take_records();
    assert!(
        matches!(
            reported[..],
            [
                Record::StreamNegotiated { stream, protocol: 3, fault: None },
                Record::StreamReset { .. },
                Record::StreamClosed { .. }
            ] if stream == supported
        ),
        "reported {reported:?}"
    );
    let fault = StreamFault::UnsupportedProtocol;
    let read = live.dialer.read(unsupported);
    assert_eq!(read.1, Err(CallError::Failed(fault)));
}

#[test]
fn a_fin_requested_during_negotiation_waits_for_it() {
    let mut live = Live::new();
    let stream = live.dialer.open(Proposals::AnyOf(Box::from([9, 10, 3])));
    live.dialer.close_write(stream);
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamOpened {
            stream,
            protocol: 3,
            ..
        },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    assert_eq!(
        live.listener.read(stream),
        (vec![], Err(CallError::EndOfStream))
    );
}

#[test]
fn a_negotiation_that_never_ends_times_out() {
    let hasty = Limits {
        stream_negotiation_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let mut live = Live::with(hasty, Limits::default());
    // The negotiation is sent in the same turn in which it times out.
    let stream = live.dialer.open(Proposals::AnyOf(Box::from([3, 4])));
    live.dialer.environment.flush();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut scratch = crate::connection::Scratch::default();
    live.dialer
        .connection
        .poll_drive(&mut cx, &mut scratch)
        .unwrap();
    live.dialer.environment.drain(64, |_| {});
    let state = live.dialer.change(stream, |slot| Ok(slot.state()));
    assert_eq!(state, Ok(State::Error));
    let fault = live.dialer.environment.read(stream, &mut [0]).unwrap_err();
    assert_eq!(fault, CallError::Failed(StreamFault::NegotiationTimeout));
}

#[test]
fn reading_may_be_closed_before_the_negotiation_is_answered() {
    let mut live = Live::new();
    let stream = live.dialer.open(Proposals::Lazy(1));
    live.dialer.change(stream, StreamSlot::close_read).unwrap();
    live.dialer.write(stream, b"one way");
    live.settle();
    let reported = live.listener.take_records();
    let [Record::StreamOpened { stream, .. }] = reported[..] else {
        panic!("reported {reported:?}")
    };
    assert_eq!(live.listener.read(stream).0, b"one way");
    // Bytes that the remote sends now are discarded, and do not block it.
    let bytes = vec![1; 100 << 10];
    for _ in 0..20 {
        assert_eq!(live.listener.write(stream, &bytes), bytes.len());
        live.settle();
    }
    assert_eq!(live.dialer.connection.held(), 0);
}

#[test]
fn streams_beyond_the_backlog_are_reset() {
    let narrow = Limits {
        accept_backlog: 2,
        ..Limits::default()
    };
    let mut live = Live::with(Limits::default(), narrow);
    live.listener.drains = false;
    let streams: Vec<u32> = (0..3)
        .map(|_| live.dialer.open(Proposals::Lazy(1)))
        .collect();
    live.settle();
    assert!(matches!(
        live.dialer.take_records()[..],
        [Record::StreamReset { stream, .. }, Record::StreamClosed { .. }] if stream == streams[2]
    ));
    live.listener.drains = true;
    live.settle();
    assert_eq!(live.listener.take_records().len(), 2);
    live.stream();
}

#[test]
fn outbound_streams_are_limited_until_one_is_closed() {
    let narrow = EndLimits::of_scopes(|limits| limits.connection.streams_outbound = 2);
    let mut live = Live::with(narrow, Limits::default());
    let first = live.dialer.open(Proposals::Lazy(1));
    live.dialer.open(Proposals::Lazy(1));
    let dialer = &mut live.dialer;
    let refused = dialer.environment.open(dialer.handle, Proposals::Lazy(1));
    assert_eq!(refused, Err(CallError::StreamLimit));
    // Its place is free as soon as it is finished, flushed or not.
    dialer.reset(first, 0);
    dialer.open(Proposals::Lazy(1));
}

#[test]
fn streams_beyond_the_unacknowledged_limit_wait_and_are_negotiated() {
    let mut live = Live::new();
    let streams: Vec<u32> = (0..UNACKED_MAX)
        .map(|_| live.dialer.open(Proposals::Lazy(1)))
        .collect();
    let answer = live
        .dialer
        .environment
        .open(live.dialer.handle, Proposals::Lazy(1))
        .unwrap();
    let late = answer & !HANDLE_PENDING;
    assert_ne!(answer, late, "it is not usable yet");
    live.dialer.write(late, b"late");
    live.settle();
    let negotiated = |record: &Record| matches!(record, Record::StreamNegotiated { stream, fault: None, .. } if *stream == late);
    assert!(live.dialer.take_records().iter().any(negotiated));
    assert_eq!(live.listener.take_records().len(), streams.len() + 1);
}

#[test]
fn a_reset_unacknowledged_stream_frees_its_place_for_a_waiting_one() {
    let mut live = Live::new();
    let first = live.dialer.open(Proposals::Lazy(1));
    for _ in 1..UNACKED_MAX {
        live.dialer.open(Proposals::Lazy(1));
    }
    let late = live.dialer.open(Proposals::Lazy(2));
    live.dialer.environment.flush();
    live.dialer.reset(first, 0);
    live.dialer.environment.flush();
    live.settle();
    let opened = |record: &Record| matches!(record, Record::StreamOpened { protocol: 2, .. });
    assert!(live.listener.take_records().iter().any(opened));
    assert_eq!(
        live.dialer.change(late, |slot| Ok(slot.state())),
        Ok(State::Open)
    );
}

#[test]
fn reset_waiting_streams_do_not_block_others() {
    let mut live = Live::new();
    for _ in 0..UNACKED_MAX {
        live.dialer.open(Proposals::Lazy(1));
    }
    live.dialer.environment.flush();
    let limit = ResourceOptions::default()
        .limits
        .connection
        .streams_outbound
        - UNACKED_MAX;
    for _ in 0..limit + 100 {
        let abandoned = live.dialer.open(Proposals::Lazy(1));
        live.dialer.reset(abandoned, 0);
    }
    let late = live.dialer.open(Proposals::Lazy(2));
    live.settle();
    let opened = |record: &Record| matches!(record, Record::StreamOpened { protocol: 2, .. });
    assert!(live.listener.take_records().iter().any(opened));
    assert_eq!(
        live.dialer.change(late, |slot| Ok(slot.state())),
        Ok(State::Open)
    );
}

#[test]
fn a_connection_over_its_memory_limit_resets_the_largest_stream() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 320 << 10);
    let mut live = Live::with(Limits::default(), small);
    let (heavy, heavy_there) = live.stream();
    let (light, light_there) = live.stream();
    live.dialer.write(heavy, &vec![1; 200 << 10]);
    live.settle();
    live.dialer.write(light, &vec![2; 150 << 10]);
    live.settle();
    assert!(matches!(
        live.listener.take_records()[..],
        [Record::StreamReset { stream, .. }, Record::StreamClosed { .. }] if stream == heavy_there
    ));
    assert_eq!(live.listener.read(light_there).0.len(), 150 << 10);
}

#[test]
fn unread_streams_count_after_their_end() {
    let small = EndLimits::of_scopes(|limits| limits.connection.memory = 320 << 10);
    let mut live = Live::with(Limits::default(), small);
    let (ended, ended_there) = live.stream();
    live.dialer.write(ended, &vec![1; 200 << 10]);
    live.dialer.close_write(ended);
    live.listener.close_write(ended_there);
    let (light, light_there) = live.stream();
    live.dialer.write(light, &vec![2; 150 << 10]);
    live.settle();
    // A stream that both sides have finished on the wire may still be reset to free its memory.
    let state = live.listener.change(ended_there, |slot| Ok(slot.state()));
    assert_eq!(state, Ok(State::Reset));
    assert_eq!(live.listener.read(light_there).0.len(), 150 << 10);
}

#[test]
fn an_unread_stream_ends_before_its_connection() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, b"unread");
    live.dialer.close_write(dialed);
    live.listener.close_write(accepted);
    live.settle();
    live.listener.take_records();
    live.dialer
        .environment
        .close_connection(live.dialer.handle, 5, CloseManner::Orderly)
        .unwrap();
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamClosed {
            stream, left: 6, ..
        },
        Record::ConnectionClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    assert_eq!(stream, accepted);
}

#[test]
fn a_stream_opened_while_the_connection_ends_is_reset() {
    let mut live = Live::new();
    let stream = live.dialer.open(Proposals::Lazy(1));
    live.dialer.connection.finish(ConnectionFault::Ended);
    live.settle();
    let fault = fault_of_first(&mut live.dialer, stream);
    assert!(fault.is_none());
    let late = live
        .dialer
        .environment
        .open(live.dialer.handle, Proposals::Lazy(1));
    assert!(late.is_err());
}

fn fault_of_first(side: &mut Side, expected: u32) -> Option<StreamFault> {
    let reported = side.take_records();
    let [
        Record::StreamReset { stream, report },
        Record::StreamClosed { .. },
        Record::ConnectionClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    assert_eq!(stream, expected);
    report.fault
}

#[test]
fn a_goaway_carries_its_code_and_comes_last() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, b"before");
    let request = CloseRequest {
        code: 5,
        fault: ConnectionFault::Local,
        manner: CloseManner::Orderly,
    };
    live.dialer.connection.close(request);
    live.settle();
    let report = live.listener.connection.end_report();
    let expected = EndReport {
        code: 5,
        remote: true,
        fault: ConnectionFault::GoAway(5),
    };
    assert_eq!(report, Some(expected));
    assert_eq!(
        live.listener.environment.read(accepted, &mut [0; 8]),
        Err(CallError::Reset)
    );
}

#[test]
fn a_stream_closed_in_two_steps_does_not_wait_forever() {
    let hasty = Limits {
        linger_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let mut live = Live::with(hasty, Limits::default());
    let (dialed, accepted) = live.stream();
    live.dialer.close_write(dialed);
    live.settle();
    live.dialer.change(dialed, StreamSlot::close_read).unwrap();
    live.settle();
    assert_eq!(live.dialer.take_records(), closed(dialed));
    // The remote never ended its half: the stream is reset, after our end.
    assert_eq!(live.listener.take_records(), closed(accepted));
}

#[test]
fn raw_streams_are_passed_through_unchanged() {
    let mut live = Live::raw();
    let stream = live.dialer.open(Proposals::Raw);
    live.dialer.write(stream, b"\x00anything");
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamOpened {
            stream,
            protocol: 0,
            ..
        },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    assert_eq!(live.listener.read(stream).0, b"\x00anything");
}

#[test]
fn a_stream_negotiated_and_then_reset_reports_both() {
    let mut live = Live::new();
    live.dialer.drains = false;
    let stream = live.dialer.open(Proposals::AnyOf(Box::from([9, 3])));
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamOpened {
            stream: accepted, ..
        },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    live.listener.reset(accepted, 7);
    live.settle();
    live.dialer.drains = true;
    live.settle();
    let reported = live.dialer.take_records();
    let [
        Record::StreamNegotiated {
            protocol: 3,
            fault: None,
            ..
        },
        Record::StreamReset { report, .. },
        Record::StreamClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}")
    };
    let code = live.dialer.heard(7);
    assert_eq!(
        (report.code, report.remote, report.fault),
        (code, true, None)
    );
    assert_eq!(
        live.dialer.change(stream, |slot| Ok(slot.state())),
        Ok(State::Reset)
    );
}

#[test]
fn a_goaway_immediately_follows_streams_with_nothing_to_send() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, &[1; 100]);
    live.settle();
    // Posts the stream with only a little credit to return.
    live.dialer.read(dialed).1.unwrap();
    live.dialer.change(dialed, StreamSlot::close_read).unwrap();
    live.dialer
        .environment
        .close_connection(live.dialer.handle, 5, CloseManner::Orderly)
        .unwrap();
    live.settle();
    assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
}
