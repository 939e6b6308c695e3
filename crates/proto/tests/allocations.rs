//! Steady traffic does not allocate per frame, per message or per chunk.

mod counting;

use ferroswarm_proto::framing::{Decoder, Framing};
use ferroswarm_proto::resource::{Direction, Limit, LimitTable, Manager, Priority};
use ferroswarm_proto::stream::{ChunkPool, Pipe};

use counting::counts;

/// Returns the number of allocations in a hundred rounds, after a hundred rounds of warm-up.
fn allocations_of(mut round: impl FnMut()) -> usize {
    (0..100).for_each(|_| round());
    let before = counts().0;
    (0..100).for_each(|_| round());
    counts().0 - before
}

#[test]
fn counts_allocations() {
    assert_eq!(
        allocations_of(|| drop(std::hint::black_box(vec![0_u8; 100]))),
        100
    );
}

#[test]
fn a_frame_through_an_empty_pipe_allocates_nothing() {
    for length in [1, 100, 2_000, 16_372, 65_536, 200_000] {
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
        let (frame, mut into) = (vec![7; length], vec![0; length]);
        let allocations = allocations_of(|| {
            pipe.push(&frame, &mut pool);
            assert_eq!(pipe.copy_to(&mut into, &mut pool), length);
        });
        assert_eq!(allocations, 0, "frames of {length} bytes");
    }
}

#[test]
fn bulk_through_a_pipe_that_fills_and_drains_allocates_nothing() {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    let (frame, mut into) = (vec![7; 16_372], vec![0; 40_000]);
    let allocations = allocations_of(|| {
        while pipe.len() < 250_000 {
            pipe.push(&frame, &mut pool);
        }
        while pipe.len() > 50_000 {
            pipe.copy_to(&mut into, &mut pool);
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn messages_cut_from_a_pipe_allocate_nothing() {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    let decoder = Decoder::new(Framing::Varint, 1_000);
    let mut wire = Vec::new();
    for length in (0..128).cycle().take(500) {
        wire.push(length);
        wire.extend_from_slice(&[7; 128][..usize::from(length)]);
    }
    let mut into = [0; 128];
    let allocations = allocations_of(|| {
        let mut count = 0;
        // Split anywhere, as frames are.
        for piece in wire.chunks(1_009) {
            pipe.push(piece, &mut pool);
            let mut head = [0; Framing::PREFIX_BYTES_MAX];
            loop {
                let peeked = pipe.peek(&mut head);
                let Ok(Some(prefix)) = decoder.peek(&head[..peeked]) else {
                    break;
                };
                if pipe.len() < prefix.prefix_bytes + prefix.message_bytes {
                    break;
                }
                pipe.advance(prefix.prefix_bytes, &mut pool);
                pipe.copy_to(&mut into[..prefix.message_bytes], &mut pool);
                count += 1;
            }
        }
        assert_eq!(count, 500);
    });
    assert_eq!(allocations, 0);
}

// go 128
#[test]
fn scopes_of_steady_traffic_allocate_nothing() {
    let mut manager: Manager<u8, &str> = Manager::new(LimitTable::unlimited(), false);
    let allocations = allocations_of(|| {
        let connection = manager
            .open_connection(Direction::Inbound, 1, false)
            .unwrap();
        manager.set_peer(connection, &1, false).unwrap();
        for protocol in ["/a", "/b"] {
            let stream = manager.open_stream(connection, Direction::Inbound).unwrap();
            manager.set_protocol(stream, &protocol).unwrap();
            manager.set_service(stream, &"service").unwrap();
            manager
                .reserve_memory(stream, 100, Priority::WINDOW)
                .unwrap();
            assert_eq!(manager.release_memory(stream, 50), Ok(true));
            let span = manager.begin_span(stream).unwrap();
            manager.reserve_memory(span, 100, Priority::ALWAYS).unwrap();
            // Freed with the stream.
            manager.set_limit(stream, Limit::UNLIMITED).unwrap();
            manager.done(span);
            manager.done(stream);
        }
        manager.done(connection);
    });
    assert_eq!(allocations, 0);
}
