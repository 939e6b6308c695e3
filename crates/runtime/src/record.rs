//! Records that a drain delivers to JavaScript.

use crate::connection::EndReport;
use crate::error::StreamFault;
use crate::slot::ResetReport;

/// An event for JavaScript, in the order in which it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// An inbound stream, with its protocol (0: raw).
    StreamOpened {
        /// The stream.
        stream: u32,
        /// Its connection.
        connection: u32,
        /// Its protocol.
        protocol: u32,
    },
    /// A protocol that is not in the table was proposed: see
    /// [`Environment::answer`](crate::Environment::answer).
    ProtocolQuery {
        /// The stream; `StreamOpened` follows if it is served, `StreamClosed` alone if it ends
        /// before.
        stream: u32,
        /// Its connection.
        connection: u32,
    },
    /// An outbound stream that was not usable at once is now, or never will be.
    StreamNegotiated {
        /// The stream.
        stream: u32,
        /// Its protocol; 0 if it failed.
        protocol: u32,
        /// The failure, if any.
        fault: Option<StreamFault>,
    },
    /// An armed read can make progress.
    StreamReadable {
        /// The stream.
        stream: u32,
        /// Bytes available; 0 is the end.
        bytes: u32,
    },
    /// A refused writer may continue.
    StreamWritable {
        /// The stream.
        stream: u32,
        /// Bytes it may write.
        credit: u32,
    },
    /// Both halves were reset.
    StreamReset {
        /// The stream.
        stream: u32,
        /// Side and code of the reset.
        report: ResetReport,
    },
    /// The last record of a stream; its handle is valid until the next drain.
    StreamClosed {
        /// The stream.
        stream: u32,
        /// Bytes that may still be read until then.
        left: u32,
        /// Whether bytes or an end that were accepted here were not sent.
        unsent: bool,
    },
    /// A foreign stream has output for its muxer: [`StreamSlot::take`](crate::StreamSlot::take).
    StreamOutgoing {
        /// The stream.
        stream: u32,
    },
    /// A connection was established.
    ConnectionOpened {
        /// The connection.
        connection: u32,
        /// Its node.
        node: u32,
        /// Request of its dial; 0 for an accepted one.
        request: u32,
    },
    /// The remote accepts no more streams on it; it ends after the streams it has.
    ConnectionGoingAway {
        /// The connection.
        connection: u32,
        /// Code of the remote's GoAway.
        code: u32,
    },
    /// One traffic figure of a connection whose end follows; figures that are 0 are omitted.
    ConnectionCarried {
        /// The connection.
        connection: u32,
        /// Its index in the result of [`Environment::measure`](crate::Environment::measure).
        figure: u32,
        /// Its value.
        value: u64,
    },
    /// A connection ended.
    ConnectionClosed {
        /// The connection.
        connection: u32,
        /// Code, side and reason of the end.
        report: EndReport,
    },
    /// Attempts of a dial in progress have failed:
    /// [`Environment::attempts`](crate::Environment::attempts).
    AttemptsFailed {
        /// The request of the dial.
        request: u32,
        /// Its node.
        node: u32,
    },
    /// A pipe that JavaScript found full has room for half of its bytes, or one that it found empty
    /// has bytes to take, or has ended.
    PipeReady {
        /// The pipe.
        pipe: u32,
        /// [`Environment::feed_pipe`](crate::Environment::feed_pipe) makes progress.
        has_room: bool,
        /// [`Environment::take_pipe`](crate::Environment::take_pipe) makes progress.
        has_output: bool,
    },
    /// Questions about connections that are being set up wait: [`Gate::take_questions`](crate::Gate::take_questions).
    GateQuestions {
        /// The node.
        node: u32,
    },
    /// Requests to WebSocket listeners that are no upgrade wait:
    /// [`Node::take_requests`](crate::Node::take_requests).
    HttpRequests {
        /// The node.
        node: u32,
    },
    /// A command has ended: [`Environment::take_outcome`](crate::Environment::take_outcome).
    Completion {
        /// The request.
        request: u32,
        /// It has made a connection, without failures to report: its outcome adds nothing, and is dropped
        /// by the next drain.
        is_empty: bool,
    },
    /// A listener has ended.
    ListenerClosed {
        /// The listener.
        listener: u32,
    },
    /// Diagnostic facts are pending: [`Hub::take_diagnostic`](crate::Hub::take_diagnostic).
    Diagnostics {
        /// Number of pending facts.
        waiting: u32,
        /// Facts dropped since the last record of this kind: the ring was full, or the limit per
        /// second was reached.
        dropped: u32,
    },
}
