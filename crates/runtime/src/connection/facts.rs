//! What is known of a connection for its whole life.

use std::time::Duration;

use ferroswarm_secure::{PeerId, PublicKey, Security};
use multiaddr::Multiaddr;

use crate::config::Muxer;

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// The remote.
    Inbound = 1,
    /// This node.
    Outbound = 2,
}

/// How long each stage of the upgrade took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// The transport's own connection; zero for an accepted one.
    pub dial: Duration,
    /// Negotiating security and its handshake.
    pub security: Duration,
    /// Negotiating the muxer; zero where it came with the handshake.
    pub muxer: Duration,
}

/// What is known of a connection for its whole life.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The node it belongs to, within its environment.
    pub node: u32,
    /// The dial that made it; 0 for an accepted one.
    pub request: u32,
    /// Who dialled.
    pub direction: Direction,
    /// The authenticated remote.
    pub remote_peer: PeerId,
    /// Its key.
    pub remote_key: PublicKey,
    /// Where it is.
    pub remote_address: Multiaddr,
    /// Where we are.
    pub local_address: Multiaddr,
    /// What secures it.
    pub security: Security,
    /// What multiplexes it.
    pub muxer: Muxer,
    /// The muxer came with the security handshake.
    pub early_muxer: bool,
    /// How long its upgrade took.
    pub stages: StageTimes,
}
