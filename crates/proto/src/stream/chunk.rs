//! Blocks of memory in sizes of powers of two, and the free list they return to.

/// Smallest chunk, in bytes: a small message and its reply. Below it the bookkeeping outweighs the
/// saving.
pub(super) const CHUNK_BYTES_MIN: usize = 512;

/// Largest chunk: several frames, and small enough to stay in the cache between push and copy.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Sizes from the smallest to the largest: 512 B, 1, 2, 4, 8, 16, 32 and 64 KiB.
const SIZE_COUNT: usize = (CHUNK_BYTES_MAX / CHUNK_BYTES_MIN).ilog2() as usize + 1;

/// Memory of free chunks that a pool keeps unless told otherwise: what a few busy streams have under
/// way.
const POOL_BYTES_MAX_DEFAULT: usize = 4 << 20;

/// A block of bytes, filled at its end and read at its start.
#[derive(Debug)]
pub struct Chunk {
    /// Its capacity is one of the sizes above and never changes.
    bytes: Vec<u8>,
    /// Bytes at the front that were taken.
    taken: usize,
}

impl Chunk {
    /// The bytes that were not taken yet.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// How many bytes were not taken yet.
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// All bytes were taken.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of the block.
    pub const fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Copies as many of `bytes` to the end as fit; returns how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        // Sliding down no more bytes than it makes room for moves each byte once on average, and a
        // queue that never quite empties stays in one chunk.
        if self.room() < bytes.len() && self.taken >= self.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let count = bytes.len().min(self.room());
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    /// Takes `count` bytes, which are there, from the front.
    pub(super) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.taken += count;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }

    /// Moves the bytes to the smallest chunk that holds them.
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

/// Where queues have their chunks from.
///
/// A pool that threads share locks itself for each chunk, so that nobody waits for another's copying.
pub trait ChunkSource {
    /// A chunk with room for `wanted` bytes, or the largest one if they are more.
    fn take(&mut self, wanted: usize) -> Chunk;

    /// Takes a chunk back, with whatever is in it.
    fn recycle(&mut self, chunk: Chunk);
}

/// Free chunks of every size, shared by many queues.
///
/// It holds no more memory than its bound; what comes beyond goes back to the allocator.
#[derive(Debug)]
pub struct ChunkPool {
    free: [Vec<Chunk>; SIZE_COUNT],
    held_bytes: usize,
    bytes_max: usize,
    allocations: u64,
}

impl ChunkPool {
    /// An empty pool that keeps at most `bytes_max` bytes of chunks.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            free: [const { Vec::new() }; SIZE_COUNT],
            held_bytes: 0,
            bytes_max,
            allocations: 0,
        }
    }

    /// Memory of the free chunks.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Chunks that came from the allocator because the pool had none of their size.
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
            taken: 0,
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

/// The free list of a size, rounded down: an allocator may give more room than was asked for.
fn size_index(capacity: usize) -> usize {
    let size = capacity.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    (size / CHUNK_BYTES_MIN).ilog2() as usize
}
