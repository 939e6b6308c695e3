//! How far a connection has come in its life, and why it ends.

use std::time::Duration;

use crate::error::ConnectionFault;
use crate::slot::StreamSlot;
use crate::sync::Arc;

use super::link::{Link, Mark};

/// How to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseRequest {
    /// Code of our GoAway.
    pub code: u32,
    /// What JavaScript is told.
    pub fault: ConnectionFault,
    /// What becomes of bytes that streams have accepted.
    pub manner: CloseManner,
}

/// What becomes of bytes that streams have accepted when their connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseManner {
    /// Streams that were closed for writing deliver theirs first, as long as the remote takes any within
    /// [`Limits::write_stall_timeout`](crate::Limits::write_stall_timeout); the others are reset at once.
    Orderly,
    /// They are lost.
    AtOnce,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndReport {
    /// Code as on the wire: theirs or ours.
    pub code: u32,
    /// The remote ended it.
    pub remote: bool,
    /// Why.
    pub fault: ConnectionFault,
}

impl EndReport {
    /// Whether one of the two ends closed it, without an error.
    pub(super) fn is_orderly(&self) -> bool {
        self.code == 0
            && matches!(
                self.fault,
                ConnectionFault::Local | ConnectionFault::NodeClosed | ConnectionFault::GoAway(_)
            )
    }
}

/// The end of a connection, as far as it is known: asked for here, announced by the remote, or a failure.
#[derive(Default)]
pub(super) struct Life {
    /// Boxed: nearly all of its life a connection is not being closed.
    closing: Option<Box<Closing>>,
    /// Our GoAway is queued; the connection ends when it is out.
    goaway_queued: bool,
    /// Code of the remote's GoAway.
    remote_goaway: Option<u32>,
    /// A turn on JavaScript's thread ended with it: the driver ends the connection.
    fault: Option<ConnectionFault>,
    ended: bool,
}

/// A connection that is being closed here.
pub(super) struct Closing {
    request: CloseRequest,
    /// Streams that may have something to deliver; those that have not leave from the back.
    draining: Vec<Arc<StreamSlot>>,
    /// There was something to deliver when the closing began.
    delivers: bool,
    /// When it ends whatever is left, unless the remote has taken something since `mark`.
    until: Duration,
    mark: Mark,
}

impl Closing {
    /// Our GoAway alone is sent, which has time until then.
    pub(super) const fn new(request: CloseRequest, mark: Mark, until: Duration) -> Self {
        Self {
            request,
            draining: Vec::new(),
            delivers: false,
            until,
            mark,
        }
    }

    /// Before it goes out what `draining` have accepted and what the socket has refused: the remote has time until
    /// then to take something of it.
    pub(super) fn delivering(self, draining: Vec<Arc<StreamSlot>>, until: Duration) -> Self {
        Self {
            draining,
            delivers: true,
            until,
            ..self
        }
    }

    /// Whether a stream that was closed in good order has bytes or its end to send.
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
    /// Closes the connection, or closes it sooner than was asked before.
    pub(super) fn close(&mut self, closing: Closing) {
        self.closing = Some(Box::new(closing));
    }

    /// The request that is being carried out.
    pub(super) fn request(&self) -> Option<CloseRequest> {
        self.closing.as_ref().map(|closing| closing.request)
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Neither side has said that it will end.
    pub(super) const fn goes_on(&self) -> bool {
        self.closing.is_none() && self.remote_goaway.is_none()
    }

    /// Nothing of the streams is sent any more but their resets.
    pub(super) fn closes_at_once(&self) -> bool {
        self.request()
            .is_some_and(|request| request.manner == CloseManner::AtOnce)
    }

    /// It is being closed, and what streams have accepted is delivered first.
    pub(super) fn delivers(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.delivers)
    }

    /// The remote's GoAway has come; returns whether it is the first.
    pub(super) const fn remote_goes_away(&mut self, code: u32) -> bool {
        self.remote_goaway.replace(code).is_none()
    }

    /// Code of the remote's GoAway, as long as nothing is done about it.
    pub(super) fn unanswered_goaway(&self) -> Option<u32> {
        self.remote_goaway.filter(|_| self.closing.is_none())
    }

    /// Queues our GoAway if it is time; returns whether that was now.
    ///
    /// Last, when the streams have nothing left: rust-libp2p ends all of them when it reads it. A remote
    /// that has said goodbye itself gets none in answer: it would be a write for nothing.
    pub(super) fn send_goaway(&mut self, link: &mut Link, has_orders: bool) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        let request = closing.request;
        let waits = request.manner == CloseManner::Orderly && (has_orders || closing.is_draining());
        if self.goaway_queued || waits {
            return false;
        }
        self.goaway_queued = true;
        if !matches!(request.fault, ConnectionFault::GoAway(_)) {
            link.go_away(request.code);
        }
        true
    }

    /// Our GoAway is queued, or none is owed: nothing follows it.
    pub(super) const fn has_sent_goaway(&self) -> bool {
        self.goaway_queued
    }

    /// When the time for closing is over.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.closing.as_ref().map(|closing| closing.until)
    }

    /// The time for closing is over, unless the remote, which has `patience`, has taken something in it.
    ///
    /// # Errors
    /// Why the connection ends now.
    pub(super) fn handle_deadline(
        &mut self,
        mark: Mark,
        patience: Duration,
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
            closing.until = now + patience;
            return Ok(());
        }
        Err(ConnectionFault::WriteStall)
    }

    /// A turn on JavaScript's thread has failed. The first failure is the one that counts.
    pub(super) fn fail(&mut self, fault: ConnectionFault) {
        self.fault.get_or_insert(fault);
    }

    /// The failure that the driver has to end the connection with.
    pub(super) const fn fault(&self) -> Option<ConnectionFault> {
        self.fault
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// It ends; returns whether it had not ended before.
    pub(super) fn end(&mut self) -> bool {
        if let Some(closing) = &mut self.closing {
            // They hold the connection, which holds this.
            closing.draining = Vec::new();
        }
        !std::mem::replace(&mut self.ended, true)
    }

    /// How it ended, where `fault` was the occasion.
    pub(super) fn report(&self, fault: ConnectionFault) -> EndReport {
        let remote = matches!(
            fault,
            ConnectionFault::Ended | ConnectionFault::Reset | ConnectionFault::GoAway(_)
        );
        // Ours, unless it only answers theirs.
        let ours = self
            .request()
            .filter(|request| !matches!(request.fault, ConnectionFault::GoAway(_)));
        match (ours, self.remote_goaway) {
            (Some(request), _) => EndReport {
                code: request.code,
                remote: false,
                // What was to be delivered is not.
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
                code: 0,
                remote,
                fault,
            },
        }
    }
}
