//! Inbound connections of the application: they count in subnets and rates as native ones do.

use super::*;
use crate::resources::{PeerError, ScopeId};

/// Opens the scope of a connection, at the epoch of the clock; the application closes it.
fn opened(resources: &Resources, from: &str) -> Result<ScopeId, Refusal> {
    resources.open_connection(Direction::Inbound, 0, Some(host(from)), Duration::ZERO)
}

// go 123
#[test]
fn connections_of_the_application_count_in_subnets_until_they_are_done() {
    let resources = resources(|options| {
        options.subnets.ipv4 = vec![(32, 2)];
        options.rates = UNLIMITED_RATE;
    });
    let native = accept(&resources, "198.51.100.1").unwrap();
    let own = opened(&resources, "198.51.100.1").unwrap();
    let refusal = opened(&resources, "198.51.100.1").unwrap_err();
    assert_eq!(refusal.scope(), "subnet:198.51.100.1/32");
    let outbound = Direction::Outbound;
    let endpoint = Some(host("198.51.100.1"));
    let dialled = resources.open_connection(outbound, 0, endpoint, Duration::ZERO);
    resources.done(own);
    resources.done(own);
    let own = opened(&resources, "198.51.100.1").unwrap();
    // Its end is that of the connection from here on.
    let taken = resources.take_over(own, endpoint);
    resources.done(own);
    opened(&resources, "198.51.100.1").unwrap_err();
    drop(taken);
    let last = opened(&resources, "198.51.100.1").unwrap();
    drop(native);
    resources.done(last);
    resources.done(dialled.unwrap());
    expect_nothing(&resources);
}

// go 124
#[test]
fn the_rate_of_connections_applies_to_those_of_the_application() {
    let resources = resources(|options| {
        options.rates.ipv4 = vec![rate(32, 1.0, 2)];
        options.limits.system.connections = 1;
    });
    resources.done(opened(&resources, "198.51.100.1").unwrap());
    let native = accept(&resources, "198.51.100.1").unwrap();
    let refusal = opened(&resources, "198.51.100.1").unwrap_err();
    assert_eq!(refusal.scope(), "rate:198.51.100.1/32");
    // One that a scope refuses is in no subnet.
    let refusal = opened(&resources, "198.51.100.2").unwrap_err();
    assert_eq!(refusal.scope(), "system");
    drop(native);
    expect_nothing(&resources);
}

// go 122, go 123
#[test]
fn other_peers_at_an_allowlisted_address_count_in_its_subnet_for_the_application_too() {
    let resources = resources(|options| {
        allowlist(options);
        options.limits.system.connections = 100;
    });
    let from = "203.0.113.1";
    let set_peer = |scope, number| {
        let set = resources.set_peer(scope, peer(number), Some(host(from)));
        set.map_err(Refusal::from)
    };
    let all: Vec<_> = (0..4).map(|_| opened(&resources, from).unwrap()).collect();
    // One that has its peer already takes no place.
    set_peer(all[3], 1).unwrap();
    set_peer(all[3], 2).unwrap_err();
    set_peer(all[0], 2).unwrap();
    set_peer(all[1], 2).unwrap();
    let refusal = set_peer(all[2], 2).unwrap_err();
    assert_eq!(refusal.scope(), "subnet:203.0.113.1/32");
    set_peer(all[2], 1).unwrap();
    for scope in all {
        resources.done(scope);
    }
    expect_nothing(&resources);
}

// go 122, go 123
#[test]
fn a_peer_that_is_refused_gives_its_place_in_the_subnet_back() {
    let resources = resources(|options| {
        allowlist(options);
        options.limits.system.connections = 100;
        options.limits.peer_default.connections = 1;
    });
    let from = "203.0.113.1";
    let set_peer = |scope, number| {
        let set = resources.set_peer(scope, peer(number), Some(host(from)));
        set.map_err(Refusal::from)
    };
    let all: Vec<_> = (0..3).map(|_| opened(&resources, from).unwrap()).collect();
    set_peer(all[0], 2).unwrap();
    let refusal = set_peer(all[1], 2).unwrap_err();
    assert_eq!(refusal.scope(), format!("peer:{}", peer(2)));
    // The second of two places.
    set_peer(all[1], 3).unwrap();
    // Misuse is none of the subnet's business, full as it is.
    let misuse = resources.set_peer(all[0], peer(3), Some(host(from)));
    assert!(matches!(misuse, Err(PeerError::Scope(_))), "{misuse:?}");
    set_peer(all[2], 1).unwrap();
    let misuse = resources.set_peer(all[2], peer(3), Some(host(from)));
    assert!(matches!(misuse, Err(PeerError::Scope(_))), "{misuse:?}");
    for scope in all {
        resources.done(scope);
    }
    expect_nothing(&resources);
}
