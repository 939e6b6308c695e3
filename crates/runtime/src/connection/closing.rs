//! The end that we have asked for: what closed streams have accepted goes out, then our GoAway.

use std::time::Duration;

use ferroswarm_proto::muxer::StreamErrorCode;

use crate::error::ConnectionFault;
use crate::slot::{ResetReport, StreamSlot};
use crate::sync::Arc;

use super::core::Core;
use super::{CloseManner, CloseRequest, Connection};

/// How long the GoAway may take where nothing is delivered before it.
const CLOSE_FLUSH_MAX: Duration = Duration::from_secs(1);

/// A connection that is being closed here.
pub(super) struct Closing {
    pub(super) request: CloseRequest,
    /// Streams that may have something to deliver; those that have not leave from the back.
    draining: Vec<Arc<StreamSlot>>,
    /// There was something to deliver when the closing began.
    delivers: bool,
    /// When it ends whatever is left, unless the remote has taken something since `mark`.
    pub(super) until: Duration,
    mark: Mark,
}

/// How far the connection has got with what it has to send.
#[derive(Clone, Copy)]
struct Mark {
    sealed: u64,
    unsent: usize,
}

impl Closing {
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

    /// They hold the connection, which holds this: what has ended lets go of them.
    pub(super) fn forget_streams(&mut self) {
        self.draining = Vec::new();
    }
}

impl Core {
    /// Begins to close the connection, or to close it sooner than was asked before.
    pub(super) fn begin_close(
        &mut self,
        connection: &Arc<Connection>,
        request: CloseRequest,
        now: Duration,
    ) {
        let mut closing = Box::new(Closing {
            request,
            draining: Vec::new(),
            delivers: false,
            until: now + CLOSE_FLUSH_MAX,
            mark: self.mark(connection),
        });
        if request.manner == CloseManner::Orderly {
            let unopened = self.ring.iter().chain(&self.unopened);
            let unopened = unopened.filter(|slot| !slot.is_on_wire());
            let opened = self.entries.iter().flatten().map(|entry| &entry.slot);
            let (draining, others): (Vec<_>, Vec<_>) = unopened
                .chain(opened)
                .cloned()
                .partition(|slot| slot.is_draining());
            closing.delivers = !draining.is_empty() || self.wants_write();
            closing.draining = draining;
            if closing.delivers {
                closing.until = now + connection.limits.write_stall_timeout;
                // The connection stays for a while, and they do not.
                let lost = ResetReport {
                    code: request.code,
                    connection_lost: true,
                    orderly: request.code == 0,
                    ..ResetReport::default()
                };
                for slot in others {
                    slot.shut_down(lost, StreamErrorCode::Shutdown as u32);
                }
            }
        }
        self.closing = Some(closing);
    }

    /// Closes the connection once nothing is left of it behind the remote's GoAway.
    pub(super) fn follow_goodbye(&mut self, connection: &Arc<Connection>, now: Duration) {
        let Some(code) = self.remote_goaway else {
            return;
        };
        // Nothing waits in the outbox: what was posted before the GoAway has been collected since.
        let is_deserted = self.ring.is_empty()
            && self.unopened.is_empty()
            && self.entries.iter().all(Option::is_none);
        if is_deserted && self.closing.is_none() {
            let request = CloseRequest {
                code: 0,
                fault: ConnectionFault::GoAway(code),
                manner: CloseManner::Orderly,
            };
            self.begin_close(connection, request, now);
        }
    }

    /// Nothing of the streams is sent any more but their resets.
    pub(super) fn closes_at_once(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.request.manner == CloseManner::AtOnce)
    }

    /// It is being closed, and what streams have accepted is delivered first.
    pub(super) fn delivers(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.delivers)
    }

    /// Queues our GoAway if it is time; tells whether that was now.
    ///
    /// Last, when the streams have nothing left: rust-libp2p ends all of them when it reads it. A remote
    /// that has said goodbye itself gets none in answer: it would be a write for nothing.
    pub(super) fn say_goodbye(&mut self) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        let CloseRequest {
            code,
            fault,
            manner,
        } = closing.request;
        let waits =
            manner == CloseManner::Orderly && (!self.ring.is_empty() || closing.is_draining());
        if self.goodbye_queued || waits {
            return false;
        }
        self.goodbye_queued = true;
        if !matches!(fault, ConnectionFault::GoAway(_)) {
            self.engine.go_away(code);
        }
        true
    }

    /// Ends the channel right behind our GoAway, so that the remote can tell the end from a cut.
    pub(super) fn close_channel(&mut self, out: &mut Vec<u8>) {
        let last = self.goodbye_queued && !self.engine.has_control();
        if last && !std::mem::replace(&mut self.channel_closed, true) {
            self.channel.close(out);
        }
    }

    /// Whether everything that was to be sent is out.
    pub(super) fn is_flushed(&self) -> bool {
        self.write_failed || (self.channel_closed && self.unsent.is_empty())
    }

    /// The time for closing is over, unless the remote has taken something in it.
    pub(super) fn closing_expired(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let mark = self.mark(connection);
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
        if mark.sealed > before.sealed || mark.unsent < before.unsent {
            closing.until = now + connection.limits.write_stall_timeout;
            return Ok(());
        }
        Err(ConnectionFault::WriteStall)
    }

    fn mark(&self, connection: &Connection) -> Mark {
        Mark {
            sealed: connection.traffic.bytes_out.get(),
            unsent: self.unsent.len() - self.sent,
        }
    }
}
