//! A stream of bytes in WebSocket frames, over another pipe.
//!
//! Frames are decoded in the reader's buffer, and encoded in a buffer of the thread: a connection
//! holds memory for its output only while the socket refuses some.
//!
//! The pipe sends no pings of its own. What keeps a connection through proxies is traffic of any
//! kind, and the muxer pings every 30 seconds (`Limits::keepalive_interval`), in data frames; its
//! answer also proves that the remote is alive, which a pong of a browser or proxy would not. Pings
//! of the remote are answered.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use ferroswarm_websocket::{FrameError, Received, SendError, Session};

use crate::error::ClosedByRemote;
use crate::event_queue::EventQueue;
use crate::pipe::{BytePipe, discard, poll_flush, unless_full};
use crate::sync::{Arc, Mutex};

use super::tail::Tail;

/// Maximum payload of a frame of ours. The header is lost in it, and a remote that gathers frames
/// before it reads them gathers no more.
const FRAME_BYTES: usize = 64 << 10;

/// Reads of the socket in one call that may yield nothing but control frames, before other
/// connections have their turn.
const READS_MAX: usize = 4;

thread_local! {
    /// Frames being encoded.
    static FRAMES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream of bytes in WebSocket frames.
pub(super) struct FramePipe {
    inner: Arc<dyn BytePipe>,
    /// Locked for each call, before any lock of `inner`.
    state: Mutex<State>,
}

struct State {
    session: Session,
    /// Frames received together with the upgrade.
    early: Vec<u8>,
    /// The remote has violated RFC 6455, and we have ended our direction: the socket is read until the
    /// remote has read our close frame, and what it sends is discarded.
    is_drained: bool,
    output: Output,
}

/// Encoded frames that the socket has refused.
#[derive(Default)]
struct Output {
    frames: Vec<u8>,
    sent: usize,
    /// Bytes of the stream in them that the writer still believes to have: it learns of bytes as the
    /// socket takes them, so that it waits for the socket as it would without frames.
    untold: usize,
    /// The last frame of the stream, with the control frames behind it.
    tail: Tail,
}

impl FramePipe {
    /// Creates the pipe of a session whose first frames are `early`.
    pub(super) fn new(inner: Arc<dyn BytePipe>, session: Session, early: Vec<u8>) -> Self {
        let output = Output::default();
        Self {
            inner,
            state: Mutex::new(State {
                session,
                early,
                is_drained: false,
                output,
            }),
        }
    }
}

impl Output {
    const fn unsent(&self) -> usize {
        self.frames.len() - self.sent
    }

    /// Writes what was refused before.
    fn flush(&mut self, inner: &dyn BytePipe) -> io::Result<()> {
        while self.unsent() > 0 {
            self.sent += write(inner, &self.frames[self.sent..])?;
        }
        (self.frames, self.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Writes `frames`, and keeps what is refused. Nothing was refused before.
    fn send(&mut self, inner: &dyn BytePipe, frames: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < frames.len() {
            match write(inner, &frames[sent..]) {
                Ok(count) => sent += count,
                Err(error) => {
                    self.frames.extend_from_slice(&frames[sent..]);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns how many more bytes of the stream the socket has taken.
    fn tell(&mut self) -> usize {
        let left = self.untold.min(self.unsent());
        std::mem::replace(&mut self.untold, left) - left
    }
}

fn write(inner: &dyn BytePipe, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match inner.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

impl State {
    /// Sends what was refused before, then pending control frames: these must not get into a frame
    /// that is half sent, nor behind bytes that the writer has not been told of.
    fn flush(&mut self, inner: &dyn BytePipe) -> io::Result<()> {
        self.output.flush(inner)?;
        if self.output.untold > 0 || !self.session.has_output() {
            return Ok(());
        }
        FRAMES.with_borrow_mut(|frames| {
            frames.clear();
            self.session.poll_output(frames).map_err(io::Error::other)?;
            self.output.tail.extend(frames.len());
            self.output.send(inner, frames)
        })
    }

    /// Sends `bytes` in a frame. Nothing was refused before.
    fn send(&mut self, inner: &dyn BytePipe, bytes: &[u8]) -> io::Result<()> {
        FRAMES.with_borrow_mut(|frames| {
            frames.clear();
            self.session
                .send(bytes, frames)
                .map_err(|error| match error {
                    SendError::Closing => io::ErrorKind::BrokenPipe.into(),
                    error => io::Error::other(error),
                })?;
            self.output.untold = bytes.len();
            self.output.tail = Tail::of(bytes.len());
            self.output.tail.extend(frames.len());
            self.output.send(inner, frames)
        })
    }

    /// Decodes `bytes` in place and moves the payload to their front; returns its length.
    fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, FrameError> {
        let (mut at, mut filled) = (0, 0);
        loop {
            match self.session.handle_input(&mut bytes[at..]) {
                Ok(Received::Payload { payload, consumed }) => {
                    let length = payload.len();
                    bytes.copy_within(at + payload.start..at + payload.end, filled);
                    filled += length;
                    at += consumed;
                }
                Ok(Received::Incomplete | Received::Closed) => return Ok(filled),
                // What came before the violation is read first; the next call has the error too.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the end of the stream, if it is known.
    fn end(&mut self) -> Option<io::Result<usize>> {
        if self.is_drained {
            return None;
        }
        match self.session.handle_input(&mut []) {
            Err(error) => Some(Err(violation(error))),
            Ok(_) => {
                let close = self.session.remote_close()?;
                // With another code the remote has failed, and may have sent less than it meant to.
                Some(match close.is_orderly() {
                    true => Ok(0),
                    false => {
                        let error = ClosedByRemote(close.clone());
                        Err(io::Error::new(io::ErrorKind::ConnectionAborted, error))
                    }
                })
            }
        }
    }

    /// Takes received bytes, and answers control frames. `None` if there are no bytes of the stream.
    fn receive(&mut self, inner: &dyn BytePipe, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        let decoded = self.decode(bytes);
        if self.session.has_output() {
            // A failure to write is for the writer: the reader goes on.
            drop(self.flush(inner));
        }
        match decoded {
            Ok(0) => self.end().transpose(),
            Ok(count) => Ok(Some(count)),
            Err(error) => Err(violation(error)),
        }
    }
}

fn violation(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl BytePipe for FramePipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.is_drained {
            return discard(&*self.inner, into);
        }
        if let Some(end) = state.end() {
            return end;
        }
        while !state.early.is_empty() {
            let count = state.early.len().min(into.len());
            into[..count].copy_from_slice(&state.early[..count]);
            state.early.drain(..count);
            if state.early.is_empty() {
                // Not kept for the life of the connection.
                state.early = Vec::new();
            }
            if let Some(count) = state.receive(&*self.inner, &mut into[..count])? {
                return Ok(count);
            }
        }
        for _ in 0..READS_MAX {
            // An end without a close frame is left to the layers above, as that of a TCP connection.
            let count = match self.inner.try_read(into)? {
                0 => return Ok(0),
                count => count,
            };
            if let Some(count) = state.receive(&*self.inner, &mut into[..count])? {
                return Ok(count);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let outcome = if state.output.untold > 0 {
            state.flush(&*self.inner)
        } else {
            state.flush(&*self.inner)?;
            state.send(&*self.inner, &bytes[..bytes.len().min(FRAME_BYTES)])
        };
        match (state.output.tell(), outcome) {
            (0, Err(error)) => Err(error),
            // An error comes again with the next call.
            (count, _) => Ok(count),
        }
    }

    fn unaccepted(&self) -> Option<usize> {
        let output = &self.state.lock().output;
        let wire = self.inner.unaccepted()? + output.unsent();
        let bytes = output.tail.stream_bytes(wire);
        Some(bytes.saturating_sub(output.untold))
    }

    fn is_relayed(&self) -> bool {
        self.inner.is_relayed()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if !state.early.is_empty() || state.end().is_some() {
            return Poll::Ready(Ok(()));
        }
        // Answers of ours that the socket has refused: whoever waits for input waits for them too.
        poll_flush(&*self.inner, cx, || state.flush(&*self.inner));
        self.inner.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.is_drained = state.session.handle_input(&mut []).is_err();
        state.early = Vec::new();
        state.session.close();
        // The writer writes no more.
        state.output.untold = 0;
        unless_full(state.flush(&*self.inner))
    }

    fn close(&self) {
        self.inner.close();
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        let state = self.state.lock();
        let is_idle =
            state.early.is_empty() && state.output.unsent() == 0 && !state.session.has_output();
        is_idle && self.inner.lend(to, token)
    }

    fn reclaim(&self, from: &EventQueue) -> io::Result<()> {
        self.inner.reclaim(from)
    }
}

#[cfg(test)]
mod tests;
