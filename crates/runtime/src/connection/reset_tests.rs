//! Resets behind the bytes that were written before them.

use crate::Limits;
use crate::State;
use crate::error::CallError;
use crate::live::Live;
use crate::slot::Proposals;

use super::UNACKED_MAX;

#[test]
fn what_was_unread_at_a_reset_is_left_if_the_node_keeps_it() {
    for keep_unread in [true, false] {
        let limits = Limits {
            keep_unread,
            ..Limits::default()
        };
        let mut live = Live::with(Limits::default(), limits);
        let (dialed, accepted) = live.stream();
        live.listener.drains = false;
        live.dialer.write(dialed, &[1; 100]);
        live.settle();
        let mut into = [0; 200];
        let environment = &live.listener.environment;
        assert_eq!(environment.read_left(accepted, &mut into), Ok(0));
        live.dialer.reset(dialed, 7);
        live.settle();
        let environment = &live.listener.environment;
        let read = environment.read(accepted, &mut into);
        assert_eq!(read, Err(CallError::Reset));
        let left = environment.read_left(accepted, &mut into);
        assert_eq!(left, Ok(if keep_unread { 100 } else { 0 }));
        assert_eq!(environment.read_left(accepted, &mut into), Ok(0));
    }
}

#[test]
fn a_reset_follows_the_bytes_written_before_if_that_is_asked_for() {
    for is_behind in [true, false] {
        let limits = Limits {
            keep_unread: true,
            ..Limits::default()
        };
        let mut live = Live::with(Limits::default(), limits);
        let (dialed, accepted) = live.stream();
        live.listener.drains = false;
        live.dialer.write(dialed, &[1; 200_000]);
        let state = live.dialer.change(dialed, |slot| {
            Ok(if is_behind {
                slot.reset_behind(7)
            } else {
                slot.reset(7)
            })
        });
        assert_eq!(state, Ok(State::Reset));
        live.settle();
        let mut into = vec![0; 300_000];
        let environment = &live.listener.environment;
        assert_eq!(environment.read(accepted, &mut into), Err(CallError::Reset));
        let left = environment.read_left(accepted, &mut into);
        assert_eq!(left, Ok(if is_behind { 200_000 } else { 0 }));
        assert_eq!(live.dialer.connection.unsealed(), 0);
    }
}

#[test]
fn a_stream_that_waits_to_be_opened_holds_no_bytes_after_its_reset() {
    let mut live = Live::new();
    live.listener.drains = false;
    for _ in 0..UNACKED_MAX {
        live.dialer.open(Proposals::Lazy(1));
    }
    live.settle();
    for _ in 0..100 {
        let waiting = live.dialer.open(Proposals::Lazy(1));
        live.dialer.write(waiting, &[1; 1_000]);
        live.dialer.environment.flush();
        let state = live.dialer.change(waiting, |slot| Ok(slot.reset_behind(7)));
        assert_eq!(state, Ok(State::Reset));
        live.settle();
    }
    assert_eq!(live.dialer.connection.unsealed(), 0);
}
