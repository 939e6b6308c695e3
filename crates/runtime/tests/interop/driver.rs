//! Stands in for JavaScript: the one thread that drains, reads and writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferroswarm_runtime::{
    CallError, DialRequest, DnsOptions, Doorbell, Environment, Facts, Handler, Hub, Identity,
    KeyType, Keypair, Limits, Multiaddr, Muxer, Node, NodeOptions, Outcome, PlannedAttempt,
    Proposals, ProtocolId, ProtocolTable, QuicConfig, Record, ResourceOptions, Role, Security,
    WebSocketOptions,
};

/// Nothing here takes long, but the machine may be small and busy.
const HANG: Duration = Duration::from_secs(120);

/// More than can be pending at any time: the bell does not ring again for records left by a drain.
const RECORDS_MAX: usize = 4_096;

const BLOCK_BYTES: usize = 64 << 10;

/// A doorbell that one thread waits for.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, deadline: Instant) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut rung, timeout) = self
            .changed
            .wait_timeout_while(rung, left, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "it took longer than {HANG:?}");
        *rung = false;
    }
}

struct Ringer(Arc<Bell>);

impl Doorbell for Ringer {
    fn ring(&self) {
        self.0.ring();
    }
}

/// Returns the answer to the bytes received on a stream; `true` means that no more will arrive.
pub(crate) type Service = fn(&mut Vec<u8>, bool) -> Vec<u8>;

/// Echoes everything as it arrives.
pub(crate) fn echo(received: &mut Vec<u8>, _ended: bool) -> Vec<u8> {
    std::mem::take(received)
}

/// Answers a whole request with its payload.
pub(crate) fn answer(received: &mut Vec<u8>, ended: bool) -> Vec<u8> {
    if !ended || received.is_empty() {
        return Vec::new();
    }
    let payload = received.split_off(4);
    let length = u32::from_be_bytes(received[..].try_into().expect("four are left"));
    assert_eq!(payload.len(), length as usize, "the length of a request");
    received.clear();
    payload
}

/// Bytes sent on a stream, and those received.
pub(crate) struct Exchange {
    stream: u32,
    unsent: Vec<u8>,
    received: Vec<u8>,
    wants_fin: bool,
    has_finished: bool,
    ended: bool,
}

impl Exchange {
    pub(crate) const fn new(stream: u32, bytes: Vec<u8>) -> Self {
        Self {
            stream,
            unsent: bytes,
            received: Vec::new(),
            wants_fin: false,
            has_finished: false,
            ended: false,
        }
    }

    /// Ends our half after the bytes.
    pub(crate) const fn then_finish(mut self) -> Self {
        self.wants_fin = true;
        self
    }

    /// Sends the next bytes on the same stream.
    pub(crate) fn again(&mut self, bytes: Vec<u8>) {
        self.unsent = bytes;
        self.received.clear();
    }

    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    fn carry_on(&mut self, environment: &mut Environment) -> Result<(), CallError> {
        self.send(environment)?;
        self.receive(environment)
    }

    fn answer(&mut self, environment: &mut Environment, service: Service) -> Result<(), CallError> {
        self.receive(environment)?;
        self.unsent.extend(service(&mut self.received, self.ended));
        self.wants_fin = self.ended;
        self.send(environment)
    }

    fn send(&mut self, environment: &mut Environment) -> Result<(), CallError> {
        if !self.unsent.is_empty() {
            let count = environment.write(self.stream, &self.unsent)?;
            self.unsent.drain(..count);
        }
        if self.unsent.is_empty() && self.wants_fin && !self.has_finished {
            environment.change(self.stream, |slot| slot.close_write())?;
            self.has_finished = true;
        }
        Ok(())
    }

    /// Reads everything available; later bytes ring.
    fn receive(&mut self, environment: &mut Environment) -> Result<(), CallError> {
        let mut block = vec![0; BLOCK_BYTES];
        while !self.ended {
            match environment.read(self.stream, &mut block) {
                Ok(0) => break,
                Ok(count) => self.received.extend_from_slice(&block[..count]),
                Err(CallError::EndOfStream) => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A node, and the environment that it belongs to.
pub(crate) struct Driver {
    bell: Arc<Bell>,
    environment: Environment,
    node: Node,
    services: HashMap<u32, Service>,
    table: ProtocolTable<Handler>,
    /// Inbound streams, each with its protocol.
    inbound: HashMap<u32, (u32, Exchange)>,
    requests: u32,
    completed: Vec<u32>,
    deadline: Instant,
}

impl Driver {
    pub(crate) fn new(security: Security) -> Self {
        Self::configured(security, |_| {})
    }

    /// Creates a driver whose node has the options that `configure` sets.
    pub(crate) fn configured(security: Security, configure: impl FnOnce(&mut NodeOptions)) -> Self {
        let bell = Arc::new(Bell::default());
        let hub = Hub::new(Box::new(Ringer(Arc::clone(&bell))));
        let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
        let mut options = NodeOptions {
            identity: Arc::new(Identity::new(keypair).expect("a key of ours")),
            securities: vec![security],
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
        configure(&mut options);
        let node = Node::start(1, Arc::clone(&hub), options).expect("threads");
        Self {
            bell,
            environment: Environment::new(hub),
            node,
            services: HashMap::new(),
            table: ProtocolTable::default(),
            inbound: HashMap::new(),
            requests: 0,
            completed: Vec::new(),
            deadline: Instant::now() + HANG,
        }
    }

    /// Wakes this driver from other threads.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Dials an address with `/p2p`; returns the handle of the connection.
    pub(crate) fn dial(&mut self, address: &str) -> u32 {
        let (address, peer) = address.split_once("/p2p/").expect("the address of a peer");
        let dial = DialRequest {
            plan: vec![PlannedAttempt {
                peer: Some(peer.parse().expect("a peer id")),
                host: None,
                address: address.parse().expect("an address"),
                delay: Duration::ZERO,
                timeout: HANG,
                hold: Duration::ZERO,
            }],
            identity: None,
            securities: None,
            parallel: 1,
            role: Role::Dialer,
        };
        match self.command(|node, request| node.dial(request, dial)) {
            Outcome::Dialled(connection) => connection.handle(),
            Outcome::DialFailed(attempts) => panic!("the dial failed: {attempts:?}"),
            _ => panic!("a dial without a connection"),
        }
    }

    /// Listens; returns the bound address with `/p2p`.
    pub(crate) fn listen(&mut self, address: &str) -> String {
        let address: Multiaddr = address.parse().expect("an address");
        match self.command(|node, request| node.listen(request, address)) {
            Outcome::Listening { addresses, .. } => {
                format!("{}/p2p/{}", addresses[0], self.node.identity().peer_id())
            }
            _ => panic!("no listener"),
        }
    }

    /// Serves a protocol from here on.
    pub(crate) fn serve(&mut self, protocol: &str, service: Service) {
        let (name, number) = self.protocol(protocol);
        self.services.insert(number, service);
        self.table.insert(
            name,
            Handler {
                protocol: number,
                inbound_max: u32::MAX,
                service: 0,
            },
        );
        self.node.handlers().set(self.table.clone());
    }

    pub(crate) fn facts(&self, connection: u32) -> Facts {
        let connection = self.environment.connection(connection);
        connection.expect("it is open").facts().clone()
    }

    pub(crate) fn open(&mut self, connection: u32, protocol: &str) -> u32 {
        let (_, number) = self.protocol(protocol);
        let proposals = Proposals::Lazy(number);
        self.environment
            .open(connection, proposals)
            .expect("room for a stream")
    }

    pub(crate) fn reset(&mut self, stream: u32) {
        let reset = self.environment.change(stream, |slot| Ok(slot.reset(0)));
        reset.expect("it is open");
        self.environment.flush();
    }

    /// Continues `exchanges` until `done`.
    pub(crate) fn until(
        &mut self,
        exchanges: &mut [&mut Exchange],
        done: impl Fn(&[&mut Exchange]) -> bool,
    ) {
        loop {
            for exchange in &mut *exchanges {
                exchange
                    .carry_on(&mut self.environment)
                    .expect("the peer keeps the stream");
            }
            self.environment.flush();
            if done(exchanges) {
                return;
            }
            self.turn();
        }
    }

    /// Continues `exchanges` until the remote has ended every one.
    pub(crate) fn finish(&mut self, exchanges: &mut [&mut Exchange]) {
        self.until(exchanges, |exchanges| {
            exchanges.iter().all(|exchange| exchange.ended)
        });
    }

    /// Serves inbound streams until `done`, which is checked each time the bell has rung.
    pub(crate) fn serve_until(&mut self, done: impl Fn() -> bool) {
        while !done() {
            self.turn();
            self.answer_inbound();
        }
    }

    /// Closes the node in an orderly manner.
    pub(crate) fn close(mut self) {
        let closed = self.command(|node, request| node.close(request, Duration::from_secs(1)));
        assert!(matches!(closed, Outcome::Done), "the node closes");
    }

    fn command(&mut self, send: impl FnOnce(&Node, u32)) -> Outcome {
        self.requests += 1;
        let request = self.requests;
        send(&self.node, request);
        while !self.completed.contains(&request) {
            self.turn();
        }
        let outcome = self.environment.take_outcome(request);
        outcome.expect("a completion has an outcome")
    }

    /// Waits for the bell and drains. The rest of a closed stream can be read until the next turn.
    fn turn(&mut self) {
        self.bell.wait(self.deadline);
        let (completed, inbound) = (&mut self.completed, &mut self.inbound);
        self.environment.drain(RECORDS_MAX, |record| match record {
            Record::Completion { request, .. } => completed.push(request),
            Record::StreamOpened {
                stream, protocol, ..
            } => {
                inbound.insert(stream, (protocol, Exchange::new(stream, Vec::new())));
            }
            Record::StreamReset { stream, .. } | Record::StreamClosed { stream, .. } => {
                inbound.remove(&stream);
            }
            Record::StreamNegotiated { .. }
            | Record::StreamReadable { .. }
            | Record::StreamWritable { .. }
            | Record::ConnectionOpened { .. }
            | Record::ConnectionGoingAway { .. }
            | Record::ConnectionCarried { .. }
            | Record::ConnectionClosed { .. }
            | Record::StreamOutgoing { .. }
            | Record::ProtocolQuery { .. }
            | Record::GateQuestions { .. }
            | Record::HttpRequests { .. }
            | Record::ListenerClosed { .. }
            | Record::AttemptsFailed { .. }
            | Record::PipeReady { .. }
            | Record::Diagnostics { .. } => {}
        });
    }

    fn answer_inbound(&mut self) {
        for (protocol, exchange) in self.inbound.values_mut() {
            let service = self.services[protocol];
            // A stream reset by the peer is removed in the next turn.
            let _ = exchange.answer(&mut self.environment, service);
        }
        self.environment.flush();
    }

    fn protocol(&self, name: &str) -> (ProtocolId, u32) {
        let name = ProtocolId::new(name).expect("a protocol");
        let number = self.environment.hub().names().intern(name.clone());
        (name, number.expect("few names"))
    }
}
