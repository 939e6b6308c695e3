//! Handles: JavaScript's names of streams and connections.
//!
//! A handle has 20 bits of index and 10 bits of generation, so that it is a small integer in every
//! JavaScript engine. Handles are allocated and freed on the JavaScript thread only.

use std::collections::VecDeque;

const INDEX_BITS: u32 = 20;
const GENERATION_MASK: u32 = (1 << 10) - 1;

/// Maximum number of live streams and connections of one environment.
pub const HANDLES_MAX: usize = 1 << INDEX_BITS;

/// Set in the result of `open` while the stream is still in INIT, and in that of `submit` with an
/// end while the only proposal is unanswered.
pub const HANDLE_PENDING: u32 = 1 << 30;

/// Name of a live object; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Handle(u32);

impl Handle {
    /// Wraps a handle passed by JavaScript; it may be stale.
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Returns the number that crosses the boundary.
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    const fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

struct Entry<T> {
    generation: u32,
    object: Option<T>,
}

/// Generational table. Freed entries are reused in the order in which they were freed, so that a
/// generation recurs only after 1,023 rounds through all free entries.
pub(crate) struct Registry<T> {
    entries: Vec<Entry<T>>,
    free: VecDeque<u32>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: VecDeque::new(),
        }
    }
}

/// Entries kept free before one is reused, so that a stale handle is detected even in a small
/// table.
const FREE_MIN: usize = 64;

impl<T> Registry<T> {
    /// Inserts `object` and returns its handle; `None` when [`HANDLES_MAX`] objects are alive.
    pub(crate) fn insert(&mut self, object: T) -> Option<Handle> {
        if self.free.len() <= FREE_MIN && self.entries.len() < HANDLES_MAX {
            // Generation 0 is skipped so that no handle is 0.
            let index = self.entries.len();
            self.entries.push(Entry {
                generation: 1,
                object: Some(object),
            });
            return Some(Self::handle(index, 1));
        }
        let index = self.free.pop_front()? as usize;
        let entry = &mut self.entries[index];
        entry.object = Some(object);
        Some(Self::handle(index, entry.generation))
    }

    /// Returns the object, unless the handle is stale.
    pub(crate) fn get(&self, handle: Handle) -> Option<&T> {
        let entry = self.entries.get(handle.index())?;
        if Self::handle(handle.index(), entry.generation) != handle {
            return None;
        }
        entry.object.as_ref()
    }

    /// Frees the handle and returns its object.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get(handle)?;
        let entry = &mut self.entries[handle.index()];
        entry.generation = match (entry.generation + 1) & GENERATION_MASK {
            0 => 1,
            generation => generation,
        };
        self.free.push_back(handle.index() as u32);
        entry.object.take()
    }

    /// Returns whether no handle is left.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() == HANDLES_MAX && self.free.is_empty()
    }

    const fn handle(index: usize, generation: u32) -> Handle {
        Handle(index as u32 | generation << INDEX_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_handle_stays_stale() {
        let mut registry = Registry::default();
        let first = registry.insert('a').unwrap();
        assert_eq!(registry.remove(first), Some('a'));
        for round in 0..500 {
            let next = registry.insert('b').unwrap();
            assert_ne!(next, first, "round {round}");
            assert_eq!(registry.get(first), None);
            assert_eq!(registry.remove(first), None);
            registry.remove(next);
        }
    }

    #[test]
    fn a_handle_is_never_zero_and_fits_thirty_bits() {
        let mut registry = Registry::default();
        for object in 0..1_000 {
            let handle = registry.insert(object).unwrap();
            assert!(handle.raw() > 0 && handle.raw() < HANDLE_PENDING);
        }
    }
}
