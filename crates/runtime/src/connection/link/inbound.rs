//! From the socket to the slots: records opened in place, frames' payloads into the pipes.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::Loan;
use ferroswarm_secure::Opened;

use crate::diagnostics::Fact;
use crate::error::ConnectionFault;
use crate::sync::Arc;

use crate::connection::Connection;
use crate::connection::core::Core;

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

impl Core {
    /// Reads, opens and delivers until the socket is dry or the turn is over. A record for which `buffer`
    /// has no room waits for a turn with more.
    pub(in crate::connection) fn receive(
        &mut self,
        connection: &Arc<Connection>,
        buffer: &mut [u8],
        now: Duration,
    ) -> Result<Received, ConnectionFault> {
        self.opened_in_turn = 0;
        let mut filled = self.partial.len();
        buffer[..filled].copy_from_slice(&self.partial);
        let received = self.fill(connection, buffer, &mut filled, now);
        if received.is_err() {
            // Nothing more comes, and nobody else will ask for what the engine held back.
            self.engine.end_input();
            let _ = self.handle_plaintext(connection, &[], now);
        }
        let refused = self.engine.beyond_inbound_max();
        let max = connection.limits.inbound_streams_max;
        for _ in std::mem::replace(&mut self.refused_beyond_max, refused)..refused {
            connection.refused("inboundStreamsMax", max, max);
        }
        self.partial.clear();
        if filled == 0 {
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(&buffer[..filled]);
        }
        received
    }

    fn fill(
        &mut self,
        connection: &Arc<Connection>,
        buffer: &mut [u8],
        filled: &mut usize,
        now: Duration,
    ) -> Result<Received, ConnectionFault> {
        // Bytes may have come with the handshake, or are left of the last turn.
        if !self.plaintext.is_empty() {
            if self.is_congested(connection) {
                return Ok(Received::Congested);
            }
            let plaintext = std::mem::take(&mut self.plaintext);
            if !self.handle_plaintext(connection, &plaintext, now)? {
                return Ok(Received::More);
            }
        }
        if !self.open_records(connection, buffer, filled, now)? {
            return Ok(Received::More);
        }
        let stats = &connection.hub.stats;
        for _ in 0..READS_MAX {
            if connection.must_pause() {
                stats.read_pauses.add(1);
                self.engine.pause_clock();
                if !std::mem::replace(&mut self.paused, true) {
                    connection.report(Fact::ReadPaused(connection.pause()));
                }
                return Ok(Received::Paused);
            }
            self.paused = false;
            if self.engine.has_events() {
                self.handle_plaintext(connection, &[], now)?;
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
                    if !self.open_records(connection, buffer, filled, now)? {
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
        connection: &Arc<Connection>,
        buffer: &mut [u8],
        filled: &mut usize,
        now: Duration,
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
                    goes_on = self.handle_plaintext(connection, bytes, now)?;
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
        connection: &Arc<Connection>,
        mut bytes: &[u8],
        now: Duration,
    ) -> Result<bool, ConnectionFault> {
        let mut loan = Loan::default();
        loop {
            let ends = self.opened_in_turn >= OPENED_MAX || self.is_congested(connection);
            if ends && !bytes.is_empty() {
                self.plaintext.extend_from_slice(bytes);
                return Ok(false);
            }
            match self.engine.poll_event(&mut bytes, now, &mut loan) {
                Ok(Some(event)) => self.handle_event(connection, event, now),
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
