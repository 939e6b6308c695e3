//! Certificates for tests.

use data_encoding::BASE64;
use rcgen::{CertificateParams, IsCa, KeyPair};

use super::CertificatePem;

/// Creates a certificate for `names`, signed by itself.
pub(crate) fn certificate(names: &[&str]) -> CertificatePem {
    self_signed(names, IsCa::NoCa)
}

/// Creates a certificate for `names`, which may be that of an authority, signed by itself.
pub(crate) fn self_signed(names: &[&str], is_ca: IsCa) -> CertificatePem {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key);
    CertificatePem {
        chain: pem("CERTIFICATE", certificate.unwrap().der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
    }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}
