//! The cases of the resource manager, and random operations against a model.

mod model;

use super::*;

type Test = Manager<u8, &'static str>;

fn manager(set: impl FnOnce(&mut LimitTable<u8, &'static str>)) -> Test {
    let mut table = LimitTable::unlimited();
    set(&mut table);
    Manager::new(table, false)
}

fn usage(manager: &mut Test, name: &Name<u8, &'static str>) -> Usage {
    let scope = manager.hold(name).expect("a scope with a name");
    let usage = manager.usage(scope).expect("an open scope");
    manager.unhold(scope);
    usage
}

#[track_caller]
fn denied<T: std::fmt::Debug>(
    result: Result<T, Error<u8, &'static str>>,
    scope: &Name<u8, &'static str>,
    resource: Resource,
) -> Denied<u8, &'static str> {
    let Err(Error::Denied(denied)) = result else {
        panic!("expected a refusal, received {result:?}");
    };
    assert_eq!((&denied.scope, denied.resource), (scope, resource));
    denied
}

const IN: Direction = Direction::Inbound;
const OUT: Direction = Direction::Outbound;

/// Opens a connection of a peer.
fn connect(manager: &mut Test, peer: u8) -> ScopeId {
    let connection = manager.open_connection(IN, 1, false).unwrap();
    manager.set_peer(connection, &peer, false).unwrap();
    connection
}

#[test]
fn a_scope_takes_104_bytes() {
    use std::sync::Arc;

    // With names as of a node: a pointer, and a text.
    let bytes = size_of::<super::scope::Scope<Arc<u8>, Arc<str>>>();
    assert!(bytes <= 104, "{bytes}");
}

// go 112, R2
#[test]
fn what_a_scope_has_is_granted_to_the_limit_and_again_after_release() {
    let mut manager = manager(|table| {
        table.system.memory = 100;
        table.system.connections = 2;
    });
    let system = manager.hold(&Name::System).unwrap();
    let reserve =
        |manager: &mut Test, bytes| manager.reserve_memory(system, bytes, Priority::ALWAYS);
    reserve(&mut manager, 60).unwrap();
    let refusal = denied(reserve(&mut manager, 41), &Name::System, Resource::Memory);
    assert_eq!(
        (refusal.limit, refusal.current, refusal.requested),
        (100, 60, 41)
    );
    assert_eq!(manager.usage(system).unwrap().memory, 60);
    reserve(&mut manager, 40).unwrap();
    assert!(manager.release_memory(system, 40).unwrap());
    reserve(&mut manager, 40).unwrap();

    let first = manager.open_connection(IN, 1, false).unwrap();
    manager.open_connection(OUT, 1, false).unwrap();
    denied(
        manager.open_connection(OUT, 1, false),
        &Name::System,
        Resource::Connections,
    );
    manager.done(first);
    manager.open_connection(OUT, 1, false).unwrap();
    assert_eq!(manager.refused(), 2);
}

// go 113
#[test]
fn a_release_of_more_than_is_reserved_releases_that_much() {
    let mut manager = manager(|_| {});
    let one = connect(&mut manager, 1);
    let other = connect(&mut manager, 1);
    manager.reserve_memory(one, 10, Priority::ALWAYS).unwrap();
    manager.reserve_memory(other, 5, Priority::ALWAYS).unwrap();
    assert!(!manager.release_memory(one, 11).unwrap());
    assert_eq!(usage(&mut manager, &Name::System).memory, 5);
    assert_eq!(usage(&mut manager, &Name::Peer(1)).memory, 5);
}

// go 114
#[test]
fn a_span_is_charged_to_its_owner_until_it_is_done() {
    let mut manager = manager(|table| table.connection.memory = 10);
    let connection = connect(&mut manager, 1);
    let span = manager.begin_span(connection).unwrap();
    manager.reserve_memory(span, 8, Priority::ALWAYS).unwrap();
    assert_eq!(manager.usage(connection).unwrap().memory, 8);
    assert_eq!(usage(&mut manager, &Name::Peer(1)).memory, 8);
    let number = connection.index;
    denied(
        manager.reserve_memory(span, 3, Priority::ALWAYS),
        &Name::Connection(number),
        Resource::Memory,
    );
    manager.done(span);
    manager.done(span);
    assert_eq!(manager.usage(connection).unwrap().memory, 0);
    let closed = manager.reserve_memory(span, 1, Priority::ALWAYS);
    assert_eq!(closed, Err(Error::Closed));
    assert_eq!(manager.usage(span), Err(Error::Closed));
}

// go 114, go 115
#[test]
fn nested_spans_close_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let mut manager = manager(|_| {});
        let connection = connect(&mut manager, 1);
        let outer = manager.begin_span(connection).unwrap();
        let inner = manager.begin_span(outer).unwrap();
        let innermost = manager.begin_span(inner).unwrap();
        let scopes = [connection, outer, inner, innermost];
        for scope in scopes {
            manager.reserve_memory(scope, 4, Priority::ALWAYS).unwrap();
        }
        assert_eq!(usage(&mut manager, &Name::System).memory, 16);
        let mut closed = 4;
        for index in order {
            manager.done(scopes[index]);
            closed = closed.min(index);
            // Whatever is within a closed scope is closed with it.
            let left = [0, 4, 8, 12, 16][closed];
            assert_eq!(usage(&mut manager, &Name::System).memory, left, "{order:?}");
            for (index, &scope) in scopes.iter().enumerate() {
                let reserved = manager.reserve_memory(scope, 0, Priority::ALWAYS);
                if index >= closed {
                    assert_eq!(reserved, Err(Error::Closed));
                }
            }
        }
        assert!(usage(&mut manager, &Name::System).is_none());
        assert!(usage(&mut manager, &Name::Peer(1)).is_none());
    }
}

#[test]
fn a_connection_that_ends_before_its_streams_stays_charged_with_theirs_alone() {
    let mut manager = manager(|_| {});
    let connection = connect(&mut manager, 1);
    let stream = manager.open_stream(connection, IN).unwrap();
    manager.reserve_memory(stream, 5, Priority::ALWAYS).unwrap();
    manager.done(connection);
    assert_eq!(manager.usage(connection), Err(Error::Closed));
    let expected = Usage {
        memory: 5,
        ..Usage::stream(IN)
    };
    assert_eq!(usage(&mut manager, &Name::System), expected);
    // Memory of the connection is not reused while the stream refers to it.
    let other = connect(&mut manager, 2);
    manager.set_protocol(stream, &"/p").unwrap();
    manager.done(stream);
    assert_eq!(manager.usage(other).unwrap(), Usage::connection(IN, 1));
    manager.done(other);
    assert!(usage(&mut manager, &Name::System).is_none());
}

// go 116, R12
#[test]
fn a_reservation_is_visible_once_in_every_scope_or_in_none() {
    let mut manager = manager(|table| table.service_default.memory = 10);
    let connection = connect(&mut manager, 1);
    let stream = manager.open_stream(connection, IN).unwrap();
    manager.set_protocol(stream, &"/p").unwrap();
    manager.set_service(stream, &"s").unwrap();
    let names = [
        Name::System,
        Name::Peer(1),
        Name::Protocol("/p"),
        Name::Service("s"),
        Name::ProtocolPeer("/p", 1),
        Name::ServicePeer("s", 1),
    ];
    for (bytes, result) in [(10, true), (1, false)] {
        let reserved = manager.reserve_memory(stream, bytes, Priority::ALWAYS);
        assert_eq!(reserved.is_ok(), result);
        for name in &names {
            assert_eq!(usage(&mut manager, name).memory, 10, "{name:?}");
        }
        assert_eq!(manager.usage(connection).unwrap().memory, 10);
        assert_eq!(manager.usage(stream).unwrap().memory, 10);
    }
    manager.done(stream);
    for name in &names {
        assert_eq!(usage(&mut manager, name).memory, 0, "{name:?}");
        assert_eq!(usage(&mut manager, name).streams_inbound, 0, "{name:?}");
    }
}

// go 117
#[test]
fn a_connection_is_transient_until_its_peer_is_set() {
    let mut manager = manager(|table| {
        table.transient.connections = 1;
        table.peer_default.connections_inbound = 1;
    });
    let first = manager.open_connection(IN, 1, false).unwrap();
    denied(
        manager.open_connection(IN, 1, false),
        &Name::Transient,
        Resource::Connections,
    );
    manager.set_peer(first, &1, false).unwrap();
    let second = manager.open_connection(IN, 1, false).unwrap();
    denied(
        manager.set_peer(second, &1, false),
        &Name::Peer(1),
        Resource::ConnectionsInbound,
    );
    assert_eq!(usage(&mut manager, &Name::Transient).connections_inbound, 1);
    manager.set_peer(second, &2, false).unwrap();
    assert!(usage(&mut manager, &Name::Transient).is_none());
}

// go 118
#[test]
fn peer_protocol_and_service_are_set_once_and_in_order() {
    let mut manager = manager(|_| {});
    let connection = manager.open_connection(IN, 1, false).unwrap();
    let misuse = |result: Result<(), _>| assert!(matches!(result, Err(Error::Misuse(_))));
    misuse(manager.open_stream(connection, IN).map(drop));
    manager.set_peer(connection, &1, false).unwrap();
    misuse(manager.set_peer(connection, &1, false));
    let stream = manager.open_stream(connection, IN).unwrap();
    misuse(manager.set_service(stream, &"s"));
    manager.set_protocol(stream, &"/p").unwrap();
    misuse(manager.set_protocol(stream, &"/q"));
    manager.set_service(stream, &"s").unwrap();
    misuse(manager.set_service(stream, &"s"));
    misuse(manager.set_peer(stream, &1, false));
    misuse(manager.set_protocol(connection, &"/p"));
}

// go 119, R9
#[test]
fn every_scope_of_a_stream_refuses_by_itself() {
    type Set = for<'a> fn(&'a mut LimitTable<u8, &'static str>) -> &'a mut Limit;
    let cases: [(Set, Name<u8, &'static str>); 7] = [
        (|table| &mut table.system, Name::System),
        (|table| &mut table.peer_default, Name::Peer(1)),
        (|table| &mut table.protocol_default, Name::Protocol("/p")),
        (
            |table| &mut table.protocol_peer_default,
            Name::ProtocolPeer("/p", 1),
        ),
        (|table| &mut table.service_default, Name::Service("s")),
        (
            |table| &mut table.service_peer_default,
            Name::ServicePeer("s", 1),
        ),
        (|table| &mut table.transient, Name::Transient),
    ];
    for (limit, name) in cases {
        let mut manager = manager(|table| limit(table).streams_inbound = 1);
        let connection = connect(&mut manager, 1);
        let open = |manager: &mut Test| {
            let stream = manager.open_stream(connection, IN)?;
            if name != Name::Transient {
                let set = manager
                    .set_protocol(stream, &"/p")
                    .and_then(|()| manager.set_service(stream, &"s"));
                if let Err(error) = set {
                    manager.done(stream);
                    return Err(error);
                }
            }
            Ok(stream)
        };
        let first = open(&mut manager).unwrap();
        denied(open(&mut manager), &name, Resource::StreamsInbound);
        assert_eq!(usage(&mut manager, &Name::System).streams_inbound, 1);
        manager.open_stream(connection, OUT).unwrap();
        manager.done(first);
        open(&mut manager).unwrap();
    }
}

#[test]
fn a_limit_of_one_name_replaces_that_of_its_class() {
    let mut manager = manager(|table| {
        table.protocol_default.streams = 1;
        table.protocols.insert("/large", Limit::UNLIMITED);
        table.peer_default.connections = 1;
        table.peers.insert(7, Limit::UNLIMITED);
    });
    connect(&mut manager, 7);
    let connection = connect(&mut manager, 7);
    for _ in 0..3 {
        let stream = manager.open_stream(connection, IN).unwrap();
        manager.set_protocol(stream, &"/large").unwrap();
    }
    let stream = manager.open_stream(connection, IN).unwrap();
    manager.set_protocol(stream, &"/small").unwrap();
    let stream = manager.open_stream(connection, IN).unwrap();
    denied(
        manager.set_protocol(stream, &"/small"),
        &Name::Protocol("/small"),
        Resource::Streams,
    );
}

#[test]
fn a_limit_of_each_connection_or_stream_may_block_them_all() {
    let mut manager = manager(|table| table.stream.streams_outbound = 0);
    let connection = connect(&mut manager, 1);
    manager.open_stream(connection, IN).unwrap();
    denied(
        manager.open_stream(connection, OUT),
        &Name::Stream(0),
        Resource::StreamsOutbound,
    );
    let mut manager = self::manager(|table| table.connection.connections = 0);
    denied(
        manager.open_connection(IN, 1, false),
        &Name::Connection(0),
        Resource::Connections,
    );
}

#[test]
fn a_stream_with_a_protocol_from_the_start_is_never_transient() {
    let mut manager = manager(|table| {
        table.transient.streams = 0;
        table.protocol_peer_default.streams = 1;
    });
    let connection = connect(&mut manager, 1);
    let stream = manager.open_stream_for(connection, OUT, &"/p").unwrap();
    denied(
        manager.open_stream_for(connection, OUT, &"/p"),
        &Name::ProtocolPeer("/p", 1),
        Resource::Streams,
    );
    for name in [Name::System, Name::Peer(1), Name::Protocol("/p")] {
        assert_eq!(usage(&mut manager, &name).streams_outbound, 1, "{name:?}");
    }
    manager.set_service(stream, &"s").unwrap();
    manager.done(stream);
    assert!(usage(&mut manager, &Name::Protocol("/p")).is_none());
    assert!(usage(&mut manager, &Name::Service("s")).is_none());
}

// go 120
#[test]
fn idle_scopes_go_unless_their_limit_was_set_by_hand() {
    let mut manager = manager(|_| {});
    let names = |manager: &Test| {
        let mut names = Vec::new();
        manager.for_each_named(|name, _, _| names.push(name));
        names.len()
    };
    let fixed = names(&manager);
    let pinned = manager.hold(&Name::Peer(1)).unwrap();
    let limit = Limit {
        streams: 3,
        ..Limit::UNLIMITED
    };
    manager.set_limit(pinned, limit).unwrap();
    manager.unhold(pinned);
    for peer in 1..=3 {
        let connection = connect(&mut manager, peer);
        let stream = manager.open_stream(connection, IN).unwrap();
        manager.set_protocol(stream, &"/p").unwrap();
        manager.done(stream);
        manager.done(connection);
    }
    manager.sweep();
    assert_eq!(names(&manager), fixed + 1);
    assert_eq!(manager.limit(pinned).unwrap(), limit);
}

#[test]
fn idle_scopes_are_bounded_without_a_sweep() {
    let mut manager: Manager<u32, u32> = Manager::new(LimitTable::unlimited(), false);
    for number in 0..10_000 {
        let connection = manager.open_connection(IN, 1, false).unwrap();
        manager.set_peer(connection, &number, false).unwrap();
        let stream = manager.open_stream(connection, IN).unwrap();
        manager.set_protocol(stream, &number).unwrap();
        manager.done(stream);
        manager.done(connection);
    }
    let mut count = 0;
    manager.for_each_named(|_, usage, _| {
        assert!(usage.is_none());
        count += 1;
    });
    assert!(count < 1_000, "{count} scopes");
}

#[test]
fn a_limit_set_by_hand_is_that_of_one_scope_alone() {
    let mut manager = manager(|table| {
        table.protocol_peers.insert("/p", Limit::UNLIMITED);
    });
    let blocked = Limit {
        streams: 0,
        ..Limit::UNLIMITED
    };
    let scope = manager.hold(&Name::ProtocolPeer("/p", 1)).unwrap();
    manager.set_limit(scope, blocked).unwrap();
    for (peer, allowed) in [(1, false), (2, true)] {
        let connection = connect(&mut manager, peer);
        let stream = manager.open_stream(connection, IN).unwrap();
        assert_eq!(manager.set_protocol(stream, &"/p").is_ok(), allowed);
    }
}

// go 122
#[test]
fn an_allowlisted_connection_has_scopes_of_its_own_when_the_system_is_full() {
    let mut manager = manager(|table| {
        table.system.connections = 1;
        table.allowlisted_system.connections = 2;
    });
    let normal = manager.open_connection(IN, 1, true).unwrap();
    denied(
        manager.open_connection(IN, 1, false),
        &Name::System,
        Resource::Connections,
    );
    assert_eq!(manager.refused(), 1);
    let allowed = manager.open_connection(IN, 1, true).unwrap();
    assert_eq!(manager.refused(), 1, "it was admitted elsewhere");
    assert_eq!(
        usage(&mut manager, &Name::AllowlistedTransient).connections_inbound,
        1
    );
    manager.set_peer(allowed, &1, true).unwrap();
    assert!(usage(&mut manager, &Name::AllowlistedTransient).is_none());
    let system = usage(&mut manager, &Name::AllowlistedSystem);
    assert_eq!(system.connections_inbound, 1);
    // The peer is not the one that is allowlisted at this address.
    let other = manager.open_connection(IN, 1, true).unwrap();
    denied(
        manager.set_peer(other, &2, false),
        &Name::System,
        Resource::Connections,
    );
    manager.done(normal);
    manager.set_peer(other, &2, false).unwrap();
    let system = usage(&mut manager, &Name::AllowlistedSystem);
    assert_eq!(system.connections_inbound, 1);
}

// go 111
#[test]
fn what_matters_less_is_refused_first() {
    let mut manager = manager(|table| table.stream.memory = 256);
    let connection = connect(&mut manager, 1);
    let stream = manager.open_stream(connection, IN).unwrap();
    let priorities = [
        (Priority::LOW, 102),
        (Priority::MEDIUM, 153),
        (Priority::HIGH, 204),
        (Priority::ALWAYS, 256),
    ];
    for (priority, share) in priorities {
        let used = manager.usage(stream).unwrap().memory;
        let more = share - used;
        assert!(manager.reserve_memory(stream, more + 1, priority).is_err());
        manager.reserve_memory(stream, more, priority).unwrap();
    }
}

// R4
#[test]
fn a_closed_manager_opens_nothing_and_still_accounts_what_is_open() {
    let mut manager = manager(|_| {});
    let connection = connect(&mut manager, 1);
    manager.close();
    manager.close();
    assert_eq!(manager.open_connection(IN, 1, false), Err(Error::Closed));
    assert_eq!(manager.open_stream_of(&1, IN), Err(Error::Closed));
    manager.done(connection);
    assert!(usage(&mut manager, &Name::System).is_none());
}

#[test]
fn a_dry_run_passes_every_limit_and_keeps_the_refusals() {
    let mut table: LimitTable<u8, &str> = LimitTable::unlimited();
    table.peer_default.streams_inbound = 1;
    let mut manager = Manager::new(table, true);
    let connection = connect(&mut manager, 1);
    for _ in 0..3 {
        manager.open_stream(connection, IN).unwrap();
    }
    assert_eq!(manager.refused(), 2);
    let passed: Vec<_> = std::iter::from_fn(|| manager.take_passed()).collect();
    let counts: Vec<_> = passed.iter().map(|denied| denied.current).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(passed[0].scope, Name::Peer(1));
}

#[test]
fn the_holders_of_a_resource_are_the_largest_users_first() {
    let mut manager = manager(|_| {});
    for (peer, streams) in [(1, 2), (2, 5), (3, 1)] {
        let connection = connect(&mut manager, peer);
        for _ in 0..streams {
            let stream = manager.open_stream(connection, IN).unwrap();
            manager.set_protocol(stream, &"/p").unwrap();
        }
    }
    let holders = |name, count| manager.holders(&name, Resource::Streams, count);
    assert_eq!(
        holders(Name::System, 2),
        [(Name::Protocol("/p"), 8), (Name::Peer(2), 5)]
    );
    assert_eq!(
        holders(Name::Protocol("/p"), 9)
            .iter()
            .map(|(_, used)| *used)
            .collect::<Vec<_>>(),
        [5, 2, 1]
    );
    assert_eq!(
        holders(Name::Peer(1), 9),
        [(Name::ProtocolPeer("/p", 1), 2)]
    );
    assert!(holders(Name::Peer(9), 9).is_empty());
}

#[test]
fn any_number_is_a_scope_that_is_closed_at_worst() {
    let mut manager = manager(|_| {});
    let connection = connect(&mut manager, 1);
    assert_eq!(ScopeId::from_bits(connection.to_bits()), connection);
    for bits in [u64::MAX, 1 << 52, u64::from(u32::MAX), 4_711] {
        let scope = ScopeId::from_bits(bits);
        assert_eq!(manager.usage(scope), Err(Error::Closed));
        manager.done(scope);
        manager.unhold(scope);
    }
    manager.done(connection);
    let again = manager.open_connection(IN, 1, false).unwrap();
    assert_eq!(again.index, connection.index, "memory is reused");
    assert_eq!(manager.usage(connection), Err(Error::Closed));
}
