//! What carries a connection, as its driver sees it from outside the connection's lock.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use ferroswarm_quic::{ConnectionEvent, EndpointEvent, Transmit};

use crate::event_queue::EventQueue;
use crate::pipe::BytePipe;
use crate::sync::Arc;

/// A byte pipe, or a route of datagrams.
#[derive(Clone)]
pub(crate) enum Socket {
    /// Bytes, secured and multiplexed by the connection.
    Pipe(Arc<dyn BytePipe>),
    /// Datagrams of one QUIC connection.
    Route(Arc<dyn Route>),
}

/// The way of one QUIC connection through its endpoint.
///
/// Lock order: the connection, the endpoint, the route's queue of received events.
pub(crate) trait Route: Send + Sync {
    /// Moves received events to the end of `into`, oldest first; returns the bytes in them.
    fn take_received(&self, into: &mut VecDeque<ConnectionEvent>) -> usize;

    /// Passes an event to the endpoint; returns its answer.
    fn pass(&self, event: EndpointEvent) -> Option<ConnectionEvent>;

    /// Sends datagrams; `WouldBlock` when the socket has no room. Errors that lose a datagram are
    /// not reported: QUIC repeats it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] alone.
    fn try_send(&self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()>;

    /// Returns the number of datagrams that one call may send.
    fn datagrams_max(&self) -> usize;

    /// Ready when events have been received; else wakes `cx` later.
    fn poll_received(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready when a send may make progress; else wakes `cx` later.
    fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Leaves the endpoint, which no longer knows the connection.
    fn close(&self);
}

impl Socket {
    /// Ready when a turn may read something; else wakes `cx` later. A failed poll surfaces in the
    /// next read or write.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Pipe(pipe) => pipe.poll_readable(cx).map(drop),
            Self::Route(route) => route.poll_received(cx),
        }
    }

    /// Ready when a turn may send something; else wakes `cx` later.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Pipe(pipe) => pipe.poll_writable(cx).map(drop),
            Self::Route(route) => route.poll_sendable(cx),
        }
    }

    /// Returns whether what was sent waits in this process until somebody carries it on.
    pub(crate) fn is_relayed(&self) -> bool {
        matches!(self, Self::Pipe(pipe) if pipe.is_relayed())
    }

    /// See [`BytePipe::lend`].
    pub(crate) fn lend(&self, to: &EventQueue, token: usize) -> bool {
        matches!(self, Self::Pipe(pipe) if pipe.lend(to, token))
    }

    /// Closes it even if it is still referenced.
    pub(crate) fn close(&self) {
        match self {
            Self::Pipe(pipe) => pipe.close(),
            Self::Route(route) => route.close(),
        }
    }
}
