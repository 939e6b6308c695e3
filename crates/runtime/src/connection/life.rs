//! Lifecycle of a connection: close requests, GoAway, and the reason for its end.

use std::time::Duration;

use ferroswarm_proto::muxer::ConnectionErrorCode;

use crate::error::{ConnectionFault, TransportFault};
use crate::slot::StreamSlot;
use crate::sync::Arc;

use super::link::{Link, Mark};

/// Request to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseRequest {
    /// Error code of our GoAway.
    pub code: u32,
    /// Fault reported to JavaScript.
    pub fault: ConnectionFault,
    /// Treatment of bytes that streams have accepted.
    pub manner: CloseManner,
}

/// Treatment of bytes that streams have accepted when their connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseManner {
    /// Streams closed for writing deliver theirs first, as long as the remote takes some within
    /// every [`Limits::write_stall_timeout`](crate::Limits::write_stall_timeout); all others are
    /// reset at once.
    Orderly,
    /// They are dropped.
    AtOnce,
}

/// End of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndReport {
    /// GoAway code as on the wire, the remote's or ours; or the code with which the remote closed its
    /// WebSocket.
    pub code: u32,
    /// Whether the remote ended it.
    pub remote: bool,
    /// Reason.
    pub fault: ConnectionFault,
}

impl EndReport {
    /// Returns the code that tells the remote why, where the connection itself carries one.
    pub(super) const fn wire_code(&self) -> u32 {
        match self.fault {
            ConnectionFault::Muxer => ConnectionErrorCode::ProtocolViolation as u32,
            _ if self.remote => ConnectionErrorCode::NoError as u32,
            _ => self.code,
        }
    }

    /// Returns whether either side closed the connection without an error.
    pub(super) fn is_orderly(&self) -> bool {
        self.code == 0
            && matches!(
                self.fault,
                ConnectionFault::Local | ConnectionFault::NodeClosed | ConnectionFault::GoAway(_)
            )
    }
}

/// Progress of a connection towards its end: requested locally, announced by the remote, or a
/// failure.
#[derive(Default)]
pub(super) struct Life {
    /// Boxed, because a connection is closing for only a small part of its life.
    closing: Option<Box<Closing>>,
    /// Our GoAway is queued; the connection ends once it is flushed.
    goaway_queued: bool,
    /// Code of the remote's GoAway.
    remote_goaway: Option<u32>,
    /// Fault of a turn on JavaScript's thread, with which the driver ends the connection unless that turn
    /// has ended it.
    fault: Option<ConnectionFault>,
    ended: bool,
}

/// State of a connection being closed locally.
pub(super) struct Closing {
    request: CloseRequest,
    /// Streams that may have output left to deliver; drained ones are popped from the back.
    draining: Vec<Arc<StreamSlot>>,
    /// Whether there was output to deliver when closing began.
    delivers: bool,
    /// Time at which the connection ends regardless, unless the remote has taken something since
    /// `mark`.
    until: Duration,
    mark: Mark,
}

impl Closing {
    /// Closes with our GoAway alone, which must be flushed by `until`.
    pub(super) const fn new(request: CloseRequest, mark: Mark, until: Duration) -> Self {
        Self {
            request,
            draining: Vec::new(),
            delivers: false,
            until,
            mark,
        }
    }

    /// Delivers first what `draining` have accepted and the socket has refused; the remote must
    /// take some of it by `until`.
    pub(super) fn delivering(self, draining: Vec<Arc<StreamSlot>>, until: Duration) -> Self {
        Self {
            draining,
            delivers: true,
            until,
            ..self
        }
    }

    /// Returns whether a stream closed for writing still has bytes or its FIN to send.
    fn is_draining(&mut self) -> bool {
        while let Some(slot) = self.draining.last() {
            if slot.is_draining() {
                return true;
            }
            self.draining.pop();
        }
        false
    }
}

impl Life {
    /// Starts closing the connection, or replaces an earlier request by one that waits for less.
    pub(super) fn close(&mut self, closing: Closing) {
        self.closing = Some(Box::new(closing));
    }

    /// The close request being carried out.
    pub(super) fn request(&self) -> Option<CloseRequest> {
        self.closing.as_ref().map(|closing| closing.request)
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Returns whether neither side has started to close.
    pub(super) const fn is_open(&self) -> bool {
        self.closing.is_none() && self.remote_goaway.is_none()
    }

    /// Returns whether streams send nothing but resets any more.
    pub(super) fn closes_at_once(&self) -> bool {
        self.request()
            .is_some_and(|request| request.manner == CloseManner::AtOnce)
    }

    /// Returns whether the connection is closing and delivers accepted bytes first.
    pub(super) fn delivers(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.delivers)
    }

    /// Records the remote's GoAway; returns whether it is the first.
    pub(super) const fn record_goaway(&mut self, code: u32) -> bool {
        self.remote_goaway.replace(code).is_none()
    }

    /// Code of the remote's GoAway, until closing begins.
    pub(super) fn unhandled_goaway(&self) -> Option<u32> {
        self.remote_goaway.filter(|_| self.closing.is_none())
    }

    /// Queues our GoAway if it is due; returns whether it was queued by this call.
    ///
    /// It is due last, when the streams have nothing left to send: rust-libp2p ends all streams
    /// when it reads it. A GoAway of the remote is not answered by one, which would be a wasted
    /// write.
    pub(super) fn queue_goaway(
        &mut self,
        link: &mut Link,
        has_queued: bool,
        now: Duration,
    ) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        let request = closing.request;
        let waits = request.manner == CloseManner::Orderly
            && (has_queued || closing.is_draining() || link.is_delivering());
        if self.goaway_queued || waits {
            return false;
        }
        self.goaway_queued = true;
        if !matches!(request.fault, ConnectionFault::GoAway(_)) {
            link.go_away(request.code, now);
        }
        true
    }

    /// Returns whether our GoAway is queued, or not needed: nothing follows it.
    pub(super) const fn is_goaway_queued(&self) -> bool {
        self.goaway_queued
    }

    /// Deadline of the close.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.closing.as_ref().map(|closing| closing.until)
    }

    /// Handles the close deadline, which is extended by `timeout` if the remote has taken
    /// something since the last one.
    ///
    /// # Errors
    /// The fault with which the connection ends now.
    pub(super) fn handle_deadline(
        &mut self,
        mark: Mark,
        timeout: Duration,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let Some(closing) = &mut self.closing else {
            return Ok(());
        };
        if now < closing.until {
            return Ok(());
        }
        if !closing.delivers {
            return Err(closing.request.fault);
        }
        let before = std::mem::replace(&mut closing.mark, mark);
        if mark.has_moved_since(before) {
            closing.until = now + timeout;
            return Ok(());
        }
        Err(ConnectionFault::WriteStall)
    }

    /// Records the failure of a turn on JavaScript's thread; only the first one counts.
    pub(super) fn fail(&mut self, fault: ConnectionFault) {
        self.fault.get_or_insert(fault);
    }

    /// Recorded failure, with which the driver has to end the connection.
    pub(super) const fn fault(&self) -> Option<ConnectionFault> {
        self.fault
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Marks the connection as ended; returns whether it was not ended before.
    pub(super) fn end(&mut self) -> bool {
        if let Some(closing) = &mut self.closing {
            // Breaks a reference cycle: the slots hold the connection, which holds this.
            closing.draining = Vec::new();
        }
        !std::mem::replace(&mut self.ended, true)
    }

    /// Builds the report of an end caused by `fault`.
    pub(super) fn report(&self, fault: ConnectionFault) -> EndReport {
        let remote = matches!(
            fault,
            ConnectionFault::Ended
                | ConnectionFault::Reset
                | ConnectionFault::GoAway(_)
                | ConnectionFault::Transport(TransportFault::Closed(_))
        );
        // Our request, unless it only follows the remote's GoAway.
        let ours = self
            .request()
            .filter(|request| !matches!(request.fault, ConnectionFault::GoAway(_)));
        match (ours, self.remote_goaway) {
            (Some(request), _) => EndReport {
                code: request.code,
                remote: false,
                // Accepted bytes were not delivered.
                fault: match fault {
                    ConnectionFault::WriteStall => fault,
                    _ => request.fault,
                },
            },
            (None, Some(code)) if remote => EndReport {
                code,
                remote,
                fault: ConnectionFault::GoAway(code),
            },
            _ => EndReport {
                code: match fault {
                    ConnectionFault::Transport(TransportFault::Closed(code)) => code.into(),
                    _ => 0,
                },
                remote,
                fault,
            },
        }
    }
}
