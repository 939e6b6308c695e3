//! End of a stream, and the bytes left at that point.

use std::time::Duration;

use crate::connection::CloseManner;
use crate::environment::End;
use crate::error::{CallError, ConnectionFault};
use crate::live::{Live, closed};
use crate::record::Record;
use crate::slot::Proposals;
use crate::{HANDLE_PENDING, Limits, State};

use super::{CODE, state};

#[test]
fn the_end_comes_after_the_buffered_bytes() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, b"last words");
    live.listener.close_write(accepted);
    live.settle();
    assert_eq!(state(&mut live, dialed), State::Open);
    let expected = (b"last words".to_vec(), Err(CallError::EndOfStream));
    assert_eq!(live.dialer.read(dialed), expected);
    assert_eq!(state(&mut live, dialed), State::CloseRead);
}

#[test]
fn reading_the_end_closes_the_stream_without_a_flush() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.close_write(dialed);
    live.listener.close_write(accepted);
    live.settle();
    live.dialer.take_records();
    live.dialer.read(dialed).1.unwrap_err();
    live.settle();
    assert_eq!(live.dialer.take_records(), closed(dialed));
    assert_eq!(live.dialer.connection.stream_count(), 0);
}

#[test]
fn a_reset_drops_unread_bytes() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, b"unread");
    live.settle();
    let held = live.dialer.connection.held();
    assert!(held > 6 && held < 1_000, "{held} bytes are held");
    live.listener.reset(accepted, CODE);
    live.settle();
    assert_eq!(live.dialer.read(dialed), (vec![], Err(CallError::Reset)));
    assert_eq!(live.dialer.connection.held(), 0);
}

#[test]
fn a_reset_after_the_end_keeps_the_bytes_and_the_end() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, b"unread");
    live.listener.close_write(accepted);
    live.settle();
    live.listener.reset(accepted, CODE);
    live.settle();
    // The dialer has not ended its half, so the listener's reset was sent.
    assert_eq!(
        live.dialer.take_records(),
        [Record::StreamClosed {
            stream: dialed,
            left: 6,
            unsent: false
        }]
    );
    assert_eq!(
        live.dialer.read(dialed),
        (b"unread".to_vec(), Err(CallError::EndOfStream))
    );
}

#[test]
fn unread_bytes_leave_the_count_with_their_handle() {
    let mut live = Live::new();
    let (_, accepted) = live.stream();
    live.listener.write(accepted, b"unread");
    live.listener.close_write(accepted);
    live.settle();
    live.listener.reset(accepted, CODE);
    live.settle();
    live.dialer.environment.drain(64, |_| {});
    assert_eq!(live.dialer.connection.held(), 0);
}

#[test]
fn nothing_is_reported_after_closed() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    assert_eq!(
        live.dialer.read(dialed),
        (vec![], Ok(())),
        "the slot is armed"
    );
    live.dialer.reset(dialed, CODE);
    live.listener.close_write(accepted);
    // The remote's end arrives before our reset has left.
    live.listener.environment.flush();
    live.settle();
    assert_eq!(live.dialer.take_records(), closed(dialed));
}

// N25
#[test]
fn a_reset_after_both_closes_has_no_effect() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, b"last words");
    live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
    let after = live.dialer.change(dialed, |slot| Ok(slot.reset(CODE)));
    assert_eq!(after, Ok(State::CloseBoth));
    live.settle();
    let expected = (b"last words".to_vec(), Err(CallError::EndOfStream));
    assert_eq!(live.listener.read(accepted), expected);
}

#[test]
fn a_removed_stream_ends_locally_without_notifying_the_remote() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, b"accepted");
    let removed = live.dialer.change(dialed, |slot| Ok(slot.remove()));
    assert_eq!(removed, Ok(State::CloseBoth));
    live.settle();
    assert_eq!(live.dialer.take_records(), closed(dialed));
    assert_eq!(live.listener.take_records(), []);
    // Bytes written before arrive, and bytes that the remote writes block nothing.
    assert_eq!(live.listener.read(accepted), (b"accepted".to_vec(), Ok(())));
    live.listener.write(accepted, &[7; 1 << 18]);
    live.settle();
    assert_eq!(live.dialer.connection.held(), 0);
    assert_eq!(live.listener.take_records(), []);
}

#[test]
fn a_removed_stream_is_reset_after_lingering() {
    let hasty = Limits {
        linger_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let mut live = Live::with(hasty, Limits::default());
    let (dialed, accepted) = live.stream();
    live.listener.close_write(accepted);
    live.settle();
    live.dialer
        .change(dialed, |slot| Ok(slot.remove()))
        .unwrap();
    live.settle();
    assert!(matches!(
        live.listener.take_records()[..],
        [Record::StreamReset { .. }, Record::StreamClosed { .. }]
    ));
}

#[test]
fn a_stream_closed_and_removed_in_the_tick_of_its_opening_delivers_its_bytes_and_end() {
    let mut live = Live::raw();
    let dialed = live.dialer.open(Proposals::Raw);
    live.dialer.write(dialed, b"accepted");
    live.dialer.close_write(dialed);
    live.dialer
        .change(dialed, |slot| Ok(slot.remove()))
        .unwrap();
    live.settle();
    let reported = live.listener.take_records();
    let [Record::StreamOpened { stream, .. }] = reported[..] else {
        panic!("reported {reported:?}");
    };
    let expected = (b"accepted".to_vec(), Err(CallError::EndOfStream));
    assert_eq!(live.listener.read(stream), expected);
}

#[test]
fn a_closing_connection_delivers_a_closed_and_removed_stream() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    let mut written = 0;
    for _ in 0..3 {
        written += live.dialer.write(dialed, &[7; 200 << 10]);
        live.settle();
    }
    live.dialer.close_write(dialed);
    live.dialer
        .change(dialed, |slot| Ok(slot.remove()))
        .unwrap();
    live.dialer
        .environment
        .close_connection(live.dialer.handle, 0, CloseManner::Orderly)
        .unwrap();
    live.settle();
    assert_eq!(live.dialer.ended, None);
    let mut received = 0;
    let end = loop {
        let (bytes, end) = live.listener.read(accepted);
        received += bytes.len();
        match end {
            Ok(()) => live.settle(),
            Err(error) => break error,
        }
    };
    assert_eq!((received, end), (written, CallError::EndOfStream));
}

#[test]
fn a_closing_connection_does_not_wait_for_a_removed_and_refused_stream() {
    let mut live = Live::new();
    let dialed = live.dialer.open(Proposals::Lazy(9));
    live.dialer.write(dialed, b"unwanted");
    live.dialer.close_write(dialed);
    live.dialer
        .change(dialed, |slot| Ok(slot.remove()))
        .unwrap();
    live.settle();
    live.dialer
        .environment
        .close_connection(live.dialer.handle, 0, CloseManner::Orderly)
        .unwrap();
    live.settle();
    assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
}

#[test]
fn an_end_after_an_unreported_refusal_awaits_the_report() {
    let mut live = Live::new();
    let dialed = live.dialer.open(Proposals::Lazy(9));
    live.dialer.write(dialed, b"unwanted");
    live.dialer.drains = false;
    live.settle();
    let end = Some(End::Both);
    let credit = live.dialer.environment.submit(dialed, &[], end).unwrap();
    assert_ne!(credit as u32 & HANDLE_PENDING, 0);
}
