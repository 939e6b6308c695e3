//! Input: from bytes through the crate to events.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream as _;

use crate::muxer::yamux::{Flags, Header};
use crate::muxer::{Event, StreamErrorCode, StreamKey};

use super::streams::{Half, Opening, Read};
use super::{EndError, Loan, Session, UNCONSUMED_MAX};

impl Session {
    /// Consumes bytes from the front of `input` and returns the next event; `None` once there is no
    /// more. The bytes of an event are borrowed from `loan`.
    ///
    /// # Errors
    /// [`EndError`] after all events that precede it; the session takes no more input.
    pub fn poll_event<'a>(
        &mut self,
        input: &mut &[u8],
        now: Duration,
        loan: &'a mut Loan,
    ) -> Result<Option<Event<'a>>, EndError> {
        self.clock = self.clock.max(now);
        if !input.is_empty() {
            self.pipe.feed(std::mem::take(input));
        }
        self.pump();
        if let Some(key) = self.opened.pop_front() {
            return Ok(Some(Event::Opened { key }));
        }
        if let Some(key) = self.acked.pop_front() {
            return Ok(Some(Event::Acked { key }));
        }
        while let Some((key, half)) = self.streams.pop_ready() {
            let event = match half {
                Half::Write => self.writable(key),
                Half::Read => match self.read(key) {
                    Some(ReadEvent::Data(packet)) => {
                        let bytes = loan.keep(packet);
                        return Ok(Some(Event::Data { key, bytes }));
                    }
                    Some(ReadEvent::Finished) => Some(Event::Finished { key }),
                    Some(ReadEvent::Reset) => Some(Event::Reset {
                        key,
                        code: StreamErrorCode::NoError as u32,
                    }),
                    None => None,
                },
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        if let Some(code) = self.pipe.goaway()
            && !std::mem::replace(&mut self.goaway_reported, true)
        {
            return Ok(Some(Event::GoAway { code }));
        }
        self.end.map_or(Ok(None), Err)
    }

    /// Whether [`poll_event`](Self::poll_event) may return an event without input.
    pub fn has_events(&self) -> bool {
        !self.opened.is_empty()
            || !self.acked.is_empty()
            || self.streams.has_ready()
            || self.pipe.is_readable()
            || (self.pipe.goaway().is_some() && !self.goaway_reported)
    }

    /// Whether input is held back until more has been sent. The caller must stop feeding input.
    pub fn is_congested(&self) -> bool {
        self.end.is_none() && self.pipe.has_input()
    }

    /// Marks the end of input: everything received is reported, however much the caller has left
    /// unconsumed.
    pub fn end_input(&mut self) {
        self.input_ended = true;
        for entry in self.streams.iter_mut() {
            if entry.read == Read::Full {
                entry.read = Read::Open;
                entry.wake_reader();
            }
        }
    }

    /// Polls the crate until it has nothing more to do.
    pub(super) fn pump(&mut self) {
        if self.end.is_some() {
            return;
        }
        let mut has_read = false;
        loop {
            let readable = self.pipe.is_readable();
            if !self.wake_flag.take() && !readable {
                break;
            }
            has_read |= readable;
            let mut cx = Context::from_waker(&self.waker);
            match self.connection.poll_next_inbound(&mut cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    self.wake_flag.set();
                    self.admit(stream);
                }
                // The crate has no other reason to end: its input never ends, and it sees no
                // GoAway.
                Poll::Ready(Some(Err(_)) | None) => self.end = Some(EndError::Decode),
                Poll::Pending => {}
            }
            if let Some(code) = self.pipe.refusal() {
                self.end = Some(EndError::Violation { code });
            }
            if self.end.is_some() {
                self.end_input();
                break;
            }
        }
        if has_read {
            self.poll_watched();
        }
    }

    /// Admits or refuses an inbound stream.
    fn admit(&mut self, stream: ::yamux::Stream) {
        let id = stream.id();
        if id.is_session() {
            // The crate would accept stream 0.
            self.end = Some(EndError::Violation { code: 1 });
            return;
        }
        let code = if self.going_away {
            StreamErrorCode::Shutdown
        } else if self.inbound_live >= self.config.inbound_streams_max {
            self.beyond_inbound_max += 1;
            StreamErrorCode::ResourceLimitExceeded
        } else if self.unaccepted >= self.config.accept_backlog {
            StreamErrorCode::ResourceLimitExceeded
        } else {
            self.inbound_live += 1;
            self.unaccepted += 1;
            self.pipe.withhold_ack(id.val());
            let key = self.streams.insert(stream, Opening::Unaccepted);
            self.opened.push_back(key);
            return;
        };
        let reset = Header::window_update(Flags::RST, id.val(), code as u32);
        self.pipe.send(reset);
    }

    /// Detects acknowledgements, and resets that follow the remote's FIN.
    fn poll_watched(&mut self) {
        let Self {
            watched,
            streams,
            acked,
            unacked,
            ..
        } = self;
        watched.retain(|key| {
            let Some(entry) = streams.get_mut(*key) else {
                return false;
            };
            let Some(stream) = &entry.stream else {
                return false;
            };
            if stream.is_closed() {
                entry.wake_reader();
                return false;
            }
            if entry.opening == Opening::AwaitingAck && !stream.is_pending_ack() {
                entry.opening = Opening::Established;
                *unacked -= 1;
                acked.push_back(*key);
            }
            entry.is_outbound_unacked() || matches!(entry.read, Read::Finished | Read::Full)
        });
    }

    fn writable(&mut self, key: StreamKey) -> Option<Event<'static>> {
        let entry = self.streams.get_mut(key)?;
        let was_blocked = std::mem::take(&mut entry.blocked);
        (was_blocked && entry.stream.is_some() && !entry.fin).then_some(Event::Writable { key })
    }

    /// Returns the next event of the half that the remote writes.
    fn read(&mut self, key: StreamKey) -> Option<ReadEvent> {
        let is_over = self.end.is_some();
        let unbounded = is_over || self.input_ended;
        let entry = self.streams.get_mut(key)?;
        let stream = entry.stream.as_mut()?;
        // The crate never sees our FIN: a stream is closed only by a reset or by the end of the
        // connection.
        let was_reset = stream.is_closed() && !is_over;
        let event = loop {
            match entry.read {
                Read::Open if entry.unconsumed >= UNCONSUMED_MAX && !unbounded => {
                    entry.read = Read::Full;
                    if !self.watched.contains(&key) {
                        self.watched.push(key);
                    }
                    break None;
                }
                Read::Open | Read::Discarding => {}
                Read::Full | Read::Finished => break None,
            }
            let mut cx = Context::from_waker(entry.reader.waker());
            match Pin::new(&mut *stream).poll_next(&mut cx) {
                Poll::Ready(Some(Ok(packet))) => {
                    if entry.read == Read::Open {
                        // A packet is at most 1 MiB.
                        let length = packet.as_ref().len() as u32;
                        entry.unconsumed = entry.unconsumed.saturating_add(length);
                        entry.wake_reader();
                        return Some(ReadEvent::Data(packet));
                    }
                }
                Poll::Ready(None) if !stream.is_closed() => break Some(ReadEvent::Finished),
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => break None,
            }
        };
        if was_reset {
            entry.stream = None;
            self.retire(key);
            return Some(ReadEvent::Reset);
        }
        if event.is_some() {
            entry.read = Read::Finished;
            if entry.is_done() {
                self.retire(key);
            } else {
                self.watched.push(key);
            }
        }
        event
    }
}

/// Event of the half that the remote writes.
enum ReadEvent {
    Data(::yamux::Packet),
    Finished,
    Reset,
}
