//! A stream that a muxer in JavaScript carries: its slot, filled and emptied by calls.

use ferroswarm_proto::stream::{Agreement, FinState, State, WriteInput};

use crate::connection::Direction;
use crate::error::CallError;
use crate::hub::Hub;
use crate::sync::{Arc, AtomicUsize};

use super::notifications::Notifications;
use super::{Carrier, Inner, ResetReport, StreamSlot, Taken, Wire};

impl StreamSlot {
    /// A slot without a connection, open.
    pub(crate) fn foreign(hub: &Arc<Hub>, direction: Direction) -> Arc<Self> {
        hub.stats.streams_opened.add(1);
        let carrier = Carrier::Foreign {
            hub: Arc::clone(hub),
            unsealed: AtomicUsize::new(0),
        };
        let inner = Inner::new(
            State::Open,
            Wire::Off,
            Agreement::Agreed,
            Notifications::opened_here(),
        );
        Self::new(carrier, direction, inner)
    }

    /// Refuses what only a foreign stream may be asked.
    fn require_foreign(&self) -> Result<(), CallError> {
        match self.carrier {
            Carrier::Foreign { .. } => Ok(()),
            Carrier::Connection(_) => Err(CallError::State),
        }
    }

    /// Bytes arrived from the muxer; answers how many nobody has read.
    ///
    /// # Errors
    /// [`CallError::State`] for a stream of our own connections.
    pub fn feed(self: &Arc<Self>, bytes: &[u8]) -> Result<usize, CallError> {
        self.require_foreign()?;
        self.deliver(bytes);
        Ok(self.lock().read.len())
    }

    /// The muxer has read the remote's end.
    ///
    /// # Errors
    /// As [`StreamSlot::feed`].
    pub fn feed_end(self: &Arc<Self>) -> Result<(), CallError> {
        self.require_foreign()?;
        self.deliver_end();
        Ok(())
    }

    /// The muxer has told of a reset, or has failed.
    ///
    /// # Errors
    /// As [`StreamSlot::feed`].
    pub fn feed_reset(self: &Arc<Self>, report: ResetReport) -> Result<(), CallError> {
        self.require_foreign()?;
        match report.fault {
            Some(fault) => self.fail(fault),
            None => self.end(report),
        }
        Ok(())
    }

    /// Moves what is to be sent into `into`; an order that is answered once is not repeated.
    ///
    /// # Errors
    /// As [`StreamSlot::feed`].
    pub fn take(self: &Arc<Self>, into: &mut [u8]) -> Result<Taken, CallError> {
        self.require_foreign()?;
        let mut inner = self.lock();
        // Whatever is ordered from here on is announced, though whoever is told of more comes back anyway:
        // a reset does not wait for that.
        inner.outgoing = false;
        if let Some(code) = inner.orders.reset.take() {
            return Ok(Taken {
                reset: Some(code),
                ..Taken::default()
            });
        }
        let bytes = inner.write.move_to(into, &self.carrier);
        self.drained(&mut inner);
        let more = !inner.write.pipe().is_empty();
        let fin = !more && inner.write.fin() == FinState::Wanted;
        if fin {
            inner.write.apply(WriteInput::FinSent);
            self.finish_if_done(&mut inner);
        }
        inner.read.take_consumed();
        Ok(Taken {
            bytes,
            more,
            fin,
            discard: std::mem::take(&mut inner.orders.discard),
            reset: None,
            held: inner.read.len(),
        })
    }
}
