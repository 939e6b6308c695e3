use std::time::{Duration, Instant};

use curve25519_dalek::constants::EIGHT_TORSION;
use libp2p_identity as oracle;
use proptest::prelude::*;

use super::*;
use crate::identity::{Keypair, PeerId};
use crate::testing::{hex, vectors};

const KEY_TYPES: [KeyType; 4] = [
    KeyType::Ed25519,
    KeyType::Secp256k1,
    KeyType::Ecdsa,
    KeyType::Rsa,
];

#[test]
fn decodes_the_published_keys_of_all_types() {
    for vector in vectors(include_str!("../../../tests/vectors/peer-ids.txt")) {
        let [name, private, public] = vector[..] else {
            panic!("expected three words per line")
        };
        let keypair = Keypair::from_protobuf(&hex(private)).unwrap();
        assert_eq!(keypair.public().to_protobuf(), hex(public), "{name}");
        assert_eq!(keypair.to_protobuf()[..], hex(private), "{name}");
        let public = PublicKey::from_protobuf(&hex(public)).unwrap();
        assert_eq!(&public, keypair.public());
        assert!(
            public.verify(b"message", &keypair.sign(b"message").unwrap()),
            "{name}"
        );
    }
}

#[test]
fn agrees_with_libp2p_identity_on_keys_ids_and_signatures() {
    for key_type in KEY_TYPES {
        let ours = Keypair::generate(key_type).unwrap();
        let id = PeerId::from_public_key(ours.public());
        let public = oracle::PublicKey::try_decode_protobuf(&ours.public().to_protobuf()).unwrap();
        assert_eq!(public.to_peer_id().to_bytes(), id.to_bytes());
        assert_eq!(public.to_peer_id().to_string(), id.to_string());
        let signature = ours.sign(b"message").unwrap();
        assert!(public.verify(b"message", &signature), "{key_type:?}");
        assert_eq!(
            id.public_key().is_some(),
            matches!(key_type, KeyType::Ed25519 | KeyType::Secp256k1)
        );
        if key_type == KeyType::Rsa {
            // The oracle does not export RSA keys.
            continue;
        }
        let theirs = oracle::Keypair::from_protobuf_encoding(&ours.to_protobuf()).unwrap();
        let signature = theirs.sign(b"message").unwrap();
        assert!(ours.public().verify(b"message", &signature), "{key_type:?}");
        assert!(
            !ours.public().verify(b"massage", &signature),
            "{key_type:?}"
        );
    }
}

#[test]
fn generated_keys_round_trip_through_protobuf() {
    for key_type in KEY_TYPES {
        let keypair = Keypair::generate(key_type).unwrap();
        let again = Keypair::from_protobuf(&keypair.to_protobuf()).unwrap();
        assert_eq!(again.public(), keypair.public());
        assert_eq!(again.to_protobuf(), keypair.to_protobuf());
        assert_eq!(again.key_type(), key_type);
    }
}

/// Builds without `.cargo/config.toml` use another entropy source, which makes the first key slow.
#[test]
fn randomness_comes_from_the_system_not_from_cpu_jitter() {
    assert!(aws_lc_rs::try_fips_cpu_jitter_entropy().is_err());
}

#[test]
fn legacy_ed25519_keys_need_matching_copies_of_the_public_key() {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let (_, secret) = decode_protobuf(&keypair.to_protobuf(), 1_000)
        .map(|(t, s)| (t, s.to_vec()))
        .unwrap();
    let mut legacy = [&secret[..], &secret[32..]].concat();
    let read = |bytes: &[u8]| Keypair::from_protobuf(&encode_protobuf(KeyType::Ed25519, bytes));
    assert_eq!(read(&legacy).unwrap().public(), keypair.public());
    legacy[95] ^= 1;
    assert_eq!(
        read(&legacy).unwrap_err(),
        KeyError::Inconsistent {
            key_type: KeyType::Ed25519
        }
    );
    let mut foreign = secret;
    foreign[63] ^= 1;
    assert!(read(&foreign).is_err());
}

#[test]
fn the_private_key_is_not_printed() {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let text = format!("{keypair:?}");
    assert!(
        text.starts_with("Keypair { public: PublicKey(Ed25519, 12D3"),
        "{text}"
    );
    assert!(text.ends_with("), .. }"), "{text}");
}

// A031 for the identity key's own verification; the handshake's is tested there.
#[test]
fn no_flipped_bit_of_a_signature_verifies() {
    for key_type in KEY_TYPES {
        let keypair = Keypair::generate(key_type).unwrap();
        let signature = keypair.sign(b"message").unwrap();
        for index in 0..signature.len() {
            let mut forged = signature.clone();
            forged[index] ^= 1;
            assert!(
                !keypair.public().verify(b"message", &forged),
                "{key_type:?} {index}"
            );
        }
    }
}

#[test]
fn secp256k1_signatures_with_high_s_are_refused() {
    let keypair = Keypair::generate(KeyType::Secp256k1).unwrap();
    // Low and high S are equally likely before normalisation.
    for round in 0..32_u8 {
        let signature = keypair.sign(&[round]).unwrap();
        assert!(secp256k1::is_low_s(&signature));
        assert!(keypair.public().verify(&[round], &signature));
    }
    let order_minus_one = {
        let mut integers = Vec::new();
        der::write(&mut integers, tag::INTEGER, &[&[1]]);
        let mut s = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140");
        s.insert(0, 0);
        der::write(&mut integers, tag::INTEGER, &[&s]);
        let mut signature = Vec::new();
        der::write(&mut signature, tag::SEQUENCE, &[&integers]);
        signature
    };
    assert!(!secp256k1::is_low_s(&order_minus_one));
    let low = secp256k1::with_low_s(&order_minus_one).unwrap();
    assert_eq!(low, hex("3006020101020101"));
}

#[test]
fn ed25519_keys_of_small_order_and_other_encodings_are_refused() {
    let degenerate = Err(KeyError::Degenerate {
        key_type: KeyType::Ed25519,
    });
    for point in EIGHT_TORSION {
        let mut key = point.compress().to_bytes();
        assert_eq!(PublicKey::from_raw(KeyType::Ed25519, &key), degenerate);
        key[31] ^= 0x80;
        assert_eq!(PublicKey::from_raw(KeyType::Ed25519, &key), degenerate);
    }
    // Every y from the prime upwards is a non-canonical encoding of a small y.
    for low_byte in 0xED..=0xFF {
        let mut key = ED25519_PRIME;
        key[0] = low_byte;
        assert_eq!(PublicKey::from_raw(KeyType::Ed25519, &key), degenerate);
    }
}

// A034
#[test]
fn unknown_and_overlong_key_types_are_refused() {
    let key = Keypair::generate(KeyType::Ed25519)
        .unwrap()
        .public()
        .to_protobuf();
    let with_type = |number: &[u8]| PublicKey::from_protobuf(&[&[8], number, &key[2..]].concat());
    assert!(with_type(&[1]).is_ok());
    assert_eq!(with_type(&[4]), Err(KeyError::UnknownType(4)));
    assert_eq!(with_type(&[0xFF, 0x01]), Err(KeyError::UnknownType(255)));
    assert_eq!(with_type(&[0x81, 0x00]), Err(KeyError::Protobuf));
}

#[test]
fn key_messages_need_each_field_once_and_allow_unknown_ones() {
    let key = Keypair::generate(KeyType::Ed25519)
        .unwrap()
        .public()
        .to_protobuf();
    for message in [
        &key[..2],
        &key[2..],
        &[&key[..2], &key].concat(),
        &[&key[..], &key[2..]].concat(),
    ] {
        assert_eq!(PublicKey::from_protobuf(message), Err(KeyError::Protobuf));
    }
    let extended = [&key[..], &[0x1A, 1, 7]].concat();
    assert_eq!(
        PublicKey::from_protobuf(&extended).unwrap().to_protobuf(),
        key
    );
    let long = [&key[..], &[0x1A, 0xFF, 0x1F], &[0; 4_095]].concat();
    assert!(matches!(
        PublicKey::from_protobuf(&long),
        Err(KeyError::TooLong { .. })
    ));
}

// A035
#[test]
fn keys_of_the_wrong_length_or_encoding_are_refused() {
    for (key_type, length) in [
        (KeyType::Ed25519, 31),
        (KeyType::Ed25519, 33),
        (KeyType::Secp256k1, 32),
        (KeyType::Secp256k1, 65),
        (KeyType::Ecdsa, 90),
        // The SubjectPublicKeyInfo of P-521.
        (KeyType::Ecdsa, 158),
    ] {
        let key = vec![2; length];
        assert_eq!(
            PublicKey::from_raw(key_type, &key),
            Err(KeyError::Encoding { key_type })
        );
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let off_curve = [&[2][..], &[0; 32]].concat();
    let key_type = KeyType::Secp256k1;
    assert_eq!(
        PublicKey::from_raw(key_type, &off_curve),
        Err(KeyError::Degenerate { key_type })
    );
    let key_type = KeyType::Ecdsa;
    let off_curve = [&P256_SPKI_PREFIX[..], &[4], &[1; 64]].concat();
    assert_eq!(
        PublicKey::from_raw(key_type, &off_curve),
        Err(KeyError::Degenerate { key_type })
    );
}

fn rsa_with(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut integers = Vec::new();
    der::write(&mut integers, tag::INTEGER, &[&[0], modulus]);
    der::write(&mut integers, tag::INTEGER, &[exponent]);
    let mut key = Vec::new();
    der::write(&mut key, tag::SEQUENCE, &[&integers]);
    rsa_spki(&key)
}

// A036
#[test]
fn rsa_sizes_outside_the_range_are_refused_before_any_arithmetic() {
    let read = |modulus: &[u8], exponent: &[u8]| {
        PublicKey::from_raw(KeyType::Rsa, &rsa_with(modulus, exponent))
    };
    let exponent = [1, 0, 1];
    assert!(read(&[0xFF; 256], &exponent).is_ok());
    assert!(read(&[0xFF; 1_024], &exponent).is_ok());
    let started = Instant::now();
    for length in [128, 255, 1_025, 2_048] {
        let bits = length * 8;
        assert_eq!(
            read(&vec![0xFF; length], &exponent),
            Err(KeyError::RsaSize { bits })
        );
    }
    assert!(started.elapsed() < Duration::from_millis(20));
    for exponent in [&[1][..], &[2], &[1, 0, 0, 0, 0, 1]] {
        assert_eq!(
            read(&[0xFF; 256], exponent),
            Err(KeyError::Degenerate {
                key_type: KeyType::Rsa
            })
        );
    }
}

// A037
#[test]
fn false_rsa_lengths_are_refused() {
    let started = Instant::now();
    for key in [
        &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF][..],
        &[
            0x30, 0x89, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[0x30, 0x80],
        &[0x30, 0x82, 0x01, 0x22],
    ] {
        let expected = Err(KeyError::Encoding {
            key_type: KeyType::Rsa,
        });
        assert_eq!(PublicKey::from_raw(KeyType::Rsa, key), expected);
    }
    let mut trailing = rsa_with(&[0xFF; 256], &[1, 0, 1]);
    trailing.push(0);
    assert!(PublicKey::from_raw(KeyType::Rsa, &trailing).is_err());
    assert!(started.elapsed() < Duration::from_millis(20));
}

proptest! {
    #[test]
    fn prop_arbitrary_key_messages_never_panic(
        number in 0_u8..5,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = PublicKey::from_protobuf(&bytes);
        let _ = Keypair::from_protobuf(&bytes);
        let mut message = vec![8, number];
        protobuf::write_bytes(&mut message, 2, &bytes);
        let _ = Keypair::from_protobuf(&message);
        if let Ok(key) = PublicKey::from_protobuf(&message) {
            prop_assert_eq!(key.to_protobuf(), message);
            prop_assert!(!key.verify(b"message", &bytes));
        }
    }

    #[test]
    fn prop_damaged_keys_never_panic(
        key_type in 0_usize..4,
        position in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let line = vectors(include_str!("../../../tests/vectors/peer-ids.txt")).nth(key_type).unwrap();
        for (index, text) in line[1..].iter().enumerate() {
            let mut encoded = hex(text);
            let at = position.index(encoded.len());
            encoded[at] = value;
            if index == 0 {
                let _ = Keypair::from_protobuf(&encoded);
            } else {
                let _ = PublicKey::from_protobuf(&encoded);
            }
        }
    }
}
