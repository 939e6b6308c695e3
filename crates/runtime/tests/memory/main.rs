//! Memory cost of idle streams and connections: two nodes over sockets.

#[path = "../../../proto/tests/counting/mod.rs"]
mod counting;

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use ferroswarm_runtime::{
    DialRequest, DnsOptions, Doorbell, Environment, HANDLE_PENDING, Handler, Hub, Identity,
    KeyType, Keypair, Limits, Multiaddr, Muxer, Node, NodeOptions, Outcome, PlannedAttempt,
    Proposals, ProtocolId, ProtocolTable, QuicConfig, Record, ResourceOptions, Role, Security,
    StreamSlot, WebSocketOptions,
};

use counting::counts;

const STREAMS: usize = 10_000;

/// Maximum cost of an idle stream at both ends together, in bytes of the allocator.
const IDLE_STREAM_BYTES_MAX: usize = 2_600;

/// The same for a stream that has carried a message and is idle.
const USED_STREAM_BYTES_MAX: usize = IDLE_STREAM_BYTES_MAX + 800;

const CONNECTIONS: usize = 500;

/// The same for an idle connection: the keys of its ciphers, some 1.2 KiB per end, are not the
/// allocator's.
const IDLE_CONNECTION_BYTES_MAX: usize = 7_000;

/// The same for one that has had a stream, as identified connections have.
const USED_CONNECTION_BYTES_MAX: usize = IDLE_CONNECTION_BYTES_MAX + 2_000;

/// The counts are process-wide: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const MESSAGE: [u8; 100] = [7; 100];

const HANG: Duration = Duration::from_secs(120);

/// A doorbell for both environments, which one thread waits for.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

struct Ringer(Arc<Bell>);

impl Doorbell for Ringer {
    fn ring(&self) {
        *self.0.rung.lock().unwrap() = true;
        self.0.changed.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap();
        let (mut rung, timeout) = self
            .changed
            .wait_timeout_while(rung, HANG, |rung| !*rung)
            .unwrap();
        assert!(!timeout.timed_out(), "nothing happens any more");
        *rung = false;
    }
}

/// A node and its environment.
struct Side {
    environment: Environment,
    node: Node,
    /// The latest one.
    connection: u32,
    connections: Vec<u32>,
    completed: Vec<u32>,
    /// Streams that the other side opened.
    inbound: Vec<u32>,
    /// Streams that were opened here and are not negotiated yet.
    negotiating: HashSet<u32>,
    readable: usize,
    closed: usize,
}

impl Side {
    fn new(bell: &Arc<Bell>) -> Self {
        let hub = Hub::new(Box::new(Ringer(Arc::clone(bell))));
        let name = ProtocolId::new("/idle").unwrap();
        let protocol = hub.names().intern(name.clone()).unwrap();
        let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
        let many = u32::try_from(2 * STREAMS).unwrap();
        let mut resources = ResourceOptions::default();
        resources.limits.connection.streams_inbound = many;
        resources.limits.connection.streams_outbound = many;
        let options = NodeOptions {
            identity: Arc::new(Identity::new(keypair).unwrap()),
            securities: vec![Security::Noise],
            muxer: Muxer::Yamux,
            psk: None,
            io_threads: Some(1),
            limits: Limits {
                accept_backlog: many,
                ..Limits::default()
            },
            resources,
            gate: Arc::default(),
            dns: DnsOptions::default(),
            quic: QuicConfig::default(),
            web_socket: WebSocketOptions::default(),
        };
        let node = Node::start(1, Arc::clone(&hub), options).unwrap();
        let mut table = ProtocolTable::default();
        table.insert(
            name,
            Handler {
                protocol,
                inbound_max: many,
                service: 0,
            },
        );
        node.handlers().set(table);
        Self {
            environment: Environment::new(hub),
            node,
            connection: 0,
            connections: Vec::new(),
            completed: Vec::new(),
            inbound: Vec::new(),
            negotiating: HashSet::new(),
            readable: 0,
            closed: 0,
        }
    }

    fn drain(&mut self) {
        loop {
            let mut records = Vec::new();
            self.environment.drain(1_000, |record| records.push(record));
            let is_last = records.is_empty();
            for record in records {
                self.take(record);
            }
            if is_last {
                return;
            }
        }
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Completion { request, .. } => self.completed.push(request),
            Record::ConnectionOpened { connection, .. } => {
                self.connection = connection;
                self.connections.push(connection);
            }
            Record::StreamOpened { stream, .. } => self.inbound.push(stream),
            Record::StreamNegotiated { stream, fault, .. } => {
                assert_eq!(fault, None);
                self.negotiating.remove(&stream);
            }
            Record::StreamReadable { bytes, .. } => {
                assert_eq!(bytes as usize, MESSAGE.len());
                self.readable += 1;
            }
            Record::StreamClosed { .. } => self.closed += 1,
            other => panic!("unexpected record: {other:?}"),
        }
    }

    /// Reads all available bytes of one message.
    fn read(&mut self, stream: u32) -> usize {
        self.environment.read(stream, &mut [0; 1_000]).unwrap()
    }

    fn close(&mut self, stream: u32) {
        let change = |slot: &Arc<_>| Ok(StreamSlot::close(slot));
        self.environment.change(stream, change).unwrap();
        self.environment.flush();
    }
}

/// Two nodes with a connection between them.
struct Pair {
    bell: Arc<Bell>,
    /// Address of the listener.
    address: Multiaddr,
    dialer: Side,
    listener: Side,
}

impl Pair {
    fn new() -> Self {
        let bell = Arc::new(Bell::default());
        let (dialer, listener) = (Side::new(&bell), Side::new(&bell));
        let mut pair = Self {
            bell,
            address: Multiaddr::empty(),
            dialer,
            listener,
        };
        pair.listener
            .node
            .listen(1, "/ip4/127.0.0.1/tcp/0".parse().unwrap());
        pair.until(|pair| pair.listener.completed == [1]);
        let listening = pair.listener.environment.take_outcome(1).unwrap();
        let Outcome::Listening { addresses, .. } = listening else {
            panic!("no listener");
        };
        pair.address = addresses[0].clone();
        pair.connect();
        pair
    }

    /// Opens one more connection.
    fn connect(&mut self) {
        let count = self.listener.connections.len() + 1;
        let request = u32::try_from(count).unwrap();
        self.dialer.node.dial(
            request,
            DialRequest {
                plan: vec![PlannedAttempt {
                    peer: None,
                    host: None,
                    address: self.address.clone(),
                    delay: Duration::ZERO,
                    timeout: HANG,
                    hold: Duration::ZERO,
                }],
                identity: None,
                securities: None,
                parallel: 1,
                role: Role::Dialer,
            },
        );
        self.until(|pair| {
            pair.dialer.completed.contains(&request) && pair.listener.connections.len() == count
        });
    }

    /// Opens a stream on the dialer's connection `index`, sends a message each way and closes it.
    fn pass_stream(&mut self, index: usize) {
        self.dialer.connection = self.dialer.connections[index];
        self.listener.inbound.clear();
        let dialed = self.open(1)[0];
        self.use_all(&[dialed]);
        let closed = self.dialer.closed + 1;
        self.dialer.close(dialed);
        self.listener.close(self.listener.inbound[0]);
        self.until(|pair| pair.dialer.closed == closed && pair.listener.closed == closed);
    }

    /// Drains both sides until `done`.
    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        loop {
            self.dialer.drain();
            self.listener.drain();
            if done(self) {
                return;
            }
            self.bell.wait();
        }
    }

    /// Opens streams until the listener has `count` of them; returns the new ones.
    fn open(&mut self, count: usize) -> Vec<u32> {
        let before = self.listener.inbound.len();
        let mut opened = Vec::new();
        for _ in before..count {
            let (connection, side) = (self.dialer.connection, &mut self.dialer);
            let answer = side
                .environment
                .open(connection, Proposals::Lazy(1))
                .unwrap();
            let stream = answer & !HANDLE_PENDING;
            if answer != stream {
                side.negotiating.insert(stream);
            }
            opened.push(stream);
        }
        self.dialer.environment.flush();
        self.until(|pair| {
            pair.listener.inbound.len() == count && pair.dialer.negotiating.is_empty()
        });
        opened
    }

    /// Sends a message each way on every stream and reads it.
    fn use_all(&mut self, dialed: &[u32]) {
        let accepted = self.listener.inbound.clone();
        let ways = [(dialed, &accepted[..]), (&accepted[..], dialed)];
        for (turn, (from, to)) in ways.into_iter().enumerate() {
            let (sender, receiver) = if turn == 0 {
                (&mut self.dialer, &mut self.listener)
            } else {
                (&mut self.listener, &mut self.dialer)
            };
            for stream in to {
                assert_eq!(receiver.read(*stream), 0);
            }
            receiver.readable = 0;
            for stream in from {
                sender.environment.write(*stream, &MESSAGE).unwrap();
            }
            sender.environment.flush();
            let all = to.len();
            self.until(|pair| {
                let receiver = if turn == 0 {
                    &pair.listener
                } else {
                    &pair.dialer
                };
                receiver.readable == all
            });
            let receiver = if turn == 0 {
                &mut self.listener
            } else {
                &mut self.dialer
            };
            for stream in to {
                assert_eq!(receiver.read(*stream), MESSAGE.len());
            }
        }
    }
}

/// Returns the resident memory of this process in bytes, if the system reports it.
fn resident() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

#[test]
fn idle_connections_cost_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = Pair::new();
    // Allocations of the nodes at their first stream are not the connections'.
    pair.pass_stream(0);
    let start = counts().1;
    (0..CONNECTIONS).for_each(|_| pair.connect());
    let connected = counts().1;
    (1..=CONNECTIONS).for_each(|index| pair.pass_stream(index));
    let used = counts().1;
    let each = |bytes: usize| (bytes - start) / CONNECTIONS;
    let figures = format!(
        "a connection at both ends: {} bytes, {} after a stream",
        each(connected),
        each(used)
    );
    assert!(std::env::var_os("MEMORY_FIGURES").is_none(), "{figures}");
    assert!(each(connected) <= IDLE_CONNECTION_BYTES_MAX, "{figures}");
    assert!(each(used) <= USED_CONNECTION_BYTES_MAX, "{figures}");
}

#[test]
fn ten_thousand_idle_streams_cost_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let start = (counts().1, resident());
    let mut pair = Pair::new();
    let mut dialed = pair.open(1);
    let connected = (counts().1, resident());
    dialed.extend(pair.open(STREAMS));
    let opened = (counts().1, resident());
    pair.use_all(&dialed);
    let used = (counts().1, resident());
    let each = |bytes: usize| (bytes - connected.0) / (STREAMS - 1);
    let figures = format!(
        "a stream at both ends: {} bytes opened, {} used; a connection and its nodes: {}; resident {:?}",
        each(opened.0),
        each(used.0),
        connected.0 - start.0,
        [start.1, connected.1, opened.1, used.1],
    );
    // Printed with `MEMORY_FIGURES=1`, for the documentation.
    assert!(std::env::var_os("MEMORY_FIGURES").is_none(), "{figures}");
    assert!(each(opened.0) <= IDLE_STREAM_BYTES_MAX, "{figures}");
    assert!(each(used.0) <= USED_STREAM_BYTES_MAX, "{figures}");
}
