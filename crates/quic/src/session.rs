//! One connection: its streams by key, their events, and its datagrams.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_secure::{HandshakeError, PeerId, PublicKey, quic_peer};
use foldhash::fast::RandomState;
use quinn_proto::{
    Connection, ConnectionEvent, Dir, EndpointEvent, FrameStats, StreamEvent, StreamId, Transmit,
    VarInt, WriteError,
};

use crate::close::{CloseReason, code_of};
use crate::config::{SEND_WINDOW_MAX, SEND_WINDOW_MIN, STREAMS_AT_FIRST, Settings};
use crate::congestion::Shared;
use crate::window::Window;

use self::receive::AHEAD_MIN;

mod receive;
#[cfg(test)]
mod tests;

/// Bytes that the kernel cuts into datagrams: the longest IP packet, without its headers. It refuses
/// more, which would be lost.
const SEGMENTED_BYTES_MAX: usize = 65_535 - 40 - 8;

/// Time after which a remote acknowledges, at most (RFC 9000, section 18.2).
const ACK_DELAY_MAX: Duration = Duration::from_millis(25);

/// An event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The remote has opened a stream.
    Opened {
        /// Its key.
        key: StreamKey,
    },
    /// Bytes have arrived, in order.
    Data {
        /// Key of the stream.
        key: StreamKey,
        /// The bytes; not empty.
        bytes: Bytes,
    },
    /// The remote has ended its half.
    Finished {
        /// Key of the stream.
        key: StreamKey,
    },
    /// The remote has reset the stream.
    Reset {
        /// Key of the stream.
        key: StreamKey,
        /// Its code.
        code: u32,
    },
    /// A stream that did not take bytes may do so now.
    Writable {
        /// Key of the stream.
        key: StreamKey,
    },
    /// The remote allows more streams.
    MoreStreams,
}

impl Event {
    /// Returns the stream that it is of.
    const fn key(&self) -> Option<StreamKey> {
        match self {
            Self::Opened { key }
            | Self::Data { key, .. }
            | Self::Finished { key }
            | Self::Reset { key, .. }
            | Self::Writable { key } => Some(*key),
            Self::MoreStreams => None,
        }
    }
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Bytes taken from the front.
    pub count: usize,
    /// Flow control keeps the rest from being taken: [`Event::Writable`] follows.
    pub is_blocked: bool,
}

/// Counters of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Round-trip time, smoothed.
    pub round_trip: Duration,
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
}

/// One stream.
struct Stream {
    id: StreamId,
    /// Bytes passed on and not consumed, and their limit.
    unread: u32,
    ahead_max: u32,
    /// Bytes consumed since the limit was last looked at, and when that was.
    consumed: u32,
    since: Duration,
    /// It is in the queue of streams to read.
    is_queued: bool,
    /// It holds as much as it may be ahead.
    is_full: bool,
    /// Bytes of the remote may follow.
    receives: bool,
    /// Bytes of ours may follow.
    sends: bool,
    /// We have ended our half in order.
    is_finished: bool,
}

/// One connection.
pub struct Session {
    connection: Connection,
    /// Origin of the caller's clock.
    epoch: Instant,
    streams: Vec<Option<Stream>>,
    /// Free keys.
    free: Vec<u32>,
    keys: HashMap<StreamId, StreamKey, RandomState>,
    /// Streams that may have bytes to pass on.
    readable: VecDeque<StreamKey>,
    /// Bytes of the stream that is being read.
    chunks: VecDeque<Bytes>,
    /// The stream that is being read, and its end if that follows.
    reading: Option<(StreamKey, Option<Event>)>,
    /// Streams that we have ended, and whose last byte is not acknowledged.
    finishing: HashSet<StreamId, RandomState>,
    /// Halves of the remote that nobody reads, with the bytes discarded, and when it is told, oldest
    /// first.
    leaving: HashMap<StreamId, u32, RandomState>,
    leaving_until: VecDeque<(Duration, StreamId)>,
    /// Streams of the remote may wait to be accepted.
    accepts: bool,
    /// Streams that hold as much as they may be ahead: the rest of theirs waits here.
    full: u32,
    /// Bytes passed on since the start of the connection.
    passed_on: u64,
    /// Streams that the remote may have open at a time, once it has use for them.
    streams_max: u32,
    /// What the remote may send on one stream, and on all, ahead of the application.
    stream_window: u32,
    window: Window,
    /// Events to be passed on before others.
    events: VecDeque<Event>,
    /// Streams of the remote that have been accepted, and halves that it does not read although its
    /// stream has not.
    accepted: u64,
    stopped: HashMap<StreamId, VarInt, RandomState>,
    /// Of the congestion controller of the path.
    congestion: Arc<Shared>,
    /// Bytes have been written that were not sent.
    has_written: bool,
    /// Frames sent that carry bytes of streams.
    stream_frames_out: u64,
    /// These are acknowledged when the last bytes in flight have been this often.
    emptied_after: u64,
    /// When the remote was asked for an acknowledgement.
    pinged: Duration,
    ended: Option<CloseReason>,
}

/// Chunks of a stream that are read at a time.
const CHUNKS_MAX: usize = 64;

impl Session {
    /// Wraps a new connection. Times are given as those since the `epoch`.
    pub fn new(connection: Connection, settings: &Settings, epoch: Instant) -> Self {
        let congestion = Shared::of(&connection);
        Self {
            connection,
            epoch,
            streams: Vec::new(),
            free: Vec::new(),
            keys: HashMap::default(),
            readable: VecDeque::new(),
            chunks: VecDeque::new(),
            reading: None,
            finishing: HashSet::default(),
            leaving: HashMap::default(),
            leaving_until: VecDeque::new(),
            accepts: false,
            full: 0,
            passed_on: 0,
            streams_max: settings.streams_max(),
            stream_window: settings.stream_window(),
            window: Window::new(settings.connection_window()),
            events: VecDeque::new(),
            accepted: 0,
            stopped: HashMap::default(),
            congestion,
            has_written: false,
            stream_frames_out: 0,
            emptied_after: 0,
            pinged: Duration::ZERO,
            ended: None,
        }
    }

    /// Returns the time of the caller's clock.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Returns whether the handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Returns whether the remote has answered.
    pub fn is_answered(&self) -> bool {
        self.connection.stats().udp_rx.datagrams > 0
    }

    /// Returns the authenticated peer.
    ///
    /// # Errors
    /// Before the handshake is over.
    pub fn peer(&self) -> Result<(PeerId, PublicKey), HandshakeError> {
        quic_peer(self.connection.crypto_session().peer_identity())
    }

    /// Returns the address of the remote, which moves with it.
    pub fn remote_address(&self) -> std::net::SocketAddr {
        self.connection.remote_address()
    }

    /// Returns why it has ended, once it has.
    pub const fn ended(&self) -> Option<&CloseReason> {
        self.ended.as_ref()
    }

    /// Returns whether the remote is done with it too: nothing is sent or awaited any more.
    pub fn is_drained(&self) -> bool {
        self.connection.is_drained()
    }

    /// Returns the round-trip time of the path.
    pub fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// Returns its counters.
    pub fn stats(&self) -> Stats {
        let stats = self.connection.stats();
        Stats {
            round_trip: stats.path.rtt,
            frames_in: frames(&stats.frame_rx),
            frames_out: frames(&stats.frame_tx),
        }
    }

    /// Returns the number of frames sent that carry bytes of streams.
    pub const fn stream_frames_out(&self) -> u64 {
        self.stream_frames_out
    }

    /// Handles what the endpoint has received for it.
    pub fn handle_event(&mut self, event: ConnectionEvent) {
        self.connection.handle_event(event);
    }

    /// Returns what it has to tell the endpoint.
    pub fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        self.connection.poll_endpoint_events()
    }

    /// Returns the time at which to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&mut self) -> Option<Duration> {
        let at = self.connection.poll_timeout();
        let at = at.map(|at| at.saturating_duration_since(self.epoch));
        let leaving = self.leaving_until.front().map(|(until, _)| *until);
        at.into_iter().chain(leaving).min()
    }

    /// Handles what is due at `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.connection.handle_timeout(self.epoch + now);
        while let Some((_, id)) = self.leaving_until.pop_front_if(|(until, _)| *until <= now) {
            if self.leaving.remove(&id).is_some() {
                self.connection.recv_stream(id).stop(0u32.into()).ok();
            }
        }
    }

    /// Appends the next datagrams to `out`, at most `max` of them, and no more bytes than one system
    /// call sends.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let fitting = SEGMENTED_BYTES_MAX / usize::from(self.connection.current_mtu());
        let max = max.min(fitting).max(1);
        let Some(transmit) = self.connection.poll_transmit(self.epoch + now, max, out) else {
            // What the congestion window keeps here follows packets that are in flight.
            self.has_written = false;
            return None;
        };
        let sent = self.connection.stats().frame_tx.stream;
        if std::mem::replace(&mut self.stream_frames_out, sent) < sent {
            self.emptied_after = self.congestion.emptied() + 1;
        }
        Some(transmit)
    }

    /// Closes the connection: what is not acknowledged is lost.
    pub fn close(&mut self, now: Duration, code: u32) {
        let now = self.epoch + now;
        self.connection.close(now, code.into(), Bytes::new());
        Shared::of(&self.connection).admit_close();
    }

    /// Returns whether a stream that we have ended is not acknowledged.
    pub fn is_delivering(&self) -> bool {
        self.ended.is_none() && !self.finishing.is_empty()
    }

    /// Returns whether bytes that were written are not acknowledged, and asks the remote for an
    /// acknowledgement from time to time.
    pub fn has_unacknowledged(&mut self, now: Duration) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let congestion = Shared::of(&self.connection);
        if !Arc::ptr_eq(&congestion, &self.congestion) {
            // Of a new path.
            self.emptied_after = congestion.emptied() + 1;
            self.congestion = congestion;
        }
        let is_unacknowledged = self.has_written || self.congestion.emptied() < self.emptied_after;
        // A loss is noticed when something later is acknowledged, which is in flight itself until then.
        let pause = 2 * self.connection.rtt() + ACK_DELAY_MAX;
        if is_unacknowledged && now.saturating_sub(self.pinged) > pause {
            self.pinged = now;
            self.connection.ping();
        }
        is_unacknowledged
    }
}

/// Streams.
impl Session {
    /// Opens a stream, unless the remote allows no more: [`Event::MoreStreams`] follows.
    pub fn open(&mut self) -> Option<StreamKey> {
        let id = self.connection.streams().open(Dir::Bi)?;
        Some(self.insert(id))
    }

    /// Returns whether [`poll`](Self::poll) may return an event without anything new from the
    /// endpoint.
    pub fn has_events(&self) -> bool {
        let is_lost = self.ended.is_none() && self.connection.is_drained();
        let is_reading = !self.readable.is_empty() || self.reading.is_some();
        is_lost || self.accepts || is_reading || !self.events.is_empty()
    }

    /// Takes in what has happened without passing on bytes or streams, which is left to
    /// [`poll`](Self::poll): the end of the connection is noticed, and nothing accumulates.
    pub fn absorb(&mut self) {
        while let Some(event) = self.connection.poll() {
            let event = self.convert(event);
            // The remote may allow more streams any number of times.
            if event.is_some() && event.as_ref() != self.events.back() {
                self.events.extend(event);
            }
        }
    }

    /// Returns the next event.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.poll_chunk().or_else(|| self.events.pop_front()) {
                return Some(event);
            }
            if let Some(event) = self.connection.poll() {
                if let Some(event) = self.convert(event) {
                    return Some(event);
                }
            } else if self.accepts {
                match self.connection.streams().accept(Dir::Bi) {
                    Some(id) => {
                        let key = self.insert(id);
                        self.accepted = id.index() + 1;
                        self.allow_streams();
                        self.queue(key);
                        if let Some(code) = self.stopped.remove(&id) {
                            self.connection.send_stream(id).reset(code).ok();
                            let event = self.stop_sending(key, code);
                            self.events.extend(event);
                        }
                        return Some(Event::Opened { key });
                    }
                    None => self.accepts = false,
                }
            } else {
                let key = self.readable.pop_front()?;
                self.read(key);
            }
        }
    }

    /// Appends bytes to a stream.
    pub fn write(&mut self, key: StreamKey, bytes: &[u8]) -> Write {
        let Some(stream) = self.stream(key).filter(|stream| stream.sends) else {
            // The remote does not want the rest.
            return Write {
                count: bytes.len(),
                is_blocked: false,
            };
        };
        let id = stream.id;
        let mut sender = self.connection.send_stream(id);
        let mut count = 0;
        // A write that is cut is repeated, so that quinn tells when there is room again.
        while count < bytes.len() {
            match sender.write(&bytes[count..]) {
                Ok(more) => {
                    count += more;
                    self.has_written = true;
                }
                Err(WriteError::Blocked) => {
                    let is_blocked = true;
                    return Write { count, is_blocked };
                }
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => count = bytes.len(),
            }
        }
        let is_blocked = false;
        Write { count, is_blocked }
    }

    /// Ends our half of a stream.
    pub fn finish(&mut self, key: StreamKey) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        let id = stream.id;
        stream.is_finished = true;
        if std::mem::take(&mut stream.sends) && self.connection.send_stream(id).finish().is_ok() {
            self.finishing.insert(id);
        }
    }

    /// Returns whether the remote has opened a stream.
    pub fn is_inbound(&self, key: StreamKey) -> bool {
        let side = self.connection.side();
        self.stream(key)
            .is_some_and(|stream| stream.id.initiator() != side)
    }

    /// Returns whether we have ended our half of a stream in order.
    pub fn is_finished(&self, key: StreamKey) -> bool {
        self.stream(key).is_some_and(|stream| stream.is_finished)
    }

    /// Resets both halves of a stream.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        self.stop(key, code);
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        let id = stream.id;
        let sends = std::mem::take(&mut stream.sends);
        if self.finishing.remove(&id) || sends {
            self.connection.send_stream(id).reset(code.into()).ok();
        }
    }

    /// Forgets a stream, whose key may be reused. A half that has not ended is reset; what we have
    /// ended is still delivered.
    pub fn remove(&mut self, key: StreamKey) {
        self.stop(key, 0);
        let Some(slot) = self.streams.get_mut(key.0 as usize) else {
            return;
        };
        let Some(stream) = slot.take() else { return };
        if stream.sends {
            self.connection
                .send_stream(stream.id)
                .reset(0u32.into())
                .ok();
        }
        self.keys.remove(&stream.id);
        self.events.retain(|event| event.key() != Some(key));
        self.free.push(key.0);
        if self
            .reading
            .as_ref()
            .is_some_and(|(reading, _)| *reading == key)
        {
            self.chunks.clear();
            self.reading = None;
        }
    }

    /// Adapts the bytes that may wait for an acknowledgement to what the path carries.
    pub fn adapt_send_window(&mut self) {
        let carried = self.connection.congestion_state().window();
        let window = carried
            .saturating_mul(2)
            .clamp(SEND_WINDOW_MIN, SEND_WINDOW_MAX);
        self.connection.set_send_window(window);
    }

    fn convert(&mut self, event: quinn_proto::Event) -> Option<Event> {
        match event {
            quinn_proto::Event::ConnectionLost { reason } => {
                self.ended.get_or_insert_with(|| reason.into());
                // What has been received is passed on, however much is unread.
                let keys = (0..).map(StreamKey).zip(&self.streams);
                let live = keys.filter(|(_, stream)| stream.is_some());
                let live: Vec<_> = live.map(|(key, _)| key).collect();
                for key in live {
                    self.queue(key);
                }
                None
            }
            quinn_proto::Event::Stream(StreamEvent::Opened { .. }) => {
                self.accepts = true;
                None
            }
            quinn_proto::Event::Stream(StreamEvent::Readable { id }) => {
                if self.leaving.contains_key(&id) {
                    self.discard(id);
                    return None;
                }
                let key = *self.keys.get(&id)?;
                self.queue(key);
                None
            }
            quinn_proto::Event::Stream(StreamEvent::Writable { id }) => {
                let key = *self.keys.get(&id)?;
                Some(Event::Writable { key })
            }
            quinn_proto::Event::Stream(StreamEvent::Finished { id }) => {
                self.finishing.remove(&id);
                None
            }
            quinn_proto::Event::Stream(StreamEvent::Stopped { id, error_code }) => {
                self.stopped(id, error_code)
            }
            quinn_proto::Event::Stream(StreamEvent::Available { .. }) => Some(Event::MoreStreams),
            quinn_proto::Event::HandshakeDataReady
            | quinn_proto::Event::Connected
            | quinn_proto::Event::DatagramReceived
            | quinn_proto::Event::DatagramsUnblocked => None,
        }
    }

    /// Handles a remote that reads no more of a stream. With a code it has reset the stream;
    /// without one, bytes of ours are dropped here, as a muxer's remote drops them there.
    fn stopped(&mut self, id: StreamId, code: VarInt) -> Option<Event> {
        if id.initiator() != self.connection.side() && id.index() >= self.accepted {
            // It is yet to be accepted.
            self.stopped.insert(id, code);
            return None;
        }
        self.finishing.remove(&id);
        self.connection.send_stream(id).reset(code).ok();
        let key = *self.keys.get(&id)?;
        self.stop_sending(key, code)
    }

    fn stop_sending(&mut self, key: StreamKey, code: VarInt) -> Option<Event> {
        self.stream_mut(key)?.sends = false;
        if code.into_inner() == 0 {
            // What waits for room is dropped.
            return Some(Event::Writable { key });
        }
        let code = code_of(code);
        self.stop(key, code);
        Some(Event::Reset { key, code })
    }

    /// Allows the remote all of its streams once it has half of the first ones open.
    fn allow_streams(&mut self) {
        let open = self.connection.streams().remote_open_streams(Dir::Bi);
        let allowed = self.connection.max_concurrent_streams(Dir::Bi);
        if open * 2 >= STREAMS_AT_FIRST.into() && allowed < self.streams_max.into() {
            self.connection
                .set_max_concurrent_streams(Dir::Bi, self.streams_max.into());
        }
    }

    fn insert(&mut self, id: StreamId) -> StreamKey {
        let stream = Some(Stream {
            id,
            unread: 0,
            ahead_max: AHEAD_MIN,
            consumed: 0,
            since: Duration::ZERO,
            is_queued: false,
            is_full: false,
            receives: true,
            sends: true,
            is_finished: false,
        });
        let key = match self.free.pop() {
            Some(index) => {
                self.streams[index as usize] = stream;
                StreamKey(index)
            }
            None => {
                self.streams.push(stream);
                StreamKey((self.streams.len() - 1) as u32)
            }
        };
        self.keys.insert(id, key);
        key
    }

    fn stream(&self, key: StreamKey) -> Option<&Stream> {
        self.streams.get(key.0 as usize)?.as_ref()
    }

    fn stream_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.streams.get_mut(key.0 as usize)?.as_mut()
    }
}

/// Returns the number of frames that carry streams, flow control and acknowledgements.
const fn frames(stats: &FrameStats) -> u64 {
    stats.acks
        + stats.stream
        + stats.max_data
        + stats.max_stream_data
        + stats.max_streams_bidi
        + stats.reset_stream
        + stats.stop_sending
        + stats.ping
}
