//! The signed payload of the second and third handshake messages.

use crate::identity::{KeyError, PublicKey};
use crate::protobuf::{self, Fields, ProtobufError, Value};

/// A received payload, borrowed from the decrypted message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload<'a> {
    /// Protobuf form of the identity key.
    pub(crate) identity_key: &'a [u8],
    /// Signature of the Noise static key.
    pub(crate) identity_signature: &'a [u8],
    /// Muxers for early negotiation; empty if the peer does not support it.
    pub(crate) muxers: Vec<&'a str>,
}

impl<'a> Payload<'a> {
    /// Decodes a payload. Unknown fields are skipped; known ones must appear at most once.
    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, PayloadError> {
        let (mut key, mut signature, mut extensions) = (None, None, None);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field {
                (FIELD_KEY, Value::Bytes(bytes)) => protobuf::set_once(&mut key, bytes)?,
                (FIELD_SIGNATURE, Value::Bytes(bytes)) => {
                    protobuf::set_once(&mut signature, bytes)?;
                }
                (FIELD_EXTENSIONS, Value::Bytes(bytes)) => {
                    protobuf::set_once(&mut extensions, bytes)?;
                }
                (FIELD_KEY | FIELD_SIGNATURE | FIELD_EXTENSIONS, _) => {
                    return Err(PayloadError::Malformed);
                }
                _ => {}
            }
        }
        Ok(Self {
            identity_key: key
                .filter(|key| !key.is_empty())
                .ok_or(PayloadError::MissingKey)?,
            identity_signature: signature
                .filter(|signature| !signature.is_empty())
                .ok_or(PayloadError::MissingSignature)?,
            muxers: extensions
                .map(decode_muxers)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Encodes a payload from `credentials`, the output of [`encode_credentials`], and `muxers`.
pub(crate) fn encode(credentials: &[u8], muxers: &[Box<str>]) -> Vec<u8> {
    let mut extensions = Vec::new();
    for muxer in muxers {
        protobuf::write_bytes(&mut extensions, FIELD_MUXERS, muxer.as_bytes());
    }
    let mut message = Vec::with_capacity(credentials.len() + extensions.len() + 4);
    message.extend_from_slice(credentials);
    if !extensions.is_empty() {
        protobuf::write_bytes(&mut message, FIELD_EXTENSIONS as u8, &extensions);
    }
    message
}

/// Encodes the part of a payload that is the same in all of a node's handshakes.
pub(crate) fn encode_credentials(key: &PublicKey, signature: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    protobuf::write_bytes(&mut message, FIELD_KEY as u8, &key.to_protobuf());
    protobuf::write_bytes(&mut message, FIELD_SIGNATURE as u8, signature);
    message
}

/// Returns the muxer to use: the first in the initiator's list that the responder also lists.
///
/// `None` if one side does not support early negotiation.
pub(crate) fn choose_muxer<'a>(
    initiator: &[&'a str],
    responder: &[&'a str],
) -> Result<Option<&'a str>, PayloadError> {
    if initiator.is_empty() || responder.is_empty() {
        return Ok(None);
    }
    match initiator.iter().find(|muxer| responder.contains(muxer)) {
        Some(muxer) => Ok(Some(muxer)),
        None => Err(PayloadError::NoCommonMuxer),
    }
}

fn decode_muxers(extensions: &[u8]) -> Result<Vec<&str>, PayloadError> {
    let mut muxers = Vec::new();
    let mut count = 0;
    let mut fields = Fields::new(extensions);
    while let Some(field) = fields.next()? {
        match field {
            (FIELD_MUXERS_NUMBER, Value::Bytes(name)) => {
                count += 1;
                if count <= MUXER_COUNT_MAX {
                    muxers.push(std::str::from_utf8(name).map_err(|_| PayloadError::Malformed)?);
                }
            }
            (FIELD_MUXERS_NUMBER, _) => return Err(PayloadError::Malformed),
            _ => {}
        }
    }
    // As in go-libp2p, a longer list is treated as empty.
    if count > MUXER_COUNT_MAX {
        muxers.clear();
    }
    Ok(muxers)
}

/// Reason for rejecting a handshake payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not a protobuf message, or a field appears twice or has the wrong type.
    #[error("payload is malformed")]
    Malformed,
    /// The identity key is missing or empty.
    #[error("payload has no identity key")]
    MissingKey,
    /// The signature is missing or empty.
    #[error("payload has no signature")]
    MissingSignature,
    /// The identity key was rejected.
    #[error("identity key is refused")]
    Key(#[from] KeyError),
    /// The identity key did not sign the Noise key of this handshake.
    #[error("signature of the noise key is invalid")]
    Signature,
    /// The first message, which is not yet protected, carries a payload.
    #[error("first message carries a payload of {length} bytes")]
    Early {
        /// Length of the payload.
        length: usize,
    },
    /// Both sides list muxers and have none in common.
    #[error("no muxer in common")]
    NoCommonMuxer,
}

impl From<ProtobufError> for PayloadError {
    fn from(ProtobufError: ProtobufError) -> Self {
        Self::Malformed
    }
}

const FIELD_KEY: u64 = 1;
const FIELD_SIGNATURE: u64 = 2;
const FIELD_EXTENSIONS: u64 = 4;
/// Field of the extensions message.
const FIELD_MUXERS: u8 = 2;
const FIELD_MUXERS_NUMBER: u64 = FIELD_MUXERS as u64;
/// The limit of go-libp2p.
const MUXER_COUNT_MAX: usize = 100;
