//! TCP: non-blocking sockets with TCP_NODELAY.

use std::io;
use std::net::{IpAddr, SocketAddr};

use multiaddr::{Multiaddr, Protocol};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::RawConnection;
use super::host::{self, Host, share_port};
use super::stream_socket::{BACKLOG, SocketPipe};
use crate::command::AddressError;

/// Returns the socket address of `/ip4/…/tcp/…`, `/ip6/…/tcp/…` or `/ip6zone/…/ip6/…/tcp/…`, and of
/// nothing else.
pub(super) fn socket_address(address: &Multiaddr) -> Result<SocketAddr, AddressError> {
    let host = Host::of(address)?;
    match host.rest(address)[..] {
        [Protocol::Tcp(port)] => Ok(host.with_port(port)),
        [Protocol::Tcp(_), ..] => Err(host.refused(address, 1)),
        _ => Err(host.refused(address, 0)),
    }
}

/// Returns `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, with its zone if it has one.
fn multiaddr(address: SocketAddr) -> Multiaddr {
    host::multiaddr(address).with(Protocol::Tcp(address.port()))
}

/// A listening socket.
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// Binds and listens. IPv6 sockets are IPv6-only, so that both families can share a port.
    ///
    /// With `shares_port`, other processes of the same user may do so too, and the kernel spreads
    /// connections over their sockets: Linux alone does that.
    pub(super) fn bind(address: SocketAddr, shares_port: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(SocketProtocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if shares_port {
            share_port(&socket)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into()).map(Self)
    }

    /// Accepts the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Arrival> {
        let (socket, remote) = self.0.accept().await?;
        Ok(Arrival {
            socket: socket.into_std()?,
            remote,
        })
    }

    /// Returns the bound address, including its port.
    pub(crate) fn local_address(&self) -> io::Result<Multiaddr> {
        self.0.local_addr().map(multiaddr)
    }
}

/// An accepted connection, not yet registered with the event queue of a thread.
pub(crate) struct Arrival {
    socket: std::net::TcpStream,
    remote: SocketAddr,
}

impl Arrival {
    /// Returns the remote host.
    pub(crate) const fn host(&self) -> IpAddr {
        self.remote.ip()
    }

    pub(crate) fn remote_address(&self) -> Multiaddr {
        multiaddr(self.remote)
    }

    /// Registers with the event queue of the current I/O thread.
    pub(super) fn register(self) -> io::Result<Connected> {
        let socket = TcpStream::from_std(self.socket)?;
        Ok(Connected {
            local: multiaddr(socket.local_addr()?),
            remote: multiaddr(self.remote),
            pipe: pipe(socket)?,
        })
    }
}

/// A connected socket and its addresses, for what goes over it.
pub(super) struct Connected {
    pub(super) pipe: SocketPipe<TcpStream>,
    pub(super) local: Multiaddr,
    pub(super) remote: Multiaddr,
}

impl From<Connected> for RawConnection {
    fn from(connected: Connected) -> Self {
        Self::over(connected.pipe, connected.local, connected.remote)
    }
}

/// Connects to `address`.
pub(super) async fn dial(address: SocketAddr) -> io::Result<Connected> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let stream = socket.connect(address).await?;
    Ok(Connected {
        local: stream
            .local_addr()
            .map_or_else(|_| Multiaddr::empty(), multiaddr),
        remote: multiaddr(address),
        pipe: pipe(stream)?,
    })
}

/// Unsent bytes beyond which the kernel accepts no more.
///
/// Without it the kernel accepts what the remote's window and the path may hold, and megabytes
/// more: on a slow link, a ping or another stream's message has to wait for all of that. With four
/// concurrent uploads over 20 Mbit/s a ping took 128 ms with this bound, 390 ms without and 73 ms
/// with an eighth of it; over loopback it costs no throughput.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const NOT_SENT_MAX: u32 = 128 << 10;

/// Makes a pipe of a connected socket.
fn pipe(socket: TcpStream) -> io::Result<SocketPipe<TcpStream>> {
    socket.set_nodelay(true)?;
    // Best effort: the socket works without it.
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    drop(socket2::SockRef::from(&socket).set_tcp_notsent_lowat(NOT_SENT_MAX));
    Ok(SocketPipe::new(socket))
}

#[cfg(test)]
mod tests {
    use super::super::zones;
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let address: Multiaddr = text.parse().unwrap();
        socket_address(&address)
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn parses_whole_addresses_and_names_the_unsupported_part() {
        const PEER: &str = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let refused = |part: &str| Err(format!("no transport takes {part}"));
        let cases = [
            ("/ip4/127.0.0.1/tcp/4001", Ok("127.0.0.1:4001".into())),
            ("/ip6/::1/tcp/0", Ok("[::1]:0".into())),
            ("/ip6zone/7/ip6/fe80::1/tcp/9", Ok("[fe80::1%7]:9".into())),
            ("/ip4/1.2.3.4/udp/1", refused("/udp/1")),
            ("/ip4/1.2.3.4/tcp/1/ws", refused("/ws")),
            ("/ip4/1.2.3.4", refused("")),
            ("/dns4/localhost/tcp/1", refused("/dns4/localhost/tcp/1")),
            (
                "/ip6zone/7/ip4/1.2.3.4/tcp/1",
                refused("/ip6zone/7/ip4/1.2.3.4/tcp/1"),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
        let with_peer = format!("/ip4/1.2.3.4/tcp/1{PEER}");
        assert_eq!(read(&with_peer), refused(PEER));
        let relayed = format!("{with_peer}/p2p-circuit");
        assert_eq!(read(&relayed), refused(&format!("{PEER}/p2p-circuit")));
    }

    #[cfg(unix)]
    #[test]
    fn a_zone_is_an_interface_of_this_host_by_name_or_number() {
        let index = zones::index_of("lo").or_else(|| zones::index_of("lo0"));
        let index = index.expect("a loopback interface");
        let named = format!("/ip6zone/{}/ip6/fe80::1/tcp/9", zones::name_of(index));
        let address = socket_address(&named.parse().unwrap()).unwrap();
        assert_eq!(address.to_string(), format!("[fe80::1%{index}]:9"));
        assert_eq!(multiaddr(address).to_string(), named);
        assert_eq!(
            read("/ip6zone/no-such-0/ip6/fe80::1/tcp/9"),
            Err("this host has no interface \"no-such-0\"".into())
        );
    }

    #[test]
    fn names_a_mapped_address_by_its_ipv4_host() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:9".parse().unwrap();
        assert_eq!(multiaddr(mapped).to_string(), "/ip4/10.0.0.1/tcp/9");
    }
}
