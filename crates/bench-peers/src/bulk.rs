//! The content of bulk transfers, and its verification.

use crate::{Error, Result};

/// Write size of every bulk transfer.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Bytes transferred before the timed part.
pub const WARM_UP_BYTES: u64 = 32 << 20;

/// Content of a write; most bytes in it differ from their neighbours.
pub static BLOCK: [u8; BLOCK_BYTES] = block();

const fn block() -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < BLOCK_BYTES {
        bytes[at] = ((at * 31) ^ (at >> 8)) as u8;
        at += 1;
    }
    bytes
}

/// Returns the writes of a transfer of `bytes`.
pub fn blocks(bytes: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let size = left.min(BLOCK_BYTES as u64);
        left -= size;
        (size > 0).then_some(&BLOCK[..size as usize])
    })
}

/// The received part of a transfer.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes so far.
    pub bytes: u64,
}

impl Received {
    /// Counts a chunk, and compares its first and last bytes with those sent.
    ///
    /// # Errors
    /// If they differ.
    pub fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let expected = |at: u64| BLOCK[at as usize % BLOCK_BYTES];
        if let (Some(first), Some(last)) = (chunk.first(), chunk.last()) {
            let end = self.bytes + chunk.len() as u64;
            if *first != expected(self.bytes) || *last != expected(end - 1) {
                return Err(format!("bytes before {end} differ from those sent").into());
            }
            self.bytes = end;
        }
        Ok(())
    }

    /// Checks the number of bytes received.
    ///
    /// # Errors
    /// If it is not `wanted`.
    pub fn expect(&self, wanted: u64) -> Result<()> {
        expect_count(wanted, self.bytes)
    }
}

/// Checks that as many bytes were received as sent.
///
/// # Errors
/// If the numbers differ.
pub fn expect_count(sent: u64, received: u64) -> Result<()> {
    if sent == received {
        return Ok(());
    }
    Err(Error::from(format!(
        "received {received} bytes, expected {sent}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_a_transfer_in_chunks_of_any_size() {
        let sent: Vec<u8> = blocks(200_001).flatten().copied().collect();
        for size in [1, 7, 16_372, 65_536, 200_001] {
            let mut received = Received::default();
            for chunk in sent.chunks(size) {
                received.take(chunk).unwrap();
            }
            received.expect(200_001).unwrap();
        }
    }

    #[test]
    fn rejects_missing_duplicate_and_different_chunks() {
        let sent: Vec<u8> = blocks(200_001).flatten().copied().collect();
        let mut skipped = Received::default();
        skipped.take(&sent[..16_372]).unwrap();
        assert!(skipped.take(&sent[2 * 16_372..3 * 16_372]).is_err());
        let mut duplicate = Received::default();
        duplicate.take(&sent[..16_372]).unwrap();
        assert!(duplicate.take(&sent[..16_372]).is_err());
        assert!(Received::default().take(&[0xFF; 10]).is_err());
        assert!(duplicate.expect(16_373).is_err());
    }
}
