//! IP networks: an address and the number of bits that its hosts share.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A network, in canonical form: host bits are zero, and IPv4 addresses mapped into IPv6 are IPv4.
///
/// Families are separate: `::/0` contains no IPv4 address, not even a mapped one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// The part before the slash is not an IP address.
    #[error("not an IP address")]
    Address,
    /// The part after the slash is not a prefix length of the address's family.
    #[error("prefix length is not an integer from 0 to {max}")]
    Prefix {
        /// Maximum of the family.
        max: u8,
    },
}

impl Network {
    /// Returns the network of `prefix` bits that contains `address`.
    ///
    /// `prefix` counts bits of the canonical address: of an IPv4-mapped one, those of the IPv4
    /// address. A prefix longer than the address is the address alone.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        Self::masked(address, prefix.min(bits_of(address)))
    }

    /// Returns the lowest address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of bits that all addresses share.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns whether it is a single address.
    pub const fn is_host(&self) -> bool {
        self.prefix == bits_of(self.address)
    }

    /// Returns whether `address`, in its canonical form, is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.prefix) == *self
    }

    /// Clears the host bits. `prefix` is at most the bits of the address.
    fn masked(address: IpAddr, prefix: u8) -> Self {
        let host_bits = u32::from(bits_of(address) - prefix);
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        };
        Self { address, prefix }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Parses `192.0.2.0/24` or `2001:db8::/32`; an address without a prefix is a network of one.
    ///
    /// Host bits may be set. The prefix counts bits of the address as written:
    /// `::ffff:192.0.2.0/120` is `192.0.2.0/24`.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let max = bits_of(address);
        let prefix = match prefix {
            Some(prefix) => parse_prefix(prefix, max).ok_or(NetworkError::Prefix { max })?,
            None => max,
        };
        let canonical = address.to_canonical();
        let mapped_bits = max - bits_of(canonical);
        Ok(match prefix.checked_sub(mapped_bits) {
            Some(prefix) => Self::masked(canonical, prefix),
            // It extends beyond the mapped addresses, so it is a network of IPv6.
            None => Self::masked(address, prefix),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Addresses that are exempt from the limits of subnets and from rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemptions {
    /// Exempts `127.0.0.0/8` and `::1`.
    pub loopback: bool,
    /// Exempt networks.
    pub networks: Vec<Network>,
}

impl Default for Exemptions {
    /// Loopback only: every local process shares its address.
    fn default() -> Self {
        Self {
            loopback: true,
            networks: Vec::new(),
        }
    }
}

impl Exemptions {
    /// Returns whether `address` is exempt.
    pub fn covers(&self, address: IpAddr) -> bool {
        let is_loopback = self.loopback && address.to_canonical().is_loopback();
        is_loopback || self.networks.iter().any(|known| known.contains(address))
    }
}

/// Values of networks, looked up by the most specific one that contains an address.
#[derive(Debug)]
pub(super) struct NetworkMap<T> {
    values: HashMap<Network, T>,
    /// Prefix lengths of all networks, distinct, longest first.
    prefixes: Vec<u8>,
}

impl<T> FromIterator<(Network, T)> for NetworkMap<T> {
    /// The last value of a network that occurs twice stands.
    fn from_iter<I: IntoIterator<Item = (Network, T)>>(networks: I) -> Self {
        let values: HashMap<Network, T> = networks.into_iter().collect();
        let mut prefixes: Vec<u8> = values.keys().map(Network::prefix).collect();
        prefixes.sort_unstable_by(|a, b| b.cmp(a));
        prefixes.dedup();
        Self { values, prefixes }
    }
}

impl<T> NetworkMap<T> {
    /// Returns the most specific network that contains `address`, and its value.
    pub(super) fn find(&self, address: IpAddr) -> Option<(Network, &T)> {
        self.candidates(address)
            .find_map(|network| Some((network, self.values.get(&network)?)))
    }

    /// Returns the value of the most specific network that contains `address`.
    pub(super) fn find_mut(&mut self, address: IpAddr) -> Option<&mut T> {
        let (network, _) = self.find(address)?;
        self.values.get_mut(&network)
    }

    fn candidates(&self, address: IpAddr) -> impl Iterator<Item = Network> {
        self.prefixes
            .iter()
            .map(move |&prefix| Network::of(address, prefix))
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Parses a decimal number of at most `max`, without sign or leading zeros.
fn parse_prefix(text: &str, max: u8) -> Option<u8> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if has_leading_zero || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&prefix| prefix <= max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn parses_to_the_canonical_form() {
        for (text, canonical) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.77", "192.0.2.77/32"),
            ("255.255.255.255/0", "0.0.0.0/0"),
            ("192.0.2.129/25", "192.0.2.128/25"),
            ("2001:db8:1:23ff::9/56", "2001:db8:1:2300::/56"),
            ("2001:DB8::9", "2001:db8::9/128"),
            ("ffff::/0", "::/0"),
            ("::ffff:192.0.2.77", "192.0.2.77/32"),
            ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.77/96", "0.0.0.0/0"),
            ("::ffff:192.0.2.77/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(network(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refuses_text_that_is_not_a_network() {
        for text in ["", "/", "/24", "192.0.2/24", "192.0.2.0.1", "a", " ::1"] {
            assert_eq!(
                text.parse::<Network>(),
                Err(NetworkError::Address),
                "{text:?}"
            );
        }
        for prefix in [
            "",
            " 8",
            "8 ",
            "+8",
            "-1",
            "08",
            "00",
            "33",
            "264",
            "8/8",
            "255.0.0.0",
        ] {
            let text = format!("192.0.2.0/{prefix}");
            let refusal = NetworkError::Prefix { max: 32 };
            assert_eq!(text.parse::<Network>(), Err(refusal), "{text}");
        }
        let refusal = NetworkError::Prefix { max: 128 };
        for text in ["::/129", "::ffff:192.0.2.0/129"] {
            assert_eq!(text.parse::<Network>(), Err(refusal), "{text}");
        }
    }

    #[test]
    fn contains_the_addresses_of_its_family_that_share_its_prefix() {
        let ipv4 = network("192.0.2.0/25");
        for text in ["192.0.2.0", "192.0.2.127", "::ffff:192.0.2.1"] {
            assert!(ipv4.contains(address(text)), "{text}");
        }
        for text in ["192.0.2.128", "192.0.1.255", "::192.0.2.1", "2001:db8::"] {
            assert!(!ipv4.contains(address(text)), "{text}");
        }
        assert!(network("2001:db8::/48").contains(address("2001:db8:0:ffff::1")));
        assert!(!network("2001:db8::/48").contains(address("2001:db8:1::")));
        assert!(network("::/0").contains(address("2001:db8::")));
        assert!(!network("::/0").contains(address("192.0.2.1")));
        assert!(!network("::/0").contains(address("::ffff:192.0.2.1")));
        assert!(!network("0.0.0.0/0").contains(address("::1")));
    }

    #[test]
    fn a_prefix_longer_than_the_address_is_the_address_alone() {
        let mapped = Network::of(address("::ffff:192.0.2.1"), 56);
        assert_eq!(mapped, network("192.0.2.1"));
        assert_eq!(Network::of(address("2001:db8::1"), 200).prefix(), 128);
    }

    #[test]
    fn exemptions_cover_loopback_only_on_request() {
        let mut exemptions = Exemptions::default();
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(exemptions.covers(address(text)), "{text}");
        }
        assert!(!exemptions.covers(address("192.0.2.1")));
        exemptions.loopback = false;
        assert!(!exemptions.covers(address("127.0.0.1")));
        exemptions.networks = vec![network("192.0.2.0/24"), network("2001:db8::/32")];
        for text in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1::1"] {
            assert!(exemptions.covers(address(text)), "{text}");
        }
        assert!(!exemptions.covers(address("192.0.3.1")));
    }

    #[test]
    fn the_map_finds_the_most_specific_network() {
        let texts = [
            "0.0.0.0/0",
            "192.0.2.1",
            "192.0.2.0/24",
            "::/0",
            "2001:db8::/48",
        ];
        let numbered = texts.iter().enumerate();
        let map: NetworkMap<usize> = numbered.map(|(at, text)| (network(text), at)).collect();
        for (text, expected) in [
            ("192.0.2.1", 1),
            ("192.0.2.2", 2),
            ("192.0.3.1", 0),
            ("2001:db8::1", 4),
            ("2001:db9::1", 3),
            ("::ffff:192.0.2.1", 1),
        ] {
            let found = (network(texts[expected]), &expected);
            assert_eq!(map.find(address(text)), Some(found), "{text}");
        }
        let none: NetworkMap<()> = NetworkMap::from_iter([]);
        assert_eq!(none.find(address("192.0.2.1")), None);
    }

    proptest! {
        #[test]
        fn prop_text_makes_a_round_trip(bits: u128, is_ipv4: bool, prefix: u8) {
            let address = if is_ipv4 {
                IpAddr::from(Ipv4Addr::from_bits(bits as u32))
            } else {
                IpAddr::from(Ipv6Addr::from_bits(bits))
            };
            let network = Network::of(address, prefix);
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(address) && network.contains(network.address()));
        }

        #[test]
        fn prop_parsing_never_panics(text in "[0-9a-f:./+ ]{0,50}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }
    }
}
