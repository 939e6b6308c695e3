//! Certificates: those that listeners present, and the roots that dialers trust.

use std::fmt;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_native_certs::{CertificateResult, load_native_certs};
use thiserror::Error as ThisError;
use tokio::sync::OnceCell;

use crate::command::ConnectError;
use crate::sync::{Arc, Mutex};

/// The protocol that both ends speak over TLS: HTTP/2 has no upgrades of this kind.
const ALPN: &[u8] = b"http/1.1";

/// Maximum number of certificates. A handshake compares its name with each, a few microseconds at a
/// time; beyond a few hundred a proxy is the place for them.
const CERTIFICATES_MAX: usize = 1_000;

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub struct CertificatePem {
    /// PEM of the certificate, followed by those of its issuers.
    pub chain: Vec<u8>,
    /// PEM of its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

/// Reason why certificates or roots are refused.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum CertificatesError {
    /// The text contains no certificate, or a malformed one.
    #[error("the PEM contains no valid certificate")]
    NoCertificate,
    /// The text contains no private key, or a malformed one.
    #[error("the PEM contains no valid private key")]
    NoKey,
    /// The key does not belong to the certificate, or is of a kind that cannot be used.
    #[error("the key does not fit the certificate: {0}")]
    Key(Error),
    /// Too many.
    #[error("more than {CERTIFICATES_MAX} certificates")]
    TooMany,
}

/// The certificates that listeners present. They can be replaced at any time: handshakes from then on
/// present the new ones, and connections stay as they are.
#[derive(Default)]
pub struct Certificates(
    /// Held to copy or to replace the pointer: a leaf.
    Mutex<Arc<[Arc<CertifiedKey>]>>,
);

impl Certificates {
    /// Replaces the certificates. The first is presented to dialers whose name none is for, or who
    /// send none; without any, no handshake succeeds.
    ///
    /// # Errors
    /// The reason for which they are refused; the former ones stay.
    pub fn replace(&self, certificates: &[CertificatePem]) -> Result<(), CertificatesError> {
        if certificates.len() > CERTIFICATES_MAX {
            return Err(CertificatesError::TooMany);
        }
        let keys = certificates.iter().map(certified_key);
        *self.0.lock() = keys.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Returns the certificate for a name.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = Arc::clone(&self.0.lock());
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| keys.iter().find(|key| is_for(key, &name)));
        named.or_else(|| keys.first()).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.lock().len())
    }
}

fn certified_key(pem: &CertificatePem) -> Result<Arc<CertifiedKey>, CertificatesError> {
    let chain = certificates(&pem.chain)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| CertificatesError::NoKey)?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider());
    certified.map(Arc::new).map_err(CertificatesError::Key)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or(CertificatesError::NoCertificate)
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Ok(certificate) = key.end_entity_cert().and_then(ParsedCertificate::try_from) else {
        return false;
    };
    verify_server_name(&certificate, name).is_ok()
}

/// [`Certificates`] as rustls asks for them.
#[derive(Debug)]
struct Resolver(Arc<Certificates>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.find(hello.server_name())
    }
}

/// The servers that a dialer trusts.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those with certificates of the system's roots.
    #[default]
    System,
    /// Those with certificates of these roots.
    Roots(Roots),
    /// Any. Nobody but the peer's own handshake then detects a proxy between.
    Anyone,
}

/// Roots given by the application.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// Reads roots from PEM.
    ///
    /// # Errors
    /// The text contains no certificate, or a malformed one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificatesError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem)? {
            let added = store.add(certificate);
            added.map_err(|_| CertificatesError::NoCertificate)?;
        }
        Ok(Self(Arc::new(store)))
    }
}

/// Returns the configuration of listeners.
///
/// # Errors
/// Errors of rustls.
pub(super) fn listener_config(
    certificates: &Arc<Certificates>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(default_provider().into());
    let mut config = builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(Arc::clone(certificates))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Connections live for long: a resumption would save next to nothing, and cost memory.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The configuration of dialers, made at the first dial: reading the system's roots takes
/// milliseconds.
#[derive(Default)]
pub(super) struct DialerConfig {
    trust: Trust,
    config: OnceCell<Arc<ClientConfig>>,
}

impl DialerConfig {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            trust,
            config: OnceCell::new(),
        }
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// Errors of rustls; [`ConnectError::NoRoots`], after which the next call reads them again.
    pub(super) async fn load(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let load = || async {
            Ok::<_, ConnectError>(match &self.trust {
                Trust::System => {
                    let found = tokio::task::spawn_blocking(load_native_certs).await;
                    // A thread that ends in a panic has read none.
                    trusting(store_of(found.unwrap_or_default())?)?
                }
                Trust::Roots(roots) => trusting((*roots.0).clone())?,
                Trust::Anyone => trusting_anyone()?,
            })
        };
        self.config.get_or_try_init(load).await.map(Arc::clone)
    }
}

/// Returns the roots of the system, as far as they are valid: one broken file must not distrust all.
fn store_of(found: CertificateResult) -> Result<RootCertStore, ConnectError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let error = found.errors.into_iter().next();
        return Err(ConnectError::NoRoots(error.map(Arc::new)));
    }
    Ok(store)
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(over_http(config))
}

fn trusting_anyone() -> Result<Arc<ClientConfig>, Error> {
    let provider: Arc<CryptoProvider> = default_provider().into();
    let verifier = Anyone(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(over_http(config))
}

fn over_http(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Not offered.
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
