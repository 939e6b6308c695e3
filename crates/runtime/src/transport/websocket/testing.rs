//! Certificates for tests.

use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};

use super::CertificatePem;

/// Creates a certificate for `names`, signed by itself.
pub(crate) fn certificate(names: &[&str]) -> CertificatePem {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
    CertificatePem {
        chain: pem("CERTIFICATE", certificate.unwrap().der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
    }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}
