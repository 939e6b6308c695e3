//! Notification of readers, and message framing of received bytes.

use crate::error::{CallError, StreamFault};
use crate::live::Live;
use crate::record::Record;
use crate::slot::Proposals;
use crate::{Framing, State};
use ferroswarm_proto::muxer::StreamErrorCode;

use super::state;

#[test]
fn an_armed_read_is_notified_once() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.read(dialed).1.unwrap();
    for _ in 0..3 {
        live.listener.write(accepted, b"abc");
        live.settle();
    }
    assert_eq!(
        live.dialer.take_records(),
        [Record::StreamReadable {
            stream: dialed,
            bytes: 3
        }]
    );
    assert_eq!(live.dialer.read(dialed).0, b"abcabcabc");
}

#[test]
fn a_stream_armed_without_a_read_reports_available_bytes() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    let readable = |bytes| Record::StreamReadable {
        stream: dialed,
        bytes,
    };
    live.dialer.environment.arm(dialed).unwrap();
    live.listener.write(accepted, b"abc");
    live.settle();
    assert_eq!(live.dialer.take_records(), [readable(3)]);
    live.dialer.environment.arm(dialed).unwrap();
    live.settle();
    assert_eq!(live.dialer.take_records(), [readable(3)]);
}

#[test]
fn the_end_of_a_negotiation_is_not_readable() {
    let mut live = Live::new();
    let dialed = live.dialer.open(Proposals::Lazy(1));
    live.dialer.environment.arm(dialed).unwrap();
    live.settle();
    assert_eq!(live.listener.take_records().len(), 1);
    let reported = live.dialer.take_records();
    let is_readable = |record: &Record| matches!(record, Record::StreamReadable { .. });
    assert!(!reported.iter().any(is_readable), "{reported:?}");
}

#[test]
fn read_messages_reports_a_truncated_message_at_the_end() {
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
fn a_message_over_its_limit_fails_the_stream() {
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
    // The remote receives the reason.
    let reported = live.listener.take_records();
    let [
        Record::StreamReset { report, .. },
        Record::StreamClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}");
    };
    assert_eq!(report.code, StreamErrorCode::ProtocolViolation as u32);
}

#[test]
fn a_stream_that_discards_reports_the_end_alone_and_returns_credit() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener.write(accepted, b"unread");
    live.settle();
    let state = live
        .dialer
        .environment
        .change(dialed, |slot| slot.discard());
    assert_eq!(state, Ok(State::Open));
    assert_eq!(live.dialer.connection.held(), 0);
    assert_eq!(live.dialer.read(dialed), (vec![], Ok(())));
    // More than the window, so that a remote without credit would stall.
    let chunk = vec![7; 64 << 10];
    for _ in 0..8 {
        assert_eq!(live.listener.write(accepted, &chunk), chunk.len());
        live.settle();
    }
    assert_eq!(live.dialer.take_records(), []);
    live.dialer.write(dialed, b"our half is open");
    live.settle();
    assert_eq!(live.listener.read(accepted).0, b"our half is open");
    live.listener.close_write(accepted);
    live.settle();
    let end = Record::StreamReadable {
        stream: dialed,
        bytes: 0,
    };
    assert_eq!(live.dialer.take_records(), [end]);
    assert_eq!(
        live.dialer.read(dialed),
        (vec![], Err(CallError::EndOfStream))
    );
    live.dialer.close_write(dialed);
    live.settle();
    assert_eq!(live.dialer.connection.stream_count(), 0);
}
