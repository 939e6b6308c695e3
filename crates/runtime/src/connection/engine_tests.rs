//! The same over the `yamux` crate, at one end or both.

use std::task::{Context, Waker};

use crate::Limits;
use crate::Muxer::{self, Yamux, YamuxCrate};
use crate::connection::Scratch;
use crate::live::{Live, over};
use crate::record::Record;
use crate::slot::Proposals;

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
    the_first_of_several_protocols_that_is_served_settles_the_stream,
    an_end_that_is_ordered_during_negotiation_waits_for_it,
    a_negotiation_that_never_ends_is_a_timeout,
    reading_may_be_closed_before_the_negotiation_is_answered,
    streams_beyond_the_backlog_are_reset,
    outbound_streams_are_limited_until_one_is_closed,
    streams_beyond_the_unacknowledged_ones_wait_and_settle,
    an_unacknowledged_stream_that_is_reset_leaves_its_place_to_one_that_waits,
    waiting_streams_that_are_reset_block_no_other,
    a_connection_that_holds_too_much_resets_the_stream_that_holds_most,
    unread_streams_count_after_their_end_too,
    a_stream_that_is_unread_ends_before_its_connection,
    a_stream_opened_while_the_connection_ends_is_told_of_its_end,
    a_goodbye_carries_its_code_and_comes_last,
    a_stream_closed_in_two_steps_does_not_wait_for_ever,
    raw_streams_are_handed_over_as_they_are,
    a_stream_that_settled_and_was_reset_since_is_told_as_both,
    a_goodbye_follows_streams_that_have_nothing_to_send_at_once,
    streams_opened_at_once_wait_for_a_remote_that_is_busy,
    streams_given_up_while_they_wait_leave_memory,
);

#[test]
fn what_the_crate_holds_back_follows_what_is_read_without_another_wake() {
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
        // One turn of the driver, which nothing but the reading has called for.
        let mut cx = Context::from_waker(Waker::noop());
        let mut scratch = Scratch::default();
        let listener = &live.listener.connection;
        listener.poll_drive(&mut cx, &mut scratch).unwrap();
        let rest = live.listener.read(accepted).0.len();
        assert_eq!(first + rest, written);
    });
}

#[test]
fn a_stream_that_the_crate_has_no_place_for_waits_until_one_has_ended() {
    over([YamuxCrate, Yamux], || {
        let narrow = Limits {
            outbound_streams_max: 1,
            ..Limits::default()
        };
        let mut live = Live::with(narrow, Limits::default());
        // Those that are closed here keep their places until the remote has ended them too.
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
