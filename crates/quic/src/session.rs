//! One connection: its streams by key, their events, and its datagrams.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferroswarm_proto::muxer::{MemoryBudget, StreamKey};
use ferroswarm_secure::{HandshakeError, PeerId, PublicKey, quic_peer};
use foldhash::fast::RandomState;
use quinn_proto::TransportErrorCode as Code;
use quinn_proto::{
    Connection, ConnectionError, ConnectionEvent, Dir, EndpointEvent, FrameStats, ReadError,
    StreamEvent, StreamId, Transmit, VarInt, WriteError,
};

use crate::config::{SEND_WINDOW_MAX, SEND_WINDOW_MIN, Settings};
use crate::congestion::open_for_close;

#[cfg(test)]
mod tests;

/// Bytes of a stream that may be passed on before the application has read them; the initial window of
/// yamux. The rest waits in the windows, where the remote has to stop at the end of one.
const AHEAD_MIN: u32 = 256 << 10;

/// The same of a stream that is read fast.
const AHEAD_MAX: u32 = 4 << 20;

/// A stream that is read within this time as far as it may be ahead is read fast: the application would
/// wait for the I/O thread, and that for it.
const AHEAD_TIME: Duration = Duration::from_millis(16);

/// Bytes that the kernel cuts into datagrams: the longest IP packet, without its headers. It refuses
/// more, which would be lost.
const SEGMENTED_BYTES_MAX: usize = 65_535 - 40 - 8;

/// Time for a remote to end a half that nobody reads any more, before it is told to. js-libp2p and
/// py-libp2p lose the rest of the stream when they are told.
const LEFT_TIME: Duration = Duration::from_secs(5);

/// Bytes of such a half that are discarded before the remote is told.
const LEFT_BYTES_MAX: u32 = 64 << 10;

/// Deadlines of such halves before those that have ended by themselves are swept.
const LEFT_MIN: usize = 64;

/// Code of libp2p for one that does not fit 32 bits.
const CODE_OUT_OF_RANGE: u32 = 0x1009;

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

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Bytes taken from the front.
    pub count: usize,
    /// Flow control keeps the rest from being taken: [`Event::Writable`] follows.
    pub is_blocked: bool,
}

/// Reason for the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// We have closed it.
    #[error("closed here")]
    Local,
    /// The remote has closed it with this code of libp2p.
    #[error("closed by the remote with code {0}")]
    Remote(u32),
    /// The remote has been silent for too long.
    #[error("the remote is silent")]
    TimedOut,
    /// The remote has lost its state, or was restarted.
    #[error("the remote does not know the connection")]
    Reset,
    /// The remote has no room for a connection, or refuses it.
    #[error("the remote refuses the connection")]
    Refused,
    /// The TLS handshake failed with this alert, ours or the remote's.
    #[error("the tls handshake failed with alert {0}")]
    Alert(u8),
    /// The remote supports no version of QUIC that we support.
    #[error("the remote does not speak quic version 1")]
    Version,
    /// One side has broken the protocol.
    #[error("{0}")]
    Protocol(Box<str>),
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
    /// Of these, frames that carry bytes of streams.
    pub stream_frames_out: u64,
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
    /// Bytes received and passed on when nothing waited.
    settled: (u64, u64),
    /// Maximum bytes that wait.
    window: u32,
    ended: Option<CloseReason>,
}

/// Chunks of a stream that are read at a time.
const CHUNKS_MAX: usize = 64;

impl Session {
    /// Wraps a new connection. Times are given as those since the `epoch`.
    pub fn new(connection: Connection, settings: &Settings, epoch: Instant) -> Self {
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
            settled: (0, 0),
            window: settings.connection_window(),
            ended: None,
        }
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

    /// Returns its counters.
    pub fn stats(&self) -> Stats {
        let stats = self.connection.stats();
        Stats {
            round_trip: stats.path.rtt,
            frames_in: frames(&stats.frame_rx),
            frames_out: frames(&stats.frame_tx),
            stream_frames_out: stats.frame_tx.stream,
        }
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
        self.connection.poll_transmit(self.epoch + now, max, out)
    }

    /// Closes the connection: what is not acknowledged is lost.
    pub fn close(&mut self, now: Duration, code: u32) {
        let now = self.epoch + now;
        self.connection.close(now, code.into(), Bytes::new());
        open_for_close(&self.connection);
    }

    /// Returns whether a stream that we have ended is not acknowledged.
    pub fn is_delivering(&self) -> bool {
        self.ended.is_none() && !self.finishing.is_empty()
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
        is_lost || self.accepts || !self.readable.is_empty() || self.reading.is_some()
    }

    /// Notices the end of a connection during its handshake. Streams that the remote has opened already
    /// are left to [`poll`](Self::poll).
    pub fn poll_handshake(&mut self) {
        while let Some(event) = self.connection.poll() {
            // Without streams of ours there is nothing to report.
            let _ = self.convert(event);
        }
    }

    /// Returns the next event.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.poll_chunk() {
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
                        self.queue(key);
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
                Ok(more) => count += more,
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
        if std::mem::take(&mut stream.sends) && self.connection.send_stream(id).finish().is_ok() {
            self.finishing.insert(id);
        }
    }

    /// Records that the application has read bytes of a stream, so that more of it is passed on.
    /// Returns the bytes after which that is next of use.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        let Some(stream) = self.stream_mut(key) else {
            return AHEAD_MIN;
        };
        stream.unread = stream.unread.saturating_sub(bytes);
        stream.consumed = stream.consumed.saturating_add(bytes);
        if stream.consumed >= stream.ahead_max {
            let is_fast = now.saturating_sub(stream.since) < AHEAD_TIME;
            let growth = stream.ahead_max.min(AHEAD_MAX - stream.ahead_max);
            if is_fast && growth > 0 && budget.reserve(growth) {
                stream.ahead_max += growth;
            }
            (stream.consumed, stream.since) = (0, now);
        }
        let step = stream.ahead_max / 4;
        if std::mem::take(&mut stream.is_full) {
            self.full -= 1;
            self.queue(key);
        }
        step
    }

    /// Tells the remote that nothing more of a stream is read.
    pub fn stop(&mut self, key: StreamKey, code: u32) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        let id = stream.id;
        let was_full = std::mem::take(&mut stream.is_full);
        if std::mem::take(&mut stream.receives) {
            // The remote may have ended it meanwhile.
            self.connection.recv_stream(id).stop(code.into()).ok();
        }
        self.full -= u32::from(was_full);
    }

    /// Discards the rest of what the remote sends on a stream. It is told only if it does not end its
    /// half by itself.
    pub fn leave(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        if !std::mem::take(&mut stream.receives) {
            return;
        }
        let id = stream.id;
        self.full -= u32::from(std::mem::take(&mut stream.is_full));
        self.leaving.insert(id, 0);
        self.discard(id);
        if self.leaving.contains_key(&id) {
            if self.leaving_until.len() > 2 * self.leaving.len() + LEFT_MIN {
                let leaving = &self.leaving;
                self.leaving_until
                    .retain(|(_, id)| leaving.contains_key(id));
            }
            self.leaving_until.push_back((now + LEFT_TIME, id));
        }
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

    /// Returns about how many received bytes wait because streams that they belong to are not read:
    /// as many as have arrived in datagrams since nothing waited, and have not been passed on.
    pub fn waiting(&mut self) -> usize {
        let received = self.connection.stats().udp_rx.bytes;
        if self.full == 0 {
            self.settled = (received, self.passed_on);
            return 0;
        }
        let (before, passed_on) = self.settled;
        let waiting = (received - before).saturating_sub(self.passed_on - passed_on);
        waiting.min(self.window.into()) as usize
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
                self.ended.get_or_insert_with(|| close_reason(reason));
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

    /// Discards what has arrived on a half that nobody reads.
    fn discard(&mut self, id: StreamId) {
        let Some(discarded) = self.leaving.get_mut(&id) else {
            return;
        };
        let mut receiver = self.connection.recv_stream(id);
        let Ok(mut chunks) = receiver.read(true) else {
            self.leaving.remove(&id);
            return;
        };
        let is_over = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => {
                    *discarded = discarded.saturating_add(chunk.bytes.len() as u32);
                    self.passed_on += chunk.bytes.len() as u64;
                }
                Err(ReadError::Blocked) => break false,
                Ok(None) | Err(ReadError::Reset(_)) => break true,
            }
        };
        let _ = chunks.finalize();
        let is_long = *discarded > LEFT_BYTES_MAX;
        if is_long && !is_over {
            receiver.stop(0u32.into()).ok();
        }
        if is_over || is_long {
            self.leaving.remove(&id);
        }
    }

    /// Handles a remote that reads no more of a stream. With a code it has reset the stream;
    /// without one, bytes of ours are dropped here, as a muxer's remote drops them there.
    fn stopped(&mut self, id: StreamId, code: VarInt) -> Option<Event> {
        self.finishing.remove(&id);
        self.connection.send_stream(id).reset(code).ok();
        let key = *self.keys.get(&id)?;
        let stream = self.stream_mut(key)?;
        stream.sends = false;
        if code.into_inner() == 0 {
            // What waits for room is dropped.
            return Some(Event::Writable { key });
        }
        let code = code_of(code);
        self.stop(key, code);
        Some(Event::Reset { key, code })
    }

    /// Returns the next bytes of the stream that is being read, and then its end.
    fn poll_chunk(&mut self) -> Option<Event> {
        let (key, _) = self.reading.as_ref()?;
        match self.chunks.pop_front() {
            Some(bytes) => Some(Event::Data { key: *key, bytes }),
            None => self.reading.take()?.1,
        }
    }

    /// Reads a stream as far as the application may be ahead.
    fn read(&mut self, key: StreamKey) {
        let is_over = self.ended.is_some();
        let Some(Some(stream)) = self.streams.get_mut(key.0 as usize) else {
            return;
        };
        stream.is_queued = false;
        if !stream.receives {
            return;
        }
        let mut receiver = self.connection.recv_stream(stream.id);
        // Fails for a stream that has ended.
        let Ok(mut chunks) = receiver.read(true) else {
            return;
        };
        let mut read = 0;
        let end = loop {
            let room = if is_over {
                usize::MAX
            } else {
                stream.ahead_max.saturating_sub(stream.unread) as usize
            };
            // Without room, it is read on when bytes are consumed.
            if room == 0 {
                if !std::mem::replace(&mut stream.is_full, true) {
                    self.full += 1;
                }
                break None;
            }
            if self.chunks.len() == CHUNKS_MAX {
                stream.is_queued = true;
                self.readable.push_back(key);
                break None;
            }
            match chunks.next(room) {
                Ok(Some(chunk)) => {
                    read += chunk.bytes.len();
                    stream.unread = stream.unread.saturating_add(chunk.bytes.len() as u32);
                    self.chunks.push_back(chunk.bytes);
                }
                Ok(None) => break Some(Event::Finished { key }),
                Err(ReadError::Blocked) => break None,
                Err(ReadError::Reset(code)) => {
                    let code = code_of(code);
                    break Some(Event::Reset { key, code });
                }
            }
        };
        // Credit is sent with the next datagram in any case.
        let _ = chunks.finalize();
        self.passed_on += read as u64;
        stream.receives = end.is_none();
        self.reading = Some((key, end));
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

    /// Queues a stream to be read.
    fn queue(&mut self, key: StreamKey) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        if !std::mem::replace(&mut stream.is_queued, true) {
            self.readable.push_back(key);
        }
    }

    fn stream(&self, key: StreamKey) -> Option<&Stream> {
        self.streams.get(key.0 as usize)?.as_ref()
    }

    fn stream_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.streams.get_mut(key.0 as usize)?.as_mut()
    }
}

/// Returns a code of the wire, which may have 62 bits, as libp2p's.
fn code_of(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(CODE_OUT_OF_RANGE)
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

/// TLS alerts are codes of their own: the alert is the low byte (RFC 9001, section 4.8).
const ALERTS: u64 = 0x100;

fn close_reason(error: ConnectionError) -> CloseReason {
    let of_code = |code: Code, text: String| match u64::from(code) {
        code if code == u64::from(Code::CONNECTION_REFUSED) => CloseReason::Refused,
        code if code & !0xff == ALERTS => CloseReason::Alert((code & 0xff) as u8),
        _ => CloseReason::Protocol(text.into()),
    };
    match error {
        ConnectionError::LocallyClosed => CloseReason::Local,
        ConnectionError::ApplicationClosed(close) => CloseReason::Remote(code_of(close.error_code)),
        ConnectionError::TimedOut => CloseReason::TimedOut,
        ConnectionError::Reset => CloseReason::Reset,
        ConnectionError::VersionMismatch => CloseReason::Version,
        ConnectionError::CidsExhausted => CloseReason::Refused,
        ConnectionError::TransportError(error) => of_code(error.code, error.to_string()),
        ConnectionError::ConnectionClosed(close) => of_code(close.error_code, close.to_string()),
    }
}
