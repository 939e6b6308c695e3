//! The Noise channel: `Noise_XX_25519_ChaChaPoly_SHA256` with libp2p's signed payloads.

pub(crate) use handshake::{NoiseCredentials, NoiseHandshake};
#[cfg(feature = "fuzzing")]
pub(crate) use payload::Payload;
pub use payload::PayloadError;
pub(crate) use records::NoiseRecords;

mod handshake;
mod payload;
mod records;
mod resolver;
