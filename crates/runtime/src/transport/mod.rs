//! Transports: what an address means, how it is listened on and dialled, and what comes out.
//!
//! An address is parsed to an [`Endpoint`]. Dialling one, and opening an [`Arrival`] on the
//! [`Listener`] of one, yields a [`RawConnection`]. No layer above asks which transport that was.
//!
//! A new transport is a module here, with a variant of [`Endpoint`], [`Listener`] and [`Arrival`].

use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use tokio::time::{Instant, timeout_at};

use ferroswarm_secure::{Identity, PeerId};

use crate::command::{AddressError, ConnectError, Stage};
use crate::pipe::BytePipe;
use crate::sync::{Arc, Mutex};

pub(crate) use self::protected::protect;
pub(crate) use self::quic::{Authenticated, Endpoints};

mod host;
pub(crate) mod memory;
mod protected;
mod quic;
mod stream_socket;
mod tcp;
#[cfg(unix)]
mod unix;
pub(crate) mod websocket;
mod zones;

/// Settings of a node's transports, and the sockets that its connections share.
pub(crate) struct Transports {
    pub(crate) quic: Arc<Endpoints>,
    pub(crate) web_sockets: websocket::WebSockets,
}

/// Who dials whom.
pub(crate) struct Dialling<'a> {
    /// Identity to dial with.
    pub(crate) identity: &'a Identity,
    /// Expected peer; any if `None`.
    pub(crate) peer: Option<PeerId>,
    /// The name that the address was resolved from, if it is known.
    pub(crate) host: Option<&'a str>,
    /// Current stage, for a caller that may abandon the dial at any time.
    pub(crate) stage: &'a Mutex<Stage>,
    /// When the socket was connected, and so the upgrade has begun.
    pub(crate) connected: &'a OnceLock<Instant>,
    /// Maximum time from the connected socket to the end of the upgrade.
    pub(crate) upgrade_timeout: Duration,
}

impl Dialling<'_> {
    /// Bounds a part of the upgrade, which begins with the first one.
    ///
    /// # Errors
    /// Those of `part`, or [`ConnectError::Timeout`].
    pub(crate) async fn upgrading<T>(
        &self,
        part: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let connected = self.connected.get_or_init(Instant::now);
        match connected.checked_add(self.upgrade_timeout) {
            Some(deadline) => timeout_at(deadline, part)
                .await
                .unwrap_or(Err(ConnectError::Timeout)),
            // For ever.
            None => part.await,
        }
    }
}

/// A parsed address: an endpoint of one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Quic(SocketAddr),
    WebSocket(Box<websocket::Address>),
    #[cfg(unix)]
    Unix(PathBuf),
    Memory(u64),
}

impl Endpoint {
    /// Parses a whole address: a part that is not understood must not be ignored. The identity of
    /// the remote is not a transport's concern, so `/p2p` is refused too.
    ///
    /// # Errors
    /// The part that no transport supports, or the zone that this host does not have.
    pub(crate) fn parse(address: &Multiaddr) -> Result<Self, AddressError> {
        let is_quic = |part| matches!(part, Protocol::Udp(_));
        match address.iter().next() {
            #[cfg(unix)]
            Some(Protocol::Unix(_)) => unix::socket_path(address).map(Self::Unix),
            Some(Protocol::Memory(_)) => memory::number(address).map(Self::Memory),
            _ if address.iter().any(is_quic) => quic::socket_address(address).map(Self::Quic),
            _ => match websocket::Address::parse(address) {
                Some(parsed) => parsed.map(|address| Self::WebSocket(Box::new(address))),
                None => tcp::socket_address(address).map(Self::Tcp),
            },
        }
    }

    /// Returns the host of the remote, if the transport has one.
    pub(crate) const fn host(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Quic(address) => Some(address.ip()),
            Self::WebSocket(address) => Some(address.socket().ip()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Memory(_) => None,
        }
    }

    /// Returns the number of file descriptors that a connection takes.
    pub(crate) const fn descriptors(&self) -> u32 {
        match self {
            Self::Tcp(_) | Self::WebSocket(_) => 1,
            // Its endpoint has one.
            Self::Quic(_) => 0,
            #[cfg(unix)]
            Self::Unix(_) => 1,
            Self::Memory(_) => 0,
        }
    }

    /// Returns whether a pre-shared key can protect its connections: they are a byte pipe.
    pub(crate) const fn can_be_protected(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::WebSocket(_) | Self::Memory(_) => true,
            #[cfg(unix)]
            Self::Unix(_) => true,
            Self::Quic(_) => false,
        }
    }

    /// Connects on the current I/O thread.
    ///
    /// # Errors
    /// Errors of the socket, and of the handshakes that belong to the transport.
    pub(crate) async fn dial(
        self,
        transports: &Transports,
        dialling: &Dialling<'_>,
    ) -> Result<RawConnection, ConnectError> {
        match self {
            Self::Tcp(address) => Ok(tcp::dial(address).await?.into()),
            Self::Quic(address) => transports.quic.dial(address, dialling).await,
            Self::WebSocket(address) => {
                websocket::dial(&address, &transports.web_sockets, dialling).await
            }
            #[cfg(unix)]
            Self::Unix(path) => Ok(unix::dial(&path).await?),
            Self::Memory(number) => Ok(memory::dial(number).await?),
        }
    }

    /// Binds and listens; with `shares_port`, other processes may do so too.
    pub(crate) fn listen(self, transports: &Transports, shares_port: bool) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => tcp::Listener::bind(address, shares_port).map(Listener::Tcp),
            Self::Quic(address) => {
                let listener = transports.quic.listen(address, shares_port);
                listener.map(Listener::Quic)
            }
            Self::WebSocket(address) => {
                websocket::Listener::bind(*address, shares_port).map(Listener::WebSocket)
            }
            // The others have no port.
            _ if shares_port => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            Self::Unix(path) => unix::Listener::bind(&path).map(Listener::Unix),
            Self::Memory(number) => memory::Listener::bind(number).map(Listener::Memory),
        }
    }
}

/// A bound endpoint.
pub(crate) enum Listener {
    Tcp(tcp::Listener),
    Quic(quic::Listener),
    WebSocket(websocket::Listener),
    #[cfg(unix)]
    Unix(unix::Listener),
    Memory(memory::Listener),
}

impl Listener {
    /// Accepts the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(Arrival::Tcp),
            Self::Quic(listener) => {
                let arrival = listener.accept().await?;
                Ok(Arrival::Quic(Box::new(arrival)))
            }
            Self::WebSocket(listener) => listener.accept().await.map(Arrival::WebSocket),
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await.map(Arrival::Unix),
            Self::Memory(listener) => listener.accept().await.map(Arrival::Memory),
        }
    }

    /// Accepts no more connections; the address is free then, except that of QUIC, which its connections
    /// keep.
    pub(crate) async fn close(self) {
        if let Self::Quic(listener) = self {
            listener.close().await;
        }
    }

    /// Returns the bound address, including its port.
    pub(crate) fn local_address(&self) -> io::Result<Multiaddr> {
        match self {
            Self::Tcp(listener) => listener.local_address(),
            Self::Quic(listener) => listener.local_address(),
            Self::WebSocket(listener) => listener.local_address(),
            #[cfg(unix)]
            Self::Unix(listener) => Ok(listener.local_address()),
            Self::Memory(listener) => Ok(listener.local_address()),
        }
    }
}

/// An accepted connection that nothing has been read from. Dropping it refuses it.
pub(crate) enum Arrival {
    Tcp(tcp::Arrival),
    Quic(Box<quic::Arrival>),
    WebSocket(websocket::Arrival),
    #[cfg(unix)]
    Unix(unix::Arrival),
    Memory(memory::Arrival),
}

impl Arrival {
    /// Returns the remote host, if the transport has one.
    pub(crate) fn host(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(arrival) => Some(arrival.host()),
            Self::Quic(arrival) => arrival.host(),
            Self::WebSocket(arrival) => Some(arrival.host()),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Memory(_) => None,
        }
    }

    /// Returns the number of file descriptors that it takes.
    pub(crate) const fn descriptors(&self) -> u32 {
        match self {
            Self::Tcp(_) | Self::WebSocket(_) => 1,
            Self::Quic(_) => 0,
            #[cfg(unix)]
            Self::Unix(_) => 1,
            Self::Memory(_) => 0,
        }
    }

    /// Returns whether the remote may have forged its address, and can be made to prove it.
    pub(crate) fn is_unproven(&self) -> bool {
        matches!(self, Self::Quic(arrival) if arrival.is_unproven())
    }

    /// Makes the remote come again with a proof of its address.
    pub(crate) fn demand_proof(self) {
        if let Self::Quic(arrival) = self {
            arrival.demand_proof();
        }
    }

    pub(crate) fn remote_address(&self) -> Multiaddr {
        match self {
            Self::Tcp(arrival) => arrival.remote_address(),
            Self::Quic(arrival) => arrival.remote_address(),
            Self::WebSocket(arrival) => arrival.remote_address(),
            #[cfg(unix)]
            Self::Unix(arrival) => arrival.remote_address(),
            Self::Memory(arrival) => arrival.remote_address(),
        }
    }

    /// Moves it to the current I/O thread, and completes the handshakes that belong to the
    /// transport. The caller bounds the time.
    ///
    /// # Errors
    /// Errors of the socket and of the handshakes.
    pub(crate) async fn open(
        self,
        transports: &Transports,
        stage: &Mutex<Stage>,
    ) -> Result<RawConnection, ConnectError> {
        match self {
            Self::Tcp(arrival) => Ok(arrival.register()?.into()),
            Self::Quic(arrival) => arrival.open(stage).await,
            Self::WebSocket(arrival) => arrival.open(&transports.web_sockets).await,
            #[cfg(unix)]
            Self::Unix(arrival) => Ok(arrival.register()?),
            Self::Memory(arrival) => Ok(arrival.open()),
        }
    }
}

/// A connection between two addresses, not yet upgraded.
pub(crate) struct RawConnection {
    pub(crate) carrier: Carrier,
    pub(crate) local: Multiaddr,
    pub(crate) remote: Multiaddr,
}

impl RawConnection {
    /// A byte pipe, to be secured and multiplexed.
    pub(crate) fn over(pipe: impl BytePipe + 'static, local: Multiaddr, remote: Multiaddr) -> Self {
        Self {
            carrier: Carrier::Pipe(Arc::new(pipe)),
            local,
            remote,
        }
    }
}

/// What carries a connection.
#[derive(Clone)]
pub(crate) enum Carrier {
    /// Bytes. Nothing is known of the remote before the upgrade.
    Pipe(Arc<dyn BytePipe>),
    /// A connection whose peer is known, and which has streams of its own.
    Session(Arc<Authenticated>),
}

#[cfg(test)]
mod tests;
