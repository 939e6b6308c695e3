//! Public keys of peers: protobuf encoding and signature verification.

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};

use crate::der::{self, DerError, Reader, tag};
use crate::protobuf::{self, Fields, ProtobufError, Value};

/// Type of an identity key; discriminants are those of the protobuf form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA of 2,048 to 8,192 bits with PKCS#1 v1.5 and SHA-256.
    Rsa = 0,
    /// Ed25519, the default of libp2p.
    Ed25519 = 1,
    /// ECDSA over secp256k1 with SHA-256 and low S.
    Secp256k1 = 2,
    /// ECDSA over P-256 with SHA-256.
    Ecdsa = 3,
}

/// A peer's public key. Validated on construction, so every instance is usable.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    material: Material,
}

/// The bytes of the protobuf's `Data` field.
#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519([u8; ED25519_LENGTH]),
    Secp256k1([u8; SECP256K1_LENGTH]),
    Ecdsa(Box<[u8; P256_SPKI_LENGTH]>),
    Rsa(Box<[u8]>),
}

impl PublicKey {
    /// Decodes the protobuf form. Unknown fields are skipped; known ones must appear exactly once.
    pub fn from_protobuf(encoded: &[u8]) -> Result<Self, KeyError> {
        let (key_type, bytes) = decode_protobuf(encoded, PUBLIC_PROTOBUF_LENGTH_MAX)?;
        Self::from_raw(key_type, bytes)
    }

    /// Decodes the bytes of the protobuf's `Data` field.
    ///
    /// RSA moduli outside 2,048 to 8,192 bits, points off the curve and ed25519 keys for which
    /// anybody can forge signatures are rejected up front, before any signature is verified.
    pub fn from_raw(key_type: KeyType, bytes: &[u8]) -> Result<Self, KeyError> {
        let material = match key_type {
            KeyType::Ed25519 => {
                let key = fixed(key_type, bytes)?;
                check_ed25519(&key)?;
                Material::Ed25519(key)
            }
            KeyType::Secp256k1 => {
                let key = fixed(key_type, bytes)?;
                check_point(&signature::ECDSA_P256K1_SHA256_ASN1, key_type, &key)?;
                Material::Secp256k1(key)
            }
            KeyType::Ecdsa => {
                let spki: [u8; P256_SPKI_LENGTH] = fixed(key_type, bytes)?;
                if spki[..P256_SPKI_PREFIX.len()] != P256_SPKI_PREFIX {
                    return Err(KeyError::Encoding { key_type });
                }
                let point = &spki[P256_SPKI_PREFIX.len()..];
                check_point(&signature::ECDSA_P256_SHA256_ASN1, key_type, point)?;
                Material::Ecdsa(Box::new(spki))
            }
            KeyType::Rsa => {
                check_rsa(bytes)?;
                Material::Rsa(bytes.into())
            }
        };
        Ok(Self { material })
    }

    /// Encodes the key as protobuf, the input of peer ids.
    pub fn to_protobuf(&self) -> Vec<u8> {
        encode_protobuf(self.key_type(), self.raw())
    }

    /// Returns whether `signature` is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .is_ok()
        };
        match &self.material {
            Material::Ed25519(key) => verify(&signature::ED25519, key),
            Material::Secp256k1(key) => {
                secp256k1::is_low_s(signature) && verify(&signature::ECDSA_P256K1_SHA256_ASN1, key)
            }
            Material::Ecdsa(spki) => verify(
                &signature::ECDSA_P256_SHA256_ASN1,
                &spki[P256_SPKI_PREFIX.len()..],
            ),
            Material::Rsa(spki) => rsa_key_of_spki(spki)
                .is_ok_and(|key| verify(&signature::RSA_PKCS1_2048_8192_SHA256, key)),
        }
    }

    /// Returns the key type.
    pub fn key_type(&self) -> KeyType {
        match self.material {
            Material::Ed25519(_) => KeyType::Ed25519,
            Material::Secp256k1(_) => KeyType::Secp256k1,
            Material::Ecdsa(_) => KeyType::Ecdsa,
            Material::Rsa(_) => KeyType::Rsa,
        }
    }

    /// Returns the bytes of the protobuf's `Data` field: 32 bytes for ed25519, a compressed point
    /// for secp256k1, a SubjectPublicKeyInfo for the other two.
    pub fn raw(&self) -> &[u8] {
        match &self.material {
            Material::Ed25519(key) => key,
            Material::Secp256k1(key) => key,
            Material::Ecdsa(spki) => &spki[..],
            Material::Rsa(spki) => spki,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({:?}, {})",
            self.key_type(),
            super::PeerId::from_public_key(self)
        )
    }
}

/// Error decoding, generating or using a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The encoded key is longer than any supported key.
    #[error("encoded key of {length} bytes exceeds limit of {limit}")]
    TooLong {
        /// Bytes received.
        length: usize,
        /// Maximum bytes accepted.
        limit: usize,
    },
    /// Not the protobuf form of a key.
    #[error("key is not a protobuf message with one type and one value")]
    Protobuf,
    /// An unsupported key type.
    #[error("key type {0} is not supported")]
    UnknownType(u64),
    /// The key's own encoding is malformed or unsupported.
    #[error("{key_type:?} key is malformed")]
    Encoding {
        /// Key type in the message.
        key_type: KeyType,
    },
    /// The key is well-formed but proves nothing: anybody can forge signatures, or it is not a
    /// point on the curve.
    #[error("{key_type:?} key is degenerate")]
    Degenerate {
        /// Key type in the message.
        key_type: KeyType,
    },
    /// An RSA modulus outside the accepted range.
    #[error(
        "rsa modulus of {bits} bits is outside {RSA_MODULUS_BITS_MIN} to {RSA_MODULUS_BITS_MAX}"
    )]
    RsaSize {
        /// Bits of the received modulus.
        bits: usize,
    },
    /// The private key does not match the public key next to it.
    #[error("{key_type:?} private key does not match its public key")]
    Inconsistent {
        /// Key type in the message.
        key_type: KeyType,
    },
    /// The cryptographic library could not generate a key or sign.
    #[error("cryptographic operation failed")]
    Crypto,
}

impl From<ProtobufError> for KeyError {
    fn from(ProtobufError: ProtobufError) -> Self {
        Self::Protobuf
    }
}

/// Splits the protobuf form of a public or private key.
pub(super) fn decode_protobuf(encoded: &[u8], limit: usize) -> Result<(KeyType, &[u8]), KeyError> {
    if encoded.len() > limit {
        return Err(KeyError::TooLong {
            length: encoded.len(),
            limit,
        });
    }
    let (mut key_type, mut bytes) = (None, None);
    let mut fields = Fields::new(encoded);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(number)) => protobuf::set_once(&mut key_type, number)?,
            (2, Value::Bytes(value)) => protobuf::set_once(&mut bytes, value)?,
            (1 | 2, _) => return Err(KeyError::Protobuf),
            _ => {}
        }
    }
    let key_type = match key_type.ok_or(KeyError::Protobuf)? {
        0 => KeyType::Rsa,
        1 => KeyType::Ed25519,
        2 => KeyType::Secp256k1,
        3 => KeyType::Ecdsa,
        number => return Err(KeyError::UnknownType(number)),
    };
    Ok((key_type, bytes.ok_or(KeyError::Protobuf)?))
}

pub(super) fn encode_protobuf(key_type: KeyType, bytes: &[u8]) -> Vec<u8> {
    // Two tags, the type and at most three bytes of length: sized up front, so that growing does
    // not leave copies of a private key in freed memory.
    let mut encoded = Vec::with_capacity(bytes.len() + 8);
    protobuf::write_varint(&mut encoded, 1, key_type as u64);
    protobuf::write_bytes(&mut encoded, 2, bytes);
    encoded
}

/// Returns the SubjectPublicKeyInfo of a PKCS#1 `RSAPublicKey`.
pub(super) fn rsa_spki(pkcs1: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    der::write(&mut bits, tag::BIT_STRING, &[&[0], pkcs1]);
    let mut spki = Vec::new();
    der::write(&mut spki, tag::SEQUENCE, &[&RSA_ALGORITHM, &bits]);
    spki
}

fn fixed<const N: usize>(key_type: KeyType, bytes: &[u8]) -> Result<[u8; N], KeyError> {
    bytes
        .try_into()
        .map_err(|_| KeyError::Encoding { key_type })
}

fn check_point(
    algorithm: &'static signature::EcdsaVerificationAlgorithm,
    key_type: KeyType,
    point: &[u8],
) -> Result<(), KeyError> {
    match ParsedPublicKey::new(algorithm, point) {
        Ok(_) => Ok(()),
        Err(_) => Err(KeyError::Degenerate { key_type }),
    }
}

/// Rejects points of small order, for which anybody can forge signatures, and non-canonical
/// encodings, which would give one key several peer ids.
fn check_ed25519(key: &[u8; ED25519_LENGTH]) -> Result<(), KeyError> {
    let mut y = *key;
    // The top bit is the sign of x; points of small order exist with either sign.
    y[31] &= 0x7F;
    let is_canonical = y.iter().rev().lt(ED25519_PRIME.iter().rev());
    if !is_canonical || ED25519_SMALL_ORDER.contains(&y) {
        return Err(KeyError::Degenerate {
            key_type: KeyType::Ed25519,
        });
    }
    Ok(())
}

fn check_rsa(spki: &[u8]) -> Result<(), KeyError> {
    let malformed = |DerError| KeyError::Encoding {
        key_type: KeyType::Rsa,
    };
    let key = rsa_key_of_spki(spki).map_err(malformed)?;
    let (modulus, exponent) = read_rsa_key(key).map_err(malformed)?;
    // A positive integer has at least one byte, and its first byte is not zero.
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !(RSA_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX).contains(&bits) {
        return Err(KeyError::RsaSize { bits });
    }
    // An even exponent is not invertible, 1 is the identity, and verification time grows with the
    // exponent.
    let is_usable = exponent.len() <= RSA_EXPONENT_LENGTH_MAX
        && exponent[exponent.len() - 1] & 1 == 1
        && exponent != [1];
    if is_usable {
        Ok(())
    } else {
        Err(KeyError::Degenerate {
            key_type: KeyType::Rsa,
        })
    }
}

/// Extracts the PKCS#1 `RSAPublicKey` from a SubjectPublicKeyInfo.
fn rsa_key_of_spki(spki: &[u8]) -> Result<&[u8], DerError> {
    let mut reader = Reader::new(Reader::single(spki, tag::SEQUENCE)?);
    if reader.read(tag::SEQUENCE)?.encoded != RSA_ALGORITHM {
        return Err(DerError);
    }
    let key = reader.bit_string()?;
    reader.finish()?;
    Ok(key)
}

/// Returns modulus and exponent of a PKCS#1 `RSAPublicKey`.
fn read_rsa_key(key: &[u8]) -> Result<(&[u8], &[u8]), DerError> {
    let mut reader = Reader::new(Reader::single(key, tag::SEQUENCE)?);
    let modulus = reader.positive_integer()?;
    let exponent = reader.positive_integer()?;
    reader.finish()?;
    Ok((modulus, exponent))
}

/// The low-S requirement of libp2p on secp256k1 signatures: S in the lower half of the group order,
/// so that signatures are not malleable.
pub(super) mod secp256k1 {
    use crate::der::{self, DerError, Reader, tag};

    pub(in crate::identity) fn is_low_s(signature: &[u8]) -> bool {
        read(signature).is_ok_and(|(_, s)| padded(s) <= HALF_ORDER)
    }

    /// Returns the equivalent signature with S in the lower half.
    pub(in crate::identity) fn with_low_s(signature: &[u8]) -> Result<Vec<u8>, DerError> {
        let (r, s) = read(signature)?;
        let mut s = padded(s);
        if s > HALF_ORDER {
            s = subtract_from_order(s);
        }
        let mut integers = Vec::with_capacity(70);
        for magnitude in [r, &s[..]] {
            let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count();
            let magnitude = &magnitude[zeros..];
            let sign: &[u8] = if magnitude[0] & 0x80 == 0 { &[] } else { &[0] };
            der::write(&mut integers, tag::INTEGER, &[sign, magnitude]);
        }
        let mut encoded = Vec::with_capacity(72);
        der::write(&mut encoded, tag::SEQUENCE, &[&integers]);
        Ok(encoded)
    }

    fn read(signature: &[u8]) -> Result<(&[u8], &[u8]), DerError> {
        let mut reader = Reader::new(Reader::single(signature, tag::SEQUENCE)?);
        let r = reader.positive_integer()?;
        let s = reader.positive_integer()?;
        reader.finish()?;
        if r.len() > 32 || s.len() > 32 {
            Err(DerError)
        } else {
            Ok((r, s))
        }
    }

    fn padded(magnitude: &[u8]) -> [u8; 32] {
        let mut padded = [0; 32];
        padded[32 - magnitude.len()..].copy_from_slice(magnitude);
        padded
    }

    fn subtract_from_order(s: [u8; 32]) -> [u8; 32] {
        let mut difference = [0; 32];
        let mut borrow = false;
        for index in (0..32).rev() {
            let (byte, under) = ORDER[index].overflowing_sub(s[index]);
            let (byte, under_again) = byte.overflowing_sub(u8::from(borrow));
            difference[index] = byte;
            borrow = under || under_again;
        }
        difference
    }

    /// Group order (SEC 2, section 2.4.1).
    const ORDER: [u8; 32] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFE, 0xBA, 0xAE, 0xDC, 0xE6, 0xAF, 0x48, 0xA0, 0x3B, 0xBF, 0xD2, 0x5E, 0x8C, 0xD0, 0x36,
        0x41, 0x41,
    ];
    const HALF_ORDER: [u8; 32] = [
        0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF, 0x5D, 0x57, 0x6E, 0x73, 0x57, 0xA4, 0x50, 0x1D, 0xDF, 0xE9, 0x2F, 0x46, 0x68, 0x1B,
        0x20, 0xA0,
    ];
}

pub(super) const ED25519_LENGTH: usize = 32;
const SECP256K1_LENGTH: usize = 33;
/// A SubjectPublicKeyInfo with an uncompressed P-256 point always has this length.
const P256_SPKI_LENGTH: usize = 91;
/// The bytes before the point: ecPublicKey over prime256v1, then the header of the BIT STRING.
pub(super) const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// AlgorithmIdentifier of rsaEncryption with its NULL parameter.
const RSA_ALGORITHM: [u8; 15] = [
    0x30,
    0x0D,
    0x06,
    0x09,
    0x2A,
    0x86,
    0x48,
    0x86,
    0xF7,
    0x0D,
    0x01,
    0x01,
    0x01,
    tag::NULL,
    0x00,
];
const RSA_MODULUS_BITS_MIN: usize = 2_048;
const RSA_MODULUS_BITS_MAX: usize = 8_192;
/// Five bytes hold 33 bits, the largest exponent that aws-lc accepts.
const RSA_EXPONENT_LENGTH_MAX: usize = 5;
/// The largest public key, RSA with 8,192 bits, encodes to 1,066 bytes.
const PUBLIC_PROTOBUF_LENGTH_MAX: usize = 2_048;

/// 2^255 - 19, little-endian.
const ED25519_PRIME: [u8; 32] = {
    let mut prime = [0xFF; 32];
    prime[0] = 0xED;
    prime[31] = 0x7F;
    prime
};
/// Canonical y coordinates of the eight points of small order, little-endian.
const ED25519_SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = ED25519_PRIME;
        minus_one[0] = 0xEC;
        minus_one
    },
    [
        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98,
        0xF0, 0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53,
        0xFC, 0x05,
    ],
    [
        0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67,
        0x0F, 0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC,
        0x03, 0x7A,
    ],
];

#[cfg(test)]
mod tests;
