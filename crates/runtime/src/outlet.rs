//! Output of sessions without a socket.

/// Bytes that are handed out once, all together; their memory is reused.
#[derive(Default)]
pub(crate) struct Outlet {
    bytes: Vec<u8>,
    is_taken: bool,
}

impl Outlet {
    /// Returns the buffer, to append to bytes that are not taken yet.
    pub(crate) fn fill(&mut self) -> &mut Vec<u8> {
        if std::mem::take(&mut self.is_taken) {
            self.bytes.clear();
            // Memory of a large write is not kept for small ones.
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        &mut self.bytes
    }

    pub(crate) fn take(&mut self) -> &[u8] {
        let fresh = !std::mem::replace(&mut self.is_taken, true);
        if fresh { &self.bytes } else { &[] }
    }
}

/// Memory that an idle session keeps in each direction: enough for a read or write of the usual
/// size.
const KEPT_BYTES_MAX: usize = 128 << 10;
