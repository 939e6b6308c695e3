//! From the socket to the slots: records opened in place, frames' payloads into the pipes.

use std::io;
use std::time::Duration;

use ferroswarm_proto::muxer::{Event, Loan, StreamErrorCode, StreamKey};
use ferroswarm_secure::Opened;

use crate::diagnostics::{Fact, Refusal};
use crate::error::ConnectionFault;
use crate::handlers::Handler;
use crate::hub::Ready;
use crate::slot::{ResetReport, StreamSlot};
use crate::sync::{Arc, Ordering};

use super::Connection;
use super::core::{Core, Deadline, Entry};
use super::negotiation::{Negotiation, Progress};

/// Socket reads per turn of the driver: 1 MiB at most, then other connections have their turn.
const READS_MAX: usize = 4;

/// Share of a connection's memory that has to become free for a stream not to be reset: less would be
/// looked for again with the next frame.
const SHED_SHARE: usize = 8;

/// Streams that the remote opens in a turn, then the answers to them go out: the places of streams
/// that end as they begin are free again, however many more stand in the socket.
const OPENED_MAX: u32 = 256;

/// What a turn of reading came to.
pub(super) enum Received {
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
    pub(super) fn receive(
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
    pub(super) fn is_congested(&self, connection: &Connection) -> bool {
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

    fn handle_event(&mut self, connection: &Arc<Connection>, event: Event<'_>, now: Duration) {
        match event {
            Event::Opened { key } => self.opened(connection, key, now),
            Event::Acked { key } => self.acked(connection, key),
            Event::Data { key, bytes } => {
                connection.traffic.bytes_in.add(bytes.len() as u64);
                self.received(connection, key, bytes);
            }
            Event::Finished { key } => self.finished(connection, key),
            Event::Reset { key, code } => self.was_reset(connection, key, code),
            Event::Writable { key } => self.writable(key),
            Event::GoAway { code } => self.said_goodbye(connection, code),
            Event::Pong { .. } => {}
        }
    }

    /// An inbound stream: negotiated here, or handed over as it is.
    fn opened(&mut self, connection: &Arc<Connection>, key: StreamKey, now: Duration) {
        self.opened_in_turn += 1;
        if self.closing.is_some() || connection.handlers.is_closed() {
            // No refusal that the remote is to blame for: streams that are being drained may share its connection.
            self.engine.reset(key, StreamErrorCode::Shutdown as u32);
            self.engine.remove(key);
            return;
        }
        let limit = connection.limits.accept_backlog;
        if connection.untaken.load(Ordering::Relaxed) >= limit {
            self.engine
                .turn_away(key, StreamErrorCode::ResourceLimitExceeded);
            connection.refused("acceptBacklog", limit, limit);
            return;
        }
        connection.untaken.fetch_add(1, Ordering::Relaxed);
        connection.stream_opened();
        let slot = StreamSlot::inbound(connection, key);
        let negotiation = Negotiation::listener(connection).map(Box::new);
        let serial = self.serial();
        match &negotiation {
            Some(_) => {
                let at = now + connection.limits.stream_negotiation_timeout;
                self.expect_negotiation(Deadline { at, key, serial });
            }
            None => {
                slot.announce(0);
            }
        }
        self.insert(
            key,
            Entry {
                slot,
                negotiation,
                outbound: false,
                acked: true,
                local_done: false,
                remote_done: false,
                lingers: false,
                unsent: 0,
                serial,
            },
        );
    }

    fn acked(&mut self, connection: &Connection, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        if !std::mem::replace(&mut entry.acked, true) {
            connection.unacked.fetch_sub(1, Ordering::Relaxed);
            self.reopen();
        }
    }

    pub(super) fn received(&mut self, connection: &Arc<Connection>, key: StreamKey, bytes: &[u8]) {
        let Some(entry) = self.entry(key) else { return };
        let rest = match &mut entry.negotiation {
            None => bytes,
            Some(negotiation) => {
                let slot = Arc::clone(&entry.slot);
                match negotiation.handle_input(&slot, bytes) {
                    Progress::Open { consumed } => {
                        self.requeue(&slot);
                        slot.consume_lines(consumed);
                        // What is left waits with the stream for the answer of JavaScript.
                        &bytes[consumed..]
                    }
                    Progress::Settled { consumed } => {
                        let handler = negotiation.handler();
                        entry.negotiation = None;
                        slot.consume_lines(consumed);
                        // Before JavaScript hears of the stream: its end may be known already, and would
                        // be read first.
                        slot.deliver(&bytes[consumed..]);
                        if let Some(handler) = handler {
                            self.hand_over(connection, &slot, handler);
                        }
                        self.requeue(&slot);
                        &[]
                    }
                    Progress::Failed => {
                        entry.negotiation = None;
                        slot.never_told();
                        self.requeue(&slot);
                        return;
                    }
                }
            }
        };
        if !rest.is_empty()
            && let Some(entry) = self.entry(key)
        {
            entry.slot.deliver(rest);
        }
        if connection.held() > connection.limits.connection_bytes_max {
            self.shed(connection);
        }
    }

    /// Gives an inbound stream to its handler, unless the protocol has as many as it may.
    fn hand_over(&mut self, connection: &Connection, slot: &Arc<StreamSlot>, handler: Handler) {
        let is_full = |core: &Self| {
            let count = core.inbound_of.get(&handler.protocol);
            count.copied().unwrap_or(0) >= handler.inbound_max
        };
        if is_full(self) {
            self.forget_read_out(connection);
        }
        if connection.handlers.is_closed() {
            slot.reset(StreamErrorCode::Shutdown as u32);
        } else if is_full(self) {
            slot.reset(StreamErrorCode::ResourceLimitExceeded as u32);
            connection.refused("maxInbound", handler.inbound_max, handler.inbound_max);
        } else if slot.announce(handler.protocol) {
            *self.inbound_of.entry(handler.protocol).or_default() += 1;
        }
    }

    /// Forgets the streams of which JavaScript has read the end after all else was done: they wait for
    /// their turn, for which nobody is woken.
    fn forget_read_out(&mut self, connection: &Connection) {
        let done: Vec<_> = {
            let outbox = connection.outbox.lock();
            let waiting = outbox.streams.iter().chain(&self.ring);
            waiting.filter_map(|slot| slot.finished_key()).collect()
        };
        for key in done {
            self.forget_if_done(key, connection);
        }
    }

    fn finished(&mut self, connection: &Connection, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        entry.remote_done = true;
        let slot = Arc::clone(&entry.slot);
        self.end_negotiation(key);
        slot.deliver_end();
        self.forget_if_done(key, connection);
    }

    fn was_reset(&mut self, connection: &Connection, key: StreamKey, code: u32) {
        let Some(entry) = self.entry(key) else { return };
        // Ended before it is forgotten: a drain that comes in between finds it over, and gives its place
        // in the backlog back.
        entry.slot.end(ResetReport {
            code,
            remote: true,
            ..ResetReport::default()
        });
        self.forget(key, connection);
    }

    /// The remote takes no more streams: those that wait for their turn never get one, and JavaScript
    /// is told to look elsewhere.
    fn said_goodbye(&mut self, connection: &Arc<Connection>, code: u32) {
        if self.remote_goaway.replace(code).is_some() {
            return;
        }
        connection.outbox.lock().going_away = true;
        self.ring.append(&mut self.unopened);
        connection
            .hub
            .queue(Ready::GoingAway(Arc::clone(connection), code));
    }

    fn writable(&mut self, key: StreamKey) {
        if let Some(entry) = self.entry(key) {
            let slot = Arc::clone(&entry.slot);
            self.requeue(&slot);
        }
    }

    /// Puts a stream into the ring unless it stands there or in the outbox.
    pub(super) fn requeue(&mut self, slot: &Arc<StreamSlot>) {
        if slot.enter_ring() {
            self.ring.push_back(Arc::clone(slot));
        }
    }

    /// The connection holds too much: what readers left behind in part is freed, and the stream that
    /// holds most is reset unless that was plenty.
    fn shed(&mut self, connection: &Connection) {
        let worst = self
            .entries
            .iter()
            .flatten()
            .map(|entry| (entry.slot.compact(), &entry.slot))
            .filter(|(held, _)| *held > 0)
            .max_by_key(|(held, _)| *held)
            .map(|(_, slot)| Arc::clone(slot));
        let limit = connection.limits.connection_bytes_max;
        if connection.held() <= limit - limit / SHED_SHARE {
            return;
        }
        let Some(slot) = worst else { return };
        connection.hub.stats.memory_resets.add(1);
        connection.report(Fact::MemoryShed(Refusal {
            option: "connectionMemoryBytes",
            limit: limit as u64,
            current: connection.held() as u64,
        }));
        slot.abandon(StreamErrorCode::ResourceLimitExceeded as u32);
    }
}
