//! The connection's side of a stream: what arrives, and what becomes of it.

use ferroswarm_proto::stream::{Input, State};

use crate::config::SEND_PIPE_MAX;
use crate::error::StreamFault;
use crate::sync::Arc;

use super::{FinState, Inner, Pending, ResetReport, StreamSlot};

/// Unsealed bytes below which a writer that was refused is told to go on.
const SEND_LOW_WATER: usize = SEND_PIPE_MAX / 2;

impl StreamSlot {
    /// Ends the stream with a fault of the remote's: state ERROR, RST on the wire.
    pub(crate) fn fail(self: &Arc<Self>, fault: StreamFault) {
        let mut inner = self.lock();
        if inner.state.is_terminal() || inner.finished {
            return;
        }
        inner.state.apply(Input::Fail { code: fault as u16 });
        self.drop_pipes(&mut inner);
        let code = fault.reset_code() as u32;
        inner.orders.reset = Some(code);
        inner.reset = Some(ResetReport {
            code,
            fault: Some(fault),
            ..ResetReport::default()
        });
        inner.settle_fault = Some(fault);
        self.tell(&mut inner, Pending::RESET);
        self.finish(&mut inner);
        self.send_later(inner);
    }

    /// Resets the stream for a reason of the connection's own: JavaScript is told of it.
    pub(crate) fn abandon(self: &Arc<Self>, code: u32) {
        let mut inner = self.lock();
        if inner.finished {
            return;
        }
        inner.state.apply(Input::Reset {
            code,
            remote: false,
        });
        self.drop_pipes(&mut inner);
        inner.orders.reset = Some(code);
        inner.reset = Some(ResetReport {
            code,
            ..ResetReport::default()
        });
        self.tell(&mut inner, Pending::RESET);
        self.finish(&mut inner);
        self.send_later(inner);
    }

    /// The remote's RST or the end of the connection.
    ///
    /// Where the FIN came first, the unread bytes stay readable and the end follows them: only
    /// `closed` is told.
    pub(crate) fn end(self: &Arc<Self>, report: ResetReport) {
        let mut inner = self.lock();
        inner.key = None;
        if !inner.finished {
            self.lose(&mut inner, report);
        }
    }

    /// The connection is being closed: a stream that is open for writing ends with it here, and on the
    /// wire by a reset with `code`.
    pub(crate) fn shut_down(self: &Arc<Self>, report: ResetReport, code: u32) {
        let mut inner = self.lock();
        if inner.finished || inner.fin != FinState::Open {
            return;
        }
        self.lose(&mut inner, report);
        inner.orders.reset = Some(code);
        self.send_later(inner);
    }

    /// Whether it was closed for writing and has bytes or its end to send.
    pub(crate) fn is_draining(&self) -> bool {
        let inner = self.lock();
        match inner.fin {
            FinState::Open | FinState::Sent => false,
            FinState::Wanted => !inner.finished,
            FinState::Withheld => {
                let on_wire = inner.key.is_some() || inner.orders.open.is_some();
                on_wire && !inner.send.is_empty()
            }
        }
    }

    /// Ends the stream as [`StreamSlot::end`] describes.
    fn lose(self: &Arc<Self>, inner: &mut Inner, report: ResetReport) {
        if report.connection_lost && report.orderly && Self::is_delivered(inner) {
            // It was only the answer to its proposal that it waited for.
            self.finish(inner);
            return;
        }
        inner.unsent = Self::has_unsent(inner);
        if inner.remote_ended && inner.state.is_read_open() {
            inner.state.apply(Input::CloseWrite);
            let mut pool = self.carrier.hub().pool();
            self.carrier.sub_unsealed(inner.send.len());
            inner.send.clear(&mut pool);
        } else {
            inner.state.apply(Input::Reset {
                code: report.code,
                remote: report.remote,
            });
            inner.reset = Some(ResetReport {
                unsent: inner.unsent,
                unread: !inner.recv.is_empty(),
                ..report
            });
            self.drop_pipes(inner);
            self.tell(inner, Pending::RESET);
        }
        self.finish(inner);
    }

    /// Bytes arrived.
    pub(crate) fn deliver(self: &Arc<Self>, bytes: &[u8]) {
        let mut inner = self.lock();
        // Behind the last line of a negotiation there may be none.
        if bytes.is_empty() || !inner.state.is_read_open() || inner.finished {
            return;
        }
        inner.recv.push(bytes, &mut self.carrier.hub().pool());
        inner.received += bytes.len() as u64;
        self.charge(&mut inner);
        if inner.pending.contains(Pending::READABLE) {
            inner.awaiting += bytes.len();
            self.carrier.add_awaiting(bytes.len());
        } else if inner.read_armed {
            self.announce_readable(&mut inner);
        }
    }

    /// Lines of the negotiation arrived. They count as read: their credit goes back.
    pub(crate) fn consume_lines(&self, count: usize) {
        let mut inner = self.lock();
        inner.received += count as u64;
        // At most what a record carries.
        inner.orders.consumed += count as u32;
    }

    /// The remote ended its half.
    pub(crate) fn deliver_end(self: &Arc<Self>) {
        let mut inner = self.lock();
        if inner.finished {
            return;
        }
        inner.remote_ended = true;
        if inner.read_armed && !inner.pending.contains(Pending::READABLE) {
            self.announce_readable(&mut inner);
        }
    }

    pub(super) fn announce_readable(self: &Arc<Self>, inner: &mut Inner) {
        inner.read_armed = false;
        inner.awaiting = inner.recv.len();
        self.carrier.add_awaiting(inner.awaiting);
        self.tell(inner, Pending::READABLE);
    }

    /// Bytes left the send pipe: a writer that was refused may go on.
    pub(super) fn drained(self: &Arc<Self>, inner: &mut Inner) {
        let waits = inner.write_armed && !inner.undecided;
        if waits && inner.send.len() <= SEND_LOW_WATER && self.send_room(inner) > 0 {
            inner.write_armed = false;
            self.tell(inner, Pending::WRITABLE);
        }
    }

    /// Finishes the stream once both halves are done, our FIN is out and the remote speaks its protocol;
    /// tells whether it did.
    pub(super) fn finish_if_done(self: &Arc<Self>, inner: &mut Inner) -> bool {
        let done = !inner.finished && !inner.unanswered && Self::is_delivered(inner);
        if done {
            self.finish(inner);
        }
        done
    }

    /// Both halves are done, and everything is sent.
    fn is_delivered(inner: &Inner) -> bool {
        inner.state.state() == State::CloseBoth && inner.fin == FinState::Sent
    }
}
