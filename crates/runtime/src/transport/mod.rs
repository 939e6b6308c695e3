//! Transports: parsing, listening on and dialling addresses.
//!
//! Nothing above names a TCP stream: every transport yields a [`RawConnection`].

use std::io;
use std::net::{IpAddr, SocketAddr};

use multiaddr::Multiaddr;

use crate::command::AddressError;
use crate::pipe::BytePipe;

pub(crate) use tcp::{Arrival, Listener};

#[cfg(test)]
pub(crate) mod memory;
mod tcp;
mod zones;

/// A parsed address: an endpoint of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
}

impl Endpoint {
    /// Parses a whole address: a part that is not understood must not be ignored. The identity of
    /// the remote is not a transport's concern, so `/p2p` is refused too.
    ///
    /// # Errors
    /// The part that no transport supports, or the zone that this host does not have.
    pub(crate) fn parse(address: &Multiaddr) -> Result<Self, AddressError> {
        tcp::socket_address(address).map(Self::Tcp)
    }

    /// Returns the host of the remote, if the transport has one.
    pub(crate) const fn host(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
        }
    }

    /// Returns the number of file descriptors that a connection takes.
    pub(crate) const fn descriptors(self) -> u32 {
        match self {
            Self::Tcp(_) => 1,
        }
    }

    /// Connects on the current I/O thread.
    pub(crate) async fn dial(self) -> io::Result<RawConnection> {
        match self {
            Self::Tcp(address) => tcp::dial(address).await,
        }
    }

    /// Binds and listens; with `shares_port`, other processes may do so too.
    pub(crate) fn listen(self, shares_port: bool) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => Listener::bind(address, shares_port),
        }
    }
}

/// A byte stream between two addresses; nothing is known of the remote yet.
pub(crate) struct RawConnection {
    pub(crate) pipe: Box<dyn BytePipe>,
    pub(crate) local: Multiaddr,
    pub(crate) remote: Multiaddr,
}
