//! JavaScript's calls on streams: reads, writes and closes.

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::multistream::{Answer, ProtocolId};
use ferroswarm_proto::stream::State;

use crate::connection::Direction;
use crate::error::CallError;
use crate::handlers::Handler;
use crate::registry::HANDLE_PENDING;
use crate::slot::StreamSlot;
use crate::sync::Arc;

use super::{End, Environment, Object};

impl Environment {
    /// Opens a stream that is carried by a muxer in JavaScript.
    ///
    /// # Errors
    /// [`CallError::HandleLimit`].
    pub fn open_foreign(&mut self, direction: Direction) -> Result<u32, CallError> {
        let slot = StreamSlot::foreign(&self.hub, direction);
        let handle = self
            .objects
            .insert(Object::Stream(Arc::clone(&slot)))
            .ok_or(CallError::HandleLimit)?;
        slot.set_handle(handle);
        Ok(handle.raw())
    }

    /// Makes a call of a foreign stream's muxer and announces the notifications it queues.
    ///
    /// # Errors
    /// Errors of `call`.
    pub fn foreign<T>(
        &self,
        stream: u32,
        call: impl FnOnce(&Arc<StreamSlot>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let answer = call(self.stream(stream)?)?;
        self.hub.announce();
        Ok(answer)
    }

    /// See [`StreamSlot::arm`]. The opener of a stream waits for an answer.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn arm(&self, stream: u32) -> Result<(), CallError> {
        self.stream(stream)?.arm();
        Ok(())
    }

    /// See [`StreamSlot::read`].
    ///
    /// # Errors
    /// Errors of [`StreamSlot::read`].
    pub fn read(&self, stream: u32, into: &mut [u8]) -> Result<usize, CallError> {
        let read = self.stream(stream)?.read(into);
        let count = self.reported(read)?;
        self.hub.stats.bytes_read.add(count as u64);
        Ok(count)
    }

    /// Reads what the end of a stream has left unread.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`] once that end has been drained.
    pub fn read_left(&self, stream: u32, into: &mut [u8]) -> Result<usize, CallError> {
        let count = self.stream(stream)?.read_left(into);
        self.hub.stats.bytes_read.add(count as u64);
        Ok(count)
    }

    /// Announces the notifications of a read that failed: reading the end of a stream closes it.
    fn reported(&self, read: Result<usize, CallError>) -> Result<usize, CallError> {
        if read.is_err() {
            self.hub.announce();
        }
        read
    }

    /// See [`StreamSlot::read_messages`].
    ///
    /// # Errors
    /// Errors of [`StreamSlot::read_messages`].
    pub fn read_messages(
        &self,
        stream: u32,
        into: &mut [u8],
        lengths: &mut [u32],
    ) -> Result<usize, CallError> {
        let read = self.stream(stream)?.read_messages(into, lengths);
        let count = self.reported(read)?;
        let bytes: u64 = lengths[..count]
            .iter()
            .map(|&length| u64::from(length))
            .sum();
        self.hub.stats.bytes_read.add(bytes);
        Ok(count)
    }

    /// See [`StreamSlot::set_framing`].
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn set_framing(&self, stream: u32, framing: Framing, max: usize) -> Result<(), CallError> {
        self.stream(stream)?.set_framing(framing, max);
        Ok(())
    }

    /// See [`StreamSlot::write`].
    ///
    /// # Errors
    /// Errors of [`StreamSlot::write`].
    pub fn write(&mut self, stream: u32, bytes: &[u8]) -> Result<usize, CallError> {
        let slot = Arc::clone(self.stream(stream)?);
        let count = slot.write(bytes)?;
        self.hub.stats.bytes_written.add(count as u64);
        self.touch(&slot, count);
        Ok(count)
    }

    /// See [`StreamSlot::submit`]; then closes the halves given by `end`. The credit carries
    /// [`HANDLE_PENDING`] if the remote has not answered the stream's only proposal by then:
    /// `negotiated` follows.
    ///
    /// # Errors
    /// Errors of [`StreamSlot::submit`] and [`StreamSlot::close_write`].
    pub fn submit(
        &mut self,
        stream: u32,
        bytes: &[u8],
        end: Option<End>,
    ) -> Result<i32, CallError> {
        let slot = Arc::clone(self.stream(stream)?);
        // An end without bytes is not a write.
        let credit = if end.is_some() && bytes.is_empty() {
            0
        } else {
            slot.submit(bytes)?
        };
        self.hub.stats.bytes_written.add(bytes.len() as u64);
        self.touch(&slot, bytes.len());
        match end {
            Some(End::Write) => drop(slot.close_write()?),
            Some(End::Both) => drop(slot.close()),
            None => return Ok(credit),
        }
        Ok(if slot.awaits_answer() {
            credit | HANDLE_PENDING as i32
        } else {
            credit
        })
    }

    /// Changes a stream's state, which may have to go on the wire.
    ///
    /// # Errors
    /// Errors of `change`.
    pub fn change(
        &mut self,
        stream: u32,
        change: impl FnOnce(&Arc<StreamSlot>) -> Result<State, CallError>,
    ) -> Result<State, CallError> {
        let slot = Arc::clone(self.stream(stream)?);
        let state = change(&slot)?;
        self.touch(&slot, 0);
        Ok(state)
    }

    /// Returns the queried protocol, or the one agreed on after the query.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`]; [`CallError::State`] if there was no query.
    pub fn queried_protocol(&self, stream: u32) -> Result<ProtocolId, CallError> {
        self.stream(stream)?.queried().ok_or(CallError::State)
    }

    /// Answers [`Record::ProtocolQuery`](crate::Record::ProtocolQuery) with the handler of the
    /// protocol; a late answer is not an error.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn answer(&mut self, stream: u32, handler: Option<Handler>) -> Result<(), CallError> {
        let slot = Arc::clone(self.stream(stream)?);
        slot.answer(handler.map_or(Answer::Refuse, Answer::Serve));
        self.touch(&slot, 0);
        Ok(())
    }
}
