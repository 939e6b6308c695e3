//! The manager: what each operation charges, and to whom.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::error::{Denied, Error, Name};
use super::limit::{Direction, Limit, Priority, Resource, Usage};
use super::scope::{Arena, Connection, Index, Kind, Parents, ScopeId, Stream};
use super::table::{LimitTable, Limits, Slot};

/// Idle scopes of protocols and peers that are kept: the next stream of a protocol, or the next
/// connection of a peer, finds them without an allocation.
const IDLE_MAX: usize = 256;

/// Refusals of a dry run that wait to be taken; further ones are only counted.
const PASSED_MAX: usize = 64;

/// Accounts what peers use, over a graph of scopes.
///
/// `P` identifies a peer, `N` a protocol or a service. An operation charges all scopes concerned or
/// none: it checks them all before it charges the first.
#[derive(Debug)]
pub struct Manager<P, N> {
    arena: Arena<P, N>,
    limits: Limits<P, N>,
    peers: HashMap<P, Index>,
    protocols: HashMap<N, Index>,
    services: HashMap<N, Index>,
    protocol_peers: HashMap<(Index, Index), Index>,
    service_peers: HashMap<(Index, Index), Index>,
    /// Scopes that were idle when they were queued, the longest idle first.
    idle: VecDeque<Index>,
    /// Refusals that a dry run has let pass.
    passed: VecDeque<Denied<P, N>>,
    dry_run: bool,
    refused: u64,
    closed: bool,
}

const SYSTEM: Index = 0;
const TRANSIENT: Index = 1;
const ALLOWLISTED_SYSTEM: Index = 2;
const ALLOWLISTED_TRANSIENT: Index = 3;

impl<P: Clone + Eq + Hash, N: Clone + Eq + Hash> Manager<P, N> {
    /// Creates a manager with nothing in use. In a dry run every limit is passed, and each refusal
    /// that there would have been is kept for [`take_passed`](Self::take_passed).
    pub fn new(table: LimitTable<P, N>, dry_run: bool) -> Self {
        let mut arena = Arena::new();
        let fixed = [
            (Kind::System, Slot::System),
            (Kind::Transient, Slot::Transient),
            (Kind::AllowlistedSystem, Slot::AllowlistedSystem),
            (Kind::AllowlistedTransient, Slot::AllowlistedTransient),
        ];
        for (kind, slot) in fixed {
            arena.insert(kind, Parents::default(), slot.index());
        }
        Self {
            arena,
            limits: Limits::new(table),
            peers: HashMap::new(),
            protocols: HashMap::new(),
            services: HashMap::new(),
            protocol_peers: HashMap::new(),
            service_peers: HashMap::new(),
            idle: VecDeque::new(),
            passed: VecDeque::new(),
            dry_run,
            refused: 0,
            closed: false,
        }
    }

    /// Opens the scope of a connection whose peer is not authenticated yet: it is charged to the
    /// transient scope and the system. An allowlisted one that does not fit there is charged to the
    /// allowlisted scopes.
    ///
    /// # Errors
    /// [`Error::Denied`], and [`Error::Closed`] after [`close`](Self::close).
    pub fn open_connection(
        &mut self,
        direction: Direction,
        fds: u32,
        allowlisted: bool,
    ) -> Result<ScopeId, Error<P, N>> {
        self.check_open()?;
        let usage = Usage::connection(direction, fds);
        let normal = Parents::of(&[TRANSIENT, SYSTEM]);
        let slot = Slot::Connection.index();
        let refused = self.refused;
        let opened = self.open(
            Kind::Connection(Connection::default()),
            normal,
            slot,
            &usage,
        );
        match opened {
            Err(Error::Denied(_)) if allowlisted => {
                // Nothing is refused unless the allowlisted scopes are full too.
                self.refused = refused;
                let kind = Kind::Connection(Connection {
                    peer: None,
                    allowlisted: true,
                });
                let parents = Parents::of(&[ALLOWLISTED_TRANSIENT, ALLOWLISTED_SYSTEM]);
                self.open(kind, parents, slot, &usage)
            }
            opened => opened,
        }
    }

    /// Sets the peer of a connection, which leaves the transient scope. `allowlisted` is whether
    /// the peer is allowlisted at the connection's address: otherwise an allowlisted connection
    /// returns to the normal scopes.
    ///
    /// # Errors
    /// [`Error::Denied`] if the peer's limit, or that of the system, is reached: the connection
    /// stays as it was; [`Error::Misuse`] if it has a peer.
    pub fn set_peer(
        &mut self,
        connection: ScopeId,
        peer: &P,
        allowlisted: bool,
    ) -> Result<(), Error<P, N>> {
        let before = self.connection(connection)?;
        if before.peer.is_some() {
            return Err(Error::Misuse("the connection has a peer"));
        }
        let peer = self.peer(peer);
        let allowlisted = before.allowlisted && allowlisted;
        let moved = match (before.allowlisted, allowlisted) {
            (false, _) => self.transfer(connection.index, &[TRANSIENT], &[peer]),
            (true, true) => self.transfer(connection.index, &[ALLOWLISTED_TRANSIENT], &[peer]),
            (true, false) => {
                let left = [ALLOWLISTED_TRANSIENT, ALLOWLISTED_SYSTEM];
                self.transfer(connection.index, &left, &[peer, SYSTEM])
            }
        };
        self.settle(peer);
        moved?;
        self.arena.get_mut(connection.index).kind = Kind::Connection(Connection {
            peer: Some(peer),
            allowlisted,
        });
        Ok(())
    }

    /// Opens the scope of a stream on a connection, which has a peer. It is transient until its
    /// protocol is set.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Misuse`] if the connection has no peer.
    pub fn open_stream(
        &mut self,
        connection: ScopeId,
        direction: Direction,
    ) -> Result<ScopeId, Error<P, N>> {
        let Some(peer) = self.connection(connection)?.peer else {
            return Err(Error::Misuse("the connection has no peer"));
        };
        self.open_stream_at(Some(connection.index), peer, direction)
    }

    /// Opens the scope of a stream that is not carried by a connection of this manager.
    ///
    /// # Errors
    /// [`Error::Denied`], and [`Error::Closed`] after [`close`](Self::close).
    pub fn open_stream_of(
        &mut self,
        peer: &P,
        direction: Direction,
    ) -> Result<ScopeId, Error<P, N>> {
        self.check_open()?;
        let peer = self.peer(peer);
        let opened = self.open_stream_at(None, peer, direction);
        self.settle(peer);
        opened
    }

    fn open_stream_at(
        &mut self,
        connection: Option<Index>,
        peer: Index,
        direction: Direction,
    ) -> Result<ScopeId, Error<P, N>> {
        let kind = Kind::Stream(Stream {
            peer,
            protocol: None,
            service: None,
        });
        let parents = match connection {
            Some(connection) => Parents::of(&[connection, peer, TRANSIENT, SYSTEM]),
            None => Parents::of(&[peer, TRANSIENT, SYSTEM]),
        };
        self.open(
            kind,
            parents,
            Slot::Stream.index(),
            &Usage::stream(direction),
        )
    }

    /// Sets the protocol of a stream, which leaves the transient scope.
    ///
    /// # Errors
    /// [`Error::Denied`]: the stream stays as it was; [`Error::Misuse`] if it has a protocol.
    pub fn set_protocol(&mut self, stream: ScopeId, protocol: &N) -> Result<(), Error<P, N>> {
        let before = self.stream(stream)?;
        if before.protocol.is_some() {
            return Err(Error::Misuse("the stream has a protocol"));
        }
        let protocol = self.protocol(protocol);
        let of_peer = self.protocol_peer(protocol, before.peer);
        let moved = self.transfer(stream.index, &[TRANSIENT], &[of_peer, protocol]);
        self.settle(of_peer);
        moved?;
        self.arena.get_mut(stream.index).kind = Kind::Stream(Stream {
            protocol: Some(protocol),
            ..before
        });
        Ok(())
    }

    /// Sets the service of a stream, which has a protocol.
    ///
    /// # Errors
    /// [`Error::Denied`]: the stream stays as it was; [`Error::Misuse`] if it has no protocol, or a
    /// service.
    pub fn set_service(&mut self, stream: ScopeId, service: &N) -> Result<(), Error<P, N>> {
        let before = self.stream(stream)?;
        if before.protocol.is_none() {
            return Err(Error::Misuse("the stream has no protocol"));
        }
        if before.service.is_some() {
            return Err(Error::Misuse("the stream has a service"));
        }
        let service = self.service(service);
        let of_peer = self.service_peer(service, before.peer);
        let moved = self.transfer(stream.index, &[], &[of_peer, service]);
        self.settle(of_peer);
        moved?;
        self.arena.get_mut(stream.index).kind = Kind::Stream(Stream {
            service: Some(service),
            ..before
        });
        Ok(())
    }

    /// Reserves memory in a scope and all that it is charged to.
    ///
    /// # Errors
    /// [`Error::Denied`] and [`Error::Closed`]; nothing is reserved then.
    pub fn reserve_memory(
        &mut self,
        scope: ScopeId,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), Error<P, N>> {
        self.check_live(scope)?;
        self.check_chain(scope.index, bytes, priority)?;
        self.charge_chain(scope.index, |usage| {
            usage.memory = usage.memory.saturating_add(bytes);
        });
        Ok(())
    }

    /// Releases reserved memory; returns whether as much was reserved. More than that is not
    /// released.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn release_memory(&mut self, scope: ScopeId, bytes: u64) -> Result<bool, Error<P, N>> {
        self.check_live(scope)?;
        let reserved = self.arena.get(scope.index).usage.memory;
        let less = bytes.min(reserved);
        self.charge_chain(scope.index, |usage| {
            usage.memory = usage.memory.saturating_sub(less);
        });
        self.settle(scope.index);
        Ok(bytes <= reserved)
    }

    /// Opens a span of a scope: what it reserves is charged to its owner, and returned with it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin_span(&mut self, owner: ScopeId) -> Result<ScopeId, Error<P, N>> {
        self.check_live(owner)?;
        if self.keeps_spans(owner.index) {
            self.arena.get_mut(owner.index).references += 1;
        }
        // The owner is not a parent: the chain of owners is followed, which may be longer.
        let slot = Slot::Unlimited.index();
        let index = self
            .arena
            .insert(Kind::Span { owner }, Parents::default(), slot);
        Ok(self.arena.id(index))
    }

    /// Closes the scope of a connection, of a stream or a span, and releases all that it uses. No
    /// effect on a closed one, and on the scopes that others share.
    ///
    /// Memory that is reserved in a connection is released with the last of its streams, if these
    /// end later.
    pub fn done(&mut self, scope: ScopeId) {
        if !self.arena.is_live(scope) {
            return;
        }
        let index = scope.index;
        let closing = self.arena.get(index);
        match closing.kind {
            Kind::Connection(_) => {
                // Its streams have memory of their own in it.
                let usage = Usage {
                    memory: 0,
                    streams_inbound: 0,
                    streams_outbound: 0,
                    ..closing.usage
                };
                self.charge_chain(index, |used| used.subtract(&usage));
                self.arena.close(index);
                self.settle(index);
            }
            Kind::Stream(_) => {
                self.arena.close(index);
                self.free(index);
            }
            Kind::Span { owner } => {
                let usage = closing.usage;
                self.charge_chain(index, |used| used.subtract(&usage));
                self.arena.close(index);
                self.free(index);
                if self.arena.is_live(owner) && self.keeps_spans(owner.index) {
                    self.arena.get_mut(owner.index).references -= 1;
                    self.settle(owner.index);
                }
            }
            _ => {}
        }
    }

    /// Releases what a closed scope still uses, and frees it.
    fn free(&mut self, index: Index) {
        let scope = self.arena.get(index);
        let (usage, parents) = (scope.usage, scope.parents);
        if scope.pinned {
            self.limits.remove(scope.limit);
        }
        for &parent in parents.as_slice() {
            self.arena.get_mut(parent).usage.subtract(&usage);
        }
        self.arena.free(index);
        for &parent in parents.as_slice() {
            self.settle(parent);
        }
    }

    /// Returns whether spans keep a scope alive: those of a shared one do.
    fn keeps_spans(&self, index: Index) -> bool {
        !matches!(
            self.arena.get(index).kind,
            Kind::Connection(_) | Kind::Stream(_) | Kind::Span { .. }
        )
    }

    /// Returns a scope by name, which stays until [`unhold`](Self::unhold); it is created if need
    /// be. `None` for the scopes of connections, streams and spans, which have no name to be found
    /// by.
    pub fn hold(&mut self, name: &Name<P, N>) -> Option<ScopeId> {
        let index = match name {
            Name::System => SYSTEM,
            Name::Transient => TRANSIENT,
            Name::AllowlistedSystem => ALLOWLISTED_SYSTEM,
            Name::AllowlistedTransient => ALLOWLISTED_TRANSIENT,
            Name::Service(service) => self.service(service),
            Name::Protocol(protocol) => self.protocol(protocol),
            Name::Peer(peer) => self.peer(peer),
            Name::ServicePeer(service, peer) => {
                let (service, peer) = (self.service(service), self.peer(peer));
                self.service_peer(service, peer)
            }
            Name::ProtocolPeer(protocol, peer) => {
                let (protocol, peer) = (self.protocol(protocol), self.peer(peer));
                self.protocol_peer(protocol, peer)
            }
            Name::Connection(_) | Name::Stream(_) | Name::Span(_) => return None,
        };
        self.arena.get_mut(index).references += 1;
        Some(self.arena.id(index))
    }

    /// Ends a [`hold`](Self::hold).
    pub fn unhold(&mut self, scope: ScopeId) {
        if self.arena.is_live(scope) {
            let held = self.arena.get_mut(scope.index);
            held.references = held.references.saturating_sub(1);
            self.settle(scope.index);
        }
    }

    /// Sets the limit of one scope by hand. That of a peer or protocol then stays when it is idle.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_limit(&mut self, scope: ScopeId, limit: Limit) -> Result<(), Error<P, N>> {
        self.check_live(scope)?;
        let of = self.arena.get_mut(scope.index);
        let has_own = of.pinned || scope.index <= ALLOWLISTED_TRANSIENT;
        if has_own {
            self.limits.set(of.limit, limit);
        } else {
            of.limit = self.limits.add(limit);
            of.pinned = true;
        }
        Ok(())
    }

    /// Returns the limit of a scope.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn limit(&self, scope: ScopeId) -> Result<Limit, Error<P, N>> {
        self.check_live(scope)?;
        Ok(*self.limit_of(scope.index))
    }

    /// Returns the limit of every connection.
    pub fn connection_limit(&self) -> Limit {
        *self.limits.get(Slot::Connection.index())
    }

    /// Returns what a scope uses.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn usage(&self, scope: ScopeId) -> Result<Usage, Error<P, N>> {
        self.check_live(scope)?;
        Ok(self.arena.get(scope.index).usage)
    }

    /// Returns the name of a scope; `None` for a closed one.
    pub fn name(&self, scope: ScopeId) -> Option<Name<P, N>> {
        self.arena.is_live(scope).then(|| self.name_of(scope.index))
    }

    /// Returns whether the scope is open.
    pub fn is_live(&self, scope: ScopeId) -> bool {
        self.arena.is_live(scope)
    }

    /// Returns the number of refusals, including those that a dry run has let pass.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns the next refusal that a dry run has let pass.
    pub fn take_passed(&mut self) -> Option<Denied<P, N>> {
        self.passed.pop_front()
    }

    /// Returns the scopes that use most of `resource` within `scope`, the largest first: peers,
    /// protocols and services within the system, their combinations within a peer, a protocol or a
    /// service. Takes time linear in the number of scopes.
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
            (
                Name::System
                | Name::Transient
                | Name::AllowlistedSystem
                | Name::AllowlistedTransient,
                Kind::Peer(_) | Kind::Protocol(_) | Kind::Service(_),
            ) => true,
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

    /// Opens no more connections, streams or spans. What is open is still accounted. Idempotent.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// Removes the idle scopes of peers and protocols that are kept for reuse. The next use creates
    /// them again.
    pub fn sweep(&mut self) {
        while let Some(index) = self.idle.pop_front() {
            self.retire(index);
        }
    }

    fn check_open(&self) -> Result<(), Error<P, N>> {
        if self.closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    fn check_live(&self, scope: ScopeId) -> Result<(), Error<P, N>> {
        let mut scope = scope;
        // A span is closed with its owner.
        loop {
            if !self.arena.is_live(scope) {
                return Err(Error::Closed);
            }
            match self.arena.get(scope.index).kind {
                Kind::Span { owner } => scope = owner,
                _ => return Ok(()),
            }
        }
    }

    fn connection(&self, scope: ScopeId) -> Result<Connection, Error<P, N>> {
        self.check_live(scope)?;
        match self.arena.get(scope.index).kind {
            Kind::Connection(connection) => Ok(connection),
            _ => Err(Error::Misuse("the scope is not that of a connection")),
        }
    }

    fn stream(&self, scope: ScopeId) -> Result<Stream, Error<P, N>> {
        self.check_live(scope)?;
        match self.arena.get(scope.index).kind {
            Kind::Stream(stream) => Ok(stream),
            _ => Err(Error::Misuse("the scope is not that of a stream")),
        }
    }

    fn open(
        &mut self,
        kind: Kind<P, N>,
        parents: Parents,
        limit: u32,
        usage: &Usage,
    ) -> Result<ScopeId, Error<P, N>> {
        let own = *self.limits.get(limit);
        if let Err(resource) = own.check(&Usage::NONE, usage, Priority::ALWAYS) {
            // It has no number yet.
            let scope = match kind {
                Kind::Stream(_) => Name::Stream(0),
                _ => Name::Connection(0),
            };
            self.deny(Denied {
                scope,
                resource,
                limit: own.of(resource),
                current: 0,
                requested: usage.of(resource),
                priority: Priority::ALWAYS,
            })?;
        }
        for &parent in parents.as_slice() {
            self.check(parent, usage, Priority::ALWAYS)?;
        }
        for &parent in parents.as_slice() {
            self.arena.get_mut(parent).usage.add(usage);
        }
        let index = self.arena.insert(kind, parents, limit);
        self.arena.get_mut(index).usage = *usage;
        Ok(self.arena.id(index))
    }

    /// Charges a scope to `joined` in place of `left`.
    fn transfer(
        &mut self,
        index: Index,
        left: &[Index],
        joined: &[Index],
    ) -> Result<(), Error<P, N>> {
        let usage = self.arena.get(index).usage;
        for &parent in joined {
            self.check(parent, &usage, Priority::ALWAYS)?;
        }
        for &parent in joined {
            let scope = self.arena.get_mut(parent);
            scope.usage.add(&usage);
            scope.references += 1;
        }
        let scope = self.arena.get_mut(index);
        scope.parents = scope.parents.moved(left, joined);
        for &parent in left {
            let scope = self.arena.get_mut(parent);
            scope.usage.subtract(&usage);
            scope.references -= 1;
        }
        Ok(())
    }

    fn check(&mut self, index: Index, more: &Usage, priority: Priority) -> Result<(), Error<P, N>> {
        let used = &self.arena.get(index).usage;
        match self.limit_of(index).check(used, more, priority) {
            Ok(()) => Ok(()),
            Err(resource) => self.refuse(index, resource, more.of(resource), priority),
        }
    }

    /// Counts a refusal; returns it unless this is a dry run.
    #[cold]
    fn refuse(
        &mut self,
        index: Index,
        resource: Resource,
        requested: u64,
        priority: Priority,
    ) -> Result<(), Error<P, N>> {
        self.deny(Denied {
            scope: self.name_of(index),
            resource,
            limit: self.limit_of(index).of(resource),
            current: self.arena.get(index).usage.of(resource),
            requested,
            priority,
        })
    }

    fn deny(&mut self, denied: Denied<P, N>) -> Result<(), Error<P, N>> {
        self.refused += 1;
        if !self.dry_run {
            return Err(Error::Denied(denied));
        }
        if self.passed.len() < PASSED_MAX {
            self.passed.push_back(denied);
        }
        Ok(())
    }

    fn check_memory(
        &mut self,
        index: Index,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), Error<P, N>> {
        let used = &self.arena.get(index).usage;
        if self.limit_of(index).has_memory(used, bytes, priority) {
            return Ok(());
        }
        self.refuse(index, Resource::Memory, bytes, priority)
    }

    /// Checks a scope, its owners, and the parents of the last of them.
    fn check_chain(
        &mut self,
        mut index: Index,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), Error<P, N>> {
        loop {
            self.check_memory(index, bytes, priority)?;
            let Kind::Span { owner } = self.arena.get(index).kind else {
                break;
            };
            index = owner.index;
        }
        let parents = self.arena.get(index).parents;
        for &parent in parents.as_slice() {
            self.check_memory(parent, bytes, priority)?;
        }
        Ok(())
    }

    /// Changes the usage of a scope, its owners, and the parents of the last of them. The chain
    /// ends at a closed owner, which has released everything.
    fn charge_chain(&mut self, mut index: Index, change: impl Fn(&mut Usage)) {
        loop {
            change(&mut self.arena.get_mut(index).usage);
            match self.arena.get(index).kind {
                Kind::Span { owner } if self.arena.is_live(owner) => index = owner.index,
                Kind::Span { .. } => return,
                _ => break,
            }
        }
        let parents = self.arena.get(index).parents;
        for &parent in parents.as_slice() {
            change(&mut self.arena.get_mut(parent).usage);
        }
    }

    fn limit_of(&self, index: Index) -> &Limit {
        self.limits.get(self.arena.get(index).limit)
    }

    fn peer(&mut self, peer: &P) -> Index {
        if let Some(&index) = self.peers.get(peer) {
            return index;
        }
        let limit = self.limits.of_peer(peer);
        let index = self.named(Kind::Peer(peer.clone()), limit);
        self.peers.insert(peer.clone(), index);
        index
    }

    fn protocol(&mut self, protocol: &N) -> Index {
        if let Some(&index) = self.protocols.get(protocol) {
            return index;
        }
        let limit = self.limits.of_protocol(protocol);
        let index = self.named(Kind::Protocol(protocol.clone()), limit);
        self.protocols.insert(protocol.clone(), index);
        index
    }

    fn service(&mut self, service: &N) -> Index {
        if let Some(&index) = self.services.get(service) {
            return index;
        }
        let limit = self.limits.of_service(service);
        let index = self.named(Kind::Service(service.clone()), limit);
        self.services.insert(service.clone(), index);
        index
    }

    /// Creates a scope that is charged to the system for what is reserved in it directly.
    fn named(&mut self, kind: Kind<P, N>, limit: u32) -> Index {
        self.arena.insert(kind, Parents::of(&[SYSTEM]), limit)
    }

    fn protocol_peer(&mut self, protocol: Index, peer: Index) -> Index {
        if let Some(&index) = self.protocol_peers.get(&(protocol, peer)) {
            return index;
        }
        let limit = match &self.arena.get(protocol).kind {
            Kind::Protocol(name) => self.limits.of_protocol_peer(name),
            _ => Slot::ProtocolPeer.index(),
        };
        let index = self.combined(Kind::ProtocolPeer { protocol, peer }, limit);
        self.protocol_peers.insert((protocol, peer), index);
        index
    }

    fn service_peer(&mut self, service: Index, peer: Index) -> Index {
        if let Some(&index) = self.service_peers.get(&(service, peer)) {
            return index;
        }
        let limit = match &self.arena.get(service).kind {
            Kind::Service(name) => self.limits.of_service_peer(name),
            _ => Slot::ServicePeer.index(),
        };
        let index = self.combined(Kind::ServicePeer { service, peer }, limit);
        self.service_peers.insert((service, peer), index);
        index
    }

    /// Creates a scope made of two others, which it keeps alive.
    fn combined(&mut self, kind: Kind<P, N>, limit: u32) -> Index {
        for part in parts(&kind) {
            self.arena.get_mut(part).references += 1;
        }
        self.arena.insert(kind, Parents::default(), limit)
    }

    /// Frees a closed connection without streams. Queues a shared scope that has become idle, and
    /// removes the one that was idle longest if there are too many.
    fn settle(&mut self, index: Index) {
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
    fn retire(&mut self, index: Index) {
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
    fn is_idle(&self, index: Index) -> bool {
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

    fn name_of(&self, index: Index) -> Name<P, N> {
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

/// Returns the two scopes that a combined one is made of.
fn parts<P, N>(kind: &Kind<P, N>) -> impl Iterator<Item = Index> + use<P, N> {
    let parts = match *kind {
        Kind::ProtocolPeer { protocol, peer } => Some([protocol, peer]),
        Kind::ServicePeer { service, peer } => Some([service, peer]),
        _ => None,
    };
    parts.into_iter().flatten()
}
