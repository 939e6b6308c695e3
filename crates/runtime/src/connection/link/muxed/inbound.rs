//! Input from the socket: records opened in place, and the muxer's events in them.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::{Event, Loan};
use ferroswarm_secure::Opened;

use crate::connection::Connection;
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;

use super::{Muxed, Received};

/// Socket reads per turn, 1 MiB at most, before yielding to other connections.
const READS_MAX: usize = 4;

/// Streams that the remote may open per turn before replies are sent, which frees the places of
/// streams that end as they begin, however many more are queued in the socket.
const OPENED_MAX: u32 = 256;

/// Received bytes waiting for a turn.
pub(super) struct Input {
    /// Front of a record that has not fully arrived.
    partial: Vec<u8>,
    /// Plaintext received during muxer negotiation, or left over by the previous turn.
    plaintext: Vec<u8>,
    /// Streams opened by the remote in this turn.
    opened_in_turn: u32,
    /// Reported count of inbound streams that the engine refused beyond the limit of connections.
    refused_beyond_max: u64,
    /// Reading is paused until JavaScript drains.
    paused: bool,
}

impl Input {
    pub(super) const fn new(partial: Vec<u8>, plaintext: Vec<u8>) -> Self {
        Self {
            partial,
            plaintext,
            opened_in_turn: 0,
            refused_beyond_max: 0,
            paused: false,
        }
    }

    pub(super) fn clear(&mut self) {
        self.partial = Vec::new();
        self.plaintext = Vec::new();
    }
}

impl Muxed {
    /// Reads and opens records until the socket would block or the turn is over, and passes the
    /// muxer's events to `handle`. A record that does not fit `buffer` waits for a turn with a
    /// larger one.
    ///
    /// # Errors
    /// The remote has ended the connection, or the socket, record layer or muxer has failed.
    pub(in crate::connection) fn receive(
        &mut self,
        connection: &Connection,
        buffer: &mut [u8],
        now: Duration,
        mut handle: impl FnMut(&mut Self, Event<'_>),
    ) -> Result<Received, ConnectionFault> {
        self.input.opened_in_turn = 0;
        let mut filled = self.input.partial.len();
        buffer[..filled].copy_from_slice(&self.input.partial);
        let received = self.fill(connection, buffer, &mut filled, now, &mut handle);
        if received.is_err() {
            // The input has ended: deliver the events that the engine held back.
            self.engine.end_input();
            let _ = self.handle_plaintext(connection, &[], now, &mut handle);
        }
        self.report_refusals(connection);
        let partial = &mut self.input.partial;
        partial.clear();
        if filled == 0 {
            *partial = Vec::new();
        } else {
            partial.extend_from_slice(&buffer[..filled]);
        }
        received
    }

    /// Portion of a read buffer of `length` bytes that leaves room for `bytes` from the socket.
    pub(in crate::connection) fn buffer_for(&self, bytes: usize, length: usize) -> usize {
        length.min(self.input.partial.len() + bytes)
    }

    fn report_refusals(&mut self, connection: &Connection) {
        let refused = self.engine.beyond_inbound_max();
        let before = std::mem::replace(&mut self.input.refused_beyond_max, refused);
        if refused == before {
            return;
        }
        let max = connection.resources().connection_limit().streams_inbound;
        for _ in before..refused {
            connection.refused("connection.streamsInbound", max, max);
        }
    }

    fn fill(
        &mut self,
        connection: &Connection,
        buffer: &mut [u8],
        filled: &mut usize,
        now: Duration,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) -> Result<Received, ConnectionFault> {
        // Bytes received with the handshake, or left over by the previous turn.
        if !self.input.plaintext.is_empty() {
            if self.is_congested(connection) {
                return Ok(Received::Congested);
            }
            let plaintext = std::mem::take(&mut self.input.plaintext);
            if !self.handle_plaintext(connection, &plaintext, now, handle)? {
                return Ok(Received::More);
            }
        }
        if !self.open_records(connection, buffer, filled, now, handle)? {
            return Ok(Received::More);
        }
        let stats = &connection.hub.stats;
        for _ in 0..READS_MAX {
            if connection.must_pause() {
                self.pause(connection);
                return Ok(Received::Paused);
            }
            self.input.paused = false;
            if self.engine.has_events() {
                self.handle_plaintext(connection, &[], now, handle)?;
            }
            if self.is_congested(connection) {
                return Ok(Received::Congested);
            }
            if *filled == buffer.len() {
                return Ok(Received::More);
            }
            self.engine.resume_clock(now);
            stats.socket_reads.add(1);
            match self.pipe.try_read(&mut buffer[*filled..]) {
                Ok(0) => return Err(ConnectionFault::Ended),
                Ok(count) => {
                    stats.socket_bytes_in.add(count as u64);
                    self.recent_bytes += count;
                    self.engine.heard(now);
                    *filled += count;
                    if !self.open_records(connection, buffer, filled, now, handle)? {
                        return Ok(Received::More);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Received::Dry),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset => return Err(ConnectionFault::Reset),
                    _ => return Err(connection.pipe_failed(error)),
                },
            }
        }
        Ok(Received::More)
    }

    /// Pauses reading because JavaScript does not drain, and the keepalive clock, because the
    /// remote's silence is then our own doing.
    fn pause(&mut self, connection: &Connection) {
        connection.hub.stats.read_pauses.add(1);
        self.engine.pause_clock();
        if !std::mem::replace(&mut self.input.paused, true) {
            connection.report(Fact::ReadPaused(connection.pause()));
        }
    }

    /// Returns whether too many replies wait for the socket, which is not read until it takes them.
    ///
    /// Streams that failed to negotiate are never accepted and count until their resets are sent.
    pub(in crate::connection) fn is_congested(&self, connection: &Connection) -> bool {
        let max = connection.limits.accept_backlog.saturating_add(OPENED_MAX);
        self.engine.is_congested() || (self.wants_write() && self.engine.unaccepted() > max)
    }

    /// Opens every complete record of `buffer[..filled]` and moves the remainder to the start.
    /// Returns false if the turn ends before that.
    fn open_records(
        &mut self,
        connection: &Connection,
        buffer: &mut [u8],
        filled: &mut usize,
        now: Duration,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) -> Result<bool, ConnectionFault> {
        let mut at = 0;
        let mut continues = true;
        while continues && at < *filled {
            match self.channel.open(&mut buffer[at..*filled]) {
                Ok(Opened::Record {
                    plaintext,
                    consumed,
                }) => {
                    let bytes = &buffer[at + plaintext.start..at + plaintext.end];
                    continues = self.handle_plaintext(connection, bytes, now, handle)?;
                    at += consumed;
                }
                Ok(Opened::Control { consumed }) => at += consumed,
                Ok(Opened::Closed { .. }) => return Err(ConnectionFault::Ended),
                Ok(Opened::Incomplete { .. }) => break,
                Err(error) => return Err(connection.record_failed(error)),
            }
        }
        buffer.copy_within(at..*filled, 0);
        *filled -= at;
        Ok(continues)
    }

    /// Returns false if the turn ends before all of `bytes` are handled; the rest waits for the
    /// next turn.
    fn handle_plaintext(
        &mut self,
        connection: &Connection,
        mut bytes: &[u8],
        now: Duration,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) -> Result<bool, ConnectionFault> {
        let mut loan = Loan::default();
        loop {
            let ends = self.input.opened_in_turn >= OPENED_MAX || self.is_congested(connection);
            if ends && !bytes.is_empty() {
                self.input.plaintext.extend_from_slice(bytes);
                return Ok(false);
            }
            match self.engine.poll_event(&mut bytes, now, &mut loan) {
                Ok(Some(event)) => {
                    if matches!(event, Event::Opened { .. }) {
                        self.input.opened_in_turn += 1;
                    }
                    handle(self, event);
                }
                Ok(None) => return Ok(true),
                Err(error) => {
                    self.engine.go_away(error.goaway_code());
                    connection.report(Fact::muxer(error));
                    return Err(ConnectionFault::Muxer);
                }
            }
        }
    }
}
