//! A byte queue of chunks that grow with its length and are released when empty.
//!
//! Pushes coalesce in the last chunk, so a thousand one-byte pushes use no more chunks than one
//! push of a thousand bytes. Chunks double from 512 bytes to
//! [`CHUNK_BYTES_MAX`](super::CHUNK_BYTES_MAX) and are recycled through a
//! [`ChunkPool`](super::ChunkPool), so steady traffic does not allocate. The owner bounds the
//! length.

use std::collections::VecDeque;

use super::chunk::{CHUNK_BYTES_MIN, Chunk, ChunkSource};

/// Maximum memory beyond twice the length after [`Pipe::compact`]: the first and last chunk at the
/// smallest size, and a short table.
pub const SLACK_BYTES_MAX: usize = 2 * CHUNK_BYTES_MIN + 256;

/// Maximum table entries kept by an empty queue, its only memory: idle streams are numerous.
const KEPT_TABLE_MAX: usize = 4;

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Only the last has room, only the first is partially consumed, and none is empty.
    chunks: VecDeque<Chunk>,
    length: usize,
    /// Memory of the chunks.
    chunk_bytes: usize,
}

impl Pipe {
    /// Returns the number of bytes in the queue.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Returns whether the queue is empty.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the memory of the queue: its chunks, consumed bytes included, and their table.
    pub fn capacity_bytes(&self) -> usize {
        self.chunk_bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Appends `bytes`.
    pub fn push(&mut self, mut bytes: &[u8], pool: &mut impl ChunkSource) {
        while !bytes.is_empty() {
            let mut count = self.fill_last(bytes);
            if count == 0 {
                self.grow(bytes.len(), pool);
                count = self.fill_last(bytes);
            }
            self.length += count;
            bytes = &bytes[count..];
        }
    }

    /// Moves bytes from the front into `into`; returns their number.
    pub fn copy_to(&mut self, into: &mut [u8], pool: &mut impl ChunkSource) -> usize {
        let count = self.peek(into);
        self.advance(count, pool);
        count
    }

    /// Copies bytes from the front into `into` without consuming them; returns their number.
    pub fn peek(&self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        for chunk in &self.chunks {
            let bytes = chunk.as_slice();
            let count = bytes.len().min(into.len() - filled);
            into[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            if filled == into.len() {
                break;
            }
        }
        filled
    }

    /// Returns the contiguous bytes at the front.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], Chunk::as_slice)
    }

    /// Returns all bytes in order, as contiguous pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::as_slice)
    }

    /// Consumes `count` bytes from the front, or all if there are fewer.
    pub fn advance(&mut self, count: usize, pool: &mut impl ChunkSource) {
        debug_assert!(count <= self.length);
        let mut left = count.min(self.length);
        self.length -= left;
        while left > 0 {
            let Some(chunk) = self.chunks.front_mut() else {
                return;
            };
            let here = left.min(chunk.len());
            chunk.advance(here);
            left -= here;
            if chunk.is_empty() {
                self.drop_front(pool);
            }
        }
    }

    /// Reduces the memory to at most twice the length plus [`SLACK_BYTES_MAX`].
    ///
    /// Pushes stay within that bound; consuming does not shrink the first and last chunk, up to 64
    /// KiB each. To be called under memory pressure. Moves fewer than 64 KiB, and nothing if the
    /// queue is within the bound.
    pub fn compact(&mut self, pool: &mut impl ChunkSource) {
        if self.capacity_bytes() <= 2 * self.length + SLACK_BYTES_MAX {
            return;
        }
        let last = self.chunks.len().saturating_sub(1);
        for index in [0, last] {
            if let Some(chunk) = self.chunks.get_mut(index) {
                let before = chunk.capacity_bytes();
                chunk.shrink(pool);
                self.chunk_bytes -= before - chunk.capacity_bytes();
            }
        }
        if self.chunks.capacity() > 2 * self.chunks.len() {
            self.chunks.shrink_to(KEPT_TABLE_MAX);
        }
    }

    /// Discards all bytes and releases all memory.
    pub fn clear(&mut self, pool: &mut impl ChunkSource) {
        for chunk in std::mem::take(&mut self.chunks) {
            pool.recycle(chunk);
        }
        self.length = 0;
        self.chunk_bytes = 0;
    }

    fn fill_last(&mut self, bytes: &[u8]) -> usize {
        self.chunks.back_mut().map_or(0, |chunk| chunk.fill(bytes))
    }

    fn grow(&mut self, wanted: usize, pool: &mut impl ChunkSource) {
        // Less than twice the incoming bytes, or at most the bytes held: the total at most doubles.
        let held = self.length.checked_ilog2().map_or(0, |bits| 1 << bits);
        let chunk = pool.take(wanted.max(held));
        self.chunk_bytes += chunk.capacity_bytes();
        self.chunks.push_back(chunk);
    }

    /// Recycles the consumed front chunk.
    fn drop_front(&mut self, pool: &mut impl ChunkSource) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.chunk_bytes -= chunk.capacity_bytes();
            pool.recycle(chunk);
        }
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT_TABLE_MAX {
            self.chunks.shrink_to(KEPT_TABLE_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
