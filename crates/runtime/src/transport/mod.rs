//! Transports: what an address means, how to listen on it and how to dial it.
//!
//! Nothing above names a socket: what a transport leads to is a [`RawConnection`].

use std::io;
use std::net::SocketAddr;

use multiaddr::Multiaddr;

use crate::command::AddressError;
use crate::pipe::BytePipe;

pub use fed::{FedPipe, Feed, FeedError};
pub(crate) use tcp::{Arrival, Listener};

mod fed;
mod interface;
#[cfg(test)]
pub(crate) mod memory;
mod tcp;

/// What an address means: one transport's way to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
}

impl Endpoint {
    /// Reads an address whole: a part that is not understood must not be left out. Who answers there is
    /// not for a transport to know, so `/p2p` is no part of it either.
    ///
    /// # Errors
    /// The part that no transport takes, or the zone that this host does not have.
    pub(crate) fn parse(address: &Multiaddr) -> Result<Self, AddressError> {
        tcp::socket_address(address).map(Self::Tcp)
    }

    /// Connects on the present I/O thread.
    pub(crate) async fn dial(self) -> io::Result<RawConnection> {
        match self {
            Self::Tcp(address) => tcp::dial(address).await,
        }
    }

    /// Binds and listens.
    pub(crate) fn listen(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => Listener::bind(address),
        }
    }
}

/// Bytes both ways between two addresses; nothing is known of the remote yet.
pub(crate) struct RawConnection {
    pub(crate) pipe: Box<dyn BytePipe>,
    pub(crate) local: Multiaddr,
    pub(crate) remote: Multiaddr,
}
