//! Connected stream sockets as byte pipes, of whatever family.

use std::io::{self, Read, Write};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;
use std::task::{Context, Poll};

use ferroswarm_send_queue::unacknowledged;
use socket2::SockRef;
use tokio::io::Interest;

use crate::event_queue::{EventQueue, Source};
use crate::pipe::BytePipe;
use crate::sync::Mutex;

/// Connections that the kernel completes before they are accepted; the kernel's own limit applies.
pub(super) const BACKLOG: i32 = 1_024;

/// A connected socket, in the event queue of an I/O thread or lent to another queue.
pub(super) struct SocketPipe<S: StreamSocket>(
    /// Locked for each call: a leaf.
    Mutex<Owner<S>>,
);

enum Owner<S: StreamSocket> {
    Thread(S),
    Lent {
        socket: S::Std,
        /// The last read was short: the socket is empty.
        emptied: bool,
    },
    /// It is closed, or failed to change its owner.
    Gone,
}

/// A connected socket of tokio, of one family.
pub(super) trait StreamSocket: AsSocket + Send + Sync + Sized + 'static {
    /// The same socket outside of tokio's event queue.
    type Std: AsSocket + Source + Read + Write + Send + Sync;

    fn from_std(socket: Self::Std) -> io::Result<Self>;
    fn into_std(self) -> io::Result<Self::Std>;
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Tells tokio that the socket has nothing to read, without a call to the kernel.
    fn clear_readable(&self);
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Both types have these methods, but no trait of tokio does.
macro_rules! stream_socket {
    ($socket:ty, $std:ty) => {
        impl StreamSocket for $socket {
            type Std = $std;

            fn from_std(socket: Self::Std) -> io::Result<Self> {
                <$socket>::from_std(socket)
            }

            fn into_std(self) -> io::Result<Self::Std> {
                <$socket>::into_std(self)
            }

            fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
                <$socket>::try_read(self, into)
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$socket>::try_write(self, bytes)
            }

            fn clear_readable(&self) {
                let emptied = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                drop(self.try_io(Interest::READABLE, emptied));
            }

            fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$socket>::poll_read_ready(self, cx)
            }

            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$socket>::poll_write_ready(self, cx)
            }
        }
    };
}

stream_socket!(tokio::net::TcpStream, std::net::TcpStream);
#[cfg(unix)]
stream_socket!(tokio::net::UnixStream, std::os::unix::net::UnixStream);

impl<S: StreamSocket> SocketPipe<S> {
    pub(super) fn new(socket: S) -> Self {
        Self(Mutex::new(Owner::Thread(socket)))
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<S: StreamSocket> BytePipe for SocketPipe<S> {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Owner::Thread(socket) => {
                let count = socket.try_read(into)?;
                // A short read has emptied the socket: the next one need not call the kernel. An
                // end or a reset that arrived with the bytes stays in the readiness.
                if cfg!(unix) && count > 0 && count < into.len() {
                    socket.clear_readable();
                }
                Ok(count)
            }
            Owner::Lent { socket, emptied } => {
                if std::mem::take(emptied) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let count = socket.read(into)?;
                *emptied = count > 0 && count < into.len();
                Ok(count)
            }
            Owner::Gone => Err(gone()),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Owner::Thread(socket) => socket.try_write(bytes),
            Owner::Lent { socket, .. } => socket.write(bytes),
            Owner::Gone => Err(gone()),
        }
    }

    /// For a Unix socket it is what the kernel has allocated: more than the bytes, but it shrinks
    /// with them, and is zero when they have been read.
    fn unaccepted(&self) -> Option<usize> {
        match &*self.0.lock() {
            Owner::Thread(socket) => unacknowledged(socket).ok(),
            Owner::Lent { socket, .. } => unacknowledged(socket).ok(),
            Owner::Gone => None,
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.lock() {
            Owner::Thread(socket) => socket.poll_read_ready(cx),
            Owner::Lent { .. } => Poll::Pending,
            Owner::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.lock() {
            Owner::Thread(socket) => socket.poll_write_ready(cx),
            Owner::Lent { .. } => Poll::Pending,
            Owner::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        match &*self.0.lock() {
            Owner::Thread(socket) => SockRef::from(socket).shutdown(Shutdown::Write),
            Owner::Lent { socket, .. } => SockRef::from(socket).shutdown(Shutdown::Write),
            Owner::Gone => Err(gone()),
        }
    }

    fn close(&self) {
        *self.0.lock() = Owner::Gone;
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        let mut owner = self.0.lock();
        let Owner::Thread(socket) = std::mem::replace(&mut *owner, Owner::Gone) else {
            return false;
        };
        let Ok(socket) = socket.into_std() else {
            return false;
        };
        let lent = to.add(&socket, token).is_ok();
        *owner = if lent {
            let emptied = false;
            Owner::Lent { socket, emptied }
        } else {
            S::from_std(socket).map_or(Owner::Gone, Owner::Thread)
        };
        lent
    }

    fn reclaim(&self, from: &EventQueue) -> io::Result<()> {
        let mut owner = self.0.lock();
        if let Owner::Lent { socket, .. } = std::mem::replace(&mut *owner, Owner::Gone) {
            from.remove(&socket)?;
            *owner = Owner::Thread(S::from_std(socket)?);
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Reads through `pipe` while another queue has its socket, and once it is back.
    async fn is_lent_and_reclaimed<S: StreamSocket>(pipe: SocketPipe<S>, mut remote: impl Write) {
        const TOKEN: usize = 7;
        let queue = EventQueue::new().expect("a queue");
        let mut into = [0; 16];
        assert!(pipe.lend(&queue, TOKEN));
        remote.write_all(b"lent").expect("room");
        let tokens: Vec<usize> = loop {
            let found = queue.take();
            if !found.is_empty() {
                break found.into_iter().map(|found| found.token).collect();
            }
            std::thread::yield_now();
        };
        assert_eq!(tokens, [TOKEN]);
        assert_eq!(pipe.try_read(&mut into).expect("bytes"), 4);
        assert_eq!(pipe.try_write(b"answer").expect("room"), 6);
        pipe.reclaim(&queue).expect("a queue");
        remote.write_all(b"reclaimed").expect("room");
        poll_fn(|cx| pipe.poll_readable(cx)).await.expect("bytes");
        assert_eq!(pipe.try_read(&mut into).expect("bytes"), 9);
        assert!(queue.take().is_empty());
        pipe.close();
        assert!(pipe.try_write(b"late").is_err());
    }

    #[test]
    fn sockets_of_every_family_move_between_event_queues() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let near = tokio::net::TcpStream::connect(address).await;
            let (far, _) = listener.accept().expect("a connection");
            is_lent_and_reclaimed(SocketPipe::new(near.expect("a listener")), far).await;

            let (near, far) = std::os::unix::net::UnixStream::pair().expect("sockets");
            near.set_nonblocking(true).expect("a socket");
            let near = tokio::net::UnixStream::from_std(near).expect("a runtime");
            is_lent_and_reclaimed(SocketPipe::new(near), far).await;
        });
    }
}
