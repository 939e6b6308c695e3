//! A byte queue made of chunks that grow with what they hold and go when they are empty.
//!
//! Pushes coalesce in the last chunk, so that a thousand one-byte pushes cost what one push of a
//! thousand bytes costs. Chunks double from 512 bytes to [`CHUNK_BYTES_MAX`](super::CHUNK_BYTES_MAX);
//! they come from and return to a [`ChunkPool`], so that steady traffic allocates nothing. The owner
//! bounds the length.

use std::collections::VecDeque;

use super::chunk::{Chunk, ChunkPool};

/// Memory beyond twice the length that a queue keeps after [`Pipe::compact`]: one small chunk for the
/// next bytes, and a table of 32 chunks.
pub const SLACK_BYTES_MAX: usize = KEPT_BYTES_MAX + (1 << 10);

/// Largest chunk that an empty queue keeps, so that a stream of small messages allocates once.
const KEPT_BYTES_MAX: usize = 2 << 10;

/// Most entries in the table of an empty queue: chunks of a mebibyte, four windows as they open.
const KEPT_TABLE_MAX: usize = 16;

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Only the last has room and only the first was taken from. An empty queue keeps one at most,
    /// a small one.
    chunks: VecDeque<Chunk>,
    length: usize,
}

impl Pipe {
    /// Bytes in the queue.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// The queue holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Memory that the queue takes: its chunks, what was taken from them included, and their table.
    pub fn capacity_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Chunk::capacity_bytes).sum();
        chunks + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Appends `bytes`.
    pub fn push(&mut self, mut bytes: &[u8], pool: &mut ChunkPool) {
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

    /// Moves bytes from the front into `into`; returns how many.
    pub fn copy_to(&mut self, into: &mut [u8], pool: &mut ChunkPool) -> usize {
        let count = self.peek(into);
        self.advance(count, pool);
        count
    }

    /// Copies bytes from the front into `into` and leaves them; returns how many.
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

    /// The bytes at the front that lie side by side.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], Chunk::as_slice)
    }

    /// All bytes in order, in the pieces in which they lie side by side.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::as_slice)
    }

    /// Drops `count` bytes from the front, or all if there are fewer.
    pub fn advance(&mut self, count: usize, pool: &mut ChunkPool) {
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

    /// Takes the first chunk out as it is, if it holds `bytes_max` bytes or fewer.
    ///
    /// A reader does so under the queue's lock, copies outside of it, and gives the chunk to a pool
    /// with [`ChunkPool::recycle`].
    pub fn take_front(&mut self, bytes_max: usize) -> Option<Chunk> {
        let fits = |chunk: &mut Chunk| !chunk.is_empty() && chunk.len() <= bytes_max;
        let chunk = self.chunks.pop_front_if(fits)?;
        self.length -= chunk.len();
        Some(chunk)
    }

    /// Brings the memory down to twice the length and [`SLACK_BYTES_MAX`].
    ///
    /// Pushes keep to that; taking leaves the first and the last chunk as large as they were, up to
    /// twice 64 KiB. A reader that goes with bytes left calls this. It moves fewer than 64 KiB, and
    /// nothing within the bound.
    pub fn compact(&mut self, pool: &mut ChunkPool) {
        if self.capacity_bytes() <= 2 * self.length + SLACK_BYTES_MAX {
            return;
        }
        if let Some(first) = self.chunks.front_mut() {
            first.shrink(pool);
        }
        if let Some(last) = self.chunks.back_mut() {
            last.shrink(pool);
        }
    }

    /// Drops everything, memory included.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        for chunk in std::mem::take(&mut self.chunks) {
            pool.recycle(chunk);
        }
        self.length = 0;
    }

    fn fill_last(&mut self, bytes: &[u8]) -> usize {
        self.chunks.back_mut().map_or(0, |chunk| chunk.fill(bytes))
    }

    fn grow(&mut self, wanted: usize, pool: &mut ChunkPool) {
        // Less than twice what comes, or as much as is held: the total at most doubles.
        let held = self.length.checked_ilog2().map_or(0, |bits| 1 << bits);
        self.chunks.push_back(pool.take(wanted.max(held)));
    }

    /// The front chunk is used up: kept if it is the last and small, else given back.
    fn drop_front(&mut self, pool: &mut ChunkPool) {
        let is_last = self.chunks.len() == 1;
        let Some(chunk) = self.chunks.front_mut() else {
            return;
        };
        if is_last && chunk.capacity_bytes() <= KEPT_BYTES_MAX {
            chunk.clear();
        } else if let Some(chunk) = self.chunks.pop_front() {
            pool.recycle(chunk);
        }
        if is_last && self.chunks.capacity() > KEPT_TABLE_MAX {
            self.chunks.shrink_to(KEPT_TABLE_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
