//! Protocols by name, number and handler: the tables set by JavaScript.

use std::collections::{HashMap, VecDeque};

use ferroswarm_proto::multistream::{ProtocolId, ProtocolTable};

use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Maximum number of names of one environment: protocols it serves, and those it has dialled that
/// JavaScript still keeps.
pub(crate) const NAMES_MAX: usize = 1 << 16;

/// Numbers kept free before one is reused, so that a number in a record in flight does not soon
/// name another protocol.
pub(crate) const FREE_MIN: usize = 1 << 12;

/// Protocol names by small numbers, which cross the boundary to JavaScript instead of text.
#[derive(Default)]
pub struct ProtocolNames {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<ProtocolId, u32>,
    /// A number is its index plus one.
    by_number: Vec<Option<ProtocolId>>,
    /// Free numbers, least recently freed first.
    free: VecDeque<u32>,
}

impl Names {
    fn entry(&mut self, number: u32) -> Option<&mut Option<ProtocolId>> {
        self.by_number.get_mut((number as usize).checked_sub(1)?)
    }
}

impl ProtocolNames {
    /// Returns the number of `name`, at least 1; `None` when there are too many names.
    pub fn intern(&self, name: ProtocolId) -> Option<u32> {
        let mut names = self.names.lock();
        if let Some(number) = names.by_name.get(&name) {
            return Some(*number);
        }
        let number = if names.free.len() > FREE_MIN || names.by_number.len() >= NAMES_MAX {
            names.free.pop_front()?
        } else {
            names.by_number.push(None);
            names.by_number.len() as u32
        };
        *names.entry(number)? = Some(name.clone());
        names.by_name.insert(name, number);
        Some(number)
    }

    /// Returns the name of `number`.
    pub fn name(&self, number: u32) -> Option<ProtocolId> {
        self.names.lock().entry(number)?.clone()
    }

    /// Returns the names of `numbers`; `None` if one of them has none.
    pub(crate) fn all(&self, numbers: &[u32]) -> Option<Box<[ProtocolId]>> {
        if numbers.is_empty() {
            return Some(Box::default());
        }
        let mut names = self.names.lock();
        let found = numbers.iter().map(|&number| names.entry(number)?.clone());
        found.collect()
    }

    /// Frees `number`, which JavaScript no longer uses.
    pub fn forget(&self, number: u32) {
        let mut names = self.names.lock();
        if let Some(name) = names.entry(number).and_then(Option::take) {
            names.by_name.remove(&name);
            names.free.push_back(number);
        }
    }
}

/// One protocol that a node serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler {
    /// Its protocol number.
    pub protocol: u32,
    /// Maximum concurrent inbound streams per connection; further ones are reset.
    pub inbound_max: u32,
    /// Number of the service that its streams are charged to; 0 for none.
    pub service: u32,
}

/// Protocols that one node serves.
#[derive(Default)]
pub struct Handlers {
    table: Mutex<Arc<ProtocolTable<Handler>>>,
    raw: AtomicBool,
    closed: AtomicBool,
}

impl Handlers {
    /// Replaces the whole table.
    pub fn set(&self, table: ProtocolTable<Handler>) {
        *self.table.lock() = Arc::new(table);
    }

    /// Sets whether every inbound stream is handed over without negotiation.
    pub fn set_raw(&self, raw: bool) {
        self.raw.store(raw, Ordering::SeqCst);
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.raw.load(Ordering::SeqCst)
    }

    /// Stops serving inbound streams: the node is closing.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn table(&self) -> Arc<ProtocolTable<Handler>> {
        Arc::clone(&self.table.lock())
    }
}
