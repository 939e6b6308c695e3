//! An event queue with its own descriptor, for an event loop other than tokio's to wait for.

use std::io;
#[cfg(unix)]
pub(crate) use std::os::fd::AsRawFd as Source;

#[cfg(unix)]
mod unix {
    use std::os::fd::RawFd;
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Registry, Token};

    use super::{Readiness, Source, io};
    use crate::loop_sockets::LOOP_SOCKETS_MAX;
    use crate::sync::Mutex;

    /// Sockets whose incoming bytes are waited for through one descriptor.
    pub(crate) struct EventQueue {
        registry: Registry,
        poll: Mutex<(Poll, Events)>,
    }

    impl EventQueue {
        /// Creates an empty queue.
        ///
        /// # Errors
        /// Errors of the system call.
        pub(crate) fn new() -> io::Result<Self> {
            let poll = Poll::new()?;
            let registry = poll.registry().try_clone()?;
            let events = Events::with_capacity(LOOP_SOCKETS_MAX);
            Ok(Self {
                registry,
                poll: Mutex::new((poll, events)),
            })
        }

        /// Returns a descriptor that is readable while a socket has events. It lives as long as the
        /// queue.
        pub(crate) fn descriptor(&self) -> RawFd {
            self.poll.lock().0.as_raw_fd()
        }

        /// Reports events of `socket` from here on, starting with bytes that are already there.
        pub(crate) fn add(&self, socket: &impl Source, token: usize) -> io::Result<()> {
            let descriptor = socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            self.registry
                .register(&mut source, Token(token), Interest::READABLE)
        }

        /// Stops reporting events of `socket`.
        pub(crate) fn remove(&self, socket: &impl Source) -> io::Result<()> {
            let descriptor = socket.as_raw_fd();
            self.registry.deregister(&mut SourceFd(&descriptor))
        }

        /// Takes the events since the last call. Never waits.
        pub(crate) fn take(&self) -> Vec<Readiness> {
            let mut poll = self.poll.lock();
            let (poll, events) = &mut *poll;
            // An error leaves the events where they are, and the descriptor readable.
            if poll.poll(events, Some(Duration::ZERO)).is_err() {
                return Vec::new();
            }
            let found = events.iter().map(|event| Readiness {
                token: event.token().0,
                ended: event.is_read_closed() || event.is_error(),
            });
            found.collect()
        }
    }
}

#[cfg(not(unix))]
mod none {
    use super::{Readiness, io};

    /// A socket that can be added to a queue.
    pub(crate) trait Source {}

    impl Source for std::net::TcpStream {}

    /// Uninhabited: no other event loop can wait for a queue of this system.
    pub(crate) enum EventQueue {}

    impl EventQueue {
        pub(crate) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn descriptor(&self) -> i32 {
            match *self {}
        }

        pub(crate) fn add(&self, _socket: &impl Source, _token: usize) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn remove(&self, _socket: &impl Source) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn take(&self) -> Vec<Readiness> {
            match *self {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) use self::none::{EventQueue, Source};
#[cfg(unix)]
pub(crate) use self::unix::EventQueue;

/// Readiness of one socket.
pub(crate) struct Readiness {
    pub(crate) token: usize,
    /// The remote sends no more, or the socket has failed.
    pub(crate) ended: bool,
}
