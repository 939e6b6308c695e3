//! Input: from bytes to events.

use std::time::Duration;

use crate::muxer::{Role, StreamErrorCode, StreamKey, WINDOW_INITIAL};

use super::flow::add_credit;
use super::frame::{Flags, Header, Kind};
use super::keepalive::Pong;
use super::reception::PendingEvents;
use super::streams::{Ending, Opening, Origin, Read, Stream, Write};
use super::{Event, ProtocolError, Session};

/// Maximum number of resets queued for a remote that opens streams beyond the limits and does not
/// read.
///
/// A caller that stops reading once the session is congested, at a quarter of this, never reaches
/// it: a record holds at most 1,365 headers.
pub(super) const REFUSALS_MAX: usize = 2_048;

impl Session {
    /// Consumes bytes from the front of `input` and returns the next event; `None` once `input` is
    /// empty.
    ///
    /// Frames may be split anywhere. Payload is not buffered: it is handed out in the pieces it
    /// arrives in, and must be credited with [`consumed`](Self::consumed).
    ///
    /// # Errors
    /// [`ProtocolError`] at the header that violates the protocol; the session takes no more input.
    pub fn poll_event<'a>(
        &mut self,
        input: &mut &'a [u8],
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        if !input.is_empty() {
            self.advance_clock(now);
            self.keepalive.received(now);
        }
        self.next_event(input, now)
            .map_err(|error| self.fail(error))
    }

    fn next_event<'a>(
        &mut self,
        input: &mut &'a [u8],
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            if let Some(event) = self.reception.next_pending() {
                return Ok(Some(event));
            }
            if input.is_empty() {
                return Ok(None);
            }
            if self.reception.has_body() {
                if let Some(event) = self.reception.take_body(input) {
                    return Ok(Some(event));
                }
                continue;
            }
            let Some(bytes) = self.reception.take_header(input) else {
                return Ok(None);
            };
            if let Some(event) = self.handle_header(Header::decode(bytes)?, now)? {
                return Ok(Some(event));
            }
        }
    }

    fn handle_header(
        &mut self,
        header: Header,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        self.stats.frames_received += 1;
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.handle_stream_frame(header, now)?,
            Kind::Ping | Kind::GoAway if header.id != 0 => {
                return Err(ProtocolError::SessionFrameOnStream { id: header.id });
            }
            Kind::Ping => return self.handle_ping(header, now),
            Kind::GoAway => {
                if std::mem::replace(&mut self.remote_going_away, true) {
                    self.idle_frame(now)?;
                }
                return Ok(Some(Event::GoAway {
                    code: header.length,
                }));
            }
        }
        Ok(None)
    }

    fn handle_ping(
        &mut self,
        header: Header,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if header.flags.has(Flags::SYN) {
            if !self.allowances.pongs.spend(now) || !self.pongs.push(header.length) {
                self.stats.pings_dropped += 1;
            }
            return Ok(None);
        }
        match self.keepalive.pong(header.length, now) {
            Some(Pong::Measured(rtt)) => Ok(Some(Event::Pong { rtt })),
            Some(Pong::Unmeasured) => Ok(None),
            None => self.idle_frame(now).map(|()| None),
        }
    }

    fn handle_stream_frame(&mut self, header: Header, now: Duration) -> Result<(), ProtocolError> {
        if header.kind == Kind::Data {
            self.stats.payload_received += u64::from(header.length);
        }
        if header.flags.has(Flags::SYN) {
            return self.handle_syn(header, now);
        }
        let Some(key) = self.streams.find(header.id) else {
            return self.handle_stray(header, now);
        };
        match header.kind {
            Kind::Data => self.handle_data(key, header, now),
            Kind::WindowUpdate => self.handle_window_update(key, header, now),
            Kind::Ping | Kind::GoAway => Ok(()),
        }
    }

    fn handle_data(
        &mut self,
        key: StreamKey,
        header: Header,
        now: Duration,
    ) -> Result<(), ProtocolError> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if !stream.window.receive(header.length) {
            return Err(window_exceeded(header, stream.window.remaining()));
        }
        // A stream whose reset is still to be sent takes no payload.
        let target = stream.is_open().then_some(key);
        self.reception.begin(target, header.length);
        if target.is_some() && header.length > 0 {
            match stream.read {
                Read::Open => {}
                Read::Discarding => {
                    self.reception.mute(key);
                    stream.window.give_back(header.length);
                    if stream.window.is_update_due() {
                        self.streams.mark_due(key);
                    }
                }
                Read::Finished if !header.flags.has(Flags::RST) => {
                    self.reset_violator(key);
                    return Ok(());
                }
                Read::Finished => {}
            }
        }
        self.handle_flags(key, header, now)
    }

    fn handle_window_update(
        &mut self,
        key: StreamKey,
        header: Header,
        now: Duration,
    ) -> Result<(), ProtocolError> {
        self.reception.begin(Some(key), 0);
        let is_credit = !header.flags.has(Flags::RST) && header.length > 0;
        if is_credit {
            let Some(stream) = self.streams.get_mut(key) else {
                return Ok(());
            };
            let was_dry = stream.credit == 0;
            stream.credit =
                add_credit(stream.credit, header.length).ok_or(ProtocolError::CreditOverflow {
                    id: header.id,
                    delta: header.length,
                })?;
            if was_dry && stream.is_open() && stream.write == Write::Open {
                self.reception.report(PendingEvents::WRITABLE);
            }
            if !self.allowances.window_updates.spend(now) {
                return Err(ProtocolError::WindowUpdateFlood);
            }
        }
        self.handle_flags(key, header, now)
    }

    /// Handles ACK, FIN and RST of a stream that is not over.
    fn handle_flags(
        &mut self,
        key: StreamKey,
        header: Header,
        now: Duration,
    ) -> Result<(), ProtocolError> {
        let flags = header.flags;
        if flags.is_empty() {
            return if header.length > 0 {
                Ok(())
            } else {
                self.idle_frame(now)
            };
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        let mut has_effect = header.length > 0;
        if flags.has(Flags::ACK) && stream.is_open() && stream.opening == Opening::AwaitingAck {
            stream.opening = Opening::Established;
            self.unacked -= 1;
            self.reception.report(PendingEvents::ACKED);
            has_effect = true;
        }
        if flags.has(Flags::RST) {
            return self.handle_reset(key, header, now);
        }
        if flags.has(Flags::FIN) && stream.is_open() && stream.read != Read::Finished {
            stream.read = Read::Finished;
            self.reception.report(PendingEvents::FINISHED);
            if stream.write == Write::Finished {
                self.end_in_order(key);
            }
            has_effect = true;
        }
        if has_effect {
            Ok(())
        } else {
            self.idle_frame(now)
        }
    }

    fn handle_reset(
        &mut self,
        key: StreamKey,
        header: Header,
        now: Duration,
    ) -> Result<(), ProtocolError> {
        self.stats.resets_received += 1;
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if !stream.is_open() {
            // Both sides reset it: ours is no longer needed.
            self.end(key, Ending::Over);
            return Ok(());
        }
        // After our FIN the response is complete: a remote that has read it may reset the stream
        // freely.
        let cuts_short = stream.origin == Origin::Inbound && stream.write == Write::Open;
        if cuts_short && !self.allowances.rapid_resets.spend(now) {
            return Err(ProtocolError::RapidReset);
        }
        self.reception.report_reset(reset_code(header));
        self.end(key, Ending::Over);
        Ok(())
    }

    /// Resets a stream with data after FIN: the stream cannot be trusted, the connection can.
    fn reset_violator(&mut self, key: StreamKey) {
        let code = StreamErrorCode::ProtocolViolation as u32;
        self.reception.report_reset(code);
        self.end(key, Ending::ResetDue(code));
    }

    fn handle_syn(&mut self, header: Header, now: Duration) -> Result<(), ProtocolError> {
        let id = header.id;
        let is_theirs = match self.role {
            Role::Dialer => id.is_multiple_of(2),
            Role::Listener => !id.is_multiple_of(2),
        };
        if id == 0 || !is_theirs {
            return Err(ProtocolError::InvalidStreamId { id });
        }
        if self.streams.find(id).is_some() {
            return Err(ProtocolError::DuplicateStream { id });
        }
        let mut stream = Stream::new(id, Origin::Inbound, now);
        let is_reset = header.flags.has(Flags::RST);
        match header.kind {
            Kind::Data if !stream.window.receive(header.length) => {
                return Err(window_exceeded(header, WINDOW_INITIAL));
            }
            Kind::WindowUpdate if !is_reset => {
                stream.credit = add_credit(stream.credit, header.length).ok_or(
                    ProtocolError::CreditOverflow {
                        id,
                        delta: header.length,
                    },
                )?;
            }
            Kind::Data | Kind::WindowUpdate | Kind::Ping | Kind::GoAway => {}
        }
        let body = if header.kind == Kind::Data {
            header.length
        } else {
            0
        };
        self.reception.begin(None, body);
        if is_reset {
            // It is over before it began and is not reported.
            self.stats.resets_received += 1;
            let within = self.allowances.rapid_resets.spend(now);
            return if within {
                Ok(())
            } else {
                Err(ProtocolError::RapidReset)
            };
        }
        if let Some(code) = self.refusal() {
            return self.refuse(&stream, code, now);
        }
        let is_finished = header.flags.has(Flags::FIN);
        if is_finished {
            stream.read = Read::Finished;
        }
        self.reception.open(self.streams.insert(stream));
        if is_finished {
            self.reception.report(PendingEvents::FINISHED);
        }
        self.unaccepted += 1;
        self.stats.inbound_opened += 1;
        Ok(())
    }

    /// Returns the reason for refusing an inbound stream at present.
    const fn refusal(&self) -> Option<StreamErrorCode> {
        if self.going_away || self.remote_going_away {
            return Some(StreamErrorCode::Shutdown);
        }
        let is_full = self.streams.inbound() >= self.config.inbound_streams_max
            || self.unaccepted >= self.config.accept_backlog;
        if is_full {
            Some(StreamErrorCode::ResourceLimitExceeded)
        } else {
            None
        }
    }

    fn refuse(
        &mut self,
        stream: &Stream,
        code: StreamErrorCode,
        now: Duration,
    ) -> Result<(), ProtocolError> {
        if !self.allowances.refusals.spend(now) {
            return Err(ProtocolError::RefusalFlood);
        }
        if self.refusals.len() >= REFUSALS_MAX {
            return Err(ProtocolError::ResetBacklog {
                limit: REFUSALS_MAX,
            });
        }
        // The remote may have sent a window of data before it sees the reset.
        self.allowances.stray_bytes += u64::from(stream.window.remaining());
        self.refusals.push_back((stream.id, code));
        self.stats.refused += 1;
        let is_full = self.streams.inbound() >= self.config.inbound_streams_max;
        if is_full && code == StreamErrorCode::ResourceLimitExceeded {
            self.stats.beyond_inbound_max += 1;
        }
        Ok(())
    }

    /// Handles a frame for a stream that is over or never existed.
    fn handle_stray(&mut self, header: Header, now: Duration) -> Result<(), ProtocolError> {
        let Header { id, length, .. } = header;
        if id == 0 {
            return Err(ProtocolError::InvalidStreamId { id });
        }
        if header.kind == Kind::Data && length > 0 {
            let allowance = self.allowances.stray_bytes;
            self.allowances.stray_bytes =
                allowance
                    .checked_sub(u64::from(length))
                    .ok_or(ProtocolError::StrayData {
                        id,
                        length,
                        allowance,
                    })?;
            self.reception.begin(None, length);
            return Ok(());
        }
        if header.kind == Kind::WindowUpdate && header.flags.is_empty() {
            let within = self.allowances.window_updates.spend(now);
            return if within {
                Ok(())
            } else {
                Err(ProtocolError::WindowUpdateFlood)
            };
        }
        self.idle_frame(now)
    }

    /// Charges for a frame without effect.
    fn idle_frame(&mut self, now: Duration) -> Result<(), ProtocolError> {
        let within = self.allowances.idle_frames.spend(now);
        if within {
            Ok(())
        } else {
            Err(ProtocolError::IdleFlood)
        }
    }
}

/// Returns the code of a reset: go-libp2p sends it in window updates only.
const fn reset_code(header: Header) -> u32 {
    match header.kind {
        Kind::WindowUpdate => header.length,
        Kind::Data | Kind::Ping | Kind::GoAway => StreamErrorCode::NoError as u32,
    }
}

const fn window_exceeded(header: Header, window: u32) -> ProtocolError {
    ProtocolError::WindowExceeded {
        id: header.id,
        length: header.length,
        window,
    }
}
