//! Protocol proposals decided by JavaScript.

use std::time::Duration;

use crate::connection::CloseManner;
use crate::error::{CallError, StreamFault};
use crate::handlers::Handler;
use crate::live::{Live, Side, closed, over};
use crate::record::Record;
use crate::slot::Proposals;
use crate::{Limits, Muxer};

/// Protocols with a name but no handler.
const UNSERVED: [u32; 2] = [9, 10];

/// JavaScript's id of its predicate.
const PREDICATE: u32 = 1 << 20;

/// Accepting answer, for `inbound_max` streams at a time.
fn accept(inbound_max: u32) -> Option<Handler> {
    Some(Handler {
        protocol: PREDICATE,
        inbound_max,
        service: 0,
    })
}

/// Stream and protocol of the query reported by the last drain.
fn queried(side: &mut Side) -> (u32, String) {
    let reported = side.take_records();
    let [Record::ProtocolQuery { stream, .. }] = reported[..] else {
        panic!("expected a query, reported {reported:?}");
    };
    let name = side.environment.queried_protocol(stream).unwrap();
    (stream, name.as_str().to_owned())
}

fn opened(side: &mut Side) -> (u32, u32) {
    let reported = side.take_records();
    let [
        Record::StreamOpened {
            stream, protocol, ..
        },
    ] = reported[..]
    else {
        panic!("expected a stream, reported {reported:?}");
    };
    (stream, protocol)
}

fn answer(live: &mut Live, stream: u32, handler: Option<Handler>) {
    live.listener.environment.answer(stream, handler).unwrap();
    live.settle();
}

// go 164
#[test]
fn a_stream_and_its_bytes_wait_for_the_answer() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.dialer.write(dialed, b"early ");
    live.settle();
    live.dialer.write(dialed, b"and late");
    live.settle();
    let (stream, name) = queried(&mut live.listener);
    assert_eq!(name, "/label/9");
    // Another stream is not blocked.
    let (other, taken) = live.stream();
    live.dialer.write(other, b"meanwhile");
    live.settle();
    assert_eq!(live.listener.read(taken).0, b"meanwhile");

    answer(&mut live, stream, accept(1));
    assert_eq!(opened(&mut live.listener), (stream, PREDICATE));
    let name = live.listener.environment.queried_protocol(stream).unwrap();
    assert_eq!(name.as_str(), "/label/9");
    assert_eq!(live.listener.read(stream).0, b"early and late");
    live.listener.write(stream, b"answer");
    live.settle();
    assert_eq!(live.dialer.read(dialed).0, b"answer");
}

#[test]
fn bytes_received_before_the_answer_are_counted_once() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.dialer.write(dialed, &[7; 1_000]);
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    answer(&mut live, stream, accept(1));
    live.listener.read(stream).1.unwrap();
    let [_, sent, ..] = live.dialer.environment.measure(dialed).unwrap();
    let [received, ..] = live.listener.environment.measure(stream).unwrap();
    assert_eq!(received, sent);
}

#[test]
fn a_refusal_ends_a_lazy_stream_and_frees_its_handle() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.dialer.write(dialed, b"for nobody");
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    answer(&mut live, stream, None);
    assert_eq!(live.listener.take_records(), closed(stream));
    let fault = live.dialer.environment.read(dialed, &mut [0]).unwrap_err();
    assert_eq!(fault, CallError::Failed(StreamFault::UnsupportedProtocol));
    for side in [&mut live.dialer, &mut live.listener] {
        assert_eq!(side.connection.stream_count(), 0);
        assert_eq!(side.connection.held(), 0);
    }
    live.stream();
    let stale = live.listener.environment.answer(stream, None);
    assert_eq!(stale, Err(CallError::StaleHandle));
}

// M2
#[test]
fn one_negotiation_may_query_again_and_end_with_a_name_of_the_table() {
    let mut live = Live::asking(Limits::default());
    let proposals = Proposals::AnyOf(Box::from([UNSERVED[0], UNSERVED[1], 3]));
    let dialed = live.dialer.open(proposals);
    live.settle();
    let (stream, first) = queried(&mut live.listener);
    answer(&mut live, stream, None);
    let (again, second) = queried(&mut live.listener);
    assert_eq!(
        (again, &*first, &*second),
        (stream, "/label/9", "/label/10")
    );
    answer(&mut live, stream, None);
    assert_eq!(opened(&mut live.listener), (stream, 3));
    live.dialer.write(dialed, b"to a handler by name");
    live.settle();
    assert_eq!(live.listener.read(stream).0, b"to a handler by name");
    let queried = live.listener.environment.queried_protocol(stream);
    assert_eq!(queried, Err(CallError::State));
}

#[test]
fn an_end_after_the_query_is_read_after_the_answer() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.dialer.write(dialed, b"all of it");
    live.dialer.close_write(dialed);
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    answer(&mut live, stream, accept(1));
    opened(&mut live.listener);
    let end = (b"all of it".to_vec(), Err(CallError::EndOfStream));
    assert_eq!(live.listener.read(stream), end);
}

// go 166
#[test]
fn an_end_after_a_refused_query_ends_the_negotiation() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.dialer.close_write(dialed);
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    assert_eq!(live.listener.connection.stream_count(), 1);
    answer(&mut live, stream, None);
    assert_eq!(live.listener.take_records(), closed(stream));
    assert_eq!(live.listener.connection.stream_count(), 0);
}

#[test]
fn proposals_and_an_end_received_with_the_query_are_handled_after_it() {
    let mut live = Live::asking(Limits::default());
    // A dialer that does not wait for the answer.
    let dialed = live.dialer.open(Proposals::Raw);
    let lines = b"\x13/multistream/1.0.0\n\x09/label/9\n\x0a/label/10\n";
    live.dialer.write(dialed, lines);
    live.dialer.close_write(dialed);
    live.settle();
    let (stream, first) = queried(&mut live.listener);
    assert!(live.listener.connection.held() > 0);
    answer(&mut live, stream, None);
    let (_, second) = queried(&mut live.listener);
    assert_eq!((&*first, &*second), ("/label/9", "/label/10"));
    assert_eq!(live.listener.connection.held(), 0);
    answer(&mut live, stream, None);
    assert_eq!(live.listener.take_records(), closed(stream));
    assert_eq!(live.listener.connection.stream_count(), 0);
    let replies = b"\x13/multistream/1.0.0\n\x03na\n\x03na\n".to_vec();
    assert_eq!(
        live.dialer.read(dialed),
        (replies, Err(CallError::EndOfStream))
    );
}

#[test]
fn a_predicate_is_limited_to_its_concurrent_streams() {
    let mut live = Live::asking(Limits::default());
    let open = |live: &mut Live, label| {
        let dialed = live.dialer.open(Proposals::Lazy(label));
        live.settle();
        let (stream, _) = queried(&mut live.listener);
        answer(live, stream, accept(1));
        (dialed, stream)
    };
    let (dialed, first) = open(&mut live, UNSERVED[0]);
    assert_eq!(opened(&mut live.listener), (first, PREDICATE));
    let (_, second) = open(&mut live, UNSERVED[1]);
    assert_eq!(live.listener.take_records(), closed(second));
    assert_eq!(live.listener.connection.stream_count(), 1);

    live.dialer.reset(dialed, 0);
    live.settle();
    live.listener.take_records();
    let (_, third) = open(&mut live, UNSERVED[1]);
    assert_eq!(opened(&mut live.listener), (third, PREDICATE));
}

#[test]
fn an_answer_after_the_end_of_its_stream_is_not_an_error() {
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    live.dialer.reset(dialed, 7);
    live.dialer.environment.flush();
    live.listener.drains = false;
    live.settle();
    answer(&mut live, stream, accept(1));
    live.listener.drains = true;
    live.settle();
    assert_eq!(live.listener.take_records(), closed(stream));
    assert_eq!(live.listener.connection.stream_count(), 0);
}

#[test]
fn a_timed_out_stream_is_not_queried() {
    let hasty = Limits {
        stream_negotiation_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let mut live = Live::asking(hasty);
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.listener.drains = false;
    live.settle();
    live.listener.drains = true;
    live.settle();
    assert_eq!(live.listener.take_records(), []);
    assert_eq!(live.listener.connection.stream_count(), 0);
    let fault = live.dialer.environment.read(dialed, &mut [0]).unwrap_err();
    assert_eq!(fault, CallError::Reset);
}

#[test]
fn streams_accepted_and_reset_at_once_leave_the_backlog() {
    const BACKLOG: u32 = 4;
    let narrow = Limits {
        accept_backlog: BACKLOG,
        ..Limits::default()
    };
    let mut live = Live::asking(narrow);
    for _ in 0..2 * BACKLOG {
        live.dialer.open(Proposals::Lazy(UNSERVED[0]));
        live.settle();
        let (stream, _) = queried(&mut live.listener);
        live.listener.environment.answer(stream, accept(1)).unwrap();
        live.listener.reset(stream, 0);
        live.settle();
        assert_eq!(live.listener.take_records(), closed(stream));
    }
    assert_eq!(live.listener.connection.stream_count(), 0);
    live.stream();
}

// A stalled JavaScript thread gets no more queries than the backlog has room for, however many
// streams come and go, and the connection resumes service when the thread does.
#[test]
fn streams_that_end_before_their_query_do_not_accumulate() {
    const BACKLOG: u32 = 8;
    let narrow = Limits {
        accept_backlog: BACKLOG,
        ..Limits::default()
    };
    let mut live = Live::asking(narrow);
    let mut refused = 0;
    live.listener.drains = false;
    for _ in 0..10 * BACKLOG {
        let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
        live.dialer.write(dialed, b"in vain");
        live.settle();
        let state = live.dialer.change(dialed, |slot| Ok(slot.state()));
        refused += u32::from(state != Ok(crate::State::Open));
        if state == Ok(crate::State::Open) {
            live.dialer.reset(dialed, 0);
        }
        live.settle();
    }
    assert_eq!(refused, 9 * BACKLOG);
    assert_eq!(live.listener.connection.held(), 0);
    live.listener.drains = true;
    live.settle();
    assert_eq!(live.listener.take_records(), []);
    live.stream();
}

#[test]
fn bytes_waiting_for_an_answer_are_bounded_by_the_window_and_count_as_held() {
    const WINDOW: usize = 256 << 10;
    let mut live = Live::asking(Limits::default());
    let dialed = live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    let sent: Vec<u8> = (0..WINDOW * 2).map(|at| (at % 251) as u8).collect();
    let mut written = 0;
    let mut write = |live: &mut Live| {
        written += live.dialer.write(dialed, &sent[written..]);
        live.settle();
    };
    for _ in 0..8 {
        write(&mut live);
    }
    let (stream, _) = queried(&mut live.listener);
    let held = live.listener.connection.held();
    // Memory is at most twice the bytes in it.
    assert!(held > WINDOW - 100 && held <= 2 * WINDOW, "{held}");

    answer(&mut live, stream, accept(1));
    opened(&mut live.listener);
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend(live.listener.read(stream).0);
        write(&mut live);
    }
    assert!(received == sent);
}

#[test]
fn the_end_of_the_connection_ends_queried_streams() {
    let mut live = Live::asking(Limits::default());
    live.dialer.open(Proposals::Lazy(UNSERVED[0]));
    live.settle();
    let (stream, _) = queried(&mut live.listener);
    live.dialer.open(Proposals::Lazy(UNSERVED[1]));
    live.listener.drains = false;
    live.settle();
    live.dialer
        .environment
        .close_connection(live.dialer.handle, 0, CloseManner::Orderly)
        .unwrap();
    live.settle();
    live.listener.drains = true;
    live.settle();
    let reported = live.listener.take_records();
    let [
        Record::StreamClosed { stream: ended, .. },
        Record::ConnectionClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}");
    };
    assert_eq!(ended, stream);
}

#[test]
fn a_stalled_thread_blocks_only_queried_streams() {
    let mut live = Live::asking(Limits::default());
    live.listener.drains = false;
    let waiting = live
        .dialer
        .open(Proposals::AnyOf(Box::from([UNSERVED[0], 1])));
    let negotiated = live.dialer.open(Proposals::AnyOf(Box::from([1, 2])));
    live.settle();
    let reported = live.dialer.take_records();
    let [
        Record::StreamNegotiated {
            stream,
            protocol: 1,
            ..
        },
    ] = reported[..]
    else {
        panic!("reported {reported:?}");
    };
    assert_eq!(stream, negotiated);
    live.dialer.write(negotiated, b"delivered");
    live.settle();
    assert!(live.listener.connection.held() >= b"delivered".len());
    assert_eq!(live.dialer.write(waiting, b"not yet"), 0);
}

#[test]
fn queries_work_over_every_engine() {
    let tests = [
        a_stream_and_its_bytes_wait_for_the_answer,
        a_refusal_ends_a_lazy_stream_and_frees_its_handle,
        one_negotiation_may_query_again_and_end_with_a_name_of_the_table,
        an_end_after_the_query_is_read_after_the_answer,
        an_end_after_a_refused_query_ends_the_negotiation,
        a_predicate_is_limited_to_its_concurrent_streams,
        an_answer_after_the_end_of_its_stream_is_not_an_error,
        a_timed_out_stream_is_not_queried,
        streams_accepted_and_reset_at_once_leave_the_backlog,
        streams_that_end_before_their_query_do_not_accumulate,
        bytes_waiting_for_an_answer_are_bounded_by_the_window_and_count_as_held,
        the_end_of_the_connection_ends_queried_streams,
        a_stalled_thread_blocks_only_queried_streams,
    ];
    for test in tests {
        over([Muxer::Yamux, Muxer::YamuxCrate], test);
        over([Muxer::YamuxCrate, Muxer::Yamux], test);
    }
}
