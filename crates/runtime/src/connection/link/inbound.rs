//! From the socket: records opened in place, and the events of the muxer in them.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::{Event, Loan};
use ferroswarm_secure::Opened;

use crate::connection::Connection;
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;

use super::Link;

/// Socket reads per turn of the driver: 1 MiB at most, then other connections have their turn.
const READS_MAX: usize = 4;

/// Streams that the remote opens in a turn, then the answers to them go out: the places of streams
/// that end as they begin are free again, however many more stand in the socket.
const OPENED_MAX: u32 = 256;

/// What a turn of reading came to.
pub(in crate::connection) enum Received {
    /// The socket has no more for now.
    Dry,
    /// It may have more: other connections first.
    More,
    /// JavaScript has to drain first.
    Paused,
    /// The engine takes nothing more until the socket has taken what it has to say.
    Congested,
}

/// Bytes that have come and wait for a turn.
pub(super) struct Input {
    /// The front of a record whose rest has not arrived.
    partial: Vec<u8>,
    /// Plaintext that came with the negotiation of the muxer, or that a turn left for the next.
    plaintext: Vec<u8>,
    /// Streams that the remote has opened since the turn began.
    opened_in_turn: u32,
    /// Inbound streams that the engine refused as one too many, as far as they were reported.
    refused_beyond_max: u64,
    /// The socket is not read until JavaScript drains.
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

impl Link {
    /// Reads and opens until the socket is dry or the turn is over, and gives what the muxer makes of it to
    /// `handle`. A record for which `buffer` has no room waits for a turn with more.
    ///
    /// # Errors
    /// The remote has ended the connection, or can no longer be understood.
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
            // Nothing more comes, and nobody else will ask for what the engine held back.
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

    /// As much of a read buffer of `length` bytes as leaves room for `bytes` of the socket.
    pub(in crate::connection) fn buffer_for(&self, bytes: usize, length: usize) -> usize {
        length.min(self.input.partial.len() + bytes)
    }

    fn report_refusals(&mut self, connection: &Connection) {
        let refused = self.engine.beyond_inbound_max();
        let max = connection.limits.inbound_streams_max;
        for _ in std::mem::replace(&mut self.input.refused_beyond_max, refused)..refused {
            connection.refused("inboundStreamsMax", max, max);
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
        // Bytes may have come with the handshake, or are left of the last turn.
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
            match connection.pipe.try_read(&mut buffer[*filled..]) {
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
                    _ => {
                        let error = error.into();
                        connection.report(Fact::SocketFailed { error });
                        return Err(ConnectionFault::Io(error));
                    }
                },
            }
        }
        Ok(Received::More)
    }

    /// JavaScript does not drain: nothing is read for it, and the remote's silence is our own doing.
    fn pause(&mut self, connection: &Connection) {
        connection.hub.stats.read_pauses.add(1);
        self.engine.pause_clock();
        if !std::mem::replace(&mut self.input.paused, true) {
            connection.report(Fact::ReadPaused(connection.pause()));
        }
    }

    /// Answers to what the remote has sent wait for the socket: it is not read before it takes them.
    ///
    /// Streams that failed to negotiate are nobody's to take, and stay until their resets are out.
    pub(in crate::connection) fn is_congested(&self, connection: &Connection) -> bool {
        let most = connection.limits.accept_backlog.saturating_add(OPENED_MAX);
        self.engine.is_congested() || (self.wants_write() && self.engine.unaccepted() > most)
    }

    /// Opens every whole record of `buffer[..filled]`; the front of the next one moves to the start.
    /// False when the turn ends before that.
    fn open_records(
        &mut self,
        connection: &Connection,
        buffer: &mut [u8],
        filled: &mut usize,
        now: Duration,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) -> Result<bool, ConnectionFault> {
        let mut at = 0;
        let mut goes_on = true;
        while goes_on && at < *filled {
            match self.channel.open(&mut buffer[at..*filled]) {
                Ok(Opened::Record {
                    plaintext,
                    consumed,
                }) => {
                    let bytes = &buffer[at + plaintext.start..at + plaintext.end];
                    goes_on = self.handle_plaintext(connection, bytes, now, handle)?;
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
        Ok(goes_on)
    }

    /// False when the turn ends before `bytes` do; what is left of them waits for the next one.
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
