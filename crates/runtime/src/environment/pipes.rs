//! JavaScript's calls on the pipes of connections whose bytes it carries itself.

use crate::error::CallError;
use crate::fed::{FedPipe, Port, PortEvents};
use crate::record::Record;
use crate::registry::Handle;

use super::{Environment, Object};

impl Environment {
    /// Opens a pipe; returns its handle and the connection's end. The handle is valid until
    /// [`drop_pipe`](Self::drop_pipe).
    ///
    /// # Errors
    /// [`CallError::HandleLimit`].
    pub fn open_pipe(&mut self) -> Result<(u32, FedPipe), CallError> {
        let (port, pipe) = Port::new(&self.hub);
        let handle = self
            .objects
            .insert(Object::Pipe(Box::new(port)))
            .ok_or(CallError::HandleLimit)?;
        self.port(handle.raw())?.set_handle(handle.raw());
        Ok((handle.raw(), pipe))
    }

    /// Feeds bytes received for a connection; returns how many. If that is 0, the pipe is full and
    /// [`Record::PipeReady`] follows.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`]; [`CallError::ConnectionClosed`] if nobody reads them any more.
    pub fn feed_pipe(&self, pipe: u32, bytes: &[u8]) -> Result<usize, CallError> {
        let fed = self.port(pipe)?.feed(bytes);
        fed.map_err(|_| CallError::ConnectionClosed)
    }

    /// Takes bytes that a connection sends; returns how many. If that is 0, there are none yet and
    /// [`Record::PipeReady`] follows.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`]; [`CallError::EndOfStream`] after the last of them.
    pub fn take_pipe(&self, pipe: u32, into: &mut [u8]) -> Result<usize, CallError> {
        self.port(pipe)?.take(into).ok_or(CallError::EndOfStream)
    }

    /// Ends the bytes received for a connection, after those fed so far.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn end_pipe(&self, pipe: u32) -> Result<(), CallError> {
        self.port(pipe)?.end();
        Ok(())
    }

    /// Frees a pipe. A connection that still uses it is lost.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn drop_pipe(&mut self, pipe: u32) -> Result<(), CallError> {
        self.port(pipe)?;
        self.objects.remove(Handle::from_raw(pipe));
        Ok(())
    }

    fn port(&self, handle: u32) -> Result<&Port, CallError> {
        match self.objects.get(Handle::from_raw(handle)) {
            Some(Object::Pipe(port)) => Ok(port),
            _ => Err(CallError::StaleHandle),
        }
    }

    pub(super) fn expand_pipe(&self, events: &PortEvents, emit: &mut dyn FnMut(Record)) {
        let (has_room, has_output) = events.take();
        // JavaScript may have dropped it since.
        if self.port(events.handle()).is_ok() {
            emit(Record::PipeReady {
                pipe: events.handle(),
                has_room,
                has_output,
            });
        }
    }
}
