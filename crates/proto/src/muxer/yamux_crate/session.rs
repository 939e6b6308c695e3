//! The session: commands of the caller, carried out on the crate's streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::muxer::yamux::{Flags, Header};
use crate::muxer::{
    FRAME_PAYLOAD_MAX, OpenError, Role, StreamErrorCode, StreamKey, UNACKED_MAX, WINDOW_INITIAL,
};

use super::pipe::Pipe;
use super::streams::{Alarm, Opening, Read, Streams};
use super::{Config, EndError, GROWTH_MAX, UNCONSUMED_MAX};

/// Time that an acknowledgement waits for a frame to ride on, as in our own engine.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// Acknowledgements that wait for frames to ride on, as in our own engine.
const ACKS_HELD_MAX: u32 = UNACKED_MAX / 4;

/// Streams that the crate has room for beyond those that the limits allow: the one that is refused,
/// and those that were reset and that it has not dropped yet.
const SPARE_STREAMS: usize = 64;

/// Streams of one direction that the crate is ever told to take: its windows for twice as many, and for
/// the spare ones, have to fit 32 bits.
const STREAMS_MAX: u32 = 8_000;

/// Streams that one side of a connection may ever open.
const IDS_MAX: u32 = 1 << 31;

/// One end of a yamux connection as the crate sees it, without the connection.
///
/// A key that the session does not know is ignored by every command.
#[derive(Debug)]
pub struct Session {
    pub(super) config: Config,
    pub(super) connection: ::yamux::Connection<Pipe>,
    pub(super) pipe: Pipe,
    pub(super) alarm: Arc<Alarm>,
    pub(super) waker: Waker,
    pub(super) streams: Streams,
    /// Streams of the remote that the caller has not been told of.
    pub(super) opened: VecDeque<StreamKey>,
    /// Outbound streams that the remote acknowledged.
    pub(super) acked: VecDeque<StreamKey>,
    /// Outbound streams whose SYN has not gone out, and some whose has.
    pub(super) unannounced: Vec<StreamKey>,
    /// Streams with news that the crate does not call for: outbound ones that are not acknowledged, those
    /// whose remote half has ended while ours goes on, and those that are not read at present. Maybe some
    /// twice, and some that were removed.
    pub(super) watched: Vec<StreamKey>,
    /// Outbound streams that wait for their acknowledgement.
    pub(super) unacked: u32,
    /// Inbound streams that wait for [`accept`](Self::accept).
    pub(super) unaccepted: u32,
    pub(super) inbound_live: u32,
    /// Inbound streams refused because there were as many as there may be.
    pub(super) beyond_inbound_max: u64,
    outbound_live: u32,
    ids_left: u32,
    pub(super) going_away: bool,
    pub(super) goaway_reported: bool,
    /// Nothing more comes: what is held back is told whatever the caller has unconsumed.
    pub(super) input_ended: bool,
    pub(super) end: Option<EndError>,
    /// The latest time that a caller has told.
    pub(super) clock: Duration,
    acks_due_at: Option<Duration>,
    /// Streams taken since the last acknowledgements that had frames of their own.
    acks_held: u32,
}

impl Session {
    /// A session at the start of a connection.
    pub fn new(role: Role, mut config: Config) -> Self {
        config.inbound_streams_max = config.inbound_streams_max.min(STREAMS_MAX);
        config.outbound_streams_max = config.outbound_streams_max.min(STREAMS_MAX);
        let pipe = Pipe::default();
        let alarm = Arc::new(Alarm::default());
        alarm.set();
        let mode = match role {
            Role::Dialer => ::yamux::Mode::Client,
            Role::Listener => ::yamux::Mode::Server,
        };
        Self {
            connection: ::yamux::Connection::new(pipe.clone(), limits(&config), mode),
            waker: Waker::from(Arc::clone(&alarm)),
            config,
            pipe,
            alarm,
            streams: Streams::default(),
            opened: VecDeque::new(),
            acked: VecDeque::new(),
            unannounced: Vec::new(),
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

    /// Opens a stream. Its SYN goes out with its first data frame or, if there is none by then, with
    /// the next [`poll_control`](Self::poll_control).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        // Streams that were reset count in the crate until it has looked at them.
        self.pump();
        if self.going_away || self.pipe.goaway().is_some() || self.end.is_some() {
            return Err(OpenError::GoingAway);
        }
        if self.unacked >= UNACKED_MAX {
            return Err(OpenError::Unacked);
        }
        // The crate gives up the connection when it is asked beyond either of these.
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
        // The connection does not call for a stream that it has not looked at yet.
        self.alarm.set();
        let key = self.streams.insert(stream, Opening::SynDue);
        self.unannounced.push(key);
        self.watched.push(key);
        self.unacked += 1;
        self.outbound_live += 1;
        Ok(key)
    }

    /// Inbound streams refused because there were as many as there may be.
    pub const fn beyond_inbound_max(&self) -> u64 {
        self.beyond_inbound_max
    }

    /// Inbound streams that wait for [`accept`](Self::accept).
    pub const fn unaccepted(&self) -> u32 {
        self.unaccepted
    }

    /// The application took an inbound stream: its place in the backlog is free.
    ///
    /// The acknowledgement rides on the stream's next frame. It gets one of its own after 20 ms, or as
    /// soon as 64 streams were taken.
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

    /// The application consumed `bytes` of a stream's data: as much may be handed out again.
    ///
    /// The crate gives the remote credit when half a window was handed out.
    pub fn consumed(&mut self, key: StreamKey, bytes: u32, now: Duration) {
        self.clock = self.clock.max(now);
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        entry.unconsumed = entry.unconsumed.saturating_sub(bytes);
        if entry.read == Read::Full && entry.unconsumed < UNCONSUMED_MAX {
            entry.read = Read::Open;
            entry.look_again();
        }
    }

    /// Closes the reading half here: what has come and what still comes of this stream counts as
    /// consumed, and only its end is told.
    pub fn discard(&mut self, key: StreamKey) {
        if let Some(entry) = self.streams.get_mut(key)
            && entry.read != Read::Finished
        {
            entry.read = Read::Discarding;
            entry.look_again();
        }
    }

    /// Resets a stream; nothing more is told of it. A stream whose SYN has not gone out vanishes.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        // What was written before goes out before.
        let Some(stream) = entry.stream.take() else {
            return;
        };
        let (id, is_known) = (entry.id, entry.opening != Opening::SynDue);
        self.pump();
        drop(stream);
        self.settle(key);
        if is_known {
            self.pipe.send(Header::window_update(Flags::RST, id, code));
        }
    }

    /// Queues a GoAway, behind every other control frame. From here on streams are neither opened nor
    /// taken. Call it when the streams have nothing left to send. Only the first one is said.
    pub fn go_away(&mut self, code: u32) {
        self.announce();
        self.pump();
        if !std::mem::replace(&mut self.going_away, true) {
            self.pipe.send(Header::go_away(code));
        }
    }

    /// The caller is done with the entry; its key may come back for another stream. A stream that is
    /// not over is reset without a code.
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

    /// The stream's number on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        self.streams.get(key).map(|entry| entry.id)
    }

    /// Consumed bytes that are worth telling of: a quarter of what may be unconsumed; zero for a key
    /// nobody knows.
    pub fn update_step(&self, key: StreamKey) -> u32 {
        self.streams.get(key).map_or(0, |_| UNCONSUMED_MAX / 4)
    }

    /// When to call [`handle_deadline`](Self::handle_deadline).
    pub const fn poll_deadline(&self) -> Option<Duration> {
        self.acks_due_at
    }

    /// Acknowledges what no other frame has acknowledged by now.
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
                self.pipe.forget_ack(entry.id);
                self.pipe
                    .send(Header::window_update(Flags::ACK, entry.id, 0));
            }
        }
    }

    /// The stream is over: nobody owes anybody an acknowledgement, and the crate may forget it.
    pub(super) fn settle(&mut self, key: StreamKey) {
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        entry.stream = None;
        self.pipe.forget_ack(entry.id);
        if entry.is_outbound_unacked() {
            self.unacked -= 1;
        }
        // A place in the backlog is kept until the caller takes the stream or removes it.
        if entry.opening != Opening::Unaccepted {
            entry.opening = Opening::Established;
        }
    }
}

/// The crate's limits: beyond ours, so that it is we who refuse a stream and not it the connection.
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
