//! From a raw socket to a secured and multiplexed connection.

use std::io;
use std::time::{Duration, Instant};

use ferroswarm_proto::multistream::{
    Dialer, Listener, Mode, NegotiationError, ProtocolId, ProtocolTable,
};
use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, Opened, PeerId, PublicKey, Role, Security,
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

/// A socket, what was read of it and not understood yet, and what is to go out before the next wait.
struct Wire<'a> {
    socket: &'a TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A lazy proposal whose answer comes before anything else.
    unanswered: Option<Negotiator>,
}

impl Wire<'_> {
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

    /// Sends what waits to be sent, then reads. There may be no more input than before, if that was the answer
    /// to a lazy proposal.
    async fn receive(&mut self) -> Result<(), ConnectError> {
        self.flush().await?;
        self.read().await?;
        if let Some(negotiator) = &mut self.unanswered {
            let consumed = negotiator.handle_input(&self.input)?;
            self.input.drain(..consumed);
            if negotiator.outcome().is_some() {
                self.unanswered = None;
            }
        }
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
    let mut wire = Wire {
        socket,
        input: Vec::new(),
        output: Vec::new(),
        unanswered: None,
    };
    let security = negotiate_security(&mut wire, config, purpose).await?;
    let secured = secure(&mut wire, &config.muxers, purpose, security).await?;
    *purpose.stage.lock() = Stage::Muxer;
    let security_time = started.elapsed();
    let mut channel = secured.channel;
    let mut plaintext = Vec::new();
    let early_muxer = secured.muxer.is_some();
    if !early_muxer {
        plaintext = negotiate_muxer(&mut wire, &mut channel, &config.muxers, purpose.role).await?;
    }
    wire.flush().await?;
    Ok(Upgraded {
        channel,
        peer: secured.peer_id,
        key: secured.public_key,
        security,
        early_muxer,
        leftover: wire.input,
        plaintext,
        security_time,
        muxer_time: started.elapsed() - security_time,
    })
}

async fn negotiate_security(
    wire: &mut Wire<'_>,
    config: &UpgradeConfig,
    purpose: &Purpose<'_>,
) -> Result<Security, ConnectError> {
    let offered = purpose.securities.unwrap_or(&config.securities);
    let names: Box<[_]> = offered
        .iter()
        .map(|security| protocol(security.protocol_id()))
        .collect();
    // With nothing to choose from, the handshake begins behind the proposal: a round trip less.
    if let ([only], Role::Dialer) = (offered, purpose.role) {
        let mut dialer = Dialer::new(names, Mode::Lazy);
        dialer.poll_output(&mut wire.output);
        wire.unanswered = Some(Negotiator::Dialer(dialer));
        return Ok(*only);
    }
    let mut negotiator = Negotiator::new(purpose.role, names);
    loop {
        negotiator.poll_output(&mut wire.output);
        if let Some(chosen) = negotiator.outcome() {
            return Ok(offered[chosen]);
        }
        wire.receive().await?;
        let consumed = negotiator.handle_input(&wire.input)?;
        wire.input.drain(..consumed);
    }
}

async fn secure(
    wire: &mut Wire<'_>,
    muxers: &Arc<[Box<str>]>,
    purpose: &Purpose<'_>,
    security: Security,
) -> Result<ferroswarm_secure::Secured, ConnectError> {
    let failed = |error| ConnectError::Handshake(Arc::new(error));
    let settings = HandshakeConfig {
        identity: Arc::clone(purpose.identity),
        muxers: Arc::clone(muxers),
        expected_peer: purpose.expected_peer,
    };
    let mut handshake = Handshake::new(security, purpose.role, &settings).map_err(failed)?;
    loop {
        let step = handshake.handle_input(&mut wire.input);
        handshake.poll_output(&mut wire.output);
        if step.is_err() {
            // What the handshake has to say to the remote, an alert included, goes out even so.
            wire.flush().await?;
        }
        let consumed = step.map_err(failed)?;
        wire.input.drain(..consumed);
        if handshake.is_complete() {
            return handshake.finish().map_err(failed);
        }
        if consumed == 0 {
            wire.receive().await?;
        }
    }
}

/// Negotiates the muxer inside the secured channel; returns plaintext that belongs to the muxer.
async fn negotiate_muxer(
    wire: &mut Wire<'_>,
    channel: &mut Channel,
    names: &[Box<str>],
    role: Role,
) -> Result<Vec<u8>, ConnectError> {
    let names = names.iter().map(|name| protocol(name));
    let mut negotiator = Negotiator::new(role, names.collect());
    let mut plaintext = Vec::new();
    loop {
        let start = channel.begin(&mut wire.output);
        let body = wire.output.len();
        negotiator.poll_output(&mut wire.output);
        if wire.output.len() == body {
            wire.output.truncate(start);
        } else {
            channel
                .seal(&mut wire.output, start)
                .map_err(|_| ConnectError::Record)?;
        }
        if negotiator.outcome().is_some() {
            return Ok(plaintext);
        }
        open_one(wire, channel, &mut plaintext).await?;
        let consumed = negotiator.handle_input(&plaintext)?;
        plaintext.drain(..consumed);
    }
}

/// Opens the next record into `plaintext`.
async fn open_one(
    wire: &mut Wire<'_>,
    channel: &mut Channel,
    plaintext: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    loop {
        match channel.open(&mut wire.input) {
            Ok(Opened::Record {
                plaintext: range,
                consumed,
            }) => {
                plaintext.extend_from_slice(&wire.input[range]);
                wire.input.drain(..consumed);
                return Ok(());
            }
            Ok(Opened::Control { consumed }) => drop(wire.input.drain(..consumed)),
            Ok(Opened::Closed { .. }) => return Err(ConnectError::Ended),
            Ok(Opened::Incomplete { .. }) => wire.receive().await?,
            Err(_) => return Err(ConnectError::Record),
        }
    }
}

pub(crate) fn protocol(name: &str) -> ProtocolId {
    ProtocolId::new(name).expect("our own protocol names are valid")
}

/// Either role's side of agreeing on one of a few names.
pub(crate) enum Negotiator {
    Dialer(Dialer),
    Listener {
        machine: Listener<usize>,
        table: ProtocolTable<usize>,
    },
}

impl Negotiator {
    pub(crate) fn new(role: Role, names: Box<[ProtocolId]>) -> Self {
        match role {
            Role::Dialer => Self::Dialer(Dialer::new(names, Mode::V1)),
            Role::Listener => {
                let mut table = ProtocolTable::default();
                for (index, name) in names.into_iter().enumerate() {
                    table.insert(name, index);
                }
                Self::Listener {
                    machine: Listener::default(),
                    table,
                }
            }
        }
    }

    pub(crate) fn poll_output(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Dialer(machine) => machine.poll_output(out),
            Self::Listener { machine, .. } => machine.poll_output(out),
        }
    }

    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<usize, ConnectError> {
        match self {
            Self::Dialer(machine) => machine.handle_input(input),
            Self::Listener { machine, table } => machine.handle_input(input, table),
        }
        .map_err(|error| match error {
            NegotiationError::Refused => ConnectError::Unsupported,
            error => ConnectError::Negotiation(error),
        })
    }

    /// The index of the name that was agreed on.
    pub(crate) fn outcome(&self) -> Option<usize> {
        match self {
            Self::Dialer(machine) => machine.outcome(),
            Self::Listener { machine, .. } => machine.outcome(),
        }
    }
}
