//! Concurrent connections of each subnet.

use core::net::IpAddr;
use std::collections::HashMap;

use thiserror::Error;

use super::network::{Network, NetworkMap};

/// Limit of a subnet without one; its connections are not counted.
pub const UNLIMITED: u32 = u32::MAX;

/// Maximum numbers of concurrent connections, or [`UNLIMITED`]. Zero refuses all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetLimits {
    /// Prefix lengths, each with the limit of every IPv4 subnet of that length. All of them apply.
    pub ipv4: Vec<(u8, u32)>,
    /// The same for IPv6.
    pub ipv6: Vec<(u8, u32)>,
    /// Limits of whole networks. The most specific network of an address replaces its limits by
    /// prefix length.
    pub networks: Vec<(Network, u32)>,
}

impl Default for SubnetLimits {
    /// As in go-libp2p, 8 per IPv4 address and IPv6 /56, 64 per IPv6 /48: providers commonly assign
    /// a /56 to a customer and a /48 to a site.
    fn default() -> Self {
        Self {
            ipv4: vec![(32, 8)],
            ipv6: vec![(56, 8), (48, 64)],
            networks: Vec::new(),
        }
    }
}

/// The limit of a subnet is reached.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{network} has {current} connections, limit is {limit}")]
pub struct SubnetRefusal {
    /// The subnet.
    pub network: Network,
    /// Its limit.
    pub limit: u32,
    /// Its connections.
    pub current: u32,
}

/// Counts the connections of each subnet.
///
/// An entry exists only for a subnet that has connections, so memory is bounded by their number.
#[derive(Debug)]
pub struct Subnets {
    rules: Rules,
    counts: HashMap<Network, u32>,
}

impl Subnets {
    /// Creates counts of zero.
    pub fn new(limits: SubnetLimits) -> Self {
        Self {
            rules: Rules {
                ipv4: distinct(limits.ipv4, 32),
                ipv6: distinct(limits.ipv6, 128),
                networks: limits.networks.into_iter().collect(),
            },
            counts: HashMap::new(),
        }
    }

    /// Counts a connection with `address` in each of its subnets, or in none.
    ///
    /// # Errors
    /// The smallest subnet whose limit is reached.
    pub fn enter(&mut self, address: IpAddr) -> Result<(), SubnetRefusal> {
        for (network, limit) in self.rules.of(address) {
            let current = self.counts.get(&network).copied().unwrap_or(0);
            if current >= limit {
                return Err(SubnetRefusal {
                    network,
                    limit,
                    current,
                });
            }
        }
        for (network, _) in self.rules.of(address) {
            *self.counts.entry(network).or_insert(0) += 1;
        }
        Ok(())
    }

    /// Removes a connection that was counted by [`enter`](Self::enter).
    pub fn leave(&mut self, address: IpAddr) {
        for (network, _) in self.rules.of(address) {
            let Some(count) = self.counts.get_mut(&network) else {
                debug_assert!(false, "{address} has not entered");
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&network);
            }
        }
    }
}

#[derive(Debug)]
struct Rules {
    /// Longest prefix first, as below.
    ipv4: Vec<(u8, u32)>,
    ipv6: Vec<(u8, u32)>,
    networks: NetworkMap<u32>,
}

impl Rules {
    /// Returns the limited subnets of `address`, smallest first.
    fn of(&self, address: IpAddr) -> impl Iterator<Item = (Network, u32)> {
        let explicit = self.networks.find(address);
        let by_prefix = match address.to_canonical() {
            _ if explicit.is_some() => &[][..],
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        };
        let by_prefix = by_prefix
            .iter()
            .map(move |&(prefix, limit)| (Network::of(address, prefix), limit));
        explicit
            .map(|(network, &limit)| (network, limit))
            .into_iter()
            .chain(by_prefix)
            .filter(|&(_, limit)| limit != UNLIMITED)
    }
}

/// Sorts by prefix length, longest first, with one limit of each: the lowest.
///
/// A length that occurred twice would count each connection twice.
fn distinct(mut limits: Vec<(u8, u32)>, prefix_max: u8) -> Vec<(u8, u32)> {
    for (prefix, _) in &mut limits {
        *prefix = prefix_max.min(*prefix);
    }
    limits.sort_unstable_by_key(|&(prefix, limit)| (prefix_max - prefix, limit));
    limits.dedup_by_key(|&mut (prefix, _)| prefix);
    limits
}

#[cfg(test)]
mod tests;
