//! Messages read from a pipe, whole and in parts.

use proptest::prelude::*;

use ferroswarm_proto::framing::{Decoder, Framing, FramingError, Prefix};
use ferroswarm_proto::stream::{ChunkPool, Pipe};

const ALL: [Framing; 5] = [
    Framing::Varint,
    Framing::Fixed8,
    Framing::Fixed16,
    Framing::Fixed32,
    Framing::Fixed64,
];

fn framed(framing: Framing, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for message in messages {
        let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
        wire.extend_from_slice(framing.encode_prefix(message.len(), &mut buffer).unwrap());
        wire.extend_from_slice(message);
    }
    wire
}

fn peek(decoder: &Decoder, pipe: &Pipe) -> Result<Option<Prefix>, FramingError> {
    let mut head = [0; Framing::PREFIX_BYTES_MAX];
    let count = pipe.peek(&mut head);
    decoder.peek(&head[..count])
}

fn take_whole(decoder: &Decoder, pipe: &mut Pipe, pool: &mut ChunkPool) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(prefix) = peek(decoder, pipe).unwrap() {
        if pipe.len() < prefix.prefix_bytes + prefix.message_bytes {
            break;
        }
        pipe.advance(prefix.prefix_bytes, pool);
        let mut message = vec![0; prefix.message_bytes];
        pipe.copy_to(&mut message, pool);
        messages.push(message);
    }
    messages
}

/// Takes available bytes immediately, however few; a message ends when none of it is left.
fn take_parts(
    decoder: &mut Decoder,
    pipe: &mut Pipe,
    pool: &mut ChunkPool,
    messages: &mut Vec<Vec<u8>>,
) {
    while let Some(prefix) = peek(decoder, pipe).unwrap() {
        if !decoder.is_inside_message() {
            pipe.advance(prefix.prefix_bytes, pool);
            decoder.begin(prefix);
            messages.push(Vec::new());
        }
        let mut part = vec![0; prefix.message_bytes.min(pipe.len())];
        let count = pipe.copy_to(&mut part, pool);
        decoder.advance(count);
        messages.last_mut().unwrap().append(&mut part);
        if decoder.is_inside_message() {
            break;
        }
    }
}

// A112, A115, I1, I3
#[test]
fn reads_three_messages_split_at_every_byte() {
    let sent = [b"first".to_vec(), Vec::new(), vec![9; 200]];
    for framing in ALL {
        let wire = framed(framing, &sent);
        for split in 0..=wire.len() {
            let mut pool = ChunkPool::default();
            let (mut whole, mut parts) = (Pipe::default(), Pipe::default());
            let mut decoder = Decoder::new(framing, 200);
            let (mut read, mut read_in_parts) = (Vec::new(), Vec::new());
            for piece in [&wire[..split], &wire[split..]] {
                whole.push(piece, &mut pool);
                let fresh = Decoder::new(framing, 200);
                read.append(&mut take_whole(&fresh, &mut whole, &mut pool));
                parts.push(piece, &mut pool);
                take_parts(&mut decoder, &mut parts, &mut pool, &mut read_in_parts);
            }
            assert_eq!(read, sent, "{framing:?} split at {split}");
            assert_eq!(read_in_parts, sent, "{framing:?} split at {split}");
            assert!(!decoder.is_inside_message() && whole.is_empty() && parts.is_empty());
        }
    }
}

// A111
#[test]
fn detects_an_end_inside_a_message() {
    let mut decoder = Decoder::new(Framing::Fixed16, 100);
    let prefix = decoder.peek(&[0, 3]).unwrap().unwrap();
    decoder.begin(prefix);
    decoder.advance(2);
    assert!(decoder.is_inside_message());
    assert_eq!(
        decoder.peek(b"c"),
        Ok(Some(Prefix {
            prefix_bytes: 0,
            message_bytes: 1
        }))
    );
    decoder.advance(1);
    assert!(!decoder.is_inside_message());
}

// A109, I2
#[test]
fn rejects_at_the_prefix_a_message_beyond_the_limit() {
    for framing in ALL {
        let decoder = Decoder::new(framing, 100);
        let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
        let at_limit = framing.encode_prefix(100, &mut buffer).unwrap();
        assert!(matches!(decoder.peek(at_limit), Ok(Some(_))));
        let over = framing.encode_prefix(101, &mut buffer).unwrap();
        let refused = FramingError::MessageTooLarge {
            length: 101,
            max: 100,
        };
        assert_eq!(decoder.peek(over), Err(refused));
    }
}

// A110
#[test]
fn reads_a_million_empty_messages_with_a_small_buffer() {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    let decoder = Decoder::new(Framing::Varint, 0);
    let mut count = 0;
    for _ in 0..1_000 {
        pipe.push(&[0; 1_000], &mut pool);
        count += take_whole(&decoder, &mut pipe, &mut pool).len();
        assert!(pipe.is_empty());
    }
    assert_eq!(count, 1_000_000);
    assert!(pipe.capacity_bytes() + pool.held_bytes() <= 4_096);
}

proptest! {
    // A113
    #[test]
    fn prop_reads_framed_messages_whatever_the_pieces(
        sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..256), 0..12),
        sizes in proptest::collection::vec(1..600_usize, 1..8),
        framing in proptest::sample::select(&ALL[..]),
    ) {
        // A one-byte length is at most 255, the length of the longest generated message.
        let wire = framed(framing, &sent);
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
        let mut decoder = Decoder::new(framing, 255);
        let mut read = Vec::new();
        let mut rest = &wire[..];
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*size));
            pipe.push(piece, &mut pool);
            take_parts(&mut decoder, &mut pipe, &mut pool, &mut read);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read, sent);
    }
}
