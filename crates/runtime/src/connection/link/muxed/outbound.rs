//! Output to the socket: frames into records, records into one write.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::{FRAME_PAYLOAD_MAX, HEADER_BYTES, Outgoing, StreamKey};
use ferroswarm_proto::stream::Pipe;
use ferroswarm_secure::{Channel, RecordError};

use crate::config::{Limits, UNSENT_MAX};
use crate::connection::{Connection, Scratch};
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;

use super::Muxed;
use super::delivery::Delivery;
use super::{Framed, Mark};

/// Bytes sealed per write to the socket: a few records, so that they are still in the cache when
/// the kernel copies them.
const BURST_BYTES: usize = 128 << 10;

/// Minimum room for a data frame to be worth its header.
const FRAME_ROOM_MIN: usize = 256;

/// Output state: records being filled and sealed bytes not yet sent.
#[derive(Default)]
pub(super) struct Output {
    /// Records being filled; empty between turns.
    records: Vec<u8>,
    /// Start of the plaintext of the last record.
    body: usize,
    /// Sealed bytes being sent, of which the socket has taken the first `sent`.
    unsent: Vec<u8>,
    sent: usize,
    /// Stream bytes sealed since the start of the connection.
    sealed: u64,
    /// The records being filled contain stream bytes.
    has_data: bool,
    /// Time since which the socket has refused bytes.
    stalled_since: Option<Duration>,
    /// Progress of the remote in taking bytes written to the socket.
    delivery: Delivery,
    /// A write failed: nothing more is sent, but received bytes are still read.
    failed: bool,
    /// The end of the channel (`close_notify` for TLS) is sealed.
    closed: bool,
}

impl Output {
    /// Deadline for a remote that takes no bytes while the socket refuses them.
    pub(super) fn stall_deadline(&self, limits: &Limits) -> Option<Duration> {
        let since = self.stalled_since?.max(self.delivery.moved_at());
        Some(since + limits.write_stall_timeout)
    }

    /// Returns whether bytes that the socket has refused are waiting.
    const fn waits(&self) -> bool {
        self.sent < self.unsent.len() && !self.failed
    }

    /// Room in the record being filled.
    const fn room(&self) -> usize {
        Channel::PLAINTEXT_MAX - (self.records.len() - self.body)
    }

    pub(super) fn clear(&mut self) {
        self.unsent = Vec::new();
    }
}

impl Muxed {
    /// Seals records filled by `fill` until it adds nothing or at least `target` bytes are sealed;
    /// returns the number of bytes sealed. They wait for [`flush`](Self::flush), which must have
    /// left none before.
    ///
    /// # Errors
    /// [`ConnectionFault::Record`] if the channel has failed.
    pub(in crate::connection) fn seal(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        target: usize,
        fill: impl FnMut(&mut Self),
    ) -> Result<usize, ConnectionFault> {
        self.output.records = scratch.take_write();
        let outcome = self.seal_records(target.min(BURST_BYTES), fill);
        let records = std::mem::take(&mut self.output.records);
        if let Err(error) = outcome {
            scratch.recycle(records);
            return Err(connection.record_failed(error));
        }
        let sealed = records.len();
        if sealed == 0 {
            scratch.recycle(records);
            return Ok(0);
        }
        self.output.unsent = records;
        self.output.sent = 0;
        if std::mem::take(&mut self.output.has_data) {
            self.output.delivery.carries_data(sealed);
        }
        Ok(sealed)
    }

    fn seal_records(
        &mut self,
        target: usize,
        mut fill: impl FnMut(&mut Self),
    ) -> Result<(), RecordError> {
        while self.output.records.len() < target {
            // The response to a TLS key update goes first.
            self.channel.poll_control(&mut self.output.records)?;
            let start = self.channel.begin(&mut self.output.records);
            self.output.body = self.output.records.len();
            fill(self);
            let records = &mut self.output.records;
            if records.len() == self.output.body {
                records.truncate(start);
                break;
            }
            self.channel.seal(records, start)?;
        }
        Ok(())
    }

    /// Returns whether the record being filled has room for a data frame worth its header.
    pub(super) const fn room_for_data(&self) -> bool {
        self.output.room() >= HEADER_BYTES + FRAME_ROOM_MIN
    }

    /// Puts pending control frames into the record, as far as there is room.
    pub(super) fn put_frames(&mut self) {
        let room = self.output.room();
        self.engine.poll_control(&mut self.output.records, room);
    }

    /// Puts the front of the bytes of a stream into the record as at most one frame. The caller has
    /// checked [`room_for_data`](Self::room_for_data).
    pub(super) fn put_data(&mut self, key: StreamKey, bytes: &Pipe) -> Framed {
        let output = &mut self.output;
        let credit = self.engine.send_credit(key) as usize;
        let count = bytes
            .len()
            .min(credit)
            .min(output.room() - HEADER_BYTES)
            .min(FRAME_PAYLOAD_MAX);
        let mut taken = 0;
        if count > 0 {
            let fill = |into: &mut [u8]| {
                bytes.peek(into);
            };
            taken = self.engine.write(key, count, &mut output.records, fill);
            output.has_data |= taken > 0;
            output.sealed += taken as u64;
        }
        Framed {
            count: taken,
            is_blocked: taken == credit || taken < count,
        }
    }

    /// Puts the FIN of a stream into the record; returns false if there is no room.
    pub(super) fn put_fin(&mut self, key: StreamKey) -> bool {
        let has_room = self.output.room() >= HEADER_BYTES;
        if has_room {
            self.engine.finish(key, &mut self.output.records);
        }
        has_room
    }

    /// Writes sealed bytes to the socket; returns false if some are left or a write has failed.
    pub(in crate::connection) fn flush(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        now: Duration,
    ) -> bool {
        let output = &mut self.output;
        if output.failed {
            return false;
        }
        let stats = &connection.hub.stats;
        while output.sent < output.unsent.len() {
            stats.socket_writes.add(1);
            match self.pipe.try_write(&output.unsent[output.sent..]) {
                Ok(count) => {
                    output.sent += count;
                    output.delivery.wrote(count);
                    self.recent_bytes += count;
                    if output.stalled_since.take().is_some() {
                        // The socket has room again, so the remote has taken something.
                        self.engine.outgoing(Outgoing::Moves, now);
                    }
                    stats.socket_bytes_out.add(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    output.stalled_since.get_or_insert(now);
                    debug_assert!(output.unsent.len() - output.sent <= UNSENT_MAX);
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !is_peer_closed(&error) {
                        let error = error.into();
                        connection.report(Fact::SocketFailed { error });
                    }
                    // Only the reading side ends a connection: the remote's last reply may still be
                    // in the socket.
                    output.failed = true;
                    output.stalled_since = Some(now);
                    output.unsent = Vec::new();
                    return false;
                }
            }
        }
        output.sent = 0;
        output.stalled_since = None;
        scratch.recycle(std::mem::take(&mut output.unsent));
        true
    }

    /// Returns whether bytes that the socket has refused are waiting.
    pub(in crate::connection) const fn wants_write(&self) -> bool {
        self.output.waits()
    }

    /// Returns whether a write has failed.
    pub(in crate::connection) const fn has_write_failed(&self) -> bool {
        self.output.failed
    }

    /// Closes the channel right after the last control frame, our GoAway, so that the remote can
    /// distinguish the end from a truncation.
    pub(in crate::connection) fn close_channel(&mut self) {
        if !self.engine.has_control() && !std::mem::replace(&mut self.output.closed, true) {
            self.channel.close(&mut self.output.unsent);
        }
    }

    /// Returns whether the channel is closed: nothing can be sent after that.
    pub(in crate::connection) const fn is_closed(&self) -> bool {
        self.output.closed
    }

    /// Returns whether all output is flushed, the end of the channel included, or no more can be
    /// sent.
    pub(in crate::connection) const fn is_flushed(&self) -> bool {
        self.output.failed || (self.output.closed && self.output.unsent.is_empty())
    }

    /// Takes a snapshot of output progress.
    pub(in crate::connection) const fn mark(&self) -> Mark {
        Mark {
            taken: self.output.sealed,
            waiting: self.output.unsent.len() - self.output.sent,
        }
    }

    /// Time of the next delivery sample; `None` unless the socket refuses bytes or a ping is
    /// outstanding.
    pub(super) fn sample_deadline(&self, limits: &Limits) -> Option<Duration> {
        let Output {
            stalled_since,
            delivery,
            failed,
            ..
        } = &self.output;
        let stall = stalled_since
            .filter(|_| !failed)
            .map(|since| delivery.next_sample(since, limits.write_stall_timeout));
        let ping = self
            .engine
            .pinged_at()
            .map(|since| delivery.next_sample(since, limits.keepalive_timeout));
        stall.into_iter().chain(ping).min()
    }

    /// Samples delivery if due, and reports progress of the remote to the connection's timers.
    pub(super) fn sample_delivery(&mut self, connection: &Connection, now: Duration) {
        match self.sample_deadline(&connection.limits) {
            None => self.output.delivery.stop_sampling(),
            Some(at) if at <= now => {
                if let Some(progress) = self.output.delivery.sample(&*self.pipe, now) {
                    self.engine.outgoing(progress, now);
                }
            }
            Some(_) => {}
        }
    }
}

/// Returns whether the remote has closed its socket, which the reading side reports with its
/// reason.
fn is_peer_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
