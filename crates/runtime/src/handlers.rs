//! Protocols by name, number and handler: the table that JavaScript pushes down.

use std::collections::HashMap;

use ferroswarm_proto::multistream::{ProtocolId, ProtocolTable};

use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Names one environment may intern: protocols are code, not data, so a leak shows early.
const NAMES_MAX: usize = 1 << 16;

/// Names that JavaScript uses, by small numbers that cross the boundary instead of text.
#[derive(Default)]
pub struct ProtocolNames {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<ProtocolId, u32>,
    by_number: Vec<ProtocolId>,
}

impl ProtocolNames {
    /// The number of `name`, 1 or more; `None` when there are too many names.
    pub fn intern(&self, name: ProtocolId) -> Option<u32> {
        let mut names = self.names.lock();
        if let Some(number) = names.by_name.get(&name) {
            return Some(*number);
        }
        if names.by_number.len() >= NAMES_MAX {
            return None;
        }
        names.by_number.push(name.clone());
        let number = names.by_number.len() as u32;
        names.by_name.insert(name, number);
        Some(number)
    }

    /// The name of `number`.
    pub fn name(&self, number: u32) -> Option<ProtocolId> {
        let index = (number as usize).checked_sub(1)?;
        self.names.lock().by_number.get(index).cloned()
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

    pub(crate) fn table(&self) -> Arc<ProtocolTable<Handler>> {
        Arc::clone(&self.table.lock())
    }
}
