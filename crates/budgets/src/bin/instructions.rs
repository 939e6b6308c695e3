//! The cases whose instructions are counted. `tools/budgets.mjs` runs this under callgrind, which writes
//! a profile whenever [`measured`] is entered, and one of the call when it returns; the order of the
//! names printed here assigns the profiles to cases.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "the names are output for the counting tool"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ferroswarm_proto::framing::{Decoder, Framing, VARINT_BYTES_MAX, decode_varint, encode_varint};
use ferroswarm_proto::multistream::{Dialer, Listener, Mode, ProtocolId, ProtocolTable};
use ferroswarm_proto::muxer::{
    Engine, Event, FRAME_PAYLOAD_MAX, Loan, MemoryBudget, Role, StreamKey, yamux,
};
use ferroswarm_proto::resource::{Direction, Limit, LimitTable, Manager, Priority, ScopeId};
use ferroswarm_proto::stream::{ChunkPool, Pipe};
use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, Opened, PeerId,
    Role as SecureRole, Security,
};

/// Rounds before the count, so that reused buffers have grown.
const WARM_UP: usize = 64;

/// Rounds per count, enough to average out window updates, which are rare among frames.
const ROUNDS: usize = 256;

type Round = Box<dyn FnMut()>;

/// A name, and a function that prepares the round.
type Case = (&'static str, fn() -> Round);

const CASES: &[Case] = &[
    ("varint", varint),
    ("prefix_fixed32", prefix_fixed32),
    ("messages_100_b", messages_100_b),
    ("pipe_64_kib", pipe_64_kib),
    ("yamux_frame_100_b", || yamux_frame(100)),
    ("yamux_frame_1_kib", || yamux_frame(1_024)),
    ("yamux_frame_16_kib", || yamux_frame(FRAME_PAYLOAD_MAX)),
    ("yamux_stream", yamux_stream),
    ("yamux_window_update", yamux_window_update),
    ("yamux_ping", yamux_ping),
    ("multistream", multistream),
    ("scope_memory_of_connection", || {
        scope_memory(Depth::Connection)
    }),
    ("scope_memory_of_protocol", || scope_memory(Depth::Protocol)),
    ("scope_memory_of_service", || scope_memory(Depth::Service)),
    ("scope_stream_of_protocol", || scope_stream(Depth::Protocol)),
    ("scope_stream_of_service", || scope_stream(Depth::Service)),
    ("noise_record_1_kib", || record(Security::Noise, 1_024)),
    ("noise_record_16_kib", || {
        record(Security::Noise, Channel::PLAINTEXT_MAX)
    }),
    ("tls_record_1_kib", || record(Security::Tls, 1_024)),
    ("tls_record_16_kib", || {
        record(Security::Tls, Channel::PLAINTEXT_MAX)
    }),
];

fn main() {
    for (name, prepare) in CASES {
        let mut round = prepare();
        (0..WARM_UP).for_each(|_| round());
        println!("{name} {ROUNDS}");
        measured(&mut *round);
    }
}

/// Matched by name in callgrind's options.
#[inline(never)]
fn measured(round: &mut dyn FnMut()) {
    (0..ROUNDS).for_each(|_| round());
}

/// Encodes and decodes a number of each common length.
fn varint() -> Round {
    Box::new(|| {
        for value in [1, 300, 16_372, 1 << 40] {
            let mut buffer = [0; VARINT_BYTES_MAX];
            let bytes = encode_varint(black_box(value), &mut buffer);
            assert_eq!(
                decode_varint(black_box(bytes)),
                Ok(Some((value, bytes.len())))
            );
        }
    })
}

fn prefix_fixed32() -> Round {
    Box::new(|| {
        let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
        let bytes = Framing::Fixed32
            .encode_prefix(black_box(16_372), &mut buffer)
            .expect("the length fits");
        let prefix = Framing::Fixed32.decode_prefix(black_box(bytes), 1 << 20);
        assert_eq!(prefix.unwrap().unwrap().message_bytes, 16_372);
    })
}

/// Pushes ten messages of 100 bytes into a pipe and reads them one by one.
fn messages_100_b() -> Round {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    let decoder = Decoder::new(Framing::Varint, 1_000);
    let mut wire = Vec::new();
    for _ in 0..10 {
        wire.push(100);
        wire.extend_from_slice(&[7; 100]);
    }
    let mut into = [0; 100];
    Box::new(move || {
        pipe.push(&wire, &mut pool);
        for _ in 0..10 {
            let mut head = [0; Framing::PREFIX_BYTES_MAX];
            let peeked = pipe.peek(&mut head);
            let prefix = decoder.peek(&head[..peeked]).unwrap().unwrap();
            pipe.advance(prefix.prefix_bytes, &mut pool);
            let copied = pipe.copy_to(&mut into[..prefix.message_bytes], &mut pool);
            assert_eq!(copied, 100);
        }
    })
}

fn pipe_64_kib() -> Round {
    let (mut pipe, mut pool) = (Pipe::default(), ChunkPool::default());
    let (from, mut into) = (vec![7; 64 << 10], vec![0; 64 << 10]);
    Box::new(move || {
        pipe.push(&from, &mut pool);
        assert_eq!(pipe.copy_to(&mut into, &mut pool), from.len());
    })
}

/// Keeps windows at their initial size, and so the frequency of credit updates.
struct NoGrowth;

impl MemoryBudget for NoGrowth {
    fn reserve(&mut self, _bytes: u32) -> bool {
        false
    }
}

/// Two engines, the bytes between them, and a pipe on each side of a stream.
struct Pair {
    dialer: Engine,
    listener: Engine,
    wire: Vec<u8>,
    outward: Pipe,
    inward: Pipe,
    pool: ChunkPool,
}

impl Pair {
    fn new() -> Self {
        let engine = |role| Engine::Yamux(yamux::Session::new(role, yamux::Config::default()));
        Self {
            dialer: engine(Role::Dialer),
            listener: engine(Role::Listener),
            wire: Vec::with_capacity(2 * FRAME_PAYLOAD_MAX),
            outward: Pipe::default(),
            inward: Pipe::default(),
            pool: ChunkPool::default(),
        }
    }

    /// Writes the outward pipe's content as one frame.
    fn write(&mut self, key: StreamKey) {
        let (outward, pool) = (&mut self.outward, &mut self.pool);
        let count = outward.len();
        let taken = self.dialer.write(key, count, &mut self.wire, |into| {
            outward.copy_to(into, pool);
        });
        assert_eq!(taken, count);
    }

    fn listener_receives(&mut self) {
        self.dialer.poll_control(&mut self.wire, usize::MAX);
        receive(
            &mut self.listener,
            &mut self.wire,
            &mut self.inward,
            &mut self.pool,
        );
    }

    fn dialer_receives(&mut self) {
        self.listener.poll_control(&mut self.wire, usize::MAX);
        receive(
            &mut self.dialer,
            &mut self.wire,
            &mut self.inward,
            &mut self.pool,
        );
    }
}

const NOW: Duration = Duration::from_secs(1);

fn receive(engine: &mut Engine, wire: &mut Vec<u8>, inward: &mut Pipe, pool: &mut ChunkPool) {
    let mut input = wire.as_slice();
    let mut loan = Loan::default();
    while let Some(event) = engine
        .poll_event(&mut input, NOW, &mut loan)
        .expect("both sides follow the protocol")
    {
        match event {
            Event::Opened { key } => engine.accept(key),
            Event::Data { bytes, .. } => inward.push(bytes, pool),
            Event::Reset { key, .. } => engine.remove(key),
            Event::Finished { .. }
            | Event::Acked { .. }
            | Event::Writable { .. }
            | Event::GoAway { .. }
            | Event::Pong { .. } => {}
        }
    }
    wire.clear();
}

/// Moves a frame from pipe to pipe and reads it; its credit is returned.
fn yamux_frame(length: usize) -> Round {
    let mut pair = Pair::new();
    let key = pair.dialer.open().unwrap();
    let (payload, mut into) = (vec![7; length], vec![0; length]);
    Box::new(move || {
        pair.outward.push(&payload, &mut pair.pool);
        pair.write(key);
        pair.listener_receives();
        assert_eq!(pair.inward.copy_to(&mut into, &mut pair.pool), length);
        pair.listener
            .consumed(key, length as u32, NOW, &mut NoGrowth);
        pair.dialer_receives();
    })
}

/// Opens a stream, sends a byte each way and finishes both sides.
fn yamux_stream() -> Round {
    let mut pair = Pair::new();
    Box::new(move || {
        let key = pair.dialer.open().unwrap();
        pair.outward.push(&[7], &mut pair.pool);
        pair.write(key);
        pair.dialer.finish(key, &mut pair.wire);
        pair.listener_receives();
        let written = pair
            .listener
            .write(key, 1, &mut pair.wire, |into| into.fill(7));
        assert_eq!(written, 1);
        pair.listener.finish(key, &mut pair.wire);
        pair.listener.remove(key);
        pair.dialer_receives();
        pair.dialer.remove(key);
        pair.inward.advance(2, &mut pair.pool);
    })
}

/// Consumes sixteen full frames at once; the credit is returned and received.
fn yamux_window_update() -> Round {
    let mut pair = Pair::new();
    let key = pair.dialer.open().unwrap();
    let payload = [7; FRAME_PAYLOAD_MAX];
    Box::new(move || {
        for _ in 0..16 {
            pair.dialer
                .write(key, payload.len(), &mut pair.wire, |into| {
                    into.copy_from_slice(&payload);
                });
            pair.listener_receives();
            pair.inward.advance(payload.len(), &mut pair.pool);
        }
        let before = pair.dialer.send_credit(key);
        pair.listener
            .consumed(key, 16 * payload.len() as u32, NOW, &mut NoGrowth);
        pair.dialer_receives();
        assert!(pair.dialer.send_credit(key) > before);
    })
}

/// Sends a ping and its answer.
fn yamux_ping() -> Round {
    let mut dialer = yamux::Session::new(Role::Dialer, yamux::Config::default());
    let mut listener = yamux::Session::new(Role::Listener, yamux::Config::default());
    let mut wire = Vec::with_capacity(1_024);
    let mut now = NOW;
    Box::new(move || {
        // Pings beyond the allowed rate are not answered.
        now += Duration::from_secs(10);
        dialer.ping(now);
        dialer.poll_control(&mut wire, usize::MAX);
        let received = listener.poll_event(&mut wire.as_slice(), now);
        assert!(matches!(received, Ok(None)));
        wire.clear();
        listener.poll_control(&mut wire, usize::MAX);
        let answer = dialer.poll_event(&mut wire.as_slice(), now);
        assert!(matches!(answer, Ok(Some(Event::Pong { .. }))));
        wire.clear();
    })
}

/// Negotiates one protocol.
fn multistream() -> Round {
    let name = ProtocolId::new("/ferroswarm/budget/1.0.0").unwrap();
    let mut table = ProtocolTable::default();
    table.insert(name.clone(), 7);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    Box::new(move || {
        let mut dialer = Dialer::new(Box::new([name.clone()]), Mode::Lazy);
        let mut listener = Listener::default();
        dialer.poll_output(&mut there);
        assert_eq!(listener.handle_input(&there, &table), Ok(there.len()));
        listener.poll_output(&mut back);
        assert_eq!(dialer.handle_input(&back), Ok(back.len()));
        assert_eq!((dialer.outcome(), listener.outcome()), (Some(0), Some(7)));
        there.clear();
        back.clear();
    })
}

/// Scopes that an operation concerns, up to these.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Connection,
    Protocol,
    Service,
}

/// A connection's scope, with limits that are never reached.
struct Scopes {
    manager: Manager<Arc<PeerId>, ProtocolId>,
    connection: ScopeId,
    protocol: ProtocolId,
    service: ProtocolId,
}

impl Scopes {
    fn new() -> Self {
        let large = Limit {
            memory: 1 << 40,
            connections: 1 << 20,
            streams: 1 << 20,
            ..Limit::UNLIMITED
        };
        let mut table = LimitTable::unlimited();
        for limit in [
            &mut table.system,
            &mut table.service_default,
            &mut table.protocol_default,
            &mut table.peer_default,
            &mut table.connection,
        ] {
            *limit = large;
        }
        let mut manager = Manager::new(table, false);
        let connection = manager
            .open_connection(Direction::Inbound, 1, false)
            .unwrap();
        let mut multihash = vec![0x12, 32];
        multihash.resize(34, 7);
        let peer = Arc::new(PeerId::from_bytes(&multihash).unwrap());
        manager.set_peer(connection, &peer, false).unwrap();
        Self {
            manager,
            connection,
            protocol: ProtocolId::new("/ferroswarm/budget/1.0.0").unwrap(),
            service: ProtocolId::new("ferroswarm.budget").unwrap(),
        }
    }

    fn open(&mut self, depth: Depth) -> ScopeId {
        let manager = &mut self.manager;
        let stream = manager
            .open_stream(self.connection, Direction::Inbound)
            .unwrap();
        manager.set_protocol(stream, &self.protocol).unwrap();
        if depth == Depth::Service {
            manager.set_service(stream, &self.service).unwrap();
        }
        stream
    }
}

/// Reserves memory and releases it.
fn scope_memory(depth: Depth) -> Round {
    let mut scopes = Scopes::new();
    let scope = match depth {
        Depth::Connection => scopes.connection,
        Depth::Protocol | Depth::Service => scopes.open(depth),
    };
    Box::new(move || {
        let manager = &mut scopes.manager;
        manager
            .reserve_memory(scope, black_box(1 << 16), Priority::WINDOW)
            .unwrap();
        assert_eq!(manager.release_memory(scope, black_box(1 << 16)), Ok(true));
    })
}

/// Opens the scope of a stream, charges it to its protocol, and closes it.
fn scope_stream(depth: Depth) -> Round {
    let mut scopes = Scopes::new();
    Box::new(move || {
        let stream = scopes.open(depth);
        scopes.manager.done(stream);
    })
}

/// Seals and opens a record in place; the cipher's own instructions are not counted.
fn record(security: Security, length: usize) -> Round {
    let (mut sender, mut receiver) = channels(security);
    let mut buffer = Vec::with_capacity(Channel::PLAINTEXT_MAX + sender.overhead());
    Box::new(move || {
        let start = sender.begin(&mut buffer);
        buffer.resize(start + buffer.len() + length, 7);
        sender.seal(&mut buffer, start).unwrap();
        assert!(matches!(
            receiver.open(&mut buffer),
            Ok(Opened::Record { .. })
        ));
        buffer.clear();
    })
}

fn channels(security: Security) -> (Channel, Channel) {
    let config = || HandshakeConfig {
        identity: Arc::new(Identity::new(Keypair::generate(KeyType::Ed25519).unwrap()).unwrap()),
        muxers: Arc::new([]),
        expected_peer: None,
    };
    let mut dialer = Handshake::new(security, SecureRole::Dialer, &config()).unwrap();
    let mut listener = Handshake::new(security, SecureRole::Listener, &config()).unwrap();
    let mut bytes = Vec::new();
    while !(dialer.is_complete() && listener.is_complete()) {
        dialer.poll_output(&mut bytes);
        listener.handle_input(&mut bytes).unwrap();
        bytes.clear();
        listener.poll_output(&mut bytes);
        dialer.handle_input(&mut bytes).unwrap();
        bytes.clear();
    }
    let (dialer, listener) = (dialer.finish().unwrap(), listener.finish().unwrap());
    (dialer.channel, listener.channel)
}
