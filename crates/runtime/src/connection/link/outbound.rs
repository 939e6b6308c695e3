//! From the slots to the socket: frames into records, records into one write.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::Outgoing;

use crate::config::UNSENT_MAX;
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;
use crate::sync::Arc;

use crate::connection::core::Core;
use crate::connection::{Connection, Scratch};

/// Bytes sealed before they are handed to the socket: a few records, so that they are still in the
/// cache when the kernel copies them.
const BURST_BYTES: usize = 128 << 10;

/// What a turn of sending came to.
#[derive(Debug, Default)]
pub(in crate::connection) struct Sent {
    /// Bytes sealed.
    pub(in crate::connection) sealed: usize,
    /// It ended at what it may seal, and there is more to send.
    pub(in crate::connection) is_cut: bool,
}

impl Core {
    /// Seals and sends what there is, until the socket refuses, nothing is left or `sealed_max` bytes are
    /// sealed; the record that reaches them is the last.
    pub(in crate::connection) fn transmit(
        &mut self,
        connection: &Arc<Connection>,
        scratch: &mut Scratch,
        sealed_max: usize,
        now: Duration,
    ) -> Result<Sent, ConnectionFault> {
        let mut sent = Sent::default();
        self.collect(connection, now);
        if self.write_failed {
            return Ok(sent);
        }
        if !self.flush_unsent(connection, scratch, now) {
            return Ok(sent);
        }
        // Behind the end of the channel nothing can be said.
        while !self.channel_closed {
            if sent.sealed >= sealed_max {
                sent.is_cut =
                    !self.ring.is_empty() || self.engine.has_control() || self.closing.is_some();
                break;
            }
            self.collect(connection, now);
            scratch.write.clear();
            let burst = BURST_BYTES.min(sealed_max - sent.sealed);
            while scratch.write.len() < burst {
                if !self.seal_record(connection, &mut scratch.write, now)? {
                    break;
                }
            }
            if scratch.write.is_empty() {
                self.follow_goodbye(connection, now);
                if !self.say_goodbye() {
                    break;
                }
                if self.engine.has_control() {
                    continue;
                }
            }
            sent.sealed += scratch.write.len();
            self.close_channel(&mut scratch.write);
            self.sent = 0;
            std::mem::swap(&mut self.unsent, &mut scratch.write);
            if std::mem::take(&mut self.has_data) {
                self.delivery.carries_data(self.unsent.len());
            }
            if !self.flush_unsent(connection, scratch, now) {
                break;
            }
        }
        Ok(sent)
    }

    /// Whether the socket refused bytes that still wait.
    pub(in crate::connection) fn wants_write(&self) -> bool {
        self.sent < self.unsent.len() && !self.write_failed
    }

    /// Takes what other threads posted.
    fn collect(&mut self, connection: &Arc<Connection>, now: Duration) {
        let asked = {
            let mut outbox = connection.outbox.lock();
            self.ring.append(&mut outbox.streams);
            outbox.close
        };
        if let Some(request) = asked
            && self
                .closing
                .as_ref()
                .is_none_or(|closing| closing.request != request)
        {
            self.begin_close(connection, request, now);
        }
    }

    /// Gives sealed bytes to the socket; false when some are left.
    fn flush_unsent(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        now: Duration,
    ) -> bool {
        let stats = &connection.hub.stats;
        while self.sent < self.unsent.len() {
            stats.socket_writes.add(1);
            match connection.pipe.try_write(&self.unsent[self.sent..]) {
                Ok(count) => {
                    self.sent += count;
                    self.delivery.wrote(count);
                    self.recent_bytes += count;
                    if self.stalled_since.take().is_some() {
                        // There is room again because the remote has taken something.
                        self.engine.outgoing(Outgoing::Moves, now);
                    }
                    stats.socket_bytes_out.add(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled_since.get_or_insert(now);
                    debug_assert!(self.unsent.len() - self.sent <= UNSENT_MAX);
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !is_departure(&error) {
                        let error = error.into();
                        connection.report(Fact::SocketFailed { error });
                    }
                    // Only the reading side ends a connection: the last answer of the remote may
                    // still be in the socket.
                    self.write_failed = true;
                    self.stalled_since = Some(now);
                    self.unsent = Vec::new();
                    return false;
                }
            }
        }
        self.sent = 0;
        self.stalled_since = None;
        scratch.recycle(std::mem::take(&mut self.unsent));
        true
    }

    /// Appends one sealed record; false when there was nothing to put into it.
    fn seal_record(
        &mut self,
        connection: &Arc<Connection>,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<bool, ConnectionFault> {
        // A TLS key update may want its answer first.
        self.channel
            .poll_control(out)
            .map_err(|error| connection.record_failed(error))?;
        let start = self.channel.begin(out);
        let body = out.len();
        self.fill_record(connection, out, body, now);
        if out.len() == body {
            out.truncate(start);
            return Ok(false);
        }
        self.channel
            .seal(out, start)
            .map_err(|error| connection.record_failed(error))?;
        Ok(true)
    }
}

/// The remote has closed its socket: what it read last, and why, is the reading side's to tell.
fn is_departure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
