//! Private networks of libp2p by a pre-shared key: bytes in, bytes out, ciphered in place.
//!
//! Every byte of a connection of a private network is XORed with XSalsa20, including the negotiation
//! of its security protocol (specs, `pnet/Private-Networks-PSK-V1.md`); what the transport adds to
//! carry them is not, such as the HTTP upgrade and the headers of frames of WebSocket. Each side sends a random nonce and, after it, its bytes, ciphered with the key and that nonce:
//!
//! ```text
//! nonce, 24 bytes │ bytes ⊕ XSalsa20(key, nonce)
//! ```
//!
//! The cipher authenticates nothing; Noise or TLS above it do. It keeps strangers out: what one
//! without the key sends is noise after deciphering, and so is what it receives. There is no other
//! handshake: [`Encryptor`] and [`Decryptor`] are the whole protocol.
#![forbid(unsafe_code)]

pub use cipher::{Decryptor, Encryptor, NONCE_LENGTH, Nonce, NonceError};
pub use key::{Encoding, Fingerprint, KEY_LENGTH, KeyError, PreSharedKey};

mod cipher;
mod key;
