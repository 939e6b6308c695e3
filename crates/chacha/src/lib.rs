//! ChaCha20-Poly1305 (RFC 8439) for processors with AVX-512.
//!
//! The code of aws-lc, as that of ring, ends with AVX2: 0.39 ns a byte on a Zen 5, seal or open. OpenSSL's takes
//! 0.22 there. Its two functions, the cipher and the authenticator, are linked and put together here as section
//! 2.8 of the RFC says. `build.rs` builds them, for x86-64 Linux with glibc. Where they are not to be had,
//! [`Key::new`] says so.

#[cfg(has_openssl)]
mod openssl;
#[cfg(has_openssl)]
pub use openssl::Key;

#[cfg(not(has_openssl))]
mod absent;
#[cfg(not(has_openssl))]
pub use absent::Key;

/// Length of a key in bytes.
pub const KEY_LENGTH: usize = 32;
/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 12;
/// Length of a tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// The tag is not that of the ciphertext: it was sealed with another key, nonce or associated data, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forged;
