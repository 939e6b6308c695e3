//! The same tests over the `yamux` crate, at one end or both.

use std::task::{Context, Waker};

use crate::Limits;
use crate::Muxer::{self, Yamux, YamuxCrate};
use crate::connection::Scratch;
use crate::live::{Live, over};
use crate::record::Record;
use crate::slot::Proposals;
use crate::testing::EndLimits;

macro_rules! also_over_the_crate {
    ($($test:ident),* $(,)?) => {
        also_over_the_crate!(crate_dials, [YamuxCrate, Yamux], $($test)*);
        also_over_the_crate!(crate_listens, [Yamux, YamuxCrate], $($test)*);
        also_over_the_crate!(crate_at_both_ends, [YamuxCrate, YamuxCrate], $($test)*);
    };
    ($place:ident, $muxers:expr, $($test:ident)*) => {
        mod $place {
            use super::*;
            const MUXERS: [Muxer; 2] = $muxers;
            $(#[test]
            fn $test() {
                over(MUXERS, super::super::$test);
            })*
        }
    };
}

also_over_the_crate!(
    a_lazy_protocol_that_is_refused_fails_the_stream,
    the_first_supported_of_several_protocols_is_negotiated,
    a_fin_requested_during_negotiation_waits_for_it,
    a_negotiation_that_never_ends_times_out,
    reading_may_be_closed_before_the_negotiation_is_answered,
    streams_beyond_the_backlog_are_reset,
    outbound_streams_are_limited_until_one_is_closed,
    streams_beyond_the_unacknowledged_limit_wait_and_are_negotiated,
    a_reset_unacknowledged_stream_frees_its_place_for_a_waiting_one,
    reset_waiting_streams_do_not_block_others,
    a_connection_over_its_memory_limit_resets_the_largest_stream,
    unread_streams_count_after_their_end,
    an_unread_stream_ends_before_its_connection,
    a_stream_opened_while_the_connection_ends_is_reset,
    a_goaway_carries_its_code_and_comes_last,
    a_stream_closed_in_two_steps_does_not_wait_forever,
    raw_streams_are_passed_through_unchanged,
    a_stream_negotiated_and_then_reset_reports_both,
    a_goaway_immediately_follows_streams_with_nothing_to_send,
    streams_opened_at_once_wait_for_a_busy_remote,
    abandoned_waiting_streams_are_freed,
);

#[test]
fn events_held_back_by_the_crate_follow_reads_without_another_wake() {
    over([Yamux, YamuxCrate], || {
        let mut live = Live::new();
        let (dialed, accepted) = live.stream();
        let mut written = 0;
        for _ in 0..2 {
            written += live.dialer.write(dialed, &[7; 190 << 10]);
            live.settle();
        }
        let first = live.listener.read(accepted).0.len();
        assert!(first < written, "nothing is held back of {first} bytes");
        // One turn of the driver, which only the read has requested.
        let mut cx = Context::from_waker(Waker::noop());
        let mut scratch = Scratch::default();
        let listener = &live.listener.connection;
        listener.poll_drive(&mut cx, &mut scratch).unwrap();
        let rest = live.listener.read(accepted).0.len();
        assert_eq!(first + rest, written);
    });
}

#[test]
fn a_stream_beyond_the_limit_of_the_crate_waits_until_one_has_ended() {
    over([YamuxCrate, Yamux], || {
        let narrow = EndLimits::of_scopes(|limits| limits.connection.streams_outbound = 1);
        let mut live = Live::with(narrow, Limits::default());
        // Streams closed locally keep their places until the remote has ended them too.
        let mut taken = Vec::new();
        for _ in 0..2 {
            let (dialed, accepted) = live.stream();
            live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
            live.settle();
            taken.push(accepted);
        }
        live.dialer.take_records();
        live.dialer.open(Proposals::Lazy(1));
        live.settle();
        assert_eq!(live.dialer.take_records(), []);
        live.listener.take_records();
        live.listener.close_write(taken[0]);
        live.settle();
        let opened = |record: &Record| matches!(record, Record::StreamOpened { .. });
        assert!(live.listener.take_records().iter().any(opened));
        assert_eq!(live.dialer.ended, None);
    });
}
