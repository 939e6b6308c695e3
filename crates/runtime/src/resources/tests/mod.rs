//! Order of the checks, refusals that leave nothing behind, and the steps in which memory is charged.

use std::net::IpAddr;
use std::time::Duration;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{
    Exemptions, Limit, Network, Priority, Rate, RateLimits, Resource, SubnetLimits, Usage,
};
use ferroswarm_secure::PeerId;
use proptest::prelude::*;

use crate::connection::Direction;
use crate::resources::{
    Allowed, ConnectionScope, MemoryCharge, Refusal, ResourceOptions, Resources, ScopeName,
};
use crate::sync::Arc;

mod application;
mod figures;

fn resources(set: impl FnOnce(&mut ResourceOptions)) -> Arc<Resources> {
    let mut options = ResourceOptions::default();
    set(&mut options);
    Resources::new(options)
}

fn host(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn network(text: &str) -> Network {
    text.parse().expect("a network")
}

fn peer(number: u8) -> PeerId {
    let mut multihash = vec![0x12, 32];
    multihash.resize(34, number);
    PeerId::from_bytes(&multihash).expect("a multihash")
}

fn protocol(name: &str) -> ProtocolId {
    ProtocolId::new(name).expect("a name")
}

fn rate(prefix: u8, per_second: f64, burst: u32) -> Rate {
    Rate {
        prefix,
        per_second,
        burst,
    }
}

const UNLIMITED_RATE: RateLimits = RateLimits {
    ipv4: Vec::new(),
    ipv6: Vec::new(),
};

/// Accepts at the epoch of the clock.
fn accept(resources: &Arc<Resources>, from: &str) -> Result<ConnectionScope, Refusal> {
    resources.accept(Some(host(from)), 1, Duration::ZERO)
}

/// Returns the scope that refuses, and the resource.
#[track_caller]
fn refused(outcome: Result<ConnectionScope, Refusal>) -> (String, &'static str) {
    let refusal = outcome.err().expect("a refusal");
    (refusal.scope(), refusal.resource())
}

fn usage(resources: &Resources, name: &ScopeName) -> Usage {
    let scope = resources.hold(name).expect("a name");
    let usage = resources.stat(scope).expect("an open scope").0;
    resources.unhold(scope);
    usage
}

/// Asserts that nothing is in use in any scope.
#[track_caller]
fn expect_nothing(resources: &Resources) {
    for (name, usage, _) in resources.report() {
        assert!(usage.is_none(), "{name} still uses {usage:?}");
    }
}

// go 123, A150
#[test]
fn the_ninth_connection_of_an_ipv4_address_is_refused_until_one_ends() {
    let resources = resources(|_| {});
    let mut open: Vec<_> = (0..8)
        .map(|_| accept(&resources, "198.51.100.1").unwrap())
        .collect();
    assert_eq!(
        refused(accept(&resources, "198.51.100.1")),
        ("subnet:198.51.100.1/32".to_owned(), "connections")
    );
    accept(&resources, "::ffff:198.51.100.2").unwrap();
    open.pop();
    accept(&resources, "198.51.100.1").unwrap();
    drop(open);
    expect_nothing(&resources);
}

// go 123, A151
#[test]
fn connections_are_bounded_per_ipv6_56_and_48() {
    let resources = resources(|options| options.rates = UNLIMITED_RATE);
    let address = |subnet: u32, end: u32| format!("2001:db8:7:{:x}::{end:x}", subnet << 8);
    let mut open = Vec::new();
    for subnet in 0..8 {
        for end in 0..8 {
            open.push(accept(&resources, &address(subnet, end)).unwrap());
        }
        let (scope, _) = refused(accept(&resources, &address(subnet, 8)));
        assert!(scope.ends_with("/56"), "{scope}");
    }
    let (scope, _) = refused(accept(&resources, &address(8, 0)));
    assert_eq!(scope, "subnet:2001:db8:7::/48");
    accept(&resources, "2001:db8:8::1").unwrap();
    open.pop();
    accept(&resources, &address(8, 0)).unwrap();
}

/// One connection per address, then one per second of a /24, then one without a peer.
fn one_of_each(options: &mut ResourceOptions) {
    options.subnets.ipv4 = vec![(32, 1)];
    options.rates.ipv4 = vec![rate(24, 1.0, 1)];
    options.limits.transient.connections_inbound = 1;
    options.limits.allowlisted_transient.connections = 1;
    options.allowlist = vec![Allowed {
        network: network("203.0.113.0/24"),
        peer: None,
    }];
}

// go 123, go 124
#[test]
fn the_checks_of_an_inbound_connection_are_made_in_order() {
    let resources = resources(one_of_each);
    // All of the limits are reached for a second connection of this address.
    let first = accept(&resources, "198.51.100.1").unwrap();
    let checks = [
        (
            "198.51.100.1",
            ("subnet:198.51.100.1/32".to_owned(), "connections"),
        ),
        (
            "198.51.100.2",
            ("rate:198.51.100.0/24".to_owned(), "connectionsPerSecond"),
        ),
        ("192.0.2.1", ("transient".to_owned(), "connectionsInbound")),
    ];
    for (from, expected) in &checks {
        assert_eq!(refused(accept(&resources, from)), *expected);
    }
    assert_eq!(resources.refused(), 3);
    // An allowlisted address passes all of them.
    let allowed = accept(&resources, "203.0.113.1").unwrap();
    assert_eq!(resources.refused(), 3);
    assert_eq!(
        refused(accept(&resources, "203.0.113.1")),
        ("allowlistedTransient".to_owned(), "connections")
    );
    drop((first, allowed));
    expect_nothing(&resources);
}

// R12
#[test]
fn a_refused_connection_leaves_no_count_behind() {
    let resources = resources(one_of_each);
    let first = accept(&resources, "198.51.100.1").unwrap();
    for from in ["198.51.100.1", "198.51.100.2", "192.0.2.1"] {
        refused(accept(&resources, from));
    }
    drop(first);
    expect_nothing(&resources);
    // Each address may have one connection, which it had not if its refusal were counted.
    let later = |second, from| resources.accept(Some(host(from)), 1, Duration::from_secs(second));
    drop(later(10, "198.51.100.1").unwrap());
    drop(later(20, "198.51.100.2").unwrap());
    drop(later(30, "192.0.2.1").unwrap());
    resources.close();
    assert_eq!(later(40, "192.0.2.1").err(), Some(Refusal::Closed));
    expect_nothing(&resources);
}

// R12
#[test]
fn a_connection_whose_peer_is_refused_stays_transient_until_it_ends() {
    let resources = resources(|options| options.limits.peer_default.connections = 1);
    let first = accept(&resources, "198.51.100.1").unwrap();
    let second = accept(&resources, "198.51.100.1").unwrap();
    first.set_peer(peer(1)).unwrap();
    let refusal = second.set_peer(peer(1)).unwrap_err();
    assert_eq!(refusal.scope(), format!("peer:{}", peer(1)));
    assert_eq!(usage(&resources, &ScopeName::Transient).fds, 1);
    drop(second);
    assert!(usage(&resources, &ScopeName::Transient).is_none());
    assert_eq!(usage(&resources, &ScopeName::System).fds, 1);
    drop(first);
    expect_nothing(&resources);
}

// go 124
#[test]
fn a_burst_passes_and_refills_by_the_given_clock() {
    let resources = resources(|options| options.rates.ipv4 = vec![rate(32, 2.0, 3)]);
    let at = |ms| resources.accept(Some(host("198.51.100.1")), 1, Duration::from_millis(ms));
    let passes = [(0, true), (0, true), (0, true), (0, false), (499, false)];
    for (ms, passed) in passes {
        assert_eq!(at(ms).is_ok(), passed, "at {ms} ms");
    }
    assert!(at(500).is_ok());
    assert!(at(500).is_err());
    // Full again, and not more than that.
    let passed = (0..10).filter(|_| at(60_000).is_ok()).count();
    assert_eq!(passed, 3);
}

#[test]
fn a_dry_run_refuses_nothing_and_reports_every_refusal() {
    let resources = resources(|options| {
        options.dry_run = true;
        options.subnets.ipv4 = vec![(32, 1)];
        options.rates.ipv4 = vec![rate(32, 1.0, 1)];
        options.limits.transient.connections = 0;
        options.limits.peer_default.streams = 0;
        options.limits.stream.memory = 0;
    });
    let first = accept(&resources, "198.51.100.1").unwrap();
    let second = accept(&resources, "198.51.100.1").unwrap();
    for connection in [&first, &second] {
        connection.set_peer(peer(1)).unwrap();
    }
    let mut stream = resources
        .open_stream(first.id(), Direction::Inbound)
        .unwrap();
    assert!(stream.reserve_window(1));
    let passed: Vec<_> = std::iter::from_fn(|| resources.take_passed())
        .map(|refusal| format!("{} {}", refusal.scope(), refusal.resource()))
        .collect();
    let peer_scope = format!("peer:{} streams", peer(1));
    let stream_scope = format!("stream-{} memory", stream.id().to_bits() as u32);
    let expected = [
        "subnet:198.51.100.1/32 connections",
        "rate:198.51.100.1/32 connectionsPerSecond",
        "transient connections",
        "transient connections",
        &peer_scope,
        &stream_scope,
    ];
    assert_eq!(passed, expected);
    assert_eq!(resources.refused(), 6);
    // In any order: a subnet is left as often as it was entered.
    drop((first, second, stream));
    expect_nothing(&resources);
    accept(&resources, "198.51.100.1").unwrap();
}

#[test]
fn the_refusals_that_a_dry_run_keeps_are_bounded() {
    let resources = resources(|options| {
        options.dry_run = true;
        options.subnets.ipv4 = vec![(32, 0)];
    });
    for _ in 0..1_000 {
        accept(&resources, "198.51.100.1").unwrap();
    }
    let kept = std::iter::from_fn(|| resources.take_passed()).count();
    assert_eq!(kept, 64);
}

// go 123
#[test]
fn trusted_sources_and_loopback_are_exempt_from_subnets_and_rates() {
    let exemptions = |loopback| Exemptions {
        loopback,
        networks: vec![network("198.51.100.0/24")],
    };
    for loopback in [true, false] {
        let resources = resources(|options| {
            options.subnets = SubnetLimits {
                ipv4: vec![(32, 1)],
                ipv6: vec![(56, 1)],
                networks: Vec::new(),
            };
            options.rates.ipv4 = vec![rate(32, 1.0, 1)];
            options.exemptions = exemptions(loopback);
        });
        let passed = |from| {
            let open: Vec<_> = (0..3).map(|_| accept(&resources, from)).collect();
            open.iter().filter(|outcome| outcome.is_ok()).count()
        };
        assert_eq!(passed("198.51.100.1"), 3);
        assert_eq!(passed("192.0.2.1"), 1);
        let at_loopback = if loopback { 3 } else { 1 };
        assert_eq!(passed("127.0.0.1"), at_loopback);
        assert_eq!(passed("::1"), at_loopback);
        expect_nothing(&resources);
    }
}

// go 125
#[test]
fn exempt_and_allowlisted_addresses_need_no_verification() {
    let resources = resources(|options| {
        options.subnets.ipv4 = vec![(32, 0)];
        options.exemptions.networks = vec![network("198.51.100.0/24")];
        options.allowlist = vec![Allowed {
            network: network("203.0.113.0/24"),
            peer: Some(peer(1)),
        }];
    });
    let must_verify = |from| resources.must_verify(host(from), Duration::ZERO);
    assert!(must_verify("192.0.2.1"));
    for from in ["198.51.100.1", "203.0.113.1", "127.0.0.1"] {
        assert!(!must_verify(from), "{from}");
    }
}

#[test]
fn outbound_connections_are_not_those_of_a_subnet() {
    let resources = resources(|options| {
        options.subnets.ipv4 = vec![(32, 1)];
        options.rates.ipv4 = vec![rate(32, 1.0, 1)];
        options.limits.system.connections_outbound = 3;
    });
    let dial = || resources.dial(Some(host("198.51.100.1")), 1);
    let dialled: Vec<_> = (0..3).map(|_| dial().unwrap()).collect();
    assert_eq!(
        refused(dial()),
        ("system".to_owned(), "connectionsOutbound")
    );
    let accepted = accept(&resources, "198.51.100.1").unwrap();
    drop(dialled);
    assert_eq!(
        refused(accept(&resources, "198.51.100.1")).0,
        "subnet:198.51.100.1/32"
    );
    drop(accepted);
    expect_nothing(&resources);
}

/// Allowlists a network, and one peer of another; the normal scopes take a single connection.
fn allowlist(options: &mut ResourceOptions) {
    options.limits.system.connections = 1;
    options.subnets.ipv4 = vec![(32, 2)];
    options.rates = UNLIMITED_RATE;
    let allowed = |text, peer| Allowed {
        network: network(text),
        peer,
    };
    options.allowlist = vec![
        allowed("198.51.100.0/24", None),
        allowed("203.0.113.0/24", Some(peer(1))),
    ];
}

// go 122
#[test]
fn an_allowlisted_address_or_peer_has_scopes_of_its_own() {
    let resources = resources(allowlist);
    let normal = accept(&resources, "192.0.2.1").unwrap();
    normal.set_peer(peer(1)).unwrap();
    let (scope, _) = refused(accept(&resources, "192.0.2.2"));
    assert_eq!(scope, "system");
    let by_network = accept(&resources, "198.51.100.1").unwrap();
    by_network.set_peer(peer(2)).unwrap();
    let by_peer: Vec<_> = (0..4)
        .map(|_| accept(&resources, "203.0.113.1").unwrap())
        .collect();
    for connection in &by_peer {
        connection.set_peer(peer(1)).unwrap();
    }
    let allowlisted = usage(&resources, &ScopeName::AllowlistedSystem);
    assert_eq!(allowlisted.connections_inbound, 5);
    assert!(usage(&resources, &ScopeName::AllowlistedTransient).is_none());
    let dialled = resources.dial(Some(host("203.0.113.1")), 1).unwrap();
    dialled.set_peer(peer(1)).unwrap();
    drop((normal, by_network, by_peer, dialled));
    expect_nothing(&resources);
}

// go 122
#[test]
fn a_peer_that_is_not_the_allowlisted_one_returns_to_the_normal_limits() {
    let resources = resources(allowlist);
    let normal = accept(&resources, "192.0.2.1").unwrap();
    let wrong = accept(&resources, "203.0.113.1").unwrap();
    let allowlisted = || usage(&resources, &ScopeName::AllowlistedTransient);
    assert_eq!(allowlisted().connections_inbound, 1);
    let refusal = wrong.set_peer(peer(2)).unwrap_err();
    assert_eq!(
        (&*refusal.scope(), refusal.resource()),
        ("system", "connections")
    );
    assert_eq!(allowlisted().connections_inbound, 1);
    drop((wrong, normal));
    expect_nothing(&resources);
    let wrong = accept(&resources, "203.0.113.1").unwrap();
    wrong.set_peer(peer(2)).unwrap();
    assert_eq!(usage(&resources, &ScopeName::System).connections_inbound, 1);
    drop(wrong);
    expect_nothing(&resources);
}

// go 122, go 123
#[test]
fn other_peers_at_the_address_of_an_allowlisted_one_count_in_its_subnet() {
    let resources = resources(|options| {
        allowlist(options);
        options.limits.system.connections = 100;
    });
    let open = || accept(&resources, "203.0.113.1").unwrap();
    let two = [open(), open()];
    for connection in &two {
        connection.set_peer(peer(2)).unwrap();
    }
    let third = open();
    let refusal = third.set_peer(peer(2)).unwrap_err();
    assert_eq!(refusal.scope(), "subnet:203.0.113.1/32");
    third.set_peer(peer(1)).unwrap();
    drop(two);
    // Their places, and no others, are free again.
    let two = [open(), open()];
    for connection in &two {
        connection.set_peer(peer(3)).unwrap();
    }
    drop(third);
    open().set_peer(peer(3)).unwrap_err();
    drop(two);
    expect_nothing(&resources);
}

#[test]
fn a_stream_is_charged_to_its_protocol_and_service_at_once() {
    let resources = resources(|_| {});
    let connection = resources.dial(None, 1).unwrap();
    connection.set_peer(peer(1)).unwrap();
    let stream = resources
        .open_stream(connection.id(), Direction::Outbound)
        .unwrap();
    assert_eq!(usage(&resources, &ScopeName::Transient).streams_outbound, 1);
    let (name, service) = (protocol("/a/1"), protocol("a"));
    stream.set_protocol(&name, Some(&service)).unwrap();
    assert!(usage(&resources, &ScopeName::Transient).is_none());
    let of_peer = Arc::new(peer(1));
    let scopes = [
        ScopeName::System,
        ScopeName::Peer(Arc::clone(&of_peer)),
        ScopeName::Protocol(name.clone()),
        ScopeName::ProtocolPeer(name, Arc::clone(&of_peer)),
        ScopeName::Service(service.clone()),
        ScopeName::ServicePeer(service, of_peer),
    ];
    for scope in &scopes {
        assert_eq!(usage(&resources, scope).streams_outbound, 1, "{scope}");
    }
    // What is still open of an ended connection is its streams' alone.
    drop(connection);
    assert_eq!(
        usage(&resources, &scopes[0]),
        Usage::stream(Direction::Outbound.into())
    );
    stream.set_protocol(&protocol("/b/1"), None).unwrap();
    drop(stream);
    expect_nothing(&resources);
}

const KIB: usize = 1 << 10;

/// A connection, and what is charged for it.
struct Charged {
    resources: Arc<Resources>,
    connection: ConnectionScope,
    charge: MemoryCharge,
}

impl Charged {
    fn new(memory: u64) -> Self {
        let resources = resources(|options| {
            options.limits.connection = Limit {
                memory,
                ..Limit::UNLIMITED
            };
        });
        let connection = resources.dial(None, 1).expect("no limit");
        Self {
            resources,
            connection,
            charge: MemoryCharge::default(),
        }
    }

    /// Does what a connection does when it holds `used` bytes.
    fn hold(&self, used: usize) -> Result<(), Refusal> {
        if self.charge.covers(used) && !self.charge.exceeds(used) {
            return Ok(());
        }
        self.charge
            .settle(&self.resources, self.connection.id(), || used)
    }

    fn charged(&self) -> usize {
        let scope = self.connection.id();
        let usage = self.resources.stat(scope).expect("an open scope").0;
        usage.memory as usize
    }
}

#[test]
fn memory_is_charged_in_steps_beyond_a_free_share() {
    let charged = Charged::new(u64::MAX);
    let steps = [
        (1, 0),
        (16 * KIB, 0),
        (16 * KIB + 1, 64 * KIB),
        (64 * KIB, 64 * KIB),
        (64 * KIB + 1, 128 * KIB),
        (600 * KIB, 640 * KIB),
        // Kept, as it may soon hold more.
        (384 * KIB, 640 * KIB),
        (384 * KIB - 1, 384 * KIB),
        (17 * KIB, 64 * KIB),
        (16 * KIB, 0),
        (0, 0),
    ];
    for (used, expected) in steps {
        charged.hold(used).unwrap();
        assert_eq!(charged.charged(), expected, "{used} bytes");
    }
}

#[test]
fn memory_that_is_refused_leaves_the_charge_as_it_was() {
    let charged = Charged::new(128 << 10);
    charged.hold(100 * KIB).unwrap();
    let refusal = charged.hold(129 * KIB).unwrap_err();
    assert_eq!(
        (refusal.resource(), refusal.current(), refusal.requested()),
        ("memory", 128 << 10, 64 << 10)
    );
    assert_eq!(charged.charged(), 128 * KIB);
    charged.hold(128 * KIB).unwrap();
    charged.hold(0).unwrap();
    assert_eq!(charged.charged(), 0);
    expect_memory(&charged.resources, 0);
}

#[test]
fn the_memory_of_a_connection_ends_with_its_scope() {
    let Charged {
        resources,
        connection,
        charge,
    } = Charged::new(u64::MAX);
    charge
        .settle(&resources, connection.id(), || 100 * KIB)
        .unwrap();
    expect_memory(&resources, 128 << 10);
    let scope = connection.id();
    drop(connection);
    expect_memory(&resources, 0);
    // Bytes that come and go later concern nobody.
    charge.settle(&resources, scope, || 300 * KIB).unwrap();
    charge.settle(&resources, scope, || 0).unwrap();
    expect_nothing(&resources);
}

#[track_caller]
fn expect_memory(resources: &Resources, bytes: u64) {
    let system = usage(resources, &ScopeName::System);
    assert_eq!(system.of(Resource::Memory), bytes);
}

proptest! {
    #[test]
    fn the_charge_follows_what_a_connection_holds(
        limit in 0_usize..40, sizes in prop::collection::vec(0_usize..3 << 20, 1..60),
    ) {
        let quantum = 64 * KIB;
        let charged = Charged::new((limit * quantum) as u64);
        let mut expected = 0;
        for used in sizes {
            let needed = if used <= 16 * KIB { 0 } else { used.next_multiple_of(quantum) };
            let is_refused = needed > expected && needed > limit * quantum;
            let is_kept = needed > 0 && needed <= expected && expected <= used + 4 * quantum;
            if !is_refused && !is_kept {
                expected = needed;
            }
            prop_assert_eq!(charged.hold(used).is_err(), is_refused);
            prop_assert_eq!(charged.charged(), expected);
        }
    }
}
