//! Where a connection's socket is waited for: its I/O thread, or JavaScript's event loop.

use std::time::Duration;

use crate::connection::Connection;
use crate::error::ConnectionFault;
use crate::loop_sockets::TurnOutput;
use crate::sync::Arc;

use super::{Link, Received};
/// Bytes of a turn that count as little: what an inline write sends as well.
pub(in crate::connection) const LITTLE_BYTES: usize = 16 << 10;

/// Time within which the turns with little that make a guest have to come.
const STREAK_MAX: Duration = Duration::from_millis(100);

/// How long a guest stays without a turn: JavaScript is busy with something else, or there is nothing
/// to wait for. Either way the I/O thread takes over, and nothing is looked at while nothing happens.
const LOOP_IDLE_MAX: Duration = Duration::from_millis(500);

/// Where a connection lives.
#[derive(Debug, Clone, Copy)]
pub(super) enum SocketOwner {
    /// With its driver, after so many turns with little since then. What lies ahead is a rest.
    Thread { turns: u32, since: Duration },
    /// With JavaScript's event loop.
    Loop {
        token: usize,
        /// It has had a turn there since `until` was set.
        turned: bool,
        until: Duration,
    },
    /// On its way back: the driver takes the socket as soon as it runs.
    Returning,
}

impl Default for SocketOwner {
    fn default() -> Self {
        Self::Thread {
            turns: 0,
            since: Duration::ZERO,
        }
    }
}

impl SocketOwner {
    /// When the driver has to see whether the guest is still looked after.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Loop { until, .. } => Some(*until),
            Self::Thread { .. } | Self::Returning => None,
        }
    }
}

impl Link {
    pub(in crate::connection) const fn is_on_loop(&self) -> bool {
        matches!(self.owner, SocketOwner::Loop { .. })
    }

    /// The driver's decision at the end of a turn in which it received `received`.
    pub(in crate::connection) fn choose_owner(
        &mut self,
        connection: &Arc<Connection>,
        received: &Received,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let bytes = std::mem::take(&mut self.recent_bytes);
        let quiet = matches!(received, Received::Dry) && !self.wants_write();
        match &mut self.owner {
            SocketOwner::Thread { turns, since } => {
                if bytes == 0 || now < *since {
                    return Ok(());
                }
                if !quiet || bytes > LITTLE_BYTES || now > *since + STREAK_MAX {
                    (*turns, *since) = (0, now);
                    return Ok(());
                }
                *turns += 1;
                if connection
                    .hub
                    .loop_sockets()
                    .is_some_and(|loop_sockets| *turns >= loop_sockets.terms().turns)
                {
                    self.move_to_loop(connection, now);
                }
            }
            SocketOwner::Loop { turned, until, .. } => {
                let neglected = *until <= now && !*turned;
                if !quiet || bytes > LITTLE_BYTES || neglected {
                    self.leave(connection);
                } else if *until <= now {
                    (*turned, *until) = (false, now + LOOP_IDLE_MAX);
                }
            }
            SocketOwner::Returning => {}
        }
        self.return_to_thread(connection, now)
    }

    /// Makes the connection a guest of the loop, if that has room.
    fn move_to_loop(&mut self, connection: &Arc<Connection>, now: Duration) {
        let loop_sockets = connection.hub.loop_sockets();
        self.owner = match loop_sockets.and_then(|loop_sockets| loop_sockets.admit(connection)) {
            Some(token) => SocketOwner::Loop {
                token,
                turned: false,
                until: now + LOOP_IDLE_MAX,
            },
            None => SocketOwner::Thread {
                turns: 0,
                since: now,
            },
        };
    }

    /// A turn on JavaScript's thread has ended, in which the socket was read until it was `dry` or not; returns
    /// whether the driver has to take over.
    pub(in crate::connection) fn end_loop_turn(
        &mut self,
        connection: &Connection,
        dry: bool,
        may_stay: bool,
    ) -> bool {
        let (SocketOwner::Loop { token, turned, .. }, Some(loop_sockets)) =
            (&mut self.owner, connection.hub.loop_sockets())
        else {
            return false;
        };
        *turned = true;
        let token = *token;
        let bytes = std::mem::take(&mut self.recent_bytes);
        let output = if connection.hub.is_quiet() {
            TurnOutput::None
        } else {
            TurnOutput::Some
        };
        let can_stay = loop_sockets.charge(token, bytes, output) && may_stay;
        let held_back = self.engine.has_events();
        let stays = can_stay && dry && !held_back && bytes <= LITTLE_BYTES;
        if !stays {
            self.leave(connection);
        }
        !stays
    }

    /// Ends the move_to_loop; the driver has to come for the socket.
    pub(in crate::connection) fn leave(&mut self, connection: &Connection) {
        if let SocketOwner::Loop { token, .. } = self.owner {
            self.owner = SocketOwner::Returning;
            if let Some(loop_sockets) = connection.hub.loop_sockets() {
                loop_sockets.dismiss(token);
            }
        }
    }

    /// Takes the socket back to the present I/O thread.
    pub(in crate::connection) fn return_to_thread(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let (SocketOwner::Returning, Some(loop_sockets)) =
            (self.owner, connection.hub.loop_sockets())
        else {
            return Ok(());
        };
        self.owner = SocketOwner::Thread {
            turns: 0,
            since: now + loop_sockets.terms().rest,
        };
        connection
            .pipe
            .reclaim(loop_sockets.queue())
            .map_err(|error| ConnectionFault::Io(error.into()))
    }
}
