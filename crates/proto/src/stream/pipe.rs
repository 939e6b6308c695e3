//! A byte queue made of chunks that grow with what they hold and go when they are empty.
//!
//! Pushes coalesce in the last chunk, so that a thousand one-byte pushes cost what one push of a
//! thousand bytes costs. Chunks double from [`CHUNK_BYTES_MIN`] to [`CHUNK_BYTES_MAX`]; the largest
//! come from and return to a [`ChunkPool`], so that bulk in steady state allocates nothing. The
//! owner bounds the length; the memory stays within twice that length and one small chunk.

use std::collections::VecDeque;

/// First chunk of a queue: a small message and its reply.
const CHUNK_BYTES_MIN: usize = 512;

/// Largest chunk: several frames, and small enough to stay in the cache between push and copy.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Largest chunk that an empty queue keeps, so that a stream of small messages allocates once.
const CHUNK_BYTES_KEPT: usize = 2 << 10;

/// Free chunks that a pool keeps: 4 MiB, what a few busy streams have under way.
const POOL_CHUNKS_MAX: usize = 64;

/// A bounded list of free chunks of [`CHUNK_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
pub struct ChunkPool {
    free: Vec<Vec<u8>>,
}

impl ChunkPool {
    fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES_MAX))
    }

    fn give(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() == CHUNK_BYTES_MAX && self.free.len() < POOL_CHUNKS_MAX {
            bytes.clear();
            self.free.push(bytes);
        }
    }
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes at the front that were taken.
    taken: usize,
}

impl Chunk {
    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Pipe {
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

    /// Memory that the queue's chunks take, empty room included.
    pub fn capacity_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum()
    }

    /// Appends `bytes`.
    pub fn push(&mut self, mut bytes: &[u8], pool: &mut ChunkPool) {
        self.length += bytes.len();
        while !bytes.is_empty() {
            let room = self.chunks.back().map_or(0, Chunk::room);
            if room == 0 {
                self.grow(bytes.len(), pool);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(last) = self.chunks.back_mut() {
                last.bytes.extend_from_slice(now);
            }
            bytes = later;
        }
    }

    fn grow(&mut self, wanted: usize, pool: &mut ChunkPool) {
        // As large as what the queue held before: the total at most doubles.
        let size = wanted.max(self.length - wanted).next_power_of_two();
        let bytes = match size.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX) {
            CHUNK_BYTES_MAX => pool.take(),
            size => Vec::with_capacity(size),
        };
        self.chunks.push_back(Chunk { bytes, taken: 0 });
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
            let rest = chunk.rest();
            let count = rest.len().min(into.len() - filled);
            into[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            if filled == into.len() {
                break;
            }
        }
        filled
    }

    /// The bytes at the front that lie side by side.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], Chunk::rest)
    }

    /// Drops `count` bytes from the front.
    pub fn advance(&mut self, mut count: usize, pool: &mut ChunkPool) {
        debug_assert!(count <= self.length);
        self.length -= count.min(self.length);
        while count > 0 {
            let Some(chunk) = self.chunks.front_mut() else { return };
            let here = count.min(chunk.bytes.len() - chunk.taken);
            chunk.taken += here;
            count -= here;
            if chunk.taken == chunk.bytes.len() {
                self.drop_front(pool);
            }
        }
    }

    /// The front chunk is used up: kept if it is the last and small, else given back.
    fn drop_front(&mut self, pool: &mut ChunkPool) {
        let is_last = self.chunks.len() == 1;
        let Some(chunk) = self.chunks.front_mut() else { return };
        if is_last && chunk.bytes.capacity() <= CHUNK_BYTES_KEPT {
            chunk.bytes.clear();
            chunk.taken = 0;
            return;
        }
        if let Some(chunk) = self.chunks.pop_front() {
            pool.give(chunk.bytes);
        }
    }

    /// Drops everything, memory included.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        for chunk in std::mem::take(&mut self.chunks) {
            pool.give(chunk.bytes);
        }
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn coalesces_single_bytes_into_few_chunks() {
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
        for byte in 0..100_000_u32 {
            pipe.push(&[byte as u8], &mut pool);
        }
        assert_eq!(pipe.len(), 100_000);
        assert!(pipe.capacity_bytes() <= 2 * 100_000 + CHUNK_BYTES_MIN);
    }

    #[test]
    fn keeps_a_small_chunk_and_gives_back_large_ones() {
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
        pipe.push(&[1; 100], &mut pool);
        pipe.advance(100, &mut pool);
        assert_eq!(pipe.capacity_bytes(), CHUNK_BYTES_MIN);
        pipe.push(&[1; 200_000], &mut pool);
        pipe.advance(200_000, &mut pool);
        assert_eq!(pipe.capacity_bytes(), 0);
        assert!(!pool.free.is_empty() && pool.free.len() <= POOL_CHUNKS_MAX);
    }

    proptest! {
        #[test]
        fn prop_is_a_queue_within_its_memory_bound(
            steps in proptest::collection::vec((0..3_u8, 0..40_000_usize), 1..60),
        ) {
            let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
            let mut model = VecDeque::new();
            let mut next = 0_u8;
            for (step, size) in steps {
                if step == 0 {
                    let mut into = vec![0; size];
                    let count = pipe.copy_to(&mut into, &mut pool);
                    let expected: Vec<u8> = model.drain(..size.min(model.len())).collect();
                    prop_assert_eq!(&into[..count], &expected[..]);
                } else {
                    let bytes: Vec<u8> = (0..size).map(|at| next.wrapping_add(at as u8)).collect();
                    next = next.wrapping_add(13);
                    model.extend(&bytes);
                    pipe.push(&bytes, &mut pool);
                }
                prop_assert_eq!(pipe.len(), model.len());
                // What was taken from the front chunk is still there.
                let bound = 2 * pipe.len() + 2 * CHUNK_BYTES_MAX;
                prop_assert!(pipe.capacity_bytes() <= bound);
            }
        }
    }
}
