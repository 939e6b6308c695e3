//! Write half of a slot: bytes written by JavaScript, and the progress of the FIN.

use ferroswarm_proto::stream::{Agreement, FinState, Pipe, WriteHalf, WriteInput};

use crate::config::{SEND_PIPE_MAX, UNSEALED_MAX, UNSEALED_SHARE};

use super::Carrier;

/// Unsealed bytes at or below which a refused writer may resume.
const SEND_LOW_WATER: usize = SEND_PIPE_MAX / 2;

/// Bytes not yet sealed, and the state of the write half.
pub(super) struct Writer {
    half: WriteHalf,
    pipe: Pipe,
    /// Bytes sent so far, including negotiation.
    sent: u64,
    /// A write was refused for lack of room: JavaScript is notified once there is room.
    armed: bool,
}

impl Writer {
    pub(super) fn new(agreement: Agreement) -> Self {
        Self {
            half: WriteHalf::new(agreement),
            pipe: Pipe::default(),
            sent: 0,
            armed: false,
        }
    }

    pub(super) const fn half(&self) -> &WriteHalf {
        &self.half
    }

    pub(super) const fn fin(&self) -> FinState {
        self.half.fin()
    }

    pub(super) const fn apply(&mut self, input: WriteInput) {
        self.half.apply(input);
    }

    /// Bytes waiting to be sent.
    pub(super) const fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Number of bytes that may be queued within the memory bounds.
    pub(super) fn room(&self, carrier: &Carrier) -> usize {
        let held = self.pipe.len();
        let share = UNSEALED_SHARE.saturating_sub(held);
        if carrier.lacks_memory() {
            return share;
        }
        SEND_PIPE_MAX
            .saturating_sub(held)
            .min(UNSEALED_MAX.saturating_sub(carrier.unsealed()))
            .max(share)
    }

    /// Queues `bytes` regardless of room.
    pub(super) fn push(&mut self, bytes: &[u8], carrier: &Carrier) {
        self.pipe.push(bytes, &mut carrier.hub().pool());
        carrier.add_unsealed(bytes.len());
    }

    /// Removes the first `count` bytes, which are sealed.
    pub(super) fn advance(&mut self, count: usize, carrier: &Carrier) {
        self.pipe.advance(count, &mut carrier.hub().pool());
        self.note_sent(count, carrier);
    }

    /// Moves out up to `into.len()` bytes, to be sent by a foreign muxer.
    pub(super) fn move_to(&mut self, into: &mut [u8], carrier: &Carrier) -> usize {
        let count = self.pipe.copy_to(into, &mut carrier.hub().pool());
        self.note_sent(count, carrier);
        count
    }

    fn note_sent(&mut self, count: usize, carrier: &Carrier) {
        self.sent += count as u64;
        carrier.sub_unsealed(count);
    }

    /// Records a write that found too little room.
    pub(super) const fn arm(&mut self) {
        self.armed = true;
    }

    pub(super) const fn disarm(&mut self) {
        self.armed = false;
    }

    /// Returns whether a refused writer may resume, once per refusal.
    pub(super) fn take_resumed(&mut self, carrier: &Carrier) -> bool {
        let waits = self.armed && self.half.takes_bytes();
        let resumes = waits && self.pipe.len() <= SEND_LOW_WATER && self.room(carrier) > 0;
        self.armed &= !resumes;
        resumes
    }

    /// Returns whether accepted bytes or a requested FIN are not sent yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.pipe.is_empty() || self.fin() == FinState::Wanted
    }

    /// Drops the unsent bytes, and the FIN if it was not sent.
    pub(super) fn cut(&mut self, carrier: &Carrier) {
        self.half.apply(WriteInput::Cut);
        carrier.sub_unsealed(self.pipe.len());
        self.pipe.clear(&mut carrier.hub().pool());
    }

    /// Removes unsent bytes from the counts of the connection when the slot is dropped.
    pub(super) fn release(&self, carrier: &Carrier) {
        carrier.sub_unsealed(self.pipe.len());
    }
}
