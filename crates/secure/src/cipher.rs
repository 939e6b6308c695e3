//! The cipher of one direction: aws-lc's, and for ChaCha20-Poly1305 on AVX-512 the one that is faster there.

use aws_lc_rs::aead::{Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ferroswarm_chacha::Key as WideKey;

/// All ciphers of both protocols have nonces of 12 bytes.
pub(crate) const NONCE_LENGTH: usize = 12;
/// All ciphers of both protocols have tags of 16 bytes.
pub(crate) const TAG_LENGTH: usize = 16;

/// Below, aws-lc's code is the faster one, whose cipher and authenticator are one function: 213 ns for 64 bytes,
/// against 333. At 1 KiB it is 583 against 435.
const WIDE_MIN: usize = 1 << 10;

/// A key of one direction, under which a nonce is used once.
pub(crate) struct Cipher {
    key: LessSafeKey,
    /// The same key for texts of [`WIDE_MIN`] bytes and more, where the processor is one for it.
    wide: Option<WideKey>,
}

impl Cipher {
    /// The key's length must be the algorithm's; both protocols derive it so.
    pub(crate) fn new(algorithm: &'static Algorithm, key: &[u8]) -> Self {
        let wide = match key.try_into() {
            Ok(key) if algorithm == &CHACHA20_POLY1305 => WideKey::new(key),
            _ => None,
        };
        let key = UnboundKey::new(algorithm, key).expect("derived keys have the cipher's length");
        Self {
            key: LessSafeKey::new(key),
            wide,
        }
    }

    /// Seals `text` in place; its tag. `None` where it has many gigabytes.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LENGTH],
        aad: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG_LENGTH]> {
        if let Some(wide) = self.wide_for(text.len()) {
            return Some(wide.seal(&nonce, aad, text));
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .ok()?;
        Some(tag.as_ref().try_into().expect("every tag has 16 bytes"))
    }

    /// Opens `sealed`, a text and its tag, in place; the text's length. `None` if the tag is not its own.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LENGTH],
        aad: &[u8],
        sealed: &mut [u8],
    ) -> Option<usize> {
        let length = sealed.len().checked_sub(TAG_LENGTH)?;
        if let Some(wide) = self.wide_for(length) {
            let (text, tag) = sealed.split_last_chunk_mut()?;
            wide.open(&nonce, aad, text, tag).ok()?;
        } else {
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.key.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
        }
        Some(length)
    }

    fn wide_for(&self, length: usize) -> Option<&WideKey> {
        self.wide.as_ref().filter(|_| length >= WIDE_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_what_aws_lc_seals_whatever_its_length() {
        let secret = [7; 32];
        let (cipher, nonce) = (Cipher::new(&CHACHA20_POLY1305, &secret), [3; NONCE_LENGTH]);
        let aws_lc = Cipher {
            key: LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &secret).expect("32 bytes")),
            wide: None,
        };
        for length in [0, 1, WIDE_MIN - 1, WIDE_MIN, WIDE_MIN + 1, 16 << 10, 65_519] {
            let mut sealed = vec![0x11; length];
            let tag = cipher.seal(nonce, b"aad", &mut sealed).expect("short");
            sealed.extend(tag);
            let mut expected = vec![0x11; length];
            let tag = aws_lc.seal(nonce, b"aad", &mut expected).expect("short");
            expected.extend(tag);
            assert!(sealed == expected, "{length}");
            assert_eq!(cipher.open(nonce, b"aad", &mut sealed), Some(length));
            assert_eq!(cipher.open(nonce, b"other", &mut expected), None);
        }
    }

    #[test]
    fn what_is_shorter_than_a_tag_is_refused() {
        let cipher = Cipher::new(&CHACHA20_POLY1305, &[7; 32]);
        assert_eq!(
            cipher.open([0; NONCE_LENGTH], &[], &mut [0; TAG_LENGTH - 1]),
            None
        );
    }
}
