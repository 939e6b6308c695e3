//! A secured byte stream without a socket: received bytes in, bytes to send and plaintext out.

use std::time::Duration;

use ferroswarm_secure::{
    Agreement, Channel, HandshakeConfig, Identity, Opened, PeerId, Progress, PublicKey,
    RecordError, Role, Security, Upgrade, UpgradeConfig, Upgraded,
};
use thiserror::Error;

use crate::command::ConnectError;
use crate::muxer_session::{MuxerSession, MuxerSessionError, MuxerSessionOptions};
use crate::outlet::Outlet;
use crate::sync::Arc;

/// Options of a session.
#[derive(Debug)]
pub struct SecureSessionOptions {
    /// Local identity.
    pub identity: Arc<Identity>,
    /// Role of this end.
    pub role: Role,
    /// The protocols in order of preference; without `negotiate` only the first is used.
    pub securities: Vec<Security>,
    /// Whether multistream-select agrees on one of them first, as on a raw libp2p connection.
    pub negotiate: bool,
    /// The only peer to accept; `None` accepts any but ourselves.
    pub expected_peer: Option<PeerId>,
    /// Muxers that the handshake may select, in order of preference; nothing else negotiates them.
    pub muxers: Arc<[Box<str>]>,
}

/// The remote of a session.
#[derive(Debug)]
pub struct SessionPeer {
    /// Its peer id; the handshake has proven that it holds the key.
    pub id: PeerId,
    /// Its identity key.
    pub key: PublicKey,
    /// Protocol that secures the session.
    pub security: Security,
    /// Muxer selected by the handshake.
    pub muxer: Option<Box<str>>,
}

/// Reason a session cannot continue. Every one is final.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The negotiation of a protocol or the handshake failed.
    #[error(transparent)]
    Establish(#[from] ConnectError),
    /// A record could not be sealed or opened.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Plaintext was written before the handshake was complete.
    #[error("handshake is not complete")]
    NotEstablished,
    /// The session has failed before.
    #[error("session has failed before")]
    Failed,
}

/// Reason a muxer cannot start within a session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MultiplexError {
    /// The session is not established.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The muxer has failed.
    #[error(transparent)]
    Muxer(#[from] MuxerSessionError),
}

/// One end of a secured byte stream.
///
/// The owner moves the bytes: it passes received ones to [`receive`](Self::receive) and takes those
/// to send with [`take_output`](Self::take_output), also after an error, when they may be an alert.
/// A session holds no more than the data of one call and one incomplete record.
pub struct SecureSession {
    stage: Stage,
    peer: Option<SessionPeer>,
    /// Received bytes that are not consumed yet.
    input: Vec<u8>,
    output: Outlet,
    plaintext: Outlet,
    /// The remote has announced the end of its data.
    has_ended: bool,
}

enum Stage {
    Upgrading(Box<Upgrade>),
    Established(Channel),
    Failed,
}

impl SecureSession {
    /// Starts a session. A dialer has output at once.
    ///
    /// # Errors
    /// If the handshake cannot begin; [`SessionError::NotEstablished`] without any protocol.
    pub fn new(options: SecureSessionOptions) -> Result<Self, SessionError> {
        if options.securities.is_empty() {
            return Err(SessionError::NotEstablished);
        }
        let upgrade = Upgrade::new(UpgradeConfig {
            role: options.role,
            securities: &options.securities,
            agreement: if options.negotiate {
                Agreement::Awaited
            } else {
                Agreement::Assumed
            },
            handshake: HandshakeConfig {
                identity: options.identity,
                muxers: options.muxers,
                expected_peer: options.expected_peer,
            },
        });
        let mut session = Self {
            stage: Stage::Upgrading(Box::new(upgrade.map_err(ConnectError::from)?)),
            peer: None,
            input: Vec::new(),
            output: Outlet::default(),
            plaintext: Outlet::default(),
            has_ended: false,
        };
        session.advance()?;
        Ok(session)
    }

    /// Returns the remote; `None` until the handshake is complete.
    pub const fn peer(&self) -> Option<&SessionPeer> {
        self.peer.as_ref()
    }

    /// Returns whether the remote has sent `close_notify`, which only TLS has.
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Processes received bytes.
    ///
    /// # Errors
    /// The failure of the session. Plaintext received before can still be taken.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if self.has_ended {
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        self.advance()
    }

    /// Seals `plaintext` into the output, in as many records as it takes.
    ///
    /// # Errors
    /// [`SessionError::NotEstablished`] before the handshake is complete, and errors of sealing.
    pub fn write(&mut self, plaintext: &[u8]) -> Result<(), SessionError> {
        let channel = match &mut self.stage {
            Stage::Established(channel) => channel,
            Stage::Failed => return Err(SessionError::Failed),
            Stage::Upgrading(_) => return Err(SessionError::NotEstablished),
        };
        let records = plaintext.len().div_ceil(Channel::PLAINTEXT_MAX);
        let output = self.output.fill();
        output.reserve(plaintext.len() + records * channel.overhead());
        for part in plaintext.chunks(Channel::PLAINTEXT_MAX) {
            let start = channel.begin(output);
            output.extend_from_slice(part);
            channel.seal(output, start)?;
        }
        Ok(())
    }

    /// Announces that nothing more will be sent, if the protocol can: `close_notify` of TLS.
    pub fn close(&mut self) {
        if let Stage::Established(channel) = &mut self.stage {
            channel.close(self.output.fill());
        }
    }

    /// Takes all bytes to send.
    ///
    /// The memory is reused by the next call that has output.
    pub fn take_output(&mut self) -> &[u8] {
        self.output.take()
    }

    /// Takes all received plaintext; memory is reused as in [`take_output`](Self::take_output).
    pub fn take_plaintext(&mut self) -> &[u8] {
        self.plaintext.take()
    }

    /// Returns the bytes of an incomplete record, which an end here truncates.
    pub const fn partial_bytes(&self) -> usize {
        self.input.len()
    }

    /// Starts a muxer within the session, which then carries nothing itself any more.
    ///
    /// # Errors
    /// [`SessionError::NotEstablished`] before the handshake is complete, and the failure of the
    /// muxer by bytes that have already arrived.
    pub fn multiplex(
        &mut self,
        options: &MuxerSessionOptions,
        now: Duration,
    ) -> Result<MuxerSession, MultiplexError> {
        let channel = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Established(channel) => channel,
            other => {
                self.stage = other;
                return Err(SessionError::NotEstablished.into());
            }
        };
        let input = std::mem::take(&mut self.input);
        let mut muxer = MuxerSession::within(channel, input, options);
        muxer.receive_plaintext(self.plaintext.take(), now)?;
        // Records that are complete already.
        muxer.receive(&[], now)?;
        Ok(muxer)
    }

    fn advance(&mut self) -> Result<(), SessionError> {
        let result = self.try_advance();
        if result.is_err() {
            self.stage = Stage::Failed;
            self.input = Vec::new();
        }
        result
    }

    fn try_advance(&mut self) -> Result<(), SessionError> {
        loop {
            match &mut self.stage {
                Stage::Upgrading(upgrade) => {
                    let step = upgrade.advance(&mut self.input, self.output.fill());
                    if matches!(step.map_err(ConnectError::from)?, Progress::Waiting) {
                        return Ok(());
                    }
                    self.establish()?;
                }
                Stage::Established(_) => return self.open(),
                Stage::Failed => return Err(SessionError::Failed),
            }
        }
    }

    /// Takes the channel of an upgrade that is secured: what follows is the caller's.
    fn establish(&mut self) -> Result<(), SessionError> {
        let Stage::Upgrading(upgrade) = std::mem::replace(&mut self.stage, Stage::Failed) else {
            return Err(SessionError::Failed);
        };
        let Upgraded { peer, channel, .. } = upgrade.finish().ok_or(SessionError::Failed)?;
        self.peer = Some(SessionPeer {
            id: peer.id,
            key: peer.key,
            security: peer.security,
            muxer: peer.muxer,
        });
        self.stage = Stage::Established(channel);
        Ok(())
    }

    /// Opens all complete records.
    fn open(&mut self) -> Result<(), SessionError> {
        let Stage::Established(channel) = &mut self.stage else {
            return Err(SessionError::NotEstablished);
        };
        let mut opened = 0;
        let result = loop {
            match channel.open(&mut self.input[opened..]) {
                Ok(Opened::Record {
                    plaintext,
                    consumed,
                }) => {
                    let record = &self.input[opened..];
                    self.plaintext.fill().extend_from_slice(&record[plaintext]);
                    opened += consumed;
                }
                Ok(Opened::Control { consumed }) => {
                    opened += consumed;
                    if let Err(error) = channel.poll_control(self.output.fill()) {
                        break Err(error);
                    }
                }
                Ok(Opened::Closed { .. }) => {
                    // Bytes after it are ignored.
                    opened = self.input.len();
                    self.has_ended = true;
                    break Ok(());
                }
                Ok(Opened::Incomplete { .. }) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.input.drain(..opened);
        Ok(result?)
    }
}

#[cfg(test)]
mod tests {
    use ferroswarm_proto::muxer::Role as MuxerRole;
    use ferroswarm_secure::{KeyType, Keypair};

    use super::*;

    fn options(role: Role, securities: &[Security], negotiate: bool) -> SecureSessionOptions {
        let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
        SecureSessionOptions {
            identity: Arc::new(Identity::new(keypair).unwrap()),
            role,
            securities: securities.to_vec(),
            negotiate,
            expected_peer: None,
            muxers: Arc::from([]),
        }
    }

    fn session(role: Role, securities: &[Security], negotiate: bool) -> SecureSession {
        SecureSession::new(options(role, securities, negotiate)).unwrap()
    }

    /// Moves output to the other end, `chunk` bytes at a time, until neither has any.
    fn run(
        dialer: &mut SecureSession,
        listener: &mut SecureSession,
        chunk: usize,
    ) -> Result<(), SessionError> {
        while carry(dialer, listener, chunk)? | carry(listener, dialer, chunk)? {}
        Ok(())
    }

    fn carry(
        from: &mut SecureSession,
        to: &mut SecureSession,
        chunk: usize,
    ) -> Result<bool, SessionError> {
        let output = from.take_output();
        for part in output.chunks(chunk) {
            to.receive(part)?;
        }
        Ok(!output.is_empty())
    }

    const ALL: [Security; 2] = [Security::Noise, Security::Tls];

    #[test]
    fn carries_bytes_both_ways_in_chunks_of_any_size() {
        let sent: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
        for security in ALL {
            for negotiate in [false, true] {
                for chunk in [1, 7, 100_000] {
                    let options = options(Role::Dialer, &[security], negotiate);
                    let dialer_id = *options.identity.peer_id();
                    let mut dialer = SecureSession::new(options).unwrap();
                    let mut listener = session(Role::Listener, &[security], negotiate);
                    run(&mut dialer, &mut listener, chunk).unwrap();
                    assert_eq!(dialer.peer().unwrap().security, security);
                    assert_eq!(listener.peer().unwrap().id, dialer_id);
                    dialer.write(&sent).unwrap();
                    listener.write(&sent[..10]).unwrap();
                    run(&mut dialer, &mut listener, chunk).unwrap();
                    assert_eq!(listener.take_plaintext(), sent);
                    assert_eq!(dialer.take_plaintext(), &sent[..10]);
                    assert_eq!(listener.partial_bytes(), 0);
                }
            }
        }
    }

    #[test]
    fn the_handshake_selects_a_muxer_that_both_have() {
        let muxers = |names: &[&str]| names.iter().map(|&name| Box::from(name)).collect();
        for security in ALL {
            for (offered, selected) in [(&["/a", "/b"][..], Some("/b")), (&[], None)] {
                let mut dialer = options(Role::Dialer, &[security], false);
                dialer.muxers = muxers(offered);
                let mut listener = options(Role::Listener, &[security], false);
                listener.muxers = muxers(&["/b", "/c"]);
                let mut dialer = SecureSession::new(dialer).unwrap();
                let mut listener = SecureSession::new(listener).unwrap();
                run(&mut dialer, &mut listener, 64).unwrap();
                for session in [&mut dialer, &mut listener] {
                    assert_eq!(session.peer().unwrap().muxer.as_deref(), selected);
                    // What follows is the caller's.
                    assert_eq!(session.take_plaintext(), b"");
                }
            }
        }
    }

    #[test]
    fn agrees_on_the_first_protocol_that_both_have() {
        let mut dialer = session(Role::Dialer, &[Security::Tls, Security::Noise], true);
        let mut listener = session(Role::Listener, &[Security::Noise], true);
        run(&mut dialer, &mut listener, 64).unwrap();
        assert_eq!(listener.peer().unwrap().security, Security::Noise);
        let mut dialer = session(Role::Dialer, &[Security::Tls], true);
        let mut listener = session(Role::Listener, &[Security::Noise], true);
        let refused = run(&mut dialer, &mut listener, 64);
        let unsupported = SessionError::Establish(ConnectError::Unsupported);
        assert_eq!(refused.unwrap_err().to_string(), unsupported.to_string());
    }

    #[test]
    fn a_muxer_takes_over_a_session_with_what_has_arrived_for_it() {
        for security in ALL {
            let mut dialer = session(Role::Dialer, &[security], false);
            let mut listener = session(Role::Listener, &[security], false);
            let options = |role| MuxerSessionOptions {
                role,
                inbound_streams_max: 10,
                outbound_streams_max: 10,
                window_max: 1 << 20,
                keepalive_interval: Duration::from_secs(30),
                keepalive_timeout: Duration::from_secs(10),
            };
            assert!(matches!(
                dialer.multiplex(&options(MuxerRole::Dialer), Duration::ZERO),
                Err(MultiplexError::Session(SessionError::NotEstablished))
            ));
            run(&mut dialer, &mut listener, 64).unwrap();
            let mut near = dialer
                .multiplex(&options(MuxerRole::Dialer), Duration::ZERO)
                .unwrap();
            let key = near.open().unwrap();
            near.write(key, b"early").unwrap();
            let wire = near.take_output().unwrap().to_vec();
            let (first, rest) = wire.split_at(wire.len() / 2);
            listener.receive(first).unwrap();
            let mut far = listener
                .multiplex(&options(MuxerRole::Listener), Duration::ZERO)
                .unwrap();
            far.receive(rest, Duration::ZERO).unwrap();
            assert_eq!(far.take_data(), b"early");
            assert!(matches!(listener.write(b"x"), Err(SessionError::Failed)));
        }
    }

    #[test]
    fn a_broken_record_is_final_and_plaintext_before_it_is_delivered() {
        for security in ALL {
            let mut dialer = session(Role::Dialer, &[security], false);
            let mut listener = session(Role::Listener, &[security], false);
            run(&mut dialer, &mut listener, 64).unwrap();
            dialer.write(b"before").unwrap();
            dialer.write(b"broken").unwrap();
            let mut wire = dialer.take_output().to_vec();
            *wire.last_mut().unwrap() ^= 1;
            assert!(matches!(
                listener.receive(&wire),
                Err(SessionError::Record(RecordError::Decrypt))
            ));
            assert_eq!(listener.take_plaintext(), b"before");
            assert!(matches!(listener.receive(b""), Err(SessionError::Failed)));
            assert!(matches!(listener.write(b"x"), Err(SessionError::Failed)));
        }
    }

    #[test]
    fn tls_announces_its_end_and_noise_cannot() {
        for security in ALL {
            let mut dialer = session(Role::Dialer, &[security], false);
            let mut listener = session(Role::Listener, &[security], false);
            assert!(matches!(
                dialer.write(b"x"),
                Err(SessionError::NotEstablished)
            ));
            run(&mut dialer, &mut listener, 64).unwrap();
            dialer.write(b"last").unwrap();
            dialer.close();
            run(&mut dialer, &mut listener, 64).unwrap();
            assert_eq!(listener.take_plaintext(), b"last");
            assert_eq!(listener.has_ended(), security == Security::Tls);
        }
    }

    #[test]
    fn a_write_after_the_end_is_never_sent_in_the_clear() {
        let mut dialer = session(Role::Dialer, &[Security::Tls], false);
        let mut listener = session(Role::Listener, &[Security::Tls], false);
        run(&mut dialer, &mut listener, 64).unwrap();
        dialer.close();
        dialer.take_output();
        assert!(matches!(
            dialer.write(b"too late"),
            Err(SessionError::Record(RecordError::Closed))
        ));
        assert_eq!(dialer.take_output(), b"");
    }
}
