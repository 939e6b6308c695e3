//! Checks and charges: of all scopes concerned, or of none.

use std::hash::Hash;

use crate::resource::error::{Denied, Error, Name};
use crate::resource::limit::{Limit, Priority, Resource, Usage};
use crate::resource::scope::{Connection, Index, Kind, Parents, ScopeId, Stream};

use super::{Manager, PASSED_MAX};

impl<P: Clone + Eq + Hash, N: Clone + Eq + Hash> Manager<P, N> {
    pub(super) fn check_open(&self) -> Result<(), Error<P, N>> {
        if self.closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(super) fn check_live(&self, scope: ScopeId) -> Result<(), Error<P, N>> {
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

    pub(super) fn connection(&self, scope: ScopeId) -> Result<Connection, Error<P, N>> {
        self.check_live(scope)?;
        match self.arena.get(scope.index).kind {
            Kind::Connection(connection) => Ok(connection),
            _ => Err(Error::Misuse("the scope is not that of a connection")),
        }
    }

    pub(super) fn stream(&self, scope: ScopeId) -> Result<Stream, Error<P, N>> {
        self.check_live(scope)?;
        match self.arena.get(scope.index).kind {
            Kind::Stream(stream) => Ok(stream),
            _ => Err(Error::Misuse("the scope is not that of a stream")),
        }
    }

    pub(super) fn open(
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
        let index = self.arena.insert(kind, parents, limit, *usage);
        Ok(self.arena.id(index))
    }

    /// Charges a scope to `joined` in place of `left`.
    pub(super) fn transfer(
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

    /// Returns whether these scopes have room.
    pub(super) fn fits(&self, parents: Parents, more: &Usage) -> bool {
        parents.as_slice().iter().all(|&parent| {
            let used = &self.arena.get(parent).usage;
            let limit = self.limit_of(parent);
            limit.check(used, more, Priority::ALWAYS).is_ok()
        })
    }

    pub(super) fn check(
        &mut self,
        index: Index,
        more: &Usage,
        priority: Priority,
    ) -> Result<(), Error<P, N>> {
        let used = &self.arena.get(index).usage;
        match self.limit_of(index).check(used, more, priority) {
            Ok(()) => Ok(()),
            Err(resource) => self.refuse(index, resource, more.of(resource), priority),
        }
    }

    /// Counts a refusal; returns it unless this is a dry run.
    #[cold]
    pub(super) fn refuse(
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

    pub(super) fn deny(&mut self, denied: Denied<P, N>) -> Result<(), Error<P, N>> {
        self.refused += 1;
        if !self.dry_run {
            return Err(Error::Denied(denied));
        }
        if self.passed.len() < PASSED_MAX {
            self.passed.push_back(denied);
        }
        Ok(())
    }

    pub(super) fn check_memory(
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
    pub(super) fn check_chain(
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
    pub(super) fn charge_chain(&mut self, mut index: Index, change: impl Fn(&mut Usage)) {
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

    pub(super) fn limit_of(&self, index: Index) -> &Limit {
        self.limits.get(self.arena.get(index).limit)
    }

    /// Releases what a closed scope still uses, and frees it.
    pub(super) fn free(&mut self, index: Index) {
        let scope = self.arena.get(index);
        let (usage, parents) = (scope.usage, scope.parents);
        if scope.pinned {
            self.limits.remove(scope.limit);
        }
        self.arena.free(index);
        for &parent in parents.as_slice() {
            let scope = self.arena.get_mut(parent);
            scope.usage.subtract(&usage);
            scope.references -= 1;
            // Parents that follow are still referred to: none of them is removed meanwhile.
            if scope.references == 0 {
                self.settle(parent);
            }
        }
    }

    /// Returns whether spans keep a scope alive: those of a shared one do.
    pub(super) fn keeps_spans(&self, index: Index) -> bool {
        !matches!(
            self.arena.get(index).kind,
            Kind::Connection(_) | Kind::Stream(_) | Kind::Span { .. }
        )
    }
}
