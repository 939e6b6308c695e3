//! The scopes in memory: an arena of small records that refer to each other by index.

use super::limit::Usage;

/// Number of scopes that a stream is charged to besides itself: its connection, its peer, a
/// protocol, that protocol for the peer, a service, that service for the peer, and the system.
const PARENTS_MAX: usize = 7;

/// Id of a scope. Calls with that of a closed one fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScopeId {
    pub(super) index: Index,
    generation: u32,
}

impl ScopeId {
    /// Returns it as one number of at most 53 bits, which JavaScript can hold.
    pub const fn to_bits(self) -> u64 {
        self.index as u64 | (self.generation as u64) << 32
    }

    /// Restores it from [`to_bits`](Self::to_bits). Any number is allowed: one that denotes no
    /// scope behaves like a closed one.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

/// Generations wrap here, as an id crosses to JavaScript in 53 bits. A stale id of one in two
/// million closed scopes at the same index could be confused with a live one.
const GENERATIONS: u32 = 1 << 21;

/// Position in the arena.
pub(super) type Index = u32;

/// Scopes that one is charged to besides itself, without repetition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parents {
    indices: [Index; PARENTS_MAX],
    length: u8,
}

impl Parents {
    pub(super) fn of(parents: &[Index]) -> Self {
        let mut of = Self::default();
        of.indices[..parents.len()].copy_from_slice(parents);
        of.length = parents.len() as u8;
        of
    }

    /// Returns them without those of `left`, and with those of `joined`, which end up before the
    /// last one kept: scopes are listed from the smallest to the largest.
    pub(super) fn moved(&self, left: &[Index], joined: &[Index]) -> Self {
        let mut moved = Self::default();
        let mut last = None;
        let kept = self.as_slice().iter();
        for &parent in kept.filter(|parent| !left.contains(parent)) {
            if let Some(before) = last.replace(parent) {
                moved.push(before);
            }
        }
        joined.iter().for_each(|&parent| moved.push(parent));
        if let Some(last) = last {
            moved.push(last);
        }
        moved
    }

    fn push(&mut self, parent: Index) {
        self.indices[usize::from(self.length)] = parent;
        self.length += 1;
    }

    pub(super) fn as_slice(&self) -> &[Index] {
        &self.indices[..usize::from(self.length)]
    }
}

/// Identity of a scope. Those made of two refer to them by index and keep them alive.
#[derive(Debug, Clone)]
pub(super) enum Kind<P, N> {
    System,
    Transient,
    AllowlistedSystem,
    AllowlistedTransient,
    Service(N),
    Protocol(N),
    Peer(P),
    ServicePeer { service: Index, peer: Index },
    ProtocolPeer { protocol: Index, peer: Index },
    Connection(Connection),
    Stream(Stream),
    Span { owner: ScopeId },
}

/// A connection's place in the graph.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Connection {
    pub(super) peer: Option<Index>,
    /// It is charged to the allowlisted scopes.
    pub(super) allowlisted: bool,
}

/// A stream's place in the graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) peer: Index,
    pub(super) protocol: Option<Index>,
    pub(super) service: Option<Index>,
}

#[derive(Debug)]
pub(super) struct Scope<P, N> {
    pub(super) kind: Kind<P, N>,
    pub(super) usage: Usage,
    pub(super) parents: Parents,
    /// Index of its limit.
    pub(super) limit: u32,
    /// Scopes that are charged to it or made of it, and views of it.
    pub(super) references: u32,
    generation: u32,
    /// It stays when idle, as its limit was set by hand.
    pub(super) pinned: bool,
    /// It is in the queue of idle scopes.
    pub(super) queued: bool,
    /// False for one that is closed, or free.
    pub(super) live: bool,
}

/// The scopes of a node. Memory of closed ones is reused.
#[derive(Debug)]
pub(super) struct Arena<P, N> {
    scopes: Vec<Scope<P, N>>,
    free: Vec<Index>,
}

impl<P, N> Arena<P, N> {
    pub(super) const fn new() -> Self {
        Self {
            scopes: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Inserts a scope that uses `usage`, which is charged to its parents.
    pub(super) fn insert(
        &mut self,
        kind: Kind<P, N>,
        parents: Parents,
        limit: u32,
        usage: Usage,
    ) -> Index {
        for &parent in parents.as_slice() {
            let parent = self.get_mut(parent);
            parent.references += 1;
            parent.usage.add(&usage);
        }
        let scope = Scope {
            kind,
            usage,
            parents,
            limit,
            references: 0,
            generation: 0,
            pinned: false,
            queued: false,
            live: true,
        };
        if let Some(index) = self.free.pop() {
            let place = self.get_mut(index);
            let generation = place.generation;
            *place = Scope {
                generation,
                ..scope
            };
            return index;
        }
        self.scopes.push(scope);
        (self.scopes.len() - 1) as Index
    }

    /// Closes a scope: ids of it are not valid any more.
    pub(super) fn close(&mut self, index: Index) {
        let scope = self.get_mut(index);
        scope.live = false;
        scope.generation = (scope.generation + 1) % GENERATIONS;
    }

    /// Frees a closed scope. The caller takes its usage and its reference from the parents.
    pub(super) fn free(&mut self, index: Index) {
        self.get_mut(index).kind = Kind::System;
        self.free.push(index);
    }

    pub(super) fn get(&self, index: Index) -> &Scope<P, N> {
        &self.scopes[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: Index) -> &mut Scope<P, N> {
        &mut self.scopes[index as usize]
    }

    pub(super) fn id(&self, index: Index) -> ScopeId {
        ScopeId {
            index,
            generation: self.get(index).generation,
        }
    }

    /// Returns whether the scope is open.
    pub(super) fn is_live(&self, id: ScopeId) -> bool {
        self.scopes
            .get(id.index as usize)
            .is_some_and(|scope| scope.live && scope.generation == id.generation)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (Index, &Scope<P, N>)> {
        let numbered = self.scopes.iter().enumerate();
        numbered
            .filter(|(_, scope)| scope.live)
            .map(|(index, scope)| (index as Index, scope))
    }
}
