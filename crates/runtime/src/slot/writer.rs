//! The writing side of a slot: the bytes that JavaScript has written, and how far their end has come.

use ferroswarm_proto::stream::{Agreement, FinState, Pipe, WriteHalf, WriteInput};

use crate::config::{SEND_PIPE_MAX, UNSEALED_MAX, UNSEALED_SHARE};

use super::Carrier;

/// Unsealed bytes below which a writer that was refused may go on.
const SEND_LOW_WATER: usize = SEND_PIPE_MAX / 2;

/// The bytes that are not sealed yet, and the state of the half that they belong to.
pub(super) struct Writer {
    half: WriteHalf,
    pipe: Pipe,
    /// Bytes sent so far, those of the negotiation included.
    sent: u64,
    /// A write was refused for want of room: JavaScript is notified when there is some.
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

    /// The bytes that wait to be sent.
    pub(super) const fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that may be queued, as far as memory goes.
    pub(super) fn room(&self, carrier: &Carrier) -> usize {
        let held = self.pipe.len();
        let share = UNSEALED_SHARE.saturating_sub(held);
        SEND_PIPE_MAX
            .saturating_sub(held)
            .min(UNSEALED_MAX.saturating_sub(carrier.unsealed()))
            .max(share)
    }

    /// Queues `bytes`, whatever the room.
    pub(super) fn push(&mut self, bytes: &[u8], carrier: &Carrier) {
        self.pipe.push(bytes, &mut carrier.hub().pool());
        carrier.add_unsealed(bytes.len());
    }

    /// The first `count` of the bytes are sealed.
    pub(super) fn advance(&mut self, count: usize, carrier: &Carrier) {
        self.pipe.advance(count, &mut carrier.hub().pool());
        self.note_sent(count, carrier);
    }

    /// Moves up to `into.len()` bytes out, to be sent by another muxer.
    pub(super) fn move_to(&mut self, into: &mut [u8], carrier: &Carrier) -> usize {
        let count = self.pipe.copy_to(into, &mut carrier.hub().pool());
        self.note_sent(count, carrier);
        count
    }

    fn note_sent(&mut self, count: usize, carrier: &Carrier) {
        self.sent += count as u64;
        carrier.sub_unsealed(count);
    }

    /// A write found too little room.
    pub(super) const fn arm(&mut self) {
        self.armed = true;
    }

    pub(super) const fn disarm(&mut self) {
        self.armed = false;
    }

    /// Whether a writer that was refused may go on: once for each refusal.
    pub(super) fn take_resumed(&mut self, carrier: &Carrier) -> bool {
        let waits = self.armed && self.half.takes_bytes();
        let resumes = waits && self.pipe.len() <= SEND_LOW_WATER && self.room(carrier) > 0;
        self.armed &= !resumes;
        resumes
    }

    /// Whether something was accepted here that is not sent yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.pipe.is_empty() || self.fin() == FinState::Wanted
    }

    /// Nothing more is sent: the bytes are dropped, and so is an end that was not.
    pub(super) fn cut(&mut self, carrier: &Carrier) {
        self.half.apply(WriteInput::Cut);
        carrier.sub_unsealed(self.pipe.len());
        self.pipe.clear(&mut carrier.hub().pool());
    }

    /// The slot is gone: what was not sent leaves the counts of its connection.
    pub(super) fn release(&self, carrier: &Carrier) {
        carrier.sub_unsealed(self.pipe.len());
    }
}
