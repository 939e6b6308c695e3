//! Certificates whose signatures have been verified.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

/// Certificates remembered. Each is 32 bytes, and as many are compared in a microsecond; the two
/// verifications that are spared take a hundred.
const REMEMBERED_MAX: usize = 256;

/// Digests of certificates whose signatures have been verified, oldest first: they depend on nothing but
/// the bytes of the certificate, so that a peer that comes again is not verified again. It still proves
/// in each handshake that it has the key.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<VecDeque<[u8; 32]>>);

impl Verified {
    /// Returns whether the signatures of a certificate have been verified.
    pub(super) fn contains(&self, certificate: &[u8]) -> bool {
        self.lock().contains(&key(certificate))
    }

    /// Remembers a certificate whose signatures have been verified.
    pub(super) fn insert(&self, certificate: &[u8]) {
        let mut remembered = self.lock();
        if remembered.len() == REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back(key(certificate));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<[u8; 32]>> {
        // A list is whole between any two of these calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(certificate: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, certificate).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_certificates_are_forgotten() {
        let verified = Verified::default();
        let certificates: Vec<_> = (0..=REMEMBERED_MAX as u32).map(u32::to_be_bytes).collect();
        for certificate in &certificates {
            assert!(!verified.contains(certificate));
            verified.insert(certificate);
        }
        assert!(!verified.contains(&certificates[0]));
        assert!(
            certificates[1..]
                .iter()
                .all(|known| verified.contains(known))
        );
    }
}
