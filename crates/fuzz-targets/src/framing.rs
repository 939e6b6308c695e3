//! Length prefixes.

use ferroswarm_proto::framing::{
    Decoder, Framing, FramingError, VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint,
};

use crate::{piece, settings};

/// Unsigned varints: a decoded value encodes to the same bytes, no proper prefix decodes, and an
/// error is found within the first nine bytes.
pub fn varint(data: &[u8]) {
    match decode_varint(data) {
        Ok(Some((value, length))) => {
            let mut buffer = [0; VARINT_BYTES_MAX];
            assert_eq!(encode_varint(value, &mut buffer), &data[..length]);
            for end in 0..length {
                assert_eq!(decode_varint(&data[..end]), Ok(None));
            }
        }
        Ok(None) => {
            assert!(data.len() < VARINT_BYTES_MAX);
            assert!(data.iter().all(|byte| byte & 0x80 != 0));
        }
        Err(error) => {
            let front = &data[..data.len().min(VARINT_BYTES_MAX)];
            assert_eq!(decode_varint(front), Err(error));
            if error == VarintError::TooLong {
                assert_eq!(front.len(), VARINT_BYTES_MAX);
            }
        }
    }
}

/// Messages in every framing: the result does not depend on how the input is split, no message
/// exceeds the limit, and encoding the messages reproduces their bytes.
pub fn msgio(data: &[u8]) {
    let ([framing, limit, cut], bytes) = settings(data);
    let framing = match framing % 5 {
        0 => Framing::Varint,
        1 => Framing::Fixed8,
        2 => Framing::Fixed16,
        3 => Framing::Fixed32,
        _ => Framing::Fixed64,
    };
    let limit = usize::from(limit) * 4;
    let (messages, error) = read(framing, limit, bytes, usize::MAX);
    let split = read(framing, limit, bytes, piece(cut));
    assert_eq!((&messages, error), (&split.0, split.1));

    let mut written = Vec::new();
    for message in &messages {
        assert!(message.len() <= limit);
        let mut prefix = [0; Framing::PREFIX_BYTES_MAX];
        written.extend_from_slice(
            framing
                .encode_prefix(message.len(), &mut prefix)
                .expect("decoded lengths can be encoded"),
        );
        written.extend_from_slice(message);
    }
    assert!(bytes.starts_with(&written));
}

/// Returns the complete messages in `bytes`, and the error that follows them, if any.
fn read(
    framing: Framing,
    limit: usize,
    bytes: &[u8],
    piece: usize,
) -> (Vec<Vec<u8>>, Option<FramingError>) {
    let mut decoder = Decoder::new(framing, limit);
    let mut messages = Vec::new();
    let mut message = Vec::new();
    let mut buffer = Vec::new();
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let is_inside = decoder.is_inside_message();
            let prefix = match decoder.peek(&buffer[at..]) {
                Ok(Some(prefix)) => prefix,
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            };
            if !is_inside {
                decoder.begin(prefix);
            }
            at += prefix.prefix_bytes;
            let count = prefix.message_bytes.min(buffer.len() - at);
            decoder.advance(count);
            message.extend_from_slice(&buffer[at..at + count]);
            at += count;
            if decoder.is_inside_message() {
                break;
            }
            messages.push(std::mem::take(&mut message));
        }
        buffer.drain(..at);
    }
    (messages, None)
}
