//! What JavaScript may do with a stream, over a live connection.

use std::time::Duration;

use crate::config::{SEND_PIPE_MAX, UNSEALED_SHARE};
use crate::error::{CallError, StreamFault};
use crate::live::{Live, closed};
use crate::record::Record;
use crate::slot::Proposals;
use crate::{Framing, Limits, State, StreamSlot};
use ferroswarm_proto::muxer::StreamErrorCode;

const CODE: u32 = 77;

type Call = fn(&mut Live, u32) -> Result<State, CallError>;

/// What each call answers: read, write, closeRead, closeWrite, close, reset.
///
/// The calls that change the state are tried in a copy of the situation each.
fn answers(arrange: fn(&mut Live) -> u32) -> [Result<State, CallError>; 6] {
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

fn state(live: &mut Live, stream: u32) -> State {
    live.dialer.change(stream, |slot| Ok(slot.state())).unwrap()
}

/// A stream whose remote half has ended, which was read.
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
    let answers = answers(|live| live.stream().0);
    assert_eq!(
        answers,
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
        answers(remote_ended),
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
    let answers = answers(|live| {
        let (dialed, _) = live.stream();
        live.dialer.change(dialed, StreamSlot::close_read).unwrap();
        live.settle();
        dialed
    });
    assert_eq!(
        answers,
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
    let answers = answers(|live| {
        let (dialed, _) = live.stream();
        live.dialer.close_write(dialed);
        live.settle();
        dialed
    });
    assert_eq!(
        answers,
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
    let ended_by_remote = answers(|live| {
        let stream = remote_ended(live);
        live.dialer.close_write(stream);
        stream
    });
    let ended_here = answers(|live| {
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
    let here = answers(|live| {
        let (dialed, _) = live.stream();
        live.dialer.reset(dialed, CODE);
        dialed
    });
    let there = answers(|live| {
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
fn a_reset_is_told_after_the_remote_end_too() {
    let answers = answers(|live| {
        let (dialed, accepted) = live.stream();
        live.listener.close_write(accepted);
        live.settle();
        live.dialer.reset(dialed, CODE);
        dialed
    });
    assert_eq!(answers[0], Err(CallError::Reset));
}

#[test]
fn error_is_terminal_and_names_the_fault() {
    let answers = answers(|live| {
        let stream = live.dialer.open(Proposals::Lazy(9));
        live.settle();
        stream
    });
    let refused = Err(CallError::Failed(StreamFault::UnsupportedProtocol));
    assert_eq!(answers[..4], [refused; 4]);
    assert_eq!(answers[4..], [Ok(State::Error); 2]);
}

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
fn an_end_that_is_read_closes_the_stream_without_a_flush() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.close_write(dialed);
    live.listener.close_write(accepted);
    live.settle();
    live.dialer.told();
    live.dialer.read(dialed).1.unwrap_err();
    live.settle();
    assert_eq!(live.dialer.told(), closed(dialed));
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
fn a_reset_behind_the_end_leaves_the_bytes_and_the_end() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, b"unread");
    live.listener.close_write(accepted);
    live.settle();
    live.listener.reset(accepted, CODE);
    live.settle();
    // The listener knows of no end of the dialler's, so that its reset went out.
    assert_eq!(
        live.dialer.told(),
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
fn bytes_that_nobody_reads_leave_the_count_with_their_handle() {
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
fn nothing_is_told_after_closed() {
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
    assert_eq!(live.dialer.told(), closed(dialed));
}

#[test]
fn an_armed_read_is_told_once() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.read(dialed).1.unwrap();
    for _ in 0..3 {
        live.listener.write(accepted, b"abc");
        live.settle();
    }
    assert_eq!(
        live.dialer.told(),
        [Record::StreamReadable {
            stream: dialed,
            bytes: 3
        }]
    );
    assert_eq!(live.dialer.read(dialed).0, b"abcabcabc");
}

#[test]
fn a_stream_is_armed_without_a_read_and_tells_what_is_there() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    let readable = |bytes| Record::StreamReadable {
        stream: dialed,
        bytes,
    };
    live.dialer.environment.arm(dialed).unwrap();
    live.listener.write(accepted, b"abc");
    live.settle();
    assert_eq!(live.dialer.told(), [readable(3)]);
    live.dialer.environment.arm(dialed).unwrap();
    live.settle();
    assert_eq!(live.dialer.told(), [readable(3)]);
}

#[test]
fn the_end_of_a_negotiation_is_nothing_to_read() {
    let mut live = Live::new();
    let dialed = live.dialer.open(Proposals::Lazy(1));
    live.dialer.environment.arm(dialed).unwrap();
    live.settle();
    assert_eq!(live.listener.told().len(), 1);
    let told = live.dialer.told();
    let is_readable = |record: &Record| matches!(record, Record::StreamReadable { .. });
    assert!(!told.iter().any(is_readable), "{told:?}");
}

#[test]
fn a_write_is_accepted_up_to_the_send_pipe_and_resumes() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    // The window takes as much again before the pipe fills.
    let bytes = vec![7; 1 << 20];
    let first = live.dialer.write(dialed, &bytes);
    assert_eq!(first, SEND_PIPE_MAX);
    live.settle();
    assert!(matches!(
        live.dialer.told()[..],
        [Record::StreamWritable { .. }]
    ));
    while live.dialer.write(dialed, &bytes) > 0 {
        live.settle();
    }
    live.dialer.told();
    // What the window takes, less the lines of the negotiation, and what the last chunk has room for.
    let held = live.listener.connection.held();
    assert!(
        held > 255 << 10 && held <= 320 << 10,
        "{held} bytes are held"
    );
    live.listener.read(accepted).1.unwrap();
    live.settle();
    let told = live.dialer.told();
    let [Record::StreamWritable { stream, credit }] = told[..] else {
        panic!("was told {told:?}")
    };
    assert_eq!(stream, dialed);
    assert!(live.dialer.write(dialed, &bytes) >= credit as usize);
}

#[test]
fn submit_takes_everything_and_answers_the_credit_left() {
    let mut live = Live::new();
    let (dialed, _) = live.stream();
    let half = vec![7; SEND_PIPE_MAX / 2];
    let mut submit = || live.dialer.environment.submit(dialed, &half, None).unwrap();
    assert_eq!(submit(), (SEND_PIPE_MAX / 2) as i32);
    assert_eq!(submit(), 0);
    // Staged before the answer was known.
    assert_eq!(live.dialer.environment.submit(dialed, b"more", None), Ok(0));
    live.settle();
    assert!(matches!(
        live.dialer.told()[..],
        [Record::StreamWritable { .. }]
    ));
}

#[test]
fn a_connection_full_of_unsealed_bytes_leaves_every_stream_its_share() {
    let mut live = Live::new();
    let bytes = vec![7; 1 << 20];
    let streams: Vec<u32> = (0..16)
        .map(|_| live.dialer.open(Proposals::Lazy(1)))
        .collect();
    for stream in streams {
        live.dialer.write(stream, &bytes);
    }
    let late = live.dialer.open(Proposals::Lazy(1));
    let accepted = live.dialer.write(late, &bytes);
    assert!(
        accepted > 0 && accepted <= UNSEALED_SHARE,
        "accepted {accepted}"
    );
}

#[test]
fn read_messages_tells_a_truncated_one_at_the_end() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer
        .environment
        .set_framing(dialed, Framing::Varint, 100)
        .unwrap();
    live.listener.write(accepted, b"\x03abc\x02de\x09trunc");
    live.listener.close_write(accepted);
    live.settle();
    let mut into = [0; 64];
    let mut lengths = [0; 8];
    let mut take = || {
        live.dialer
            .environment
            .read_messages(dialed, &mut into, &mut lengths)
    };
    assert_eq!(take(), Ok(2));
    assert_eq!(take(), Err(CallError::BufferTooSmall(0)));
    let rest = live.dialer.read(dialed);
    assert_eq!(rest, (b"\x09trunc".to_vec(), Err(CallError::EndOfStream)));
}

#[test]
fn a_message_beyond_its_limit_fails_the_stream() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer
        .environment
        .set_framing(dialed, Framing::Varint, 2)
        .unwrap();
    live.listener.write(accepted, b"\x03abc");
    live.settle();
    let fault = StreamFault::MessageTooLarge;
    let taken = live
        .dialer
        .environment
        .read_messages(dialed, &mut [0; 16], &mut [0; 4]);
    assert_eq!(taken, Err(CallError::Failed(fault)));
    assert_eq!(state(&mut live, dialed), State::Error);
    live.settle();
    // The remote is told why.
    let told = live.listener.told();
    let [
        Record::StreamReset { report, .. },
        Record::StreamClosed { .. },
    ] = told[..]
    else {
        panic!("was told {told:?}");
    };
    assert_eq!(report.code, StreamErrorCode::ProtocolViolation as u32);
}

// N25
#[test]
fn a_reset_after_both_closes_takes_nothing_back() {
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
fn a_removed_stream_ends_here_and_the_remote_hears_nothing() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, b"accepted");
    let removed = live.dialer.change(dialed, |slot| Ok(slot.remove()));
    assert_eq!(removed, Ok(State::CloseBoth));
    live.settle();
    assert_eq!(live.dialer.told(), closed(dialed));
    assert_eq!(live.listener.told(), []);
    // What was written before arrives, and what the remote writes blocks nobody.
    assert_eq!(live.listener.read(accepted), (b"accepted".to_vec(), Ok(())));
    live.listener.write(accepted, &[7; 1 << 18]);
    live.settle();
    assert_eq!(live.dialer.connection.held(), 0);
    assert_eq!(live.listener.told(), []);
}

#[test]
fn a_removed_stream_is_reset_when_it_has_lingered() {
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
        live.listener.told()[..],
        [Record::StreamReset { .. }, Record::StreamClosed { .. }]
    ));
}
