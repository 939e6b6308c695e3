//! Immutable properties of a connection.

use std::time::Duration;

use ferroswarm_secure::{PeerId, PublicKey, Role, Security};
use multiaddr::Multiaddr;

use crate::config::Muxer;

/// Side that opened a connection or stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Opened by the remote.
    Inbound = 1,
    /// Opened by this node.
    Outbound = 2,
}

/// Duration of each stage of the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Establishing the transport connection; zero for an accepted one.
    pub connect: Duration,
    /// Negotiating security, and its handshake.
    pub security: Duration,
    /// Negotiating the muxer; zero if the handshake selected it.
    pub muxer: Duration,
}

/// Immutable properties of a connection.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Owning node, within its environment.
    pub node: u32,
    /// Dial request that produced it; 0 for an accepted connection.
    pub request: u32,
    /// Side that dialled.
    pub direction: Direction,
    /// Our role in the upgrade and the muxer: that of `direction`, unless both sides dialled.
    pub role: Role,
    /// Authenticated peer id of the remote.
    pub remote_peer: PeerId,
    /// Public key of the remote.
    pub remote_key: PublicKey,
    /// Address of the remote.
    pub remote_address: Multiaddr,
    /// Local address.
    pub local_address: Multiaddr,
    /// Security protocol; `None` for a muxer alone, whose remote has no identity: the other facts
    /// of it are the node's own.
    pub security: Option<Security>,
    /// Stream muxer; `None` for QUIC, which has streams of its own.
    pub muxer: Option<Muxer>,
    /// The muxer was selected in the security handshake.
    pub early_muxer: bool,
    /// Durations of the upgrade stages.
    pub stages: StageTimes,
}
