//! Streams that are opened faster than the remote accepts them.

use crate::connection::Connection;
use crate::environment::End;
use crate::error::ConnectionFault;
use crate::hub::{Doorbell, Hub};
use crate::live::Live;
use crate::record::Record;
use crate::slot::Proposals;
use crate::sync::Arc;
use crate::testing::pair::connect_alone;
use crate::testing::{self, EndLimits, Streams, pipe};
use crate::{HANDLE_PENDING, Muxer, State};

use super::UNACKED_MAX;

/// Streams opened at once while the remote does not drain.
const MANY: u32 = 3 * UNACKED_MAX;

fn wide() -> EndLimits {
    EndLimits::of_scopes(|limits| {
        limits.connection.streams_inbound = 2 * MANY;
        limits.connection.streams_outbound = 2 * MANY;
    })
}

fn is_reset(record: &Record) -> bool {
    matches!(record, Record::StreamReset { .. })
}

#[test]
pub(super) fn streams_opened_at_once_wait_for_a_busy_remote() {
    let mut live = Live::with(wide(), wide());
    live.listener.drains = false;
    for _ in 0..MANY {
        live.dialer.open(Proposals::Lazy(1));
    }
    live.settle();
    let reported = live.dialer.take_records();
    assert!(!reported.iter().any(is_reset), "some are reset");
    let opened = live.listener.connection.stream_count();
    assert_eq!(opened, UNACKED_MAX, "streams beyond wait at the dialer");
    live.listener.drains = true;
    live.listener.connection.hub.announce();
    for _ in 0..=MANY / UNACKED_MAX {
        live.settle();
        // Acknowledgements that no other frame carries are due by now.
        let late = std::time::Duration::from_millis(30);
        live.listener.connection.advance(late);
    }
    live.settle();
    assert!(
        !live.dialer.take_records().iter().any(is_reset),
        "some are reset"
    );
    let opened = |record: &&Record| matches!(record, Record::StreamOpened { .. });
    let count = live.listener.take_records().iter().filter(opened).count();
    assert_eq!(count, MANY as usize);
}

#[test]
fn refused_streams_leave_the_backlog_at_once() {
    let mut live = Live::with(wide(), wide());
    live.listener.drains = false;
    let streams: Vec<u32> = (0..MANY)
        .map(|_| live.dialer.open(Proposals::Lazy(9)))
        .collect();
    live.settle();
    let reported = live.dialer.take_records();
    let refused = |record: &&Record| matches!(record, Record::StreamReset { report, .. } if report.fault.is_some());
    assert_eq!(reported.iter().filter(refused).count(), streams.len());
    assert_eq!(live.listener.connection.stream_count(), 0);
}

#[test]
fn the_end_of_a_stream_refused_meanwhile_is_not_taken_for_agreement() {
    let mut live = Live::new();
    let stream = live.dialer.open(Proposals::Lazy(9));
    live.dialer.drains = false;
    live.settle();
    let answer = live.dialer.environment.submit(stream, &[], Some(End::Both));
    let pending = HANDLE_PENDING as i32;
    assert_eq!(answer.map(|credit| credit & pending), Ok(pending));
}

#[test]
pub(super) fn abandoned_waiting_streams_are_freed() {
    let mut live = Live::new();
    live.listener.drains = false;
    for _ in 0..UNACKED_MAX {
        live.dialer.open(Proposals::Lazy(1));
    }
    for _ in 0..5_000 {
        let abandoned = live.dialer.open(Proposals::Lazy(1));
        live.dialer.environment.flush();
        live.dialer.reset(abandoned, 0);
    }
    live.settle();
    let waiting = live.dialer.connection.unopened_count();
    assert!(waiting < 1_000, "{waiting} wait");
    let late = live
        .dialer
        .environment
        .open(live.dialer.handle, Proposals::Lazy(2));
    let late = late.unwrap() & !HANDLE_PENDING;
    live.listener.drains = true;
    live.listener.connection.hub.announce();
    live.settle();
    assert_eq!(
        live.dialer.change(late, |slot| Ok(slot.state())),
        Ok(State::Open)
    );
}

#[test]
fn the_doorbell_is_not_rung_under_the_lock_of_an_ending_connection() {
    /// Accesses the connection when it is rung, as JavaScript may.
    struct LockProbe(std::sync::OnceLock<std::sync::Weak<Connection>>);
    impl Doorbell for Arc<LockProbe> {
        fn ring(&self) {
            let connection = self.0.get().and_then(std::sync::Weak::upgrade);
            let is_free = connection.is_none_or(|connection| connection.is_unlocked());
            assert!(is_free, "rung under the lock");
        }
    }
    let probe = Arc::new(LockProbe(std::sync::OnceLock::new()));
    let end = testing::End {
        hub: Hub::new(Box::new(Arc::clone(&probe))),
        limits: EndLimits::default(),
        muxer: Muxer::default(),
        streams: Streams::Raw,
    };
    let (connection, _) = connect_alone(end, pipe(64).0);
    connection.hub.answer();
    probe.0.set(Arc::downgrade(&connection)).ok();
    connection.finish(ConnectionFault::Ended);
    assert!(connection.end_report().is_some());
}
