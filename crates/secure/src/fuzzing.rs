//! Entry points for the fuzz targets to parsers otherwise reachable only through a handshake.

use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;

use crate::noise::{NoiseRecords, Payload};
use crate::tls::Certificate;
use crate::{CertificateError, Channel, PayloadError, PeerId, PublicKey};

/// Verifies a TLS certificate as a handshake does, at `now` since 1970; returns its peer id.
///
/// # Errors
/// If the certificate is invalid.
pub fn peer_of_certificate(der: &[u8], now: Duration) -> Result<PeerId, CertificateError> {
    let certificate = Certificate::parse(der)?;
    let algorithms = default_provider().signature_verification_algorithms;
    certificate.check_dates(UnixTime::since_unix_epoch(now))?;
    certificate.verify_signatures(&algorithms)?;
    Ok(PeerId::from_public_key(&certificate.public_key))
}

/// Decodes the identity key in the payload of a Noise handshake message, without verifying it.
///
/// # Errors
/// If the payload or the key is invalid.
pub fn key_of_noise_payload(message: &[u8]) -> Result<PublicKey, PayloadError> {
    let payload = Payload::decode(message)?;
    Ok(PublicKey::from_protobuf(payload.identity_key)?)
}

/// Returns both ends of a Noise channel with the given keys, without a handshake.
pub fn noise_channels(to_listener: &[u8; 32], to_dialer: &[u8; 32]) -> (Channel, Channel) {
    (
        Channel::noise(NoiseRecords::new(to_listener, to_dialer)),
        Channel::noise(NoiseRecords::new(to_dialer, to_listener)),
    )
}
