//! Moves whole messages from a receive pipe contiguously into the reader's memory.

use ferroswarm_proto::framing::{Framing, FramingError};
use ferroswarm_proto::stream::{ChunkSource, Pipe};

use crate::error::StreamFault;

/// Reason no message could be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeError {
    /// The first message, of this length, does not fit the buffer.
    TooSmall(usize),
    /// The stream's framing is broken.
    Fault(StreamFault),
}

/// Moves complete messages into `into` and their lengths into `lengths`; returns their number.
pub(crate) fn take(
    pipe: &mut Pipe,
    framing: Framing,
    message_bytes_max: usize,
    into: &mut [u8],
    lengths: &mut [u32],
    pool: &mut impl ChunkSource,
) -> Result<usize, TakeError> {
    let mut filled = 0;
    let mut count = 0;
    while count < lengths.len() {
        let mut head = [0; Framing::PREFIX_BYTES_MAX];
        let peeked = pipe.peek(&mut head);
        let prefix = match framing.decode_prefix(&head[..peeked], message_bytes_max) {
            Ok(Some(prefix)) => prefix,
            Ok(None) => break,
            // Messages before the broken one are delivered first.
            Err(_) if count > 0 => break,
            Err(error) => return Err(TakeError::Fault(fault_of(error))),
        };
        // Reported as soon as the prefix is available: a message larger than the window never
        // arrives whole, as credit is granted only for bytes read.
        if prefix.message_bytes > into.len() - filled {
            if count == 0 {
                return Err(TakeError::TooSmall(prefix.message_bytes));
            }
            break;
        }
        if pipe.len() - prefix.prefix_bytes < prefix.message_bytes {
            break;
        }
        pipe.advance(prefix.prefix_bytes, pool);
        pipe.copy_to(&mut into[filled..filled + prefix.message_bytes], pool);
        filled += prefix.message_bytes;
        // The message fits a typed array, whose length JavaScript keeps below 4 GiB.
        lengths[count] = u32::try_from(prefix.message_bytes).unwrap_or(u32::MAX);
        count += 1;
    }
    Ok(count)
}

fn fault_of(error: FramingError) -> StreamFault {
    match error {
        FramingError::MessageTooLarge { .. } => StreamFault::MessageTooLarge,
        _ => StreamFault::Framing,
    }
}

#[cfg(test)]
mod tests {
    use ferroswarm_proto::stream::ChunkPool;

    use super::*;

    fn taken(bytes: &[u8], into: &mut [u8]) -> (Result<usize, TakeError>, [u32; 4], usize) {
        let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
        pipe.push(bytes, &mut pool);
        let mut lengths = [0; 4];
        let result = take(
            &mut pipe,
            Framing::Varint,
            100,
            into,
            &mut lengths,
            &mut pool,
        );
        (result, lengths, pipe.len())
    }

    #[test]
    fn takes_whole_messages_and_leaves_the_rest() {
        let mut into = [0; 16];
        let (result, lengths, left) = taken(b"\x03abc\x00\x02de\x05ghi", &mut into);
        assert_eq!((result, lengths, left), (Ok(3), [3, 0, 2, 0], 4));
        assert_eq!(&into[..5], b"abcde");
    }

    #[test]
    fn reports_the_length_of_a_message_that_does_not_fit() {
        assert_eq!(
            taken(b"\x03abc", &mut [0; 2]).0,
            Err(TakeError::TooSmall(3))
        );
        assert_eq!(taken(b"\x03", &mut [0; 2]).0, Err(TakeError::TooSmall(3)));
    }

    #[test]
    fn delivers_messages_before_a_broken_prefix() {
        let mut into = [0; 16];
        assert_eq!(taken(b"\x01a\x65", &mut into).0, Ok(1));
        let fault = TakeError::Fault(StreamFault::MessageTooLarge);
        assert_eq!(taken(b"\x65", &mut into).0, Err(fault));
        let fault = TakeError::Fault(StreamFault::Framing);
        assert_eq!(taken(b"\x81\x00", &mut into).0, Err(fault));
    }
}
