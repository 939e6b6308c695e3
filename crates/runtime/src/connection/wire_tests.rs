//! Frames and records that a connection sends, as seen by its remote.

use std::io;
use std::task::{Context, Waker};
use std::time::Duration;

use ferroswarm_secure::{Channel, Opened};

use crate::Muxer;
use crate::connection::Scratch;
use crate::diagnostics::{Fact, Level};
use crate::error::{CallError, ConnectionFault};
use crate::hub::Hub;
use crate::live::{Bell, Side};
use crate::memory_pipe::MemoryPipe;
use crate::pipe::BytePipe;
use crate::record::Record;
use crate::slot::Proposals;
use crate::sync::{Arc, AtomicBool};
use crate::testing::pair::connect_alone;
use crate::testing::{End, EndLimits, Streams, pipe};

const HEADER_BYTES: usize = 12;
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const ACK: u16 = 2;
const FIN: u16 = 4;

/// Capacity of a stream's send pipe.
const PIPE_BYTES: usize = 256 << 10;

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u16,
    id: u32,
    length: u32,
}

/// A connection that dialled, and the remote end of its socket.
struct Wire {
    side: Side,
    pipe: MemoryPipe,
    channel: Channel,
    sealed: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Wire {
    /// Creates a connection over a socket that buffers `capacity` bytes.
    fn new(capacity: usize) -> Self {
        Self::over(Muxer::Yamux, capacity)
    }

    fn over(muxer: Muxer, capacity: usize) -> Self {
        let rung = Arc::new(AtomicBool::new(false));
        let end = End {
            hub: Hub::new(Box::new(Bell(Arc::clone(&rung)))),
            limits: EndLimits::default(),
            muxer,
            streams: Streams::Raw,
        };
        let (near, far) = pipe(capacity);
        let (connection, channel) = connect_alone(end, near);
        let mut side = Side::new(connection, rung);
        while side.round() {}
        let reported = side.take_records();
        let [Record::ConnectionOpened { connection, .. }] = reported[..] else {
            panic!("expected a connection, reported {reported:?}");
        };
        side.handle = connection;
        let mut wire = Self {
            side,
            pipe: far,
            channel,
            sealed: Vec::new(),
            plaintext: Vec::new(),
        };
        // The crate measures the round-trip time at once, our engine with the first stream.
        assert_eq!(wire.records().is_empty(), muxer == Muxer::Yamux);
        wire
    }

    /// Opens a stream that is never blocked by flow control.
    fn stream(&mut self, id: u32) -> u32 {
        let stream = self.side.open(Proposals::Raw);
        self.side.environment.flush();
        self.side.round();
        self.records();
        self.send(WINDOW_UPDATE, ACK, id, 64 << 20, &[]);
        stream
    }

    fn send(&mut self, kind: u8, flags: u16, id: u32, length: u32, payload: &[u8]) {
        self.put(kind, flags, id, length, payload);
        self.side.round();
    }

    /// Sends a frame that the connection does not read yet.
    fn put(&mut self, kind: u8, flags: u16, id: u32, length: u32, payload: &[u8]) {
        let mut out = Vec::new();
        let start = self.channel.begin(&mut out);
        out.extend_from_slice(&[0, kind]);
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(payload);
        self.channel.seal(&mut out, start).unwrap();
        assert_eq!(self.pipe.try_write(&out).unwrap(), out.len());
    }

    /// Frames in the socket, grouped by the record that contains their headers.
    fn records(&mut self) -> Vec<Vec<Frame>> {
        let mut chunk = vec![0; 1 << 20];
        match self.pipe.try_read(&mut chunk) {
            Ok(count) => self.sealed.extend_from_slice(&chunk[..count]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        let mut records = Vec::new();
        let mut at = 0;
        while at < self.sealed.len() {
            match self.channel.open(&mut self.sealed[at..]).unwrap() {
                Opened::Record {
                    plaintext,
                    consumed,
                } => {
                    let bytes = &self.sealed[at + plaintext.start..at + plaintext.end];
                    self.plaintext.extend_from_slice(bytes);
                    at += consumed;
                    records.push(frames(&mut self.plaintext));
                }
                Opened::Incomplete { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        self.sealed.drain(..at);
        records
    }

    /// All records until no more arrive.
    fn all_records(&mut self) -> Vec<Vec<Frame>> {
        let mut all = Vec::new();
        loop {
            let moved = self.side.round();
            let mut records = self.records();
            if !moved && records.is_empty() && self.sealed.is_empty() {
                return all;
            }
            all.append(&mut records);
        }
    }
}

/// Removes complete frames from the front.
fn frames(plaintext: &mut Vec<u8>) -> Vec<Frame> {
    let mut found = Vec::new();
    while let Some(&[_, kind, f0, f1, i0, i1, i2, i3, l0, l1, l2, l3]) = plaintext.first_chunk() {
        let frame = Frame {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        };
        let payload = if kind == DATA {
            frame.length as usize
        } else {
            0
        };
        assert!(
            plaintext.len() >= HEADER_BYTES + payload,
            "frames do not cross records"
        );
        plaintext.drain(..HEADER_BYTES + payload);
        found.push(frame);
    }
    found
}

/// Index of the first record that contains a `wanted` frame.
fn place(records: &[Vec<Frame>], wanted: impl Fn(&Frame) -> bool) -> usize {
    let place = records.iter().position(|frames| frames.iter().any(&wanted));
    place.unwrap_or_else(|| panic!("not among {} records", records.len()))
}

// A096
#[test]
fn a_bulk_stream_delays_a_small_one_by_one_record() {
    let mut wire = Wire::new(64 << 20);
    let (bulk, small) = (wire.stream(1), wire.stream(3));
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    wire.side.write(small, &[2; 100]);
    let records = wire.all_records();
    assert!(records.len() > PIPE_BYTES / (16 << 10));
    assert_eq!(place(&records, |frame| frame.id == 3), 1);
}

// A096: bytes already sealed when the small stream is written stay ahead of it, and one record
// more.
#[test]
fn a_bulk_stream_that_fills_the_socket_delays_a_small_one_by_one_record_more() {
    let mut wire = Wire::new(4_000);
    let (bulk, small) = (wire.stream(1), wire.stream(3));
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    while wire.side.round() {}
    let sealed = wire.side.connection.hub.stats.socket_bytes_out.get();
    wire.side.write(small, &[2; 100]);
    let records = wire.all_records();
    assert!(sealed < 8_000);
    // 128 KiB are sealed at a time.
    let place = place(&records, |frame| frame.id == 3);
    assert!(place <= (128 << 10) / (16 << 10) + 1, "record {place}");
}

#[test]
fn streams_with_output_send_one_frame_each_in_turn() {
    let mut wire = Wire::new(64 << 20);
    let streams: Vec<u32> = [1, 3, 5, 7].map(|id| wire.stream(id)).to_vec();
    for stream in &streams {
        wire.side.write(*stream, &vec![1; PIPE_BYTES]);
    }
    let records = wire.all_records();
    let ids: Vec<u32> = records
        .iter()
        .flatten()
        .filter(|frame| frame.kind == DATA)
        .map(|frame| frame.id)
        .collect();
    // However the small remainders of records are used, no stream is served twice while another
    // waits.
    let rounds = PIPE_BYTES / (16 << 10);
    for round in ids[..4 * rounds].chunks(4) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [1, 3, 5, 7]);
    }
}

// go 158, Y12: credit and pongs are sent although bulk data fills every record.
#[test]
fn control_frames_wait_for_two_records_of_bulk_at_most() {
    let mut wire = Wire::new(64 << 20);
    let (bulk, other) = (wire.stream(1), wire.stream(3));
    for _ in 0..8 {
        wire.send(DATA, 0, 3, 16_000, &[7; 16_000]);
    }
    wire.send(PING, 1, 0, 99, &[]);
    wire.records();
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    assert_eq!(wire.side.read(other).0.len(), 128_000);
    wire.send(PING, 1, 0, 100, &[]);
    let mut records = wire.records();
    records.append(&mut wire.all_records());
    assert!(records.len() >= PIPE_BYTES / (16 << 10));
    let update = |frame: &Frame| frame.kind == WINDOW_UPDATE && frame.id == 3;
    // The stream is served in the second record, the rest of which is bulk data.
    assert!(place(&records, update) <= 2);
    let pong = |frame: &Frame| frame.kind == PING && frame.flags == ACK && frame.length == 100;
    assert!(place(&records, pong) <= 1);
}

// go 153, A080: a remote that does not read, regardless of what it sends.
#[test]
fn a_socket_that_takes_nothing_ends_the_connection() {
    let mut wire = Wire::new(4_000);
    let bulk = wire.stream(1);
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    while wire.side.round() {}
    wire.side.connection.advance(Duration::from_millis(29_900));
    while wire.side.round() {}
    // Receiving from the remote is no sign that it reads.
    wire.send(DATA, 0, 1, 5, b"alive");
    assert_eq!(wire.side.ended, None);
    wire.side.connection.advance(Duration::from_millis(200));
    wire.side.round();
    assert_eq!(wire.side.ended, Some(ConnectionFault::WriteStall));
}

// go-yamux 15: a slow link is not a dead link.
#[test]
fn a_pong_may_wait_behind_data_that_makes_progress() {
    let mut wire = Wire::new(1 << 20);
    let bulk = wire.stream(1);
    wire.send(PING, ACK, 0, 0, &[]);
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    while wire.side.round() {}
    for second in 0..120 {
        wire.pipe.try_read(&mut [0; 1_000]).unwrap();
        wire.side.connection.advance(Duration::from_secs(1));
        while wire.side.round() {}
        assert_eq!(wire.side.ended, None, "after {second} s");
    }
    // A remote that stops taking it has as long as one whose socket is full.
    for _ in 0..29 {
        wire.side.connection.advance(Duration::from_secs(1));
        while wire.side.round() {}
    }
    assert_eq!(wire.side.ended, None);
    for _ in 0..4 {
        wire.side.connection.advance(Duration::from_secs(1));
        while wire.side.round() {}
    }
    assert_eq!(wire.side.ended, Some(ConnectionFault::Keepalive));
}

#[test]
fn a_flush_for_one_byte_does_not_seal_what_the_connection_holds() {
    let mut wire = Wire::new(64 << 20);
    let (bulk, small) = (wire.stream(1), wire.stream(3));
    let inline = |wire: &Wire| wire.side.connection.hub.stats.inline_bytes.get();
    let before = inline(&wire);
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    wire.side.environment.flush();
    wire.side.write(small, &[2]);
    wire.side.environment.flush();
    let sealed = inline(&wire) - before;
    assert!((1..17 << 10).contains(&sealed), "{sealed} bytes");
    let data = |frame: &Frame| frame.kind == DATA;
    let frames = wire.all_records().concat();
    let lengths = frames
        .iter()
        .filter(|frame| data(frame))
        .map(|frame| frame.length);
    assert_eq!(lengths.sum::<u32>(), PIPE_BYTES as u32 + 1);
}

#[test]
fn a_record_that_cannot_be_sealed_ends_the_connection_and_is_reported() {
    for inline in [false, true] {
        let mut wire = Wire::new(64 << 20);
        let stream = wire.stream(1);
        let connection = Arc::clone(&wire.side.connection);
        connection.hub.listen_to(Level::Info as u32);
        connection.break_channel();
        wire.side.write(stream, b"never");
        if inline {
            wire.side.environment.flush();
        }
        // After a flush the driver finds its failure; otherwise it seals itself.
        let mut cx = Context::from_waker(Waker::noop());
        let ended = connection.poll_drive(&mut cx, &mut Scratch::default());
        assert_eq!(ended, Err(ConnectionFault::Record));
        let reported = connection.hub.take_diagnostic().expect("a fact");
        assert!(
            matches!(reported.fact, Fact::RecordFailed(_)),
            "{reported:?}"
        );
    }
}

#[test]
fn a_write_failure_is_reported_with_its_os_error_code() {
    let mut wire = Wire::new(64 << 20);
    let stream = wire.stream(1);
    let hub = Arc::clone(&wire.side.connection.hub);
    hub.listen_to(Level::Info as u32);
    const EHOSTUNREACH: i32 = 113;
    wire.pipe.fail_remote_writes(EHOSTUNREACH);
    wire.side.write(stream, b"never");
    while wire.side.round() {}
    let reported = hub.take_diagnostic().expect("a fact");
    let error = io::Error::from_raw_os_error(EHOSTUNREACH).into();
    assert_eq!(reported.fact.text(), Fact::SocketFailed { error }.text());
    assert_eq!(reported.fact.code(), 305);
    assert!(hub.take_diagnostic().is_none());
}

// Y5, go 153: nothing arrives for an interval, nor after the ping.
#[test]
fn a_silent_remote_ends_the_connection() {
    let mut wire = Wire::new(1 << 20);
    wire.stream(1);
    wire.send(PING, ACK, 0, 0, &[]);
    wire.side.connection.advance(Duration::from_secs(31));
    wire.side.round();
    let ping = |frame: &Frame| frame.kind == PING && frame.flags == 1;
    assert_eq!(place(&wire.records(), ping), 0);
    wire.side.connection.advance(Duration::from_secs(11));
    wire.side.round();
    assert_eq!(wire.side.ended, Some(ConnectionFault::Keepalive));
}

// go 151: GoAway neither ends open streams nor keeps the connection open once they have ended.
#[test]
fn a_connection_ends_with_its_last_stream_after_a_remote_goaway() {
    let mut wire = Wire::new(1 << 20);
    let stream = wire.stream(1);
    wire.send(GO_AWAY, 0, 0, 7, &[]);
    let handle = wire.side.handle;
    let reported = Record::ConnectionGoingAway {
        connection: handle,
        code: 7,
    };
    assert_eq!(wire.side.take_records(), [reported]);
    let answer = wire.side.environment.open(handle, Proposals::Raw);
    assert_eq!(answer, Err(CallError::GoingAway));
    wire.side.write(stream, b"still");
    while wire.side.round() {}
    let data = |frame: &Frame| frame.kind == DATA && frame.id == 1;
    assert_eq!(place(&wire.records(), data), 0);
    assert_eq!(wire.side.ended, None);
    wire.side.close_write(stream);
    wire.send(WINDOW_UPDATE, FIN, 1, 0, &[]);
    assert_eq!(wire.side.read(stream).1, Err(CallError::EndOfStream));
    while wire.side.round() {}
    assert_eq!(wire.side.ended, Some(ConnectionFault::GoAway(7)));
    let report = wire.side.connection.end_report().unwrap();
    assert_eq!((report.code, report.remote), (7, true));
    let sent = wire.records().concat();
    assert!(sent.iter().all(|frame| frame.kind != GO_AWAY), "{sent:?}");
}

#[test]
fn a_connection_without_streams_ends_with_a_remote_goaway() {
    let mut wire = Wire::new(1 << 20);
    wire.send(GO_AWAY, 0, 0, 0, &[]);
    while wire.side.round() {}
    assert_eq!(wire.side.ended, Some(ConnectionFault::GoAway(0)));
}

#[test]
fn a_stream_posted_before_a_remote_goaway_and_never_opened_ends() {
    let mut wire = Wire::new(1 << 20);
    let stream = wire.side.open(Proposals::Raw);
    wire.put(GO_AWAY, 0, 0, 0, &[]);
    // The driver runs before the flush of the tick.
    let mut cx = Context::from_waker(Waker::noop());
    let connection = Arc::clone(&wire.side.connection);
    let ended = connection.poll_drive(&mut cx, &mut Scratch::default());
    assert_eq!(ended, Err(ConnectionFault::GoAway(0)));
    connection.finish(ConnectionFault::GoAway(0));
    while wire.side.round() {}
    let reported = wire.side.take_records();
    let is_reset = reported.iter().any(
        |record| matches!(record, Record::StreamReset { stream: reset, .. } if *reset == stream),
    );
    assert!(is_reset, "reported {reported:?}");
}

// Y12: no frame is longer than a record, however much is written.
#[test]
fn large_writes_are_cut_into_frames_of_16_kib() {
    let mut wire = Wire::new(64 << 20);
    let bulk = wire.stream(1);
    assert_eq!(wire.side.write(bulk, &vec![1; 1 << 20]), PIPE_BYTES);
    let lengths: Vec<u32> = wire
        .all_records()
        .concat()
        .iter()
        .filter(|frame| frame.kind == DATA)
        .map(|frame| frame.length)
        .collect();
    assert_eq!(lengths.iter().sum::<u32>(), PIPE_BYTES as u32);
    assert!(lengths.iter().all(|length| *length <= 16_372));
}

#[test]
fn every_frame_is_counted() {
    let mut wire = Wire::new(64 << 20);
    let bulk = wire.stream(1);
    let stats = |wire: &Wire| {
        let stats = &wire.side.connection.hub.stats;
        [stats.frames_in.get(), stats.frames_out.get()]
    };
    // A ping and a SYN were sent, and credit was received.
    assert_eq!(stats(&wire), [1, 2]);
    wire.side.write(bulk, &vec![1; PIPE_BYTES]);
    wire.send(PING, 1, 0, 9, &[]);
    wire.send(DATA, 0, 1, 5, b"bytes");
    let frames = wire.all_records().concat().len() as u64;
    assert_eq!(stats(&wire), [3, 2 + frames]);
}

#[test]
fn a_violation_is_answered_by_one_goaway() {
    for muxer in [Muxer::Yamux, Muxer::YamuxCrate] {
        let mut wire = Wire::over(muxer, 1 << 20);
        // A SYN with an id of our parity.
        wire.send(DATA, 1, 1, 0, &[]);
        assert_eq!(wire.side.ended, Some(ConnectionFault::Muxer));
        let sent = wire.records().concat();
        let goaways = sent.iter().filter(|frame| frame.kind == GO_AWAY);
        assert_eq!(goaways.count(), 1, "{muxer:?}: {sent:?}");
    }
}
