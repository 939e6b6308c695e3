//! The cost of an operation, by depth of the graph and with contention.

use std::fmt::Write;
use std::time::Instant;

use crate::connection::Direction;
use crate::resources::{ConnectionScope, StreamScope};

use super::*;

/// Rounds of each operation, where they are timed.
const ROUNDS: u32 = 20_000;

/// Repetitions, the fastest of which counts: others share the processor.
const REPETITIONS: u32 = 50;

/// Sets a limit that is never reached for every resource of every scope.
fn large(options: &mut ResourceOptions) {
    let large = Limit {
        memory: 1 << 50,
        connections_inbound: 1 << 30,
        connections_outbound: 1 << 30,
        connections: 1 << 30,
        streams_inbound: 1 << 30,
        streams_outbound: 1 << 30,
        streams: 1 << 30,
        fds: 1 << 30,
    };
    let limits = &mut options.limits;
    for limit in [
        &mut limits.system,
        &mut limits.transient,
        &mut limits.service_default,
        &mut limits.service_peer_default,
        &mut limits.protocol_default,
        &mut limits.protocol_peer_default,
        &mut limits.peer_default,
        &mut limits.connection,
        &mut limits.stream,
    ] {
        *limit = large;
    }
}

/// What a thread works with: a connection, and streams that are charged to ever more scopes.
struct Scopes {
    connection: ConnectionScope,
    of_protocol: StreamScope,
    of_service: StreamScope,
}

impl Scopes {
    fn new(resources: &Arc<Resources>, number: u8) -> Self {
        let connection = resources.dial(None, 1).expect("no limit");
        connection.set_peer(peer(number)).expect("no limit");
        let stream = |service: Option<&ProtocolId>| {
            let stream = resources
                .open_stream(connection.id(), Direction::Outbound)
                .expect("no limit");
            stream
                .set_protocol(&protocol("/a/1"), service)
                .expect("no limit");
            stream
        };
        Self {
            of_protocol: stream(None),
            of_service: stream(Some(&protocol("a"))),
            connection,
        }
    }
}

type Round = fn(&Arc<Resources>, &Scopes, &ProtocolId);

fn reserve(resources: &Resources, scope: crate::ScopeId) {
    let reserved = resources.reserve_memory(scope, 1, Priority::WINDOW);
    reserved.expect("no limit");
    assert_eq!(resources.release_memory(scope, 1), Ok(true));
}

const OPERATIONS: [(&str, Round); 5] = [
    ("reserve and release: connection", |resources, scopes, _| {
        reserve(resources, scopes.connection.id());
    }),
    ("stream with a protocol", |resources, scopes, _| {
        reserve(resources, scopes.of_protocol.id());
    }),
    ("with a service", |resources, scopes, _| {
        reserve(resources, scopes.of_service.id());
    }),
    ("open, protocol, done", |resources, scopes, name| {
        let stream = resources.open_stream(scopes.connection.id(), Direction::Inbound);
        let stream = stream.expect("no limit");
        stream.set_protocol(name, None).expect("no limit");
    }),
    (
        "open, protocol, service, done",
        |resources, scopes, name| {
            let stream = resources.open_stream(scopes.connection.id(), Direction::Inbound);
            let stream = stream.expect("no limit");
            stream.set_protocol(name, Some(name)).expect("no limit");
        },
    ),
];

/// Returns the nanoseconds per round of each thread.
fn time(threads: u8, rounds: u32, round: Round) -> f64 {
    let resources = resources(large);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..threads {
            let resources = &resources;
            scope.spawn(move || {
                let scopes = Scopes::new(resources, number);
                let name = protocol("/a/1");
                (0..rounds).for_each(|_| round(resources, &scopes, &name));
            });
        }
    });
    let elapsed = started.elapsed();
    expect_nothing(&resources);
    elapsed.as_nanos() as f64 / f64::from(rounds)
}

/// Printed with `RESOURCE_FIGURES=1 cargo test --release -p ferroswarm-runtime --lib figures`.
#[test]
fn threads_that_contend_lose_no_release() {
    let prints = std::env::var_os("RESOURCE_FIGURES").is_some();
    let (rounds, repetitions) = if prints {
        (ROUNDS, REPETITIONS)
    } else {
        (1_000, 1)
    };
    let fastest = |threads, round| {
        let times = (0..repetitions).map(|_| time(threads, rounds, round));
        times.fold(f64::INFINITY, f64::min)
    };
    let mut figures = String::from("nanoseconds, one thread and two:\n");
    for (name, round) in OPERATIONS {
        let (alone, contended) = (fastest(1, round), fastest(2, round));
        writeln!(figures, "{name}: {alone:.0}, {contended:.0}").expect("text");
    }
    assert!(!prints, "{figures}");
}
