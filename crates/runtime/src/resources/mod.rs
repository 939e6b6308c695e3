//! Resource accounting of a node: the manager of its scopes, and what it counts per subnet, behind
//! one lock.
//!
//! The lock is a leaf: nothing is called under it that takes another one, so it may be taken under
//! any other. It is held for less than a microsecond, except by reports, which take time in the
//! number of scopes. The scopes of the node's own connections and streams are closed at the latest
//! when their last owner is dropped, so no release is lost on any path; the application closes its
//! own with [`Resources::done`]. The checks of a scope's charge and the charge itself happen under
//! one acquisition, so that no other thread sees a part of them.

mod memory;
mod options;
mod refusal;
mod scopes;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{
    self, Error, Exemptions, Limit, Manager, Name, Priority, RateRefusal, Rates, Resource, Subnets,
    Usage, VerifySource,
};
use ferroswarm_secure::PeerId;

use crate::connection::Direction;
use crate::sync::{Arc, AtomicBool, Mutex};

pub(crate) use self::memory::MemoryCharge;
pub use self::options::{Allowed, ResourceOptions};
pub use self::refusal::{Bound, PeerError, Refusal};
pub(crate) use self::scopes::{ConnectionScope, StreamScope};
pub use ferroswarm_proto::resource::ScopeId;

/// Name of a scope of a node.
pub type ScopeName = Name<Arc<PeerId>, ProtocolId>;

/// Failure of an operation on a scope.
pub type ScopeError = Error<Arc<PeerId>, ProtocolId>;

/// Refusals by subnets and rates of a dry run that wait to be taken; further ones are only counted.
const PASSED_MAX: usize = 64;

/// Accounting of one node.
pub struct Resources {
    state: Mutex<State>,
    exemptions: Exemptions,
    allowlist: Vec<Allowed>,
}

/// What the limits on networks know of an inbound connection.
#[derive(Clone, Copy)]
struct Accepted {
    host: IpAddr,
    /// The limits on subnets were skipped, as the host is allowlisted.
    skipped_subnets: bool,
    /// It is counted in the subnets of the host.
    entered: bool,
}

struct State {
    manager: Manager<Arc<PeerId>, ProtocolId>,
    /// Those whose scopes are the application's: at most as many as there are scopes of connections.
    accepted: HashMap<ScopeId, Accepted>,
    subnets: Subnets,
    rates: Rates,
    sources: VerifySource,
    dry_run: bool,
    /// Refusals of subnets and rates.
    refused: u64,
    /// Those of them that a dry run has let pass.
    passed: VecDeque<Refusal>,
}

impl State {
    /// Counts a refusal; returns it unless this is a dry run.
    fn refuse(&mut self, refusal: impl Into<Refusal>) -> Result<(), Refusal> {
        self.refused += 1;
        if !self.dry_run {
            return Err(refusal.into());
        }
        if self.passed.len() < PASSED_MAX {
            self.passed.push_back(refusal.into());
        }
        Ok(())
    }

    /// Counts a connection in the subnets of `host`; returns whether it did: in a dry run,
    /// not if a limit is reached.
    fn enter(&mut self, host: IpAddr) -> Result<bool, Refusal> {
        match self.subnets.enter(host) {
            Ok(()) => Ok(true),
            Err(refusal) => self.refuse(refusal).map(|()| false),
        }
    }
}

impl Resources {
    /// Creates the accounting of a node, with nothing in use.
    pub fn new(options: ResourceOptions) -> Arc<Self> {
        let sources = VerifySource::new(&options.subnets);
        Arc::new(Self {
            state: Mutex::new(State {
                manager: Manager::new(options.limits, options.dry_run),
                accepted: HashMap::new(),
                subnets: Subnets::new(options.subnets),
                rates: Rates::new(&options.rates),
                sources,
                dry_run: options.dry_run,
                refused: 0,
                passed: VecDeque::new(),
            }),
            exemptions: options.exemptions,
            allowlist: options.allowlist,
        })
    }

    /// Opens the scope of a connection that a remote at `host` has opened, before a byte is
    /// exchanged. Checks, in this order: connections of its subnets, their rate, and the
    /// transient and system scopes. An allowlisted host, and a remote without a host, is exempt from
    /// the first two.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) fn accept(
        self: &Arc<Self>,
        host: Option<IpAddr>,
        fds: u32,
        now: Duration,
    ) -> Result<ConnectionScope, Refusal> {
        let Some(host) = host else {
            return self.open(Direction::Inbound, None, fds);
        };
        let (id, accepted) = self.admit(host, fds, now)?;
        Ok(self.scope_of(id, accepted))
    }

    fn admit(&self, host: IpAddr, fds: u32, now: Duration) -> Result<(ScopeId, Accepted), Refusal> {
        let allowlisted = self.is_allowlisted(host, None);
        let exempt = self.exemptions.covers(host);
        let mut state = self.state.lock();
        let mut entered = false;
        if !allowlisted && !exempt {
            entered = state.enter(host)?;
            if let Err(refusal) = state.rates.take(host, now)
                && let Err(refusal) = state.refuse(refusal)
            {
                if entered {
                    state.subnets.leave(host);
                }
                return Err(refusal);
            }
        }
        let opened = state
            .manager
            .open_connection(resource::Direction::Inbound, fds, allowlisted);
        if opened.is_err() && entered {
            state.subnets.leave(host);
        }
        let accepted = Accepted {
            host,
            skipped_subnets: allowlisted && !exempt,
            entered,
        };
        Ok((opened.map_err(Refusal::from)?, accepted))
    }

    fn scope_of(self: &Arc<Self>, id: ScopeId, accepted: Accepted) -> ConnectionScope {
        ConnectionScope {
            id,
            resources: Arc::clone(self),
            endpoint: Some(accepted.host),
            skipped_subnets: accepted.skipped_subnets,
            handed_over: AtomicBool::new(false),
            entered: AtomicBool::new(accepted.entered),
        }
    }

    /// Opens the scope of a connection that is dialled, before it has a socket.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn dial(
        self: &Arc<Self>,
        endpoint: Option<IpAddr>,
        fds: u32,
    ) -> Result<ConnectionScope, Refusal> {
        self.open(Direction::Outbound, endpoint, fds)
    }

    /// Opens the scope of a connection to which the limits on networks do not apply.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn open(
        self: &Arc<Self>,
        direction: Direction,
        endpoint: Option<IpAddr>,
        fds: u32,
    ) -> Result<ConnectionScope, Refusal> {
        let id = self.open_anywhere(direction, fds, endpoint)?;
        Ok(self.unlimited(id, endpoint))
    }

    /// Takes over the scope of a connection that the application has opened.
    pub(crate) fn take_over(
        self: &Arc<Self>,
        id: ScopeId,
        endpoint: Option<IpAddr>,
    ) -> ConnectionScope {
        let accepted = self.state.lock().accepted.remove(&id);
        match accepted {
            Some(accepted) => self.scope_of(id, accepted),
            None => self.unlimited(id, endpoint),
        }
    }

    fn unlimited(self: &Arc<Self>, id: ScopeId, endpoint: Option<IpAddr>) -> ConnectionScope {
        ConnectionScope {
            id,
            resources: Arc::clone(self),
            endpoint,
            skipped_subnets: false,
            handed_over: AtomicBool::new(false),
            entered: AtomicBool::new(false),
        }
    }

    /// Opens the scope of a stream on a connection with a peer.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn open_stream(
        self: &Arc<Self>,
        connection: ScopeId,
        direction: Direction,
    ) -> Result<StreamScope, Refusal> {
        let opened = self
            .state
            .lock()
            .manager
            .open_stream(connection, direction.into());
        self.stream_scope(opened)
    }

    /// Opens the scope of a stream whose protocol is known from the start.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn open_stream_for(
        self: &Arc<Self>,
        connection: ScopeId,
        direction: Direction,
        protocol: &ProtocolId,
    ) -> Result<StreamScope, Refusal> {
        let mut state = self.state.lock();
        let direction = direction.into();
        let opened = state
            .manager
            .open_stream_for(connection, direction, protocol);
        drop(state);
        self.stream_scope(opened)
    }

    fn stream_scope(
        self: &Arc<Self>,
        opened: Result<ScopeId, ScopeError>,
    ) -> Result<StreamScope, Refusal> {
        Ok(StreamScope {
            id: opened.map_err(Refusal::from)?,
            resources: Arc::clone(self),
            window_growth: 0,
        })
    }

    /// Opens the scope of a connection for the application, which closes it with
    /// [`done`](Self::done). The limits on networks apply to an inbound one whose endpoint is known,
    /// which arrives at `now`, a time since the start of the node.
    ///
    /// # Errors
    /// The refusal.
    pub fn open_connection(
        &self,
        direction: Direction,
        fds: u32,
        endpoint: Option<IpAddr>,
        now: Duration,
    ) -> Result<ScopeId, Refusal> {
        if let (Direction::Inbound, Some(host)) = (direction, endpoint) {
            let (id, accepted) = self.admit(host, fds, now)?;
            self.state.lock().accepted.insert(id, accepted);
            return Ok(id);
        }
        self.open_anywhere(direction, fds, endpoint)
    }

    /// Opens the scope of a connection to which the limits on networks do not apply.
    fn open_anywhere(
        &self,
        direction: Direction,
        fds: u32,
        endpoint: Option<IpAddr>,
    ) -> Result<ScopeId, Refusal> {
        let allowlisted = endpoint.is_some_and(|host| self.is_allowlisted(host, None));
        let mut state = self.state.lock();
        let opened = state
            .manager
            .open_connection(direction.into(), fds, allowlisted);
        opened.map_err(Refusal::from)
    }

    /// Sets the peer of such a connection; it stays as it was if that fails. If only other peers are
    /// allowlisted at its host, the limits on subnets apply from here on.
    ///
    /// # Errors
    /// The refusal, or the misuse.
    pub fn set_peer(
        &self,
        connection: ScopeId,
        peer: PeerId,
        endpoint: Option<IpAddr>,
    ) -> Result<(), PeerError> {
        let allowlisted = endpoint.is_some_and(|host| self.is_allowlisted(host, Some(&peer)));
        let peer = Arc::new(peer);
        let mut state = self.state.lock();
        let late = state
            .accepted
            .get(&connection)
            .copied()
            .filter(|it| it.skipped_subnets && !it.entered && !allowlisted)
            .filter(|_| !state.manager.has_peer(connection));
        let entered = match late {
            Some(accepted) => state.enter(accepted.host)?,
            None => false,
        };
        let set = state.manager.set_peer(connection, &peer, allowlisted);
        if let Some(accepted) = late.filter(|_| entered) {
            if set.is_ok() {
                let accepted = Accepted {
                    entered,
                    ..accepted
                };
                state.accepted.insert(connection, accepted);
            } else {
                state.subnets.leave(accepted.host);
            }
        }
        Ok(set?)
    }

    /// Opens the scope of a stream for the application, which closes it with [`done`](Self::done).
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn open_stream_of(
        &self,
        peer: PeerId,
        direction: Direction,
    ) -> Result<ScopeId, ScopeError> {
        let peer = Arc::new(peer);
        let mut state = self.state.lock();
        state.manager.open_stream_of(&peer, direction.into())
    }

    /// Sets the protocol of a stream.
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn set_protocol(&self, stream: ScopeId, protocol: &ProtocolId) -> Result<(), ScopeError> {
        self.state.lock().manager.set_protocol(stream, protocol)
    }

    /// Sets the service of a stream that has a protocol.
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn set_service(&self, stream: ScopeId, service: &ProtocolId) -> Result<(), ScopeError> {
        self.state.lock().manager.set_service(stream, service)
    }

    /// Reserves memory in a scope.
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn reserve_memory(
        &self,
        scope: ScopeId,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), ScopeError> {
        let mut state = self.state.lock();
        state.manager.reserve_memory(scope, bytes, priority)
    }

    /// Releases memory; returns whether as much was reserved.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn release_memory(&self, scope: ScopeId, bytes: u64) -> Result<bool, ScopeError> {
        self.state.lock().manager.release_memory(scope, bytes)
    }

    /// Opens a span of a scope.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin_span(&self, scope: ScopeId) -> Result<ScopeId, ScopeError> {
        self.state.lock().manager.begin_span(scope)
    }

    /// Gives back the places of a connection that has ended, whose scope still accounts for memory.
    #[cfg(test)]
    pub(crate) fn end_connection(&self, connection: ScopeId) {
        self.state.lock().manager.end_connection(connection);
    }

    /// Closes a connection's, a stream's or a span's scope. Idempotent.
    pub fn done(&self, scope: ScopeId) {
        let mut state = self.state.lock();
        state.manager.done(scope);
        // Every stream and span is closed here too: most nodes have no such connections.
        if state.accepted.is_empty() {
            return;
        }
        if let Some(accepted) = state.accepted.remove(&scope).filter(|it| it.entered) {
            state.subnets.leave(accepted.host);
        }
    }

    /// Returns a shared scope by name, until [`unhold`](Self::unhold).
    pub fn hold(&self, name: &ScopeName) -> Option<ScopeId> {
        self.state.lock().manager.hold(name)
    }

    /// Ends a [`hold`](Self::hold).
    pub fn unhold(&self, scope: ScopeId) {
        self.state.lock().manager.unhold(scope);
    }

    /// Returns usage and limit of a scope.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn stat(&self, scope: ScopeId) -> Result<(Usage, Limit), ScopeError> {
        let state = self.state.lock();
        let usage = state.manager.usage(scope)?;
        Ok((usage, state.manager.limit(scope)?))
    }

    /// Returns the name of an open scope.
    pub fn name(&self, scope: ScopeId) -> Option<ScopeName> {
        self.state.lock().manager.name(scope)
    }

    /// Sets the limit of one scope.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_limit(&self, scope: ScopeId, limit: Limit) -> Result<(), ScopeError> {
        self.state.lock().manager.set_limit(scope, limit)
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.state.lock().dry_run
    }

    /// Returns the limit that every connection has.
    pub fn connection_limit(&self) -> Limit {
        self.state.lock().manager.connection_limit()
    }

    /// Returns the largest users of a resource within a scope.
    pub fn holders(
        &self,
        scope: &ScopeName,
        resource: Resource,
        count: usize,
    ) -> Vec<(ScopeName, u64)> {
        self.state.lock().manager.holders(scope, resource, count)
    }

    /// Returns every scope that is not that of one connection or stream, with usage and limit.
    pub fn report(&self) -> Vec<(ScopeName, Usage, Limit)> {
        let mut report = Vec::new();
        let state = self.state.lock();
        state
            .manager
            .for_each_named(|name, usage, limit| report.push((name, *usage, *limit)));
        report
    }

    /// Returns the number of refusals so far, of a dry run too.
    pub fn refused(&self) -> u64 {
        let state = self.state.lock();
        state.refused + state.manager.refused()
    }

    /// Returns the next refusal that a dry run has let pass.
    pub fn take_passed(&self) -> Option<Refusal> {
        let mut state = self.state.lock();
        let passed = state.passed.pop_front();
        passed.or_else(|| state.manager.take_passed().map(Refusal::from))
    }

    /// Returns whether the address of a remote must be verified before a handshake with it, as it
    /// sends more than others.
    pub fn must_verify(&self, host: IpAddr, now: Duration) -> bool {
        if self.is_allowlisted(host, None) || self.exemptions.covers(host) {
            return false;
        }
        self.state.lock().sources.must_verify(host, now)
    }

    /// Takes points from the buckets of the rates of inbound connections, as one that arrives from `host`
    /// does. Allowlisted and exempt hosts are not counted.
    ///
    /// # Errors
    /// The refusal of the first subnet with fewer points, from which none is taken then.
    pub fn consume(&self, host: IpAddr, points: u32, now: Duration) -> Result<(), RateRefusal> {
        if self.is_allowlisted(host, None) || self.exemptions.covers(host) {
            return Ok(());
        }
        let mut state = self.state.lock();
        let Err(refusal) = state.rates.take_many(host, points, now) else {
            return Ok(());
        };
        // Not passed on in a dry run.
        state.refuse(refusal).map_err(|_| refusal)
    }

    /// Fills the buckets of the rates: those of the subnets of `host`, or all.
    pub fn reset_rates(&self, host: Option<IpAddr>) {
        let mut state = self.state.lock();
        match host {
            Some(host) => state.rates.refill(host),
            None => state.rates.refill_all(),
        }
    }

    /// Opens no more connections. Idempotent.
    pub fn close(&self) {
        self.state.lock().manager.close();
    }

    fn is_allowlisted(&self, host: IpAddr, peer: Option<&PeerId>) -> bool {
        self.allowlist.iter().any(|allowed| {
            let is_peer = match (&allowed.peer, peer) {
                // Before the handshake any peer may be the one that is meant.
                (None, _) | (Some(_), None) => true,
                (Some(allowed), Some(peer)) => allowed == peer,
            };
            is_peer && allowed.network.contains(host)
        })
    }
}

impl From<Direction> for resource::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::Inbound,
            Direction::Outbound => Self::Outbound,
        }
    }
}
