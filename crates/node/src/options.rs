//! JavaScript's options into the runtime's.

use std::sync::Arc;
use std::time::Duration;

use ferroswarm_runtime::{Identity, Keypair, Limits, Muxer, Security};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure, invalid};
use crate::number::{milliseconds, whole};

/// Bounds; those not given have the runtime's defaults.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NodeLimits {
    /// From the socket to a muxed connection.
    pub upgrade_timeout_ms: Option<f64>,
    /// From a stream's first byte to its settled protocol.
    pub stream_negotiation_timeout_ms: Option<f64>,
    /// Connections, those under way included.
    pub connections_max: Option<f64>,
    /// Inbound connections that are still being upgraded, or not told of.
    pub pending_inbound_max: Option<f64>,
    /// The same per remote host.
    pub pending_inbound_per_host_max: Option<f64>,
    /// Inbound streams not taken yet, per connection.
    pub accept_backlog: Option<f64>,
    /// Open inbound streams per connection.
    pub inbound_streams_max: Option<f64>,
    /// Open outbound streams per connection.
    pub outbound_streams_max: Option<f64>,
    /// Ceiling of a stream's receive window.
    pub window_max_bytes: Option<f64>,
    /// What receive windows of the process may grow by.
    pub window_memory_bytes: Option<f64>,
    /// Received bytes that a connection may hold.
    pub connection_memory_bytes: Option<f64>,
    /// Silence after which a connection is pinged.
    pub keepalive_interval_ms: Option<f64>,
    /// How long the answer may take.
    pub keepalive_timeout_ms: Option<f64>,
    /// How long a socket may refuse our bytes.
    pub write_stall_timeout_ms: Option<f64>,
}

/// How a node is made.
#[napi(object, object_to_js = false)]
pub struct NodeOptions {
    /// Whose it is: the number that `attach` gave.
    pub attachment: f64,
    /// libp2p protobuf of its private key.
    pub private_key: Uint8Array,
    /// `tls`, `noise`, in order of preference; both if not given.
    pub security: Option<Vec<String>>,
    /// `yamux` or `yamux-crate`; the former if not given.
    pub muxers: Option<Vec<String>>,
    /// I/O threads.
    pub io_threads: Option<f64>,
    /// Bounds.
    pub limits: Option<NodeLimits>,
}

/// One attempt of a dial.
#[napi(object, object_to_js = false)]
pub struct DialEntry {
    /// Its address.
    pub address: String,
    /// From the start of the dial to that of the attempt.
    pub delay_ms: f64,
    /// For the attempt, its upgrade included.
    pub timeout_ms: f64,
}

/// How to dial.
#[napi(object, object_to_js = false)]
pub struct DialOptions {
    /// Who must answer.
    pub peer: Option<String>,
    /// Attempts at a time.
    pub parallel: f64,
    /// Restricts the security offered.
    pub security: Option<Vec<String>>,
}

/// Security protocols in the order in which a node prefers them.
const SECURITIES_DEFAULT: [Security; 2] = [Security::Tls, Security::Noise];

/// I/O threads beyond which a node gains nothing.
const IO_THREADS_MAX: u32 = 64;

/// A security protocol by its option's name.
pub(crate) fn security(name: &str) -> Result<Security, Failure> {
    match name {
        "tls" => Ok(Security::Tls),
        "noise" => Ok(Security::Noise),
        _ => Err(invalid("security is none of tls, noise")),
    }
}

impl TryFrom<NodeOptions> for ferroswarm_runtime::NodeOptions {
    type Error = Failure;

    fn try_from(options: NodeOptions) -> Result<Self, Failure> {
        let keypair = Keypair::from_protobuf(&options.private_key).map_err(invalid)?;
        let identity =
            Identity::new(keypair).map_err(|error| failure(ErrorCode::ERR_INTERNAL, error))?;
        let securities = match options.security {
            None => SECURITIES_DEFAULT.to_vec(),
            Some(names) if names.is_empty() => return Err(invalid("security is empty")),
            Some(names) => names
                .iter()
                .map(|name| security(name))
                .collect::<Result<_, _>>()?,
        };
        let muxer = options
            .muxers
            .as_deref()
            .map_or(Ok(Muxer::default()), muxer)?;
        let io_threads = options.io_threads.map(whole).transpose()?;
        if io_threads.is_some_and(|count| count == 0 || count > IO_THREADS_MAX) {
            return Err(invalid("ioThreads is not within 1 to 64"));
        }
        Ok(Self {
            identity: Arc::new(identity),
            securities,
            muxer,
            io_threads: io_threads.map(|count| count as usize),
            limits: limits(&options.limits.unwrap_or_default())?,
        })
    }
}

/// The one muxer that is offered: all there are have the same name on the wire.
fn muxer(names: &[String]) -> Result<Muxer, Failure> {
    let [name] = names else {
        return Err(invalid("muxers does not name one of yamux, yamux-crate"));
    };
    [Muxer::Yamux, Muxer::YamuxCrate]
        .into_iter()
        .find(|muxer| muxer.name() == name)
        .ok_or_else(|| invalid("muxers is none of yamux, yamux-crate"))
}

fn limits(given: &NodeLimits) -> Result<Limits, Failure> {
    let default = Limits::default();
    let time = |value: Option<f64>, default: Duration| match value {
        None => Ok(default),
        // Up to 24 days, which is what JavaScript's own timers take.
        Some(value) if value > 0.0 && value <= f64::from(i32::MAX) => milliseconds(value),
        Some(_) => Err(invalid(
            "a time limit is not within 1 to 2147483647 milliseconds",
        )),
    };
    let count = |value: Option<f64>, default: u32| match value.map(whole).transpose()? {
        Some(0) => Err(invalid("a limit is not within 1 to 4294967295")),
        given => Ok(given.unwrap_or(default)),
    };
    let size = |value: Option<f64>, default: usize| {
        value.map_or(Ok(default), |_| count(value, 0).map(|value| value as usize))
    };
    Ok(Limits {
        upgrade_timeout: time(given.upgrade_timeout_ms, default.upgrade_timeout)?,
        stream_negotiation_timeout: time(
            given.stream_negotiation_timeout_ms,
            default.stream_negotiation_timeout,
        )?,
        connections_max: size(given.connections_max, default.connections_max)?,
        pending_inbound_max: size(given.pending_inbound_max, default.pending_inbound_max)?,
        pending_inbound_per_host_max: size(
            given.pending_inbound_per_host_max,
            default.pending_inbound_per_host_max,
        )?,
        accept_backlog: count(given.accept_backlog, default.accept_backlog)?,
        inbound_streams_max: count(given.inbound_streams_max, default.inbound_streams_max)?,
        outbound_streams_max: count(given.outbound_streams_max, default.outbound_streams_max)?,
        window_bytes_max: count(given.window_max_bytes, default.window_bytes_max)?,
        window_memory_bytes: size(given.window_memory_bytes, default.window_memory_bytes)?,
        connection_bytes_max: size(given.connection_memory_bytes, default.connection_bytes_max)?,
        keepalive_interval: time(given.keepalive_interval_ms, default.keepalive_interval)?,
        keepalive_timeout: time(given.keepalive_timeout_ms, default.keepalive_timeout)?,
        write_stall_timeout: time(given.write_stall_timeout_ms, default.write_stall_timeout)?,
        linger_timeout: default.linger_timeout,
    })
}
