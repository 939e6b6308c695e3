//! The cipher of each direction of a connection.

use std::fmt;

use aws_lc_rs::rand;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};

use crate::key::PreSharedKey;

/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 24;

/// What makes the stream of one direction of a connection unique. Public; the first bytes of that
/// direction.
pub type Nonce = [u8; NONCE_LENGTH];

/// Ciphers the bytes that we send.
pub struct Encryptor(XSalsa20);

impl Encryptor {
    /// Starts a direction with a random nonce, which has to be sent first.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(key: &PreSharedKey) -> Result<(Self, Nonce), NonceError> {
        let mut nonce = [0; NONCE_LENGTH];
        rand::fill(&mut nonce).map_err(|_| NonceError)?;
        Ok((Self(stream(key, &nonce)), nonce))
    }

    /// Starts a direction with a given nonce, for reproducible tests. A key must never be used
    /// twice with the same nonce: the XOR of both ciphertexts would be that of the plaintexts.
    pub fn with_nonce(key: &PreSharedKey, nonce: &Nonce) -> Self {
        Self(stream(key, nonce))
    }

    /// Ciphers the next bytes in place.
    pub fn encrypt(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}

/// Deciphers the bytes that the remote sends, the first of which are its nonce.
pub struct Decryptor(State);

enum State {
    /// The first `count` bytes of the nonce have arrived.
    Nonce {
        key: PreSharedKey,
        nonce: Nonce,
        count: usize,
    },
    Stream(XSalsa20),
}

impl Decryptor {
    /// Starts a direction.
    pub fn new(key: &PreSharedKey) -> Self {
        Self(State::Nonce {
            key: key.clone(),
            nonce: [0; NONCE_LENGTH],
            count: 0,
        })
    }

    /// Deciphers the next bytes in place; returns how many at their front belong to the nonce and
    /// have to be skipped.
    pub fn decrypt(&mut self, bytes: &mut [u8]) -> usize {
        let skipped = self.take_nonce(bytes);
        if let State::Stream(cipher) = &mut self.0 {
            cipher.apply_keystream(&mut bytes[skipped..]);
        }
        skipped
    }

    /// Takes the rest of the nonce, or what of it has arrived, and returns its length.
    fn take_nonce(&mut self, bytes: &[u8]) -> usize {
        let State::Nonce { key, nonce, count } = &mut self.0 else {
            return 0;
        };
        let taken = bytes.len().min(NONCE_LENGTH - *count);
        nonce[*count..*count + taken].copy_from_slice(&bytes[..taken]);
        *count += taken;
        if *count == NONCE_LENGTH {
            self.0 = State::Stream(stream(key, nonce));
        }
        taken
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").finish_non_exhaustive()
    }
}

/// The system has no randomness for a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness for a nonce")]
pub struct NonceError;

fn stream(key: &PreSharedKey, nonce: &Nonce) -> XSalsa20 {
    XSalsa20::new(key.as_bytes().into(), nonce.into())
}
