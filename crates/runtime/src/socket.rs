//! What carries a connection, as its driver sees it from outside the connection's lock.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use ferroswarm_quic::{ConnectionEvent, EndpointEvent, Session, Transmit};

use crate::error::OsError;
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
    /// Moves received events to the end of `into`, oldest first.
    fn take_received(&self, into: &mut VecDeque<ConnectionEvent>) -> Arrived;

    /// Passes an event to the endpoint; returns its answer.
    fn pass(&self, event: EndpointEvent) -> Option<ConnectionEvent>;

    /// Sends datagrams.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the socket has no room; any other loses the datagrams, which
    /// QUIC repeats.
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

/// Sends all that a session has to send, and passes its events to the endpoint. A socket without room
/// loses the datagrams: the session's timers send them again.
///
/// # Errors
/// The last failure of the socket, other than having no room.
pub(crate) fn transmit(
    session: &mut Session,
    route: &dyn Route,
    datagrams: &mut Vec<u8>,
    now: Duration,
) -> io::Result<()> {
    let mut sent = Ok(());
    datagrams.clear();
    while let Some(transmit) = session.poll_transmit(now, 1, datagrams) {
        if let Err(error) = route.try_send(&transmit, datagrams)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            sent = Err(error);
        }
        datagrams.clear();
    }
    pass_events(session, route);
    sent
}

/// Passes the events of a session to the endpoint.
pub(crate) fn pass_events(session: &mut Session, route: &dyn Route) {
    while let Some(event) = session.poll_endpoint_event() {
        if let Some(answer) = route.pass(event) {
            session.handle_event(answer);
        }
    }
}

/// What a connection has received.
#[derive(Default)]
pub(crate) struct Arrived {
    /// Bytes of the datagrams.
    pub(crate) bytes: usize,
    /// Datagrams that there was no room for since the last call.
    pub(crate) dropped: u64,
    /// The endpoint receives no more.
    pub(crate) failure: Option<OsError>,
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
