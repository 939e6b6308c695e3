use proptest::prelude::*;

use super::super::{CHUNK_BYTES_MAX, ChunkPool};
use super::*;

fn filled(length: usize, pool: &mut ChunkPool) -> Pipe {
    let mut pipe = Pipe::default();
    pipe.push(&numbered(0, length), pool);
    pipe
}

/// Returns bytes that encode their position.
fn numbered(start: usize, length: usize) -> Vec<u8> {
    (start..start + length).map(|at| (at % 251) as u8).collect()
}

fn chunks_of(pipe: &Pipe) -> usize {
    pipe.chunks.iter().map(Chunk::capacity_bytes).sum()
}

#[test]
fn allocates_nothing_until_the_first_push() {
    assert_eq!(Pipe::default().capacity_bytes(), 0);
    assert_eq!(Pipe::default().front(), b"");
}

#[test]
fn coalesces_single_bytes_into_few_chunks() {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    for byte in numbered(0, 100_000) {
        pipe.push(&[byte], &mut pool);
        assert!(pipe.capacity_bytes() <= 2 * pipe.len() + SLACK_BYTES_MAX);
    }
    assert!(pipe.pieces().count() <= 10);
    assert_eq!(
        pipe.pieces().flatten().copied().collect::<Vec<_>>(),
        numbered(0, 100_000)
    );
}

#[test]
fn an_empty_queue_recycles_its_chunks() {
    let mut pool = ChunkPool::default();
    let mut pipe = Pipe::default();
    for length in [100, 200_000] {
        pipe.push(&vec![1; length], &mut pool);
        pipe.advance(length, &mut pool);
        assert_eq!(chunks_of(&pipe), 0);
        assert!(pool.held_bytes() >= length);
        assert!(pipe.capacity_bytes() <= KEPT_TABLE_MAX * size_of::<Chunk>());
    }
}

#[test]
fn serves_a_second_burst_from_the_pool() {
    let mut pool = ChunkPool::default();
    for length in [16_372, 65_536, 3_000] {
        let mut pipe = filled(length, &mut pool);
        pipe.clear(&mut pool);
        let before = pool.held_bytes();
        let used = chunks_of(&filled(length, &mut pool));
        assert_eq!(pool.held_bytes() + used, before, "{length}");
    }
}

#[test]
fn a_pool_keeps_no_more_than_its_bound() {
    let mut pool = ChunkPool::new(100_000);
    filled(400_000, &mut pool).clear(&mut pool);
    assert!(pool.held_bytes() > 0 && pool.held_bytes() <= 100_000);
}

#[test]
fn stays_in_one_chunk_when_it_never_quite_empties() {
    let mut pool = ChunkPool::default();
    let mut pipe = filled(10, &mut pool);
    for round in 0..10_000 {
        pipe.push(&[round as u8; 16], &mut pool);
        pipe.advance(16, &mut pool);
        assert_eq!(chunks_of(&pipe), CHUNK_BYTES_MIN);
    }
    assert_eq!(pipe.len(), 10);
}

#[test]
fn compacts_partially_consumed_chunks() {
    let mut pool = ChunkPool::default();
    // One byte at the end of a large chunk, and one at the start of the next.
    let mut pipe = filled(CHUNK_BYTES_MAX, &mut pool);
    pipe.push(&[7], &mut pool);
    pipe.advance(CHUNK_BYTES_MAX - 1, &mut pool);
    let last = numbered(CHUNK_BYTES_MAX - 1, 1)[0];
    assert!(pipe.capacity_bytes() > CHUNK_BYTES_MAX);
    pipe.compact(&mut pool);
    assert!(pipe.capacity_bytes() <= 4 + SLACK_BYTES_MAX);
    let mut rest = [0; 4];
    assert_eq!(pipe.copy_to(&mut rest, &mut pool), 2);
    assert_eq!(rest[..2], [last, 7]);
}

#[test]
fn peeks_across_chunks() {
    let mut pool = ChunkPool::default();
    let mut pipe = filled(CHUNK_BYTES_MAX, &mut pool);
    pipe.push(&numbered(CHUNK_BYTES_MAX, 20), &mut pool);
    pipe.advance(CHUNK_BYTES_MAX - 4, &mut pool);
    let mut head = [0; 9];
    assert_eq!(pipe.peek(&mut head), 9);
    assert_eq!(head.to_vec(), numbered(CHUNK_BYTES_MAX - 4, 9));
    assert_eq!(pipe.len(), 24);
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Copy(usize),
    Advance(usize),
    Compact,
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_000_usize).prop_map(Step::Push),
        4 => (0..20_usize).prop_map(Step::Push),
        3 => (0..60_000_usize).prop_map(Step::Copy),
        3 => (0..3_000_usize).prop_map(Step::Advance),
        2 => Just(Step::Compact),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn prop_is_a_queue_within_its_memory_bound(
        steps in proptest::collection::vec(any_step(), 1..80),
    ) {
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::new(300_000));
        let mut model = VecDeque::new();
        let mut position = 0;
        for step in steps {
            match step {
                Step::Push(length) => {
                    let bytes = numbered(position, length);
                    position += length;
                    model.extend(&bytes);
                    pipe.push(&bytes, &mut pool);
                }
                Step::Copy(length) => {
                    let mut into = vec![0; length];
                    let count = pipe.copy_to(&mut into, &mut pool);
                    let expected: Vec<u8> = model.drain(..length.min(model.len())).collect();
                    prop_assert_eq!(&into[..count], &expected[..]);
                }
                Step::Advance(length) => {
                    let count = length.min(model.len());
                    model.drain(..count);
                    pipe.advance(count, &mut pool);
                }
                Step::Compact => {
                    pipe.compact(&mut pool);
                    prop_assert!(pipe.capacity_bytes() <= 2 * pipe.len() + SLACK_BYTES_MAX);
                }
                Step::Clear => {
                    model.clear();
                    pipe.clear(&mut pool);
                    prop_assert_eq!(pipe.capacity_bytes(), 0);
                }
            }
            prop_assert_eq!(pipe.len(), model.len());
            prop_assert!(pipe.pieces().flatten().eq(model.iter()));
            let chunks: usize = pipe.chunks.iter().map(Chunk::capacity_bytes).sum();
            let table = pipe.chunks.capacity() * size_of::<Chunk>();
            prop_assert_eq!(pipe.capacity_bytes(), chunks + table);
            // Consumed bytes of the first chunk, and free room in the last.
            let bound = 2 * pipe.len() + 2 * CHUNK_BYTES_MAX + SLACK_BYTES_MAX;
            prop_assert!(pipe.capacity_bytes() <= bound);
            prop_assert!(pool.held_bytes() <= 300_000);
        }
    }
}
