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
    /// From a stream's first byte to its negotiated protocol.
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
    /// Microseconds for which the event loop may poll behind an event of a connection, up to 1,000.
    pub busy_poll_us: Option<f64>,
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

/// No timer is shorter: none is late for it.
const BUSY_POLL_US_MAX: u32 = 1_000;

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
            limits: Limits {
                busy_poll: busy_poll(options.busy_poll_us)?,
                ..limits(&options.limits.unwrap_or_default())?
            },
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

fn busy_poll(micros: Option<f64>) -> Result<Duration, Failure> {
    match micros.map(whole).transpose()? {
        None => Ok(Limits::default().busy_poll),
        Some(micros) if micros <= BUSY_POLL_US_MAX => Ok(Duration::from_micros(micros.into())),
        Some(_) => Err(invalid("busyPollUs is not within 0 to 1000")),
    }
}

/// A bound as its option gives it, a number of JavaScript.
trait Bound: Sized {
    fn from_number(number: f64) -> Result<Self, Failure>;

    fn number(self) -> f64;
}

impl Bound for Duration {
    fn from_number(number: f64) -> Result<Self, Failure> {
        // Up to 24 days, the longest time of JavaScript's own timers.
        if number > 0.0 && number <= f64::from(i32::MAX) {
            milliseconds(number)
        } else {
            Err(invalid(
                "a time limit is not within 1 to 2147483647 milliseconds",
            ))
        }
    }

    fn number(self) -> f64 {
        self.as_secs_f64() * 1_000.0
    }
}

impl Bound for u32 {
    fn from_number(number: f64) -> Result<Self, Failure> {
        match whole(number)? {
            0 => Err(invalid("a limit is not within 1 to 4294967295")),
            number => Ok(number),
        }
    }

    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Bound for usize {
    fn from_number(number: f64) -> Result<Self, Failure> {
        u32::from_number(number).map(|number| number as Self)
    }

    fn number(self) -> f64 {
        self as f64
    }
}

/// Both directions between options and the fields of [`Limits`].
macro_rules! limits {
    ($($option:ident: $field:ident,)*) => {
        fn limits(given: &NodeLimits) -> Result<Limits, Failure> {
            let default = Limits::default();
            Ok(Limits {
                $($field: given.$option.map_or(Ok(default.$field), Bound::from_number)?,)*
                linger_timeout: default.linger_timeout,
                busy_poll: default.busy_poll,
            })
        }

        /// The name and the default of every option.
        pub(crate) fn default_limits() -> Vec<(&'static str, f64)> {
            let default = Limits::default();
            vec![$((stringify!($option), default.$field.number())),*]
        }
    };
}

limits! {
    upgrade_timeout_ms: upgrade_timeout,
    stream_negotiation_timeout_ms: stream_negotiation_timeout,
    connections_max: connections_max,
    pending_inbound_max: pending_inbound_max,
    pending_inbound_per_host_max: pending_inbound_per_host_max,
    accept_backlog: accept_backlog,
    inbound_streams_max: inbound_streams_max,
    outbound_streams_max: outbound_streams_max,
    window_max_bytes: window_bytes_max,
    window_memory_bytes: window_memory_bytes,
    connection_memory_bytes: connection_bytes_max,
    keepalive_interval_ms: keepalive_interval,
    keepalive_timeout_ms: keepalive_timeout,
    write_stall_timeout_ms: write_stall_timeout,
}
