//! Pings of our own: whether the remote is there, and how far away.

use std::time::Duration;

use super::{Config, ProtocolError};
use crate::muxer::Outgoing;

/// Time without a byte in the middle of a frame that ends the connection.
///
/// A keepalive cannot tell: its pong would have to come behind the rest of the frame.
const FRAME_STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The clock of a session: when to ping, and when to give up.
#[derive(Clone, Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// As `timeout`, where the answer may wait behind data of ours.
    delivery_timeout: Duration,
    /// Somebody has told the time.
    is_started: bool,
    /// We do not read, so that silence says nothing.
    is_paused: bool,
    /// When to see whether the remote is silent. What it sends moves the ping, not this: a timer that is
    /// set anew with all input would cost more.
    next_ping_at: Duration,
    /// When input last came.
    received_at: Duration,
    /// When the remote was last seen to take data; zero before.
    delivered_at: Duration,
    /// Data of ours waits for the remote.
    data_waits: bool,
    /// At most one ping is on its way.
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
    /// The clock never stood still since.
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

    /// Input came.
    pub(super) const fn received(&mut self, now: Duration) {
        self.received_at = now;
    }

    /// What was seen of our data.
    pub(super) fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        self.data_waits = outgoing != Outgoing::Gone;
        if outgoing == Outgoing::Moves {
            self.delivered_at = now;
        }
    }

    /// When the ping that is on its way was begun.
    pub(super) fn pinged_at(&self) -> Option<Duration> {
        self.outstanding.map(|ping| ping.at)
    }

    /// Starts a ping unless one is on its way.
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

    /// The ping to write, once.
    pub(super) fn take_unsent(&mut self) -> Option<u32> {
        let ping = self.outstanding?;
        std::mem::take(&mut self.unsent).then_some(ping.id)
    }

    /// Takes a pong; `None` when nobody waits for it.
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

    /// `mid_frame`: whether a frame has begun and is not complete. The first deadline is at once.
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

    /// Starts the clock, pings, or gives up.
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

    /// When to see to the next ping or, with one on its way, when to give up.
    ///
    /// Anything received counts as a sign of life, since a pong may stand behind megabytes; and since the
    /// ping may, so does data that the remote takes.
    fn ping_deadline(&self) -> Option<Duration> {
        if self.interval.is_zero() {
            return None;
        }
        Some(match self.outstanding {
            Some(ping) => {
                let patience = self.delivery_timeout.max(self.timeout);
                let timeout = if self.data_waits {
                    patience
                } else {
                    self.timeout
                };
                let heard_at = self.received_at.max(ping.at);
                let delivered = (self.delivered_at > ping.at)
                    .then(|| self.delivered_at.saturating_add(patience));
                let silence = heard_at.saturating_add(timeout);
                delivered.map_or(silence, |at| at.max(silence))
            }
            None => self.next_ping_at,
        })
    }
}

/// What a pong that somebody waited for says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Pong {
    Measured(Duration),
    /// The clock was paused in between.
    Unmeasured,
}
