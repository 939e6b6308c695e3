//! QUIC: the streams and the encryption of quinn-proto, and datagrams through an endpoint.

use std::collections::VecDeque;
use std::io;
use std::task::Context;
use std::time::Duration;

use ferroswarm_proto::muxer::{Allowance, ConnectionErrorCode, Event, yamux};
use ferroswarm_quic::{self as quic, CloseReason, ConnectionEvent, Session, Transmit};

use crate::connection::{Connection, Scratch};
use crate::diagnostics::{Fact, Stall};
use crate::error::{ConnectionFault, OsError};
use crate::socket::{Route, pass_events, transmit};
use crate::stats::Traffic;
use crate::sync::Arc;

use super::{Mark, Received, StreamLink};

mod streams;

/// Bytes taken between two flushes.
const BURST_BYTES: usize = 128 << 10;

/// Bytes sent per flush before the other work of a turn.
const FLUSH_BYTES: usize = 256 << 10;

/// Received events handled per turn, before yielding to other connections.
const EVENTS_MAX: usize = 128;

/// Rounds of handling late datagrams before other connections have their turn.
const LINGER_ROUNDS_MAX: usize = 4;

/// Stream bytes passed on per turn.
const READ_BYTES: usize = 1 << 20;

/// State of a QUIC connection under its lock.
pub(crate) struct Quic {
    route: Arc<dyn Route>,
    session: Box<Session>,
    received: VecDeque<ConnectionEvent>,
    /// Datagrams that the socket had no room for.
    unsent: Option<(Transmit, Vec<u8>)>,
    /// Bytes that streams may add until the next flush, and have added.
    budget: usize,
    added: usize,
    /// There is more to send than one flush sends.
    sends_more: bool,
    /// The remote allows more streams since the last turn.
    more_streams: bool,
    /// Our close is on its way.
    closed: bool,
    /// Until then, what arrives was sent before our close arrived.
    crosses_until: Duration,
    paused: bool,
    /// It was reported that datagrams were dropped.
    has_dropped: bool,
    /// Why the socket did not take the last datagram.
    send_error: Option<OsError>,
    /// Streams that the remote may open and reset, and beyond the limits.
    resets: Allowance,
    refusals: Allowance,
    /// The budget that it has exceeded.
    excess: Option<yamux::ProtocolError>,
}

impl Quic {
    pub(in crate::connection) fn new(session: Box<Session>, route: Arc<dyn Route>) -> Self {
        Self {
            route,
            session,
            received: VecDeque::new(),
            unsent: None,
            budget: 0,
            added: 0,
            sends_more: false,
            more_streams: false,
            closed: false,
            crosses_until: Duration::ZERO,
            paused: false,
            has_dropped: false,
            send_error: None,
            resets: Allowance::rapid_resets(),
            refusals: Allowance::refusals(),
            excess: None,
        }
    }

    pub(in crate::connection) const fn route(&self) -> &Arc<dyn Route> {
        &self.route
    }

    /// Handles received datagrams, and passes the events of streams to `handle`.
    ///
    /// # Errors
    /// The remote has ended the connection, or broken the protocol.
    pub(in crate::connection) fn receive(
        &mut self,
        connection: &Connection,
        now: Duration,
        mut handle: impl FnMut(&mut Self, Event<'_>),
    ) -> Result<Received, ConnectionFault> {
        self.handle_received(connection)?;
        self.session.absorb();
        if connection.must_pause() && self.session.ended().is_none() {
            self.pause(connection);
            return Ok(Received::Paused);
        }
        self.paused = false;
        let is_over = self.pass_on(now, &mut handle);
        if let Some(excess) = self.excess {
            connection.report(Fact::muxer(excess.into()));
            self.close(now, ConnectionErrorCode::RateLimited as u32);
            return Err(ConnectionFault::Muxer);
        }
        let reserve = |bytes| connection.reserve_window(bytes);
        connection.release_window(self.session.adapt_window(now, reserve));
        if !is_over {
            return Ok(Received::More);
        }
        if let Some(reason) = self.session.ended().cloned() {
            return Err(self.fault_of(connection, reason, &mut handle));
        }
        Ok(if self.received.is_empty() {
            Received::Dry
        } else {
            Received::More
        })
    }

    /// Takes what `streams` adds, at most about `target` bytes; returns the number of bytes taken,
    /// where anything else to send counts as one.
    pub(super) fn fill(
        &mut self,
        target: usize,
        mut streams: impl FnMut(&mut dyn StreamLink),
    ) -> usize {
        self.budget = target.min(BURST_BYTES);
        self.added = 0;
        loop {
            let before = self.added;
            streams(self);
            if self.added == before || self.added >= self.budget {
                break;
            }
        }
        self.budget = 0;
        std::mem::take(&mut self.added)
    }

    /// Sends what the path takes; returns false if the socket has no room.
    pub(super) fn flush(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        max: usize,
        now: Duration,
    ) -> bool {
        self.sends_more = false;
        if let Some((transmit, bytes)) = self.unsent.take()
            && !self.put_on_wire(connection, &transmit, &bytes)
        {
            self.unsent = Some((transmit, bytes));
            return false;
        }
        self.session.adapt_send_window();
        let sent_max = max.min(FLUSH_BYTES);
        let datagrams_max = self.route.datagrams_max();
        let mut datagrams = scratch.take_write();
        let mut sent = 0;
        let mut has_room = true;
        while let Some(transmit) = self
            .session
            .poll_transmit(now, datagrams_max, &mut datagrams)
        {
            if !self.put_on_wire(connection, &transmit, &datagrams) {
                self.unsent = Some((transmit, std::mem::take(&mut datagrams)));
                has_room = false;
                break;
            }
            sent += datagrams.len();
            datagrams.clear();
            if sent >= sent_max {
                self.sends_more = true;
                break;
            }
        }
        scratch.recycle(datagrams);
        pass_events(&mut self.session, &*self.route);
        has_room
    }

    /// Returns false if the socket has no room.
    fn put_on_wire(&mut self, connection: &Connection, transmit: &Transmit, bytes: &[u8]) -> bool {
        let stats = &connection.hub.stats;
        stats.socket_writes.add(1);
        match self.route.try_send(transmit, bytes) {
            Ok(()) => {
                stats.socket_bytes_out.add(bytes.len() as u64);
                self.send_error = None;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // It is sent again; if that never works, the timeout tells why.
            Err(error) => {
                self.send_error = Some(error.into());
                true
            }
        }
    }

    pub(super) const fn wants_write(&self) -> bool {
        self.unsent.is_some()
    }

    pub(super) fn is_delivering(&self) -> bool {
        self.session.is_delivering()
    }

    /// See [`Session::has_unacknowledged`].
    pub(super) fn has_unacknowledged(&mut self, now: Duration) -> bool {
        self.sends_more || self.session.has_unacknowledged(now)
    }

    pub(super) fn go_away(&mut self, code: u32, now: Duration) {
        self.session.close(now, code);
        self.expect_crossing(now);
    }

    pub(super) const fn close_channel(&mut self) {
        self.closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) const fn is_flushed(&self) -> bool {
        self.closed && self.unsent.is_none()
    }

    /// Bytes are taken by the remote when frames that carry them can be sent, within its flow
    /// control.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            taken: self.session.stream_frames_out(),
            waiting: 0,
        }
    }

    pub(super) fn has_events(&self) -> bool {
        self.sends_more || self.session.has_events()
    }

    /// Returns whether the remote has allowed more streams since the last call.
    pub(in crate::connection) const fn take_more_streams(&mut self) -> bool {
        std::mem::replace(&mut self.more_streams, false)
    }

    pub(super) fn next_deadline(&mut self) -> Option<Duration> {
        self.session.poll_timeout()
    }

    pub(super) fn handle_deadlines(&mut self, now: Duration) {
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
            pass_events(&mut self.session, &*self.route);
        }
    }

    pub(super) fn count_frames(&self, connection: &Connection) {
        let stats = self.session.stats();
        let Traffic {
            frames_in,
            frames_out,
            ..
        } = &connection.traffic;
        let hub = &connection.hub.stats;
        hub.frames_in.add(stats.frames_in - frames_in.get());
        hub.frames_out.add(stats.frames_out - frames_out.get());
        frames_in.set(stats.frames_in);
        frames_out.set(stats.frames_out);
        let micros = u64::try_from(stats.round_trip.as_micros()).unwrap_or(u64::MAX);
        connection.traffic.round_trip_us.set(micros.max(1));
    }

    /// Closes the connection, with a code of libp2p, unless that is on its way.
    pub(super) fn end(&mut self, connection: &Connection, code: u32) {
        connection.release_window(self.session.reserved());
        self.close(connection.now(), code);
    }

    fn close(&mut self, now: Duration, code: u32) {
        if std::mem::replace(&mut self.closed, true) || self.session.ended().is_some() {
            return;
        }
        self.session.close(now, code);
        self.send_last(now);
        self.expect_crossing(now);
    }

    fn expect_crossing(&mut self, now: Duration) {
        self.crosses_until = now + self.session.round_trip();
    }

    /// Handles late datagrams of an ended connection. Returns when to do so again besides `cx`;
    /// `None` once the remote has certainly read its end.
    pub(in crate::connection) fn linger(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
    ) -> Option<Duration> {
        for _ in 0..LINGER_ROUNDS_MAX {
            if self.handle_late(connection).is_err() {
                return None;
            }
            let now = connection.now();
            if self.session.poll_timeout().is_some_and(|at| at <= now) {
                self.session.handle_timeout(now);
            }
            self.send_last(now);
            if self.session.is_drained() {
                return None;
            }
            if self.received.is_empty() && self.route.poll_received(cx).is_pending() {
                return self.next_deadline();
            }
        }
        cx.waker().wake_by_ref();
        self.next_deadline()
    }

    /// Handles what is received of an ended connection: our close is the answer (RFC 9000, section 10.2.1).
    /// What comes within a round trip was sent before it arrived; if it is lost, the remote repeats what it
    /// sends, or finds out by its idle timeout.
    ///
    /// # Errors
    /// The endpoint has failed.
    fn handle_late(&mut self, connection: &Connection) -> Result<(), ConnectionFault> {
        if connection.now() >= self.crosses_until {
            return self.handle_received(connection);
        }
        self.take_received(connection)?;
        self.received.clear();
        Ok(())
    }

    /// Sends what is left of an ended connection. A remote that does not get it finds out by its idle
    /// timeout.
    fn send_last(&mut self, now: Duration) {
        let mut datagrams = Vec::new();
        transmit(&mut self.session, &*self.route, &mut datagrams, now).ok();
    }

    /// Takes in what has been received, as far as one turn goes.
    ///
    /// # Errors
    /// The endpoint has failed.
    fn handle_received(&mut self, connection: &Connection) -> Result<(), ConnectionFault> {
        self.take_received(connection)?;
        let count = self.received.len().min(EVENTS_MAX);
        for event in self.received.drain(..count) {
            self.session.handle_event(event);
        }
        pass_events(&mut self.session, &*self.route);
        Ok(())
    }

    /// Takes from the endpoint, unless something taken before waits.
    ///
    /// # Errors
    /// The endpoint has failed.
    fn take_received(&mut self, connection: &Connection) -> Result<(), ConnectionFault> {
        // What waits here is bounded, as the endpoint's queue is.
        if self.received.is_empty() {
            let arrived = self.route.take_received(&mut self.received);
            let stats = &connection.hub.stats;
            stats.socket_bytes_in.add(arrived.bytes as u64);
            if arrived.dropped > 0 && !std::mem::replace(&mut self.has_dropped, true) {
                connection.report(Fact::DatagramsDropped(arrived.dropped));
            }
            if let Some(error) = arrived.failure {
                connection.report(Fact::SocketFailed { error });
                return Err(ConnectionFault::Io(error));
            }
        }
        Ok(())
    }

    /// Passes on events; returns whether none is left.
    fn pass_on(&mut self, now: Duration, handle: &mut impl FnMut(&mut Self, Event<'_>)) -> bool {
        let mut bytes_in = 0;
        while bytes_in < READ_BYTES {
            let Some(event) = self.session.poll() else {
                return true;
            };
            match event {
                quic::Event::Opened { key } => handle(self, Event::Opened { key }),
                quic::Event::Data { key, bytes } => {
                    bytes_in += bytes.len();
                    handle(self, Event::Data { key, bytes: &bytes });
                }
                quic::Event::Finished { key } => handle(self, Event::Finished { key }),
                quic::Event::Reset { key, code } => {
                    let is_cut = self.session.is_inbound(key) && !self.session.is_finished(key);
                    if is_cut && !self.resets.spend(now) {
                        self.excess = Some(yamux::ProtocolError::RapidReset);
                    }
                    handle(self, Event::Reset { key, code });
                }
                quic::Event::Writable { key } => handle(self, Event::Writable { key }),
                quic::Event::MoreStreams => self.more_streams = true,
            }
        }
        false
    }

    fn pause(&mut self, connection: &Connection) {
        connection.hub.stats.read_pauses.add(1);
        if !std::mem::replace(&mut self.paused, true) {
            connection.report(Fact::ReadPaused(connection.pause()));
        }
    }

    fn fault_of(
        &mut self,
        connection: &Connection,
        reason: CloseReason,
        handle: &mut impl FnMut(&mut Self, Event<'_>),
    ) -> ConnectionFault {
        match reason {
            CloseReason::Local => ConnectionFault::Local,
            CloseReason::Remote(code) => {
                handle(self, Event::GoAway { code });
                ConnectionFault::Ended
            }
            CloseReason::TimedOut => match self.send_error {
                Some(error) => {
                    connection.report(Fact::SocketFailed { error });
                    ConnectionFault::Io(error)
                }
                None => {
                    connection.report(Fact::ConnectionStalled(Stall::Keepalive));
                    ConnectionFault::Keepalive
                }
            },
            CloseReason::Reset => ConnectionFault::Reset,
            reason => {
                connection.report(Fact::QuicFailed(reason));
                ConnectionFault::Muxer
            }
        }
    }
}

impl Drop for Quic {
    /// A connection that nobody has begun to drive is closed: another one has won, or the node is
    /// closing.
    fn drop(&mut self) {
        let now = self.session.now();
        self.close(now, 0);
    }
}
