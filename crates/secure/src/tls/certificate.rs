//! The libp2p certificate: self-signed, with a signature by the identity key in an extension.

use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, KeyPair as CertificateKeyPair,
    PublicKeyData,
};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use super::config::TlsCredentialsError;
use crate::der::{self, DerError, Reader, tag};
use crate::identity::{KeyError, Keypair, PublicKey};

/// A generated certificate and its signing key.
pub(super) struct Generated {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Generates a P-256 certificate for the identity, valid from 1975 to 4096.
pub(super) fn generate(keypair: &Keypair) -> Result<Generated, TlsCredentialsError> {
    let key = CertificateKeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .custom_extensions
        .push(extension(&signed_key(keypair, &key)?));
    sign(&params, &key)
}

fn sign(
    params: &CertificateParams,
    key: &CertificateKeyPair,
) -> Result<Generated, TlsCredentialsError> {
    Ok(Generated {
        certificate: params.self_signed(key)?.der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    })
}

/// Encodes the `SignedKey` of the identity for a certificate's key.
fn signed_key(keypair: &Keypair, key: &CertificateKeyPair) -> Result<Vec<u8>, TlsCredentialsError> {
    let signature = keypair.sign(&signed_bytes(&key.subject_public_key_info()))?;
    let mut fields = Vec::new();
    der::write(
        &mut fields,
        tag::OCTET_STRING,
        &[&keypair.public().to_protobuf()],
    );
    der::write(&mut fields, tag::OCTET_STRING, &[&signature]);
    let mut signed_key = Vec::new();
    der::write(&mut signed_key, tag::SEQUENCE, &[&fields]);
    Ok(signed_key)
}

fn extension(signed_key: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&EXTENSION_OID, signed_key.to_vec());
    // As in rust-libp2p: an implementation without the extension cannot authenticate the peer.
    extension.set_criticality(true);
    extension
}

/// A parsed certificate, not yet verified.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// The bytes covered by the certificate's own signature.
    signed: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
    validity: Validity,
    /// The encoded SubjectPublicKeyInfo.
    pub(super) spki: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
    /// The identity key; unauthenticated before [`verify_signatures`](Self::verify_signatures).
    pub(crate) public_key: PublicKey,
    identity_signature: &'a [u8],
}

/// First and last second of validity, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

impl<'a> Certificate<'a> {
    /// Parses an X.509 v3 certificate with libp2p's extension. Checks neither signatures nor dates.
    pub(crate) fn parse(encoded: &'a [u8]) -> Result<Self, CertificateError> {
        if encoded.len() > CERTIFICATE_LENGTH_MAX {
            return Err(CertificateError::TooLong {
                length: encoded.len(),
            });
        }
        let mut outer = Reader::new(Reader::single(encoded, tag::SEQUENCE)?);
        let body = outer.read(tag::SEQUENCE)?;
        let signature_algorithm = outer.read(tag::SEQUENCE)?;
        let signature = outer.bit_string()?;
        outer.finish()?;

        let mut fields = Reader::new(body.contents);
        if fields.read(TAG_VERSION)?.contents != VERSION_3 {
            return Err(CertificateError::Malformed);
        }
        let _serial_number = fields.read(tag::INTEGER)?;
        if fields.read(tag::SEQUENCE)?.contents != signature_algorithm.contents {
            return Err(CertificateError::Malformed);
        }
        let _issuer = fields.read(tag::SEQUENCE)?;
        let validity = Validity::read(&mut fields)?;
        let _subject = fields.read(tag::SEQUENCE)?;
        let spki = fields.read(tag::SEQUENCE)?;
        let mut spki_fields = Reader::new(spki.contents);
        let key_algorithm = spki_fields.read(tag::SEQUENCE)?.contents;
        let key = spki_fields.bit_string()?;
        spki_fields.finish()?;
        fields.read_if(TAG_ISSUER_UNIQUE_ID)?;
        fields.read_if(TAG_SUBJECT_UNIQUE_ID)?;
        let extensions = fields
            .read_if(TAG_EXTENSIONS)?
            .ok_or(CertificateError::MissingExtension)?;
        fields.finish()?;

        let signed_key = find_extension(Reader::single(extensions.contents, tag::SEQUENCE)?)?;
        let mut signed_key = Reader::new(Reader::single(signed_key, tag::SEQUENCE)?);
        let identity_key = signed_key.read(tag::OCTET_STRING)?.contents;
        let identity_signature = signed_key.read(tag::OCTET_STRING)?.contents;
        signed_key.finish()?;
        Ok(Self {
            signed: body.encoded,
            signature_algorithm: signature_algorithm.contents,
            signature,
            validity,
            spki: spki.encoded,
            key_algorithm,
            key,
            public_key: PublicKey::from_protobuf(identity_key)?,
            identity_signature,
        })
    }

    /// Verifies the dates.
    pub(crate) fn check_dates(&self, now: UnixTime) -> Result<(), CertificateError> {
        self.validity.check(now)
    }

    /// Verifies the certificate's own signature and the identity's signature of its key.
    pub(crate) fn verify_signatures(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let algorithm = algorithms
            .all
            .iter()
            .find(|algorithm| {
                algorithm.signature_alg_id().as_ref() == self.signature_algorithm
                    && algorithm.public_key_alg_id().as_ref() == self.key_algorithm
            })
            .ok_or(CertificateError::UnsupportedAlgorithm)?;
        algorithm
            .verify_signature(self.key, self.signed, self.signature)
            .map_err(|_| CertificateError::SelfSignature)?;
        if self
            .public_key
            .verify(&signed_bytes(self.spki), self.identity_signature)
        {
            Ok(())
        } else {
            Err(CertificateError::IdentitySignature)
        }
    }
}

/// Reason for rejecting a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The peer did not send exactly one certificate.
    #[error("peer sent {count} certificates instead of one")]
    ChainLength {
        /// Number of certificates received.
        count: usize,
    },
    /// The certificate is longer than any legitimate one.
    #[error("certificate of {length} bytes exceeds limit of {CERTIFICATE_LENGTH_MAX}")]
    TooLong {
        /// Bytes received.
        length: usize,
    },
    /// Not an X.509 v3 certificate in strict DER.
    #[error("certificate is malformed")]
    Malformed,
    /// The validity period has not begun.
    #[error("certificate is not valid yet")]
    NotValidYet,
    /// The validity period has ended.
    #[error("certificate has expired")]
    Expired,
    /// The extension with the identity key is missing.
    #[error("certificate has no libp2p extension")]
    MissingExtension,
    /// The extension with the identity key appears more than once.
    #[error("certificate has several libp2p extensions")]
    DuplicateExtension,
    /// An unknown critical extension, or a key usage that does not allow signatures.
    #[error("certificate has an unsupported critical extension")]
    UnknownCriticalExtension,
    /// The identity key was rejected.
    #[error("identity key is refused")]
    Key(#[from] KeyError),
    /// The certificate is signed with an unsupported algorithm.
    #[error("certificate has an unsupported signature algorithm")]
    UnsupportedAlgorithm,
    /// The certificate is not signed with its own key.
    #[error("signature of the certificate is invalid")]
    SelfSignature,
    /// The identity key did not sign the certificate's key.
    #[error("signature of the identity key is invalid")]
    IdentitySignature,
}

impl From<DerError> for CertificateError {
    fn from(DerError: DerError) -> Self {
        Self::Malformed
    }
}

impl Validity {
    fn read(fields: &mut Reader<'_>) -> Result<Self, CertificateError> {
        let mut times = fields.sequence()?;
        let not_before = read_time(&mut times)?;
        let not_after = read_time(&mut times)?;
        times.finish()?;
        Ok(Self {
            not_before,
            not_after,
        })
    }

    fn check(self, now: UnixTime) -> Result<(), CertificateError> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < self.not_before {
            Err(CertificateError::NotValidYet)
        } else if now > self.not_after {
            Err(CertificateError::Expired)
        } else {
            Ok(())
        }
    }
}

/// Returns the contents of libp2p's extension.
fn find_extension(extensions: &[u8]) -> Result<&[u8], CertificateError> {
    let mut found = None;
    let mut extensions = Reader::new(extensions);
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        let oid = extension.read(tag::OID)?.contents;
        let is_critical = match extension.read_if(tag::BOOLEAN)?.map(|value| value.contents) {
            None => false,
            Some([0xFF]) => true,
            // DER omits the default, FALSE, but some implementations encode it anyway.
            Some([0x00]) => false,
            Some(_) => return Err(CertificateError::Malformed),
        };
        let contents = extension.read(tag::OCTET_STRING)?.contents;
        extension.finish()?;
        if oid == EXTENSION_OID_DER {
            if found.replace(contents).is_some() {
                return Err(CertificateError::DuplicateExtension);
            }
        } else if is_critical && !is_satisfied(oid, contents)? {
            return Err(CertificateError::UnknownCriticalExtension);
        }
    }
    found.ok_or(CertificateError::MissingExtension)
}

/// Returns whether a critical extension other than libp2p's is known and satisfied.
///
/// py-libp2p marks two as critical: the basic constraints, which are irrelevant to a chain of one,
/// and the key usage, which must allow the signature in the handshake.
fn is_satisfied(oid: &[u8], contents: &[u8]) -> Result<bool, CertificateError> {
    match oid {
        BASIC_CONSTRAINTS_OID_DER => Ok(true),
        KEY_USAGE_OID_DER => match Reader::single(contents, tag::BIT_STRING)? {
            [0..=7, bits, ..] => Ok(bits & KEY_USAGE_DIGITAL_SIGNATURE != 0),
            _ => Err(CertificateError::Malformed),
        },
        _ => Ok(false),
    }
}

/// Reads a UTCTime or GeneralizedTime in the only form that RFC 5280 allows, as seconds since 1970.
fn read_time(times: &mut Reader<'_>) -> Result<i64, CertificateError> {
    let (year, rest) = match times.peek_tag() {
        Some(tag::UTC_TIME) => {
            let text = times.read(tag::UTC_TIME)?.contents;
            let (year, rest) = digits(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        _ => digits(times.read(tag::GENERALIZED_TIME)?.contents, 4)?,
    };
    let (month, rest) = digits(rest, 2)?;
    let (day, rest) = digits(rest, 2)?;
    let (hour, rest) = digits(rest, 2)?;
    let (minute, rest) = digits(rest, 2)?;
    let (second, rest) = digits(rest, 2)?;
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    if rest != b"Z" || !is_date || hour > 23 || minute > 59 || second > 59 {
        return Err(CertificateError::Malformed);
    }
    Ok(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn digits(text: &[u8], count: usize) -> Result<(i64, &[u8]), CertificateError> {
    let (digits, rest) = text
        .split_at_checked(count)
        .ok_or(CertificateError::Malformed)?;
    digits
        .iter()
        .try_fold(0, |number, digit| match digit {
            b'0'..=b'9' => Ok(number * 10 + i64::from(digit - b'0')),
            _ => Err(CertificateError::Malformed),
        })
        .map(|number| (number, rest))
}

/// Converts a date of the proleptic Gregorian calendar, with years that begin in March so that the
/// leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Returns the bytes that an identity key signs to authenticate a certificate's key.
fn signed_bytes(spki: &[u8]) -> Vec<u8> {
    [SIGNATURE_PREFIX, spki].concat()
}

const SIGNATURE_PREFIX: &[u8] = b"libp2p-tls-handshake:";
const EXTENSION_OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 53_594, 1, 1];
const EXTENSION_OID_DER: [u8; 10] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x83, 0xA2, 0x5A, 0x01, 0x01];
const BASIC_CONSTRAINTS_OID_DER: &[u8] = &[0x55, 0x1D, 0x13];
const KEY_USAGE_OID_DER: &[u8] = &[0x55, 0x1D, 0x0F];
/// First bit of the BIT STRING.
const KEY_USAGE_DIGITAL_SIGNATURE: u8 = 0x80;
/// Maximum length of a certificate: one with RSA keys of 8,192 bits takes less than 5 KiB.
const CERTIFICATE_LENGTH_MAX: usize = 8_192;
const TAG_VERSION: u8 = 0xA0;
const TAG_ISSUER_UNIQUE_ID: u8 = 0x81;
const TAG_SUBJECT_UNIQUE_ID: u8 = 0x82;
const TAG_EXTENSIONS: u8 = 0xA3;
/// `INTEGER 2`.
const VERSION_3: [u8; 3] = [tag::INTEGER, 1, 2];

#[cfg(test)]
pub(super) mod tests;
