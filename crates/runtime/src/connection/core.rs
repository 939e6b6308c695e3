//! State guarded by the core lock: the streams, the link that carries them, and the lifecycle.

use std::task::Context;
use std::time::Duration;

use ferroswarm_proto::muxer::{Event, StreamErrorCode};

use crate::error::ConnectionFault;
use crate::hub::Ready;
use crate::slot::ResetReport;
use crate::sync::Arc;

use super::life::{Closing, Life};
use super::link::{LIGHT_TURN_BYTES, Link, Received, StreamLink};
use super::streams::Streams;
use super::{CloseManner, CloseRequest, Connection, Scratch};

/// Time to flush our GoAway when no stream data is delivered before it.
const CLOSE_FLUSH_MAX: Duration = Duration::from_secs(1);

/// State of a connection under its lock.
pub(super) struct Core {
    streams: Streams,
    link: Link,
    life: Life,
    /// Deadline that the driver last armed.
    armed: Option<Duration>,
}

/// Wake-up conditions after a turn of the driver.
pub(super) struct Turn {
    pub(super) received: Received,
    /// Events held back by the muxer can proceed, which takes another turn.
    pub(super) again: bool,
    pub(super) wants_write: bool,
    pub(super) deadline: Option<Duration>,
}

/// Outcome of a transmit.
#[derive(Default)]
struct Sent {
    /// Bytes sealed.
    sealed: usize,
    /// It stopped at its limit of sealed bytes with more to send.
    is_cut: bool,
}

/// Outcome of a flush on JavaScript's thread.
pub(super) struct Flushed {
    /// Bytes sealed.
    pub(super) sealed: usize,
    /// The driver must take over.
    pub(super) needs_driver: bool,
    /// The connection has ended.
    pub(super) has_ended: bool,
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

    /// Runs a turn of the driver: reads, delivers, handles deadlines, sends.
    ///
    /// # Errors
    /// The fault with which the connection ends.
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
        let again = match received {
            // The next drain wakes the driver.
            Received::Paused => false,
            Received::Congested => !self.link.is_congested(connection) || self.link.has_events(),
            Received::Dry | Received::More => self.link.has_events(),
        };
        self.armed = self.next_deadline(connection);
        Ok(Turn {
            received,
            again,
            wants_write: self.link.wants_write(),
            deadline: self.armed,
        })
    }

    /// Flushes on JavaScript's thread: seals and sends about `sealed_max` bytes of posted output.
    pub(super) fn flush(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        sealed_max: usize,
        now: Duration,
    ) -> Flushed {
        // If the socket has refused bytes, the driver waits for writability.
        if self.life.has_ended() || self.link.wants_write() {
            return Flushed {
                sealed: 0,
                needs_driver: self.link.wants_write(),
                has_ended: false,
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
        if let Some(request) = self.life.request()
            && self.link.ends_when_flushed()
        {
            // The driver is left with the late datagrams of the remote.
            self.life.fail(request.fault);
            return Flushed {
                sealed: sent.sealed,
                needs_driver: true,
                has_ended: self.end(connection, request.fault),
            };
        }
        // Only the driver waits for the socket and for deadlines, and only it ends a byte pipe.
        let sooner = self
            .next_deadline(connection)
            .is_some_and(|at| self.armed.is_none_or(|armed| at < armed));
        let waits = self.link.has_write_failed() || self.link.wants_write();
        Flushed {
            sealed: sent.sealed,
            // Only the driver can deliver events that the muxer holds back.
            needs_driver: sent.is_cut
                || waits
                || sooner
                || self.life.is_closing()
                || self.link.has_events(),
            has_ended: false,
        }
    }

    /// Runs a turn of a connection on the event loop: reads and delivers. Returns whether the
    /// driver must take over.
    pub(super) fn read_on_loop(
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
        // A larger burst is left to the driver, to keep its decryption off this thread.
        let length = self.link.buffer_for(LIGHT_TURN_BYTES, buffer.len());
        let received = self.receive(connection, &mut buffer[..length], now);
        let dry = matches!(received, Ok(Received::Dry));
        if let Err(fault) = received {
            self.life.fail(fault);
        }
        self.link.end_loop_turn(connection, dry, may_stay)
    }

    /// Returns the socket to the current I/O thread, so that the remaining output can be waited
    /// for.
    pub(super) fn return_to_thread(&mut self, connection: &Connection, now: Duration) {
        self.link.leave(connection);
        // If the socket cannot be reclaimed, there is nothing left to wait for.
        self.link.return_to_thread(connection, now).ok();
    }

    /// Returns whether the connection is closing and delivers accepted bytes first.
    pub(super) fn delivers(&self) -> bool {
        self.life.delivers()
    }

    /// Returns whether written bytes or FINs are waiting to be sent.
    pub(super) fn has_unsent(&mut self, now: Duration) -> bool {
        !self.life.has_ended()
            && (self.link.wants_write()
                || self.streams.has_unsent()
                || self.link.has_unacknowledged(now))
    }

    /// Ends every stream, then the connection itself, in the order JavaScript is notified. Returns
    /// whether it was not ended before; the caller then announces it, after releasing the lock.
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
        self.link.end(connection, report.wire_code());
        *connection.end.lock() = Some(report);
        connection.hub.stats.connections_closed.add(1);
        connection.hub.queue(Ready::Closed(Arc::clone(connection)));
        true
    }

    /// Handles late datagrams of an ended connection. Returns when to do so again besides `cx`;
    /// `None` once the remote has certainly read its end.
    pub(super) fn linger(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
    ) -> Option<Duration> {
        match &mut self.link {
            // Its driver waits for the remote's end.
            Link::Muxed(_) => None,
            Link::Quic(quic) => quic.linger(connection, cx),
        }
    }

    /// Reads and delivers until the socket would block or the turn is over.
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
        let mut handle = |link: &mut dyn StreamLink, event: Event<'_>| match event {
            Event::Opened { key } if life.is_closing() || connection.handlers.is_closed() => {
                // A reset and not `turn_away`, which counts against the remote and may end a
                // connection whose streams are still draining.
                link.reset(key, StreamErrorCode::Shutdown as u32);
                link.remove(key);
            }
            Event::GoAway { code } => {
                if life.record_goaway(code) {
                    connection.outbox.lock().stop_opening();
                    streams.stop_opening();
                    connection
                        .hub
                        .queue(Ready::GoingAway(Arc::clone(connection), code));
                }
            }
            event => streams.handle_event(link, connection, event, now),
        };
        match link {
            Link::Muxed(muxed) => {
                muxed.receive(connection, buffer, now, |link, event| handle(link, event))
            }
            Link::Quic(quic) => {
                let received = quic.receive(connection, now, |link, event| handle(link, event));
                if quic.take_more_streams() {
                    streams.reopen();
                }
                received
            }
        }
    }

    /// Seals and sends pending output until the socket would block, nothing is left or `sealed_max`
    /// bytes are sealed; the record that reaches the limit is the last.
    fn transmit(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        sealed_max: usize,
        now: Duration,
    ) -> Result<Sent, ConnectionFault> {
        let mut sent = Sent::default();
        self.collect(connection, now);
        if !self.link.flush(connection, scratch, sealed_max, now) {
            return Ok(sent);
        }
        // Nothing can be sent after the channel is closed.
        while !self.link.is_closed() {
            if sent.sealed >= sealed_max {
                sent.is_cut =
                    self.streams.has_queued() || self.link.has_control() || self.life.is_closing();
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
                let has_queued = self.streams.has_queued();
                if !self.life.queue_goaway(&mut self.link, has_queued, now) {
                    break;
                }
                if self.link.has_control() {
                    continue;
                }
            }
            sent.sealed += sealed;
            if self.life.is_goaway_queued() {
                self.link.close_channel();
            }
            if !self.link.flush(connection, scratch, sealed_max, now) {
                break;
            }
        }
        Ok(sent)
    }

    /// Collects the requests of other threads.
    fn collect(&mut self, connection: &Arc<Connection>, now: Duration) {
        let requested = connection.outbox.lock().collect(&mut self.streams);
        if let Some(request) = requested
            && self.life.request() != Some(request)
        {
            self.begin_close(connection, request, now);
        }
    }

    /// Starts closing the connection, or replaces an earlier request by one that waits for less.
    fn begin_close(&mut self, connection: &Connection, request: CloseRequest, now: Duration) {
        let mut closing = Closing::new(request, self.link.mark(), now + CLOSE_FLUSH_MAX);
        if request.manner == CloseManner::Orderly {
            let (draining, others) = self.streams.partition_draining();
            let is_relayed = connection.socket.is_relayed();
            let is_waiting = self.link.wants_write() || self.link.is_delivering();
            if !draining.is_empty() || is_waiting || is_relayed {
                let until = now + connection.limits.write_stall_timeout;
                closing = closing.delivering(draining, until);
                // The connection outlives these streams, which end now.
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

    /// Closes the connection once no stream is left after the remote's GoAway.
    fn follow_goaway(&mut self, connection: &Connection, now: Duration) {
        // The outbox is empty: streams posted before the GoAway have been collected since.
        if let Some(code) = self.life.unhandled_goaway()
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

    /// Returns the earliest deadline.
    fn next_deadline(&mut self, connection: &Connection) -> Option<Duration> {
        [
            self.link.next_deadline(connection),
            self.life.deadline(),
            self.streams.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles the deadlines due at `now`.
    fn handle_deadlines(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        self.link.handle_deadlines(connection, now)?;
        let timeout = connection.limits.write_stall_timeout;
        self.life.handle_deadline(self.link.mark(), timeout, now)?;
        self.streams
            .handle_deadlines(self.link.streams(), connection, now);
        Ok(())
    }
}

#[cfg(test)]
impl Core {
    /// Inbound streams on the wire.
    pub(super) fn inbound_count(&self) -> u32 {
        self.streams.inbound_count()
    }

    /// Streams waiting to be opened, including abandoned ones that have not been removed yet.
    pub(super) fn unopened_count(&self) -> usize {
        self.streams.unopened_count()
    }

    /// Makes the channel fail: a failed channel cannot seal any more.
    pub(super) fn break_channel(&mut self) {
        self.link.break_channel();
    }
}
