//! The part that addresses of internet protocols begin with: an IP address and its zone.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use multiaddr::{Multiaddr, Protocol};
use socket2::Socket;

use super::zones;
use crate::command::AddressError;

/// A host at the start of an address.
pub(super) struct Host {
    ip: IpAddr,
    /// Index of the interface; 0 without one.
    zone: u32,
    /// Parts of the address that name it.
    parts: usize,
}

impl Host {
    /// Returns the host of `/ip4/…`, `/ip6/…` or `/ip6zone/…/ip6/…`, whatever follows.
    ///
    /// # Errors
    /// Another start of an address, or a zone that this host does not have.
    pub(super) fn of(address: &Multiaddr) -> Result<Self, AddressError> {
        let mut parts = address.iter();
        match (parts.next(), parts.next()) {
            (Some(Protocol::Ip4(ip)), _) => Ok(Self {
                ip: ip.into(),
                zone: 0,
                parts: 1,
            }),
            (Some(Protocol::Ip6(ip)), _) => Ok(Self {
                ip: ip.into(),
                zone: 0,
                parts: 1,
            }),
            (Some(Protocol::Ip6zone(zone)), Some(Protocol::Ip6(ip))) => Ok(Self {
                ip: ip.into(),
                zone: zones::index_of(&zone)
                    .ok_or_else(|| AddressError::NoInterface(zone.as_ref().into()))?,
                parts: 2,
            }),
            _ => Err(AddressError::NoTransport(address.clone())),
        }
    }

    /// Returns the parts of the address that follow.
    pub(super) fn rest<'a>(&self, address: &'a Multiaddr) -> Vec<Protocol<'a>> {
        address.iter().skip(self.parts).collect()
    }

    /// Refuses the parts that follow, from the one at `at`.
    pub(super) fn refused(&self, address: &Multiaddr, at: usize) -> AddressError {
        AddressError::NoTransport(address.iter().skip(self.parts + at).collect())
    }

    pub(super) fn with_port(&self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.zone).into(),
        }
    }
}

/// Returns `/ip4/…` or `/ip6/…`, with its zone if it has one.
pub(super) fn multiaddr(address: SocketAddr) -> Multiaddr {
    let mut parts = Multiaddr::empty();
    // An IPv4-mapped address denotes its IPv4 host.
    match (address.ip().to_canonical(), address) {
        (IpAddr::V4(ip), _) => parts.push(Protocol::Ip4(ip)),
        (IpAddr::V6(ip), SocketAddr::V6(address)) if address.scope_id() != 0 => {
            parts.push(Protocol::Ip6zone(zones::name_of(address.scope_id()).into()));
            parts.push(Protocol::Ip6(ip));
        }
        (IpAddr::V6(ip), _) => parts.push(Protocol::Ip6(ip)),
    }
    parts
}

/// Lets other processes of the same user bind the port too; the kernel spreads connections over
/// their sockets: Linux alone does that.
#[cfg(target_os = "linux")]
pub(super) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn share_port(_socket: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
