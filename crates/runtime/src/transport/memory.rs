//! Connections within the process: `/memory/N`, without sockets.
//!
//! The numbers are those of the whole process, whichever node and whichever thread listens: nodes
//! of different JavaScript environments, such as worker threads, reach each other.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;

use multiaddr::{Multiaddr, Protocol};
use tokio::sync::mpsc;

use super::RawConnection;
use crate::command::AddressError;
use crate::memory_pipe::{MemoryPipe, pipe};
use crate::sync::Mutex;

/// Bytes that a connection holds in each direction: one read of an I/O thread takes them all.
const PIPE_BYTES: usize = 64 << 10;

/// Connections that wait to be accepted; a dial beyond them waits for its deadline at most.
const BACKLOG: usize = 128;

/// The listeners of the process. A leaf in the order of locks.
static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners {
    last: 0,
    by_number: BTreeMap::new(),
});

struct Listeners {
    /// The last number that was chosen here.
    last: u64,
    by_number: BTreeMap<u64, mpsc::Sender<Arrival>>,
}

impl Listeners {
    /// Returns the next number that nobody listens on.
    fn next_free(&mut self) -> u64 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.by_number.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

/// Returns the number of `/memory/N`, and of nothing else.
pub(super) fn number(address: &Multiaddr) -> Result<u64, AddressError> {
    let refused = |at| Err(AddressError::NoTransport(address.iter().skip(at).collect()));
    let mut parts = address.iter();
    let Some(Protocol::Memory(number)) = parts.next() else {
        return refused(0);
    };
    match parts.next() {
        None => Ok(number),
        Some(_) => refused(1),
    }
}

fn multiaddr(number: u64) -> Multiaddr {
    Multiaddr::empty().with(Protocol::Memory(number))
}

/// A listener. Dropping it frees its number.
pub(crate) struct Listener {
    number: u64,
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
}

impl Listener {
    /// Listens on a number; 0 is the next free one.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens on it.
    pub(super) fn bind(number: u64) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::channel(BACKLOG);
        let mut listeners = LISTENERS.lock();
        let number = match number {
            0 => listeners.next_free(),
            chosen if listeners.by_number.contains_key(&chosen) => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            chosen => chosen,
        };
        listeners.by_number.insert(number, sender);
        Ok(Self {
            number,
            arrivals: Mutex::new(arrivals),
        })
    }

    /// Accepts the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Arrival> {
        let next = poll_fn(|cx| self.arrivals.lock().poll_recv(cx)).await;
        next.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Returns its address, with its number.
    pub(crate) fn local_address(&self) -> Multiaddr {
        multiaddr(self.number)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LISTENERS.lock().by_number.remove(&self.number);
    }
}

/// A connection to accept. Dropping it closes both ends.
pub(crate) struct Arrival {
    pipe: MemoryPipe,
    local: u64,
    remote: u64,
}

impl Arrival {
    pub(crate) fn remote_address(&self) -> Multiaddr {
        multiaddr(self.remote)
    }

    pub(crate) fn open(self) -> RawConnection {
        RawConnection::over(self.pipe, multiaddr(self.local), multiaddr(self.remote))
    }
}

/// Connects to the listener of a number; our end gets a free one.
///
/// # Errors
/// `ConnectionRefused` if nobody listens on it.
pub(super) async fn dial(number: u64) -> io::Result<RawConnection> {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let (listener, local) = {
        let mut listeners = LISTENERS.lock();
        let listener = listeners.by_number.get(&number).cloned();
        (listener.ok_or_else(refused)?, listeners.next_free())
    };
    let (near, far) = pipe(PIPE_BYTES);
    let arrival = Arrival {
        pipe: far,
        local: number,
        remote: local,
    };
    listener.send(arrival).await.map_err(|_| refused())?;
    Ok(RawConnection::over(
        near,
        multiaddr(local),
        multiaddr(number),
    ))
}

/// Returns both ends of a connection that holds up to `capacity` bytes in each direction.
#[cfg(test)]
pub(crate) fn connected(capacity: usize) -> (RawConnection, RawConnection) {
    let (one, other) = pipe(capacity);
    (
        RawConnection::over(one, multiaddr(1), multiaddr(2)),
        RawConnection::over(other, multiaddr(2), multiaddr(1)),
    )
}
