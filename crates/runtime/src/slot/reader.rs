//! Read half of a slot: received bytes, and the credit for those that JavaScript has read.

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::stream::Pipe;

use crate::messages::{self, TakeError};

use super::Carrier;

/// A quarter of the initial window of 256 KiB.
const CREDIT_STEP_INITIAL: u32 = 64 << 10;

/// Unread bytes and their accounting.
pub(super) struct Reader {
    pipe: Pipe,
    /// Memory of `pipe` charged to its connection.
    charged: usize,
    /// Bytes received so far, including negotiation.
    received: u64,
    /// Received bytes whose notification is queued for the next drain.
    awaiting: usize,
    /// A read found nothing: JavaScript is notified of the next bytes or the end.
    armed: bool,
    /// The remote has ended its half; the end is reported after the last byte.
    ended: bool,
    /// JavaScript waits for the end alone: received bytes are dropped.
    discards: bool,
    /// Bytes that JavaScript has read since credit was last returned.
    consumed: u32,
    /// Consumed bytes at which credit is worth a frame: a quarter of the receive window.
    credit_step: u32,
    /// Message framing and maximum message size.
    framing: Option<(Framing, usize)>,
}

/// Complete messages copied out.
pub(super) struct Messages {
    pub(super) count: usize,
    /// Bytes taken from the pipe, including prefixes.
    pub(super) bytes: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            pipe: Pipe::default(),
            charged: 0,
            received: 0,
            awaiting: 0,
            armed: false,
            ended: false,
            discards: false,
            consumed: 0,
            credit_step: CREDIT_STEP_INITIAL,
            framing: None,
        }
    }
}

impl Reader {
    pub(super) const fn len(&self) -> usize {
        self.pipe.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.pipe.is_empty()
    }

    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    pub(super) const fn charged(&self) -> usize {
        self.charged
    }

    /// Appends received bytes.
    pub(super) fn push(&mut self, bytes: &[u8], carrier: &Carrier) {
        self.pipe.push(bytes, &mut carrier.hub().pool());
        self.received += bytes.len() as u64;
        self.charge(carrier);
    }

    /// Copies out up to `into.len()` bytes; the caller accounts for them with [`Reader::consume`].
    pub(super) fn copy_to(&mut self, into: &mut [u8], carrier: &Carrier) -> usize {
        self.pipe.copy_to(into, &mut carrier.hub().pool())
    }

    pub(super) const fn set_framing(&mut self, framing: Framing, message_bytes_max: usize) {
        self.framing = Some((framing, message_bytes_max));
    }

    /// Copies out complete messages, accounted for as with [`Reader::copy_to`]; returns `None` if
    /// no framing is set.
    pub(super) fn take_messages(
        &mut self,
        into: &mut [u8],
        lengths: &mut [u32],
        carrier: &Carrier,
    ) -> Option<Result<Messages, TakeError>> {
        let (framing, max) = self.framing?;
        let before = self.pipe.len();
        let mut pool = carrier.hub().pool();
        let count = messages::take(&mut self.pipe, framing, max, into, lengths, &mut pool);
        Some(count.map(|count| Messages {
            count,
            bytes: before - self.pipe.len(),
        }))
    }

    /// Accounts for `count` bytes read by JavaScript; returns whether their credit is worth a
    /// frame.
    pub(super) fn consume(&mut self, count: usize, carrier: &Carrier) -> bool {
        self.charge(carrier);
        if self.ended {
            return false;
        }
        // A read copies far less than 4 GiB.
        self.consumed = self.consumed.saturating_add(count as u32);
        self.consumed >= self.credit_step
    }

    /// Counts negotiation lines as received and read, so that their credit is returned.
    pub(super) const fn consume_lines(&mut self, count: usize) {
        self.received += count as u64;
        // At most one record's worth.
        self.consumed += count as u32;
    }

    /// Takes out the bytes that waited for a query, to be delivered again.
    pub(super) fn withdraw_query(&mut self, carrier: &Carrier) -> Vec<u8> {
        let mut bytes = vec![0; self.pipe.len()];
        self.copy_to(&mut bytes, carrier);
        self.received -= bytes.len() as u64;
        self.charge(carrier);
        bytes
    }

    /// Takes the number of bytes that JavaScript has read since the last call.
    pub(super) const fn take_consumed(&mut self) -> u32 {
        std::mem::replace(&mut self.consumed, 0)
    }

    pub(super) const fn set_credit_step(&mut self, bytes: u32) {
        self.credit_step = bytes;
    }

    /// Records the end of the remote's half.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Drops all bytes, those to come too.
    pub(super) fn discard(&mut self, carrier: &Carrier) {
        self.discards = true;
        self.clear(carrier);
    }

    pub(super) const fn is_discarding(&self) -> bool {
        self.discards
    }

    pub(super) const fn arm(&mut self) {
        self.armed = true;
    }

    pub(super) const fn disarm(&mut self) {
        self.armed = false;
    }

    pub(super) const fn is_armed(&self) -> bool {
        self.armed
    }

    /// Disarms, and counts the unread bytes as awaiting a drain.
    pub(super) fn announce(&mut self, carrier: &Carrier) {
        self.armed = false;
        self.awaiting = self.pipe.len();
        carrier.add_awaiting(self.awaiting);
    }

    /// Adds `count` bytes to a queued notification.
    pub(super) fn await_more(&mut self, count: usize, carrier: &Carrier) {
        self.awaiting += count;
        carrier.add_awaiting(count);
    }

    /// Clears the count of bytes awaiting a drain.
    pub(super) fn clear_awaiting(&mut self, carrier: &Carrier) {
        let awaiting = std::mem::take(&mut self.awaiting);
        if awaiting > 0 {
            carrier.sub_awaiting(awaiting);
        }
    }

    /// Drops all unread bytes.
    pub(super) fn clear(&mut self, carrier: &Carrier) {
        self.clear_awaiting(carrier);
        self.pipe.clear(&mut carrier.hub().pool());
        self.charge(carrier);
    }

    /// Compacts the partly read pipe.
    pub(super) fn compact(&mut self, carrier: &Carrier) {
        self.pipe.compact(&mut carrier.hub().pool());
        self.charge(carrier);
    }

    /// Removes unread bytes from the counts of the connection when the slot is dropped.
    pub(super) fn release(&mut self, carrier: &Carrier) {
        carrier.sub_held(self.charged);
        self.clear_awaiting(carrier);
    }

    /// Updates the memory charged to the connection after a change of the pipe.
    ///
    /// Memory is charged, not bytes: a single byte in its own chunk costs as much as hundreds.
    fn charge(&mut self, carrier: &Carrier) {
        let memory = if self.pipe.is_empty() {
            0
        } else {
            self.pipe.capacity_bytes()
        };
        let before = std::mem::replace(&mut self.charged, memory);
        if memory > before {
            carrier.add_held(memory - before);
        } else if memory < before {
            carrier.sub_held(before - memory);
        }
    }
}
