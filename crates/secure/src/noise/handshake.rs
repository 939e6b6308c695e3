//! The three messages of Noise XX.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand;
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::payload::{self, Payload, PayloadError};
use super::records::NoiseRecords;
use super::resolver::{KEY_LENGTH, Resolver, StaticKey};
use crate::cipher::TAG_LENGTH;
use crate::error::HandshakeError;
use crate::handshake::{HandshakeConfig, Role, Secured, fill};
use crate::identity::{KeyError, Keypair, PeerId, PublicKey};
use crate::record::Channel;

/// The node's Noise static key, and the part of the payload that authenticates it.
pub(crate) struct NoiseCredentials {
    static_key: Arc<StaticKey>,
    payload: Box<[u8]>,
}

impl NoiseCredentials {
    pub(crate) fn new(keypair: &Keypair) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; KEY_LENGTH]);
        rand::fill(&mut secret[..]).map_err(|_| KeyError::Crypto)?;
        let static_key = StaticKey::new(secret).ok_or(KeyError::Crypto)?;
        let signature = keypair.sign(&signed_bytes(static_key.public()))?;
        let payload = payload::encode_credentials(keypair.public(), &signature);
        Ok(Self {
            static_key: Arc::new(static_key),
            payload: payload.into(),
        })
    }
}

/// One side of a Noise handshake.
pub(crate) struct NoiseHandshake {
    state: HandshakeState,
    step: Step,
    role: Role,
    config: HandshakeConfig,
    /// The frame being received, including its length prefix.
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    peer: Option<Peer>,
}

/// The next expected message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// `-> e`
    First,
    /// `<- e, ee, s, es`
    Second,
    /// `-> s, se`
    Third,
    Done,
}

struct Peer {
    id: PeerId,
    public_key: PublicKey,
    muxer: Option<Box<str>>,
}

impl NoiseHandshake {
    pub(crate) fn new(role: Role, config: &HandshakeConfig) -> Result<Self, HandshakeError> {
        let static_key = &config.identity.noise.static_key;
        let resolver = Box::new(Resolver::new(Arc::clone(static_key)));
        let builder = Builder::with_resolver(PARAMS.clone(), resolver)
            .local_private_key(static_key.secret())
            .map_err(HandshakeError::Noise)?;
        let (state, step) = match role {
            Role::Dialer => (builder.build_initiator(), Step::Second),
            Role::Listener => (builder.build_responder(), Step::First),
        };
        let mut handshake = Self {
            state: state.map_err(HandshakeError::Noise)?,
            step,
            role,
            config: config.clone(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            peer: None,
        };
        if role == Role::Dialer {
            handshake.write_message(&[])?;
        }
        Ok(handshake)
    }

    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        let mut consumed = 0;
        while self.step != Step::Done && consumed < input.len() {
            let target = match self.inbound.first_chunk() {
                None => LENGTH_BYTES,
                Some(length) => LENGTH_BYTES + usize::from(u16::from_be_bytes(*length)),
            };
            consumed += fill(&mut self.inbound, &input[consumed..], target);
            match self.inbound.first_chunk() {
                Some(length) => {
                    let length = usize::from(u16::from_be_bytes(*length));
                    check_length(length)?;
                    if self.inbound.len() == LENGTH_BYTES + length {
                        self.read_message()?;
                        self.inbound.clear();
                    }
                }
                None => break,
            }
        }
        Ok(consumed)
    }

    pub(crate) fn poll_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.outbound);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.step == Step::Done && self.outbound.is_empty()
    }

    pub(crate) fn finish(mut self) -> Result<Secured, HandshakeError> {
        let Some(peer) = self.peer.take() else {
            return Err(HandshakeError::Incomplete);
        };
        let (dialer_key, listener_key) = self.state.dangerously_get_raw_split();
        let (dialer_key, listener_key) = (Zeroizing::new(dialer_key), Zeroizing::new(listener_key));
        let records = match self.role {
            Role::Dialer => NoiseRecords::new(&dialer_key, &listener_key),
            Role::Listener => NoiseRecords::new(&listener_key, &dialer_key),
        };
        Ok(Secured {
            peer_id: peer.id,
            public_key: peer.public_key,
            muxer: peer.muxer,
            channel: Channel::noise(records),
        })
    }

    /// Processes the message in `inbound` and writes the reply, if any.
    fn read_message(&mut self) -> Result<(), HandshakeError> {
        let message = &self.inbound[LENGTH_BYTES..];
        let mut payload = vec![0; message.len()];
        let length = self
            .state
            .read_message(message, &mut payload)
            .map_err(HandshakeError::Noise)?;
        payload.truncate(length);
        match self.step {
            Step::First => {
                // It would be unauthenticated, and the specification defines no such payload.
                if length > 0 {
                    return Err(PayloadError::Early { length }.into());
                }
                self.write_credentials()?;
                self.step = Step::Third;
            }
            Step::Second => {
                self.peer = Some(self.verify(&payload)?);
                self.write_credentials()?;
                self.step = Step::Done;
            }
            Step::Third => {
                self.peer = Some(self.verify(&payload)?);
                self.step = Step::Done;
            }
            Step::Done => {}
        }
        Ok(())
    }

    fn verify(&self, payload: &[u8]) -> Result<Peer, HandshakeError> {
        let payload = Payload::decode(payload)?;
        let public_key =
            PublicKey::from_protobuf(payload.identity_key).map_err(PayloadError::Key)?;
        let id = PeerId::from_public_key(&public_key);
        self.config.check_peer(id)?;
        let noise_key = self
            .state
            .get_remote_static()
            .ok_or(PayloadError::Signature)?;
        if !public_key.verify(&signed_bytes(noise_key), payload.identity_signature) {
            return Err(PayloadError::Signature.into());
        }
        let local: Vec<&str> = self.config.muxers.iter().map(|muxer| &**muxer).collect();
        let muxer = match self.role {
            Role::Dialer => payload::choose_muxer(&local, &payload.muxers)?,
            Role::Listener => payload::choose_muxer(&payload.muxers, &local)?,
        };
        Ok(Peer {
            id,
            public_key,
            muxer: muxer.map(Box::from),
        })
    }

    fn write_credentials(&mut self) -> Result<(), HandshakeError> {
        let credentials = &self.config.identity.noise.payload;
        let payload = payload::encode(credentials, &self.config.muxers);
        self.write_message(&payload)
    }

    fn write_message(&mut self, payload: &[u8]) -> Result<(), HandshakeError> {
        let start = self.outbound.len();
        self.outbound
            .resize(start + LENGTH_BYTES + payload.len() + MESSAGE_OVERHEAD, 0);
        let length = self
            .state
            .write_message(payload, &mut self.outbound[start + LENGTH_BYTES..])
            .map_err(HandshakeError::Noise)?;
        check_length(length)?;
        self.outbound.truncate(start + LENGTH_BYTES + length);
        // `check_length` limits it to 8 KiB, so it fits.
        self.outbound[start..start + LENGTH_BYTES].copy_from_slice(&(length as u16).to_be_bytes());
        Ok(())
    }
}

fn check_length(length: usize) -> Result<(), HandshakeError> {
    match length {
        0 => Err(HandshakeError::EmptyMessage),
        1..=MESSAGE_LENGTH_MAX => Ok(()),
        _ => Err(HandshakeError::MessageTooLong {
            length,
            limit: MESSAGE_LENGTH_MAX,
        }),
    }
}

/// Returns the bytes that an identity key signs to authenticate a Noise key.
fn signed_bytes(noise_key: &[u8]) -> Vec<u8> {
    [SIGNATURE_PREFIX, noise_key].concat()
}

const SIGNATURE_PREFIX: &[u8] = b"noise-libp2p-static-key:";
const LENGTH_BYTES: usize = 2;
/// Maximum length of a handshake message: the largest legitimate one, with an RSA key of 8,192 bits
/// and its signature, takes less than 3 KiB.
const MESSAGE_LENGTH_MAX: usize = 8_192;
/// Maximum overhead: an ephemeral key, a sealed static key and the tag of the payload.
const MESSAGE_OVERHEAD: usize = KEY_LENGTH + KEY_LENGTH + TAG_LENGTH + TAG_LENGTH;

static PARAMS: LazyLock<NoiseParams> = LazyLock::new(|| {
    "Noise_XX_25519_ChaChaPoly_SHA256"
        .parse()
        .expect("the name is a valid Noise protocol")
});

#[cfg(test)]
mod tests;
