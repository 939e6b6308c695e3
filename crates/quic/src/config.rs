//! Settings of endpoints and connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ferroswarm_secure::{Identity, PeerId, QuicDialer, TlsCredentialsError};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, NoneTokenStore, ServerConfig,
    TransportConfig, VarInt,
};

use crate::congestion::Congestion;
use crate::window::Window;

/// Options of QUIC connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Silence after which a connection ends; the shorter one of both ends applies.
    pub idle_timeout: Duration,
    /// Silence after which the remote is probed.
    pub keep_alive_interval: Duration,
    /// Time for a handshake.
    pub handshake_timeout: Duration,
    /// Bytes that the remote may send on one stream ahead of the application.
    pub stream_window: u32,
    /// Bytes that the remote may send on all streams ahead of the application.
    pub connection_window: u32,
    /// Streams that the remote may have open at a time.
    pub streams_max: u32,
}

impl Default for Config {
    /// The timeouts and the number of streams of go-libp2p. Three streams that nobody reads leave a
    /// quarter of the connection's window to the others; a path of 100 ms carries 60 MB/s on one.
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            keep_alive_interval: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            stream_window: 6 << 20,
            connection_window: 24 << 20,
            streams_max: 256,
        }
    }
}

/// Bytes that may wait for an acknowledgement on a new connection; grows with the congestion window.
pub(crate) const SEND_WINDOW_MIN: u64 = 1 << 20;

/// Upper bound on the same.
pub(crate) const SEND_WINDOW_MAX: u64 = 16 << 20;

/// Streams that the remote of a new connection may have open at a time. quinn-proto holds 84 bytes for each
/// of them from the start, so that the others are allowed when the remote has use for them.
pub(crate) const STREAMS_AT_FIRST: u32 = 64;

/// Largest datagram that a path may carry: an Ethernet frame without the headers of IPv6 and UDP.
const MTU_MAX: u16 = 1_452;

/// Datagrams over loopback, whose interfaces carry 16 KiB at least: they are this long from the start, as the
/// probes of both sides would be a tenth of the CPU time of a handshake.
const MTU_LOOPBACK: u16 = 4 << 10;

/// What every path carries (RFC 9000, section 14).
const MTU_MIN: u16 = 1_200;

/// Datagrams received are no longer than this.
const PAYLOAD_MAX: u16 = MTU_LOOPBACK;

/// Handshakes that wait to be accepted, per endpoint; more are dropped, and tried again by their
/// dialers.
const INCOMING_MAX: usize = 1_024;

/// Bytes of datagrams that one of them may collect: a ClientHello of two datagrams, twice.
const INCOMING_BYTES_MAX: u64 = 8 << 10;

/// The same over all of them.
const INCOMING_TOTAL_MAX: u64 = 4 << 20;

/// Settings of a node's endpoints and connections.
pub struct Settings {
    endpoint: Arc<EndpointConfig>,
    /// By [`path_index`].
    server: [Arc<ServerConfig>; 2],
    transport: [Arc<TransportConfig>; 2],
    streams_max: u32,
    stream_window: u32,
    connection_window: u32,
}

/// A remote to dial.
pub struct Target<'a> {
    /// Its address.
    pub remote: SocketAddr,
    /// Identity to dial with.
    pub identity: &'a Identity,
    /// Expected peer; any if `None`.
    pub peer: Option<PeerId>,
}

impl Settings {
    /// Creates the settings of a node.
    ///
    /// # Errors
    /// TLS credentials that cannot be used for QUIC.
    pub fn new(config: &Config, identity: &Identity) -> Result<Self, TlsCredentialsError> {
        let crypto = QuicServerConfig::try_from(identity.quic_listener())
            .map_err(|_| TlsCredentialsError::NoInitialSuite)?;
        let mut probed = transport(config);
        probed.mtu_discovery_config(Some(discovery()));
        // Nothing is left to probe, unless such datagrams are lost.
        let mut rediscovery = MtuDiscoveryConfig::default();
        rediscovery.upper_bound(MTU_LOOPBACK);
        let mut loopback = transport(config);
        // Before it knows what the other side takes, none sends more than 1,200 bytes: a listener knows
        // it from the first flight, and that of a dialer is shorter.
        loopback
            .initial_mtu(MTU_LOOPBACK)
            .mtu_discovery_config(Some(rediscovery));
        let transport = [probed, loopback].map(Arc::new);
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BYTES_MAX)
            .incoming_buffer_size_total(INCOMING_TOTAL_MAX);
        let server = transport.each_ref().map(|transport| {
            let mut server = server.clone();
            server.transport_config(Arc::clone(transport));
            Arc::new(server)
        });
        let mut endpoint = EndpointConfig::default();
        // Fails below 1,200 only.
        endpoint.max_udp_payload_size(PAYLOAD_MAX).ok();
        Ok(Self {
            endpoint: Arc::new(endpoint),
            server,
            transport,
            streams_max: config.streams_max,
            stream_window: config.stream_window,
            connection_window: config.connection_window,
        })
    }

    /// Returns the settings of an endpoint.
    pub fn endpoint(&self) -> Arc<EndpointConfig> {
        Arc::clone(&self.endpoint)
    }

    /// Returns the settings of an endpoint that accepts connections.
    pub fn listener(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server[0])
    }

    /// Returns the settings of a connection from `remote`.
    pub fn accepting(&self, remote: IpAddr) -> Arc<ServerConfig> {
        Arc::clone(&self.server[path_index(remote)])
    }

    /// Returns the settings of a connection to `target`, and the reason for a refusal of ours.
    ///
    /// # Errors
    /// TLS credentials that cannot be used for QUIC.
    pub fn dialling(
        &self,
        target: &Target<'_>,
    ) -> Result<(ClientConfig, QuicDialer), TlsCredentialsError> {
        let dialer = target.identity.quic_dialer(target.peer);
        let crypto = QuicClientConfig::try_from(Arc::clone(&dialer.config))
            .map_err(|_| TlsCredentialsError::NoInitialSuite)?;
        let mut client = ClientConfig::new(Arc::new(crypto));
        client
            .transport_config(Arc::clone(&self.transport[path_index(target.remote.ip())]))
            // Tokens spare a round trip to listeners that ask for it, and link connections.
            .token_store(Arc::new(NoneTokenStore));
        Ok((client, dialer))
    }

    pub(crate) const fn streams_max(&self) -> u32 {
        self.streams_max
    }

    pub(crate) const fn stream_window(&self) -> u32 {
        self.stream_window
    }

    pub(crate) const fn connection_window(&self) -> u32 {
        self.connection_window
    }
}

/// Returns 0 for a path to another host, 1 for one over loopback.
fn path_index(remote: IpAddr) -> usize {
    usize::from(remote.to_canonical().is_loopback())
}

/// quinn-proto announces no small growth, of less than an eighth.
const fn streams_at_first(max: u32) -> u32 {
    if max < 2 * STREAMS_AT_FIRST {
        max
    } else {
        STREAMS_AT_FIRST
    }
}

/// The first probe is for the maximum, as a binary search would not get there.
fn discovery() -> MtuDiscoveryConfig {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery
        .upper_bound(MTU_MAX)
        .minimum_change((MTU_MAX - MTU_MIN) / 2 + 1);
    discovery
}

fn transport(config: &Config) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(IdleTimeout::try_from(config.idle_timeout).ok())
        .keep_alive_interval(Some(config.keep_alive_interval))
        .max_concurrent_bidi_streams(streams_at_first(config.streams_max).into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(config.stream_window.into())
        .receive_window(Window::first(config.connection_window).into())
        .send_window(SEND_WINDOW_MIN)
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(Congestion::default()));
    transport
}
