//! The manager: what each operation charges, and to whom.

mod charge;
mod lookup;
mod report;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use foldhash::fast::RandomState;

use crate::resource::error::{Denied, Error, Name};
use crate::resource::limit::{Direction, Limit, Priority, Usage};
use crate::resource::scope::{Arena, Connection, Index, Kind, Parents, ScopeId, Stream};
use crate::resource::table::{Class, LimitTable, Limits};

/// Idle scopes of protocols and peers that are kept: the next stream of a protocol, or the next
/// connection of a peer, finds them without an allocation.
const IDLE_MAX: usize = 256;

/// Refusals of a dry run that wait to be taken; further ones are only counted.
const PASSED_MAX: usize = 64;

/// Scopes of two others, by these: looked up for every stream. No remote chooses an index, so the
/// hash need not resist one that does. It does in the maps by peer and by name, as a predicate of
/// the application may accept any name.
type Pairs = HashMap<(Index, Index), Index, RandomState>;

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
    protocol_peers: Pairs,
    service_peers: Pairs,
    /// Scopes that were idle when they were queued, the first of them first.
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
            (Kind::System, Class::System),
            (Kind::Transient, Class::Transient),
            (Kind::AllowlistedSystem, Class::AllowlistedSystem),
            (Kind::AllowlistedTransient, Class::AllowlistedTransient),
        ];
        for (kind, class) in fixed {
            arena.insert(kind, Parents::default(), class.index(), Usage::NONE);
        }
        Self {
            arena,
            limits: Limits::new(table),
            peers: HashMap::new(),
            protocols: HashMap::new(),
            services: HashMap::new(),
            protocol_peers: Pairs::default(),
            service_peers: Pairs::default(),
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
        let class = Class::Connection.index();
        // Nothing is refused unless the allowlisted scopes are full too.
        let allowlisted = allowlisted && !self.fits(normal, &usage);
        let parents = if allowlisted {
            Parents::of(&[ALLOWLISTED_TRANSIENT, ALLOWLISTED_SYSTEM])
        } else {
            normal
        };
        let kind = Kind::Connection(Connection {
            peer: None,
            allowlisted,
        });
        self.open(kind, parents, class, &usage)
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

    /// Returns whether the peer of a connection is set.
    pub fn has_peer(&self, connection: ScopeId) -> bool {
        self.connection(connection)
            .is_ok_and(|known| known.peer.is_some())
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

    /// Opens the scope of a stream whose protocol is known from the start: it is never transient.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Misuse`] if the connection has no peer.
    pub fn open_stream_for(
        &mut self,
        connection: ScopeId,
        direction: Direction,
        protocol: &N,
    ) -> Result<ScopeId, Error<P, N>> {
        let Some(peer) = self.connection(connection)?.peer else {
            return Err(Error::Misuse("the connection has no peer"));
        };
        let protocol = self.protocol(protocol);
        let of_peer = self.protocol_peer(protocol, peer);
        let kind = Kind::Stream(Stream {
            peer,
            protocol: Some(protocol),
            service: None,
        });
        let parents = Parents::of(&[connection.index, peer, of_peer, protocol, SYSTEM]);
        let usage = Usage::stream(direction);
        let opened = self.open(kind, parents, Class::Stream.index(), &usage);
        if opened.is_err() {
            self.settle(of_peer);
        }
        opened
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
            Class::Stream.index(),
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
        let class = Class::Unlimited.index();
        let index = self
            .arena
            .insert(Kind::Span { owner }, Parents::default(), class, Usage::NONE);
        Ok(self.arena.id(index))
    }

    /// Releases the connections and descriptors of a connection that has ended. Its scope accounts
    /// for memory until [`done`](Self::done).
    pub fn end_connection(&mut self, connection: ScopeId) {
        if !self.arena.is_live(connection) {
            return;
        }
        let index = connection.index;
        let used = self.arena.get(index);
        if !matches!(used.kind, Kind::Connection(_)) {
            return;
        }
        // Its streams have memory and places of their own in it.
        let usage = Usage {
            memory: 0,
            streams_inbound: 0,
            streams_outbound: 0,
            ..used.usage
        };
        self.charge_chain(index, |used| used.subtract(&usage));
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
                self.end_connection(scope);
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
        *self.limits.get(Class::Connection.index())
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

    /// Opens no more connections, nor streams without one. What is open is still accounted, and may
    /// open streams and spans of its own. Idempotent.
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
}
