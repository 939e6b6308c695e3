//! TLS configuration shared by all handshakes of a node: certificate, ciphers and settings.

use std::any::Any;
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, NamedGroup, ServerConfig, SignatureScheme, SupportedCipherSuite, version,
};

use super::certificate::{self, Certificate, CertificateError};
use super::verified::Verified;
use super::verifier::{PeerVerifier, Rejection};
use crate::error::HandshakeError;
use crate::identity::{KeyError, Keypair, PeerId, PublicKey};

/// The node's certificate in rustls configs, which each handshake clones.
pub(crate) struct TlsCredentials {
    dialer: ClientConfig,
    quic_dialer: ClientConfig,
    listener: ServerConfig,
    verified: Arc<Verified>,
}

impl TlsCredentials {
    pub(crate) fn new(keypair: &Keypair, local: PeerId) -> Result<Self, TlsCredentialsError> {
        let generated = certificate::generate(keypair)?;
        let key = PROVIDER.key_provider.load_private_key(generated.key)?;
        let certified = CertifiedKey::new(vec![generated.certificate], key);
        let certificate = Arc::new(NodeCertificate(Arc::new(certified)));
        let verified = Arc::default();
        let verifier = Arc::new(verifier(local, None, &verified));

        let dialer_by = |provider: &Arc<CryptoProvider>| -> Result<_, rustls::Error> {
            let mut dialer = ClientConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(&[&version::TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
                .with_client_cert_resolver(Arc::clone(&certificate) as _);
            dialer.enable_sni = false;
            dialer.resumption = Resumption::disabled();
            Ok(dialer)
        };
        let quic_dialer = dialer_by(&QUIC_DIALER_PROVIDER)?;
        let mut dialer = dialer_by(&PROVIDER)?;
        dialer.enable_secret_extraction = true;

        let mut listener = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificate);
        listener.session_storage = Arc::new(NoServerSessionStorage {});
        listener.send_tls13_tickets = 0;
        listener.enable_secret_extraction = true;
        Ok(Self {
            dialer,
            quic_dialer,
            listener,
            verified,
        })
    }

    /// Returns the config of a dialer; a peer other than `expected` is rejected with an alert.
    pub(super) fn dialer(
        &self,
        local: PeerId,
        expected: Option<PeerId>,
        muxers: &[Box<str>],
    ) -> Arc<ClientConfig> {
        let mut config = self.dialer.clone();
        config.alpn_protocols = alpn(muxers.iter().map(|muxer| &**muxer));
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier(local, expected, &self.verified)));
        Arc::new(config)
    }

    /// Returns the config of a listener that prefers the muxers in the given order.
    pub(super) fn listener<'a>(&self, muxers: impl Iterator<Item = &'a str>) -> Arc<ServerConfig> {
        let mut config = self.listener.clone();
        config.alpn_protocols = alpn(muxers);
        Arc::new(config)
    }
}

/// TLS settings of one QUIC dialer.
pub struct QuicDialer {
    /// For quinn.
    pub config: Arc<ClientConfig>,
    rejection: Arc<OnceLock<Rejection>>,
}

impl QuicDialer {
    /// Returns why we have refused the remote, if we have: QUIC reduces that to an alert.
    pub fn refusal(&self) -> Option<HandshakeError> {
        self.rejection.get().copied().map(Into::into)
    }
}

impl TlsCredentials {
    /// Returns the settings of a QUIC dialer; a peer other than `expected` is rejected.
    pub(crate) fn quic_dialer(&self, local: PeerId, expected: Option<PeerId>) -> QuicDialer {
        let rejection = Arc::new(OnceLock::new());
        let mut config = self.quic_dialer.clone();
        config.alpn_protocols = alpn(std::iter::empty());
        let verifier = PeerVerifier {
            rejection: Some(Arc::clone(&rejection)),
            ..verifier(local, expected, &self.verified)
        };
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        QuicDialer {
            config: Arc::new(config),
            rejection,
        }
    }

    /// Returns the settings of a QUIC listener.
    pub(crate) fn quic_listener(&self) -> Arc<ServerConfig> {
        let mut config = self.listener.clone();
        // Its keys are needed by quinn alone.
        config.enable_secret_extraction = false;
        config.alpn_protocols = alpn(std::iter::empty());
        Arc::new(config)
    }
}

/// Returns the peer of a QUIC connection, from the certificates that our verifier has accepted, as
/// quinn returns them.
///
/// # Errors
/// [`HandshakeError::Incomplete`] without certificates, and a chain of other than one.
pub fn quic_peer(
    certificates: Option<Box<dyn Any>>,
) -> Result<(PeerId, PublicKey), HandshakeError> {
    let chain = certificates
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(HandshakeError::Incomplete)?;
    let [certificate] = &chain[..] else {
        let count = chain.len();
        return Err(CertificateError::ChainLength { count }.into());
    };
    let key = Certificate::parse(certificate)?.public_key;
    Ok((PeerId::from_public_key(&key), key))
}

/// Error creating the TLS credentials of a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsCredentialsError {
    /// The certificate's key could not be generated, or failed to sign.
    #[error("certificate could not be signed")]
    Certificate(#[from] rcgen::Error),
    /// The identity key failed to sign the certificate's key.
    #[error("identity key failed to sign")]
    Identity(#[from] KeyError),
    /// QUIC needs a cipher suite that the processor's preference has removed.
    #[error("tls settings lack the suite of quic's first packets")]
    NoInitialSuite,
    /// rustls rejected the settings.
    #[error("tls settings are refused")]
    Settings(#[from] rustls::Error),
}

fn verifier(local: PeerId, expected: Option<PeerId>, verified: &Arc<Verified>) -> PeerVerifier {
    PeerVerifier {
        algorithms: PROVIDER.signature_verification_algorithms,
        local,
        expected,
        rejection: None,
        verified: Arc::clone(verified),
    }
}

/// Returns the muxers, followed by the name that leaves the choice to multistream-select.
fn alpn<'a>(muxers: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    muxers
        .map(|muxer| muxer.as_bytes().to_vec())
        .chain([ALPN_LIBP2P.to_vec()])
        .collect()
}

/// Resolves to the same certificate for every peer.
#[derive(Debug)]
struct NodeCertificate(Arc<CertifiedKey>);

impl ResolvesClientCert for NodeCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for NodeCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// ALPN name of libp2p without a muxer.
const ALPN_LIBP2P: &[u8] = b"libp2p";

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: cipher_suites(),
        // The hybrid protects recorded traffic against future quantum computers and costs about 25
        // us per side. When it is offered first, its key share is sent along with that of X25519,
        // so a peer that supports either needs no second round trip.
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    })
});

/// Without the hybrid, whose key share alone fills a datagram: the dialer's first flight is one datagram,
/// as that of rust-libp2p, and a listener need not collect it. A dialer that offers the hybrid gets it.
static QUIC_DIALER_PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = (**PROVIDER).clone();
    let groups = &mut provider.kx_groups;
    groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    Arc::new(provider)
});

/// Returns the suites, AES-GCM first if the processor has AES instructions, which make it several
/// times as fast as ChaCha20.
fn cipher_suites() -> Vec<SupportedCipherSuite> {
    let mut suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !has_aes() {
        suites.rotate_right(1);
    }
    suites
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has_aes() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
const fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, Connection, ServerConnection};

    use super::super::testing::{client_by, valid_certificate};
    use super::*;
    use crate::KeyType;

    /// Returns the key exchange of a handshake.
    fn key_exchange(dialer: Arc<ClientConfig>, listener: Arc<ServerConfig>) -> NamedGroup {
        let name = ServerName::try_from("l").unwrap();
        let mut ends = [
            Connection::Client(ClientConnection::new(dialer, name).unwrap()),
            Connection::Server(ServerConnection::new(listener).unwrap()),
        ];
        for turn in [0, 1, 0] {
            let mut flight = Vec::new();
            ends[turn].write_tls(&mut flight).unwrap();
            ends[1 - turn].read_tls(&mut &flight[..]).unwrap();
            ends[1 - turn].process_new_packets().unwrap();
        }
        assert!(!ends[1].is_handshaking());
        ends[1].negotiated_key_exchange_group().unwrap().name()
    }

    #[test]
    fn a_quic_dialer_offers_no_hybrid_and_a_quic_listener_takes_it() {
        let [(dialer, local), (listener, _)] = [(), ()].map(|()| {
            let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
            let peer = PeerId::from_public_key(keypair.public());
            (TlsCredentials::new(&keypair, peer).unwrap(), peer)
        });
        let dialer = dialer.quic_dialer(local, None).config;
        let group = key_exchange(dialer, listener.quic_listener());
        assert_eq!(group, NamedGroup::X25519);
        let dialer = client_by((**PROVIDER).clone(), valid_certificate());
        let group = key_exchange(dialer.into(), listener.quic_listener());
        assert_eq!(group, NamedGroup::X25519MLKEM768);
    }
}
