//! Protocols by name, number and handler: the table that JavaScript pushes down.

use std::collections::{HashMap, VecDeque};

use ferroswarm_proto::multistream::{ProtocolId, ProtocolTable};

use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Names one environment may have at a time: those that it serves, and the ones that JavaScript keeps of
/// those it has dialled.
pub(crate) const NAMES_MAX: usize = 1 << 16;

/// Forgotten numbers that are kept back: one that a record on its way still carries does not soon name
/// something else.
pub(crate) const KEPT_BACK: usize = 1 << 12;

/// Names that JavaScript uses, by small numbers that cross the boundary instead of text.
#[derive(Default)]
pub struct ProtocolNames {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<ProtocolId, u32>,
    /// A number is its index and one more.
    by_number: Vec<Option<ProtocolId>>,
    /// Numbers without a name, the longest forgotten first.
    free: VecDeque<u32>,
}

impl Names {
    fn place(&mut self, number: u32) -> Option<&mut Option<ProtocolId>> {
        self.by_number.get_mut((number as usize).checked_sub(1)?)
    }
}

impl ProtocolNames {
    /// The number of `name`, 1 or more; `None` when there are too many names.
    pub fn intern(&self, name: ProtocolId) -> Option<u32> {
        let mut names = self.names.lock();
        if let Some(number) = names.by_name.get(&name) {
            return Some(*number);
        }
        let number = if names.free.len() > KEPT_BACK || names.by_number.len() >= NAMES_MAX {
            names.free.pop_front()?
        } else {
            names.by_number.push(None);
            names.by_number.len() as u32
        };
        *names.place(number)? = Some(name.clone());
        names.by_name.insert(name, number);
        Some(number)
    }

    /// The name of `number`.
    pub fn name(&self, number: u32) -> Option<ProtocolId> {
        self.names.lock().place(number)?.clone()
    }

    /// JavaScript has no use for `number` any more.
    pub fn forget(&self, number: u32) {
        let mut names = self.names.lock();
        if let Some(name) = names.place(number).and_then(Option::take) {
            names.by_name.remove(&name);
            names.free.push_back(number);
        }
    }
}

/// One protocol that a node serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler {
    /// Its number.
    pub protocol: u32,
    /// Inbound streams of it at a time, per connection; past it the new one is reset.
    pub inbound_max: u32,
}

/// What one node serves.
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

    /// Every inbound stream is handed over without negotiation.
    pub fn set_raw(&self, raw: bool) {
        self.raw.store(raw, Ordering::SeqCst);
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.raw.load(Ordering::SeqCst)
    }

    /// The node is closing: from here on no inbound stream is served.
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
