//! The end of what was written, where framing matters most: what a remote has not accepted is often
//! a single frame.

/// The last frame or record that was written.
///
/// A remote that is gone leaves a ping unaccepted. Reported with the bytes that frame it, more would
/// seem to wait than the ping, such as data before it.
#[derive(Clone, Copy, Default)]
pub(super) struct Tail {
    stream: usize,
    wire: usize,
}

impl Tail {
    /// Starts at a frame or record of `stream` bytes of the stream.
    pub(super) const fn of(stream: usize) -> Self {
        Self { stream, wire: 0 }
    }

    /// Adds bytes on the wire: its own, or those of control frames behind it.
    pub(super) const fn extend(&mut self, wire: usize) {
        self.wire += wire;
    }

    /// Returns its bytes on the wire.
    pub(super) const fn wire(&self) -> usize {
        self.wire
    }

    /// Returns how many bytes of the stream the last `unaccepted` bytes of the wire have. Exact up to
    /// its own length; what framed the bytes before it is counted.
    pub(super) fn stream_bytes(&self, unaccepted: usize) -> usize {
        match unaccepted.checked_sub(self.wire) {
            None => unaccepted.min(self.stream),
            Some(before) => before + self.stream,
        }
    }
}
