//! Calls permitted in each state.

use crate::error::{CallError, StreamFault};
use crate::live::Live;
use crate::slot::Proposals;
use crate::{State, StreamSlot};

use super::{CODE, state};

type Call = fn(&mut Live, u32) -> Result<State, CallError>;

/// Outcome of each call: read, write, closeRead, closeWrite, close, reset.
///
/// Each call is made on a fresh connection set up by `arrange`, because calls change the state.
fn outcomes(arrange: fn(&mut Live) -> u32) -> [Result<State, CallError>; 6] {
    let calls: [Call; 6] = [
        |live, stream| {
            let read = live.dialer.environment.read(stream, &mut [0; 16]);
            read.map(|_| state(live, stream))
        },
        |live, stream| {
            let written = live.dialer.environment.write(stream, b"x");
            written.map(|_| state(live, stream))
        },
        |live, stream| live.dialer.change(stream, StreamSlot::close_read),
        |live, stream| live.dialer.change(stream, StreamSlot::close_write),
        |live, stream| live.dialer.change(stream, |slot| Ok(slot.close())),
        |live, stream| live.dialer.change(stream, |slot| Ok(slot.reset(CODE))),
    ];
    calls.map(|call| {
        let mut live = Live::new();
        let stream = arrange(&mut live);
        call(&mut live, stream)
    })
}

/// A stream whose remote has ended its half, the end having been read.
fn remote_ended(live: &mut Live) -> u32 {
    let (dialed, accepted) = live.stream();
    live.listener.close_write(accepted);
    live.settle();
    assert_eq!(
        live.dialer.read(dialed),
        (vec![], Err(CallError::EndOfStream))
    );
    dialed
}

#[test]
fn open_allows_everything() {
    let outcomes = outcomes(|live| live.stream().0);
    assert_eq!(
        outcomes,
        [
            Ok(State::Open),
            Ok(State::Open),
            Ok(State::CloseRead),
            Ok(State::CloseWrite),
            Ok(State::CloseBoth),
            Ok(State::Reset),
        ]
    );
}

#[test]
fn after_the_remote_end_only_writing_is_left() {
    assert_eq!(
        outcomes(remote_ended),
        [
            Err(CallError::EndOfStream),
            Ok(State::CloseRead),
            Ok(State::CloseRead),
            Ok(State::CloseBoth),
            Ok(State::CloseBoth),
            Ok(State::Reset),
        ]
    );
}

#[test]
fn after_our_own_close_read_reading_is_refused() {
    let outcomes = outcomes(|live| {
        let (dialed, _) = live.stream();
        live.dialer.change(dialed, StreamSlot::close_read).unwrap();
        live.settle();
        dialed
    });
    assert_eq!(
        outcomes,
        [
            Err(CallError::Closed),
            Ok(State::CloseRead),
            Ok(State::CloseRead),
            Ok(State::CloseBoth),
            Ok(State::CloseBoth),
            Ok(State::Reset),
        ]
    );
}

#[test]
fn after_close_write_only_reading_is_left() {
    let outcomes = outcomes(|live| {
        let (dialed, _) = live.stream();
        live.dialer.close_write(dialed);
        live.settle();
        dialed
    });
    assert_eq!(
        outcomes,
        [
            Ok(State::CloseWrite),
            Err(CallError::Closed),
            Ok(State::CloseBoth),
            Ok(State::CloseWrite),
            Ok(State::CloseBoth),
            Ok(State::Reset),
        ]
    );
}

#[test]
fn close_both_allows_nothing_and_stays() {
    let ended_by_remote = outcomes(|live| {
        let stream = remote_ended(live);
        live.dialer.close_write(stream);
        stream
    });
    let ended_here = outcomes(|live| {
        let (dialed, _) = live.stream();
        live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
        dialed
    });
    let rest = [Ok(State::CloseBoth); 4];
    let refused = Err(CallError::Closed);
    assert_eq!(ended_by_remote[..2], [Err(CallError::EndOfStream), refused]);
    assert_eq!(ended_here[..2], [refused, refused]);
    assert_eq!(
        (&ended_by_remote[2..], &ended_here[2..]),
        (&rest[..], &rest[..])
    );
}

#[test]
fn reset_is_terminal() {
    let here = outcomes(|live| {
        let (dialed, _) = live.stream();
        live.dialer.reset(dialed, CODE);
        dialed
    });
    let there = outcomes(|live| {
        let (dialed, accepted) = live.stream();
        live.listener.reset(accepted, CODE);
        live.settle();
        dialed
    });
    let refused = Err(CallError::Reset);
    let expected = [
        refused,
        refused,
        refused,
        refused,
        Ok(State::Reset),
        Ok(State::Reset),
    ];
    assert_eq!((here, there), (expected, expected));
}

#[test]
fn a_reset_is_reported_after_the_remote_end() {
    let outcomes = outcomes(|live| {
        let (dialed, accepted) = live.stream();
        live.listener.close_write(accepted);
        live.settle();
        live.dialer.reset(dialed, CODE);
        dialed
    });
    assert_eq!(outcomes[0], Err(CallError::Reset));
}

#[test]
fn error_is_terminal_and_names_the_fault() {
    let outcomes = outcomes(|live| {
        let stream = live.dialer.open(Proposals::Lazy(9));
        live.settle();
        stream
    });
    let refused = Err(CallError::Failed(StreamFault::UnsupportedProtocol));
    assert_eq!(outcomes[..4], [refused; 4]);
    assert_eq!(outcomes[4..], [Ok(State::Error); 2]);
}
