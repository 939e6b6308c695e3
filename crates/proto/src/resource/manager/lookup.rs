//! Shared scopes: found by key, created on first use, removed when idle.

use std::hash::Hash;

use crate::resource::limit::Usage;
use crate::resource::scope::{Index, Kind, Parents};
use crate::resource::table::Class;

use super::{IDLE_MAX, Manager, SYSTEM};

impl<P: Clone + Eq + Hash, N: Clone + Eq + Hash> Manager<P, N> {
    pub(super) fn peer(&mut self, peer: &P) -> Index {
        if let Some(&index) = self.peers.get(peer) {
            return index;
        }
        let limit = self.limits.of_peer(peer);
        let index = self.named(Kind::Peer(peer.clone()), limit);
        self.peers.insert(peer.clone(), index);
        index
    }

    pub(super) fn protocol(&mut self, protocol: &N) -> Index {
        if let Some(&index) = self.protocols.get(protocol) {
            return index;
        }
        let limit = self.limits.of_protocol(protocol);
        let index = self.named(Kind::Protocol(protocol.clone()), limit);
        self.protocols.insert(protocol.clone(), index);
        index
    }

    pub(super) fn service(&mut self, service: &N) -> Index {
        if let Some(&index) = self.services.get(service) {
            return index;
        }
        let limit = self.limits.of_service(service);
        let index = self.named(Kind::Service(service.clone()), limit);
        self.services.insert(service.clone(), index);
        index
    }

    /// Creates a scope that is charged to the system for what is reserved in it directly.
    pub(super) fn named(&mut self, kind: Kind<P, N>, limit: u32) -> Index {
        self.arena
            .insert(kind, Parents::of(&[SYSTEM]), limit, Usage::NONE)
    }

    pub(super) fn protocol_peer(&mut self, protocol: Index, peer: Index) -> Index {
        if let Some(&index) = self.protocol_peers.get(&(protocol, peer)) {
            return index;
        }
        let limit = match &self.arena.get(protocol).kind {
            Kind::Protocol(name) => self.limits.of_protocol_peer(name),
            _ => Class::ProtocolPeer.index(),
        };
        let index = self.combined(Kind::ProtocolPeer { protocol, peer }, limit);
        self.protocol_peers.insert((protocol, peer), index);
        index
    }

    pub(super) fn service_peer(&mut self, service: Index, peer: Index) -> Index {
        if let Some(&index) = self.service_peers.get(&(service, peer)) {
            return index;
        }
        let limit = match &self.arena.get(service).kind {
            Kind::Service(name) => self.limits.of_service_peer(name),
            _ => Class::ServicePeer.index(),
        };
        let index = self.combined(Kind::ServicePeer { service, peer }, limit);
        self.service_peers.insert((service, peer), index);
        index
    }

    /// Creates a scope made of two others, which it keeps alive.
    pub(super) fn combined(&mut self, kind: Kind<P, N>, limit: u32) -> Index {
        for part in parts(&kind) {
            self.arena.get_mut(part).references += 1;
        }
        self.arena
            .insert(kind, Parents::default(), limit, Usage::NONE)
    }

    /// Frees a closed connection without streams. Queues a shared scope that has become idle, and
    /// removes the one that became idle first if there are too many.
    pub(super) fn settle(&mut self, index: Index) {
        let scope = self.arena.get(index);
        if !scope.live && scope.references == 0 && matches!(scope.kind, Kind::Connection(_)) {
            return self.free(index);
        }
        if !self.is_idle(index) || self.arena.get(index).queued {
            return;
        }
        self.arena.get_mut(index).queued = true;
        self.idle.push_back(index);
        // The removal of one may make others idle.
        while self.idle.len() > IDLE_MAX {
            let Some(oldest) = self.idle.pop_front() else {
                break;
            };
            self.retire(oldest);
        }
    }

    /// Removes a scope taken from the queue unless it is in use again.
    pub(super) fn retire(&mut self, index: Index) {
        self.arena.get_mut(index).queued = false;
        if !self.is_idle(index) {
            return;
        }
        let kind = self.arena.get(index).kind.clone();
        match &kind {
            Kind::Peer(peer) => {
                self.peers.remove(peer);
            }
            Kind::Protocol(protocol) => {
                self.protocols.remove(protocol);
            }
            Kind::ProtocolPeer { protocol, peer } => {
                self.protocol_peers.remove(&(*protocol, *peer));
            }
            Kind::ServicePeer { service, peer } => {
                self.service_peers.remove(&(*service, *peer));
            }
            _ => return,
        }
        self.arena.close(index);
        self.free(index);
        for part in parts(&kind) {
            self.arena.get_mut(part).references -= 1;
            self.settle(part);
        }
    }

    /// Returns whether a scope of a peer or protocol is unused, and may be removed.
    pub(super) fn is_idle(&self, index: Index) -> bool {
        let scope = self.arena.get(index);
        let removable = matches!(
            scope.kind,
            Kind::Peer(_)
                | Kind::Protocol(_)
                | Kind::ProtocolPeer { .. }
                | Kind::ServicePeer { .. }
        );
        removable && scope.references == 0 && scope.usage.is_none() && !scope.pinned
    }
}

/// Returns the two scopes that a combined one is made of.
fn parts<P, N>(kind: &Kind<P, N>) -> impl Iterator<Item = Index> + use<P, N> {
    let parts = match *kind {
        Kind::ProtocolPeer { protocol, peer } => Some([protocol, peer]),
        Kind::ServicePeer { service, peer } => Some([service, peer]),
        _ => None,
    };
    parts.into_iter().flatten()
}
