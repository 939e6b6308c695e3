//! Our own pings: liveness of the remote and round-trip time.

use std::time::Duration;

use super::{Config, ProtocolError};
use crate::muxer::Outgoing;

/// Maximum time without a byte in the middle of a frame.
///
/// A keepalive ping cannot detect this: its pong would have to follow the rest of the frame.
const FRAME_STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Keepalive timer of a session: schedules pings and times out the remote.
#[derive(Clone, Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// Replaces `timeout` while our data may delay the pong.
    delivery_timeout: Duration,
    /// The caller has supplied the time.
    is_started: bool,
    /// We do not read, so silence is inconclusive.
    is_paused: bool,
    /// Time of the next check for silence. Input postpones the ping, not this check: resetting a
    /// timer on all input would cost more.
    next_ping_at: Duration,
    /// Time of the last input.
    received_at: Duration,
    /// Time at which the remote was last seen to take data; zero initially.
    delivered_at: Duration,
    /// The remote has not taken all our data.
    data_waits: bool,
    /// Ping in flight; at most one.
    outstanding: Option<Ping>,
    /// The outstanding ping has not been written.
    unsent: bool,
    next_id: u32,
    rtt: Option<Duration>,
}

#[derive(Copy, Clone, Debug)]
struct Ping {
    id: u32,
    at: Duration,
    /// The clock has not been paused since.
    measures: bool,
}

impl Keepalive {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            interval: config.keepalive_interval,
            timeout: config.keepalive_timeout,
            delivery_timeout: config.delivery_timeout,
            is_started: false,
            is_paused: false,
            next_ping_at: Duration::ZERO,
            received_at: Duration::ZERO,
            delivered_at: Duration::ZERO,
            data_waits: false,
            outstanding: None,
            unsent: false,
            next_id: 0,
            rtt: None,
        }
    }

    pub(super) const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Records input.
    pub(super) const fn received(&mut self, now: Duration) {
        self.received_at = now;
    }

    /// Records the progress of sent data.
    pub(super) fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        self.data_waits = outgoing != Outgoing::Gone;
        if outgoing == Outgoing::Moves {
            self.delivered_at = now;
        }
    }

    /// Returns the start time of the ping in flight.
    pub(super) fn pinged_at(&self) -> Option<Duration> {
        self.outstanding.map(|ping| ping.at)
    }

    /// Starts a ping unless one is in flight.
    pub(super) fn ping(&mut self, now: Duration) {
        if self.outstanding.is_none() {
            self.outstanding = Some(Ping {
                id: self.next_id,
                at: now,
                measures: true,
            });
            self.unsent = true;
            self.data_waits = false;
            self.next_id = self.next_id.wrapping_add(1);
        }
    }

    pub(super) const fn has_unsent(&self) -> bool {
        self.unsent
    }

    /// Takes the ping to write.
    pub(super) fn take_unsent(&mut self) -> Option<u32> {
        let ping = self.outstanding?;
        std::mem::take(&mut self.unsent).then_some(ping.id)
    }

    /// Handles a pong; `None` if it is unsolicited.
    pub(super) fn pong(&mut self, id: u32, now: Duration) -> Option<Pong> {
        let ping = self
            .outstanding
            .filter(|ping| ping.id == id && !self.unsent)?;
        self.outstanding = None;
        if !ping.measures {
            return Some(Pong::Unmeasured);
        }
        let sample = now.saturating_sub(ping.at);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt + sample) / 2));
        Some(Pong::Measured(sample))
    }

    /// Returns the next deadline; the first is immediate. `mid_frame`: whether a frame is
    /// incomplete.
    pub(super) fn deadline(&self, mid_frame: bool) -> Option<Duration> {
        if self.is_paused {
            return None;
        }
        if !self.is_started {
            return Some(Duration::ZERO);
        }
        let stall = mid_frame.then(|| self.received_at.saturating_add(FRAME_STALL_TIMEOUT));
        self.ping_deadline().into_iter().chain(stall).min()
    }

    /// Starts the clock, pings, or times out.
    pub(super) fn handle(&mut self, now: Duration, mid_frame: bool) -> Result<(), ProtocolError> {
        if self.is_paused {
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.received_at = now;
            self.next_ping_at = now.saturating_add(self.interval);
            return Ok(());
        }
        if mid_frame && self.received_at.saturating_add(FRAME_STALL_TIMEOUT) <= now {
            return Err(ProtocolError::FrameStalled);
        }
        if self.ping_deadline().is_some_and(|at| at <= now) {
            if self.outstanding.is_some() {
                return Err(ProtocolError::KeepaliveTimeout);
            }
            let quiet_until = self.received_at.saturating_add(self.interval);
            if quiet_until > now {
                self.next_ping_at = quiet_until;
            } else {
                self.next_ping_at = now.saturating_add(self.interval);
                self.ping(now);
            }
        }
        Ok(())
    }

    pub(super) const fn pause(&mut self) {
        self.is_paused = true;
        if let Some(ping) = &mut self.outstanding {
            ping.measures = false;
        }
    }

    pub(super) const fn resume(&mut self, now: Duration) {
        if std::mem::replace(&mut self.is_paused, false) {
            self.received_at = now;
        }
    }

    /// Time of the next ping check or, with a ping in flight, of its timeout.
    ///
    /// Anything received counts as a sign of life, since a pong may be queued behind megabytes; and
    /// since the ping may be too, so does data that the remote takes.
    fn ping_deadline(&self) -> Option<Duration> {
        if self.interval.is_zero() {
            return None;
        }
        Some(match self.outstanding {
            Some(ping) => {
                let extended = self.delivery_timeout.max(self.timeout);
                let timeout = if self.data_waits {
                    extended
                } else {
                    self.timeout
                };
                let active_at = self.received_at.max(ping.at);
                let delivered = (self.delivered_at > ping.at)
                    .then(|| self.delivered_at.saturating_add(extended));
                let silence = active_at.saturating_add(timeout);
                delivered.map_or(silence, |at| at.max(silence))
            }
            None => self.next_ping_at,
        })
    }
}

/// Outcome of an expected pong.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Pong {
    Measured(Duration),
    /// The clock was paused in between.
    Unmeasured,
}
