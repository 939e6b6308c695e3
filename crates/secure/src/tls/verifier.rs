//! Verification of a peer's certificate, in both roles.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, PeerIncompatible, SignatureScheme,
};

use super::certificate::{Certificate, CertificateError};
use super::verified::Verified;
use crate::error::HandshakeError;
use crate::identity::PeerId;

/// Verifies libp2p certificates, and that the peer is the expected one and not this node.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) local: PeerId,
    pub(super) expected: Option<PeerId>,
    /// Keeps our reason where the transport of TLS loses it.
    pub(super) rejection: Option<Arc<OnceLock<Rejection>>>,
    /// Of the node.
    pub(super) verified: Arc<Verified>,
}

impl PeerVerifier {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.check(certificate, others, now).map_err(|rejection| {
            if let Some(kept) = &self.rejection {
                // The first one has ended the handshake.
                kept.set(rejection).ok();
            }
            Error::InvalidCertificate(TlsCertificateError::Other(OtherError(Arc::new(rejection))))
        })
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Rejection> {
        if !others.is_empty() {
            return Err(CertificateError::ChainLength {
                count: others.len() + 1,
            }
            .into());
        }
        let bytes = certificate.as_ref();
        let certificate = Certificate::parse(certificate)?;
        let actual = PeerId::from_public_key(&certificate.public_key);
        if actual == self.local {
            return Err(Rejection::SelfDial);
        }
        match self.expected {
            Some(expected) if expected != actual => {
                return Err(Rejection::PeerIdMismatch { expected, actual });
            }
            _ => {}
        }
        certificate.check_dates(now)?;
        if !self.verified.contains(bytes) {
            certificate.verify_signatures(&self.algorithms)?;
            self.verified.insert(bytes);
        }
        Ok(())
    }

    /// Verifies the handshake's signature. We parse the certificate's key, because webpki rejects
    /// certificates with unknown critical extensions.
    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::parse(certificate)
            .map_err(|_| Error::InvalidCertificate(TlsCertificateError::BadEncoding))?;
        let spki = SubjectPublicKeyInfoDer::from(certificate.spki);
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }
}

/// Reason for rejecting a peer, carried through rustls.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Rejection {
    #[error("certificate is refused")]
    Certificate(#[from] CertificateError),
    #[error("peer is this node itself")]
    SelfDial,
    #[error("expected peer {expected}, found {actual}")]
    PeerIdMismatch { expected: PeerId, actual: PeerId },
}

/// Converts an error of rustls, recovering our rejection if it wraps one.
pub(super) fn into_handshake_error(error: Error) -> HandshakeError {
    let rejection = match &error {
        Error::InvalidCertificate(TlsCertificateError::Other(OtherError(reason))) => {
            reason.downcast_ref::<Rejection>().copied()
        }
        _ => None,
    };
    rejection.map_or_else(|| HandshakeError::Tls(error), Into::into)
}

impl From<Rejection> for HandshakeError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Certificate(reason) => Self::Certificate(reason),
            Rejection::SelfDial => Self::SelfDial,
            Rejection::PeerIdMismatch { expected, actual } => {
                Self::PeerIdMismatch { expected, actual }
            }
        }
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;
    use crate::identity::{KeyType, Keypair};
    use crate::tls::certificate::generate;

    /// 2030.
    const VALID: u64 = 1_893_456_000;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_certificate_that_comes_again_is_checked_for_all_but_its_signatures() {
        let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
        let peer = PeerId::from_public_key(keypair.public());
        let other = Keypair::generate(KeyType::Ed25519).expect("randomness");
        let mut verifier = PeerVerifier {
            algorithms: default_provider().signature_verification_algorithms,
            local: PeerId::from_public_key(other.public()),
            expected: None,
            rejection: None,
            verified: Arc::default(),
        };
        let certificate = generate(&keypair).expect("a certificate").certificate;
        let mut forged = certificate.to_vec();
        // Of the certificate's own signature.
        *forged.last_mut().expect("bytes") ^= 1;
        let forged = CertificateDer::from(forged);
        for _ in 0..2 {
            assert!(verifier.verify(&certificate, &[], at(VALID)).is_ok());
            assert!(verifier.verify(&forged, &[], at(VALID)).is_err());
            assert!(verifier.verify(&certificate, &[], at(0)).is_err());
        }
        assert!(verifier.verified.contains(&certificate));
        verifier.expected = Some(verifier.local);
        assert!(verifier.verify(&certificate, &[], at(VALID)).is_err());
        verifier.expected = Some(peer);
        assert!(verifier.verify(&certificate, &[], at(VALID)).is_ok());
        verifier.local = peer;
        assert!(verifier.verify(&certificate, &[], at(VALID)).is_err());
    }
}
