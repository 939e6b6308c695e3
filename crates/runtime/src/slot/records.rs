//! Records that a drain emits for a stream.

use crate::record::Record;
use crate::registry::Handle;
use crate::sync::Arc;

use super::notifications::Pending;
use super::{Inner, StreamSlot};

/// Work left to a drain after the records of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// An acknowledgement to the remote is posted: the connection must be flushed.
    pub(crate) owes_acknowledgement: bool,
    /// Handle of a stream whose `closed` was emitted, to be released after the batch.
    pub(crate) closed: Option<Handle>,
}

impl StreamSlot {
    /// Emits records for all pending notifications. `register` assigns a handle to a stream about
    /// to be announced; if it refuses, the stream is reset.
    pub(crate) fn drain_records(
        self: &Arc<Self>,
        register: impl FnOnce(&Arc<Self>) -> Option<Handle>,
        emit: &mut dyn FnMut(Record),
    ) -> Drained {
        let mut inner = self.lock();
        inner.notifications.begin_drain();
        let carrier = self.carrier.connection();
        let connection = carrier.map_or(0, |connection| connection.handle());
        let opened = inner.notifications.take(Pending::OPENED);
        let queried = inner.notifications.take(Pending::QUERIED);
        let finished = inner.notifications.is_finished();
        let taken = (opened || (queried && finished)) && self.release_place(&mut inner);
        if queried && finished && inner.notifications.handle().is_none() {
            // The stream ended before JavaScript was queried about it.
            return Drained::default();
        }
        // A connection without a handle was refused one, and gets no streams.
        if (opened || queried)
            && inner.notifications.handle().is_none()
            && connection != 0
            && let Some(handle) = register(self)
        {
            inner.notifications.set_handle(handle);
        }
        let Some(handle) = inner.notifications.handle() else {
            drop(inner);
            self.reset(0);
            self.carrier.kick();
            return Drained::default();
        };
        let stream = handle.raw();
        if opened {
            emit(Record::StreamOpened {
                stream,
                connection,
                protocol: inner.protocol,
            });
        }
        if queried && !finished {
            emit(Record::ProtocolQuery { stream, connection });
        }
        let closed = self.emit_rest(&mut inner, stream, emit).then_some(handle);
        // A stream that has left the wire needs no acknowledgement.
        let owes_acknowledgement = taken && inner.wire.key().is_some();
        if owes_acknowledgement {
            self.send_later(inner);
        }
        Drained {
            owes_acknowledgement,
            closed,
        }
    }

    /// Emits everything after the announcement; returns whether that included the end.
    fn emit_rest(&self, inner: &mut Inner, stream: u32, emit: &mut dyn FnMut(Record)) -> bool {
        // Readability implies the answer.
        let reported = inner.notifications.is_pending(Pending::READABLE);
        let answered = inner.notifications.take(Pending::ANSWERED) && !reported;
        if inner.notifications.take(Pending::NEGOTIATED) || answered {
            let fault = inner.reset.and_then(|report| report.fault);
            let protocol = if fault.is_some() { 0 } else { inner.protocol };
            emit(Record::StreamNegotiated {
                stream,
                protocol,
                fault,
            });
        }
        // Pipe lengths stay far below 4 GiB.
        if inner.notifications.take(Pending::READABLE) {
            inner.read.clear_awaiting(&self.carrier);
            emit(Record::StreamReadable {
                stream,
                bytes: inner.read.len() as u32,
            });
        }
        if inner.notifications.take(Pending::WRITABLE) {
            emit(Record::StreamWritable {
                stream,
                credit: inner.write.room(&self.carrier) as u32,
            });
        }
        if inner.notifications.take(Pending::RESET)
            && let Some(report) = inner.reset
        {
            emit(Record::StreamReset { stream, report });
        }
        let closed = inner.notifications.take(Pending::CLOSED);
        if closed {
            emit(Record::StreamClosed {
                stream,
                left: inner.read.len() as u32,
                unsent: inner.unsent,
            });
        }
        closed
    }

    /// Counts of bytes: received, sent, received but unread, written but unsent.
    pub(crate) fn figures(&self) -> [u64; 4] {
        let inner = self.lock();
        let (unread, unsent) = (inner.read.len() as u64, inner.write.pipe().len() as u64);
        [inner.read.received(), inner.write.sent(), unread, unsent]
    }
}
