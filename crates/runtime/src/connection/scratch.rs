//! Buffers owned by a thread instead of a connection: an idle connection holds none.

/// Bytes read per system call.
const READ_BYTES: usize = 256 << 10;

/// Read and write buffers of a thread.
#[derive(Default)]
pub(crate) struct Scratch {
    read: Vec<u8>,
    /// Sealed records on their way to the socket.
    write: Vec<u8>,
}

impl Scratch {
    /// Returns the read buffer, allocated on first use.
    pub(crate) fn read(&mut self) -> &mut [u8] {
        if self.read.is_empty() {
            self.read = vec![0; READ_BYTES];
        }
        &mut self.read
    }

    /// Takes the empty write buffer; it is returned through [`recycle`](Self::recycle).
    pub(super) fn take_write(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.write)
    }

    /// Takes back a write buffer, keeping the larger of the two.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.write.capacity() {
            buffer.clear();
            self.write = buffer;
        }
    }
}
