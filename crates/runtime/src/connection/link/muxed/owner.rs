//! Owner of a connection's socket: its I/O thread or JavaScript's event loop.

use std::time::Duration;

use crate::connection::Connection;
use crate::error::ConnectionFault;
use crate::loop_sockets::TurnOutput;
use crate::sync::Arc;

use super::{Muxed, Received};

/// Maximum number of bytes of a light turn, as many as an inline write sends.
pub(in crate::connection) const LIGHT_TURN_BYTES: usize = 16 << 10;

/// Maximum duration of a series of light turns that moves a connection to the event loop.
const STREAK_MAX: Duration = Duration::from_millis(100);

/// Maximum time on the event loop without a turn: JavaScript is busy with something else, or no
/// bytes arrive. Either way the I/O thread takes over, so that an idle connection needs no periodic
/// check.
const LOOP_IDLE_MAX: Duration = Duration::from_millis(500);

/// Thread that waits for the socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum SocketOwner {
    /// The driver's thread, after `turns` consecutive light turns since `since`. While `since` is
    /// in the future the connection may not move to the event loop.
    Thread { turns: u32, since: Duration },
    /// JavaScript's event loop.
    Loop {
        token: usize,
        /// It has had a turn there since `until` was set.
        active: bool,
        until: Duration,
    },
    /// Returning: the driver takes the socket back in its next turn.
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
    /// Time at which the driver checks that the event loop still serves the connection.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Loop { until, .. } => Some(*until),
            Self::Thread { .. } | Self::Returning => None,
        }
    }
}

impl Muxed {
    pub(in crate::connection) const fn is_on_loop(&self) -> bool {
        matches!(self.owner, SocketOwner::Loop { .. })
    }

    /// Decides on the owner at the end of a turn of the driver.
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
                if !quiet || bytes > LIGHT_TURN_BYTES || now > *since + STREAK_MAX {
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
            SocketOwner::Loop { active, until, .. } => {
                let idle = *until <= now && !*active;
                if !quiet || bytes > LIGHT_TURN_BYTES || idle {
                    self.leave(connection);
                } else if *until <= now {
                    (*active, *until) = (false, now + LOOP_IDLE_MAX);
                }
            }
            SocketOwner::Returning => {}
        }
        self.return_to_thread(connection, now)
    }

    /// Moves the socket to the event loop if that has room.
    fn move_to_loop(&mut self, connection: &Arc<Connection>, now: Duration) {
        let loop_sockets = connection.hub.loop_sockets();
        self.owner = match loop_sockets.and_then(|loop_sockets| loop_sockets.admit(connection)) {
            Some(token) => SocketOwner::Loop {
                token,
                active: false,
                until: now + LOOP_IDLE_MAX,
            },
            None => SocketOwner::Thread {
                turns: 0,
                since: now,
            },
        };
    }

    /// Ends a turn on JavaScript's thread, in which the socket was read until it was `dry` or not;
    /// returns whether the driver must take over.
    pub(in crate::connection) fn end_loop_turn(
        &mut self,
        connection: &Connection,
        dry: bool,
        may_stay: bool,
    ) -> bool {
        let (SocketOwner::Loop { token, active, .. }, Some(loop_sockets)) =
            (&mut self.owner, connection.hub.loop_sockets())
        else {
            return false;
        };
        *active = true;
        let token = *token;
        let bytes = std::mem::take(&mut self.recent_bytes);
        let output = if connection.hub.is_quiet() {
            TurnOutput::Nothing
        } else {
            TurnOutput::Records
        };
        let can_stay = loop_sockets.charge(token, bytes, output) && may_stay;
        let held_back = self.engine.has_events();
        let stays = can_stay && dry && !held_back && bytes <= LIGHT_TURN_BYTES;
        if !stays {
            self.leave(connection);
        }
        !stays
    }

    /// Leaves the event loop; the driver must then take the socket back.
    pub(in crate::connection) fn leave(&mut self, connection: &Connection) {
        if let SocketOwner::Loop { token, .. } = self.owner {
            self.owner = SocketOwner::Returning;
            if let Some(loop_sockets) = connection.hub.loop_sockets() {
                loop_sockets.dismiss(token);
            }
        }
    }

    /// Returns the socket to the current I/O thread.
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
        self.pipe
            .reclaim(loop_sockets.queue())
            .map_err(|error| ConnectionFault::Io(error.into()))
    }
}
