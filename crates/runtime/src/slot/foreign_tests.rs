//! Slots that a muxer in JavaScript fills and empties.

use crate::connection::Direction;
use crate::environment::Environment;
use crate::error::{CallError, StreamFault};
use crate::hub::{Doorbell, Hub};
use crate::live::{Live, closed};
use crate::record::Record;
use crate::slot::{ResetReport, StreamSlot, Taken};
use crate::sync::Arc;
use crate::{Framing, State};

struct Silent;

impl Doorbell for Silent {
    fn ring(&self) {}
}

const BY_REMOTE: ResetReport = ResetReport {
    code: 9,
    remote: true,
    connection_lost: false,
    orderly: false,
    unsent: false,
    unread: false,
    fault: None,
};

/// An environment with one foreign stream.
struct Foreign {
    environment: Environment,
    stream: u32,
}

impl Foreign {
    fn new() -> Self {
        let mut environment = Environment::new(Hub::new(Box::new(Silent)));
        let stream = environment.open_foreign(Direction::Outbound).unwrap();
        Self {
            environment,
            stream,
        }
    }

    fn call<T>(&self, call: impl FnOnce(&Arc<StreamSlot>) -> Result<T, CallError>) -> T {
        self.environment.foreign(self.stream, call).unwrap()
    }

    fn take(&self) -> (Vec<u8>, Taken) {
        let mut into = [0; 64];
        let taken = self.call(|slot| slot.take(&mut into));
        (into[..taken.bytes].to_vec(), taken)
    }

    fn read(&self) -> Result<Vec<u8>, CallError> {
        let mut into = [0; 64];
        let count = self.environment.read(self.stream, &mut into)?;
        Ok(into[..count].to_vec())
    }

    fn change(&mut self, change: fn(&Arc<StreamSlot>) -> Result<State, CallError>) -> State {
        self.environment.change(self.stream, change).unwrap()
    }

    fn take_records(&mut self) -> Vec<Record> {
        let mut reported = Vec::new();
        self.environment.drain(64, |record| reported.push(record));
        reported
    }
}

#[test]
fn written_bytes_are_announced_once_and_taken_in_order() {
    let mut foreign = Foreign::new();
    let stream = foreign.stream;
    for part in [b"one ", b"two "] {
        foreign.environment.write(stream, part).unwrap();
    }
    assert_eq!(foreign.take_records(), [Record::StreamOutgoing { stream }]);
    assert_eq!(foreign.change(StreamSlot::close_write), State::CloseWrite);
    let (bytes, taken) = foreign.take();
    assert_eq!((&bytes[..], taken.fin), (&b"one two "[..], true));
    // The FIN is requested once.
    assert_eq!(foreign.take(), (vec![], Taken::default()));
}

#[test]
fn bytes_beyond_the_buffer_remain_for_the_next_take() {
    let mut foreign = Foreign::new();
    foreign
        .environment
        .write(foreign.stream, &[1; 100])
        .unwrap();
    foreign.change(StreamSlot::close_write);
    let (bytes, taken) = foreign.take();
    assert_eq!((bytes.len(), taken.more, taken.fin), (64, true, false));
    let (bytes, taken) = foreign.take();
    assert_eq!((bytes.len(), taken.more, taken.fin), (36, false, true));
}

#[test]
fn received_bytes_are_read_before_the_end() {
    let mut foreign = Foreign::new();
    let stream = foreign.stream;
    assert_eq!(foreign.read(), Ok(vec![]));
    assert_eq!(foreign.call(|slot| slot.feed(b"abc")), 3);
    foreign.call(StreamSlot::feed_end);
    let readable = Record::StreamReadable { stream, bytes: 3 };
    assert_eq!(foreign.take_records(), [readable]);
    assert_eq!(foreign.read(), Ok(b"abc".to_vec()));
    assert_eq!(foreign.read(), Err(CallError::EndOfStream));
    assert_eq!(foreign.change(StreamSlot::close_write), State::CloseBoth);
    assert!(foreign.take().1.fin);
    let reported = foreign.take_records();
    assert_eq!(reported[reported.len() - 1..], closed(stream));
}

#[test]
fn reading_a_quarter_window_is_announced_to_the_muxer() {
    let mut foreign = Foreign::new();
    let stream = foreign.stream;
    assert_eq!(foreign.call(|slot| slot.feed(&[1; 256 << 10])), 256 << 10);
    let mut into = vec![0; 64 << 10];
    foreign.environment.read(stream, &mut into).unwrap();
    assert_eq!(foreign.take_records(), [Record::StreamOutgoing { stream }]);
    assert_eq!(foreign.take().1.held, 192 << 10);
}

#[test]
fn a_reset_works_both_ways_and_ends_the_stream_once() {
    let mut here = Foreign::new();
    here.environment.write(here.stream, b"dropped").unwrap();
    assert_eq!(here.change(|slot| Ok(slot.reset(7))), State::Reset);
    let (bytes, taken) = here.take();
    assert_eq!((bytes, taken.reset), (vec![], Some(7)));

    let mut there = Foreign::new();
    let stream = there.stream;
    there.call(|slot| slot.feed(b"dropped"));
    there.call(|slot| slot.feed_reset(BY_REMOTE));
    there.call(|slot| slot.feed_reset(BY_REMOTE));
    assert_eq!(there.read(), Err(CallError::Reset));
    let report = ResetReport {
        unread: true,
        ..BY_REMOTE
    };
    let reported = [
        Record::StreamReset { stream, report },
        Record::StreamClosed {
            stream,
            left: 0,
            unsent: false,
        },
    ];
    assert_eq!(there.take_records(), reported);
    assert_eq!(here.environment.hub().stats.streams_closed.get(), 1);
}

// N12
#[test]
fn a_muxer_failure_is_an_error_and_resets_the_stream() {
    let foreign = Foreign::new();
    let fault = StreamFault::Application;
    foreign.call(|slot| {
        slot.feed_reset(ResetReport {
            fault: Some(fault),
            ..BY_REMOTE
        })
    });
    assert_eq!(foreign.read(), Err(CallError::Failed(fault)));
    assert_eq!(foreign.take().1.reset, Some(0));
}

#[test]
fn messages_are_framed_on_a_foreign_stream() {
    let foreign = Foreign::new();
    let stream = foreign.stream;
    foreign
        .environment
        .set_framing(stream, Framing::Varint, 100)
        .unwrap();
    foreign.call(|slot| slot.feed(b"\x03abc\x02de"));
    let mut lengths = [0; 4];
    let mut into = [0; 16];
    let cut = foreign
        .environment
        .read_messages(stream, &mut into, &mut lengths);
    assert_eq!((cut, lengths), (Ok(2), [3, 2, 0, 0]));
}

#[test]
fn a_native_stream_rejects_foreign_calls() {
    let mut live = Live::new();
    let (dialed, _) = live.stream();
    let refused = live
        .dialer
        .environment
        .foreign(dialed, |slot| slot.feed(b"forged"));
    assert_eq!(refused, Err(CallError::State));
}
