//! From a raw socket to a secured and multiplexed connection: what moves the bytes of an upgrade.

use std::io;
use std::time::{Duration, Instant};

use ferroswarm_secure::{
    Agreement, Channel, HandshakeConfig, Identity, PeerId, Progress, PublicKey, Role, Security,
    Upgrade,
};
use tokio::net::TcpStream;

use crate::command::{ConnectError, Stage};
use crate::sync::{Arc, Mutex};

/// How connections are upgraded: the same for all of a node.
pub(crate) struct UpgradeConfig {
    pub(crate) identity: Arc<Identity>,
    /// Offered in this order.
    pub(crate) securities: Vec<Security>,
    /// As they are negotiated.
    pub(crate) muxers: Arc<[Box<str>]>,
}

/// What one upgrade is for.
pub(crate) struct Purpose<'a> {
    pub(crate) role: Role,
    /// As whom.
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) expected_peer: Option<PeerId>,
    /// Restricts what the node offers.
    pub(crate) securities: Option<&'a [Security]>,
    /// Where it is, for whoever may cut it off at any time.
    pub(crate) stage: &'a Mutex<Stage>,
}

/// What an upgrade leaves.
pub(crate) struct Upgraded {
    pub(crate) channel: Channel,
    pub(crate) peer: PeerId,
    pub(crate) key: PublicKey,
    pub(crate) security: Security,
    pub(crate) early_muxer: bool,
    /// Bytes behind the handshake, as they came from the socket.
    pub(crate) leftover: Vec<u8>,
    /// Bytes behind the muxer's negotiation, already opened.
    pub(crate) plaintext: Vec<u8>,
    pub(crate) security_time: Duration,
    pub(crate) muxer_time: Duration,
}

/// Bytes asked of the socket at a time while nothing is known of the remote.
const READ_STEP: usize = 2 << 10;

/// Upgrades `socket`; the purpose's stage tells where that is, and where it failed.
///
/// # Errors
/// Why it failed.
pub(crate) async fn upgrade(
    socket: &TcpStream,
    config: &UpgradeConfig,
    purpose: &Purpose<'_>,
) -> Result<Upgraded, ConnectError> {
    *purpose.stage.lock() = Stage::Security;
    let started = Instant::now();
    let mut security_time = Duration::ZERO;
    let mut upgrade = Upgrade::new(ferroswarm_secure::UpgradeConfig {
        role: purpose.role,
        securities: purpose.securities.unwrap_or(&config.securities),
        agreement: Agreement::Lazy,
        handshake: HandshakeConfig {
            identity: Arc::clone(purpose.identity),
            muxers: Arc::clone(&config.muxers),
            expected_peer: purpose.expected_peer,
        },
    })?;
    let mut wire = Wire {
        socket,
        input: Vec::new(),
        output: Vec::new(),
    };
    loop {
        match wire.advance(&mut upgrade).await? {
            Progress::Waiting => wire.receive().await?,
            Progress::Secured => {
                *purpose.stage.lock() = Stage::Muxer;
                security_time = started.elapsed();
            }
            Progress::Complete(upgraded) => {
                wire.flush().await?;
                return Ok(Upgraded {
                    channel: upgraded.channel,
                    peer: upgraded.peer.id,
                    key: upgraded.peer.key,
                    security: upgraded.peer.security,
                    early_muxer: upgraded.peer.muxer.is_some(),
                    leftover: wire.input,
                    plaintext: upgraded.plaintext,
                    security_time,
                    muxer_time: started.elapsed() - security_time,
                });
            }
        }
    }
}

/// A socket, what was read of it and not understood yet, and what is to go out before the next wait.
struct Wire<'a> {
    socket: &'a TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Wire<'_> {
    async fn advance(&mut self, upgrade: &mut Upgrade) -> Result<Progress, ConnectError> {
        let step = upgrade.advance(&mut self.input, &mut self.output);
        if step.is_err() {
            // What there is to say to the remote, an alert included, goes out even so.
            self.flush().await?;
        }
        Ok(step?)
    }

    /// Sends what waits to be sent, then reads.
    async fn receive(&mut self) -> Result<(), ConnectError> {
        self.flush().await?;
        self.read().await
    }

    async fn flush(&mut self) -> Result<(), ConnectError> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.socket.try_write(&self.output[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await.map_err(io_error)?;
                }
                Err(error) => return Err(io_error(error)),
            }
        }
        self.output.clear();
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ConnectError> {
        let filled = self.input.len();
        self.input.resize(filled + READ_STEP, 0);
        let read = loop {
            match self.socket.try_read(&mut self.input[filled..]) {
                Ok(0) => break Err(ConnectError::Ended),
                Ok(count) => break Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.socket.readable().await {
                        break Err(io_error(error));
                    }
                }
                Err(error) => break Err(io_error(error)),
            }
        };
        self.input
            .truncate(filled + read.as_ref().copied().unwrap_or(0));
        read.map(drop)
    }
}

fn io_error(error: io::Error) -> ConnectError {
    ConnectError::Io(error.into())
}
