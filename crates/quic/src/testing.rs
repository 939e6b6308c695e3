//! Two endpoints in one process, whose datagrams a test carries.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ferroswarm_secure::{Identity, KeyType, Keypair, PeerId, QuicDialer};
use quinn_proto::{ConnectionEvent, ConnectionHandle, DatagramEvent, Endpoint, Transmit};

use crate::{Config, Event, Session, Settings, Target};

pub(crate) fn identity() -> Arc<Identity> {
    let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
    Arc::new(Identity::new(keypair).expect("a key of ours"))
}

/// What happens to a datagram on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Lost,
    Twice,
    /// After those that are sent later.
    Late,
}

/// One end: an endpoint with at most one connection.
pub(crate) struct End {
    pub(crate) identity: Arc<Identity>,
    pub(crate) settings: Settings,
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    pub(crate) session: Option<Session>,
    handle: Option<ConnectionHandle>,
    /// Events of the session, oldest first.
    pub(crate) events: Vec<Event>,
    /// Accepting asks for a proof of the remote's address first.
    pub(crate) demands_proof: bool,
    pub(crate) proofs_demanded: u32,
    /// It does not take events of streams yet.
    pub(crate) is_in_handshake: bool,
    /// Memory is granted for the growth of the receive window.
    pub(crate) has_memory: bool,
}

/// Two ends and a clock.
pub(crate) struct Pair {
    pub(crate) dialer: End,
    pub(crate) listener: End,
    epoch: Instant,
    pub(crate) now: Duration,
    wire: VecDeque<(bool, Vec<u8>)>,
    fate: Box<dyn FnMut() -> Fate>,
}

impl End {
    fn new(config: &Config, port: u16, listens: bool) -> Self {
        let identity = identity();
        let settings = Settings::new(config, &identity).expect("usable credentials");
        let server = listens.then(|| settings.listener());
        Self {
            identity,
            endpoint: Endpoint::new(settings.endpoint(), server, true, None),
            settings,
            address: SocketAddr::from(([192, 0, 2, 1], port)),
            session: None,
            handle: None,
            events: Vec::new(),
            demands_proof: false,
            proofs_demanded: 0,
            is_in_handshake: false,
            has_memory: true,
        }
    }

    /// Makes a listener that takes no datagrams of more than `bytes`.
    pub(crate) fn take_at_most(&mut self, bytes: u16) {
        let mut config = (*self.settings.endpoint()).clone();
        config.max_udp_payload_size(bytes).expect("1,200 or more");
        let server = Some(self.settings.listener());
        self.endpoint = Endpoint::new(Arc::new(config), server, true, None);
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a connection")
    }

    /// Receives a datagram; returns the answer of the endpoint itself.
    fn receive(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
        epoch: Instant,
    ) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        let event =
            self.endpoint
                .handle(now, from, None, None, BytesMut::from(bytes), &mut answer)?;
        match event {
            DatagramEvent::ConnectionEvent(handle, event) => self.pass(handle, event),
            DatagramEvent::NewConnection(incoming) => {
                if self.demands_proof && !incoming.remote_address_validated() {
                    self.proofs_demanded += 1;
                    let _ = self
                        .endpoint
                        .retry(incoming, &mut answer)
                        .expect("a first packet");
                    return Some(answer);
                }
                let config = self.settings.accepting(from.ip());
                let accepted = self
                    .endpoint
                    .accept(incoming, now, &mut answer, Some(config));
                let (handle, connection) = accepted.expect("an authentic packet");
                self.handle = Some(handle);
                self.session = Some(Session::new(connection, &self.settings, epoch));
            }
            DatagramEvent::Response(_) => return Some(answer),
        }
        None
    }

    fn pass(&mut self, handle: ConnectionHandle, event: ConnectionEvent) {
        assert_eq!(self.handle, Some(handle));
        self.session().handle_event(event);
    }

    /// Exchanges events with the endpoint and collects those of streams.
    fn settle(&mut self, now: Duration) {
        let (Some(session), Some(handle)) = (&mut self.session, self.handle) else {
            return;
        };
        while let Some(event) = session.poll_endpoint_event() {
            if let Some(answer) = self.endpoint.handle_event(handle, event) {
                session.handle_event(answer);
            }
        }
        if self.is_in_handshake {
            session.absorb();
            return;
        }
        while let Some(event) = session.poll() {
            self.events.push(event);
        }
        session.adapt_window(now, |_| self.has_memory);
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Pair {
    /// Creates two ends that are not connected.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            dialer: End::new(config, 1, false),
            listener: End::new(config, 2, true),
            epoch: Instant::now(),
            now: Duration::ZERO,
            wire: VecDeque::new(),
            fate: Box::new(|| Fate::Delivered),
        }
    }

    /// Creates two connected ends.
    pub(crate) fn connected(config: &Config) -> Self {
        let mut pair = Self::new(config);
        let peer = *pair.listener.identity.peer_id();
        pair.dial(Some(peer));
        pair.settle();
        assert!(!pair.dialer.session().is_handshaking());
        assert!(!pair.listener.session().is_handshaking());
        pair
    }

    pub(crate) fn dial(&mut self, peer: Option<PeerId>) -> QuicDialer {
        let End {
            identity, settings, ..
        } = &self.dialer;
        let target = Target {
            remote: self.listener.address,
            identity,
            peer,
        };
        let (config, dialer) = settings.dialling(&target).expect("usable credentials");
        let remote = self.listener.address;
        let connected = self
            .dialer
            .endpoint
            .connect(self.epoch, config, remote, "l");
        let (handle, connection) = connected.expect("an address");
        let session = Session::new(connection, &self.dialer.settings, self.epoch);
        self.dialer.handle = Some(handle);
        self.dialer.session = Some(session);
        dialer
    }

    /// Decides on the fate of each datagram from now on.
    pub(crate) fn treat(&mut self, fate: impl FnMut() -> Fate + 'static) {
        self.fate = Box::new(fate);
    }

    /// Carries datagrams until neither end has more to send.
    pub(crate) fn settle(&mut self) {
        loop {
            self.dialer.settle(self.now);
            self.listener.settle(self.now);
            self.collect(true);
            self.collect(false);
            let Some((to_listener, bytes)) = self.wire.pop_front() else {
                return;
            };
            let now = self.epoch + self.now;
            let (from, to) = match to_listener {
                true => (self.dialer.address, &mut self.listener),
                false => (self.listener.address, &mut self.dialer),
            };
            if let Some(answer) = to.receive(from, &bytes, now, self.epoch) {
                self.wire.push_back((!to_listener, answer));
            }
        }
    }

    /// Lets time pass, carrying datagrams as timers fall due, until `over` or `max` has passed.
    pub(crate) fn run(&mut self, max: Duration, mut over: impl FnMut(&mut Self) -> bool) {
        let end = self.now + max;
        loop {
            self.settle();
            if over(self) {
                return;
            }
            let ends = [&mut self.dialer, &mut self.listener].into_iter();
            let sessions = ends.filter_map(|end| end.session.as_mut());
            let next = sessions.filter_map(Session::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                return;
            };
            self.now = self.now.max(next);
            for end in [&mut self.dialer, &mut self.listener] {
                if let Some(session) = &mut end.session {
                    session.handle_timeout(self.now);
                }
            }
        }
    }

    fn collect(&mut self, from_dialer: bool) {
        let end = if from_dialer {
            &mut self.dialer
        } else {
            &mut self.listener
        };
        let Some(session) = &mut end.session else {
            return;
        };
        let mut bytes = Vec::new();
        while let Some(transmit) = session.poll_transmit(self.now, 1, &mut bytes) {
            let Transmit { size, .. } = transmit;
            let datagram = (from_dialer, bytes[..size].to_vec());
            match (self.fate)() {
                Fate::Delivered => self.wire.push_back(datagram),
                Fate::Lost => {}
                Fate::Twice => self.wire.extend([datagram.clone(), datagram]),
                Fate::Late => self.wire.push_front(datagram),
            }
            bytes.clear();
        }
    }
}
