//! The handshake of a QUIC connection, which secures it and opens its streams.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferroswarm_proto::muxer::ConnectionErrorCode;
use ferroswarm_quic::{CloseReason, ConnectionEvent, Session};
use ferroswarm_secure::{HandshakeError, PeerId, PublicKey, QuicDialer};
use tokio::time::sleep_until;

use super::endpoint::EndpointRoute;
use super::multiaddr;
use crate::command::{ConnectError, Stage};
use crate::socket::{Route, transmit};
use crate::sync::{Arc, Mutex};
use crate::transport::{Carrier, RawConnection};

/// Rounds of reading and answering before other tasks have their turn.
const ROUNDS_MAX: usize = 8;

/// A connection whose handshake is over. Dropping it before it is [taken](Self::take) closes it: the
/// gate has refused the remote.
pub(crate) struct Authenticated {
    pub(crate) peer: PeerId,
    pub(crate) key: PublicKey,
    handshake: Mutex<Option<Handshake>>,
}

impl Authenticated {
    /// Closes it, with a code.
    pub(crate) fn close(&self, code: ConnectionErrorCode) {
        if let Some(mut handshake) = self.handshake.lock().take() {
            handshake.code = code;
        }
    }

    /// Returns the connection; `None` if it was taken before.
    pub(crate) fn take(&self) -> Option<(Box<Session>, Arc<dyn Route>)> {
        let mut handshake = self.handshake.lock().take()?;
        let session = handshake.session.take()?;
        Some((session, Arc::clone(&handshake.route) as _))
    }
}

/// What is known of a remote before the handshake.
pub(super) struct Remote<'a> {
    /// Knows why we have refused it, if we have dialled.
    pub(super) dialer: Option<&'a QuicDialer>,
    /// Becomes [`Stage::Security`] when it has answered.
    pub(super) stage: &'a Mutex<Stage>,
    /// Time for the handshake.
    pub(super) timeout: Duration,
}

/// Completes the handshake of a connection. Dropping the future closes the connection.
///
/// # Errors
/// The remote was refused, refuses us, is none of libp2p, or too slow.
pub(super) async fn complete(
    session: Session,
    route: Arc<EndpointRoute>,
    epoch: Instant,
    remote: &Remote<'_>,
) -> Result<RawConnection, ConnectError> {
    let mut handshake = Handshake {
        session: Some(Box::new(session)),
        route,
        epoch,
        received: VecDeque::new(),
        datagrams: Vec::new(),
        code: ConnectionErrorCode::NoError,
    };
    let mut sleep = pin!(sleep_until(epoch.into()));
    let over = poll_fn(|cx| {
        loop {
            match handshake.advance(cx, remote.stage) {
                Step::Over(result) => return Poll::Ready(result),
                Step::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Until(None) => return Poll::Pending,
                Step::Until(Some(deadline)) => {
                    sleep.as_mut().reset((epoch + deadline).into());
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    });
    let over = tokio::time::timeout(remote.timeout, over).await;
    let established = over.unwrap_or(Err(ConnectError::Timeout));
    let (peer, key, address, local) = match established {
        Ok(established) => established,
        Err(error) => {
            let refusal = remote.dialer.and_then(QuicDialer::refusal);
            return Err(refusal.map_or(error, |refusal| ConnectError::Handshake(Arc::new(refusal))));
        }
    };
    handshake.code = ConnectionErrorCode::Gated;
    Ok(RawConnection {
        carrier: Carrier::Session(Arc::new(Authenticated {
            peer,
            key,
            handshake: Mutex::new(Some(handshake)),
        })),
        local: multiaddr(local),
        remote: multiaddr(address),
    })
}

/// A connection and its way through the endpoint.
struct Handshake {
    /// Empty once it has been taken.
    session: Option<Box<Session>>,
    route: Arc<EndpointRoute>,
    epoch: Instant,
    received: VecDeque<ConnectionEvent>,
    datagrams: Vec<u8>,
    /// What the remote is told when this is dropped with the session.
    code: ConnectionErrorCode,
}

/// Peer, key, remote and local address.
type Established = (PeerId, PublicKey, SocketAddr, SocketAddr);

enum Step {
    Over(Result<Established, ConnectError>),
    /// To be repeated after other tasks have had their turn.
    Yield,
    /// To be repeated when woken, or at this time.
    Until(Option<Duration>),
}

impl Handshake {
    fn advance(&mut self, cx: &mut Context<'_>, stage: &Mutex<Stage>) -> Step {
        let Some(session) = &mut self.session else {
            return Step::Over(Err(ConnectError::Internal));
        };
        for _ in 0..ROUNDS_MAX {
            let arrived = self.route.take_received(&mut self.received);
            if let Some(error) = arrived.failure {
                return Step::Over(Err(ConnectError::Io(error)));
            }
            for event in self.received.drain(..) {
                session.handle_event(event);
            }
            let now = self.epoch.elapsed();
            if session.poll_timeout().is_some_and(|at| at <= now) {
                session.handle_timeout(now);
            }
            let sent = transmit(session, &*self.route, &mut self.datagrams, now);
            session.absorb();
            if session.is_answered() {
                *stage.lock() = Stage::Security;
            } else if let Err(error) = sent {
                // There is no way to the remote.
                return Step::Over(Err(error.into()));
            }
            if let Some(reason) = session.ended() {
                return Step::Over(Err(error_of(reason)));
            }
            if !session.is_handshaking() {
                return Step::Over(self.established());
            }
            // A remote that has been woken for is read before the wait.
            if self.route.poll_received(cx).is_pending() {
                return Step::Until(session.poll_timeout());
            }
        }
        Step::Yield
    }

    fn established(&self) -> Result<Established, ConnectError> {
        let Some(session) = &self.session else {
            return Err(ConnectError::Internal);
        };
        let (peer, key) = session
            .peer()
            .map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
        let local = self.route.local_address()?;
        Ok((peer, key, session.remote_address(), local))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let now = self.epoch.elapsed();
        session.close(now, self.code as u32);
        // A remote that does not learn of it finds out by its timeouts.
        transmit(session, &*self.route, &mut self.datagrams, now).ok();
    }
}

fn error_of(reason: &CloseReason) -> ConnectError {
    match reason {
        CloseReason::Local => ConnectError::Internal,
        CloseReason::TimedOut => ConnectError::Timeout,
        CloseReason::Remote(_) | CloseReason::Reset => ConnectError::Ended,
        CloseReason::Alert(alert) => {
            ConnectError::Handshake(Arc::new(HandshakeError::from_alert(*alert)))
        }
        CloseReason::Refused | CloseReason::Version | CloseReason::Protocol(_) => {
            ConnectError::Quic(reason.clone())
        }
    }
}
