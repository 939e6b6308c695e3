//! The connection's side of a stream: received bytes and the stream's end.

use ferroswarm_proto::stream::{FinState, Input, State, WriteInput};

use crate::error::StreamFault;
use crate::sync::Arc;

use super::notifications::Pending;
use super::{Inner, ResetReport, StreamSlot, Wire};

impl StreamSlot {
    /// Fails the stream with `fault`: state ERROR, RST on the wire.
    pub(crate) fn fail(self: &Arc<Self>, fault: StreamFault) {
        let mut inner = self.lock();
        if inner.state.is_terminal() || inner.notifications.is_finished() {
            // The unsent bytes of an abandoned stream have no recipient any more.
            inner.write.cut(&self.carrier);
            return;
        }
        inner.state.apply(Input::Fail { code: fault as u16 });
        self.drop_pipes(&mut inner);
        let code = fault.reset_code() as u32;
        inner.commands.reset = Some(code);
        inner.reset = Some(ResetReport {
            code,
            fault: Some(fault),
            ..ResetReport::default()
        });
        self.notify(&mut inner, Pending::RESET);
        self.finish(&mut inner);
        self.send_later(inner);
    }

    /// Resets the stream on behalf of the connection, and notifies JavaScript.
    pub(crate) fn abandon(self: &Arc<Self>, code: u32) {
        let mut inner = self.lock();
        if inner.notifications.is_finished() {
            return;
        }
        inner.state.apply(Input::Reset {
            code,
            remote: false,
        });
        self.drop_pipes(&mut inner);
        inner.commands.reset = Some(code);
        inner.reset = Some(ResetReport {
            code,
            ..ResetReport::default()
        });
        self.notify(&mut inner, Pending::RESET);
        self.finish(&mut inner);
        self.send_later(inner);
    }

    /// Handles the remote's RST or the end of the connection.
    ///
    /// If the FIN came first, unread bytes stay readable, followed by the end: only `closed` is
    /// notified. Otherwise they are dropped, or left to [`StreamSlot::read_left`].
    pub(crate) fn end(self: &Arc<Self>, report: ResetReport) {
        let mut inner = self.lock();
        if matches!(inner.wire, Wire::Open(_)) {
            inner.wire = Wire::Off;
        }
        if inner.notifications.is_finished() {
            inner.write.apply(WriteInput::Cut);
            inner.release_scope(self.direction, &self.carrier);
        } else {
            self.end_with(&mut inner, report);
        }
    }

    /// Ends a stream that is open for writing when its connection is being closed, and resets it on
    /// the wire with `code`.
    pub(crate) fn shut_down(self: &Arc<Self>, report: ResetReport, code: u32) {
        let mut inner = self.lock();
        if inner.notifications.is_finished() || inner.write.fin() != FinState::Open {
            return;
        }
        self.end_with(&mut inner, report);
        inner.commands.reset = Some(code);
        self.send_later(inner);
    }

    /// Returns whether the stream was closed for writing and still has bytes or its FIN to send.
    pub(crate) fn is_draining(&self) -> bool {
        let inner = self.lock();
        let is_due = match inner.write.fin() {
            FinState::Open | FinState::Sent | FinState::Cut => false,
            FinState::Wanted => true,
            FinState::Withheld => !inner.write.pipe().is_empty(),
        };
        is_due && !matches!(inner.wire, Wire::Off)
    }

    /// Ends the stream as [`StreamSlot::end`] describes.
    fn end_with(self: &Arc<Self>, inner: &mut Inner, report: ResetReport) {
        if report.connection_lost && report.orderly && Self::is_delivered(inner) {
            // Only the answer to its proposal was outstanding.
            inner.write.cut(&self.carrier);
            self.finish(inner);
            return;
        }
        inner.unsent = inner.write.has_unsent();
        if inner.read.is_ended() && inner.state.is_read_open() {
            inner.state.apply(Input::CloseWrite);
            inner.write.cut(&self.carrier);
        } else {
            inner.state.apply(Input::Reset {
                code: report.code,
                remote: report.remote,
            });
            inner.reset = Some(ResetReport {
                unsent: inner.unsent,
                unread: !inner.read.is_empty(),
                ..report
            });
            if !self.carrier.keeps_unread() {
                inner.read.clear(&self.carrier);
            }
            inner.write.cut(&self.carrier);
            self.notify(inner, Pending::RESET);
        }
        self.finish(inner);
    }

    /// Delivers received bytes.
    pub(crate) fn deliver(self: &Arc<Self>, bytes: &[u8]) {
        let mut inner = self.lock();
        // `bytes` may be empty after the last line of a negotiation.
        let is_read = inner.state.is_read_open() && !inner.read.is_discarding();
        if bytes.is_empty() || !is_read || inner.notifications.is_finished() {
            return;
        }
        inner.read.push(bytes, &self.carrier);
        if inner.notifications.is_pending(Pending::READABLE) {
            inner.read.await_more(bytes.len(), &self.carrier);
        } else if inner.read.is_armed() {
            self.announce_readable(&mut inner);
        }
    }

    /// Counts negotiation lines as received and read, so that their credit is returned.
    pub(crate) fn consume_lines(&self, count: usize) {
        self.lock().read.consume_lines(count);
    }

    /// Delivers the end of the remote's half.
    pub(crate) fn deliver_end(self: &Arc<Self>) {
        let mut inner = self.lock();
        if inner.notifications.is_finished() {
            return;
        }
        inner.read.end();
        if inner.read.is_armed() && !inner.notifications.is_pending(Pending::READABLE) {
            self.announce_readable(&mut inner);
        }
    }

    pub(super) fn announce_readable(self: &Arc<Self>, inner: &mut Inner) {
        inner.read.announce(&self.carrier);
        self.notify(inner, Pending::READABLE);
    }

    /// Notifies a refused writer once the send pipe has drained far enough.
    pub(super) fn drained(self: &Arc<Self>, inner: &mut Inner) {
        if inner.write.take_resumed(&self.carrier) {
            self.notify(inner, Pending::WRITABLE);
        }
    }

    /// Finishes the stream if both halves are done, our FIN is sent and the remote has agreed to
    /// the protocol; returns whether it did.
    pub(super) fn finish_if_done(self: &Arc<Self>, inner: &mut Inner) -> bool {
        let done = !inner.notifications.is_finished()
            && inner.state.state() == State::CloseBoth
            && inner.write.half().is_complete();
        if done {
            self.finish(inner);
        }
        done
    }

    /// Returns whether both halves are closed and everything is sent.
    fn is_delivered(inner: &Inner) -> bool {
        inner.state.state() == State::CloseBoth && inner.write.fin() == FinState::Sent
    }
}
