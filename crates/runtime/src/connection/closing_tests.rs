//! Delivery of accepted bytes by a connection that is being closed.

use std::time::Duration;

use ferroswarm_proto::resource::Name;

use crate::Muxer::{self, Yamux, YamuxCrate};
use crate::connection::CloseManner;
use crate::error::{CallError, ConnectionFault};
use crate::live::{Live, Side, over};
use crate::record::Record;
use crate::slot::Proposals;
use crate::sync::Arc;
use crate::{Limits, StreamSlot};

const ENGINES: [[Muxer; 2]; 4] = [
    [Yamux, Yamux],
    [YamuxCrate, Yamux],
    [Yamux, YamuxCrate],
    [YamuxCrate, YamuxCrate],
];

fn close(side: &mut Side, manner: CloseManner) {
    side.environment
        .close_connection(side.handle, 5, manner)
        .unwrap();
}

/// Reads until the end while both sides make progress.
fn read_all(live: &mut Live, stream: u32) -> (usize, CallError) {
    let mut received = 0;
    loop {
        let (bytes, end) = live.listener.read(stream);
        received += bytes.len();
        match end {
            Ok(()) => live.settle(),
            Err(error) => return (received, error),
        }
    }
}

#[test]
fn a_closing_connection_delivers_bytes_accepted_by_closed_streams() {
    for engines in ENGINES {
        over(engines, || {
            for both in [false, true] {
                let mut live = Live::new();
                let (dialed, accepted) = live.stream();
                let mut written = 0;
                for _ in 0..3 {
                    written += live.dialer.write(dialed, &[7; 200 << 10]);
                    live.settle();
                }
                assert!(written > 400 << 10, "the window is not full");
                let end = |slot: &Arc<StreamSlot>| match both {
                    true => Ok(slot.close()),
                    false => slot.close_write(),
                };
                live.dialer.change(dialed, end).unwrap();
                close(&mut live.dialer, CloseManner::Orderly);
                live.settle();
                assert_eq!(live.dialer.ended, None);
                let end = CallError::EndOfStream;
                assert_eq!(read_all(&mut live, accepted), (written, end));
                live.settle();
                assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
            }
        });
    }
}

#[test]
fn a_flush_that_sends_a_close_wakes_the_driver_whatever_it_waits_for() {
    // The driver is armed for an earlier time than that of the close.
    let limits = Limits {
        keepalive_interval: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut live = Live::with(limits, Limits::default());
    live.settle();
    let kicks = |live: &Live| live.dialer.connection.hub.stats.kicks.get();
    let before = kicks(&live);
    close(&mut live.dialer, CloseManner::Orderly);
    live.dialer.environment.flush();
    assert_eq!(kicks(&live), before + 1);
}

#[test]
fn open_streams_are_reset_at_once_while_others_deliver() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    let (open, open_there) = live.stream();
    let written = live.dialer.write(dialed, &[7; 200 << 10]);
    live.settle();
    let written = written + live.dialer.write(dialed, &[7; 200 << 10]);
    live.dialer.close_write(dialed);
    close(&mut live.dialer, CloseManner::Orderly);
    live.settle();
    let reported = live.dialer.take_records();
    assert!(
        matches!(reported[..], [
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
        ] if stream == open && report.connection_lost && report.code == 5),
        "reported {reported:?}"
    );
    let reported = live.listener.take_records();
    assert!(
        matches!(reported[..], [
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
        ] if stream == open_there && report.code == 0x1007),
        "reported {reported:?}"
    );
    // Neither side can open another stream meanwhile.
    assert!(
        live.dialer
            .environment
            .open(live.dialer.handle, Proposals::Raw)
            .is_err()
    );
    let late = live.listener.open(Proposals::Lazy(1));
    live.settle();
    let reported = live.listener.take_records();
    assert!(
        matches!(reported[..], [
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
        ] if stream == late && report.remote && report.code == 0x1007),
        "reported {reported:?}"
    );
    let end = CallError::EndOfStream;
    assert_eq!(read_all(&mut live, accepted), (written, end));
}

/// A closed stream whose remote takes nothing, on a connection that is being closed too.
fn stuck() -> (Live, u32, u32) {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    for _ in 0..3 {
        live.dialer.write(dialed, &[7; 200 << 10]);
        live.settle();
    }
    live.dialer.close_write(dialed);
    close(&mut live.dialer, CloseManner::Orderly);
    live.settle();
    (live, dialed, accepted)
}

fn wait(live: &mut Live, time: Duration) {
    live.dialer.connection.advance(time);
    live.settle();
}

#[test]
fn a_remote_that_takes_no_delivered_bytes_loses_the_connection() {
    let (mut live, dialed, accepted) = stuck();
    let stall = Limits::default().write_stall_timeout;
    wait(&mut live, stall - Duration::from_secs(1));
    assert_eq!(live.dialer.ended, None);
    // Each time the remote takes some, the timeout starts again.
    for _ in 0..2 {
        live.listener
            .environment
            .read(accepted, &mut [0; 70 << 10])
            .unwrap();
        live.settle();
        wait(&mut live, stall);
        assert_eq!(live.dialer.ended, None);
    }
    wait(&mut live, stall);
    assert_eq!(live.dialer.ended, Some(ConnectionFault::WriteStall));
    let report = live.dialer.connection.end_report().unwrap();
    assert_eq!(report.fault, ConnectionFault::WriteStall);
    let reported = live.dialer.take_records();
    assert!(
        matches!(reported[..], [
            ..,
            Record::StreamReset { stream, report },
            Record::StreamClosed { .. },
            Record::ConnectionClosed { .. },
        ] if stream == dialed && report.connection_lost),
        "reported {reported:?}"
    );
    // A truncated stream does not appear complete.
    let (_, end) = read_all(&mut live, accepted);
    assert_eq!(end, CallError::Reset);
}

#[test]
fn a_second_request_closes_a_delivering_connection_at_once() {
    let (mut live, _, accepted) = stuck();
    close(&mut live.dialer, CloseManner::AtOnce);
    live.settle();
    assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
    let (_, end) = read_all(&mut live, accepted);
    assert_eq!(end, CallError::Reset);
}

#[test]
fn a_connection_closed_at_once_sends_resets_but_no_bytes() {
    for engines in ENGINES {
        over(engines, || {
            let mut live = Live::raw();
            let (writes, written) = live.stream();
            let (reset, reported_reset) = live.stream();
            live.listener.take_records();
            live.dialer.write(writes, b"never");
            live.dialer.reset(reset, 7);
            close(&mut live.dialer, CloseManner::AtOnce);
            live.settle();
            let reported = live.listener.take_records();
            let reset_of = |of: u32| {
                reported.iter().find_map(|record| match record {
                    Record::StreamReset { stream, report } if *stream == of => Some(*report),
                    _ => None,
                })
            };
            let report = reset_of(reported_reset).expect("a reset");
            assert!(!report.connection_lost, "reported {reported:?}");
            assert_eq!(report.code, live.listener.heard(7));
            assert!(reset_of(written).expect("its end").connection_lost);
        });
    }
}

#[test]
fn a_stream_abandoned_in_the_tick_of_its_opening_delivers_its_bytes() {
    for engines in ENGINES {
        over(engines, || {
            let mut live = Live::raw();
            let stream = live.dialer.open(Proposals::Raw);
            live.dialer.write(stream, b"before");
            live.dialer
                .change(stream, |slot| Ok(slot.remove()))
                .unwrap();
            close(&mut live.dialer, CloseManner::Orderly);
            live.settle();
            let reported = live.listener.take_records();
            assert!(
                matches!(reported[..], [Record::StreamOpened { .. }, ..]),
                "reported {reported:?}"
            );
            assert_eq!(live.listener.connection.traffic.bytes_in.get(), 6);
        });
    }
}

#[test]
fn traffic_is_reported_with_the_end_of_the_connection() {
    let mut live = Live::raw();
    let stream = live.dialer.open(Proposals::Raw);
    live.dialer.write(stream, b"before");
    live.settle();
    let figures = live
        .listener
        .environment
        .measure(live.listener.handle)
        .unwrap();
    assert_eq!(live.listener.carried, []);
    close(&mut live.dialer, CloseManner::Orderly);
    live.settle();
    let carried = &live.listener.carried;
    assert_eq!(carried[0], (0, 6));
    // The GoAway came after that; the listener has sent 0 bytes.
    let frames_in = figures[2] + 1;
    assert!(
        carried.contains(&(2, frames_in)),
        "{carried:?}, {figures:?}"
    );
    assert!(
        carried.iter().all(|(figure, _)| *figure != 1),
        "{carried:?}"
    );
}

/// Returns whether a requested FIN has not been sent.
fn has_unsent_fin(side: &mut Side, stream: u32) -> bool {
    let mut unsent = false;
    side.change(stream, |slot| {
        unsent = slot.has_unsent_fin();
        Ok(slot.state())
    })
    .unwrap();
    unsent
}

#[test]
fn the_fin_of_a_lazy_stream_waits_for_the_answer_of_a_remote_that_may_lose_it() {
    for engines in ENGINES {
        over(engines, || {
            for early in [false, true] {
                let mut live = Live::new();
                if early {
                    live.dialer.connection.allow_early_fin();
                }
                let stream = live.dialer.open(Proposals::Lazy(1));
                live.dialer.write(stream, b"question");
                live.dialer.close_write(stream);
                live.dialer.round();
                assert_eq!(has_unsent_fin(&mut live.dialer, stream), !early);
                live.settle();
                assert!(!has_unsent_fin(&mut live.dialer, stream));
                let reported = live.listener.take_records();
                let [Record::StreamOpened { stream, .. }] = reported[..] else {
                    panic!("reported {reported:?}");
                };
                let end = Err(CallError::EndOfStream);
                assert_eq!(live.listener.read(stream), (b"question".to_vec(), end));
            }
        });
    }
}

#[test]
fn a_stream_that_was_never_opened_ends_with_a_connection_closed_at_once() {
    for engines in ENGINES {
        over(engines, || {
            for proposals in [Proposals::Lazy(1), Proposals::AnyOf(Box::from([9, 1]))] {
                let mut live = Live::new();
                let unopened = live.dialer.open(proposals);
                close(&mut live.dialer, CloseManner::AtOnce);
                live.settle();
                assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
                let reported = live.dialer.take_records();
                let is_end = |record: &Record| matches!(record, Record::StreamClosed { stream, .. } if *stream == unopened);
                assert!(reported.iter().any(is_end), "{reported:?}");
                let connection = &live.dialer.connection;
                assert_eq!(connection.stream_count(), 0);
                let system = connection.resources().hold(&Name::System).unwrap();
                let (usage, _) = connection.resources().stat(system).unwrap();
                assert_eq!(usage.streams_outbound, 0);
            }
        });
    }
}
