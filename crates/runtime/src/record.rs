//! What JavaScript is told by a drain.

use crate::connection::EndReport;
use crate::error::StreamFault;
use crate::slot::ResetReport;

/// A fact for JavaScript, in the order in which it happened.
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
        /// The stream; `StreamOpened` follows if it is served, `StreamClosed` alone if it ends before.
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
        /// Why it failed.
        fault: Option<StreamFault>,
    },
    /// An armed read has something to find.
    StreamReadable {
        /// The stream.
        stream: u32,
        /// Bytes there; 0 is the end.
        bytes: u32,
    },
    /// A refused writer may go on.
    StreamWritable {
        /// The stream.
        stream: u32,
        /// Bytes it may write.
        credit: u32,
    },
    /// Both halves ended at once.
    StreamReset {
        /// The stream.
        stream: u32,
        /// By whom, and with which code.
        report: ResetReport,
    },
    /// Nothing more happens to this stream; its handle lives until the next drain.
    StreamClosed {
        /// The stream.
        stream: u32,
        /// Bytes that may still be read until then.
        left: u32,
        /// Bytes or an end that were accepted here were not sent.
        unsent: bool,
    },
    /// A foreign stream has something for its muxer: [`StreamSlot::take`](crate::StreamSlot::take).
    StreamOutgoing {
        /// The stream.
        stream: u32,
    },
    /// A connection.
    ConnectionOpened {
        /// The connection.
        connection: u32,
        /// Its node.
        node: u32,
        /// The dial that made it; 0 for an accepted one.
        request: u32,
    },
    /// The remote takes no more streams on it; its end follows that of those it has.
    ConnectionGoingAway {
        /// The connection.
        connection: u32,
        /// Code of the remote's GoAway.
        code: u32,
    },
    /// One figure of what it had carried by its end, which follows; those that are 0 are not told.
    ConnectionCarried {
        /// The connection.
        connection: u32,
        /// Which, by its place in the answer of [`Environment::measure`](crate::Environment::measure).
        figure: u32,
        /// The figure.
        value: u64,
    },
    /// Its end.
    ConnectionClosed {
        /// The connection.
        connection: u32,
        /// How.
        report: EndReport,
    },
    /// Attempts of a dial have failed, which goes on: [`Environment::attempts`](crate::Environment::attempts).
    AttemptsFailed {
        /// The request of the dial.
        request: u32,
        /// Its node.
        node: u32,
    },
    /// A command has ended; its outcome waits in [`Environment::take_outcome`](crate::Environment::take_outcome).
    Completion {
        /// The request.
        request: u32,
    },
    /// A listener has ended.
    ListenerClosed {
        /// The listener.
        listener: u32,
    },
    /// There are diagnostic facts: [`Hub::take_diagnostic`](crate::Hub::take_diagnostic).
    Diagnostics {
        /// How many.
        waiting: u32,
        /// Facts that were dropped since the last record of this kind, for want of room.
        dropped: u32,
    },
}
