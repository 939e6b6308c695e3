//! Conversion of JavaScript's options to the runtime's.

use std::sync::Arc;
use std::time::Duration;

use ferroswarm_runtime::{
    CertificatePem, Certificates, DnsOptions, Gate, Identity, Keypair, Limits, Muxer, PreSharedKey,
    QuicConfig, ResourceOptions, Roots, Security, Trust, WebSocketOptions,
};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure, invalid};
use crate::number::{milliseconds, whole};
use crate::resources::config::ResourceConfig;

/// Limits; each defaults to the runtime's.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NodeLimits {
    /// Time from the accepted socket to a muxed connection.
    pub inbound_upgrade_timeout_ms: Option<f64>,
    /// Time from the dialled socket to a muxed connection.
    pub outbound_upgrade_timeout_ms: Option<f64>,
    /// Time from a stream's first byte to its negotiated protocol.
    pub stream_negotiation_timeout_ms: Option<f64>,
    /// Inbound streams not yet accepted, per connection.
    pub accept_backlog: Option<f64>,
    /// Maximum receive window of a stream.
    pub window_max_bytes: Option<f64>,
    /// Idle time after which a connection is pinged.
    pub keepalive_interval_ms: Option<f64>,
    /// Maximum time until the ping is answered.
    pub keepalive_timeout_ms: Option<f64>,
    /// Maximum time without progress while a socket has bytes to write.
    pub write_stall_timeout_ms: Option<f64>,
}

/// Options of a node.
#[napi(object, object_to_js = false)]
pub struct NodeOptions {
    /// The number in the `attachment` property of the object that `attach` returned.
    pub attachment: f64,
    /// Private key as libp2p protobuf.
    pub private_key: Uint8Array,
    /// `tls`, `noise`, in order of preference. Defaults to both.
    pub security: Option<Vec<String>>,
    /// `yamux` or `yamux-crate`. Defaults to the former.
    pub muxers: Option<Vec<String>>,
    /// Key of the private network that the node is limited to: the contents of a swarm key file, or
    /// 64 hexadecimal digits. None if absent.
    pub psk: Option<Uint8Array>,
    /// Number of I/O threads.
    pub io_threads: Option<f64>,
    /// Microseconds for which the event loop may poll after an event of a connection, up to 1,000.
    pub busy_poll_us: Option<f64>,
    /// Whether `readLeft` has what was unread when a stream ended. Defaults to no.
    pub keep_unread: Option<bool>,
    /// Timeouts and bounds of each connection.
    pub limits: Option<NodeLimits>,
    /// Resource limits.
    pub resources: Option<ResourceConfig>,
    /// Lookups of names.
    pub dns: Option<NodeDns>,
    /// QUIC connections.
    pub quic: Option<NodeQuic>,
    /// WebSocket connections.
    pub web_socket: Option<NodeWebSocket>,
}

/// Options of QUIC connections.
#[napi(object, object_to_js = false)]
pub struct NodeQuic {
    /// Silence after which a connection ends.
    pub idle_timeout_ms: f64,
    /// Silence after which the remote is probed.
    pub keepalive_interval_ms: f64,
    /// Time for a handshake.
    pub handshake_timeout_ms: f64,
    /// Bytes that the remote may send on one stream ahead of the application.
    pub stream_window_bytes: f64,
    /// The same on all streams of a connection.
    pub connection_window_bytes: f64,
    /// Streams that the remote may have open at a time.
    pub max_streams: f64,
}

/// Options of WebSocket.
#[napi(object, object_to_js = false)]
pub struct NodeWebSocket {
    /// What listeners with TLS present; the first if none is for the name that a dialer asks for.
    pub certificates: Vec<NodeCertificate>,
    /// PEM of the roots that dials with TLS trust; those of the system if empty.
    pub roots: Vec<String>,
    /// Whether certificates of remotes are verified.
    pub verify: bool,
    /// Whether requests to listeners that are no upgrade wait for an answer.
    pub passes_requests: bool,
}

/// A certificate with its chain, and its private key, in PEM.
#[napi(object, object_to_js = false)]
pub struct NodeCertificate {
    /// The chain.
    pub cert: String,
    /// The key.
    pub key: String,
}

/// Options of lookups; timeout and attempts default to the system's.
#[napi(object, object_to_js = false)]
pub struct NodeDns {
    /// Name servers as `ip:port`; those of the system if empty.
    pub servers: Vec<String>,
    /// Time for an answer to one query.
    pub timeout_ms: Option<f64>,
    /// Queries for one name.
    pub attempts: Option<f64>,
}

/// Options of a dial.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct DialOptions {
    /// Security protocols to offer, if not all of the node's.
    pub security: Option<Vec<String>>,
    /// Whether this side has the dialer's role in the upgrade. Defaults to true.
    pub initiator: Option<bool>,
    /// For each address the name that it was resolved from, if a WebSocket is to ask for that, or an empty string. Defaults
    /// to none.
    pub hosts: Option<Vec<String>>,
}

/// Options of the upgrade of a duplex.
#[napi(object, object_to_js = false)]
pub struct UpgradeOptions {
    /// 1 inbound, 2 outbound.
    pub direction: f64,
    /// Address of the remote, empty if it has none.
    pub remote_address: String,
    /// Local address, empty if there is none.
    pub local_address: String,
    /// IP address of the remote, for the limits on networks.
    pub endpoint: Option<String>,
    /// Scope of the connection, if the application has opened one; it is closed with the connection.
    pub scope: Option<f64>,
    /// Peer id that the remote must have.
    pub peer: Option<String>,
    /// Whether the scope is charged to that peer already.
    pub is_charged_to_peer: bool,
    /// Security protocols to offer, if not all of the node's.
    pub security: Option<Vec<String>>,
    /// Security protocol that was agreed on before: only the muxer is negotiated.
    pub agreed: Option<String>,
    /// Whether the muxer alone runs over the duplex, without security or negotiation.
    pub muxer_only: Option<bool>,
}

/// Security protocols in a node's default order of preference.
const SECURITIES_DEFAULT: [Security; 2] = [Security::Tls, Security::Noise];

/// Maximum number of I/O threads; a node gains nothing from more.
const IO_THREADS_MAX: u32 = 64;

/// The shortest timer, so that polling delays none.
const BUSY_POLL_US_MAX: u32 = 1_000;

/// Parses a security protocol's option name.
pub(crate) fn security(name: &str) -> Result<Security, Failure> {
    match name {
        "tls" => Ok(Security::Tls),
        "noise" => Ok(Security::Noise),
        _ => Err(invalid("security is not one of tls, noise")),
    }
}

/// Parses a list of security protocols.
pub(crate) fn securities(names: Option<&[String]>) -> Result<Option<Vec<Security>>, Failure> {
    let parse = |names: &[String]| names.iter().map(|name| security(name)).collect();
    names.map(parse).transpose()
}

impl NodeOptions {
    /// Converts the options.
    pub(crate) fn with_gate(
        self,
        gate: Arc<Gate>,
    ) -> Result<ferroswarm_runtime::NodeOptions, Failure> {
        let options = self;
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
        let psk = options.psk.map(|contents| PreSharedKey::parse(&contents));
        let io_threads = options.io_threads.map(whole).transpose()?;
        if io_threads.is_some_and(|count| count == 0 || count > IO_THREADS_MAX) {
            return Err(invalid("ioThreads is not within 1 to 64"));
        }
        Ok(ferroswarm_runtime::NodeOptions {
            identity: Arc::new(identity),
            securities,
            muxer,
            psk: psk.transpose().map_err(invalid)?,
            io_threads: io_threads.map(|count| count as usize),
            limits: Limits {
                busy_poll: busy_poll(options.busy_poll_us)?,
                keep_unread: options.keep_unread.unwrap_or_default(),
                ..limits(&options.limits.unwrap_or_default())?
            },
            resources: options
                .resources
                .map_or_else(|| Ok(ResourceOptions::default()), TryFrom::try_from)?,
            gate,
            dns: options
                .dns
                .map_or_else(|| Ok(DnsOptions::default()), TryFrom::try_from)?,
            quic: options
                .quic
                .map_or_else(|| Ok(QuicConfig::default()), TryFrom::try_from)?,
            web_socket: options
                .web_socket
                .map_or_else(|| Ok(WebSocketOptions::default()), TryFrom::try_from)?,
        })
    }
}

impl TryFrom<NodeWebSocket> for WebSocketOptions {
    type Error = Failure;

    fn try_from(options: NodeWebSocket) -> Result<Self, Failure> {
        let certificates = Arc::new(Certificates::default());
        let pems = options.certificates.into_iter().map(Into::into);
        let replaced = certificates.replace(&pems.collect::<Vec<_>>());
        replaced.map_err(invalid)?;
        let trust = match (options.verify, &options.roots[..]) {
            (false, _) => Trust::Anyone,
            (true, []) => Trust::System,
            (true, roots) => {
                Trust::Roots(Roots::from_pem(roots.join("\n").as_bytes()).map_err(invalid)?)
            }
        };
        Ok(Self {
            certificates,
            trust,
            passes_requests: options.passes_requests,
        })
    }
}

impl From<NodeCertificate> for CertificatePem {
    fn from(certificate: NodeCertificate) -> Self {
        Self {
            chain: certificate.cert.into_bytes(),
            key: certificate.key.into_bytes(),
        }
    }
}

impl TryFrom<NodeQuic> for QuicConfig {
    type Error = Failure;

    fn try_from(options: NodeQuic) -> Result<Self, Failure> {
        Ok(Self {
            idle_timeout: milliseconds(options.idle_timeout_ms)?,
            keep_alive_interval: milliseconds(options.keepalive_interval_ms)?,
            handshake_timeout: milliseconds(options.handshake_timeout_ms)?,
            stream_window: whole(options.stream_window_bytes)?,
            connection_window: whole(options.connection_window_bytes)?,
            streams_max: whole(options.max_streams)?,
        })
    }
}

impl TryFrom<NodeDns> for DnsOptions {
    type Error = Failure;

    fn try_from(options: NodeDns) -> Result<Self, Failure> {
        let servers = options.servers.iter();
        Ok(Self {
            servers: servers
                .map(|server| server.parse().map_err(invalid))
                .collect::<Result<_, _>>()?,
            timeout: options.timeout_ms.map(Bound::from_number).transpose()?,
            attempts: options.attempts.map(Bound::from_number).transpose()?,
        })
    }
}

/// Parses the muxer, of which only one can be offered: all have the same name on the wire.
fn muxer(names: &[String]) -> Result<Muxer, Failure> {
    let [name] = names else {
        return Err(invalid("muxers is not exactly one of yamux, yamux-crate"));
    };
    [Muxer::Yamux, Muxer::YamuxCrate]
        .into_iter()
        .find(|muxer| muxer.name() == name)
        .ok_or_else(|| invalid("muxers is not one of yamux, yamux-crate"))
}

fn busy_poll(micros: Option<f64>) -> Result<Duration, Failure> {
    match micros.map(whole).transpose()? {
        None => Ok(Limits::default().busy_poll),
        Some(micros) if micros <= BUSY_POLL_US_MAX => Ok(Duration::from_micros(micros.into())),
        Some(_) => Err(invalid("busyPollUs is not within 0 to 1000")),
    }
}

/// A limit that crosses as a JavaScript number.
trait Bound: Sized {
    fn from_number(number: f64) -> Result<Self, Failure>;

    fn number(self) -> f64;
}

impl Bound for Duration {
    fn from_number(number: f64) -> Result<Self, Failure> {
        // At most 24 days, the maximum of JavaScript timers.
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

/// Maps options to the fields of [`Limits`], and the defaults of these back to options.
macro_rules! limits {
    ($($option:ident: $field:ident,)*) => {
        fn limits(given: &NodeLimits) -> Result<Limits, Failure> {
            let default = Limits::default();
            Ok(Limits {
                $($field: given.$option.map_or(Ok(default.$field), Bound::from_number)?,)*
                linger_timeout: default.linger_timeout,
                busy_poll: default.busy_poll,
                keep_unread: default.keep_unread,
            })
        }

        /// Returns the name and default of every option.
        pub(crate) fn default_limits() -> Vec<(&'static str, f64)> {
            let default = Limits::default();
            vec![$((stringify!($option), default.$field.number())),*]
        }
    };
}

limits! {
    inbound_upgrade_timeout_ms: inbound_upgrade_timeout,
    outbound_upgrade_timeout_ms: outbound_upgrade_timeout,
    stream_negotiation_timeout_ms: stream_negotiation_timeout,
    accept_backlog: accept_backlog,
    window_max_bytes: window_bytes_max,
    keepalive_interval_ms: keepalive_interval,
    keepalive_timeout_ms: keepalive_timeout,
    write_stall_timeout_ms: write_stall_timeout,
}
