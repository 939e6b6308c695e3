//! The I/O thread's side of a connection.

use std::task::Context;
use std::time::Duration;

use crate::error::ConnectionFault;
use crate::sync::{Arc, Ordering, fence};

use super::core::Turn;
use super::link::Received;
use super::{CloseManner, Connection, Scratch};

/// What the driver waits for after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drive {
    /// It wants another turn after the other connections had theirs.
    pub(crate) again: bool,
    /// It wants one at this time of the connection's clock.
    pub(crate) deadline: Option<Duration>,
}

/// Turns before other connections have theirs, however much a busy writer posts.
const TURNS_MAX: usize = 8;

impl Connection {
    /// One turn: reads, delivers, seals, sends. Pending with what to wait for besides `cx`; ready
    /// when the connection has ended.
    pub(crate) fn poll_drive(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Result<Drive, ConnectionFault> {
        self.register(cx);
        for _ in 0..TURNS_MAX {
            let Some(turn) = self.turn(scratch)? else {
                // The inline writer holds the lock. It sees `driver_waits` when it lets go, and wakes us.
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
                // A readiness that failed shows in the next read or write.
                Received::Dry => self.pipe.poll_readable(cx).is_ready(),
            };
            let writable = turn.wants_write && self.pipe.poll_writable(cx).is_ready();
            // Behind the unlocking: what was posted while the lock was held shows here.
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

    /// The connection is over: everything of it ends, as JavaScript will see it.
    ///
    /// Waits for the lock: an inline writer holds it for one system call at most.
    pub(crate) fn finish(self: &Arc<Self>, fault: ConnectionFault) {
        let ended = self.core.lock().end(self, fault);
        *self.waker.lock() = None;
        if ended {
            self.hub.announce();
        }
    }

    /// Something was posted, or told of, that the last holder of the lock may not have seen.
    fn has_events(&self) -> bool {
        self.dirty.load(Ordering::SeqCst) || self.unread.load(Ordering::SeqCst)
    }

    /// All of a closing connection is said, and its streams have delivered something with it: it is over
    /// when the remote has it.
    pub(crate) fn delivers(&self) -> bool {
        self.core.lock().delivers()
    }

    /// How long the remote may take to have it.
    pub(crate) fn delivery_max(&self) -> Duration {
        self.limits.write_stall_timeout
    }

    /// Whether the connection was closed in a way that waits for nobody.
    pub(crate) fn closes_at_once(&self) -> bool {
        let request = self.outbox.lock().close_request();
        request.is_some_and(|request| request.manner == CloseManner::AtOnce)
    }

    /// The socket comes back on this thread, so that what is left can be waited for.
    pub(crate) fn return_to_thread(&self) {
        self.core.lock().return_to_thread(self, self.now());
    }

    /// Takes the lock, does what there is to do, lets go. None when it was not free.
    fn turn(self: &Arc<Self>, scratch: &mut Scratch) -> Result<Option<Turn>, ConnectionFault> {
        // Set before the attempt: whoever holds the lock looks at it after letting go.
        self.driver_waits.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return Ok(None);
        };
        self.driver_waits.store(false, Ordering::SeqCst);
        self.dirty.store(false, Ordering::SeqCst);
        self.unread.store(false, Ordering::SeqCst);
        let turn = core.turn(self, scratch, self.now())?;
        if turn.goes_on {
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
