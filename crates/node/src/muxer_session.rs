//! Muxers over bytes that JavaScript transports.

use std::time::{Duration, Instant};

use ferroswarm_runtime::{
    MuxerEvent, MuxerRole, MuxerSession, MuxerSessionError, MuxerSessionOptions, OpenError,
    StreamKey,
};
use napi::Env;
use napi::bindgen_prelude::{Uint8Array, Uint8ArraySlice, Uint32Array};
use napi_derive::napi;

use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure};
use crate::number::{milliseconds, whole};
use crate::secure_session::copied;
use crate::tables::numbers;

numbers! {
    /// Kinds of events.
    EVENTS:
    EVENT_OPENED = 1,
    EVENT_DATA = 2,
    EVENT_FINISHED = 3,
    EVENT_RESET = 4,
    EVENT_WRITABLE = 5,
    EVENT_ACKED = 6,
    EVENT_GO_AWAY = 7,
}

/// Options of a muxer.
#[napi(object, object_to_js = false)]
pub struct MuxerInit {
    /// Whether this side has opened the connection.
    pub initiator: bool,
    /// Maximum live inbound streams.
    pub streams_inbound: f64,
    /// Maximum live outbound streams.
    pub streams_outbound: f64,
    /// Maximum receive window of a stream.
    pub window_max_bytes: f64,
    /// Silence after which the remote is pinged.
    pub keepalive_interval_ms: f64,
    /// Silence after a ping that ends the session.
    pub keepalive_timeout_ms: f64,
}

impl MuxerInit {
    /// Converts the options to those of the runtime.
    pub(crate) fn options(&self) -> Result<MuxerSessionOptions, Failure> {
        Ok(MuxerSessionOptions {
            role: if self.initiator {
                MuxerRole::Dialer
            } else {
                MuxerRole::Listener
            },
            inbound_streams_max: whole(self.streams_inbound)?,
            outbound_streams_max: whole(self.streams_outbound)?,
            window_max: whole(self.window_max_bytes)?,
            keepalive_interval: milliseconds(self.keepalive_interval_ms)?,
            keepalive_timeout: milliseconds(self.keepalive_timeout_ms)?,
        })
    }
}

/// One end of a multiplexed connection whose bytes JavaScript moves. Every error of `receive` and `handleDeadline` is
/// final; what `takeOutput` returns after it is for the remote.
#[napi]
pub struct NativeMuxerSession {
    session: MuxerSession,
    started: Instant,
}

#[napi]
impl NativeMuxerSession {
    /// Starts a muxer whose frames are sent as they are.
    #[napi(constructor, catch_unwind)]
    pub fn new(init: MuxerInit) -> Result<Self, Failure> {
        Ok(Self::of(MuxerSession::new(&init.options()?)))
    }

    /// Wraps a session, whose clock starts now.
    pub(crate) fn of(session: MuxerSession) -> Self {
        Self {
            session,
            started: Instant::now(),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Processes received bytes.
    #[napi(catch_unwind)]
    pub fn receive(&mut self, bytes: Uint8Array) -> Result<(), Failure> {
        let now = self.now();
        self.session.receive(&bytes, now).map_err(refused)
    }

    /// Processes bytes that were opened before the muxer took over a session.
    #[napi(catch_unwind)]
    pub fn receive_plaintext(&mut self, bytes: Uint8Array) -> Result<(), Failure> {
        let now = self.now();
        self.session.receive_plaintext(&bytes, now).map_err(refused)
    }

    /// Takes the events, three words each: kind, stream, and a length or a code.
    #[napi(catch_unwind)]
    pub fn take_events(&mut self) -> Uint32Array {
        let events = self.session.take_events().into_iter();
        Uint32Array::new(events.flat_map(words).collect())
    }

    /// Takes the bytes of the data events that were taken, one after the other.
    #[napi(catch_unwind)]
    pub fn take_data<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>, Failure> {
        copied(env, self.session.take_data())
    }

    /// Takes all bytes to be sent.
    #[napi(catch_unwind)]
    pub fn take_output<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>, Failure> {
        let output = self.session.take_output();
        copied(env, output.map_err(|error| refused(error.into()))?)
    }

    /// Opens a stream; null until the remote has acknowledged others.
    #[napi(catch_unwind)]
    pub fn open(&mut self) -> Result<Option<u32>, Failure> {
        match self.session.open() {
            Ok(StreamKey(key)) => Ok(Some(key)),
            Err(OpenError::Unacked) => Ok(None),
            Err(error) => Err(failure(
                match error {
                    OpenError::TooMany => ErrorCode::ERR_STREAM_LIMIT,
                    _ => ErrorCode::ERR_MUXER_CLOSED,
                },
                error,
            )),
        }
    }

    /// Writes to a stream; returns how many bytes it has taken.
    #[napi(catch_unwind)]
    pub fn write(&mut self, stream: f64, bytes: Uint8Array) -> Result<u32, Failure> {
        let sent = self.session.write(key(stream)?, &bytes);
        let sent = sent.map_err(|error| refused(error.into()))?;
        Ok(u32::try_from(sent).unwrap_or(u32::MAX))
    }

    /// Ends our half of a stream.
    #[napi(catch_unwind)]
    pub fn finish(&mut self, stream: f64) -> Result<(), Failure> {
        let finished = self.session.finish(key(stream)?);
        finished.map_err(|error| refused(error.into()))
    }

    /// Gives credit for bytes that were read.
    #[napi(catch_unwind)]
    pub fn consumed(&mut self, stream: f64, bytes: f64) -> Result<(), Failure> {
        let now = self.now();
        self.session.consumed(key(stream)?, whole(bytes)?, now);
        Ok(())
    }

    /// Drops the bytes of a stream from now on.
    #[napi(catch_unwind)]
    pub fn discard(&mut self, stream: f64) -> Result<(), Failure> {
        self.session.discard(key(stream)?);
        Ok(())
    }

    /// Resets a stream.
    #[napi(catch_unwind)]
    pub fn reset(&mut self, stream: f64, code: f64) -> Result<(), Failure> {
        self.session.reset(key(stream)?, whole(code)?);
        Ok(())
    }

    /// Frees a stream that is over.
    #[napi(catch_unwind)]
    pub fn remove(&mut self, stream: f64) -> Result<(), Failure> {
        self.session.remove(key(stream)?);
        Ok(())
    }

    /// Announces the end of the connection.
    #[napi(catch_unwind)]
    pub fn close(&mut self, code: f64) -> Result<(), Failure> {
        let closed = self.session.close(whole(code)?);
        closed.map_err(|error| refused(error.into()))
    }

    /// Returns the milliseconds until `handleDeadline`; null if nothing will be due.
    #[napi(catch_unwind)]
    pub fn deadline_ms(&self) -> Option<f64> {
        let at = self.session.deadline()?;
        Some(at.saturating_sub(self.now()).as_secs_f64() * 1_000.0)
    }

    /// Does what is due.
    #[napi(catch_unwind)]
    pub fn handle_deadline(&mut self) -> Result<(), Failure> {
        let now = self.now();
        self.session.handle_deadline(now).map_err(refused)
    }

    /// Returns whether the remote has ended the channel, which only TLS tells.
    #[napi(getter, catch_unwind)]
    pub fn has_ended(&self) -> bool {
        self.session.has_ended()
    }
}

fn key(number: f64) -> Result<StreamKey, Failure> {
    Ok(StreamKey(whole(number)?))
}

fn words(event: MuxerEvent) -> [u32; 3] {
    match event {
        MuxerEvent::Opened(StreamKey(key)) => [EVENT_OPENED, key, 0],
        MuxerEvent::Data(StreamKey(key), length) => [EVENT_DATA, key, length],
        MuxerEvent::Finished(StreamKey(key)) => [EVENT_FINISHED, key, 0],
        MuxerEvent::Reset(StreamKey(key), code) => [EVENT_RESET, key, code],
        MuxerEvent::Writable(StreamKey(key)) => [EVENT_WRITABLE, key, 0],
        MuxerEvent::Acked(StreamKey(key)) => [EVENT_ACKED, key, 0],
        MuxerEvent::GoAway(code) => [EVENT_GO_AWAY, 0, code],
    }
}

fn refused(error: MuxerSessionError) -> Failure {
    let code = match &error {
        MuxerSessionError::Record(_) => ErrorCode::ERR_DECRYPTION_FAILED,
        _ => ErrorCode::ERR_MUXER_PROTOCOL,
    };
    failure(code, error)
}
