//! Buffers that belong to a thread, not to a connection: an idle connection holds none.

/// Bytes read per system call.
const READ_BYTES: usize = 256 << 10;

/// Read and write buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    read: Vec<u8>,
    /// Sealed records on their way to the socket.
    write: Vec<u8>,
}

impl Scratch {
    /// The read buffer; made at its first use.
    pub(crate) fn read(&mut self) -> &mut [u8] {
        if self.read.is_empty() {
            self.read = vec![0; READ_BYTES];
        }
        &mut self.read
    }

    /// The write buffer, empty; it comes back by [`recycle`](Self::recycle).
    pub(super) fn take_write(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.write)
    }

    /// Takes back a buffer that a connection no longer needs.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.write.capacity() {
            buffer.clear();
            self.write = buffer;
        }
    }
}
