//! Scopes of streams and memory, on live connections.

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{Limit, LimitTable, Usage};
use ferroswarm_secure::PeerId;

use crate::Limits;
use crate::connection::{CloseManner, Direction};
use crate::diagnostics::{Diagnostic, Fact, Level};
use crate::error::{CallError, StreamFault};
use crate::handlers::Handler;
use crate::live::{Live, Side, closed};
use crate::record::Record;
use crate::resources::{Refusal, ResourceOptions, Resources, ScopeName};
use crate::slot::Proposals;
use crate::sync::Arc;
use crate::testing::EndLimits;
use crate::testing::pair::SERVICE;

#[path = "scope_traces.rs"]
mod traces;

type Table = LimitTable<Arc<PeerId>, ProtocolId>;

/// `StreamErrorCode::ResourceLimitExceeded`.
const RESOURCE_LIMIT_EXCEEDED: u32 = 0x1002;

const KIB: usize = 1 << 10;

/// Memory of a connection is charged in steps of this size.
const QUANTUM: u64 = 64 << 10;

const NO_STREAMS: Limit = Limit {
    streams: 0,
    ..Limit::UNLIMITED
};

fn name(text: &str) -> ProtocolId {
    ProtocolId::new(text).expect("a name")
}

fn label(number: u32) -> ProtocolId {
    name(&format!("/label/{number}"))
}

fn usage(side: &Side, scope: &ScopeName) -> Usage {
    let resources = side.connection.resources();
    let held = resources.hold(scope).expect("a name");
    let usage = resources.stat(held).expect("an open scope").0;
    resources.unhold(held);
    usage
}

fn streams(side: &Side, scope: &ScopeName) -> (u32, u32) {
    let usage = usage(side, scope);
    (usage.streams_inbound, usage.streams_outbound)
}

fn peer_of(side: &Side) -> Arc<PeerId> {
    Arc::new(side.connection.facts().remote_peer)
}

fn memory(side: &Side) -> u64 {
    usage(side, &ScopeName::System).memory
}

/// Returns the usage of the connection itself.
fn of_connection(side: &Side) -> Usage {
    let connection = &side.connection;
    let stat = connection.resources().stat(connection.scope());
    stat.expect("an open connection").0
}

/// The scopes of a stream of a protocol, besides its connection.
fn charged(side: &Side, protocol: &ProtocolId) -> [ScopeName; 4] {
    [
        ScopeName::System,
        ScopeName::Peer(peer_of(side)),
        ScopeName::Protocol(protocol.clone()),
        ScopeName::ProtocolPeer(protocol.clone(), peer_of(side)),
    ]
}

// go 127
#[test]
fn an_outbound_stream_is_transient_until_one_of_its_proposals_is_agreed_on() {
    let mut live = Live::new();
    let proposals = Proposals::AnyOf(Box::from([9, 1]));
    live.dialer.open(proposals);
    assert_eq!(streams(&live.dialer, &ScopeName::Transient), (0, 1));
    let scopes = charged(&live.dialer, &label(1));
    let before = scopes.each_ref().map(|scope| streams(&live.dialer, scope));
    assert_eq!(before, [(0, 1), (0, 1), (0, 0), (0, 0)]);
    live.settle();
    assert_eq!(streams(&live.dialer, &ScopeName::Transient), (0, 0));
    for scope in &scopes {
        assert_eq!(streams(&live.dialer, scope), (0, 1), "{scope}");
    }
    let refused = ScopeName::Protocol(label(9));
    assert_eq!(streams(&live.dialer, &refused), (0, 0));
    for scope in &charged(&live.listener, &label(1)) {
        assert_eq!(streams(&live.listener, scope), (1, 0), "{scope}");
    }
}

#[test]
fn a_single_proposal_is_charged_to_its_protocol_at_once() {
    let mut live = Live::new();
    live.dialer.open(Proposals::Lazy(1));
    live.dialer.open(Proposals::AnyOf(Box::from([1])));
    assert_eq!(streams(&live.dialer, &ScopeName::Transient), (0, 0));
    for scope in &charged(&live.dialer, &label(1)) {
        assert_eq!(streams(&live.dialer, scope), (0, 2), "{scope}");
    }
}

// go 127
#[test]
fn an_inbound_stream_is_transient_until_its_protocol_is_known() {
    let mut live = Live::asking(Limits::default());
    live.dialer.open(Proposals::Lazy(9));
    live.settle();
    let reported = live.listener.take_records();
    let [Record::ProtocolQuery { stream, .. }] = reported[..] else {
        panic!("reported {reported:?}");
    };
    assert_eq!(streams(&live.listener, &ScopeName::Transient), (1, 0));
    let answer = Handler {
        protocol: u32::MAX,
        inbound_max: 1,
        service: SERVICE_NUMBER,
    };
    let environment = &mut live.listener.environment;
    environment.answer(stream, Some(answer)).unwrap();
    live.settle();
    assert_eq!(streams(&live.listener, &ScopeName::Transient), (0, 0));
    // Its name is the one that the predicate has accepted.
    for scope in &charged(&live.listener, &label(9)) {
        assert_eq!(streams(&live.listener, scope), (1, 0), "{scope}");
    }
    let service = ScopeName::Service(name(SERVICE.1));
    assert_eq!(streams(&live.listener, &service), (1, 0));
}

/// The number under which every end knows the service: the one after those of the protocols.
const SERVICE_NUMBER: u32 = 12;

// go 119, go 127
#[test]
fn an_inbound_stream_is_charged_to_the_service_of_its_handler() {
    let mut live = Live::new();
    live.stream_of(Proposals::Lazy(SERVICE.0));
    live.stream_of(Proposals::Lazy(1));
    let service = ScopeName::Service(name(SERVICE.1));
    let of_peer = ScopeName::ServicePeer(name(SERVICE.1), peer_of(&live.listener));
    for scope in [&service, &of_peer] {
        assert_eq!(streams(&live.listener, scope), (1, 0), "{scope}");
        assert_eq!(streams(&live.dialer, scope), (0, 0), "{scope}");
    }
}

type Scope = fn(&Side) -> ScopeName;
type Block = fn(&mut Table);

/// Scopes of a stream of the protocol with a service, each with the limit that blocks it alone.
/// None of a connection, which is known by number.
const SCOPES: [(Block, Option<Scope>); 9] = [
    (|table| table.connection = NO_STREAMS, None),
    (
        |table| table.peer_default = NO_STREAMS,
        Some(|side| ScopeName::Peer(peer_of(side))),
    ),
    (
        |table| table.transient = NO_STREAMS,
        Some(|_| ScopeName::Transient),
    ),
    (
        |table| table.system = NO_STREAMS,
        Some(|_| ScopeName::System),
    ),
    (
        |table| table.protocol_default = NO_STREAMS,
        Some(|_| ScopeName::Protocol(label(SERVICE.0))),
    ),
    (
        |table| table.protocol_peer_default = NO_STREAMS,
        Some(|side| ScopeName::ProtocolPeer(label(SERVICE.0), peer_of(side))),
    ),
    (
        |table| table.protocols.extend([(label(SERVICE.0), NO_STREAMS)]),
        Some(|_| ScopeName::Protocol(label(SERVICE.0))),
    ),
    (
        |table| table.service_default = NO_STREAMS,
        Some(|_| ScopeName::Service(name(SERVICE.1))),
    ),
    (
        |table| table.service_peer_default = NO_STREAMS,
        Some(|side| ScopeName::ServicePeer(name(SERVICE.1), peer_of(side))),
    ),
];

/// Takes the refusal that is reported for a stream.
#[track_caller]
fn refusal_of(side: &Side) -> Refusal {
    match side.connection.hub.take_diagnostic() {
        Some(Diagnostic {
            fact: Fact::StreamRefused(refusal),
            ..
        }) => refusal,
        other => panic!("reported {other:?}"),
    }
}

/// Asserts that a side has its connection and no stream in any scope.
#[track_caller]
fn expect_no_streams(side: &Side) {
    for (scope, usage, _) in side.connection.resources().report() {
        let streams = usage.streams_inbound + usage.streams_outbound;
        assert_eq!((streams, usage.memory), (0, 0), "{scope}");
    }
}

// go 119, go 127, R12
#[test]
fn every_scope_of_an_inbound_stream_refuses_it_with_a_reset_and_a_fact() {
    for (block, scope) in SCOPES {
        let mut live = Live::with(EndLimits::default(), EndLimits::of_scopes(block));
        live.listener.connection.hub.listen_to(Level::Warn as u32);
        let dialed = live.dialer.open(Proposals::Lazy(SERVICE.0));
        live.settle();
        let reported = live.dialer.take_records();
        let [Record::StreamReset { stream, report }, ..] = reported[..] else {
            panic!("reported {reported:?}");
        };
        assert_eq!((stream, report.remote), (dialed, true));
        assert_eq!(report.code, live.dialer.heard(RESOURCE_LIMIT_EXCEEDED));
        let refusal = refusal_of(&live.listener);
        let connection = format!(
            "connection-{}",
            live.listener.connection.scope().to_bits() as u32
        );
        let expected = scope.map_or(connection, |scope| scope(&live.listener).to_string());
        assert_eq!((refusal.scope(), refusal.resource()), (expected, "streams"));
        assert_eq!(refusal.current(), 0);
        // Its application has never heard of it.
        let opened = |record: &Record| matches!(record, Record::StreamOpened { .. });
        assert!(!live.listener.take_records().iter().any(opened));
        for side in [&live.dialer, &live.listener] {
            assert_eq!(side.connection.stream_count(), 0);
            expect_no_streams(side);
        }
    }
}

// go 127, R12
#[test]
fn every_scope_of_an_outbound_stream_refuses_it_before_anything_is_sent() {
    // An outbound stream has no service.
    for (block, scope) in &SCOPES[..7] {
        let mut live = Live::with(EndLimits::of_scopes(block), EndLimits::default());
        let dialer = &mut live.dialer;
        let is_transient = scope.is_some_and(|scope| scope(dialer) == ScopeName::Transient);
        // Only a stream with a choice of protocols is transient.
        let proposals = if is_transient {
            Proposals::AnyOf(Box::from([SERVICE.0, 1]))
        } else {
            Proposals::Lazy(SERVICE.0)
        };
        let opened = dialer.environment.open(dialer.handle, proposals);
        assert_eq!(opened, Err(CallError::StreamLimit));
        let refusal = dialer.connection.hub.take_refusal().expect("a refusal");
        assert!(dialer.connection.hub.take_refusal().is_none());
        let connection = format!("connection-{}", dialer.connection.scope().to_bits() as u32);
        let expected = scope.map_or(connection, |scope| scope(dialer).to_string());
        assert_eq!(refusal.scope(), expected);
        live.settle();
        assert_eq!(live.listener.take_records(), []);
        assert_eq!(live.dialer.connection.stream_count(), 0);
        expect_no_streams(&live.dialer);
    }
}

#[test]
fn a_stream_whose_agreed_protocol_is_full_fails_and_leaves_nothing() {
    let full = |table: &mut Table| table.protocols.extend([(label(1), NO_STREAMS)]);
    let mut live = Live::with(EndLimits::of_scopes(full), EndLimits::default());
    let proposals = |protocols: [u32; 2]| Proposals::AnyOf(Box::from(protocols));
    let dialed = live.dialer.open(proposals([1, 2]));
    live.settle();
    let reported = live.dialer.take_records();
    let [
        Record::StreamReset { stream, report },
        Record::StreamClosed { .. },
    ] = reported[..]
    else {
        panic!("reported {reported:?}");
    };
    assert_eq!(
        (stream, report.fault, report.code),
        (
            dialed,
            Some(StreamFault::ResourceLimit),
            RESOURCE_LIMIT_EXCEEDED
        )
    );
    assert!(live.dialer.connection.hub.take_refusal().is_none());
    for side in [&live.dialer, &live.listener] {
        expect_no_streams(side);
    }
    // Agreement on the other is charged to it.
    live.listener.take_records();
    live.stream_of(proposals([2, 1]));
    let other = ScopeName::Protocol(label(2));
    assert_eq!(streams(&live.dialer, &other), (0, 1));
}

#[test]
fn an_outbound_stream_counts_until_it_has_ended_and_an_inbound_one_until_it_has_left_the_wire() {
    let mut live = Live::new();
    let (_, accepted) = live.stream();
    let both = |live: &Live| {
        let count = |side| streams(side, &ScopeName::System);
        (count(&live.dialer), count(&live.listener))
    };
    assert_eq!(both(&live), ((0, 1), (1, 0)));
    live.listener.reset(accepted, 0);
    assert_eq!(both(&live), ((0, 1), (1, 0)), "not sent yet");
    live.settle();
    assert_eq!(both(&live), ((0, 0), (0, 0)));
    live.listener.take_records();
    let (dialed, _) = live.stream();
    live.dialer.reset(dialed, 0);
    assert_eq!(both(&live), ((0, 0), (1, 0)), "ended, and not sent yet");
    live.settle();
    assert_eq!(both(&live), ((0, 0), (0, 0)));
}

#[test]
fn a_stream_that_is_closed_but_not_by_its_remote_counts_at_the_side_that_did_not_open_it() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.listener
        .change(accepted, |slot| Ok(slot.close()))
        .unwrap();
    live.settle();
    live.listener.take_records();
    assert_eq!(
        live.listener.connection.stream_count(),
        0,
        "it has ended here"
    );
    assert_eq!(streams(&live.listener, &ScopeName::System), (1, 0));
    live.dialer.change(dialed, |slot| Ok(slot.close())).unwrap();
    live.settle();
    for side in [&live.dialer, &live.listener] {
        expect_no_streams(side);
    }
}

#[test]
fn unread_and_unsealed_bytes_are_charged_to_their_connection() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    live.dialer.write(dialed, &[7; 200 * KIB]);
    assert_eq!(of_connection(&live.dialer).memory, 4 * QUANTUM);
    assert_eq!(memory(&live.dialer), 4 * QUANTUM);
    live.settle();
    assert_eq!(memory(&live.dialer), 0);
    let held = live.listener.connection.held() as u64;
    assert_eq!(
        of_connection(&live.listener).memory,
        held.next_multiple_of(QUANTUM)
    );
    let peer = ScopeName::Peer(peer_of(&live.listener));
    assert_eq!(usage(&live.listener, &peer).memory, memory(&live.listener));
    // It is the connection's, not the stream's.
    let stream = live.listener.environment.scope_of(accepted).unwrap();
    let resources = live.listener.connection.resources();
    assert_eq!(resources.stat(stream).unwrap().0.memory, 0);
    live.listener.read(accepted).1.unwrap();
    assert_eq!(memory(&live.listener), 0);
}

// A103
#[test]
fn a_window_grows_within_half_of_the_memory_of_its_stream() {
    let limits = EndLimits::of_scopes(|table| table.stream.memory = 2 << 20);
    let mut live = Live::with(EndLimits::default(), limits);
    let (dialed, accepted) = live.stream();
    for _ in 0..64 {
        live.dialer.write(dialed, &[7; 256 * KIB]);
        live.settle();
        live.listener.read(accepted).1.unwrap();
    }
    let stream = live.listener.environment.scope_of(accepted).unwrap();
    let usage = live.listener.connection.resources().stat(stream).unwrap().0;
    // From 256 KiB to 1 MiB; the next doubling would exceed half.
    assert_eq!(usage.memory, 768 << 10);
    let protocol = ScopeName::Protocol(label(1));
    assert_eq!(self::usage(&live.listener, &protocol).memory, 768 << 10);
    live.dialer.reset(dialed, 0);
    live.settle();
    assert_eq!(memory(&live.listener), 0);
}

// A171
#[test]
fn a_peer_that_exhausts_its_memory_takes_none_of_another_peers() {
    let mut options = ResourceOptions::default();
    options.limits.peer_default.memory = 640 << 10;
    let node = Resources::new(options);
    let mut greedy = Live::with(EndLimits::default(), EndLimits::of_node(&node));
    let mut modest = Live::with(EndLimits::third(), EndLimits::of_node(&node));
    let (small, small_there) = modest.stream();
    modest.dialer.write(small, &[1; 200 * KIB]);
    modest.settle();
    let mut reset = 0;
    for _ in 0..10 {
        let (large, _) = greedy.stream();
        greedy.dialer.write(large, &[2; 200 * KIB]);
        greedy.settle();
        let reported = greedy.listener.take_records();
        let resets = reported.iter().filter(|record| match record {
            Record::StreamReset { report, .. } => report.code == RESOURCE_LIMIT_EXCEEDED,
            _ => false,
        });
        reset += resets.count();
        let peer = ScopeName::Peer(peer_of(&greedy.listener));
        assert!(usage(&greedy.listener, &peer).memory <= 640 << 10);
    }
    // Two streams fit, each in chunks of 256 KiB.
    assert!(reset >= 8, "{reset} were reset");
    assert_eq!(modest.listener.take_records(), []);
    modest.dialer.write(small, &[1; 20 * KIB]);
    modest.settle();
    assert_eq!(modest.listener.read(small_there).0.len(), 220 * KIB);
    for live in [&mut greedy, &mut modest] {
        close(live);
    }
    for (scope, usage, _) in node.report() {
        assert!(usage.is_none(), "{scope} still uses {usage:?}");
    }
}

/// Closes the connection at its dialer.
fn close(live: &mut Live) {
    let handle = live.dialer.handle;
    let environment = &mut live.dialer.environment;
    environment
        .close_connection(handle, 0, CloseManner::AtOnce)
        .unwrap();
    live.settle();
}

#[test]
fn a_writer_beyond_the_memory_has_its_share_and_continues_when_there_is_memory_again() {
    let limits = EndLimits::of_scopes(|table| table.connection.memory = 128 << 10);
    let mut live = Live::with(limits, EndLimits::default());
    let ((first, first_there), (second, second_there)) = (live.stream(), live.stream());
    // Accepted as a whole, as there was memory before it.
    assert_eq!(live.dialer.write(first, &[1; 200 * KIB]), 200 * KIB);
    assert_eq!(live.dialer.write(second, &[2; 100 * KIB]), 16 * KIB);
    assert_eq!(live.dialer.write(second, &[2; 100 * KIB]), 0);
    assert!(memory(&live.dialer) <= 2 * QUANTUM);
    live.settle();
    let reported = live.dialer.take_records();
    assert!(
        matches!(reported[..], [Record::StreamWritable { stream, .. }] if stream == second),
        "{reported:?}"
    );
    assert_eq!(live.dialer.write(second, &[2; 100 * KIB]), 100 * KIB);
    live.settle();
    assert_eq!(live.listener.read(first_there).0.len(), 200 * KIB);
    assert_eq!(live.listener.read(second_there).0.len(), 116 * KIB);
    assert_eq!(memory(&live.dialer), 0);
}

// R13
#[test]
fn a_connection_is_counted_once_and_its_end_leaves_nothing() {
    let mut live = Live::new();
    let (dialed, _) = live.stream();
    live.dialer.write(dialed, &[7; 100 * KIB]);
    live.settle();
    for (side, expected) in [
        (&live.dialer, Direction::Outbound),
        (&live.listener, Direction::Inbound),
    ] {
        let system = usage(side, &ScopeName::System);
        let counts = Usage {
            memory: 0,
            streams_inbound: 0,
            streams_outbound: 0,
            ..system
        };
        assert_eq!(counts, Usage::connection(expected.into(), 1));
    }
    close(&mut live);
    for side in [&live.dialer, &live.listener] {
        for (scope, usage, _) in side.connection.resources().report() {
            assert!(usage.is_none(), "{scope} still uses {usage:?}");
        }
    }
    let dialer = &mut live.dialer;
    let late = dialer.connection.open(Proposals::Lazy(1));
    assert_eq!(late.err(), Some(CallError::ConnectionClosed));
    assert!(dialer.connection.hub.take_refusal().is_none());
    assert_ne!(dialer.take_records(), closed(dialed));
}
