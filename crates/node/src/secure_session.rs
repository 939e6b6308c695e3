//! Secured sessions over bytes that JavaScript moves.

use std::sync::Arc;

use ferroswarm_runtime::{
    Identity, Keypair, PeerId, Role, SecureSession, SecureSessionOptions, SessionError,
};
use napi::Env;
use napi::bindgen_prelude::{Uint8Array, Uint8ArraySlice};
use napi_derive::napi;

use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure, invalid};
use crate::options::security;

/// How a session is made.
#[napi(object)]
pub struct SessionInit {
    /// libp2p protobuf of our private key.
    pub private_key: Uint8Array,
    /// `tls`, `noise`, in order of preference.
    pub security: Vec<String>,
    /// Agree on one of them by multistream-select first.
    pub negotiate: bool,
    /// Whether we begin.
    pub initiator: bool,
    /// Who must be there.
    pub remote_peer: Option<String>,
}

/// Who is at the other end of a session.
#[napi(object)]
pub struct SessionFacts {
    /// Base58btc text of the peer id.
    pub peer_id: String,
    /// libp2p protobuf of its public key.
    pub public_key: Uint8Array,
    /// The security protocol.
    pub security: String,
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
        });
        Ok(Self {
            session: session.map_err(|error| refused(&error))?,
        })
    }

    /// Who is there; nothing until the handshake is complete.
    #[napi(catch_unwind)]
    pub fn peer(&self) -> Option<SessionFacts> {
        self.session.peer().map(|peer| SessionFacts {
            peer_id: peer.id.to_string(),
            public_key: peer.key.to_protobuf().into(),
            security: peer.security.protocol_id().to_owned(),
        })
    }

    /// The remote said that nothing follows.
    #[napi(getter, catch_unwind)]
    pub fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    /// Bytes of a record that is not whole.
    #[napi(getter, catch_unwind)]
    pub fn partial_bytes(&self) -> u32 {
        u32::try_from(self.session.partial_bytes()).unwrap_or(u32::MAX)
    }

    /// Takes received bytes.
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

    /// Says that nothing more will be sent.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.session.close();
    }

    /// Everything that is to be sent.
    #[napi(catch_unwind)]
    pub fn take_output<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>, Failure> {
        copied(env, self.session.take_output())
    }

    /// All plaintext that came.
    #[napi(catch_unwind)]
    pub fn take_plaintext<'env>(
        &mut self,
        env: &'env Env,
    ) -> Result<Uint8ArraySlice<'env>, Failure> {
        copied(env, self.session.take_plaintext())
    }
}

/// A copy in memory of JavaScript's own: external memory costs more than the copy, and waits for the event loop.
fn copied<'env>(env: &'env Env, bytes: &[u8]) -> Result<Uint8ArraySlice<'env>, Failure> {
    Uint8ArraySlice::copy_from(env, bytes).map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))
}

fn refused(error: &SessionError) -> Failure {
    failure(ErrorCode::from(error), error)
}
