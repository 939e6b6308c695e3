//! Stream carried by a muxer in JavaScript, whose slot is filled and emptied by calls.

use ferroswarm_proto::stream::{Agreement, FinState, State, WriteInput};

use crate::connection::Direction;
use crate::error::CallError;
use crate::hub::Hub;
use crate::sync::{Arc, AtomicUsize};

use super::notifications::Notifications;
use super::{Carrier, Inner, ResetReport, StreamSlot, Taken, Wire};

impl StreamSlot {
    /// Creates an open slot without a connection.
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
            Notifications::opened_locally(),
        );
        Self::new(carrier, direction, inner)
    }

    /// Rejects calls that only foreign streams support.
    fn require_foreign(&self) -> Result<(), CallError> {
        match self.carrier {
            Carrier::Foreign { .. } => Ok(()),
            Carrier::Connection(_) => Err(CallError::State),
        }
    }

    /// Delivers bytes received by the muxer; returns the number of unread bytes.
    ///
    /// # Errors
    /// [`CallError::State`] for a stream of a native connection.
    pub fn feed(self: &Arc<Self>, bytes: &[u8]) -> Result<usize, CallError> {
        self.require_foreign()?;
        self.deliver(bytes);
        Ok(self.lock().read.len())
    }

    /// Delivers the end of the remote's half.
    ///
    /// # Errors
    /// As [`StreamSlot::feed`].
    pub fn feed_end(self: &Arc<Self>) -> Result<(), CallError> {
        self.require_foreign()?;
        self.deliver_end();
        Ok(())
    }

    /// Delivers a reset, or a failure of the muxer.
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

    /// Moves pending output into `into`; a command is returned only once.
    ///
    /// # Errors
    /// As [`StreamSlot::feed`].
    pub fn take(self: &Arc<Self>, into: &mut [u8]) -> Result<Taken, CallError> {
        self.require_foreign()?;
        let mut inner = self.lock();
        // Commands from here on are announced, even though `more` makes the caller come back
        // anyway: a reset must not wait for that.
        inner.outgoing = false;
        if let Some(code) = inner.commands.reset.take() {
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
            discard: std::mem::take(&mut inner.commands.discard),
            reset: None,
            held: inner.read.len(),
        })
    }
}
