//! TLS between TCP and HTTP: a byte pipe over another, by rustls.
//!
//! Not the TLS of libp2p: certificates are those of the web, and prove a name instead of a peer,
//! which the layers above authenticate.

use std::future::poll_fn;
use std::io::{self, BufRead, Read, Write};
use std::task::{Context, Poll};

use rustls::{ClientConnection, Connection, ServerConnection};

use crate::event_queue::EventQueue;
use crate::pipe::{BytePipe, discard, poll_flush, unless_full};
use crate::sync::{Arc, Mutex};

use super::tail::Tail;

/// Reads of the socket in one call that may yield no plaintext: a record takes five, of 4 KiB each.
const READS_MAX: usize = 16;

/// A TLS connection over another pipe.
pub(super) struct TlsPipe {
    inner: Arc<dyn BytePipe>,
    /// Locked for each call, before any lock of `inner`.
    state: Mutex<State>,
}

struct State {
    tls: Connection,
    /// Plaintext in records that the socket has not taken, of which the writer has not been told:
    /// it waits for the socket as it would without TLS.
    untold: usize,
    /// The remote has violated TLS.
    has_failed: bool,
    /// We have ended our direction after that: see `FramePipe`.
    is_drained: bool,
    /// The records of the last write, as far as the socket has taken them.
    tail: Tail,
}

impl TlsPipe {
    /// Performs the handshake of a dialer.
    ///
    /// # Errors
    /// Errors of the socket and of the handshake.
    pub(super) async fn dial(
        inner: Arc<dyn BytePipe>,
        connection: ClientConnection,
    ) -> io::Result<Self> {
        Self::shake(inner, connection.into()).await
    }

    /// Performs the handshake of a listener.
    ///
    /// # Errors
    /// Errors of the socket and of the handshake.
    pub(super) async fn accept(
        inner: Arc<dyn BytePipe>,
        connection: ServerConnection,
    ) -> io::Result<Self> {
        Self::shake(inner, connection.into()).await
    }

    async fn shake(inner: Arc<dyn BytePipe>, tls: Connection) -> io::Result<Self> {
        let pipe = Self {
            inner,
            state: Mutex::new(State {
                tls,
                untold: 0,
                has_failed: false,
                is_drained: false,
                tail: Tail::default(),
            }),
        };
        poll_fn(|cx| pipe.poll_handshake(cx)).await?;
        Ok(pipe)
    }

    fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        loop {
            match state.flush(&*self.inner) {
                Ok(()) if !state.tls.is_handshaking() => return Poll::Ready(Ok(())),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.inner.poll_writable(cx))?;
                    continue;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            match state.receive(&*self.inner) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.inner.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The socket, as rustls wants it.
struct Socket<'a>(&'a dyn BytePipe);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Writes pending records.
    fn flush(&mut self, inner: &dyn BytePipe) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(inner)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => self.tail.extend(outcome?),
            }
        }
        Ok(())
    }

    /// Reads from the socket once; returns the number of bytes, 0 at its end.
    fn receive(&mut self, inner: &dyn BytePipe) -> io::Result<usize> {
        // A violation that was found earlier is final.
        self.open(inner)?;
        let count = self.tls.read_tls(&mut Socket(inner))?;
        self.open(inner)?;
        Ok(count)
    }

    /// Decrypts what was read.
    fn open(&mut self, inner: &dyn BytePipe) -> io::Result<()> {
        let opened = self.tls.process_new_packets();
        opened.map(drop).map_err(|error| {
            self.has_failed = true;
            // The alert that says so, as far as the socket takes it.
            drop(self.flush(inner));
            io::Error::new(io::ErrorKind::InvalidData, error)
        })
    }

    /// Reads decrypted bytes; `None` if there are none.
    fn take(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self.tls.reader().read(into) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // An end without close_notify is left to the layers above, as that of a TCP connection.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }
}

impl BytePipe for TlsPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.is_drained {
            return discard(&*self.inner, into);
        }
        for _ in 0..READS_MAX {
            if let Some(count) = state.take(into)? {
                return Ok(count);
            }
            if let Err(error) = state.receive(&*self.inner) {
                // What came before a violation is read first.
                return state.take(into)?.filter(|count| *count > 0).ok_or(error);
            }
            if state.tls.wants_write() {
                // An answer to a key update. A failure to write is for the writer.
                drop(state.flush(&*self.inner));
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.flush(&*self.inner)?;
        if state.untold == 0 {
            state.untold = state.tls.writer().write(bytes)?;
            state.tail = Tail::of(state.untold);
            state.flush(&*self.inner)?;
        }
        Ok(std::mem::take(&mut state.untold))
    }

    fn unaccepted(&self) -> Option<usize> {
        let state = self.state.lock();
        let wire = self.inner.unaccepted()?;
        Some(match state.untold {
            0 => state.tail.stream_bytes(wire),
            // The writer knows of nothing in the last records.
            _ => wire.saturating_sub(state.tail.wire()),
        })
    }

    fn is_relayed(&self) -> bool {
        self.inner.is_relayed()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        // Decrypted bytes, or the end.
        if !state.is_drained && state.tls.reader().fill_buf().is_ok() {
            return Poll::Ready(Ok(()));
        }
        poll_flush(&*self.inner, cx, || state.flush(&*self.inner));
        self.inner.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.is_drained = state.has_failed;
        state.tls.send_close_notify();
        unless_full(state.flush(&*self.inner))
    }

    fn close(&self) {
        // Best effort: the layers above have said that it is over.
        drop(self.shutdown());
        self.inner.close();
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        let mut state = self.state.lock();
        let is_idle = !state.tls.wants_write() && state.tls.reader().fill_buf().is_err();
        is_idle && self.inner.lend(to, token)
    }

    fn reclaim(&self, from: &EventQueue) -> io::Result<()> {
        self.inner.reclaim(from)
    }
}

#[cfg(test)]
mod tests;
