//! TCP: sockets with TCP_NODELAY, read and written without waiting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use multiaddr::{Multiaddr, Protocol};
use parking_lot::RwLock;
use socket2::{Domain, Protocol as SocketProtocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::pipe::BytePipe;

/// Connections that the kernel completes before we accept them; the kernel's own ceiling applies.
const BACKLOG: i32 = 1_024;

/// The socket address of `/ip4|ip6/…/tcp/…`, with or without `/p2p/…` behind it.
pub(crate) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    match parts.next() {
        None | Some(Protocol::P2p(_)) => Some(SocketAddr::new(ip, port)),
        Some(_) => None,
    }
}

/// `/ip4|ip6/…/tcp/…`.
pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    // A mapped address names the IPv4 host that it is.
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    Multiaddr::empty()
        .with(ip)
        .with(Protocol::Tcp(address.port()))
}

/// Binds and listens. IPv6 sockets take IPv6 only, so that both families can have one port.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connects.
pub(crate) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The socket of a connection, until it is closed.
#[derive(Debug)]
pub(crate) struct TcpPipe(RwLock<Option<TcpStream>>);

impl TcpPipe {
    pub(crate) const fn new(socket: TcpStream) -> Self {
        Self(RwLock::new(Some(socket)))
    }

    /// Nobody waits for the lock but behind a call that does not wait itself.
    fn with<T>(&self, call: impl FnOnce(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        match &*self.0.read() {
            Some(socket) => call(socket),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn poll(&self, poll: impl FnOnce(&TcpStream) -> Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match &*self.0.read() {
            Some(socket) => poll(socket),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

fn try_read(socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let count = socket.try_read(into)?;
    // A read that leaves room has emptied the socket: the next one need not ask the kernel. An
    // end or a reset that came with the bytes stays in the readiness.
    if cfg!(unix) && count > 0 && count < into.len() {
        let emptied = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        drop(socket.try_io(Interest::READABLE, emptied));
    }
    Ok(count)
}

impl BytePipe for TcpPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.with(|socket| try_read(socket, into))
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|socket| socket.try_write(bytes))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|socket| socket.poll_read_ready(cx))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|socket| socket.poll_write_ready(cx))
    }

    fn shutdown(&self) -> io::Result<()> {
        self.with(|socket| SockRef::from(socket).shutdown(std::net::Shutdown::Write))
    }

    fn close(&self) {
        *self.0.write() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_with_and_without_a_peer() {
        let cases = [
            ("/ip4/127.0.0.1/tcp/4001", Some("127.0.0.1:4001")),
            ("/ip6/::1/tcp/0", Some("[::1]:0")),
            (
                "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
                Some("1.2.3.4:1"),
            ),
            ("/ip4/1.2.3.4/udp/1", None),
            ("/ip4/1.2.3.4/tcp/1/ws", None),
            ("/dns4/localhost/tcp/1", None),
        ];
        for (text, expected) in cases {
            let address: Multiaddr = text.parse().unwrap();
            let found = socket_address(&address).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_a_mapped_address_by_its_ipv4_host() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:9".parse().unwrap();
        assert_eq!(multiaddr(mapped).to_string(), "/ip4/10.0.0.1/tcp/9");
    }
}
