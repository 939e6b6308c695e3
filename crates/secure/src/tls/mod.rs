//! The TLS 1.3 channel: libp2p's self-signed certificates, rustls's handshake, our record layer.

#[cfg(feature = "fuzzing")]
pub(crate) use certificate::Certificate;
pub use certificate::CertificateError;
pub(crate) use config::TlsCredentials;
pub use config::{QuicDialer, TlsCredentialsError, quic_peer};
pub(crate) use handshake::TlsHandshake;
pub(crate) use records::TlsRecords;

mod certificate;
mod config;
mod handshake;
mod records;
#[cfg(test)]
mod testing;
mod verified;
mod verifier;
