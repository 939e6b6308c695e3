//! Conversion of JavaScript's limits to those of the runtime.

use std::sync::Arc;

use ferroswarm_runtime::resource::{
    Exemptions, Limit, LimitTable, Network, Rate, RateLimits, SubnetLimits, UNLIMITED,
};
use ferroswarm_runtime::{Allowed, PeerId, ProtocolId, ResourceOptions};
use napi_derive::napi;

use crate::keys::{Failure, invalid};
use crate::number::whole;

use super::{name, peer_id};

/// Limits of a class of scopes, or of one of them.
#[napi(object, object_to_js = false)]
pub struct ScopeLimitEntry {
    /// `system`, `peerDefault`, `peers`, ...
    pub scope: String,
    /// Peer id, protocol or service, if the limits are those of one.
    pub name: Option<String>,
    /// By resource.
    pub limits: Vec<f64>,
}

/// A bound on concurrent connections of a subnet.
#[napi(object, object_to_js = false)]
pub struct SubnetEntry {
    /// 4 or 6.
    pub family: f64,
    /// Length of the prefix.
    pub prefix: f64,
    /// Connections.
    pub connections: f64,
}

/// A bound on the rate of inbound connections of a subnet.
#[napi(object, object_to_js = false)]
pub struct RateEntry {
    /// 4 or 6.
    pub family: f64,
    /// Length of the prefix.
    pub prefix: f64,
    /// Connections per second.
    pub per_second: f64,
    /// Connections at once.
    pub burst: f64,
}

/// A bound on concurrent connections of one network.
#[napi(object, object_to_js = false)]
pub struct NetworkEntry {
    /// In CIDR notation.
    pub network: String,
    /// Connections.
    pub connections: f64,
}

/// An allowlisted network.
#[napi(object, object_to_js = false)]
pub struct AllowedEntry {
    /// In CIDR notation.
    pub network: String,
    /// The only peer.
    pub peer: Option<String>,
}

/// Options of the accounting.
#[napi(object, object_to_js = false)]
pub struct ResourceConfig {
    /// Limits by scope; classes that are left out are unlimited.
    pub scopes: Vec<ScopeLimitEntry>,
    /// Concurrent connections by subnet.
    pub subnets: Vec<SubnetEntry>,
    /// Rate of inbound connections by subnet.
    pub rates: Vec<RateEntry>,
    /// Concurrent connections of single networks.
    pub networks: Vec<NetworkEntry>,
    /// Networks whose connections pass the limits by subnet, and have scopes of their own when the others are full.
    pub allowlist: Vec<AllowedEntry>,
    /// Networks in CIDR notation without limits by subnet.
    pub trusted_sources: Vec<String>,
    /// Whether loopback is one of them.
    pub loopback_exempt: bool,
    /// Whether refusals are only reported.
    pub dry_run: bool,
}

fn network(text: &str) -> Result<Network, Failure> {
    text.parse().map_err(invalid)
}

/// Converts a number of bytes.
pub(super) fn amount(bytes: f64) -> Result<u64, Failure> {
    if (0.0..=9_007_199_254_740_991.0).contains(&bytes) && bytes.fract() == 0.0 {
        Ok(bytes as u64)
    } else {
        Err(invalid("a size is not a whole number of bytes"))
    }
}

/// Converts a count, of which those beyond 32 bits are unlimited.
fn count(limit: f64) -> Result<u32, Failure> {
    if limit.is_nan() || limit < 0.0 {
        return Err(invalid("a limit is negative or not a number"));
    }
    Ok(if limit >= f64::from(u32::MAX) {
        UNLIMITED
    } else {
        limit as u32
    })
}

pub(super) fn limit(limits: &[f64]) -> Result<Limit, Failure> {
    // In the order of `Resource::ALL`.
    let &[
        connections_inbound,
        connections_outbound,
        connections,
        streams_inbound,
        streams_outbound,
        streams,
        fds,
        memory,
    ] = limits
    else {
        return Err(invalid("limits does not have one entry per resource"));
    };
    Ok(Limit {
        connections_inbound: count(connections_inbound)?,
        connections_outbound: count(connections_outbound)?,
        connections: count(connections)?,
        streams_inbound: count(streams_inbound)?,
        streams_outbound: count(streams_outbound)?,
        streams: count(streams)?,
        fds: count(fds)?,
        memory: if memory == f64::INFINITY {
            u64::MAX
        } else {
            amount(memory)?
        },
    })
}

type Table = LimitTable<Arc<PeerId>, ProtocolId>;

fn set(table: &mut Table, entry: &ScopeLimitEntry) -> Result<(), Failure> {
    let limit = limit(&entry.limits)?;
    if let Some(of) = &entry.name {
        let named = match entry.scope.as_str() {
            "services" => &mut table.services,
            "servicePeers" => &mut table.service_peers,
            "protocols" => &mut table.protocols,
            "protocolPeers" => &mut table.protocol_peers,
            "peers" => {
                table.peers.insert(Arc::new(peer_id(of)?), limit);
                return Ok(());
            }
            _ => return Err(invalid("no such table of limits")),
        };
        named.insert(name(of)?, limit);
        return Ok(());
    }
    let class = match entry.scope.as_str() {
        "system" => &mut table.system,
        "transient" => &mut table.transient,
        "allowlistedSystem" => &mut table.allowlisted_system,
        "allowlistedTransient" => &mut table.allowlisted_transient,
        "serviceDefault" => &mut table.service_default,
        "servicePeerDefault" => &mut table.service_peer_default,
        "protocolDefault" => &mut table.protocol_default,
        "protocolPeerDefault" => &mut table.protocol_peer_default,
        "peerDefault" => &mut table.peer_default,
        "connection" => &mut table.connection,
        "stream" => &mut table.stream,
        _ => return Err(invalid("no such class of scopes")),
    };
    *class = limit;
    Ok(())
}

/// Appends `entry` to the list of its family.
fn by_family<T>(family: f64, lists: [&mut Vec<T>; 2], entry: T) -> Result<(), Failure> {
    let [ipv4, ipv6] = lists;
    match whole(family)? {
        4 => ipv4.push(entry),
        6 => ipv6.push(entry),
        _ => return Err(invalid("the family is neither 4 nor 6")),
    }
    Ok(())
}

fn prefix(length: f64) -> Result<u8, Failure> {
    u8::try_from(whole(length)?).map_err(|_| invalid("a prefix is longer than an address"))
}

impl TryFrom<ResourceConfig> for ResourceOptions {
    type Error = Failure;

    fn try_from(config: ResourceConfig) -> Result<Self, Failure> {
        let mut limits = LimitTable::unlimited();
        for entry in &config.scopes {
            set(&mut limits, entry)?;
        }
        let mut subnets = SubnetLimits {
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            networks: Vec::new(),
        };
        for entry in &config.subnets {
            let limit = (prefix(entry.prefix)?, count(entry.connections)?);
            by_family(entry.family, [&mut subnets.ipv4, &mut subnets.ipv6], limit)?;
        }
        for entry in &config.networks {
            let limit = (network(&entry.network)?, count(entry.connections)?);
            subnets.networks.push(limit);
        }
        let mut rates = RateLimits {
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        };
        for entry in &config.rates {
            let rate = Rate {
                prefix: prefix(entry.prefix)?,
                per_second: entry.per_second,
                burst: count(entry.burst)?,
            };
            by_family(entry.family, [&mut rates.ipv4, &mut rates.ipv6], rate)?;
        }
        let allowed = |entry: &AllowedEntry| {
            Ok(Allowed {
                network: network(&entry.network)?,
                peer: entry.peer.as_deref().map(peer_id).transpose()?,
            })
        };
        let trusted = config.trusted_sources.iter();
        Ok(Self {
            limits,
            subnets,
            rates,
            exemptions: Exemptions {
                loopback: config.loopback_exempt,
                networks: trusted
                    .map(|text| network(text))
                    .collect::<Result<_, _>>()?,
            },
            allowlist: config
                .allowlist
                .iter()
                .map(allowed)
                .collect::<Result<_, Failure>>()?,
            dry_run: config.dry_run,
        })
    }
}
