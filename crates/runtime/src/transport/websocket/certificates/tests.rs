use super::*;
use crate::transport::websocket::testing::certificate;

#[test]
fn a_certificate_is_found_by_its_names_and_the_first_is_for_all_others() {
    let certificates = Certificates::default();
    assert!(certificates.find(Some("a.example")).is_none());
    let pems = [
        certificate(&["a.example"]),
        certificate(&["b.example", "*.c.example"]),
    ];
    certificates.replace(&pems).unwrap();
    let chains: Vec<_> = pems
        .iter()
        .map(|pem| super::certificates(&pem.chain).unwrap())
        .collect();
    let cases = [
        (Some("a.example"), 0),
        (Some("B.example"), 1),
        (Some("x.c.example"), 1),
        (Some("x.y.c.example"), 0),
        (Some("other.example"), 0),
        (None, 0),
    ];
    for (name, index) in cases {
        let found = certificates.find(name).unwrap();
        assert_eq!(found.cert, chains[index], "{name:?}");
    }
}

#[test]
fn what_is_refused_leaves_the_former_certificates() {
    let certificates = Certificates::default();
    let (good, other) = (certificate(&["a.example"]), certificate(&["b.example"]));
    certificates.replace(std::slice::from_ref(&good)).unwrap();
    let with = |chain: &[u8], key: &[u8]| {
        let pem = CertificatePem {
            chain: chain.into(),
            key: key.into(),
        };
        certificates.replace(&[pem])
    };
    let no_certificate = Err(CertificatesError::NoCertificate);
    assert_eq!(with(b"", &good.key), no_certificate);
    assert_eq!(with(&good.key, &good.key), no_certificate);
    let cut = &good.chain[..good.chain.len() / 2];
    assert_eq!(with(cut, &good.key), no_certificate);
    assert_eq!(
        with(&good.chain, &good.chain),
        Err(CertificatesError::NoKey)
    );
    assert!(matches!(
        with(&good.chain, &other.key),
        Err(CertificatesError::Key(_))
    ));
    let many = vec![good; CERTIFICATES_MAX + 1];
    assert_eq!(certificates.replace(&many), Err(CertificatesError::TooMany));
    assert!(certificates.find(Some("a.example")).is_some());
    assert!(Roots::from_pem(b"no roots").is_err());
    assert!(Roots::from_pem(&other.chain).is_ok());
}

#[test]
fn a_system_without_roots_is_an_error_that_has_its_reason() {
    let missing = || {
        let mut found = CertificateResult::default();
        found.errors.push(rustls_native_certs::Error {
            context: "failed to read PEM from file",
            kind: rustls_native_certs::ErrorKind::Io {
                inner: std::io::ErrorKind::NotFound.into(),
                path: "/etc/none.pem".into(),
            },
        });
        found
    };
    let text = |found| {
        let error = store_of(found).unwrap_err();
        crate::diagnostics::causes(&error)
    };
    let expected = "no certificates of authorities are found on this system";
    assert!(text(CertificateResult::default()).starts_with(expected));
    assert!(text(missing()).contains("/etc/none.pem"));
    // What is valid is enough.
    let pem = certificate(&["a.example"]);
    let mut found = missing();
    found.certs = certificates(&pem.chain).unwrap();
    assert_eq!(store_of(found).unwrap().len(), 1);
}
