//! The bytes of bulk transfers: what is written, and the check of what was read.

use crate::{Error, Result};

/// Size of the writes in every bulk transfer.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Moved before the timed part.
pub const WARM_UP_BYTES: u64 = 32 << 20;

/// What every write begins with; a byte tells most places in it from their neighbours.
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

/// The writes that `bytes` take.
pub fn blocks(bytes: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let size = left.min(BLOCK_BYTES as u64);
        left -= size;
        (size > 0).then_some(&BLOCK[..size as usize])
    })
}

/// What has been received of a transfer.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes so far.
    pub bytes: u64,
}

impl Received {
    /// Counts a chunk, and compares its ends with what belongs there.
    ///
    /// # Errors
    /// That it does not.
    pub fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let place = |at: u64| BLOCK[at as usize % BLOCK_BYTES];
        if let (Some(first), Some(last)) = (chunk.first(), chunk.last()) {
            let end = self.bytes + chunk.len() as u64;
            if *first != place(self.bytes) || *last != place(end - 1) {
                return Err(format!("other bytes than were sent before byte {end}").into());
            }
            self.bytes = end;
        }
        Ok(())
    }

    /// Whether it is all.
    ///
    /// # Errors
    /// That it is not.
    pub fn expect(&self, wanted: u64) -> Result<()> {
        expect_count(wanted, self.bytes)
    }
}

/// Whether as many bytes came as were sent.
///
/// # Errors
/// That they did not.
pub fn expect_count(sent: u64, came: u64) -> Result<()> {
    if sent == came {
        return Ok(());
    }
    Err(Error::from(format!("{came} bytes came, expected {sent}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_blocks_of_a_transfer_however_they_are_cut() {
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
    fn refuses_a_chunk_that_is_missing_doubled_or_not_what_was_sent() {
        let sent: Vec<u8> = blocks(200_001).flatten().copied().collect();
        let mut skipped = Received::default();
        skipped.take(&sent[..16_372]).unwrap();
        assert!(skipped.take(&sent[2 * 16_372..3 * 16_372]).is_err());
        let mut doubled = Received::default();
        doubled.take(&sent[..16_372]).unwrap();
        assert!(doubled.take(&sent[..16_372]).is_err());
        assert!(Received::default().take(&[0xFF; 10]).is_err());
        assert!(doubled.expect(16_373).is_err());
    }
}
