use std::time::Duration;

use proptest::prelude::*;
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;
use crate::identity::{KeyType, PeerId};
use crate::testing::{hex, vectors};

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn keypair() -> Keypair {
    Keypair::generate(KeyType::Ed25519).unwrap()
}

/// Returns a certificate whose parameters are altered before signing.
pub(in crate::tls) fn altered(
    keypair: &Keypair,
    alter: impl FnOnce(&mut CertificateParams),
) -> Generated {
    let key = CertificateKeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .custom_extensions
        .push(extension(&signed_key(keypair, &key).unwrap()));
    alter(&mut params);
    sign(&params, &key).unwrap()
}

/// Returns an expired certificate.
pub(in crate::tls) fn expired(keypair: &Keypair) -> Generated {
    altered(keypair, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1)
    })
}

fn check(certificate: &[u8], now: u64) -> Result<PeerId, CertificateError> {
    let certificate = Certificate::parse(certificate)?;
    certificate.check_dates(at(now))?;
    certificate.verify_signatures(&default_provider().signature_verification_algorithms)?;
    Ok(PeerId::from_public_key(&certificate.public_key))
}

fn check_altered(alter: impl FnOnce(&mut CertificateParams)) -> Result<(), CertificateError> {
    check(&altered(&keypair(), alter).certificate, NOW).map(|_| ())
}

#[test]
fn generated_certificates_of_every_key_type_verify() {
    for key_type in [
        KeyType::Ed25519,
        KeyType::Secp256k1,
        KeyType::Ecdsa,
        KeyType::Rsa,
    ] {
        let keypair = Keypair::generate(key_type).unwrap();
        let generated = generate(&keypair).unwrap();
        let id = PeerId::from_public_key(keypair.public());
        assert_eq!(check(&generated.certificate, NOW), Ok(id), "{key_type:?}");
    }
}

// A059
#[test]
fn verifies_the_published_certificates_as_specified() {
    for vector in vectors(include_str!("../../../tests/vectors/tls-certificates.txt")) {
        let [name, peer_id, certificate] = vector[..] else {
            panic!("expected three words per line")
        };
        let result = check(&hex(certificate), NOW);
        if name == "invalid" {
            assert_eq!(result, Err(CertificateError::IdentitySignature));
        } else {
            assert_eq!(result, Ok(peer_id.parse().unwrap()), "{name}");
        }
    }
}

// A055
#[test]
fn certificates_outside_their_validity_are_refused() {
    let hour = 3_600;
    let generated = altered(&keypair(), |params| {
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 2);
    });
    let check = |now| check(&generated.certificate, now).map(|_| ());
    assert_eq!(check(NOW - hour), Err(CertificateError::NotValidYet));
    assert_eq!(check(NOW), Ok(()));
    assert_eq!(check(NOW + 24 * hour), Ok(()));
    assert_eq!(check(NOW + 25 * hour), Err(CertificateError::Expired));
}

// A056
#[test]
fn a_certificate_without_the_extension_is_refused() {
    let result = check_altered(|params| params.custom_extensions.clear());
    assert_eq!(result, Err(CertificateError::MissingExtension));
    let other = |params: &mut CertificateParams| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0])];
    };
    assert_eq!(
        check_altered(other),
        Err(CertificateError::MissingExtension)
    );
}

// A057
#[test]
fn unknown_extensions_are_refused_only_when_critical() {
    let with_unknown = |is_critical| {
        check_altered(|params| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            unknown.set_criticality(is_critical);
            params.custom_extensions.push(unknown);
        })
    };
    assert_eq!(with_unknown(false), Ok(()));
    assert_eq!(
        with_unknown(true),
        Err(CertificateError::UnknownCriticalExtension)
    );
}

#[test]
fn critical_extensions_of_py_libp2p_are_accepted() {
    let with_usage = |usage| {
        check_altered(|params| {
            params.is_ca = rcgen::IsCa::ExplicitNoCa;
            params.key_usages = vec![usage];
        })
    };
    assert_eq!(with_usage(rcgen::KeyUsagePurpose::DigitalSignature), Ok(()));
    assert_eq!(
        with_usage(rcgen::KeyUsagePurpose::KeyCertSign),
        Err(CertificateError::UnknownCriticalExtension)
    );
}

#[test]
fn the_extension_may_be_non_critical_but_not_repeated() {
    let non_critical = |params: &mut CertificateParams| {
        params.custom_extensions[0].set_criticality(false);
    };
    assert_eq!(check_altered(non_critical), Ok(()));
    let twice = |params: &mut CertificateParams| {
        params
            .custom_extensions
            .push(params.custom_extensions[0].clone());
    };
    assert_eq!(
        check_altered(twice),
        Err(CertificateError::DuplicateExtension)
    );
}

// A058
#[test]
fn malformed_signed_keys_are_refused() {
    let key = CertificateKeyPair::generate().unwrap();
    let valid = signed_key(&keypair(), &key).unwrap();
    let nested: Vec<u8> = [0x30, 0x80].repeat(1_000);
    let mut trailing_inside = valid.clone();
    trailing_inside[1] += 2;
    trailing_inside.extend_from_slice(&[5, 0]);
    for signed_key in [
        [&valid[..], &[0]].concat(),
        trailing_inside,
        vec![0x30, 0x80, 0x04, 0x00, 0x04, 0x00, 0, 0],
        vec![0x30, 0x84, 0x80, 0, 0, 0],
        nested,
        Vec::new(),
    ] {
        let result =
            check_altered(|params| params.custom_extensions = vec![extension(&signed_key)]);
        assert_eq!(
            result,
            Err(CertificateError::Malformed),
            "{signed_key:02x?}"
        );
    }
}

#[test]
fn every_corrupted_byte_is_detected() {
    let generated = generate(&keypair()).unwrap();
    for index in 0..generated.certificate.len() {
        let mut corrupted = generated.certificate.to_vec();
        corrupted[index] ^= 1;
        assert!(check(&corrupted, NOW).is_err(), "{index}");
    }
    for length in 0..generated.certificate.len() {
        assert!(
            check(&generated.certificate[..length], NOW).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_foreign_certificate_key_is_refused() {
    let (valid, other) = (keypair(), CertificateKeyPair::generate().unwrap());
    let foreign = signed_key(&valid, &other).unwrap();
    let result = check_altered(|params| params.custom_extensions = vec![extension(&foreign)]);
    assert_eq!(result, Err(CertificateError::IdentitySignature));
}

#[test]
fn certificates_over_8_kib_are_refused_before_parsing() {
    let result = Certificate::parse(&[0x30; 8_193]).map(|_| ());
    assert_eq!(result, Err(CertificateError::TooLong { length: 8_193 }));
}

#[test]
fn reads_only_the_two_allowed_time_forms() {
    let read = |tag, text: &[u8]| {
        let mut encoded = Vec::new();
        der::write(&mut encoded, tag, &[text]);
        read_time(&mut Reader::new(&encoded))
    };
    assert_eq!(read(tag::UTC_TIME, b"700101000000Z"), Ok(0));
    assert_eq!(read(tag::UTC_TIME, b"491231235959Z"), Ok(2_524_607_999));
    assert_eq!(read(tag::UTC_TIME, b"500101000000Z"), Ok(-631_152_000));
    assert_eq!(
        read(tag::GENERALIZED_TIME, b"20000301000000Z"),
        Ok(951_868_800)
    );
    assert_eq!(
        read(tag::GENERALIZED_TIME, b"40960101000000Z"),
        Ok(67_090_118_400)
    );
    for text in [
        &b"20001301000000Z"[..],
        b"20000101000000",
        b"20000101240000Z",
        b"2000010100000+Z",
    ] {
        assert_eq!(
            read(tag::GENERALIZED_TIME, text),
            Err(CertificateError::Malformed)
        );
    }
}

proptest! {
    #[test]
    fn prop_arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::parse(&bytes);
    }

    #[test]
    fn prop_corrupted_certificates_never_panic(
        vector in 0_usize..4,
        corruption in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let line = vectors(include_str!("../../../tests/vectors/tls-certificates.txt")).nth(vector).unwrap();
        let mut certificate = hex(line[2]);
        for (position, value) in corruption {
            let at = position.index(certificate.len());
            certificate[at] = value;
        }
        let _ = check(&certificate, NOW);
    }
}
