//! What the connection's lock guards: its streams, the link that carries them, and how far its life has come.

use std::time::Duration;

use ferroswarm_proto::muxer::{Event, StreamErrorCode};

use crate::error::ConnectionFault;
use crate::hub::Ready;
use crate::slot::ResetReport;
use crate::sync::Arc;

use super::life::{Closing, Life};
use super::link::{LITTLE_BYTES, Link, Received};
use super::streams::Streams;
use super::{CloseManner, CloseRequest, Connection, Scratch};

/// How long the GoAway may take where nothing is delivered before it.
const CLOSE_FLUSH_MAX: Duration = Duration::from_secs(1);

/// A connection under its lock.
pub(super) struct Core {
    streams: Streams,
    link: Link,
    life: Life,
    /// The time at which the driver looks by itself.
    armed: Option<Duration>,
}

/// What a turn of the driver left to wait for.
pub(super) struct Turn {
    pub(super) received: Received,
    /// What the muxer held back can go on: another turn.
    pub(super) goes_on: bool,
    pub(super) wants_write: bool,
    pub(super) deadline: Option<Duration>,
}

/// What a turn of sending came to.
#[derive(Default)]
struct Sent {
    /// Bytes sealed.
    sealed: usize,
    /// It ended at what it may seal, and there is more to send.
    is_cut: bool,
}

/// What a flush on JavaScript's thread came to.
pub(super) struct Flushed {
    /// Bytes sealed.
    pub(super) sealed: usize,
    /// The driver has to take over.
    pub(super) needs_driver: bool,
}

impl Core {
    pub(super) fn new(link: Link) -> Self {
        Self {
            streams: Streams::default(),
            link,
            life: Life::default(),
            armed: None,
        }
    }

    /// The driver's turn: reads, delivers, does what is due, sends.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn turn(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        now: Duration,
    ) -> Result<Turn, ConnectionFault> {
        let received = match self.life.fault() {
            Some(fault) => Err(fault),
            None => self.receive(connection, scratch.read(), now),
        };
        if received.is_ok() {
            self.handle_deadlines(connection, now)?;
        }
        self.transmit(connection, scratch, usize::MAX, now)?;
        self.link.count_frames(connection);
        let received = received?;
        if let Some(request) = self.life.request()
            && self.link.is_flushed()
        {
            return Err(request.fault);
        }
        self.link.choose_owner(connection, &received, now)?;
        let goes_on = match received {
            // JavaScript's drain wakes the driver.
            Received::Paused => false,
            Received::Congested => !self.link.is_congested(connection) || self.link.has_events(),
            Received::Dry | Received::More => self.link.has_events(),
        };
        self.armed = self.next_deadline(connection);
        Ok(Turn {
            received,
            goes_on,
            wants_write: self.link.wants_write(),
            deadline: self.armed,
        })
    }

    /// A flush on JavaScript's thread: seals and sends what is posted, some `sealed_max` bytes of it.
    pub(super) fn flush(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        sealed_max: usize,
        now: Duration,
    ) -> Flushed {
        // Where the socket has refused bytes, the driver waits for it.
        if self.life.has_ended() || self.link.wants_write() {
            return Flushed {
                sealed: 0,
                needs_driver: self.link.wants_write(),
            };
        }
        let sent = self.transmit(connection, scratch, sealed_max, now);
        let sent = sent.unwrap_or_else(|fault| {
            self.life.fail(fault);
            Sent {
                sealed: 0,
                is_cut: true,
            }
        });
        self.link.count_frames(connection);
        // The driver waits for the socket and for the clock, and it alone ends a connection.
        let sooner = self
            .next_deadline(connection)
            .is_some_and(|at| self.armed.is_none_or(|armed| at < armed));
        let waits = self.link.has_write_failed() || self.link.wants_write();
        Flushed {
            sealed: sent.sealed,
            // So it is with what the muxer has held back.
            needs_driver: sent.is_cut || waits || sooner || self.link.has_events(),
        }
    }

    /// A guest's turn on JavaScript's thread: reads and delivers; returns whether the driver has to take over.
    pub(super) fn move_to_loop(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        may_stay: bool,
        now: Duration,
    ) -> bool {
        if !self.link.is_on_loop() || self.life.has_ended() {
            return false;
        }
        let buffer = scratch.read();
        // One that has suddenly more is not for this thread to open.
        let most = self.link.buffer_for(LITTLE_BYTES, buffer.len());
        let received = self.receive(connection, &mut buffer[..most], now);
        let dry = matches!(received, Ok(Received::Dry));
        if let Err(fault) = received {
            self.life.fail(fault);
        }
        self.link.end_loop_turn(connection, dry, may_stay)
    }

    /// The socket comes back on the present I/O thread, so that what is left can be waited for.
    pub(super) fn return_to_thread(&mut self, connection: &Connection, now: Duration) {
        self.link.leave(connection);
        // A socket that does not come back has nothing left to wait for.
        self.link.return_to_thread(connection, now).ok();
    }

    /// It is being closed, and what streams have accepted is delivered first.
    pub(super) fn delivers(&self) -> bool {
        self.life.delivers()
    }

    /// Whether something that was written waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.life.has_ended() && (self.link.wants_write() || self.streams.has_unsent())
    }

    /// Ends everything: every stream, then the connection itself, as JavaScript will see it. Returns whether
    /// it had not ended before: the caller, who lets go of the lock first, announces it.
    pub(super) fn end(&mut self, connection: &Arc<Connection>, fault: ConnectionFault) -> bool {
        if !self.life.end() {
            return false;
        }
        let report = self.life.report(fault);
        let posted = connection.outbox.lock().end();
        let lost = ResetReport {
            code: report.code,
            remote: report.remote,
            connection_lost: true,
            orderly: report.is_orderly(),
            ..ResetReport::default()
        };
        self.streams.end(posted, connection, lost);
        self.link.end(connection);
        *connection.end.lock() = Some(report);
        connection.hub.stats.connections_closed.add(1);
        connection.hub.queue(Ready::Closed(Arc::clone(connection)));
        true
    }

    /// Reads and delivers until the socket is dry or the turn is over.
    fn receive(
        &mut self,
        connection: &Arc<Connection>,
        buffer: &mut [u8],
        now: Duration,
    ) -> Result<Received, ConnectionFault> {
        let Self {
            streams,
            link,
            life,
            ..
        } = self;
        link.receive(connection, buffer, now, |link, event| match event {
            Event::Opened { key } if life.is_closing() || connection.handlers.is_closed() => {
                // No refusal that the remote is to blame for: streams that are being drained may share its
                // connection.
                link.reset(key, StreamErrorCode::Shutdown as u32);
                link.remove(key);
            }
            Event::GoAway { code } => {
                if life.remote_goes_away(code) {
                    connection.outbox.lock().open_no_more();
                    streams.open_no_more();
                    connection
                        .hub
                        .queue(Ready::GoingAway(Arc::clone(connection), code));
                }
            }
            event => streams.handle_event(link, connection, event, now),
        })
    }

    /// Seals and sends what there is, until the socket refuses, nothing is left or `sealed_max` bytes are
    /// sealed; the record that reaches them is the last.
    fn transmit(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        sealed_max: usize,
        now: Duration,
    ) -> Result<Sent, ConnectionFault> {
        let mut sent = Sent::default();
        self.collect(connection, now);
        if !self.link.flush(connection, scratch, now) {
            return Ok(sent);
        }
        // Behind the end of the channel nothing can be said.
        while !self.link.is_closed() {
            if sent.sealed >= sealed_max {
                sent.is_cut =
                    self.streams.has_orders() || self.link.has_control() || self.life.is_closing();
                break;
            }
            self.collect(connection, now);
            let Self {
                streams,
                link,
                life,
                ..
            } = self;
            let sealed = link.seal(connection, scratch, sealed_max - sent.sealed, |link| {
                streams.fill(link, life, connection, now);
            })?;
            if sealed == 0 {
                self.follow_goaway(connection, now);
                let has_orders = self.streams.has_orders();
                if !self.life.send_goaway(&mut self.link, has_orders) {
                    break;
                }
                if self.link.has_control() {
                    continue;
                }
            }
            sent.sealed += sealed;
            if self.life.has_sent_goaway() {
                self.link.close_channel();
            }
            if !self.link.flush(connection, scratch, now) {
                break;
            }
        }
        Ok(sent)
    }

    /// Takes what other threads posted.
    fn collect(&mut self, connection: &Arc<Connection>, now: Duration) {
        let queried = connection.outbox.lock().collect(&mut self.streams);
        if let Some(request) = queried
            && self.life.request() != Some(request)
        {
            self.begin_close(connection, request, now);
        }
    }

    /// Begins to close the connection, or to close it sooner than was asked before.
    fn begin_close(&mut self, connection: &Connection, request: CloseRequest, now: Duration) {
        let mut closing = Closing::new(request, self.link.mark(), now + CLOSE_FLUSH_MAX);
        if request.manner == CloseManner::Orderly {
            let (draining, others) = self.streams.by_draining();
            if !draining.is_empty() || self.link.wants_write() {
                let until = now + connection.limits.write_stall_timeout;
                closing = closing.delivering(draining, until);
                // The connection stays for a while, and they do not.
                let lost = ResetReport {
                    code: request.code,
                    connection_lost: true,
                    orderly: request.code == 0,
                    ..ResetReport::default()
                };
                for slot in others {
                    slot.shut_down(lost, StreamErrorCode::Shutdown as u32);
                }
            }
        }
        self.life.close(closing);
    }

    /// Closes the connection once nothing is left of it behind the remote's GoAway.
    fn follow_goaway(&mut self, connection: &Connection, now: Duration) {
        // Nothing waits in the outbox: what was posted before the GoAway has been collected since.
        if let Some(code) = self.life.unanswered_goaway()
            && self.streams.is_empty()
        {
            let request = CloseRequest {
                code: 0,
                fault: ConnectionFault::GoAway(code),
                manner: CloseManner::Orderly,
            };
            self.begin_close(connection, request, now);
        }
    }

    /// The earliest time at which something has to happen by itself.
    fn next_deadline(&self, connection: &Connection) -> Option<Duration> {
        [
            self.link.next_deadline(&connection.limits),
            self.life.deadline(),
            self.streams.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due at `now`.
    fn handle_deadlines(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        self.link.handle_deadlines(connection, now)?;
        let patience = connection.limits.write_stall_timeout;
        self.life.handle_deadline(self.link.mark(), patience, now)?;
        self.streams
            .handle_deadlines(&mut self.link, connection, now);
        Ok(())
    }
}

#[cfg(test)]
impl Core {
    /// Streams that wait to be opened, those given up and not forgotten yet included.
    pub(super) fn unopened_count(&self) -> usize {
        self.streams.unopened_count()
    }

    /// What the receive windows have grown by.
    pub(super) const fn window_growth(&self) -> usize {
        self.link.window_growth()
    }

    /// Makes the channel fail: one that has failed once seals nothing any more.
    pub(super) fn break_channel(&mut self) {
        self.link.break_channel();
    }
}
