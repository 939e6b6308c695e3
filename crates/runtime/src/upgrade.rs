//! Upgrades a raw byte pipe to a secured and multiplexed connection: moves the bytes of
//! [`Upgrade`].

use std::future::poll_fn;
use std::io;
use std::time::{Duration, Instant};

use ferroswarm_pnet::PreSharedKey;
use ferroswarm_proto::muxer::{ConnectionErrorCode, yamux};
use ferroswarm_secure::{
    Agreement, Channel, HandshakeConfig, Identity, PeerId, Progress, PublicKey, Role, Security,
    Upgrade,
};
use multiaddr::Multiaddr;

use crate::command::{AddressError, ConnectError, Stage};
use crate::connection::Layers;
use crate::gate::{Asker, Hook};
use crate::pipe::{BytePipe, write_all};
use crate::resources::Refusal;
use crate::sync::{Arc, Mutex};
use crate::transport::{Authenticated, Carrier, Endpoint, protect};

/// Upgrade settings, shared by all connections of a node.
pub(crate) struct UpgradeConfig {
    pub(crate) identity: Arc<Identity>,
    /// Offered in this order.
    pub(crate) securities: Vec<Security>,
    /// Protocol ids, as negotiated.
    pub(crate) muxers: Arc<[Box<str>]>,
    /// Key of the private network; none if `None`.
    pub(crate) psk: Option<PreSharedKey>,
}

impl UpgradeConfig {
    /// Parses an address to dial or to listen on.
    ///
    /// # Errors
    /// The part that no transport supports; the whole address, if a key is set that cannot protect
    /// its connections.
    pub(crate) fn endpoint(&self, address: &Multiaddr) -> Result<Endpoint, AddressError> {
        let endpoint = Endpoint::parse(address)?;
        if self.psk.is_some() && !endpoint.can_be_protected() {
            return Err(AddressError::Unprotected(address.clone()));
        }
        Ok(endpoint)
    }
}

/// Parameters of one upgrade.
pub(crate) struct Purpose<'a> {
    pub(crate) role: Role,
    /// Local identity.
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) expected_peer: Option<PeerId>,
    /// Restricts what the node offers.
    pub(crate) securities: Option<&'a [Security]>,
    pub(crate) agreement: Agreement,
    /// Called with the authenticated peer, which it may refuse.
    pub(crate) admit: &'a (dyn Fn(PeerId) -> Result<(), Refusal> + Sync),
    /// Asks JavaScript's hooks; none if `None`.
    pub(crate) hooks: Option<&'a Asker<'a>>,
    /// Current stage, for a caller that may abandon the upgrade at any time.
    pub(crate) stage: &'a Mutex<Stage>,
}

impl Purpose<'_> {
    /// Records that what the remote has sent makes sense: it has our pre-shared key.
    fn understood(&self) {
        let mut stage = self.stage.lock();
        if *stage == Stage::Psk {
            *stage = Stage::Security;
        }
    }
}

/// Result of an upgrade.
pub(crate) struct Upgraded {
    pub(crate) layers: Layers,
    pub(crate) peer: PeerId,
    pub(crate) key: PublicKey,
    /// `None` for a connection that secures nothing.
    pub(crate) security: Option<Security>,
    pub(crate) early_muxer: bool,
    pub(crate) security_time: Duration,
    pub(crate) muxer_time: Duration,
}

/// Bytes per read while nothing is known of the remote.
const READ_STEP: usize = 2 << 10;

/// First bytes of servers that are often reached by a wrong port, and what they speak.
const FOREIGN: [(&[u8], &str); 3] = [
    (b"HTTP/", "HTTP"),
    (b"SSH-", "SSH"),
    // An alert: our first line is not a TLS record.
    (&[21, 3], "TLS without multistream-select"),
];

/// Upgrades the connection over `carrier`; the purpose's stage is the current one, or that of the
/// failure.
///
/// # Errors
/// The cause of the failure.
pub(crate) async fn upgrade(
    carrier: &Carrier,
    config: &UpgradeConfig,
    purpose: &Purpose<'_>,
) -> Result<Upgraded, ConnectError> {
    match (carrier, &config.psk) {
        (Carrier::Pipe(pipe), None) => {
            *purpose.stage.lock() = Stage::Security;
            upgrade_pipe(pipe, config, purpose).await
        }
        (Carrier::Pipe(pipe), Some(key)) => {
            *purpose.stage.lock() = Stage::Psk;
            let protected = protect(pipe, key).await?;
            upgrade_pipe(&protected, config, purpose).await
        }
        (Carrier::Session(session), _) => admit_session(session, purpose).await,
    }
}

/// Admits the peer of a connection that is secured and multiplexed already.
async fn admit_session(
    session: &Authenticated,
    purpose: &Purpose<'_>,
) -> Result<Upgraded, ConnectError> {
    *purpose.stage.lock() = Stage::Security;
    if let Some(hooks) = purpose.hooks {
        hooks.secured(session.peer).await?;
    }
    if let Err(refusal) = (purpose.admit)(session.peer) {
        session.close(ConnectionErrorCode::ResourceLimitExceeded);
        return Err(ConnectError::Refused(refusal));
    }
    *purpose.stage.lock() = Stage::Muxer;
    if let Some(hooks) = purpose.hooks {
        hooks
            .upgraded(session.peer, Some(Security::Tls), None)
            .await?;
    }
    let (state, route) = session.take().ok_or(ConnectError::Internal)?;
    Ok(Upgraded {
        layers: Layers::quic(state, route),
        peer: session.peer,
        key: session.key.clone(),
        security: Some(Security::Tls),
        early_muxer: false,
        security_time: Duration::ZERO,
        muxer_time: Duration::ZERO,
    })
}

async fn upgrade_pipe(
    pipe: &Arc<dyn BytePipe>,
    config: &UpgradeConfig,
    purpose: &Purpose<'_>,
) -> Result<Upgraded, ConnectError> {
    let started = Instant::now();
    let mut security_time = Duration::ZERO;
    let mut muxer_began = started;
    let mut upgrade = Upgrade::new(ferroswarm_secure::UpgradeConfig {
        role: purpose.role,
        securities: purpose.securities.unwrap_or(&config.securities),
        agreement: purpose.agreement,
        handshake: HandshakeConfig {
            identity: Arc::clone(purpose.identity),
            muxers: Arc::clone(&config.muxers),
            expected_peer: purpose.expected_peer,
        },
    })?;
    let mut wire = Wire {
        pipe: &**pipe,
        input: Vec::new(),
        output: Vec::new(),
    };
    loop {
        match wire.advance(&mut upgrade, purpose).await? {
            Progress::Waiting => wire.receive().await?,
            Progress::Secured => {
                security_time = started.elapsed();
                if let Some(peer) = upgrade.peer() {
                    // Before the peer is charged: the connection is transient while JavaScript
                    // hesitates.
                    if let Some(hooks) = purpose.hooks.filter(|it| it.asks(Hook::Secured)) {
                        // The remote's end of the handshake must not wait for the answer.
                        wire.flush().await?;
                        hooks.secured(peer.id).await?;
                    }
                    (purpose.admit)(peer.id).map_err(ConnectError::Refused)?;
                }
                *purpose.stage.lock() = Stage::Muxer;
                muxer_began = Instant::now();
            }
            Progress::Complete(upgraded) => {
                wire.flush().await?;
                let muxer_time = muxer_began.elapsed();
                let mut channel = upgraded.channel;
                if let Some(hooks) = purpose.hooks
                    && let Err(refusal) = hooks
                        .upgraded(
                            upgraded.peer.id,
                            Some(upgraded.peer.security),
                            // A node has one.
                            config.muxers.first().cloned(),
                        )
                        .await
                {
                    // A remote that is gone need not be told.
                    let _ = wire.go_away(&mut channel).await;
                    return Err(refusal);
                }
                return Ok(Upgraded {
                    layers: Layers::Muxed {
                        pipe: Arc::clone(pipe),
                        channel,
                        leftover: wire.input,
                        plaintext: upgraded.plaintext,
                    },
                    peer: upgraded.peer.id,
                    key: upgraded.peer.key,
                    security: Some(upgraded.peer.security),
                    early_muxer: upgraded.peer.muxer.is_some(),
                    security_time,
                    muxer_time,
                });
            }
        }
    }
}

/// A pipe, its input that is not consumed yet, and the output to send before the next wait.
struct Wire<'a> {
    pipe: &'a dyn BytePipe,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Wire<'_> {
    async fn advance(
        &mut self,
        upgrade: &mut Upgrade,
        purpose: &Purpose<'_>,
    ) -> Result<Progress, ConnectError> {
        let held = self.input.len();
        let step = upgrade.advance(&mut self.input, &mut self.output);
        if self.input.len() < held {
            purpose.understood();
        }
        if step.is_err() {
            // Pending output, such as an alert, is sent even so.
            self.flush().await?;
        }
        step.map_err(|error| self.explained(error.into(), *purpose.stage.lock()))
    }

    /// Tells the remote of a muxed connection that the gate refuses it.
    async fn go_away(&mut self, channel: &mut Channel) -> Result<(), ConnectError> {
        let start = channel.begin(&mut self.output);
        let frame = yamux::go_away(ConnectionErrorCode::Gated as u32);
        self.output.extend_from_slice(&frame);
        let sealed = channel.seal(&mut self.output, start);
        sealed.map_err(|_| ConnectError::Record)?;
        channel.close(&mut self.output);
        self.flush().await
    }

    /// Names what is wrong with a remote whose first bytes are not those of libp2p.
    fn explained(&self, error: ConnectError, stage: Stage) -> ConnectError {
        // The refused bytes are still in the input, which holds records after this stage.
        let foreign = FOREIGN
            .iter()
            .find(|(start, _)| self.input.starts_with(start));
        match (&error, stage, foreign) {
            (ConnectError::Negotiation(_), Stage::Security, Some((_, name))) => {
                ConnectError::Foreign(name)
            }
            (ConnectError::Negotiation(_) | ConnectError::Handshake(_), Stage::Psk, _) => {
                ConnectError::OtherNetwork
            }
            _ => error,
        }
    }

    /// Sends pending output, then reads.
    async fn receive(&mut self) -> Result<(), ConnectError> {
        self.flush().await?;
        self.read().await
    }

    async fn flush(&mut self) -> Result<(), ConnectError> {
        write_all(self.pipe, &self.output).await?;
        self.output.clear();
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ConnectError> {
        let filled = self.input.len();
        self.input.resize(filled + READ_STEP, 0);
        let read = loop {
            match self.pipe.try_read(&mut self.input[filled..]) {
                Ok(0) => break Err(ConnectError::Ended),
                Ok(count) => break Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let readable = poll_fn(|cx| self.pipe.poll_readable(cx));
                    if let Err(error) = readable.await {
                        break Err(io_error(error));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    tokio::task::yield_now().await;
                }
                Err(error) => break Err(io_error(error)),
            }
        };
        self.input
            .truncate(filled + read.as_ref().copied().unwrap_or(0));
        read.map(drop)
    }
}

/// Maximum time for which the socket of a refused connection stays open, so that the remote can read
/// what it was sent: a close with unread bytes resets it.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// Ends our direction of a refused connection, and waits until the remote has closed its own.
pub(crate) async fn farewell(carrier: &Carrier) {
    // A session says so itself when it is dropped.
    let Carrier::Pipe(pipe) = carrier else { return };
    if pipe.shutdown().is_err() {
        return;
    }
    let mut discarded = [0; READ_STEP];
    let ended = async {
        loop {
            match pipe.try_read(&mut discarded) {
                Ok(0) => return,
                // A remote that never stops sending must not starve the other connections.
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if poll_fn(|cx| pipe.poll_readable(cx)).await.is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    tokio::task::yield_now().await;
                }
                Err(_) => return,
            }
        }
    };
    // Its time is up, or the remote has left.
    let _ = tokio::time::timeout(FAREWELL_MAX, ended).await;
}

fn io_error(error: io::Error) -> ConnectError {
    error.into()
}

#[cfg(test)]
mod tests {
    use ferroswarm_secure::{KeyType, Keypair};

    use super::*;
    use crate::transport::{RawConnection, memory};

    const SECURITIES: [Security; 2] = [Security::Tls, Security::Noise];

    fn config(securities: &[Security]) -> UpgradeConfig {
        let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
        UpgradeConfig {
            identity: Arc::new(Identity::new(keypair).expect("a key of ours")),
            securities: securities.to_vec(),
            muxers: Arc::from([Box::from("/yamux/1.0.0")]),
            psk: None,
        }
    }

    type Outcome = (Stage, Result<Upgraded, ConnectError>);

    /// More than either end sends before it reads: an upgrade sends all of that first.
    const CAPACITY: usize = 16 << 10;

    /// Upgrades both ends of a pipe; returns their outcomes.
    fn upgrade_both(configs: [&UpgradeConfig; 2], expected_peer: Option<PeerId>) -> [Outcome; 2] {
        let (dialled, accepted) = memory::connected(CAPACITY);
        let end = async |role, raw: RawConnection, config: &UpgradeConfig| {
            let stage = Mutex::new(Stage::Connect);
            let purpose = Purpose {
                role,
                identity: &config.identity,
                expected_peer: expected_peer.filter(|_| role == Role::Dialer),
                securities: None,
                agreement: Agreement::Lazy,
                admit: &|_| Ok(()),
                hooks: None,
                stage: &stage,
            };
            let result = upgrade(&raw.carrier, config, &purpose).await;
            let stage = *stage.lock();
            (stage, result)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let (dialer, listener) = runtime.block_on(async {
            tokio::join!(
                end(Role::Dialer, dialled, configs[0]),
                end(Role::Listener, accepted, configs[1])
            )
        });
        [dialer, listener]
    }

    #[test]
    fn upgrades_over_a_pipe_in_memory() {
        for security in SECURITIES {
            let [dialer, listener] = [config(&[security]), config(&SECURITIES)];
            let ends = upgrade_both([&dialer, &listener], None);
            let peers = ends.map(|(stage, result)| {
                assert_eq!(stage, Stage::Muxer);
                let upgraded = result.expect("both agree");
                assert_eq!(upgraded.security, Some(security));
                assert!(upgraded.early_muxer);
                upgraded.peer
            });
            let ids = [listener, dialer].map(|config| *config.identity.peer_id());
            assert_eq!(peers, ids);
        }
    }

    #[test]
    fn a_refusal_reaches_the_remote_as_an_alert() {
        let [dialer, listener] = [config(&[Security::Tls]), config(&[Security::Tls])];
        let another = *config(&[]).identity.peer_id();
        let ends = upgrade_both([&dialer, &listener], Some(another));
        let [refusal, alert] = ends.map(|(stage, result)| match result {
            Err(ConnectError::Handshake(error)) => (stage, error.alert()),
            Err(error) => panic!("expected a handshake that fails, found {error}"),
            Ok(_) => panic!("expected a handshake that fails"),
        });
        assert_eq!(refusal, (Stage::Security, None));
        assert!(alert.1.is_some());
    }

    #[test]
    fn a_remote_that_speaks_another_protocol_is_recognised() {
        let greetings: [(&[u8], &str); 4] = [
            (b"HTTP/1.1 400 Bad Request\r\n", "speaks HTTP, not libp2p"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks SSH, not libp2p"),
            (
                &[21, 3, 3, 0, 2, 2, 10],
                "speaks TLS without multistream-select, not libp2p",
            ),
            (b"220 mail.example ESMTP\r\n", "broke multistream-select"),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        for securities in [&SECURITIES[..], &SECURITIES[..1]] {
            let config = config(securities);
            for (greeting, expected) in greetings {
                let (dialled, accepted) = memory::connected(CAPACITY);
                let Carrier::Pipe(pipe) = &accepted.carrier else {
                    panic!("a pipe");
                };
                let sent = pipe.try_write(greeting).expect("room");
                assert_eq!(sent, greeting.len());
                let stage = Mutex::new(Stage::Connect);
                let purpose = Purpose {
                    role: Role::Dialer,
                    identity: &config.identity,
                    expected_peer: None,
                    securities: None,
                    agreement: Agreement::Lazy,
                    admit: &|_| Ok(()),
                    hooks: None,
                    stage: &stage,
                };
                let result = runtime.block_on(upgrade(&dialled.carrier, &config, &purpose));
                let text = result.err().expect("not libp2p").to_string();
                assert!(text.contains(expected), "{text}");
            }
        }
    }

    #[test]
    fn without_a_protocol_in_common_the_negotiation_of_security_fails() {
        let [dialer, listener] = [config(&SECURITIES), config(&[])];
        let [dialer, listener] = upgrade_both([&dialer, &listener], None);
        assert!(matches!(
            dialer,
            (Stage::Security, Err(ConnectError::Unsupported))
        ));
        assert!(matches!(
            listener,
            (Stage::Security, Err(ConnectError::Ended))
        ));
    }
}
