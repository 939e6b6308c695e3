use proptest::prelude::*;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// Enters, and returns the network, limit and current number of the refusal.
fn refusal(subnets: &mut Subnets, text: &str) -> Option<(String, u32, u32)> {
    let refusal = subnets.enter(address(text)).err()?;
    Some((refusal.network.to_string(), refusal.limit, refusal.current))
}

fn refused(network: &str, limit: u32) -> Option<(String, u32, u32)> {
    Some((network.to_owned(), limit, limit))
}

fn with_networks(networks: &[(&str, u32)]) -> Subnets {
    let networks = networks.iter().map(|(text, limit)| (network(text), *limit));
    Subnets::new(SubnetLimits {
        networks: networks.collect(),
        ..SubnetLimits::default()
    })
}

// go 123, A150
#[test]
fn the_ninth_connection_of_an_ipv4_address_is_refused_until_one_leaves() {
    let mut subnets = Subnets::new(SubnetLimits::default());
    for _ in 0..8 {
        subnets.enter(address("192.0.2.1")).unwrap();
    }
    let expected = refused("192.0.2.1/32", 8);
    assert_eq!(refusal(&mut subnets, "192.0.2.1"), expected);
    assert_eq!(refusal(&mut subnets, "::ffff:192.0.2.1"), expected);
    assert_eq!(refusal(&mut subnets, "192.0.2.2"), None);
    subnets.leave(address("::ffff:192.0.2.1"));
    assert_eq!(refusal(&mut subnets, "192.0.2.1"), None);
    assert_eq!(refusal(&mut subnets, "192.0.2.1"), expected);
}

// go 123, A151
#[test]
fn an_ipv6_customer_is_refused_at_its_9th_connection_and_a_site_at_its_65th() {
    let mut subnets = Subnets::new(SubnetLimits::default());
    let from = |customer: u16, host: u16| format!("2001:db8:1:{:x}::{host:x}", customer << 8);
    for customer in 0..8 {
        for host in 1..=8 {
            subnets.enter(address(&from(customer, host))).unwrap();
        }
        let subnet = Network::of(address(&from(customer, 9)), 56).to_string();
        let expected = refused(&subnet, 8);
        assert_eq!(refusal(&mut subnets, &from(customer, 9)), expected);
    }
    assert_eq!(
        refusal(&mut subnets, &from(8, 1)),
        refused("2001:db8:1::/48", 64)
    );
    assert_eq!(refusal(&mut subnets, "2001:db8:2::1"), None);
    subnets.leave(address(&from(7, 8)));
    assert_eq!(refusal(&mut subnets, &from(8, 1)), None);
}

#[test]
fn a_refused_connection_counts_in_no_subnet() {
    let mut subnets = Subnets::new(SubnetLimits {
        ipv4: vec![(32, 8), (24, 1)],
        ..SubnetLimits::default()
    });
    subnets.enter(address("192.0.2.1")).unwrap();
    let before = subnets.counts.clone();
    assert_eq!(
        refusal(&mut subnets, "192.0.2.2"),
        refused("192.0.2.0/24", 1)
    );
    assert_eq!(subnets.counts, before);
}

// go 123
#[test]
fn the_most_specific_network_replaces_the_limits_by_prefix() {
    let mut subnets = with_networks(&[
        ("192.0.0.0/16", 2),
        ("192.0.2.0/24", 10),
        ("192.0.2.9", UNLIMITED),
        ("2001:db8::/32", 0),
    ]);
    for host in 0..10 {
        subnets
            .enter(address(&format!("192.0.2.{}", host % 2)))
            .unwrap();
    }
    assert_eq!(
        refusal(&mut subnets, "192.0.2.5"),
        refused("192.0.2.0/24", 10)
    );
    for host in 1..=2 {
        subnets.enter(address(&format!("192.0.1.{host}"))).unwrap();
    }
    assert_eq!(
        refusal(&mut subnets, "192.0.1.3"),
        refused("192.0.0.0/16", 2)
    );
    for _ in 0..100 {
        subnets.enter(address("192.0.2.9")).unwrap();
    }
    assert_eq!(
        refusal(&mut subnets, "2001:db8::1"),
        refused("2001:db8::/32", 0)
    );
    assert_eq!(refusal(&mut subnets, "2001:db9::1"), None);
}

#[test]
fn an_unlimited_subnet_needs_no_memory() {
    let mut subnets = Subnets::new(SubnetLimits {
        ipv4: vec![(32, UNLIMITED)],
        ipv6: Vec::new(),
        networks: vec![(network("198.51.100.0/24"), UNLIMITED)],
    });
    for text in ["192.0.2.1", "2001:db8::1", "198.51.100.1"] {
        subnets.enter(address(text)).unwrap();
    }
    assert_eq!(subnets.counts.len(), 0);
}

#[test]
fn a_prefix_that_occurs_twice_has_its_lowest_limit_and_counts_once() {
    let mut subnets = Subnets::new(SubnetLimits {
        ipv4: vec![(32, 9), (40, 2), (32, 5)],
        ..SubnetLimits::default()
    });
    subnets.enter(address("192.0.2.1")).unwrap();
    subnets.enter(address("192.0.2.1")).unwrap();
    assert_eq!(
        refusal(&mut subnets, "192.0.2.1"),
        refused("192.0.2.1/32", 2)
    );
}

#[test]
fn a_refusal_names_the_subnet_and_both_numbers() {
    let mut subnets = with_networks(&[("192.0.2.0/24", 0)]);
    let refusal = subnets.enter(address("192.0.2.1")).unwrap_err();
    let expected = "192.0.2.0/24 has 0 connections, limit is 0";
    assert_eq!(refusal.to_string(), expected);
}

/// The same rules, over a list of all open connections.
struct Model {
    limits: SubnetLimits,
    open: Vec<IpAddr>,
}

impl Model {
    fn explicit(&self, address: IpAddr) -> Option<(Network, u32)> {
        let networks = self.limits.networks.iter().copied();
        networks
            .filter(|(network, _)| network.contains(address))
            .max_by_key(|(network, _)| network.prefix())
    }

    fn has_room(&self, address: IpAddr) -> bool {
        let explicit = self.explicit(address);
        let open = |network: Network| {
            let same =
                |other: &&IpAddr| network.contains(**other) && self.explicit(**other) == explicit;
            self.open.iter().filter(same).count()
        };
        if let Some((network, limit)) = explicit {
            return limit == UNLIMITED || open(network) < limit as usize;
        }
        let by_prefix = if address.to_canonical().is_ipv4() {
            &self.limits.ipv4
        } else {
            &self.limits.ipv6
        };
        by_prefix
            .iter()
            .all(|&(prefix, limit)| open(Network::of(address, prefix)) < limit as usize)
    }
}

/// Few addresses, so that subnets fill.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let ipv4 = (0..4_u8, 0..4_u8).prop_map(|(net, host)| IpAddr::from([192, 0, net, host]));
    let ipv6 = (0..3_u16, 0..3_u16, 0..3_u16).prop_map(|(site, customer, host)| {
        IpAddr::from([0x2001, 0xdb8, site, customer << 8, 0, 0, 0, host])
    });
    prop_oneof![ipv4, ipv6]
}

proptest! {
    // go 123
    #[test]
    fn prop_agrees_with_a_list_of_open_connections_and_returns_to_zero(
        steps in proptest::collection::vec((any::<bool>(), any_address(), any::<usize>()), 1..200),
    ) {
        let limits = SubnetLimits {
            ipv4: vec![(24, 5), (32, 2)],
            ipv6: vec![(56, 2), (48, 4)],
            networks: vec![
                (network("192.0.1.0/24"), 3),
                (network("192.0.1.1"), 6),
                (network("192.0.3.0/24"), UNLIMITED),
                (network("2001:db8:1::/48"), 7),
                (network("2001:db8:2:100::/56"), 0),
            ],
        };
        let mut subnets = Subnets::new(limits.clone());
        let mut model = Model { limits, open: Vec::new() };
        for (enters, address, at) in steps {
            if enters || model.open.is_empty() {
                let entered = subnets.enter(address);
                prop_assert_eq!(entered.is_ok(), model.has_room(address), "{}", address);
                match entered {
                    Ok(()) => model.open.push(address),
                    Err(refusal) => prop_assert!(refusal.network.contains(address)),
                }
            } else {
                let left = model.open.swap_remove(at % model.open.len());
                subnets.leave(left);
            }
            prop_assert!(subnets.counts.len() <= 2 * model.open.len());
        }
        for address in model.open {
            subnets.leave(address);
        }
        prop_assert!(subnets.counts.is_empty());
    }
}
