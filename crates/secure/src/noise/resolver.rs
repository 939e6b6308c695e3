//! Primitives of the Noise handshake, implemented with aws-lc.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::{constant_time, digest, hmac, rand};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use super::records::nonce;
use crate::cipher::TAG_LENGTH;

/// Resolves exactly `25519_ChaChaPoly_SHA256`.
pub(super) struct Resolver {
    /// The node's static key, recognised by its bytes so that the public key, a quarter of one
    /// side's arithmetic, is not recomputed in each handshake.
    static_key: Arc<StaticKey>,
}

/// An X25519 private key with its public key.
pub(super) struct StaticKey {
    secret: Zeroizing<[u8; KEY_LENGTH]>,
    private: PrivateKey,
    public: [u8; KEY_LENGTH],
}

impl StaticKey {
    pub(super) fn new(secret: Zeroizing<[u8; KEY_LENGTH]>) -> Option<Self> {
        let private = PrivateKey::from_private_key(&X25519, &secret[..]).ok()?;
        let public = public_of(&private)?;
        Some(Self {
            secret,
            private,
            public,
        })
    }

    /// Returns a key with a mismatched public key.
    #[cfg(test)]
    pub(super) fn with_public(self, public: [u8; KEY_LENGTH]) -> Self {
        Self { public, ..self }
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret[..]
    }

    pub(super) fn public(&self) -> &[u8; KEY_LENGTH] {
        &self.public
    }
}

impl Resolver {
    pub(super) fn new(static_key: Arc<StaticKey>) -> Self {
        Self { static_key }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519Dh {
                node: Arc::clone(&self.static_key),
                key: DhKey::Unset,
            })),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::new(Sha256(digest::Context::new(&digest::SHA256)))),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::ChaChaPoly => Some(Box::new(ChaChaPoly(None))),
            _ => None,
        }
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        rand::fill(dest).map_err(|_| snow::Error::Rng)
    }
}

struct X25519Dh {
    node: Arc<StaticKey>,
    key: DhKey,
}

enum DhKey {
    Unset,
    Node,
    Own {
        private: PrivateKey,
        public: [u8; KEY_LENGTH],
    },
}

impl Dh for X25519Dh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LENGTH
    }

    fn priv_len(&self) -> usize {
        KEY_LENGTH
    }

    fn set(&mut self, secret: &[u8]) {
        if constant_time::verify_slices_are_equal(secret, self.node.secret()).is_ok() {
            self.key = DhKey::Node;
            return;
        }
        let key = PrivateKey::from_private_key(&X25519, secret).ok();
        self.key = match key.and_then(|private| Some((public_of(&private)?, private))) {
            Some((public, private)) => DhKey::Own { private, public },
            None => DhKey::Unset,
        };
    }

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), snow::Error> {
        let private = PrivateKey::generate(&X25519).map_err(|_| snow::Error::Rng)?;
        let public = public_of(&private).ok_or(snow::Error::Dh)?;
        self.key = DhKey::Own { private, public };
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        match &self.key {
            DhKey::Unset => &[],
            DhKey::Node => &self.node.public,
            DhKey::Own { public, .. } => public,
        }
    }

    /// Unused: snow calls it only for generated static keys, which this crate makes itself.
    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, remote: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let private = match &self.key {
            DhKey::Unset => return Err(snow::Error::Dh),
            DhKey::Node => &self.node.private,
            DhKey::Own { private, .. } => private,
        };
        let remote = remote.get(..KEY_LENGTH).ok_or(snow::Error::Dh)?;
        // A point of low order yields an all-zero secret, which aws-lc rejects.
        agree(
            private,
            UnparsedPublicKey::new(&X25519, remote),
            snow::Error::Dh,
            |secret| {
                out.get_mut(..secret.len())
                    .ok_or(snow::Error::Dh)?
                    .copy_from_slice(secret);
                Ok(())
            },
        )
    }
}

fn public_of(private: &PrivateKey) -> Option<[u8; KEY_LENGTH]> {
    private.compute_public_key().ok()?.as_ref().try_into().ok()
}

struct Sha256(digest::Context);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = digest::Context::new(&digest::SHA256);
    }

    fn input(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(self.0.clone().finish().as_ref());
    }

    fn hmac(&mut self, key: &[u8], message: &[u8], out: &mut [u8]) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        out[..32].copy_from_slice(hmac::sign(&key, message).as_ref());
    }
}

/// Cipher of the handshake messages; transport records are sealed in place elsewhere.
struct ChaChaPoly(Option<LessSafeKey>);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY_LENGTH]) {
        self.0 = UnboundKey::new(&CHACHA20_POLY1305, key)
            .ok()
            .map(LessSafeKey::new);
    }

    fn encrypt(&self, sequence: u64, aad: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let key = self
            .0
            .as_ref()
            .expect("snow sets the key before it encrypts");
        let (sealed, rest) = out.split_at_mut(plaintext.len());
        sealed.copy_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce(sequence));
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), sealed)
            .expect("a handshake message is far below the cipher's limit");
        rest[..TAG_LENGTH].copy_from_slice(tag.as_ref());
        plaintext.len() + TAG_LENGTH
    }

    fn decrypt(
        &self,
        sequence: u64,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let key = self.0.as_ref().ok_or(snow::Error::Decrypt)?;
        let length = sealed
            .len()
            .checked_sub(TAG_LENGTH)
            .ok_or(snow::Error::Decrypt)?;
        let (ciphertext, tag) = sealed.split_at(length);
        let out = out.get_mut(..length).ok_or(snow::Error::Decrypt)?;
        let nonce = Nonce::assume_unique_for_key(nonce(sequence));
        key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, out)
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(length)
    }
}

pub(super) const KEY_LENGTH: usize = 32;
