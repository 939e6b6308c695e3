//! Masks (RFC 6455, section 5.3).

use aws_lc_rs::rand;

use crate::error::RandomnessError;

/// Mask keys taken from the generator at once: a call of it costs about as much as masking a record.
const BATCH_BYTES: usize = 256;

/// Mask keys that nobody can predict, whatever was sent before.
pub struct MaskKeys {
    fill: fn(&mut [u8]) -> Result<(), RandomnessError>,
    batch: [u8; BATCH_BYTES],
    used: usize,
}

impl MaskKeys {
    /// Creates keys from the bytes that `fill` writes.
    pub const fn new(fill: fn(&mut [u8]) -> Result<(), RandomnessError>) -> Self {
        Self {
            fill,
            batch: [0; BATCH_BYTES],
            used: BATCH_BYTES,
        }
    }

    /// Creates keys from aws-lc's generator.
    pub const fn random() -> Self {
        Self::new(random)
    }

    pub(crate) fn next_key(&mut self) -> Result<[u8; 4], RandomnessError> {
        if self.used == BATCH_BYTES {
            (self.fill)(&mut self.batch)?;
            self.used = 0;
        }
        let mut key = [0; 4];
        key.copy_from_slice(&self.batch[self.used..self.used + 4]);
        self.used += 4;
        Ok(key)
    }
}

/// Fills `bytes` from aws-lc's generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), RandomnessError> {
    rand::fill(bytes).map_err(|_| RandomnessError)
}

/// Masks or unmasks `bytes`, whose first one is masked by the first byte of `key`.
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Returns the key for what follows the next `count` bytes.
pub(crate) const fn advance(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_by_position_however_the_bytes_are_split() {
        let key = [1, 2, 4, 8];
        let bytes: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = (0..100u8)
            .map(|byte| byte ^ key[usize::from(byte) % 4])
            .collect();
        for cut in 0..=bytes.len() {
            let mut split = bytes.clone();
            let (left, right) = split.split_at_mut(cut);
            apply(left, key);
            apply(right, advance(key, left.len()));
            assert_eq!(split, masked, "{cut}");
        }
    }

    #[test]
    fn no_two_keys_of_a_batch_or_its_successor_are_the_same() {
        let mut keys = MaskKeys::random();
        let mut seen: Vec<[u8; 4]> = (0..2 * BATCH_BYTES / 4)
            .map(|_| keys.next_key().unwrap())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        // Two of 128 random keys are the same once in 530,000 runs.
        assert!(seen.len() >= 2 * BATCH_BYTES / 4 - 1);
    }
}
