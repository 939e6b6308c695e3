//! Raw rustls peers: any certificate, any protocol, none of our verification.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, ServerConnection, SignatureScheme, version,
};

use super::certificate::{self, Certificate, Generated};
use crate::identity::{KeyType, Keypair};
use crate::{Handshake, HandshakeError};

pub(super) fn valid_certificate() -> Generated {
    certificate::generate(&Keypair::generate(KeyType::Ed25519).unwrap()).unwrap()
}

pub(super) fn client_config(
    provider: CryptoProvider,
    chain: Option<(Vec<CertificateDer<'static>>, Generated)>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny));
    let mut config = match chain {
        Some((chain, generated)) => {
            let key = default_provider()
                .key_provider
                .load_private_key(generated.key)
                .unwrap();
            let certified = Arc::new(CertifiedKey::new(chain, key));
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    config
}

pub(super) fn client_by(provider: CryptoProvider, generated: Generated) -> ClientConfig {
    client_config(
        provider,
        Some((vec![generated.certificate.clone()], generated)),
    )
}

pub(super) fn client_with(generated: Generated) -> ClientConfig {
    client_by(default_provider(), generated)
}

pub(super) fn server_config(generated: Generated) -> ServerConfig {
    let key = default_provider()
        .key_provider
        .load_private_key(generated.key)
        .unwrap();
    let certified = CertifiedKey::new(vec![generated.certificate], key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(AcceptAny))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::new(certified))));
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    config
}

pub(super) fn client(config: ClientConfig) -> Connection {
    let name = ServerName::try_from("example.org").unwrap();
    ClientConnection::new(Arc::new(config), name)
        .unwrap()
        .into()
}

pub(super) fn server(config: ServerConfig) -> Connection {
    ServerConnection::new(Arc::new(config)).unwrap().into()
}

/// Takes the pending output of the raw peer.
pub(super) fn take(raw: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    while raw.wants_write() {
        raw.write_tls(&mut out).unwrap();
    }
    out
}

pub(super) fn feed(raw: &mut Connection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        raw.read_tls(&mut bytes).unwrap();
        raw.process_new_packets()?;
    }
    Ok(())
}

/// Carries bytes until neither end has output; returns what the raw peer sends after its handshake.
pub(super) fn run_raw(
    ours: &mut Handshake,
    raw: &mut Connection,
) -> Result<Vec<u8>, HandshakeError> {
    let mut rest = Vec::new();
    loop {
        let mut outbound = Vec::new();
        ours.poll_output(&mut outbound);
        let mut inbound = take(raw);
        if outbound.is_empty() && inbound.is_empty() {
            return Ok(rest);
        }
        let consumed = ours.handle_input(&mut inbound)?;
        rest.extend_from_slice(&inbound[consumed..]);
        // A raw peer that rejects the handshake sends an alert, which the next round carries.
        let _ = feed(raw, &outbound);
    }
}

/// Accepts any certificate, but still verifies that the peer holds its key.
#[derive(Debug)]
struct AcceptAny;

fn verify_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = Certificate::parse(certificate).unwrap();
    let spki = SubjectPublicKeyInfoDer::from(certificate.spki);
    let algorithms = default_provider().signature_verification_algorithms;
    verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms)
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.2 is not compiled in")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for AcceptAny {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.2 is not compiled in")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
