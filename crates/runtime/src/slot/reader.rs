//! The reading side of a slot: the bytes that have arrived, and how many of them JavaScript has read.

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::stream::Pipe;

use crate::messages::{self, TakeError};

use super::Carrier;

/// First quarter of the initial window of 256 KiB.
const CREDIT_STEP_INITIAL: u32 = 64 << 10;

/// The bytes that nobody has read, and everything that is counted about them.
pub(super) struct Reader {
    pipe: Pipe,
    /// Memory of `pipe` that its connection is charged for.
    charged: usize,
    /// Bytes received so far, those of the negotiation included.
    received: u64,
    /// Received bytes counted as awaiting JavaScript.
    awaiting: usize,
    /// A read found nothing: the next bytes, or the end, notify JavaScript.
    armed: bool,
    /// The remote has ended its half; the end is reported behind the last byte.
    ended: bool,
    /// Bytes that JavaScript has read since the connection last gave credit for them.
    consumed: u32,
    /// Consumed bytes at which credit is worth a frame: a quarter of the receive window.
    credit_step: u32,
    /// Where messages end, and how large they may be.
    framing: Option<(Framing, usize)>,
}

/// Whole messages that were copied out.
pub(super) struct Messages {
    pub(super) count: usize,
    /// Bytes that left the pipe, prefixes included.
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

    /// Bytes arrived.
    pub(super) fn push(&mut self, bytes: &[u8], carrier: &Carrier) {
        self.pipe.push(bytes, &mut carrier.hub().pool());
        self.received += bytes.len() as u64;
        self.charge(carrier);
    }

    /// Copies up to `into.len()` bytes out; the caller accounts for them by [`Reader::consume`].
    pub(super) fn copy_to(&mut self, into: &mut [u8], carrier: &Carrier) -> usize {
        self.pipe.copy_to(into, &mut carrier.hub().pool())
    }

    pub(super) const fn set_framing(&mut self, framing: Framing, message_bytes_max: usize) {
        self.framing = Some((framing, message_bytes_max));
    }

    /// Copies whole messages out, to be accounted for as those of [`Reader::copy_to`]; none without a framing.
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

    /// JavaScript has read `count` bytes; returns whether their credit is worth a frame.
    pub(super) fn consume(&mut self, count: usize, carrier: &Carrier) -> bool {
        self.charge(carrier);
        if self.ended {
            return false;
        }
        // A read copies far less than 4 GiB.
        self.consumed = self.consumed.saturating_add(count as u32);
        self.consumed >= self.credit_step
    }

    /// Lines of the negotiation arrived. They count as read: their credit goes back.
    pub(super) const fn consume_lines(&mut self, count: usize) {
        self.received += count as u64;
        // At most what a record carries.
        self.consumed += count as u32;
    }

    /// Takes out the bytes that are received once more.
    pub(super) fn withdraw_query(&mut self, carrier: &Carrier) -> Vec<u8> {
        let mut bytes = vec![0; self.pipe.len()];
        self.copy_to(&mut bytes, carrier);
        self.received -= bytes.len() as u64;
        self.charge(carrier);
        bytes
    }

    /// Bytes that JavaScript has read since the last call.
    pub(super) const fn take_consumed(&mut self) -> u32 {
        std::mem::replace(&mut self.consumed, 0)
    }

    pub(super) const fn set_credit_step(&mut self, bytes: u32) {
        self.credit_step = bytes;
    }

    /// The remote ended its half.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
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

    /// JavaScript is notified of what there is: until it drains, that awaits it.
    pub(super) fn announce(&mut self, carrier: &Carrier) {
        self.armed = false;
        self.awaiting = self.pipe.len();
        carrier.add_awaiting(self.awaiting);
    }

    /// `count` bytes more have joined those that JavaScript is notified of.
    pub(super) fn await_more(&mut self, count: usize, carrier: &Carrier) {
        self.awaiting += count;
        carrier.add_awaiting(count);
    }

    /// Nothing awaits JavaScript any more.
    pub(super) fn settle_awaiting(&mut self, carrier: &Carrier) {
        let awaiting = std::mem::take(&mut self.awaiting);
        if awaiting > 0 {
            carrier.sub_awaiting(awaiting);
        }
    }

    /// Drops what nobody will read.
    pub(super) fn clear(&mut self, carrier: &Carrier) {
        self.settle_awaiting(carrier);
        self.pipe.clear(&mut carrier.hub().pool());
        self.charge(carrier);
    }

    /// Frees the memory that a reader has left behind in part.
    pub(super) fn compact(&mut self, carrier: &Carrier) {
        self.pipe.compact(&mut carrier.hub().pool());
        self.charge(carrier);
    }

    /// The slot is gone: what nobody has read leaves the counts of its connection.
    pub(super) fn release(&mut self, carrier: &Carrier) {
        carrier.sub_held(self.charged);
        self.settle_awaiting(carrier);
    }

    /// Charges the connection for the memory of what is unread, after every change of it.
    ///
    /// Memory and not bytes: a byte in a chunk of its own costs as much as hundreds.
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
