//! Where OpenSSL's code is not linked there are no keys.

use crate::{Forged, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH};

/// A key of ChaCha20-Poly1305; not to be had here.
#[derive(Debug)]
pub enum Key {}

impl Key {
    /// `None`.
    pub const fn new(_: &[u8; KEY_LENGTH]) -> Option<Self> {
        None
    }

    /// Seals a text in place; its tag.
    pub const fn seal(&self, _: &[u8; NONCE_LENGTH], _: &[u8], _: &mut [u8]) -> [u8; TAG_LENGTH] {
        match *self {}
    }

    /// Opens a text in place.
    ///
    /// # Errors
    /// See [`Forged`].
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
