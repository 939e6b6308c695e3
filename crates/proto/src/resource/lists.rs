//! Lists of networks: those that are allowed, and those that are denied.

use core::net::IpAddr;
use std::fmt;

use super::network::Network;

/// A set of networks. It holds a number for each, and for each length of their prefixes a list.
///
/// Memory is 4 bytes for a network of IPv4 and 16 for one of IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSet {
    ipv4: Family<u32>,
    ipv6: Family<u128>,
}

impl NetworkSet {
    /// Returns the number of networks.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// Returns whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ipv4.0.is_empty() && self.ipv6.0.is_empty()
    }

    /// Returns the most specific network that contains `address`, by a binary search for each length
    /// of a prefix in the set.
    pub fn find(&self, address: IpAddr) -> Option<Network> {
        let prefix = match address.to_canonical() {
            IpAddr::V4(ip) => self.ipv4.find(|prefix| v4_bits(ip.into(), prefix)),
            IpAddr::V6(ip) => self.ipv6.find(|prefix| v6_bits(ip.into(), prefix)),
        };
        prefix.map(|prefix| Network::of(address, prefix))
    }

    /// Adds networks; those that it has stay. Takes time in the size of the set, so many are better
    /// added at once.
    pub fn extend(&mut self, networks: &[Network]) {
        for network in networks {
            match network.address() {
                IpAddr::V4(ip) => self.ipv4.of(network.prefix()).push(ip.to_bits()),
                IpAddr::V6(ip) => self.ipv6.of(network.prefix()).push(ip.to_bits()),
            }
        }
        self.ipv4.sort();
        self.ipv6.sort();
    }

    /// Removes networks; returns how many of them it had. A network that merely lies within one of the
    /// set is not one of them.
    pub fn remove(&mut self, networks: &[Network]) -> usize {
        let before = self.len();
        let mut removed = Self::default();
        removed.extend(networks);
        self.ipv4.subtract(&removed.ipv4);
        self.ipv6.subtract(&removed.ipv6);
        before - self.len()
    }

    /// Returns the networks: those of IPv4 first, then the longest prefixes, then by their address.
    pub fn iter(&self) -> impl Iterator<Item = Network> {
        let ipv4 = self.ipv4.iter();
        let ipv6 = self.ipv6.iter();
        ipv4.map(|(prefix, bits)| Network::of(IpAddr::V4(bits.into()), prefix))
            .chain(ipv6.map(|(prefix, bits)| Network::of(IpAddr::V6(bits.into()), prefix)))
    }
}

/// The addresses of one family by the lengths of their prefixes, longest first, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family<T>(Vec<(u8, Vec<T>)>);

impl<T: Copy + Ord> Family<T> {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, addresses)| addresses.len()).sum()
    }

    /// Returns the longest prefix that is in the set; `masked` returns an address without the bits
    /// behind a prefix.
    fn find(&self, masked: impl Fn(u8) -> T) -> Option<u8> {
        let found = self
            .0
            .iter()
            .find(|(prefix, addresses)| addresses.binary_search(&masked(*prefix)).is_ok());
        found.map(|(prefix, _)| *prefix)
    }

    /// Returns the list of a prefix, which the caller leaves sorted.
    fn of(&mut self, prefix: u8) -> &mut Vec<T> {
        let at = self.0.partition_point(|(known, _)| *known > prefix);
        if self.0.get(at).is_none_or(|(known, _)| *known != prefix) {
            self.0.insert(at, (prefix, Vec::new()));
        }
        &mut self.0[at].1
    }

    fn sort(&mut self) {
        for (_, addresses) in &mut self.0 {
            // Stable, as that takes linear time for a sorted list with a few more behind it.
            addresses.sort();
            addresses.dedup();
            addresses.shrink_to_fit();
        }
    }

    fn subtract(&mut self, other: &Self) {
        for (prefix, addresses) in &mut self.0 {
            if let Some((_, removed)) = other.0.iter().find(|(known, _)| known == prefix) {
                addresses.retain(|address| removed.binary_search(address).is_err());
            }
        }
        self.0.retain(|(_, addresses)| !addresses.is_empty());
    }

    fn iter(&self) -> impl Iterator<Item = (u8, T)> {
        self.0
            .iter()
            .flat_map(|(prefix, addresses)| addresses.iter().map(|address| (*prefix, *address)))
    }
}

fn v4_bits(bits: u32, prefix: u8) -> u32 {
    bits & u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0)
}

fn v6_bits(bits: u128, prefix: u8) -> u128 {
    bits & u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0)
}

/// Networks whose hosts may connect, and those whose hosts may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkLists {
    /// If it is not empty, hosts outside of it are refused.
    pub allow: NetworkSet,
    /// Hosts in it are refused, whether they are allowed or not.
    pub deny: NetworkSet,
}

/// Why lists refuse a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListRule {
    /// It is in this network.
    Denied(Network),
    /// It is in none of those that are allowed.
    NotAllowed,
}

impl NetworkLists {
    /// Returns the rule that refuses a remote; without a host, it is refused if only some hosts are
    /// allowed.
    pub fn rule_of(&self, host: Option<IpAddr>) -> Option<ListRule> {
        if let Some(network) = host.and_then(|host| self.deny.find(host)) {
            return Some(ListRule::Denied(network));
        }
        let is_allowed =
            self.allow.is_empty() || host.is_some_and(|host| self.allow.find(host).is_some());
        (!is_allowed).then_some(ListRule::NotAllowed)
    }
}

impl fmt::Display for ListRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(network) if network.is_host() => write!(f, "deny {}", network.address()),
            Self::Denied(network) => write!(f, "deny {network}"),
            Self::NotAllowed => f.write_str("not in the allow list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn lists(allow: &[&str], deny: &[&str]) -> NetworkLists {
        let mut lists = NetworkLists::default();
        lists.allow.extend(&networks(allow));
        lists.deny.extend(&networks(deny));
        lists
    }

    fn rule(lists: &NetworkLists, host: &str) -> Option<String> {
        let host = host.parse().unwrap();
        lists.rule_of(Some(host)).map(|rule| rule.to_string())
    }

    // G2
    #[test]
    fn deny_wins_and_an_allow_list_refuses_the_rest() {
        let none = NetworkLists::default();
        assert_eq!((rule(&none, "192.0.2.1"), none.rule_of(None)), (None, None));

        let denied = lists(&[], &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        for (host, expected) in [
            ("10.1.2.3", Some("deny 10.0.0.0/8")),
            ("::ffff:10.1.2.3", Some("deny 10.0.0.0/8")),
            ("192.0.2.7", Some("deny 192.0.2.7")),
            ("192.0.2.8", None),
            ("2001:db8::1", Some("deny 2001:db8::/32")),
            ("2001:db9::1", None),
        ] {
            assert_eq!(rule(&denied, host).as_deref(), expected, "{host}");
        }
        assert_eq!(denied.rule_of(None), None);

        let both = lists(&["10.0.0.0/8"], &["10.9.0.0/16"]);
        assert_eq!(rule(&both, "10.1.2.3"), None);
        assert_eq!(rule(&both, "10.9.1.1").unwrap(), "deny 10.9.0.0/16");
        assert_eq!(rule(&both, "192.0.2.1").unwrap(), "not in the allow list");
        assert_eq!(both.rule_of(None), Some(ListRule::NotAllowed));
    }

    #[test]
    fn the_most_specific_network_is_named_and_removed_by_its_own_text_only() {
        let mut set = NetworkSet::default();
        set.extend(&networks(&["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16"]));
        assert_eq!(set.len(), 2);
        let host = "10.1.2.3".parse().unwrap();
        assert_eq!(set.find(host).unwrap().to_string(), "10.1.0.0/16");
        assert_eq!(set.remove(&networks(&["10.1.2.0/24", "10.1.9.9/16"])), 1);
        assert_eq!(set.find(host).unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(set.remove(&networks(&["10.0.0.0/8"])), 1);
        assert_eq!(set, NetworkSet::default());
    }

    /// Addresses that differ in few bits, so that networks contain some of them.
    fn close_address() -> impl Strategy<Value = IpAddr> {
        (any::<bool>(), 0u128..64, 0u32..4).prop_map(|(is_ipv4, low, shift)| {
            if is_ipv4 {
                IpAddr::V4(Ipv4Addr::from_bits((low as u32) << (8 * shift)))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(low << (32 * shift)))
            }
        })
    }

    proptest! {
        #[test]
        fn prop_a_set_answers_as_a_scan_of_its_networks_does(
            entries in proptest::collection::vec((close_address(), 0u8..=128), 0..40),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
            hosts in proptest::collection::vec(close_address(), 1..40),
        ) {
            let mut naive: Vec<Network> =
                entries.iter().map(|(address, prefix)| Network::of(*address, *prefix)).collect();
            let mut set = NetworkSet::default();
            let (first, rest) = naive.split_at(naive.len() / 2);
            set.extend(first);
            set.extend(rest);
            let gone: Vec<Network> = removed
                .iter()
                .filter(|_| !naive.is_empty())
                .map(|index| *index.get(&naive))
                .collect();
            set.remove(&gone);
            naive.retain(|network| !gone.contains(network));
            for host in hosts {
                let expected = naive
                    .iter()
                    .filter(|network| network.contains(host))
                    .max_by_key(|network| network.prefix());
                prop_assert_eq!(set.find(host), expected.copied());
            }
            let listed: std::collections::HashSet<Network> = set.iter().collect();
            prop_assert_eq!(set.len(), listed.len());
            prop_assert_eq!(listed, naive.into_iter().collect());
        }
    }
}
