//! The I/O thread's side of a connection.

use std::task::Context;
use std::time::Duration;

use crate::error::ConnectionFault;
use crate::sync::{Arc, Ordering, fence};

use super::core::Turn;
use super::link::Received;
use super::{CloseManner, Connection, Scratch};

/// Wake-up conditions of the driver after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drive {
    /// Another turn is due once the other connections have had theirs.
    pub(crate) again: bool,
    /// A turn is due at this time of the connection's clock.
    pub(crate) deadline: Option<Duration>,
}

/// Consecutive turns before yielding to other connections, however much a busy writer posts.
const TURNS_MAX: usize = 8;

impl Connection {
    /// Runs turns: reads, delivers, seals, sends. Returns the conditions to wait for besides `cx`,
    /// or the fault with which the connection has ended.
    pub(crate) fn poll_drive(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Result<Drive, ConnectionFault> {
        self.register(cx);
        for _ in 0..TURNS_MAX {
            let Some(turn) = self.turn(scratch)? else {
                // The inline writer holds the lock; after unlocking it sees `driver_waits` and
                // wakes us.
                return Ok(Drive {
                    again: false,
                    deadline: None,
                });
            };
            self.hub.announce();
            let readable = match turn.received {
                Received::More => {
                    return Ok(Drive {
                        again: true,
                        deadline: turn.deadline,
                    });
                }
                Received::Paused | Received::Congested => false,
                Received::Dry => self.socket.poll_readable(cx).is_ready(),
            };
            let writable = turn.wants_write && self.socket.poll_writable(cx).is_ready();
            // After unlocking: work posted while the lock was held is visible here.
            fence(Ordering::SeqCst);
            if !(readable || writable || self.has_events()) {
                return Ok(Drive {
                    again: false,
                    deadline: turn.deadline,
                });
            }
        }
        Ok(Drive {
            again: true,
            deadline: None,
        })
    }

    /// Ends the connection and all its streams, and queues the notifications for JavaScript.
    ///
    /// Blocks on the lock: an inline writer holds it for a flush.
    pub(crate) fn finish(self: &Arc<Self>, fault: ConnectionFault) {
        let ended = self.core.lock().end(self, fault);
        *self.waker.lock() = None;
        if ended {
            self.hub.announce();
        }
    }

    /// Handles late datagrams of an ended connection. Returns when to do so again besides `cx`;
    /// `None` once nothing is awaited.
    pub(crate) fn linger(&self, cx: &mut Context<'_>) -> Option<Duration> {
        self.core.lock().linger(self, cx)
    }

    /// Announces the notifications of a pipe that JavaScript fills and empties.
    pub(crate) fn announce(&self) {
        self.hub.announce();
    }

    /// Returns whether work or readability was signalled that the last lock holder may have missed.
    pub(super) fn has_events(&self) -> bool {
        self.dirty.load(Ordering::SeqCst) || self.unread.load(Ordering::SeqCst)
    }

    /// Returns whether the close had stream data to deliver first, so that the connection is over
    /// only when the remote has received it.
    pub(crate) fn delivers(&self) -> bool {
        self.core.lock().delivers()
    }

    /// Maximum time for the remote to receive everything sent.
    pub(crate) fn delivery_max(&self) -> Duration {
        self.limits.write_stall_timeout
    }

    /// Returns whether the connection was closed without waiting for delivery.
    pub(crate) fn closes_at_once(&self) -> bool {
        let request = self.outbox.lock().close_request();
        request.is_some_and(|request| request.manner == CloseManner::AtOnce)
    }

    /// Returns the socket to this I/O thread, so that the remaining output can be waited for.
    pub(crate) fn return_to_thread(&self) {
        self.core.lock().return_to_thread(self, self.now());
    }

    /// Runs one turn under the lock. Returns `None` if the lock was held.
    fn turn(self: &Arc<Self>, scratch: &mut Scratch) -> Result<Option<Turn>, ConnectionFault> {
        // Set before the attempt: the lock holder checks it after unlocking.
        self.driver_waits.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return Ok(None);
        };
        self.driver_waits.store(false, Ordering::SeqCst);
        self.dirty.store(false, Ordering::SeqCst);
        self.unread.store(false, Ordering::SeqCst);
        let turn = core.turn(self, scratch, self.now())?;
        if turn.again {
            self.dirty.store(true, Ordering::SeqCst);
        }
        Ok(Some(turn))
    }

    fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
    }
}
