//! Stub for builds without OpenSSL's code: no key can be created.

use crate::{Forged, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH};

/// A ChaCha20-Poly1305 key; uninhabited in this build.
#[derive(Debug)]
pub enum Key {}

impl Key {
    /// Returns `None`.
    pub const fn new(_: &[u8; KEY_LENGTH]) -> Option<Self> {
        None
    }

    /// Seals `text` in place and returns its tag.
    pub const fn seal(&self, _: &[u8; NONCE_LENGTH], _: &[u8], _: &mut [u8]) -> [u8; TAG_LENGTH] {
        match *self {}
    }

    /// Opens `text` in place.
    ///
    /// # Errors
    /// [`Forged`] if the tag does not match.
    pub const fn open(
        &self,
        _: &[u8; NONCE_LENGTH],
        _: &[u8],
        _: &mut [u8],
        _: &[u8; TAG_LENGTH],
    ) -> Result<(), Forged> {
        match *self {}
    }
}
