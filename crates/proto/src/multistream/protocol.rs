//! Names of protocols, and the table of those that are served.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::line::LINE_BYTES_MAX;

/// Name of a protocol: what one line can carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolId(Arc<str>);

/// The text cannot name a protocol.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a protocol name has 1 to 1023 bytes and no newline")]
pub struct InvalidProtocol;

impl ProtocolId {
    /// The name `text`.
    ///
    /// # Errors
    /// If it is empty, longer than a line, or has a newline in it.
    pub fn new(text: &str) -> Result<Self, InvalidProtocol> {
        if text.is_empty() || text.len() >= LINE_BYTES_MAX || text.contains('\n') {
            return Err(InvalidProtocol);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The protocols that are served, each with the caller's value for it.
#[derive(Debug, Clone)]
pub struct ProtocolTable<T> {
    by_name: HashMap<Box<[u8]>, T>,
    /// In the order of their insertion.
    names: Vec<ProtocolId>,
}

impl<T> Default for ProtocolTable<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), names: Vec::new() }
    }
}

impl<T> ProtocolTable<T> {
    /// Serves `name`; an earlier entry of that name is replaced and moves to the end.
    pub fn insert(&mut self, name: ProtocolId, value: T) {
        self.names.retain(|known| *known != name);
        self.by_name.insert(Box::from(name.as_str().as_bytes()), value);
        self.names.push(name);
    }

    /// The value for the name on a line, which may be any bytes.
    pub fn find(&self, name: &[u8]) -> Option<&T> {
        self.by_name.get(name)
    }

    /// Every name, in the order of insertion.
    pub fn names(&self) -> &[ProtocolId] {
        &self.names
    }
}
