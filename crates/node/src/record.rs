//! Facts as four words each; `ts/native/record.ts` mirrors the layout.

use ferroswarm_runtime::{ConnectionFault, EndReport, Record, Taken};

use crate::error_code::ErrorCode;

/// Words of one record: kind and flags, handle, two arguments.
pub(crate) const WORDS: usize = 4;

pub(crate) const STREAM_OPENED: u32 = 1;
pub(crate) const STREAM_SETTLED: u32 = 2;
pub(crate) const STREAM_READABLE: u32 = 3;
pub(crate) const STREAM_WRITABLE: u32 = 4;
pub(crate) const STREAM_RESET: u32 = 5;
pub(crate) const STREAM_CLOSED: u32 = 6;
pub(crate) const STREAM_OUTGOING: u32 = 7;
pub(crate) const CONNECTION_OPENED: u32 = 8;
pub(crate) const CONNECTION_CLOSED: u32 = 9;
pub(crate) const STREAM_ASKED: u32 = 10;
pub(crate) const CONNECTION_GOING_AWAY: u32 = 11;
pub(crate) const DIAGNOSTICS: u32 = 12;
pub(crate) const CONNECTION_CARRIED: u32 = 13;
pub(crate) const ATTEMPTS_FAILED: u32 = 14;
pub(crate) const COMPLETION: u32 = 16;
pub(crate) const LISTENER_CLOSED: u32 = 17;

/// The remote did it.
pub(crate) const FLAG_REMOTE: u32 = 1;
/// The whole connection was lost.
pub(crate) const FLAG_CONNECTION_LOST: u32 = 2;

/// The clock of the keepalive ended the connection.
pub(crate) const FLAG_KEEPALIVE: u32 = 4;
/// That of bytes which the remote does not take.
pub(crate) const FLAG_WRITE_STALL: u32 = 8;
/// That of a frame which the remote does not complete.
pub(crate) const FLAG_FRAME_STALL: u32 = 16;

/// Only from JavaScript: the stream failed otherwise than by a reset.
pub(crate) const FLAG_FAULT: u32 = 4;

/// The connection that was lost had been closed by one of its ends, without an error.
pub(crate) const FLAG_ORDERLY: u32 = 8;
/// Bytes or an end that were accepted here were not sent.
pub(crate) const FLAG_UNSENT: u32 = 16;
/// Bytes that had arrived were not read.
pub(crate) const FLAG_UNREAD: u32 = 32;

/// What [`Taken`] orders, as flags: bytes are left, end-of-stream, stop reading, reset.
pub(crate) fn taken_flags(taken: &Taken) -> u32 {
    let flags = [taken.more, taken.fin, taken.discard, taken.reset.is_some()];
    (0..).zip(flags).map(|(bit, on)| u32::from(on) << bit).sum()
}

fn end_words(connection: u32, report: EndReport) -> [u32; WORDS] {
    let clock = match report.fault {
        ConnectionFault::Keepalive => FLAG_KEEPALIVE,
        ConnectionFault::WriteStall => FLAG_WRITE_STALL,
        ConnectionFault::FrameStall => FLAG_FRAME_STALL,
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

/// The words of one fact.
pub(crate) fn words(record: Record) -> [u32; WORDS] {
    let fault_word = |fault: Option<ErrorCode>| fault.map_or(0, ErrorCode::word);
    match record {
        Record::StreamOpened {
            stream,
            connection,
            protocol,
        } => [STREAM_OPENED, stream, connection, protocol],
        Record::StreamAsked { stream, connection } => [STREAM_ASKED, stream, connection, 0],
        Record::StreamSettled {
            stream,
            protocol,
            fault,
        } => [
            STREAM_SETTLED,
            stream,
            protocol,
            fault_word(fault.map(ErrorCode::from)),
        ],
        Record::StreamReadable { stream, bytes } => [STREAM_READABLE, stream, bytes, 0],
        Record::StreamWritable { stream, credit } => [STREAM_WRITABLE, stream, credit, 0],
        Record::StreamReset { stream, report } => {
            let flags = [
                (report.remote, FLAG_REMOTE),
                (report.connection_lost, FLAG_CONNECTION_LOST),
                (report.orderly, FLAG_ORDERLY),
                (report.unsent, FLAG_UNSENT),
                (report.unread, FLAG_UNREAD),
            ]
            .into_iter()
            .fold(
                0,
                |flags, (is_set, flag)| if is_set { flags | flag } else { flags },
            );
            let fault = fault_word(report.fault.map(ErrorCode::from));
            [STREAM_RESET | flags << 8, stream, report.code, fault]
        }
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
        } => {
            let (low, high) = (value as u32, (value >> 32) as u32);
            [CONNECTION_CARRIED | figure << 8, connection, low, high]
        }
        Record::ConnectionClosed { connection, report } => end_words(connection, report),
        Record::AttemptsFailed { request, node } => [ATTEMPTS_FAILED, request, node, 0],
        Record::Completion { request } => [COMPLETION, request, 0, 0],
        Record::ListenerClosed { listener } => [LISTENER_CLOSED, listener, 0, 0],
        Record::Diagnostics { waiting, dropped } => [DIAGNOSTICS, 0, waiting, dropped],
    }
}
