//! What JavaScript is told of a stream when it drains.

use crate::record::Record;
use crate::registry::Handle;
use crate::sync::Arc;

use super::notifications::Pending;
use super::{Inner, StreamSlot};

/// What a drain has to do for a stream behind its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// The remote is owed an acknowledgement, which is posted: the connection has to be flushed.
    pub(crate) owes_acknowledgement: bool,
    /// `closed` was told: the handle is forgotten behind the batch.
    pub(crate) closed: Option<Handle>,
}

impl StreamSlot {
    /// Emits a record for everything that JavaScript has not been told. `register` gives a handle to one that is about
    /// to be told of; it may refuse, and the stream is reset then.
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
        let taken = (opened || (queried && finished)) && self.taken(&mut inner);
        if queried && finished && inner.notifications.handle().is_none() {
            // It ended before JavaScript could be asked about it.
            return Drained::default();
        }
        // A connection without a handle was refused one.
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
        // One that has left the wire owes the remote nothing.
        let owes_acknowledgement = taken && inner.wire.key().is_some();
        if owes_acknowledgement {
            self.send_later(inner);
        }
        Drained {
            owes_acknowledgement,
            closed,
        }
    }

    /// Everything behind the announcement; returns whether that was the end.
    fn emit_rest(&self, inner: &mut Inner, stream: u32, emit: &mut dyn FnMut(Record)) -> bool {
        // Bytes or an end of the remote's tell it as well.
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
        // Lengths of pipes stay far below 4 GiB.
        if inner.notifications.take(Pending::READABLE) {
            inner.read.settle_awaiting(&self.carrier);
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

    /// Bytes received, sent, received and not read, written and not sent.
    pub(crate) fn figures(&self) -> [u64; 4] {
        let inner = self.lock();
        let (unread, unsent) = (inner.read.len() as u64, inner.write.pipe().len() as u64);
        [inner.read.received(), inner.write.sent(), unread, unsent]
    }
}
