//! Key pairs: generation, encoding and signing.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256,
};
use zeroize::Zeroizing;

use super::keys::{
    ED25519_LENGTH, KeyError, KeyType, P256_SPKI_PREFIX, PublicKey, decode_protobuf,
    encode_protobuf, rsa_spki, secp256k1,
};
use crate::der::{self, Reader, tag};

/// An identity's private and public key. The private key is never printed.
pub struct Keypair {
    signer: Signer,
    /// The bytes of the protobuf's `Data` field.
    secret: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Secp256k1(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Keypair {
    /// Generates a key from the system's randomness. RSA keys have 2,048 bits and take a while.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let secret = match key_type {
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Crypto)?;
                let seed = pair.seed().and_then(|seed| seed.as_be_bytes());
                let seed = seed.map_err(|_| KeyError::Crypto)?;
                Zeroizing::new([seed.as_ref(), pair.public_key().as_ref()].concat())
            }
            KeyType::Ecdsa => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_| KeyError::Crypto)?;
                let der: EcPrivateKeyRfc5915Der<'_> =
                    pair.private_key().as_der().map_err(|_| KeyError::Crypto)?;
                Zeroizing::new(der.as_ref().to_vec())
            }
            KeyType::Secp256k1 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256K1_SHA256_ASN1_SIGNING)
                    .map_err(|_| KeyError::Crypto)?;
                let scalar = pair
                    .private_key()
                    .as_be_bytes()
                    .map_err(|_| KeyError::Crypto)?;
                Zeroizing::new(scalar.as_ref().to_vec())
            }
            KeyType::Rsa => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
                let pkcs8 = pair.as_der().map_err(|_| KeyError::Crypto)?;
                pkcs1_of_pkcs8(pkcs8.as_ref()).ok_or(KeyError::Crypto)?
            }
        };
        Self::from_secret(key_type, secret)
    }

    /// Decodes the protobuf form of a private key.
    pub fn from_protobuf(encoded: &[u8]) -> Result<Self, KeyError> {
        let (key_type, bytes) = decode_protobuf(encoded, PRIVATE_PROTOBUF_LENGTH_MAX)?;
        Self::from_secret(key_type, Zeroizing::new(bytes.to_vec()))
    }

    /// Encodes the private key as protobuf; zeroized on drop.
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode_protobuf(self.key_type(), &self.secret))
    }

    /// Signs `message` with the scheme that libp2p defines for the key type.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ed25519(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
            Signer::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Signer::Secp256k1(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| KeyError::Crypto)?;
                return secp256k1::with_low_s(signature.as_ref()).map_err(|_| KeyError::Crypto);
            }
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(|_| KeyError::Crypto)
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the key type.
    pub fn key_type(&self) -> KeyType {
        self.public.key_type()
    }

    fn from_secret(key_type: KeyType, secret: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let (signer, public) = match key_type {
            KeyType::Ed25519 => return Self::from_ed25519(secret),
            KeyType::Ecdsa => {
                let pair = EcdsaKeyPair::from_private_key_der(
                    &ECDSA_P256_SHA256_ASN1_SIGNING,
                    sec1_checked(&secret)?,
                )
                .map_err(|_| KeyError::Encoding { key_type })?;
                let spki = [&P256_SPKI_PREFIX, pair.public_key().as_ref()].concat();
                (Signer::Ecdsa(pair), spki)
            }
            KeyType::Secp256k1 => {
                let sec1 = secp256k1_sec1(&secret)?;
                let pair =
                    EcdsaKeyPair::from_private_key_der(&ECDSA_P256K1_SHA256_ASN1_SIGNING, &sec1)
                        .map_err(|_| KeyError::Encoding { key_type })?;
                let point = compress(pair.public_key().as_ref()).ok_or(KeyError::Crypto)?;
                (Signer::Secp256k1(pair), point)
            }
            KeyType::Rsa => {
                Reader::single(&secret, tag::SEQUENCE)
                    .map_err(|_| KeyError::Encoding { key_type })?;
                let pair =
                    RsaKeyPair::from_der(&secret).map_err(|_| KeyError::Encoding { key_type })?;
                let spki = rsa_spki(pair.public_key().as_ref());
                (Signer::Rsa(pair), spki)
            }
        };
        let public = PublicKey::from_raw(key_type, &public)?;
        Ok(Self {
            signer,
            secret,
            public,
        })
    }

    /// Decodes seed and public key. A legacy form repeats the public key; both copies must match.
    fn from_ed25519(mut secret: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let key_type = KeyType::Ed25519;
        if secret.len() == 3 * ED25519_LENGTH
            && secret[ED25519_LENGTH..2 * ED25519_LENGTH] != secret[2 * ED25519_LENGTH..]
        {
            return Err(KeyError::Inconsistent { key_type });
        }
        if !matches!(secret.len(), 64 | 96) {
            return Err(KeyError::Encoding { key_type });
        }
        secret.truncate(2 * ED25519_LENGTH);
        let (seed, public) = secret.split_at(ED25519_LENGTH);
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| KeyError::Inconsistent { key_type })?;
        let public = PublicKey::from_raw(key_type, public)?;
        Ok(Self {
            signer: Signer::Ed25519(pair),
            secret,
            public,
        })
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Returns `der` if it is a single value without trailing bytes.
fn sec1_checked(der: &[u8]) -> Result<&[u8], KeyError> {
    match Reader::single(der, tag::SEQUENCE) {
        Ok(_) => Ok(der),
        Err(_) => Err(KeyError::Encoding {
            key_type: KeyType::Ecdsa,
        }),
    }
}

/// Returns the SEC 1 `ECPrivateKey` of a raw secp256k1 scalar.
fn secp256k1_sec1(scalar: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if scalar.len() != SECP256K1_SCALAR_LENGTH {
        return Err(KeyError::Encoding {
            key_type: KeyType::Secp256k1,
        });
    }
    let mut sec1 = Zeroizing::new(Vec::with_capacity(48));
    let contents = Zeroizing::new([SEC1_HEAD, scalar, SEC1_SECP256K1_PARAMETERS].concat());
    der::write(&mut sec1, tag::SEQUENCE, &[&contents]);
    Ok(sec1)
}

/// Returns the compressed form of an uncompressed point.
fn compress(point: &[u8]) -> Option<Vec<u8>> {
    match point {
        [0x04, coordinates @ ..] if coordinates.len() == 64 => {
            let parity = coordinates[63] & 1;
            Some([&[0x02 | parity], &coordinates[..32]].concat())
        }
        _ => None,
    }
}

/// Extracts the PKCS#1 key from a PKCS#8 one.
fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = Reader::new(Reader::single(pkcs8, tag::SEQUENCE).ok()?);
    reader.read(tag::INTEGER).ok()?;
    reader.read(tag::SEQUENCE).ok()?;
    let key = reader.read(tag::OCTET_STRING).ok()?.contents;
    Some(Zeroizing::new(key.to_vec()))
}

const SECP256K1_SCALAR_LENGTH: usize = 32;
/// Version 1, then the header of the OCTET STRING with the scalar.
const SEC1_HEAD: &[u8] = &[tag::INTEGER, 1, 1, tag::OCTET_STRING, 32];
/// `[0]` with the object identifier 1.3.132.0.10.
const SEC1_SECP256K1_PARAMETERS: &[u8] =
    &[0xA0, 0x07, tag::OID, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A];
/// An RSA key of 8,192 bits takes about 4,700 bytes.
const PRIVATE_PROTOBUF_LENGTH_MAX: usize = 8_192;
