//! Entrances to parsers that otherwise stand behind a handshake, for the fuzz targets.

use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;

use crate::noise::{NoiseRecords, Payload};
use crate::tls::Certificate;
use crate::{CertificateError, Channel, PayloadError, PeerId, PublicKey};

/// Judges a TLS certificate as a handshake does, at `now` since 1970: whose it is.
///
/// # Errors
/// Whatever is wrong with it.
pub fn peer_of_certificate(der: &[u8], now: Duration) -> Result<PeerId, CertificateError> {
    let certificate = Certificate::parse(der)?;
    let algorithms = default_provider().signature_verification_algorithms;
    certificate.verify(&algorithms, UnixTime::since_unix_epoch(now))?;
    Ok(PeerId::from_public_key(&certificate.public_key))
}

/// Reads the payload of a Noise handshake message up to its identity key, which nothing vouches for yet.
///
/// # Errors
/// Whatever is wrong with it.
pub fn key_of_noise_payload(message: &[u8]) -> Result<PublicKey, PayloadError> {
    let payload = Payload::decode(message)?;
    Ok(PublicKey::from_protobuf(payload.identity_key)?)
}

/// Both ends of a Noise channel with these keys, without the handshake that would agree on them.
pub fn noise_channels(to_listener: &[u8; 32], to_dialer: &[u8; 32]) -> (Channel, Channel) {
    (
        Channel::noise(NoiseRecords::new(to_listener, to_dialer)),
        Channel::noise(NoiseRecords::new(to_dialer, to_listener)),
    )
}
