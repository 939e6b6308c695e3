//! QUIC version 1: `/ip4/…/udp/…/quic-v1` and `/ip6/…/udp/…/quic-v1`.
//!
//! One endpoint per listener; dials use those of listeners, so that the remote sees the port that is
//! listened on, or one per address family otherwise.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Weak;
use std::time::{Duration, Instant};

use ferroswarm_quic::{Config, Incoming, Settings, Target};
use ferroswarm_secure::{Identity, TlsCredentialsError};
use multiaddr::{Multiaddr, Protocol};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::host::{self, Host};
use super::{Dialling, RawConnection};
use crate::command::{AddressError, ConnectError, Stage};
use crate::sync::{Arc, Mutex};

use self::endpoint::Endpoint;
use self::handshake::{Remote, complete};

pub(crate) use self::handshake::Authenticated;

mod endpoint;
mod handshake;
mod socket;

/// Returns the socket address of `/ip4/…/udp/…/quic-v1` or `/ip6/…/udp/…/quic-v1`, and of nothing
/// else.
pub(super) fn socket_address(address: &Multiaddr) -> Result<SocketAddr, AddressError> {
    let host = Host::of(address)?;
    match host.rest(address)[..] {
        [Protocol::Udp(port), Protocol::QuicV1] => Ok(host.with_port(port)),
        [Protocol::Udp(_), Protocol::QuicV1, ..] => Err(host.refused(address, 2)),
        [Protocol::Udp(_), _, ..] => Err(host.refused(address, 1)),
        _ => Err(host.refused(address, 0)),
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    let parts = host::multiaddr(address);
    parts
        .with(Protocol::Udp(address.port()))
        .with(Protocol::QuicV1)
}

/// The endpoints of a node.
pub(crate) struct Endpoints {
    settings: Settings,
    /// Origin of the clock of connections.
    epoch: Instant,
    handshake_timeout: Duration,
    /// Those that a dial may use: of listeners, and the ones that dials have bound.
    known: Mutex<Vec<(SocketAddr, Weak<Endpoint>)>>,
}

impl Endpoints {
    /// Creates the endpoints of a node with this identity; none is bound yet.
    ///
    /// # Errors
    /// An identity that cannot be used for QUIC.
    pub(crate) fn new(
        config: &Config,
        identity: &Identity,
        epoch: Instant,
    ) -> Result<Self, TlsCredentialsError> {
        Ok(Self {
            settings: Settings::new(config, identity)?,
            epoch,
            handshake_timeout: config.handshake_timeout,
            known: Mutex::default(),
        })
    }

    /// Binds and accepts.
    pub(super) fn listen(
        self: &Arc<Self>,
        address: SocketAddr,
        shares_port: bool,
    ) -> io::Result<Listener> {
        let mut known = self.known.lock();
        // One that was listened on before, and still carries connections.
        let idle = usable(&mut known)
            .find(|(local, endpoint)| *local == address && !endpoint.accepts())
            .filter(|_| address.port() != 0 && !shares_port);
        let endpoint = match idle {
            Some((_, endpoint)) => endpoint,
            None => {
                let endpoint = Endpoint::bind(address, shares_port, &self.settings)?;
                // What answers a dial may reach another process that shares the port.
                if !shares_port {
                    known.push((endpoint.local_address()?, Arc::downgrade(&endpoint)));
                }
                endpoint
            }
        };
        let accepted = endpoint.accept(&self.settings);
        drop(known);
        Ok(Listener {
            endpoints: Arc::clone(self),
            endpoint,
            accepted: AsyncMutex::new(accepted),
        })
    }

    /// Connects and completes the handshake.
    pub(super) async fn dial(
        &self,
        remote: SocketAddr,
        dialling: &Dialling<'_>,
    ) -> Result<RawConnection, ConnectError> {
        let endpoint = self.endpoint_for(remote.ip())?;
        let target = Target {
            remote,
            identity: dialling.identity,
            peer: dialling.peer,
        };
        let (session, route, dialer) = endpoint.connect(&target, &self.settings, self.epoch)?;
        let remote = Remote {
            dialer: Some(&dialer),
            stage: dialling.stage,
            timeout: self.handshake_timeout,
        };
        complete(session, route, self.epoch, &remote).await
    }

    /// Returns an endpoint that reaches a host: one that listens on all interfaces or on that which leads
    /// to it, else one that was bound for dials, else a new one.
    fn endpoint_for(&self, remote: IpAddr) -> io::Result<Arc<Endpoint>> {
        let mut known = self.known.lock();
        let mut source = None;
        let reaching = usable(&mut known).find(|(local, _)| {
            reaches(local.ip(), remote, || {
                *source.get_or_insert_with(|| source_to(remote))
            })
        });
        if let Some((_, endpoint)) = reaching {
            return Ok(endpoint);
        }
        let unspecified: IpAddr = match remote {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = SocketAddr::new(unspecified, 0);
        let endpoint = Endpoint::bind(local, false, &self.settings)?;
        known.push((local, Arc::downgrade(&endpoint)));
        Ok(endpoint)
    }
}

/// Returns the endpoints that are in use and receive.
fn usable(
    known: &mut Vec<(SocketAddr, Weak<Endpoint>)>,
) -> impl Iterator<Item = (SocketAddr, Arc<Endpoint>)> {
    known.retain(|(_, endpoint)| endpoint.strong_count() > 0);
    known
        .iter()
        .filter_map(|(local, endpoint)| Some((*local, endpoint.upgrade()?)))
        .filter(|(_, endpoint)| endpoint.failure().is_none())
}

/// Returns whether a socket bound to `local` can send to `remote`, to which the system sends from
/// `source`.
fn reaches(local: IpAddr, remote: IpAddr, source: impl FnOnce() -> Option<IpAddr>) -> bool {
    if local.is_ipv4() != remote.is_ipv4() {
        return false;
    }
    local.is_unspecified()
        || local.is_loopback() && remote.is_loopback()
        || !local.is_loopback() && source() == Some(local)
}

/// Returns the address from which the system sends to `remote`; sends nothing.
fn source_to(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // The port matters to no route.
    socket.connect((remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A bound endpoint that accepts.
pub(crate) struct Listener {
    endpoints: Arc<Endpoints>,
    endpoint: Arc<Endpoint>,
    accepted: AsyncMutex<mpsc::Receiver<Incoming>>,
}

impl Listener {
    /// Accepts the next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        match self.accepted.lock().await.recv().await {
            Some(incoming) => Ok(Arrival {
                endpoints: Arc::clone(&self.endpoints),
                endpoint: Arc::clone(&self.endpoint),
                incoming: Some(incoming),
            }),
            None => Err(match self.endpoint.failure() {
                Some(error) => error.to_io(),
                // The sender lives as long as this listener.
                None => io::ErrorKind::NotConnected.into(),
            }),
        }
    }

    /// Accepts no more connections. Its port is free when those that it has accepted have ended.
    pub(super) async fn close(self) {
        let endpoint = Arc::clone(&self.endpoint);
        drop(self);
        endpoint.release().await;
    }

    pub(super) fn local_address(&self) -> io::Result<Multiaddr> {
        self.endpoint.local_address().map(multiaddr)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.endpoint.stop_accepting();
        while let Ok(incoming) = self.accepted.get_mut().try_recv() {
            self.endpoint.refuse(incoming);
        }
    }
}

/// The first packet of a remote. Dropping it refuses the connection.
pub(crate) struct Arrival {
    endpoints: Arc<Endpoints>,
    endpoint: Arc<Endpoint>,
    /// Empty once it has been used.
    incoming: Option<Incoming>,
}

impl Arrival {
    fn remote(&self) -> Option<SocketAddr> {
        self.incoming.as_ref().map(Incoming::remote_address)
    }

    pub(super) fn host(&self) -> Option<IpAddr> {
        self.remote().map(|remote| remote.ip())
    }

    pub(super) fn remote_address(&self) -> Multiaddr {
        self.remote().map_or_else(Multiaddr::empty, multiaddr)
    }

    /// Returns whether the remote has not proved that it receives at its address.
    pub(super) fn is_unproven(&self) -> bool {
        let incoming = self.incoming.as_ref();
        incoming.is_some_and(|incoming| !incoming.remote_address_validated())
    }

    /// Makes the remote come again with a proof of its address.
    pub(super) fn demand_proof(mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.endpoint.retry(incoming);
        }
    }

    /// Completes the handshake.
    pub(super) async fn open(
        mut self,
        stage: &Mutex<Stage>,
    ) -> Result<RawConnection, ConnectError> {
        let Some(incoming) = self.incoming.take() else {
            return Err(ConnectError::Internal);
        };
        let Endpoints {
            settings,
            epoch,
            handshake_timeout,
            ..
        } = &*self.endpoints;
        let (session, route) = self.endpoint.open(incoming, settings, *epoch)?;
        let remote = Remote {
            dialer: None,
            stage,
            timeout: *handshake_timeout,
        };
        complete(session, route, *epoch, &remote).await
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.endpoint.refuse(incoming);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let address: Multiaddr = text.parse().expect("a multiaddr");
        socket_address(&address)
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn parses_whole_addresses_and_names_the_unsupported_part() {
        let refused = |part: &str| Err(format!("no transport takes {part}"));
        let cases = [
            (
                "/ip4/127.0.0.1/udp/4001/quic-v1",
                Ok("127.0.0.1:4001".into()),
            ),
            ("/ip6/::1/udp/0/quic-v1", Ok("[::1]:0".into())),
            ("/ip4/1.2.3.4/udp/1", refused("/udp/1")),
            ("/ip4/1.2.3.4/udp/1/quic", refused("/quic")),
            (
                "/ip4/1.2.3.4/udp/1/quic-v1/webtransport",
                refused("/webtransport"),
            ),
            (
                "/dns4/localhost/udp/1/quic-v1",
                refused("/dns4/localhost/udp/1/quic-v1"),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
        let address = "[fe80::1]:9".parse().expect("an address");
        assert_eq!(multiaddr(address).to_string(), "/ip6/fe80::1/udp/9/quic-v1");
    }

    #[test]
    fn a_socket_of_one_interface_reaches_what_the_system_sends_to_from_there() {
        let cases = [
            ("127.0.0.1", "127.0.0.2", "127.0.0.1", true),
            ("127.0.0.1", "192.0.2.1", "192.0.2.7", false),
            ("192.0.2.7", "192.0.2.1", "192.0.2.7", true),
            // Of a VPN, say.
            ("10.8.0.1", "192.0.2.1", "192.0.2.7", false),
            ("192.0.2.7", "127.0.0.1", "127.0.0.1", false),
            ("0.0.0.0", "127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "192.0.2.1", "192.0.2.7", true),
            ("0.0.0.0", "::1", "::1", false),
            ("::", "::1", "::1", true),
        ];
        for (local, remote, source, expected) in cases {
            let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
            let found = reaches(ip(local), ip(remote), || Some(ip(source)));
            assert_eq!(found, expected, "{local} {remote}");
        }
        assert!(source_to(Ipv4Addr::LOCALHOST.into()).is_some_and(|ip| ip.is_loopback()));
    }
}
