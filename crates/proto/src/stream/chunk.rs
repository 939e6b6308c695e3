//! Memory chunks in power-of-two sizes, and the pool they are recycled to.

/// Smallest chunk size, in bytes: fits a small message and its reply. Below it bookkeeping
/// outweighs the savings.
pub(super) const CHUNK_BYTES_MIN: usize = 512;

/// Largest chunk size: several frames, yet small enough to stay cached between push and copy.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Number of chunk sizes: 512 B, 1, 2, 4, 8, 16, 32 and 64 KiB.
const SIZE_COUNT: usize = (CHUNK_BYTES_MAX / CHUNK_BYTES_MIN).ilog2() as usize + 1;

/// Default bound on the free memory in a pool: the bytes in flight of a few busy streams.
const POOL_BYTES_MAX_DEFAULT: usize = 4 << 20;

/// A block of bytes, filled at its end and consumed from its start.
#[derive(Debug)]
pub struct Chunk {
    /// Its capacity is one of the sizes above and never changes.
    bytes: Vec<u8>,
    /// Consumed bytes at the front.
    consumed: usize,
}

impl Chunk {
    /// Returns the unconsumed bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Returns the number of unconsumed bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    /// Returns whether all bytes are consumed.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory of the block.
    pub const fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends as many of `bytes` as fit; returns their number.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        // Compacting only when at least as many bytes are freed as are moved costs one move per
        // byte on average, and keeps a queue that never quite empties in one chunk.
        if self.room() < bytes.len() && self.consumed >= self.len() {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        let count = bytes.len().min(self.room());
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    /// Consumes `count` bytes from the front; at least that many must be present.
    pub(super) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.consumed += count;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.consumed = 0;
    }

    /// Moves the bytes to the smallest chunk that fits them.
    pub(super) fn shrink(&mut self, pool: &mut impl ChunkSource) {
        if chunk_size(self.len()) < self.capacity_bytes() {
            let mut smaller = pool.take(self.len());
            smaller.fill(self.as_slice());
            pool.recycle(std::mem::replace(self, smaller));
        }
    }

    const fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

/// Source of chunks for queues.
///
/// A pool shared between threads locks per chunk, so no thread waits while another copies.
pub trait ChunkSource {
    /// Returns a chunk with room for `wanted` bytes, or the largest size if that is smaller.
    fn take(&mut self, wanted: usize) -> Chunk;

    /// Recycles a chunk; its contents are discarded.
    fn recycle(&mut self, chunk: Chunk);
}

/// Free chunks of every size, shared by many queues.
///
/// Memory is bounded; excess chunks are returned to the allocator.
#[derive(Debug)]
pub struct ChunkPool {
    free: [Vec<Chunk>; SIZE_COUNT],
    held_bytes: usize,
    bytes_max: usize,
    allocations: u64,
}

impl ChunkPool {
    /// Creates an empty pool that keeps at most `bytes_max` bytes of chunks.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            free: [const { Vec::new() }; SIZE_COUNT],
            held_bytes: 0,
            bytes_max,
            allocations: 0,
        }
    }

    /// Returns the memory of the free chunks.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns the number of chunks allocated because the pool had none of their size.
    pub const fn allocations(&self) -> u64 {
        self.allocations
    }
}

impl ChunkSource for ChunkPool {
    fn take(&mut self, wanted: usize) -> Chunk {
        let size = chunk_size(wanted);
        if let Some(chunk) = self.free[size_index(size)].pop() {
            self.held_bytes -= chunk.capacity_bytes();
            return chunk;
        }
        self.allocations += 1;
        Chunk {
            bytes: Vec::with_capacity(size),
            consumed: 0,
        }
    }

    fn recycle(&mut self, mut chunk: Chunk) {
        let capacity = chunk.capacity_bytes();
        if self.held_bytes + capacity > self.bytes_max {
            return;
        }
        chunk.clear();
        self.held_bytes += capacity;
        self.free[size_index(capacity)].push(chunk);
    }
}

impl Default for ChunkPool {
    fn default() -> Self {
        Self::new(POOL_BYTES_MAX_DEFAULT)
    }
}

fn chunk_size(wanted: usize) -> usize {
    wanted
        .clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
        .next_power_of_two()
}

/// Returns the free list index of a capacity, rounded down: an allocator may return more than
/// requested.
fn size_index(capacity: usize) -> usize {
    let size = capacity.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    (size / CHUNK_BYTES_MIN).ilog2() as usize
}
