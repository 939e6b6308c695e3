//! Records as four words each, and the other constants of the hot calls. `ts/native/record.ts` has the same
//! constants; a test compares them through [`crate::tables`].

use ferroswarm_runtime::{ConnectionFault, EndReport, Record, ResetReport, Taken};

use crate::error_code::ErrorCode;
use crate::tables::numbers;

/// Words per record: kind and flags, handle, two arguments.
pub(crate) const WORDS: usize = 4;

numbers! {
    /// Record kinds: the low byte of word 0.
    KINDS:
    STREAM_OPENED = 1,
    STREAM_NEGOTIATED = 2,
    STREAM_READABLE = 3,
    STREAM_WRITABLE = 4,
    STREAM_RESET = 5,
    STREAM_CLOSED = 6,
    STREAM_OUTGOING = 7,
    CONNECTION_OPENED = 8,
    CONNECTION_CLOSED = 9,
    PROTOCOL_QUERY = 10,
    CONNECTION_GOING_AWAY = 11,
    DIAGNOSTICS = 12,
    CONNECTION_CARRIED = 13,
    ATTEMPTS_FAILED = 14,
    PIPE_READY = 15,
    COMPLETION = 16,
    LISTENER_CLOSED = 17,
    GATE_QUESTIONS = 18,
    HTTP_REQUESTS = 19,
}

numbers! {
    /// Flags, above the low byte of word 0. The meaning of a bit depends on the kind.
    FLAGS:
    /// Caused by the remote.
    FLAG_REMOTE = 1,
    /// The whole connection was lost.
    FLAG_CONNECTION_LOST = 2,
    /// The keepalive timeout ended the connection.
    FLAG_KEEPALIVE = 4,
    /// The write stall timeout ended the connection: the remote took no bytes.
    FLAG_WRITE_STALL = 8,
    /// The frame stall timeout ended the connection: the remote did not complete a frame.
    FLAG_FRAME_STALL = 16,
    /// The transport ended the connection, and has said more.
    FLAG_EXPLAINED = 32,
    /// Only from JavaScript: the stream failed other than by a reset.
    FLAG_FAULT = 4,
    /// The lost connection had been closed by either side, without an error.
    FLAG_ORDERLY = 8,
    /// Accepted bytes, or an accepted end, were not sent.
    FLAG_UNSENT = 16,
    /// Received bytes were not read.
    FLAG_UNREAD = 32,
    /// The command has made a connection, to which its result adds nothing.
    FLAG_EMPTY = 1,
}

numbers! {
    /// Flags of a pipe's record: room for bytes to feed, bytes to take or their end.
    PIPES:
    PIPE_HAS_ROOM = 1,
    PIPE_HAS_OUTPUT = 2,
}

numbers! {
    /// Orders of a row of `submit`: none, close the write half, close both halves.
    ORDERS:
    ORDER_NONE = 0,
    ORDER_CLOSE_WRITE = 1,
    ORDER_CLOSE = 2,
}

numbers! {
    /// Framings of `frame`.
    FRAMINGS:
    FRAMING_VARINT = 0,
    FRAMING_FIXED8 = 1,
    FRAMING_FIXED16 = 2,
    FRAMING_FIXED32 = 3,
    FRAMING_FIXED64 = 4,
}

numbers! {
    /// Flags of `take`: more bytes, end-of-stream, stop reading, reset.
    TAKEN:
    TAKEN_MORE = 1,
    TAKEN_END = 2,
    TAKEN_DISCARD = 4,
    TAKEN_RESET = 8,
}

/// Returns the [`TAKEN`] flags of `taken`.
pub(crate) fn taken_flags(taken: &Taken) -> u32 {
    flags([
        (taken.more, TAKEN_MORE),
        (taken.fin, TAKEN_END),
        (taken.discard, TAKEN_DISCARD),
        (taken.reset.is_some(), TAKEN_RESET),
    ])
}

fn flags<const COUNT: usize>(set: [(bool, u32); COUNT]) -> u32 {
    set.into_iter().fold(
        0,
        |all, (is_set, flag)| if is_set { all | flag } else { all },
    )
}

fn end_words(connection: u32, report: EndReport) -> [u32; WORDS] {
    let clock = match report.fault {
        ConnectionFault::Keepalive => FLAG_KEEPALIVE,
        ConnectionFault::WriteStall => FLAG_WRITE_STALL,
        ConnectionFault::FrameStall => FLAG_FRAME_STALL,
        ConnectionFault::Transport(_) => FLAG_EXPLAINED,
        _ => 0,
    };
    let flags = clock | if report.remote { FLAG_REMOTE } else { 0 };
    let fault = ErrorCode::of_end(report.fault).map_or(0, ErrorCode::word);
    [
        CONNECTION_CLOSED | flags << 8,
        connection,
        report.code,
        fault,
    ]
}

const fn carried_words(connection: u32, figure: u32, value: u64) -> [u32; WORDS] {
    let (low, high) = (value as u32, (value >> 32) as u32);
    [CONNECTION_CARRIED | figure << 8, connection, low, high]
}

fn reset_words(stream: u32, report: &ResetReport) -> [u32; WORDS] {
    let flags = flags([
        (report.remote, FLAG_REMOTE),
        (report.connection_lost, FLAG_CONNECTION_LOST),
        (report.orderly, FLAG_ORDERLY),
        (report.unsent, FLAG_UNSENT),
        (report.unread, FLAG_UNREAD),
    ]);
    let fault = report
        .fault
        .map_or(0, |fault| ErrorCode::from(fault).word());
    [STREAM_RESET | flags << 8, stream, report.code, fault]
}

/// Returns the words of one record.
pub(crate) fn words(record: Record) -> [u32; WORDS] {
    match record {
        Record::StreamOpened {
            stream,
            connection,
            protocol,
        } => [STREAM_OPENED, stream, connection, protocol],
        Record::ProtocolQuery { stream, connection } => [PROTOCOL_QUERY, stream, connection, 0],
        Record::StreamNegotiated {
            stream,
            protocol,
            fault,
        } => [
            STREAM_NEGOTIATED,
            stream,
            protocol,
            fault.map_or(0, |fault| ErrorCode::from(fault).word()),
        ],
        Record::StreamReadable { stream, bytes } => [STREAM_READABLE, stream, bytes, 0],
        Record::StreamWritable { stream, credit } => [STREAM_WRITABLE, stream, credit, 0],
        Record::StreamReset { stream, report } => reset_words(stream, &report),
        Record::StreamClosed {
            stream,
            left,
            unsent,
        } => {
            let flags = if unsent { FLAG_UNSENT } else { 0 };
            [STREAM_CLOSED | flags << 8, stream, left, 0]
        }
        Record::StreamOutgoing { stream } => [STREAM_OUTGOING, stream, 0, 0],
        Record::ConnectionOpened {
            connection,
            node,
            request,
        } => [CONNECTION_OPENED, connection, node, request],
        Record::ConnectionGoingAway { connection, code } => {
            [CONNECTION_GOING_AWAY, connection, code, 0]
        }
        Record::ConnectionCarried {
            connection,
            figure,
            value,
        } => carried_words(connection, figure, value),
        Record::ConnectionClosed { connection, report } => end_words(connection, report),
        Record::AttemptsFailed { request, node } => [ATTEMPTS_FAILED, request, node, 0],
        Record::PipeReady {
            pipe,
            has_room,
            has_output,
        } => {
            let flags = flags([(has_room, PIPE_HAS_ROOM), (has_output, PIPE_HAS_OUTPUT)]);
            [PIPE_READY | flags << 8, pipe, 0, 0]
        }
        Record::Completion { request, is_empty } => {
            let flags = flags([(is_empty, FLAG_EMPTY)]);
            [COMPLETION | flags << 8, request, 0, 0]
        }
        Record::GateQuestions { node } => [GATE_QUESTIONS, node, 0, 0],
        Record::HttpRequests { node } => [HTTP_REQUESTS, node, 0, 0],
        Record::ListenerClosed { listener } => [LISTENER_CLOSED, listener, 0, 0],
        Record::Diagnostics { waiting, dropped } => [DIAGNOSTICS, 0, waiting, dropped],
    }
}
