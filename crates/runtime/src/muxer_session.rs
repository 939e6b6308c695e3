//! A muxer without a socket: received bytes in, bytes to send and events out, within a secured
//! channel or without one.
//!
//! ```text
//!  receive ──> open records ──> frames ──> events and data     open, write, finish, reset …
//!  take_output <── seal records <── frames <────────────────────────────────┘
//! ```

use std::time::Duration;

use ferroswarm_proto::muxer::yamux::{self, FRAME_PAYLOAD_MAX};
use ferroswarm_proto::muxer::{Event, MemoryBudget, OpenError, Role, StreamKey};
use ferroswarm_secure::{Channel, Opened, RecordError};
use thiserror::Error;

use crate::outlet::Outlet;

/// Receive windows of all streams of a session beyond their initial ones, in bytes: what a slow
/// reader can make it buffer, besides those.
const GROWTH_MAX: u32 = 16 << 20;

/// Options of a session.
#[derive(Debug, Clone)]
pub struct MuxerSessionOptions {
    /// Role of this end.
    pub role: Role,
    /// Maximum number of live inbound streams; one more is reset.
    pub inbound_streams_max: u32,
    /// Maximum number of live outbound streams.
    pub outbound_streams_max: u32,
    /// Maximum receive window of a stream.
    pub window_max: u32,
    /// Interval between keepalive pings.
    pub keepalive_interval: Duration,
    /// Maximum silence after one.
    pub keepalive_timeout: Duration,
}

/// What has happened to a stream, or to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MuxerEvent {
    /// The remote has opened a stream.
    Opened(StreamKey),
    /// The next bytes of a stream: as many of the [data](MuxerSession::take_data).
    Data(StreamKey, u32),
    /// The remote has ended its half.
    Finished(StreamKey),
    /// The stream is over: reset by the remote, with its code.
    Reset(StreamKey, u32),
    /// A stream that had no credit has some again.
    Writable(StreamKey),
    /// The remote has acknowledged a stream: another one may be opened.
    Acked(StreamKey),
    /// The remote accepts no more streams, with its code.
    GoAway(u32),
}

/// Reason a session cannot continue. Every one is final.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MuxerSessionError {
    /// The remote broke the protocol, or is silent.
    #[error(transparent)]
    Protocol(#[from] yamux::ProtocolError),
    /// A record could not be sealed or opened.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The session has failed before.
    #[error("session has failed before")]
    Failed,
}

/// One end of a multiplexed connection whose bytes the owner moves.
pub struct MuxerSession {
    engine: yamux::Session,
    channel: Channel,
    outbound_streams_max: u32,
    growth: Growth,
    /// Received bytes of a record that is not complete.
    input: Vec<u8>,
    events: Vec<MuxerEvent>,
    data: Outlet,
    output: Outlet,
    /// Where the record being filled, and its plaintext, start in the output.
    open: Option<(usize, usize)>,
    has_failed: bool,
    has_ended: bool,
}

/// The windows that have grown; what a stream was granted stays granted until the session ends.
struct Growth {
    left: u32,
}

impl MemoryBudget for Growth {
    fn reserve(&mut self, bytes: u32) -> bool {
        let Some(left) = self.left.checked_sub(bytes) else {
            return false;
        };
        self.left = left;
        true
    }
}

impl MuxerSession {
    /// Starts a session without a channel: frames are sent as they are.
    pub fn new(options: &MuxerSessionOptions) -> Self {
        Self::within(Channel::plain(), Vec::new(), options)
    }

    /// Starts a session within a channel; `input` are bytes that have arrived for it.
    pub(crate) fn within(channel: Channel, input: Vec<u8>, options: &MuxerSessionOptions) -> Self {
        let config = yamux::Config {
            inbound_streams_max: options.inbound_streams_max,
            // The owner takes every stream at once.
            accept_backlog: u32::MAX,
            window_max: options.window_max,
            keepalive_interval: options.keepalive_interval,
            keepalive_timeout: options.keepalive_timeout,
            ..yamux::Config::default()
        };
        Self {
            engine: yamux::Session::new(options.role, config),
            channel,
            outbound_streams_max: options.outbound_streams_max,
            growth: Growth { left: GROWTH_MAX },
            input,
            events: Vec::new(),
            data: Outlet::default(),
            output: Outlet::default(),
            open: None,
            has_failed: false,
            has_ended: false,
        }
    }

    /// Processes received bytes.
    ///
    /// # Errors
    /// The failure of the session, of which the remote is told: its output is still to be sent.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<(), MuxerSessionError> {
        if self.has_failed {
            return Err(MuxerSessionError::Failed);
        }
        if self.has_ended {
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        self.engine.heard(now);
        let result = self.open_records(now);
        self.failed_by(result)
    }

    /// Processes bytes that were opened before the session took the channel.
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub fn receive_plaintext(
        &mut self,
        bytes: &[u8],
        now: Duration,
    ) -> Result<(), MuxerSessionError> {
        let mut frames = bytes;
        let result = self.handle_frames(&mut frames, now);
        self.failed_by(result)
    }

    fn open_records(&mut self, now: Duration) -> Result<(), MuxerSessionError> {
        let mut input = std::mem::take(&mut self.input);
        let mut opened = 0;
        let result = loop {
            match self.channel.open(&mut input[opened..]) {
                Ok(Opened::Record {
                    plaintext,
                    consumed,
                }) => {
                    let mut frames = &input[opened + plaintext.start..opened + plaintext.end];
                    if let Err(error) = self.handle_frames(&mut frames, now) {
                        break Err(error);
                    }
                    opened += consumed;
                }
                Ok(Opened::Control { consumed }) => opened += consumed,
                Ok(Opened::Closed { .. }) => {
                    opened = input.len();
                    self.has_ended = true;
                    break Ok(());
                }
                Ok(Opened::Incomplete { .. }) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        input.drain(..opened);
        self.input = input;
        result
    }

    fn handle_frames(
        &mut self,
        frames: &mut &[u8],
        now: Duration,
    ) -> Result<(), MuxerSessionError> {
        while let Some(event) = self.engine.poll_event(frames, now)? {
            let event = match event {
                Event::Opened { key } => MuxerEvent::Opened(key),
                Event::Data { key, bytes } => {
                    self.data.fill().extend_from_slice(bytes);
                    // A part of the input, which is far smaller than 4 GiB.
                    MuxerEvent::Data(key, bytes.len() as u32)
                }
                Event::Finished { key } => MuxerEvent::Finished(key),
                Event::Reset { key, code } => MuxerEvent::Reset(key, code),
                Event::Writable { key } => MuxerEvent::Writable(key),
                Event::Acked { key } => MuxerEvent::Acked(key),
                Event::GoAway { code } => MuxerEvent::GoAway(code),
                Event::Pong { .. } => continue,
            };
            if let MuxerEvent::Opened(key) = event {
                self.engine.accept(key);
            }
            self.events.push(event);
        }
        Ok(())
    }

    fn failed_by(
        &mut self,
        result: Result<(), MuxerSessionError>,
    ) -> Result<(), MuxerSessionError> {
        if let Err(error) = &result {
            self.has_failed = true;
            if let MuxerSessionError::Protocol(error) = error {
                self.engine.go_away(error.goaway_code());
            }
        }
        result
    }

    /// Takes the events of all calls since the last one; the data of theirs is taken with
    /// [`take_data`](Self::take_data).
    pub fn take_events(&mut self) -> Vec<MuxerEvent> {
        std::mem::take(&mut self.events)
    }

    /// Takes the bytes of all [`MuxerEvent::Data`] that were taken, one after the other.
    pub fn take_data(&mut self) -> &[u8] {
        self.data.take()
    }

    /// Takes all bytes to send. The memory is reused by the next call that has output.
    ///
    /// # Errors
    /// If a record cannot be sealed.
    pub fn take_output(&mut self) -> Result<&[u8], RecordError> {
        let mut control = Vec::new();
        while self.engine.has_control()
            && self
                .engine
                .poll_control(&mut control, Channel::PLAINTEXT_MAX)
                > 0
        {
            self.put(&control, &[])?;
            control.clear();
        }
        self.seal()?;
        self.channel.poll_control(self.output.fill())?;
        Ok(self.output.take())
    }

    /// Adds a frame to the record being filled.
    fn put(&mut self, header: &[u8], payload: &[u8]) -> Result<(), RecordError> {
        let length = header.len() + payload.len();
        let is_full = |(_, body): (usize, usize), filled: usize| {
            filled - body + length > Channel::PLAINTEXT_MAX
        };
        let filled = self.output.fill().len();
        if self.open.is_some_and(|open| is_full(open, filled)) {
            self.seal()?;
        }
        let out = self.output.fill();
        if self.open.is_none() {
            let start = self.channel.begin(out);
            self.open = Some((start, out.len()));
        }
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), RecordError> {
        match self.open.take() {
            Some((start, _)) => self.channel.seal(self.output.fill(), start),
            None => Ok(()),
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`OpenError::Unacked`] if the remote has yet to acknowledge others, which is reported;
    /// [`OpenError::TooMany`] at the limit of live ones.
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        if self.engine.outbound_live() >= self.outbound_streams_max {
            return Err(OpenError::TooMany);
        }
        self.engine.open()
    }

    /// Sends as many of `bytes` as the stream has credit for, and returns their number. A stream
    /// without credit is reported as writable when it has some.
    ///
    /// # Errors
    /// If a record cannot be sealed.
    pub fn write(&mut self, key: StreamKey, bytes: &[u8]) -> Result<usize, RecordError> {
        let mut sent = 0;
        while sent < bytes.len() {
            let credit = self.engine.send_credit(key) as usize;
            let count = (bytes.len() - sent).min(credit).min(FRAME_PAYLOAD_MAX);
            if count == 0 {
                break;
            }
            // At most the payload of a frame.
            let header = self.engine.data_header(key, count as u32);
            self.put(&header, &bytes[sent..sent + count])?;
            sent += count;
        }
        Ok(sent)
    }

    /// Ends our half of a stream behind what was written; nothing for one that has ended.
    ///
    /// # Errors
    /// If a record cannot be sealed.
    pub fn finish(&mut self, key: StreamKey) -> Result<(), RecordError> {
        if !self.engine.is_writable(key) {
            return Ok(());
        }
        let frame = self.engine.fin_frame(key);
        self.put(&frame, &[])
    }

    /// Gives credit for bytes that the application has read.
    pub fn consumed(&mut self, key: StreamKey, bytes: u32, now: Duration) {
        self.engine.consumed(key, bytes, now, &mut self.growth);
    }

    /// Drops the bytes of a stream from now on; its end is still reported.
    pub fn discard(&mut self, key: StreamKey) {
        self.engine.discard(key);
    }

    /// Resets a stream; no further events are reported for it.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        self.engine.reset(key, code);
    }

    /// Frees a stream whose events have all been taken; one that is not over is reset.
    pub fn remove(&mut self, key: StreamKey) {
        self.engine.remove(key);
    }

    /// Announces the end of the connection, behind everything sent. The channel is closed with it.
    ///
    /// # Errors
    /// If a record cannot be sealed.
    pub fn close(&mut self, code: u32) -> Result<(), RecordError> {
        self.engine.go_away(code);
        let mut control = Vec::new();
        self.engine
            .poll_control(&mut control, Channel::PLAINTEXT_MAX);
        if !control.is_empty() {
            self.put(&control, &[])?;
        }
        self.seal()?;
        self.channel.close(self.output.fill());
        Ok(())
    }

    /// Returns the time of the next [`handle_deadline`](Self::handle_deadline).
    pub fn deadline(&self) -> Option<Duration> {
        self.engine.poll_deadline()
    }

    /// Does what is due: acknowledgements, pings.
    ///
    /// # Errors
    /// If the remote has been silent for too long.
    pub fn handle_deadline(&mut self, now: Duration) -> Result<(), MuxerSessionError> {
        let result = self.engine.handle_deadline(now).map_err(Into::into);
        self.failed_by(result)
    }

    /// Returns whether the channel has been ended by the remote.
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }
}

#[cfg(test)]
mod tests {
    use ferroswarm_proto::muxer::HEADER_BYTES;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn session(role: Role) -> MuxerSession {
        MuxerSession::new(&MuxerSessionOptions {
            role,
            inbound_streams_max: 10,
            outbound_streams_max: 3,
            window_max: 1 << 20,
            keepalive_interval: 30 * SECOND,
            keepalive_timeout: 10 * SECOND,
        })
    }

    fn pair() -> (MuxerSession, MuxerSession) {
        (session(Role::Dialer), session(Role::Listener))
    }

    fn carry(from: &mut MuxerSession, to: &mut MuxerSession) -> Vec<MuxerEvent> {
        let output = from.take_output().expect("a plain channel").to_vec();
        to.receive(&output, SECOND).expect("frames of ours");
        to.take_events()
    }

    #[test]
    fn streams_carry_bytes_ends_and_resets() {
        let (mut dialer, mut listener) = pair();
        let key = dialer.open().expect("room");
        assert_eq!(dialer.write(key, b"one").unwrap(), 3);
        assert_eq!(dialer.write(key, b"two").unwrap(), 3);
        dialer.finish(key).unwrap();
        let events = carry(&mut dialer, &mut listener);
        let &[MuxerEvent::Opened(inbound), ref rest @ ..] = &events[..] else {
            panic!("reported {events:?}");
        };
        // A frame of the remote is an event: its owner sees the writes as they were.
        let data = MuxerEvent::Data(inbound, 3);
        assert_eq!(rest, [data, data, MuxerEvent::Finished(inbound)]);
        assert_eq!(listener.take_data(), b"onetwo");
        listener.reset(inbound, 7);
        let events = carry(&mut listener, &mut dialer);
        assert_eq!(events, [MuxerEvent::Reset(key, 7)]);
    }

    #[test]
    fn a_stream_without_credit_is_writable_again_once_the_remote_has_read() {
        let (mut dialer, mut listener) = pair();
        let key = dialer.open().expect("room");
        let bytes = vec![7; 300 << 10];
        assert_eq!(dialer.write(key, &bytes).unwrap(), 256 << 10);
        assert_eq!(dialer.write(key, &bytes).unwrap(), 0);
        carry(&mut dialer, &mut listener);
        assert_eq!(listener.take_data().len(), 256 << 10);
        listener.consumed(key, 128 << 10, SECOND);
        let events = carry(&mut listener, &mut dialer);
        assert!(
            events.contains(&MuxerEvent::Writable(key)),
            "reported {events:?}"
        );
        assert!(dialer.write(key, &bytes).unwrap() >= 128 << 10);
    }

    #[test]
    fn streams_are_limited_and_a_close_is_reported() {
        let (mut dialer, mut listener) = pair();
        let keys: Vec<StreamKey> = (0..3).map(|_| dialer.open().expect("room")).collect();
        assert_eq!(dialer.open(), Err(OpenError::TooMany));
        for key in keys {
            dialer.reset(key, 0);
            dialer.remove(key);
        }
        dialer.open().expect("room again");
        carry(&mut dialer, &mut listener);
        dialer.close(5).unwrap();
        assert_eq!(carry(&mut dialer, &mut listener), [MuxerEvent::GoAway(5)]);
        assert_eq!(listener.open(), Err(OpenError::GoingAway));
    }

    #[test]
    fn a_violation_is_final_and_the_remote_is_told() {
        let (mut dialer, mut listener) = pair();
        let broken = [1; HEADER_BYTES];
        assert!(matches!(
            listener.receive(&broken, SECOND),
            Err(MuxerSessionError::Protocol(_))
        ));
        let events = carry(&mut listener, &mut dialer);
        assert!(matches!(events[..], [MuxerEvent::GoAway(code)] if code != 0));
        assert!(matches!(
            listener.receive(&[], SECOND),
            Err(MuxerSessionError::Failed)
        ));
    }

    #[test]
    fn a_silent_remote_is_given_up() {
        let mut dialer = session(Role::Dialer);
        for _ in 0..10 {
            let Some(at) = dialer.deadline() else { break };
            if dialer.handle_deadline(at).is_err() {
                assert!(at >= 40 * SECOND, "given up at {at:?}");
                return;
            }
            dialer.take_output().unwrap();
        }
        panic!("a silent remote is never given up");
    }
}
