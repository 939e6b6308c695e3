//! What is in use, by the names of scopes.

use std::hash::Hash;

use crate::resource::error::Name;
use crate::resource::limit::{Limit, Resource, Usage};
use crate::resource::scope::{Index, Kind};

use super::Manager;

impl<P: Clone + Eq + Hash, N: Clone + Eq + Hash> Manager<P, N> {
    /// Returns the scopes that use most of `resource` within `scope`, the largest first: peers,
    /// protocols and services within the system, their combinations within a peer, a protocol or a
    /// service; none within the others. Takes time linear in the number of scopes.
    pub fn holders(
        &self,
        scope: &Name<P, N>,
        resource: Resource,
        count: usize,
    ) -> Vec<(Name<P, N>, u64)> {
        let within = |kind: &Kind<P, N>| match (scope, kind) {
            (Name::Peer(of), Kind::ProtocolPeer { peer, .. } | Kind::ServicePeer { peer, .. }) => {
                self.peers.get(of) == Some(peer)
            }
            (Name::Protocol(of), Kind::ProtocolPeer { protocol, .. }) => {
                self.protocols.get(of) == Some(protocol)
            }
            (Name::Service(of), Kind::ServicePeer { service, .. }) => {
                self.services.get(of) == Some(service)
            }
            (Name::System, Kind::Peer(_) | Kind::Protocol(_) | Kind::Service(_)) => true,
            _ => false,
        };
        let mut holders: Vec<_> = self
            .arena
            .live()
            .filter(|(_, scope)| within(&scope.kind))
            .map(|(index, scope)| (index, scope.usage.of(resource)))
            .filter(|(_, used)| *used > 0)
            .collect();
        let count = count.min(holders.len());
        if let Some(last) = count.checked_sub(1) {
            holders.select_nth_unstable_by_key(last, |(_, used)| std::cmp::Reverse(*used));
        }
        holders.truncate(count);
        holders.sort_unstable_by_key(|(_, used)| std::cmp::Reverse(*used));
        holders
            .into_iter()
            .map(|(index, used)| (self.name_of(index), used))
            .collect()
    }

    /// Calls `each` for every scope that has a name of its own: all but connections, streams and
    /// spans.
    pub fn for_each_named(&self, mut each: impl FnMut(Name<P, N>, &Usage, &Limit)) {
        for (index, scope) in self.arena.live() {
            match scope.kind {
                Kind::Connection(_) | Kind::Stream(_) | Kind::Span { .. } => {}
                _ => each(self.name_of(index), &scope.usage, self.limit_of(index)),
            }
        }
    }

    pub(super) fn name_of(&self, index: Index) -> Name<P, N> {
        match &self.arena.get(index).kind {
            Kind::System => Name::System,
            Kind::Transient => Name::Transient,
            Kind::AllowlistedSystem => Name::AllowlistedSystem,
            Kind::AllowlistedTransient => Name::AllowlistedTransient,
            Kind::Service(service) => Name::Service(service.clone()),
            Kind::Protocol(protocol) => Name::Protocol(protocol.clone()),
            Kind::Peer(peer) => Name::Peer(peer.clone()),
            Kind::ServicePeer { service, peer } => {
                match (self.name_of(*service), self.name_of(*peer)) {
                    (Name::Service(service), Name::Peer(peer)) => Name::ServicePeer(service, peer),
                    (name, _) => name,
                }
            }
            Kind::ProtocolPeer { protocol, peer } => {
                match (self.name_of(*protocol), self.name_of(*peer)) {
                    (Name::Protocol(protocol), Name::Peer(peer)) => {
                        Name::ProtocolPeer(protocol, peer)
                    }
                    (name, _) => name,
                }
            }
            Kind::Connection(_) => Name::Connection(index),
            Kind::Stream(_) => Name::Stream(index),
            Kind::Span { .. } => Name::Span(index),
        }
    }
}
