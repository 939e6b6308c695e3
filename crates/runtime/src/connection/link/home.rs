//! Where a connection's socket is waited for: its I/O thread, or JavaScript's event loop.

use std::time::Duration;

use crate::connection::Connection;
use crate::error::ConnectionFault;
use crate::guests::News;
use crate::sync::Arc;

use super::{Link, Received};
/// Bytes of a turn that count as little: what an inline write sends as well.
pub(in crate::connection) const LITTLE_BYTES: usize = 16 << 10;

/// Time within which the turns with little that make a guest have to come.
const STREAK_MAX: Duration = Duration::from_millis(100);

/// How long a guest stays without a turn: JavaScript is busy with something else, or there is nothing
/// to wait for. Either way the I/O thread takes over, and nothing is looked at while nothing happens.
const STAY: Duration = Duration::from_millis(500);

/// Where a connection lives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Home {
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

impl Default for Home {
    fn default() -> Self {
        Self::Thread {
            turns: 0,
            since: Duration::ZERO,
        }
    }
}

impl Home {
    /// When the driver has to see whether the guest is still looked after.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Loop { until, .. } => Some(*until),
            Self::Thread { .. } | Self::Returning => None,
        }
    }
}

impl Link {
    pub(in crate::connection) const fn is_guest(&self) -> bool {
        matches!(self.home, Home::Loop { .. })
    }

    /// The driver's decision at the end of a turn in which it received `received`.
    pub(in crate::connection) fn choose_home(
        &mut self,
        connection: &Arc<Connection>,
        received: &Received,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let bytes = std::mem::take(&mut self.recent_bytes);
        let quiet = matches!(received, Received::Dry) && !self.wants_write();
        match &mut self.home {
            Home::Thread { turns, since } => {
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
                    .guests()
                    .is_some_and(|guests| *turns >= guests.terms().turns)
                {
                    self.visit(connection, now);
                }
            }
            Home::Loop { turned, until, .. } => {
                let neglected = *until <= now && !*turned;
                if !quiet || bytes > LITTLE_BYTES || neglected {
                    self.leave(connection);
                } else if *until <= now {
                    (*turned, *until) = (false, now + STAY);
                }
            }
            Home::Returning => {}
        }
        self.come_home(connection, now)
    }

    /// Makes the connection a guest of the loop, if that has room.
    fn visit(&mut self, connection: &Arc<Connection>, now: Duration) {
        let guests = connection.hub.guests();
        self.home = match guests.and_then(|guests| guests.admit(connection)) {
            Some(token) => Home::Loop {
                token,
                turned: false,
                until: now + STAY,
            },
            None => Home::Thread {
                turns: 0,
                since: now,
            },
        };
    }

    /// A turn on JavaScript's thread has ended, in which the socket was read until it was `dry` or not; returns
    /// whether the driver has to take over.
    pub(in crate::connection) fn end_visit_turn(
        &mut self,
        connection: &Connection,
        dry: bool,
        may_stay: bool,
    ) -> bool {
        let (Home::Loop { token, turned, .. }, Some(guests)) =
            (&mut self.home, connection.hub.guests())
        else {
            return false;
        };
        *turned = true;
        let token = *token;
        let bytes = std::mem::take(&mut self.recent_bytes);
        let news = if connection.hub.is_quiet() {
            News::None
        } else {
            News::Some
        };
        let can_stay = guests.charge(token, bytes, news) && may_stay;
        let held_back = self.engine.has_events();
        let stays = can_stay && dry && !held_back && bytes <= LITTLE_BYTES;
        if !stays {
            self.leave(connection);
        }
        !stays
    }

    /// Ends the visit; the driver has to come for the socket.
    pub(in crate::connection) fn leave(&mut self, connection: &Connection) {
        if let Home::Loop { token, .. } = self.home {
            self.home = Home::Returning;
            if let Some(guests) = connection.hub.guests() {
                guests.dismiss(token);
            }
        }
    }

    /// Takes the socket back to the present I/O thread.
    pub(in crate::connection) fn come_home(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        let (Home::Returning, Some(guests)) = (self.home, connection.hub.guests()) else {
            return Ok(());
        };
        self.home = Home::Thread {
            turns: 0,
            since: now + guests.terms().rest,
        };
        connection
            .pipe
            .reclaim(guests.queue())
            .map_err(|error| ConnectionFault::Io(error.into()))
    }
}
