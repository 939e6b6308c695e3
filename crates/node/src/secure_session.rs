//! Secured sessions over bytes that JavaScript transports.

use std::sync::Arc;
use std::time::Duration;

use ferroswarm_runtime::{
    Identity, Keypair, MultiplexError, PeerId, Role, SecureSession, SecureSessionOptions,
    SessionError,
};
use napi::Env;
use napi::bindgen_prelude::{Uint8Array, Uint8ArraySlice};
use napi_derive::napi;

use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure, invalid};
use crate::muxer_session::{MuxerInit, NativeMuxerSession};
use crate::options::security;

/// Options of a session.
#[napi(object)]
pub struct SessionInit {
    /// Local private key as libp2p protobuf.
    pub private_key: Uint8Array,
    /// `tls`, `noise`, in order of preference.
    pub security: Vec<String>,
    /// Whether to negotiate one of them by multistream-select first.
    pub negotiate: bool,
    /// Whether this side is the initiator.
    pub initiator: bool,
    /// Peer id that the remote must have.
    pub remote_peer: Option<String>,
    /// Protocol ids of muxers that the handshake may select, in order of preference.
    pub muxers: Option<Vec<String>>,
}

/// The remote peer of a session.
#[napi(object)]
pub struct SessionFacts {
    /// Peer id in base58btc.
    pub peer_id: String,
    /// Public key as libp2p protobuf.
    pub public_key: Uint8Array,
    /// The security protocol.
    pub security: String,
    /// Protocol id of the muxer that the handshake has selected.
    pub muxer: Option<String>,
}

/// One end of a secured stream of bytes. Every error is final.
#[napi]
pub struct NativeSecureSession {
    session: SecureSession,
}

#[napi]
impl NativeSecureSession {
    /// Starts a session; the initiator has output at once.
    #[napi(constructor, catch_unwind)]
    pub fn new(init: SessionInit) -> Result<Self, Failure> {
        let keypair = Keypair::from_protobuf(&init.private_key).map_err(invalid)?;
        let identity =
            Identity::new(keypair).map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))?;
        let names = init.security.iter();
        let muxers = init.muxers.unwrap_or_default().into_iter();
        let session = SecureSession::new(SecureSessionOptions {
            identity: Arc::new(identity),
            role: if init.initiator {
                Role::Dialer
            } else {
                Role::Listener
            },
            securities: names.map(|name| security(name)).collect::<Result<_, _>>()?,
            negotiate: init.negotiate,
            expected_peer: match &init.remote_peer {
                Some(text) => Some(text.parse::<PeerId>().map_err(invalid)?),
                None => None,
            },
            muxers: muxers.map(String::into_boxed_str).collect(),
        });
        Ok(Self {
            session: session.map_err(|error| refused(&error))?,
        })
    }

    /// Returns the remote peer, once the handshake is complete.
    #[napi(catch_unwind)]
    pub fn peer(&self) -> Option<SessionFacts> {
        self.session.peer().map(|peer| SessionFacts {
            peer_id: peer.id.to_string(),
            public_key: peer.key.to_protobuf().into(),
            security: peer.security.protocol_id().to_owned(),
            muxer: peer.muxer.as_deref().map(str::to_owned),
        })
    }

    /// Returns whether the remote has ended its side.
    #[napi(getter, catch_unwind)]
    pub fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    /// Returns the number of bytes of an incomplete record.
    #[napi(getter, catch_unwind)]
    pub fn partial_bytes(&self) -> u32 {
        u32::try_from(self.session.partial_bytes()).unwrap_or(u32::MAX)
    }

    /// Processes received bytes.
    #[napi(catch_unwind)]
    pub fn receive(&mut self, bytes: Uint8Array) -> Result<(), Failure> {
        self.session
            .receive(&bytes)
            .map_err(|error| refused(&error))
    }

    /// Seals plaintext into the output.
    #[napi(catch_unwind)]
    pub fn write(&mut self, bytes: Uint8Array) -> Result<(), Failure> {
        self.session.write(&bytes).map_err(|error| refused(&error))
    }

    /// Ends the sending side.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.session.close();
    }

    /// Starts a muxer within the session, which carries nothing itself any more.
    #[napi(catch_unwind)]
    pub fn multiplex(&mut self, init: MuxerInit) -> Result<NativeMuxerSession, Failure> {
        let options = init.options()?;
        let muxer = self.session.multiplex(&options, Duration::ZERO);
        let muxer = muxer.map_err(|error| match &error {
            MultiplexError::Session(cause) => failure(ErrorCode::from(cause), error),
            _ => failure(ErrorCode::ERR_MUXER_PROTOCOL, error),
        })?;
        Ok(NativeMuxerSession::of(muxer))
    }

    /// Takes all bytes to be sent.
    #[napi(catch_unwind)]
    pub fn take_output<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>, Failure> {
        copied(env, self.session.take_output())
    }

    /// Takes all received plaintext.
    #[napi(catch_unwind)]
    pub fn take_plaintext<'env>(
        &mut self,
        env: &'env Env,
    ) -> Result<Uint8ArraySlice<'env>, Failure> {
        copied(env, self.session.take_plaintext())
    }
}

/// Copies into memory owned by JavaScript: external memory costs more than the copy, and is freed by the event
/// loop only.
pub(crate) fn copied<'env>(env: &'env Env, bytes: &[u8]) -> Result<Uint8ArraySlice<'env>, Failure> {
    Uint8ArraySlice::copy_from(env, bytes).map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))
}

fn refused(error: &SessionError) -> Failure {
    failure(ErrorCode::from(error), error)
}
