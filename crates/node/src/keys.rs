//! Keys and protocol names for JavaScript.

use ferroswarm_runtime::{KeyType, Keypair, PeerId, PreSharedKey, ProtocolId, PublicKey};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::attached;
use crate::error_code::ErrorCode;
use crate::number::whole;

/// An error with one of the stable codes.
pub(crate) type Failure = napi::Error<ErrorCode>;

pub(crate) fn failure(code: ErrorCode, reason: impl ToString) -> Failure {
    Failure::new(code, reason.to_string())
}

pub(crate) fn invalid(reason: impl ToString) -> Failure {
    failure(ErrorCode::ERR_INVALID_PARAMETERS, reason)
}

/// Type and public half of a private key.
#[napi(object)]
pub struct KeyDescription {
    /// `ed25519`, `secp256k1`, `rsa` or `ecdsa`.
    pub r#type: String,
    /// Peer id in base58btc.
    pub peer_id: String,
    /// Public key as libp2p protobuf.
    pub public_key: Uint8Array,
}

/// Generates a private key, as libp2p protobuf.
#[napi(catch_unwind)]
pub fn generate_key(kind: String) -> Result<Uint8Array, Failure> {
    let key_type = match kind.as_str() {
        "ed25519" => KeyType::Ed25519,
        "secp256k1" => KeyType::Secp256k1,
        "rsa" => KeyType::Rsa,
        "ecdsa" => KeyType::Ecdsa,
        _ => {
            return Err(invalid(
                "key type is not one of ed25519, secp256k1, rsa, ecdsa",
            ));
        }
    };
    let keypair =
        Keypair::generate(key_type).map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))?;
    Ok(keypair.to_protobuf().to_vec().into())
}

/// Returns the type, peer id and public key of a private key.
#[napi(catch_unwind)]
pub fn describe_key(private_key: Uint8Array) -> Result<KeyDescription, Failure> {
    let keypair = Keypair::from_protobuf(&private_key).map_err(invalid)?;
    let name = match keypair.key_type() {
        KeyType::Ed25519 => "ed25519",
        KeyType::Secp256k1 => "secp256k1",
        KeyType::Rsa => "rsa",
        KeyType::Ecdsa => "ecdsa",
    };
    Ok(KeyDescription {
        r#type: name.to_owned(),
        peer_id: PeerId::from_public_key(keypair.public()).to_string(),
        public_key: keypair.public().to_protobuf().into(),
    })
}

/// Returns the fingerprint of a private network's key, given as the contents of a swarm key file or
/// as 64 hexadecimal digits.
#[napi(catch_unwind)]
pub fn swarm_key_fingerprint(contents: Uint8Array) -> Result<String, Failure> {
    let key = PreSharedKey::parse(&contents).map_err(invalid)?;
    Ok(key.fingerprint().to_string())
}

/// Signs `message`.
#[napi(catch_unwind)]
pub fn sign(private_key: Uint8Array, message: Uint8Array) -> Result<Uint8Array, Failure> {
    let keypair = Keypair::from_protobuf(&private_key).map_err(invalid)?;
    let signature = keypair
        .sign(&message)
        .map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))?;
    Ok(signature.into())
}

/// The peer id of a public key.
#[napi(object)]
pub struct PeerOfKey {
    /// Peer id in base58btc.
    pub peer_id: String,
    /// Peer id as a multihash.
    pub multihash: Uint8Array,
}

/// Returns the peer id of a public key, given as libp2p protobuf.
#[napi(catch_unwind)]
pub fn peer_of_key(public_key: Uint8Array) -> Result<PeerOfKey, Failure> {
    let key = PublicKey::from_protobuf(&public_key).map_err(invalid)?;
    let peer = PeerId::from_public_key(&key);
    Ok(PeerOfKey {
        peer_id: peer.to_string(),
        multihash: peer.to_bytes().into(),
    })
}

/// Returns whether `signature` is that of `message` by the private half of a public key.
#[napi(catch_unwind)]
pub fn verify(
    public_key: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
) -> Result<bool, Failure> {
    let key = PublicKey::from_protobuf(&public_key).map_err(invalid)?;
    Ok(key.verify(&message, &signature))
}

/// Returns the number of a protocol name, 1 or more, stable until [`forget_protocol`].
#[napi(catch_unwind)]
pub fn intern_protocol(attachment: f64, name: String) -> Result<u32, Failure> {
    let protocol = ProtocolId::new(&name).map_err(invalid)?;
    attached(attachment)?.names.intern(protocol).ok_or_else(|| {
        failure(
            ErrorCode::ERR_RESOURCE_LIMIT_EXCEEDED,
            "more than 65536 protocol names",
        )
    })
}

/// Releases the number of a protocol, which is later reused for another name.
#[napi(catch_unwind)]
pub fn forget_protocol(attachment: f64, protocol: f64) -> Result<(), Failure> {
    attached(attachment)?.names.forget(whole(protocol)?);
    Ok(())
}

/// Returns the protocol proposed on an inbound stream that is not in the table.
#[napi(catch_unwind)]
pub fn queried_protocol(attachment: f64, stream: f64) -> Result<String, Failure> {
    let (attachment, stream) = (attached(attachment)?, whole(stream)?);
    let queried = attachment.environment.borrow().queried_protocol(stream);
    let name = queried.map_err(|error| failure(error.into(), error))?;
    Ok(name.as_str().to_owned())
}

/// Returns the name of a protocol by its number.
#[napi(catch_unwind)]
pub fn protocol_name(attachment: f64, protocol: f64) -> Result<String, Failure> {
    let protocol = whole(protocol)?;
    let name = attached(attachment)?
        .names
        .name(protocol)
        .ok_or_else(|| invalid("no such protocol"))?;
    Ok(name.as_str().to_owned())
}
