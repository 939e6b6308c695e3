//! Noise transport messages: a 16-bit length, the ciphertext and its tag.

use aws_lc_rs::aead::CHACHA20_POLY1305;

use crate::cipher::{NONCE_LENGTH, TAG_LENGTH};
use crate::record::{Opened, RecordError, Sealer, plaintext_length};

/// Both directions of an established Noise channel.
pub(crate) struct NoiseRecords {
    outbound: Sealer,
    inbound: Sealer,
}

impl NoiseRecords {
    pub(crate) const HEADER: [u8; HEADER_LENGTH] = [0; HEADER_LENGTH];
    pub(crate) const OVERHEAD: usize = HEADER_LENGTH + TAG_LENGTH;

    pub(crate) fn new(outbound_key: &[u8; 32], inbound_key: &[u8; 32]) -> Self {
        let sealer = |key| Sealer::new(&CHACHA20_POLY1305, key, 0);
        Self {
            outbound: sealer(outbound_key),
            inbound: sealer(inbound_key),
        }
    }

    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), RecordError> {
        let length = plaintext_length(out, start, HEADER_LENGTH)? + TAG_LENGTH;
        let plaintext = start + HEADER_LENGTH;
        // The plaintext is at most 16 KiB, so the length fits.
        out[start..plaintext].copy_from_slice(&(length as u16).to_be_bytes());
        self.outbound.seal(nonce, &[], out, plaintext)
    }

    pub(crate) fn open(&mut self, buf: &mut [u8]) -> Result<Opened, RecordError> {
        let Some(header) = buf.first_chunk() else {
            return Ok(Opened::Incomplete {
                needed: HEADER_LENGTH,
            });
        };
        let length = usize::from(u16::from_be_bytes(*header));
        if length < TAG_LENGTH {
            return Err(RecordError::RecordLength { length });
        }
        let consumed = HEADER_LENGTH + length;
        let Some(sealed) = buf.get_mut(HEADER_LENGTH..consumed) else {
            return Ok(Opened::Incomplete { needed: consumed });
        };
        Ok(match self.inbound.open(nonce, &[], sealed)? {
            0 => Opened::Control { consumed },
            length => Opened::Record {
                plaintext: HEADER_LENGTH..HEADER_LENGTH + length,
                consumed,
            },
        })
    }

    #[cfg(test)]
    pub(crate) fn set_sequences(&mut self, sequence: u64) {
        self.outbound.set_sequence(sequence);
        self.inbound.set_sequence(sequence);
    }
}

/// Returns four zero bytes followed by the record number, little-endian (Noise, section 12.3).
pub(super) fn nonce(sequence: u64) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0; NONCE_LENGTH];
    nonce[4..].copy_from_slice(&sequence.to_le_bytes());
    nonce
}

const HEADER_LENGTH: usize = 2;
