//! Options of the accounting.

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{
    Exemptions, Limit, LimitTable, Network, RateLimits, SubnetLimits,
};
use ferroswarm_secure::PeerId;

use crate::sync::Arc;

/// A network, or one peer of it, that passes the limits on subnets, and that has scopes of its own
/// when the others are full.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The network.
    pub network: Network,
    /// The only peer that is allowlisted there; any if `None`.
    pub peer: Option<PeerId>,
}

/// Options of the accounting of a node.
#[derive(Debug, Clone)]
pub struct ResourceOptions {
    /// Limits by scope.
    pub limits: LimitTable<Arc<PeerId>, ProtocolId>,
    /// Limits of concurrent inbound connections by subnet.
    pub subnets: SubnetLimits,
    /// Limits of the rate of inbound connections by subnet.
    pub rates: RateLimits,
    /// Hosts that the limits on subnets do not concern.
    pub exemptions: Exemptions,
    /// Networks whose connections pass the limits on subnets, and have scopes of their own when the
    /// others are full; their streams do not.
    pub allowlist: Vec<Allowed>,
    /// Nothing is refused; refusals are only reported.
    pub dry_run: bool,
}

impl Default for ResourceOptions {
    /// Limits of a single connection alone. A limit on all of them depends on the machine, and is
    /// the caller's to choose.
    fn default() -> Self {
        let mut limits = LimitTable::unlimited();
        limits.connection = Limit {
            memory: 32 << 20,
            // go resets streams beyond 1,000 of a connection, rust serves 512.
            streams_inbound: 1_000,
            streams_outbound: 500,
            ..Limit::UNLIMITED
        };
        Self {
            limits,
            subnets: SubnetLimits::default(),
            rates: RateLimits::default(),
            exemptions: Exemptions {
                loopback: true,
                networks: Vec::new(),
            },
            allowlist: Vec::new(),
            dry_run: false,
        }
    }
}
