//! Two nodes over a socket, and one thread in place of JavaScript.
//!
//!     traffic bulk MIB       transfers MIB mebibytes over one stream
//!     traffic streams COUNT  opens COUNT streams in sequence, 1 KiB each way
//!
//! `tools/budgets.mjs` runs this under dhat, twice: the difference between the runs is the cost of the
//! additional traffic, without that of starting up.
#![forbid(unsafe_code)]

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ferroswarm_runtime::{
    CallError, DialRequest, DnsOptions, Doorbell, Environment, HANDLE_PENDING, Handler, Hub,
    Identity, KeyType, Keypair, Limits, Multiaddr, Muxer, Node, NodeOptions, Outcome,
    PlannedAttempt, Proposals, ProtocolId, ProtocolTable, QuicConfig, Record, ResourceOptions,
    Role, Security, WebSocketOptions,
};

/// Size of a write and a read.
const BLOCK_BYTES: usize = 64 << 10;

/// Bytes of a stream each way.
const MESSAGE_BYTES: usize = 1 << 10;

/// Upper bound of any wait: nothing here takes long, but runs fifty times slower under dhat.
const HANG: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count] = &arguments[..] else {
        panic!("traffic bulk MIB | traffic streams COUNT");
    };
    let count: usize = count.parse().expect("a number");
    let mut pair = Pair::new();
    match what.as_str() {
        "bulk" => pair.bulk(count << 20),
        "streams" => (0..count).for_each(|_| pair.stream()),
        other => panic!("unknown traffic {other}"),
    }
}

/// A doorbell of both environments, on which the thread waits.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    signal: Condvar,
}

struct SharedBell(Arc<Bell>);

impl Doorbell for SharedBell {
    fn ring(&self) {
        *self.0.rung.lock().unwrap() = true;
        self.0.signal.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap();
        let (mut rung, timeout) = self
            .signal
            .wait_timeout_while(rung, HANG, |rung| !*rung)
            .unwrap();
        assert!(!timeout.timed_out(), "no event for {HANG:?}");
        *rung = false;
    }
}

/// A node and its environment.
struct Side {
    environment: Environment,
    node: Node,
    connection: u32,
    completed: u32,
    inbound: Option<u32>,
    closed: usize,
}

impl Side {
    fn new(bell: &Arc<Bell>) -> Self {
        let hub = Hub::new(Box::new(SharedBell(Arc::clone(bell))));
        let name = ProtocolId::new("/budget").unwrap();
        let protocol = hub.names().intern(name.clone()).unwrap();
        let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
        let options = NodeOptions {
            identity: Arc::new(Identity::new(keypair).unwrap()),
            securities: vec![Security::Noise],
            muxer: Muxer::Yamux,
            psk: None,
            io_threads: Some(1),
            limits: Limits::default(),
            resources: ResourceOptions::default(),
            gate: Arc::default(),
            dns: DnsOptions::default(),
            quic: QuicConfig::default(),
            web_socket: WebSocketOptions::default(),
        };
        let node = Node::start(1, Arc::clone(&hub), options).unwrap();
        let mut table = ProtocolTable::default();
        let handler = Handler {
            protocol,
            inbound_max: 10,
            service: 0,
        };
        table.insert(name, handler);
        node.handlers().set(table);
        Self {
            environment: Environment::new(hub),
            node,
            connection: 0,
            completed: 0,
            inbound: None,
            closed: 0,
        }
    }

    fn drain(&mut self) {
        let Self {
            environment,
            connection: its_connection,
            completed,
            inbound,
            closed,
            ..
        } = self;
        environment.drain(64, |record| match record {
            Record::Completion { request, .. } => *completed = request,
            Record::ConnectionOpened { connection, .. } => *its_connection = connection,
            Record::StreamOpened { stream, .. } => *inbound = Some(stream),
            Record::StreamClosed { .. } => *closed += 1,
            Record::StreamReadable { .. } | Record::StreamWritable { .. } => {}
            other => panic!("unexpected record {other:?}"),
        });
    }

    /// Opens a stream, writes to it and ends its write half.
    fn request(&mut self, message: &[u8]) -> u32 {
        let stream = self.open();
        self.send(stream, message);
        stream
    }

    fn open(&mut self) -> u32 {
        let opened = self.environment.open(self.connection, Proposals::Lazy(1));
        let stream = opened.expect("room for a stream");
        assert_eq!(stream & HANDLE_PENDING, 0, "usable at once");
        stream
    }

    fn send(&mut self, stream: u32, message: &[u8]) {
        assert_eq!(self.environment.write(stream, message), Ok(message.len()));
        let ended = self.environment.change(stream, |slot| slot.close_write());
        ended.expect("the stream is open");
        self.environment.flush();
    }

    /// Reads available bytes; returns `true` at the end of the stream.
    fn receive(&mut self, stream: u32, received: &mut usize) -> bool {
        let mut into = [0; 2 * MESSAGE_BYTES];
        loop {
            match self.environment.read(stream, &mut into) {
                Ok(0) => return false,
                Ok(count) => *received += count,
                Err(CallError::EndOfStream) => return true,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Two nodes with a connection between them.
struct Pair {
    bell: Arc<Bell>,
    dialer: Side,
    listener: Side,
}

impl Pair {
    fn new() -> Self {
        let bell = Arc::new(Bell::default());
        let (dialer, listener) = (Side::new(&bell), Side::new(&bell));
        let mut pair = Self {
            bell,
            dialer,
            listener,
        };
        let any = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        pair.listener.node.listen(1, any);
        pair.until(|pair| pair.listener.completed == 1);
        let listening = pair.listener.environment.take_outcome(1).unwrap();
        let Outcome::Listening { addresses, .. } = listening else {
            panic!("no listener");
        };
        let address: Multiaddr = addresses[0].clone();
        let request = DialRequest {
            plan: vec![PlannedAttempt {
                peer: None,
                host: None,
                address,
                delay: Duration::ZERO,
                timeout: HANG,
                hold: Duration::ZERO,
            }],
            identity: None,
            securities: None,
            parallel: 1,
            role: Role::Dialer,
        };
        pair.dialer.node.dial(1, request);
        pair.until(|pair| pair.dialer.completed == 1 && pair.listener.connection != 0);
        pair
    }

    /// Drains both sides whenever the bell rings, until `done`.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.bell.wait();
            self.dialer.drain();
            self.listener.drain();
        }
    }

    fn bulk(&mut self, bytes: usize) {
        let (from, mut into) = (vec![7; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
        let stream = self.dialer.open();
        let (mut sent, mut received) = (0, 0);
        self.until(|pair| {
            loop {
                let block = &from[..BLOCK_BYTES.min(bytes - sent)];
                let taken = match block {
                    [] => 0,
                    _ => pair.dialer.environment.write(stream, block).unwrap(),
                };
                sent += taken;
                pair.dialer.environment.flush();
                let read = match pair.listener.inbound {
                    Some(stream) => pair.listener.environment.read(stream, &mut into).unwrap(),
                    None => 0,
                };
                received += read;
                if taken == 0 && read == 0 {
                    return received == bytes;
                }
            }
        });
    }

    fn stream(&mut self) {
        let message = [7; MESSAGE_BYTES];
        let opened = self.dialer.request(&message);
        self.until(|pair| pair.listener.inbound.is_some());
        let accepted = self.listener.inbound.take().expect("the stream is inbound");
        let (mut there, mut back) = (0, 0);
        self.until(|pair| pair.listener.receive(accepted, &mut there));
        self.listener.send(accepted, &message);
        self.until(|pair| pair.dialer.receive(opened, &mut back));
        assert_eq!([there, back], [MESSAGE_BYTES; 2]);
        self.until(|pair| pair.dialer.closed + pair.listener.closed == 2);
        (self.dialer.closed, self.listener.closed) = (0, 0);
    }
}
