//! To the socket: frames into records, records into one write.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::{FRAME_PAYLOAD_MAX, HEADER_BYTES, Outgoing, StreamKey};
use ferroswarm_secure::{Channel, RecordError};

use crate::config::{Limits, UNSENT_MAX};
use crate::connection::{Connection, Scratch};
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;

use super::Link;
use super::delivery::Delivery;

/// Bytes sealed before they are handed to the socket: a few records, so that they are still in the
/// cache when the kernel copies them.
const BURST_BYTES: usize = 128 << 10;

/// Room that makes a data frame worth its header.
const FRAME_ROOM_MIN: usize = 256;

/// Records on their way to the socket.
#[derive(Default)]
pub(super) struct Output {
    /// Records that are being filled; empty between two turns.
    records: Vec<u8>,
    /// Where the plaintext of the last of them begins.
    body: usize,
    /// Sealed bytes that the socket has not taken, and how many of them it has.
    unsent: Vec<u8>,
    sent: usize,
    /// Bytes of streams sealed since the connection began.
    sealed: u64,
    /// Some are among the records that are being filled.
    has_data: bool,
    /// Since when the socket refuses bytes.
    stalled_since: Option<Duration>,
    /// What the remote has taken of what the socket has.
    delivery: Delivery,
    /// A write failed: nothing more is sent, what has arrived is still read.
    failed: bool,
    /// The end of the channel is sealed.
    closed: bool,
}

/// How far the connection has got with what it has to send.
#[derive(Clone, Copy)]
pub(in crate::connection) struct Mark {
    sealed: u64,
    unsent: usize,
}

impl Mark {
    /// Whether anything has left since `earlier`.
    pub(in crate::connection) const fn has_moved_since(self, earlier: Self) -> bool {
        self.sealed > earlier.sealed || self.unsent < earlier.unsent
    }
}

/// The part of a stream's bytes that went into a frame.
pub(in crate::connection) struct Framed {
    /// How many there were.
    pub(in crate::connection) count: usize,
    /// More of them would not go out at present, whatever room there is.
    pub(in crate::connection) is_blocked: bool,
}

impl Output {
    /// When a remote that takes nothing has had its time.
    pub(super) fn stall_deadline(&self, limits: &Limits) -> Option<Duration> {
        let since = self.stalled_since?.max(self.delivery.moved_at());
        Some(since + limits.write_stall_timeout)
    }

    /// Whether the socket refused bytes that still wait.
    const fn waits(&self) -> bool {
        self.sent < self.unsent.len() && !self.failed
    }

    /// Room in the record that is being filled.
    const fn room(&self) -> usize {
        Channel::PLAINTEXT_MAX - (self.records.len() - self.body)
    }

    pub(super) fn clear(&mut self) {
        self.unsent = Vec::new();
    }
}

impl Link {
    /// Seals records that `fill` fills, until it finds nothing for one or `most` bytes are sealed, the last record
    /// whole; returns how many are. They wait for [`flush`](Self::flush), which has left nothing.
    ///
    /// # Errors
    /// The channel has failed.
    pub(in crate::connection) fn seal(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        most: usize,
        fill: impl FnMut(&mut Self),
    ) -> Result<usize, ConnectionFault> {
        self.output.records = scratch.take_write();
        let outcome = self.seal_records(most.min(BURST_BYTES), fill);
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
        most: usize,
        mut fill: impl FnMut(&mut Self),
    ) -> Result<(), RecordError> {
        while self.output.records.len() < most {
            // A TLS key update may want its answer first.
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

    /// Whether the record that is being filled has room for a data frame that is worth its header.
    pub(in crate::connection) const fn has_room(&self) -> bool {
        self.output.room() >= HEADER_BYTES + FRAME_ROOM_MIN
    }

    /// Puts what is of no stream's turn into the record, as far as there is room.
    pub(in crate::connection) fn put_control(&mut self) {
        let room = self.output.room();
        self.engine.poll_control(&mut self.output.records, room);
    }

    /// Puts the front of the `held` bytes of a stream, which `fill` copies, into the record: one frame at most.
    /// There [is room](Self::has_room) for one.
    pub(in crate::connection) fn send(
        &mut self,
        key: StreamKey,
        held: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Framed {
        let output = &mut self.output;
        let credit = self.engine.send_credit(key) as usize;
        let count = held
            .min(credit)
            .min(output.room() - HEADER_BYTES)
            .min(FRAME_PAYLOAD_MAX);
        let mut taken = 0;
        if count > 0 {
            taken = self.engine.write(key, count, &mut output.records, fill);
            output.has_data |= taken > 0;
            output.sealed += taken as u64;
        }
        Framed {
            count: taken,
            is_blocked: taken == credit || taken < count,
        }
    }

    /// Puts the end of our half of a stream into the record; false where that has no room for it.
    pub(in crate::connection) fn finish(&mut self, key: StreamKey) -> bool {
        let has_room = self.output.room() >= HEADER_BYTES;
        if has_room {
            self.engine.finish(key, &mut self.output.records);
        }
        has_room
    }

    /// Gives sealed bytes to the socket; false when some are left, or when it takes none any more.
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
            match connection.pipe.try_write(&output.unsent[output.sent..]) {
                Ok(count) => {
                    output.sent += count;
                    output.delivery.wrote(count);
                    self.recent_bytes += count;
                    if output.stalled_since.take().is_some() {
                        // There is room again because the remote has taken something.
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
                    if !is_departure(&error) {
                        let error = error.into();
                        connection.report(Fact::SocketFailed { error });
                    }
                    // Only the reading side ends a connection: the last answer of the remote may
                    // still be in the socket.
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

    /// Whether the socket refused bytes that still wait.
    pub(in crate::connection) const fn wants_write(&self) -> bool {
        self.output.waits()
    }

    /// Whether a write has failed.
    pub(in crate::connection) const fn has_write_failed(&self) -> bool {
        self.output.failed
    }

    /// Ends the channel right behind the last control frame, our GoAway, so that the remote can tell the end from
    /// a cut.
    pub(in crate::connection) fn close_channel(&mut self) {
        if !self.engine.has_control() && !std::mem::replace(&mut self.output.closed, true) {
            self.channel.close(&mut self.output.unsent);
        }
    }

    /// Whether the channel was ended: behind that nothing can be said.
    pub(in crate::connection) const fn is_closed(&self) -> bool {
        self.output.closed
    }

    /// Whether everything that was to be sent is out.
    pub(in crate::connection) const fn is_flushed(&self) -> bool {
        self.output.failed || (self.output.closed && self.output.unsent.is_empty())
    }

    /// How far it has got with what it has to send.
    pub(in crate::connection) const fn mark(&self) -> Mark {
        Mark {
            sealed: self.output.sealed,
            unsent: self.output.unsent.len() - self.output.sent,
        }
    }

    /// When to see what the remote has taken: while the socket refuses bytes or a ping waits.
    pub(super) fn look_deadline(&self, limits: &Limits) -> Option<Duration> {
        let Output {
            stalled_since,
            delivery,
            failed,
            ..
        } = &self.output;
        let stall = stalled_since
            .filter(|_| !failed)
            .map(|since| delivery.next_look(since, limits.write_stall_timeout));
        let ping = self
            .engine
            .pinged_at()
            .map(|since| delivery.next_look(since, limits.keepalive_timeout));
        stall.into_iter().chain(ping).min()
    }

    /// Tells the clocks of the connection what the remote has taken.
    pub(super) fn watch_delivery(&mut self, connection: &Connection, now: Duration) {
        match self.look_deadline(&connection.limits) {
            None => self.output.delivery.rest(),
            Some(at) if at <= now => {
                if let Some(seen) = self.output.delivery.look(connection.pipe(), now) {
                    self.engine.outgoing(seen, now);
                }
            }
            Some(_) => {}
        }
    }
}

/// The remote has closed its socket: what it read last, and why, is the reading side's to tell.
fn is_departure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
