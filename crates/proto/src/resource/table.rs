//! The limits of all scopes: one for each class, and those set for single peers, protocols and
//! services.

use std::collections::HashMap;
use std::hash::Hash;

use super::limit::Limit;

/// A class of scopes that share a limit, unless one of them has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Class {
    System,
    Transient,
    AllowlistedSystem,
    AllowlistedTransient,
    Service,
    ServicePeer,
    Protocol,
    ProtocolPeer,
    Peer,
    Connection,
    Stream,
    /// Spans are limited by their owners alone.
    Unlimited,
}

const CLASSES: usize = Class::Unlimited as usize + 1;

impl Class {
    pub(super) const fn index(self) -> u32 {
        self as u32
    }
}

/// Limits by scope, as configured.
#[derive(Debug, Clone)]
pub struct LimitTable<P, N> {
    /// The whole node.
    pub system: Limit,
    /// Connections without a peer, and streams without a protocol.
    pub transient: Limit,
    /// Allowlisted connections that do not fit into the system's scope.
    pub allowlisted_system: Limit,
    /// Those of them without a peer.
    pub allowlisted_transient: Limit,
    /// Each service.
    pub service_default: Limit,
    /// Each service for each peer.
    pub service_peer_default: Limit,
    /// Each protocol.
    pub protocol_default: Limit,
    /// Each protocol for each peer.
    pub protocol_peer_default: Limit,
    /// Each peer.
    pub peer_default: Limit,
    /// Each connection.
    pub connection: Limit,
    /// Each stream.
    pub stream: Limit,
    /// Services with limits of their own.
    pub services: HashMap<N, Limit>,
    /// The same for each peer.
    pub service_peers: HashMap<N, Limit>,
    /// Protocols with limits of their own.
    pub protocols: HashMap<N, Limit>,
    /// The same for each peer.
    pub protocol_peers: HashMap<N, Limit>,
    /// Peers with limits of their own.
    pub peers: HashMap<P, Limit>,
}

impl<P, N> LimitTable<P, N> {
    /// No limits.
    pub fn unlimited() -> Self {
        let unlimited = Limit::UNLIMITED;
        Self {
            system: unlimited,
            transient: unlimited,
            allowlisted_system: unlimited,
            allowlisted_transient: unlimited,
            service_default: unlimited,
            service_peer_default: unlimited,
            protocol_default: unlimited,
            protocol_peer_default: unlimited,
            peer_default: unlimited,
            connection: unlimited,
            stream: unlimited,
            services: HashMap::new(),
            service_peers: HashMap::new(),
            protocols: HashMap::new(),
            protocol_peers: HashMap::new(),
            peers: HashMap::new(),
        }
    }
}

/// The limits in one array, to which scopes refer by index.
#[derive(Debug)]
pub(super) struct Limits<P, N> {
    all: Vec<Limit>,
    /// Indices whose scopes are gone.
    free: Vec<u32>,
    services: HashMap<N, u32>,
    service_peers: HashMap<N, u32>,
    protocols: HashMap<N, u32>,
    protocol_peers: HashMap<N, u32>,
    peers: HashMap<P, u32>,
}

impl<P: Eq + Hash, N: Eq + Hash> Limits<P, N> {
    pub(super) fn new(table: LimitTable<P, N>) -> Self {
        // In the order of `Class`.
        let mut all = vec![
            table.system,
            table.transient,
            table.allowlisted_system,
            table.allowlisted_transient,
            table.service_default,
            table.service_peer_default,
            table.protocol_default,
            table.protocol_peer_default,
            table.peer_default,
            table.connection,
            table.stream,
            Limit::UNLIMITED,
        ];
        debug_assert_eq!(all.len(), CLASSES);
        let services = appended(&mut all, table.services);
        let service_peers = appended(&mut all, table.service_peers);
        let protocols = appended(&mut all, table.protocols);
        let protocol_peers = appended(&mut all, table.protocol_peers);
        let peers = appended(&mut all, table.peers);
        Self {
            all,
            free: Vec::new(),
            services,
            service_peers,
            protocols,
            protocol_peers,
            peers,
        }
    }

    pub(super) fn get(&self, index: u32) -> &Limit {
        &self.all[index as usize]
    }

    /// Adds a limit of one scope alone; returns its index.
    pub(super) fn add(&mut self, limit: Limit) -> u32 {
        if let Some(index) = self.free.pop() {
            self.set(index, limit);
            return index;
        }
        self.all.push(limit);
        self.all.len() as u32 - 1
    }

    /// Removes a limit of [`add`](Self::add).
    pub(super) fn remove(&mut self, index: u32) {
        self.free.push(index);
    }

    pub(super) fn set(&mut self, index: u32, limit: Limit) {
        self.all[index as usize] = limit;
    }

    pub(super) fn of_service(&self, service: &N) -> u32 {
        found(&self.services, service, Class::Service)
    }

    pub(super) fn of_service_peer(&self, service: &N) -> u32 {
        found(&self.service_peers, service, Class::ServicePeer)
    }

    pub(super) fn of_protocol(&self, protocol: &N) -> u32 {
        found(&self.protocols, protocol, Class::Protocol)
    }

    pub(super) fn of_protocol_peer(&self, protocol: &N) -> u32 {
        found(&self.protocol_peers, protocol, Class::ProtocolPeer)
    }

    pub(super) fn of_peer(&self, peer: &P) -> u32 {
        found(&self.peers, peer, Class::Peer)
    }
}

fn appended<K: Eq + Hash>(all: &mut Vec<Limit>, of: HashMap<K, Limit>) -> HashMap<K, u32> {
    of.into_iter()
        .map(|(name, limit)| {
            all.push(limit);
            (name, all.len() as u32 - 1)
        })
        .collect()
}

fn found<K: Eq + Hash>(indices: &HashMap<K, u32>, name: &K, default: Class) -> u32 {
    indices
        .get(name)
        .copied()
        .unwrap_or_else(|| default.index())
}
