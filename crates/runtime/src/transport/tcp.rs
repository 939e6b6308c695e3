//! TCP: sockets with TCP_NODELAY, read and written without waiting.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::task::{Context, Poll};

use multiaddr::{Multiaddr, Protocol};
use socket2::{Domain, Protocol as SocketProtocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::event_queue::EventQueue;
use crate::pipe::BytePipe;
use crate::sync::Mutex;

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

/// A connected socket, in the event queue of an I/O thread or lent to another.
pub(crate) struct TcpPipe(Mutex<Place>);

enum Place {
    Thread(TcpStream),
    Lent {
        socket: std::net::TcpStream,
        /// The last read left room, so that the next one finds nothing.
        emptied: bool,
    },
    /// It is closed, or failed to change places.
    Gone,
}

impl TcpPipe {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self(Mutex::new(Place::Thread(socket)))
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl BytePipe for TcpPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Place::Thread(socket) => {
                let count = socket.try_read(into)?;
                // A read that leaves room has emptied the socket: the next one need not ask the
                // kernel. An end or a reset that came with the bytes stays in the readiness.
                if cfg!(unix) && count > 0 && count < into.len() {
                    let emptied = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    drop(socket.try_io(Interest::READABLE, emptied));
                }
                Ok(count)
            }
            Place::Lent { socket, emptied } => {
                if std::mem::take(emptied) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let count = socket.read(into)?;
                *emptied = count > 0 && count < into.len();
                Ok(count)
            }
            Place::Gone => Err(gone()),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Place::Thread(socket) => socket.try_write(bytes),
            Place::Lent { socket, .. } => socket.write(bytes),
            Place::Gone => Err(gone()),
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.lock() {
            Place::Thread(socket) => socket.poll_read_ready(cx),
            Place::Lent { .. } => Poll::Pending,
            Place::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.lock() {
            Place::Thread(socket) => socket.poll_write_ready(cx),
            Place::Lent { .. } => Poll::Pending,
            Place::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        match &*self.0.lock() {
            Place::Thread(socket) => SockRef::from(socket).shutdown(Shutdown::Write),
            Place::Lent { socket, .. } => socket.shutdown(Shutdown::Write),
            Place::Gone => Err(gone()),
        }
    }

    fn close(&self) {
        *self.0.lock() = Place::Gone;
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        let mut place = self.0.lock();
        let Place::Thread(socket) = std::mem::replace(&mut *place, Place::Gone) else {
            return false;
        };
        let Ok(socket) = socket.into_std() else {
            return false;
        };
        let lent = to.add(&socket, token).is_ok();
        *place = if lent {
            let emptied = false;
            Place::Lent { socket, emptied }
        } else {
            TcpStream::from_std(socket).map_or(Place::Gone, Place::Thread)
        };
        lent
    }

    fn reclaim(&self, from: &EventQueue) -> io::Result<()> {
        let mut place = self.0.lock();
        if let Place::Lent { socket, .. } = std::mem::replace(&mut *place, Place::Gone) {
            from.remove(&socket)?;
            *place = Place::Thread(TcpStream::from_std(socket)?);
        }
        Ok(())
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
