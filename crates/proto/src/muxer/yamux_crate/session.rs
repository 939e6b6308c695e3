//! The session: the caller's calls, applied to the crate's streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::muxer::yamux::{Flags, Header};
use crate::muxer::{
    FRAME_PAYLOAD_MAX, OpenError, Role, StreamErrorCode, StreamKey, UNACKED_MAX, WINDOW_INITIAL,
};

use super::pipe::Pipe;
use super::streams::{Opening, Read, Streams, WakeFlag};
use super::{Config, EndError, GROWTH_MAX, UNCONSUMED_MAX};

/// Maximum time that an acknowledgement waits for another frame to carry it, as in our own engine.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// Maximum number of acknowledgements held for other frames to carry, as in our own engine.
const ACKS_HELD_MAX: u32 = UNACKED_MAX / 4;

/// Streams that the crate may hold beyond the limits: the one being refused, and reset ones that it
/// has not dropped yet.
const SPARE_STREAMS: usize = 64;

/// Upper bound of the crate's stream limit per direction: its windows for twice as many, and for
/// the spare ones, must fit 32 bits.
const STREAMS_MAX: u32 = 8_000;

/// Number of streams that one side of a connection can ever open.
const IDS_MAX: u32 = 1 << 31;

/// One end of a yamux connection run by the crate, without the connection.
///
/// Every call ignores an unknown key.
#[derive(Debug)]
pub struct Session {
    pub(super) config: Config,
    pub(super) connection: ::yamux::Connection<Pipe>,
    pub(super) pipe: Pipe,
    pub(super) wake_flag: Arc<WakeFlag>,
    pub(super) waker: Waker,
    pub(super) streams: Streams,
    /// Inbound streams not yet reported to the caller.
    pub(super) opened: VecDeque<StreamKey>,
    /// Acknowledged outbound streams not yet reported to the caller.
    pub(super) acked: VecDeque<StreamKey>,
    /// Outbound streams whose SYN has not been sent, and some whose SYN has.
    pub(super) pending_syns: Vec<StreamKey>,
    /// Streams whose changes the crate does not wake for: unacknowledged outbound ones, those whose
    /// remote half has ended while ours continues, and those not read at present. May contain
    /// duplicates and removed streams.
    pub(super) watched: Vec<StreamKey>,
    /// Number of unacknowledged outbound streams.
    pub(super) unacked: u32,
    /// Number of inbound streams that wait for [`accept`](Self::accept).
    pub(super) unaccepted: u32,
    pub(super) inbound_live: u32,
    /// Number of inbound streams refused because the limit on live ones was reached.
    pub(super) beyond_inbound_max: u64,
    outbound_live: u32,
    ids_left: u32,
    pub(super) going_away: bool,
    pub(super) goaway_reported: bool,
    /// The input has ended: held-back events are reported whatever the caller has left unconsumed.
    pub(super) input_ended: bool,
    pub(super) end: Option<EndError>,
    /// The latest time supplied by the caller.
    pub(super) clock: Duration,
    acks_due_at: Option<Duration>,
    /// Number of streams accepted since acknowledgements last got frames of their own.
    acks_held: u32,
}

impl Session {
    /// Creates the session of a new connection.
    pub fn new(role: Role, mut config: Config) -> Self {
        config.inbound_streams_max = config.inbound_streams_max.min(STREAMS_MAX);
        config.outbound_streams_max = config.outbound_streams_max.min(STREAMS_MAX);
        let pipe = Pipe::default();
        let wake_flag = Arc::new(WakeFlag::default());
        wake_flag.set();
        let mode = match role {
            Role::Dialer => ::yamux::Mode::Client,
            Role::Listener => ::yamux::Mode::Server,
        };
        Self {
            connection: ::yamux::Connection::new(pipe.clone(), limits(&config), mode),
            waker: Waker::from(Arc::clone(&wake_flag)),
            config,
            pipe,
            wake_flag,
            streams: Streams::default(),
            opened: VecDeque::new(),
            acked: VecDeque::new(),
            pending_syns: Vec::new(),
            watched: Vec::new(),
            unacked: 0,
            unaccepted: 0,
            inbound_live: 0,
            beyond_inbound_max: 0,
            outbound_live: 0,
            ids_left: IDS_MAX,
            going_away: false,
            goaway_reported: false,
            input_ended: false,
            end: None,
            clock: Duration::ZERO,
            acks_due_at: None,
            acks_held: 0,
        }
    }

    /// Opens a stream. Its SYN is carried by its first data frame or, if there is none by then,
    /// written by the next [`poll_control`](Self::poll_control).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        // The crate counts streams that were reset until it has polled them.
        self.pump();
        if self.going_away || self.pipe.goaway().is_some() || self.end.is_some() {
            return Err(OpenError::GoingAway);
        }
        if self.unacked >= UNACKED_MAX {
            return Err(OpenError::Unacked);
        }
        // Beyond either limit the crate would close the connection.
        if self.outbound_live >= self.config.outbound_streams_max {
            return Err(OpenError::TooMany);
        }
        self.ids_left = self
            .ids_left
            .checked_sub(1)
            .ok_or(OpenError::IdsExhausted)?;
        let mut cx = Context::from_waker(&self.waker);
        let Poll::Ready(Ok(stream)) = self.connection.poll_new_outbound(&mut cx) else {
            return Err(OpenError::TooMany);
        };
        // The connection does not wake for a stream that it has not polled yet.
        self.wake_flag.set();
        let key = self.streams.insert(stream, Opening::SynDue);
        self.pending_syns.push(key);
        self.watched.push(key);
        self.unacked += 1;
        self.outbound_live += 1;
        Ok(key)
    }

    /// Number of inbound streams refused because the limit on live ones was reached.
    pub const fn beyond_inbound_max(&self) -> u64 {
        self.beyond_inbound_max
    }

    /// Number of inbound streams that wait for [`accept`](Self::accept).
    pub const fn unaccepted(&self) -> u32 {
        self.unaccepted
    }

    /// Accepts an inbound stream for the application, which frees its place in the backlog.
    ///
    /// The stream's next frame carries the acknowledgement. It gets a frame of its own after 20 ms,
    /// or as soon as 64 streams were accepted.
    pub fn accept(&mut self, key: StreamKey) {
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        if entry.opening != Opening::Unaccepted {
            return;
        }
        self.unaccepted -= 1;
        if entry.stream.is_none() {
            entry.opening = Opening::Established;
            return;
        }
        entry.opening = Opening::AckDue;
        self.pipe.release_ack(entry.id);
        self.acks_held += 1;
        if self.acks_held >= ACKS_HELD_MAX {
            self.acknowledge();
        } else {
            self.acks_due_at
                .get_or_insert_with(|| self.clock.saturating_add(ACK_DELAY));
        }
    }

    /// Records that the application consumed `bytes` of a stream's data: as much may be handed out
    /// again. Returns the number of consumed bytes that is worth a call: a quarter of the maximum that may
    /// be unconsumed; zero for an unknown key.
    ///
    /// The crate sends credit to the remote when half a window was handed out.
    pub fn consumed(&mut self, key: StreamKey, bytes: u32, now: Duration) -> u32 {
        self.clock = self.clock.max(now);
        let Some(entry) = self.streams.get_mut(key) else {
            return 0;
        };
        entry.unconsumed = entry.unconsumed.saturating_sub(bytes);
        if entry.read == Read::Full && entry.unconsumed < UNCONSUMED_MAX {
            entry.read = Read::Open;
            entry.wake_reader();
        }
        UNCONSUMED_MAX / 4
    }

    /// Closes the reading half locally: data received and still to be received counts as consumed,
    /// and only the end of the stream is reported.
    pub fn discard(&mut self, key: StreamKey) {
        if let Some(entry) = self.streams.get_mut(key)
            && entry.read != Read::Finished
        {
            entry.read = Read::Discarding;
            entry.wake_reader();
        }
    }

    /// Resets a stream; no further events are returned for it. A stream whose SYN has not been sent
    /// leaves no trace.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        // Data written earlier is sent first.
        let Some(stream) = entry.stream.take() else {
            return;
        };
        let (id, syn_sent) = (entry.id, entry.opening != Opening::SynDue);
        self.pump();
        drop(stream);
        self.retire(key);
        if syn_sent {
            self.pipe.send(Header::window_update(Flags::RST, id, code));
        }
    }

    /// Queues a GoAway, after every other control frame. From now on streams are neither opened nor
    /// accepted. Call it when the streams have nothing left to send. Only the first call sends one.
    pub fn go_away(&mut self, code: u32) {
        self.send_syns();
        self.pump();
        if !std::mem::replace(&mut self.going_away, true) {
            self.pipe.send(Header::go_away(code));
        }
    }

    /// Removes the entry; its key may be reused for another stream. A stream that is not over is
    /// reset without a code.
    pub fn remove(&mut self, key: StreamKey) {
        self.reset(key, StreamErrorCode::NoError as u32);
        let Some(entry) = self.streams.remove(key) else {
            return;
        };
        self.watched.retain(|watched| *watched != key);
        if entry.outbound {
            self.outbound_live -= 1;
        } else {
            self.inbound_live -= 1;
            if entry.opening == Opening::Unaccepted {
                self.unaccepted -= 1;
            }
        }
    }

    /// Returns the stream's id on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        self.streams.get(key).map(|entry| entry.id)
    }

    /// Returns the time at which to call [`handle_deadline`](Self::handle_deadline).
    pub const fn poll_deadline(&self) -> Option<Duration> {
        self.acks_due_at
    }

    /// Acknowledges the streams that no other frame has acknowledged by `now`.
    pub fn handle_deadline(&mut self, now: Duration) {
        self.clock = self.clock.max(now);
        if self.acks_due_at.is_none_or(|at| at > now) {
            return;
        }
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        self.acks_due_at = None;
        self.acks_held = 0;
        self.pump();
        for entry in self.streams.iter_mut() {
            if entry.opening == Opening::AckDue {
                entry.opening = Opening::Established;
                self.pipe.remove_ack(entry.id);
                self.pipe
                    .send(Header::window_update(Flags::ACK, entry.id, 0));
            }
        }
    }

    /// Closes a stream that is over: no acknowledgement is outstanding in either direction, and the
    /// crate may drop it.
    pub(super) fn retire(&mut self, key: StreamKey) {
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        entry.stream = None;
        self.pipe.remove_ack(entry.id);
        if entry.is_outbound_unacked() {
            self.unacked -= 1;
        }
        // A place in the backlog is kept until the caller accepts or removes the stream.
        if entry.opening != Opening::Unaccepted {
            entry.opening = Opening::Established;
        }
    }
}

/// Returns the crate's limits: beyond ours, so that we refuse the stream before the crate closes
/// the connection.
fn limits(config: &Config) -> ::yamux::Config {
    let streams = (config.inbound_streams_max as usize)
        .saturating_add(config.outbound_streams_max as usize)
        .saturating_add(SPARE_STREAMS);
    let windows = streams * WINDOW_INITIAL as usize;
    let mut limits = ::yamux::Config::default();
    limits
        .set_max_connection_receive_window(None)
        .set_max_num_streams(streams)
        .set_max_connection_receive_window(Some(
            windows.saturating_add(config.growth_max.min(GROWTH_MAX)),
        ))
        .set_split_send_size(FRAME_PAYLOAD_MAX);
    limits
}
