//! Muxer, record layer and socket of a connection, which carry the bytes of its streams.
//!
//! Incoming bytes leave them as events of the muxer; outgoing bytes are put into the record being
//! filled.

mod delivery;
mod inbound;
mod outbound;
mod owner;

use std::time::Duration;

use ferroswarm_proto::muxer::{
    Engine, MemoryBudget, OpenError, Role, StreamErrorCode, StreamKey, yamux, yamux_crate,
};
use ferroswarm_proto::resource::{Limit, Priority};
use ferroswarm_proto::stream::Pipe;
use ferroswarm_secure::Channel;

use crate::config::{Limits, Muxer};
use crate::diagnostics::{Fact, Stall};
use crate::error::ConnectionFault;
use crate::pipe::BytePipe;
use crate::resources::Resources;
use crate::sync::Arc;

use super::{Connection, Facts, Framed, Left, Mark, Received, StreamLink};

use self::inbound::Input;
use self::outbound::Output;
use self::owner::SocketOwner;

pub(in crate::connection) use self::owner::LIGHT_TURN_BYTES;

/// Muxer, record layer and socket state shared by the streams of one connection.
pub(in crate::connection) struct Muxed {
    pipe: Arc<dyn BytePipe>,
    engine: Engine,
    channel: Channel,
    input: Input,
    output: Output,
    /// Thread that waits for the socket.
    owner: SocketOwner,
    /// Bytes read and written since the last choice of owner.
    recent_bytes: usize,
    /// Frames received and sent that are already in the environment's counters.
    frames_counted: [u64; 2],
}

impl Muxed {
    /// Creates the link of a new connection with the bytes received after the handshake: `leftover`
    /// still sealed, `plaintext` already opened.
    pub(in crate::connection) fn new(
        facts: &Facts,
        limits: &Limits,
        resources: &Resources,
        pipe: Arc<dyn BytePipe>,
        channel: Channel,
        leftover: Vec<u8>,
        plaintext: Vec<u8>,
    ) -> Self {
        Self {
            pipe,
            engine: engine(facts, limits, resources),
            channel,
            input: Input::new(leftover, plaintext),
            output: Output::default(),
            owner: SocketOwner::default(),
            recent_bytes: 0,
            frames_counted: [0; 2],
        }
    }

    /// Queues our GoAway.
    pub(in crate::connection) fn go_away(&mut self, code: u32) {
        self.engine.go_away(code);
    }

    /// Returns whether control frames may be pending.
    pub(in crate::connection) fn has_control(&self) -> bool {
        self.engine.has_control()
    }

    /// Returns whether the muxer may have events without further input.
    pub(in crate::connection) fn has_events(&self) -> bool {
        self.engine.has_events()
    }

    /// Returns the earliest deadline.
    pub(in crate::connection) fn next_deadline(&self, limits: &Limits) -> Option<Duration> {
        [
            self.engine.poll_deadline(),
            self.output.stall_deadline(limits),
            self.sample_deadline(limits),
            self.owner.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles the deadlines due at `now`.
    ///
    /// # Errors
    /// The timeout that the remote has exceeded.
    pub(in crate::connection) fn handle_deadlines(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        self.sample_delivery(connection, now);
        if self.engine.poll_deadline().is_some_and(|at| at <= now) {
            self.engine.handle_deadline(now).map_err(|error| {
                if error.is_frame_stall() {
                    connection.report(Fact::ConnectionStalled(Stall::Frame));
                    ConnectionFault::FrameStall
                } else {
                    connection.report(Fact::ConnectionStalled(Stall::Keepalive));
                    ConnectionFault::Keepalive
                }
            })?;
        }
        let stall = self.output.stall_deadline(&connection.limits);
        if stall.is_some_and(|at| at <= now) {
            connection.report(Fact::ConnectionStalled(Stall::Write));
            return Err(ConnectionFault::WriteStall);
        }
        Ok(())
    }

    /// Adds the frames of this turn to the counters of the environment and the connection.
    pub(in crate::connection) fn count_frames(&mut self, connection: &Connection) {
        let [received, sent] = self.engine.frames();
        let before = std::mem::replace(&mut self.frames_counted, [received, sent]);
        connection.hub.stats.frames_in.add(received - before[0]);
        connection.hub.stats.frames_out.add(sent - before[1]);
        connection.traffic.frames_in.set(received);
        connection.traffic.frames_out.set(sent);
        if let Some(rtt) = self.engine.rtt() {
            let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            // 0 means unknown, so a pong within a microsecond counts as 1.
            connection.traffic.round_trip_us.set(micros.max(1));
        }
    }

    /// Releases memory and the place on the event loop at the end of the connection.
    pub(in crate::connection) fn end(&mut self, connection: &Connection) {
        self.leave(connection);
        self.input.clear();
        self.output.clear();
    }

    /// Makes the channel fail: a failed channel cannot seal any more.
    #[cfg(test)]
    pub(in crate::connection) fn break_channel(&mut self) {
        let broken = self.channel.open(&mut [0; 64]);
        assert!(broken.is_err(), "a record of zeros was opened");
    }
}

impl StreamLink for Muxed {
    fn open(&mut self) -> Result<StreamKey, OpenError> {
        self.engine.open()
    }

    fn is_acknowledged(&self, _key: StreamKey) -> bool {
        false
    }

    fn accept(&mut self, key: StreamKey) {
        self.engine.accept(key);
    }

    fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        let step = self.engine.consumed(key, bytes, now, budget);
        step.max(1)
    }

    fn discard(&mut self, key: StreamKey, _left: Left, _now: Duration) -> bool {
        self.engine.discard(key);
        false
    }

    fn reset(&mut self, key: StreamKey, code: u32) {
        self.engine.reset(key, code);
    }

    /// The muxer limits how many streams a remote may have refused.
    fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        self.engine.turn_away(key, code);
    }

    fn remove(&mut self, key: StreamKey) {
        self.engine.remove(key);
    }

    fn measure(&mut self, now: Duration) {
        if self.engine.rtt().is_none() {
            self.engine.ping(now);
        }
    }

    fn has_room(&self) -> bool {
        self.room_for_data()
    }

    fn put_control(&mut self) {
        self.put_frames();
    }

    fn send(&mut self, key: StreamKey, bytes: &Pipe) -> Framed {
        self.put_data(key, bytes)
    }

    fn finish(&mut self, key: StreamKey) -> bool {
        self.put_fin(key)
    }
}

fn engine(facts: &Facts, limits: &Limits, resources: &Resources) -> Engine {
    let role = match facts.role {
        ferroswarm_secure::Role::Dialer => Role::Dialer,
        ferroswarm_secure::Role::Listener => Role::Listener,
    };
    match facts.muxer.unwrap_or_default() {
        Muxer::Yamux => Engine::Yamux(yamux::Session::new(role, yamux_config(limits))),
        Muxer::YamuxCrate => {
            let session = yamux_crate::Session::new(role, crate_config(limits, resources));
            Engine::YamuxCrate(Box::new(session))
        }
    }
}

fn yamux_config(limits: &Limits) -> yamux::Config {
    yamux::Config {
        // Both are enforced by the connection, for all muxers: by its scope, and by
        // `Connection::has_backlog_room`.
        inbound_streams_max: u32::MAX,
        accept_backlog: u32::MAX,
        window_max: limits.window_bytes_max,
        keepalive_interval: limits.keepalive_interval,
        keepalive_timeout: limits.keepalive_timeout,
        delivery_timeout: limits.write_stall_timeout,
        ..yamux::Config::default()
    }
}

/// The crate checks limits of its own, and grows windows without asking: it has the limits of the
/// connection's scope as they are when the connection is opened.
fn crate_config(limits: &Limits, resources: &Resources) -> yamux_crate::Config {
    // Nothing is refused in a dry run.
    let scope = if resources.is_dry_run() {
        Limit::UNLIMITED
    } else {
        resources.connection_limit()
    };
    let growth_max = usize::try_from(Priority::WINDOW.share_of(scope.memory));
    yamux_crate::Config {
        inbound_streams_max: scope.streams_inbound,
        // Streams closed by JavaScript count until the remote has ended them too.
        outbound_streams_max: scope.streams_outbound.saturating_mul(2),
        // Enforced by `Connection::has_backlog_room`, for all muxers.
        accept_backlog: u32::MAX,
        growth_max: growth_max
            .unwrap_or(usize::MAX)
            .min(limits.window_bytes_max as usize),
    }
}
