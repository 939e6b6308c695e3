//! Protocol names and the table of served protocols.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::line::{HEADER, LINE_BYTES_MAX, LIST, NOT_AVAILABLE};

/// A protocol name: any text that fits on one line and is not reserved.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolId(Arc<str>);

/// The text is not a valid protocol name.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "a protocol name has 1 to 1023 bytes, no newline, and is not reserved by multistream-select"
)]
pub struct InvalidProtocol;

impl ProtocolId {
    /// Validates `text` as a name.
    ///
    /// # Errors
    /// If it is empty, longer than a line, contains a newline, or is reserved by
    /// multistream-select: the header, `na` and `ls`.
    pub fn new(text: &str) -> Result<Self, InvalidProtocol> {
        let is_line = !text.is_empty() && text.len() < LINE_BYTES_MAX && !text.contains('\n');
        if !is_line || [HEADER, NOT_AVAILABLE, LIST].contains(&text.as_bytes()) {
            return Err(InvalidProtocol);
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the name as text.
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

/// Table of served protocols, each with a value of the caller's.
#[derive(Debug, Clone)]
pub struct ProtocolTable<T> {
    by_name: HashMap<Box<[u8]>, T>,
    /// In insertion order.
    names: Vec<ProtocolId>,
    others: Others,
}

/// Handling of proposals without a table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    /// Refuse them.
    #[default]
    Refuse,
    /// Query the caller, which has predicates: see [`Listener::queried`](super::Listener::queried).
    Ask,
}

impl<T> Default for ProtocolTable<T> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            names: Vec::new(),
            others: Others::default(),
        }
    }
}

impl<T> ProtocolTable<T> {
    /// Adds `name`; an existing entry of that name is replaced and moves to the end.
    pub fn insert(&mut self, name: ProtocolId, value: T) {
        self.names.retain(|known| *known != name);
        self.by_name
            .insert(Box::from(name.as_str().as_bytes()), value);
        self.names.push(name);
    }

    /// Returns the value for a name as received, which may be arbitrary bytes.
    pub fn find(&self, name: &[u8]) -> Option<&T> {
        self.by_name.get(name)
    }

    /// Returns all names in insertion order.
    pub fn names(&self) -> &[ProtocolId] {
        &self.names
    }

    /// Sets the handling of proposals without an entry.
    pub fn set_others(&mut self, others: Others) {
        self.others = others;
    }

    /// Returns the handling of proposals without an entry.
    pub fn others(&self) -> Others {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> ProtocolTable<usize> {
        let mut table = ProtocolTable::default();
        for (number, name) in names.iter().enumerate() {
            table.insert(ProtocolId::new(name).unwrap(), number);
        }
        table
    }

    // A022
    #[test]
    fn names_are_limited_to_one_line() {
        for name in ["/a", "x", "/a\0b", "/a\r", "/\u{fc}", &"x".repeat(1_023)] {
            assert_eq!(ProtocolId::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "/a\n",
            "\n",
            "na",
            "ls",
            "/multistream/1.0.0",
            &"x".repeat(1_024),
        ] {
            assert_eq!(ProtocolId::new(name), Err(InvalidProtocol), "{name:?}");
        }
    }

    // M6, M7
    #[test]
    fn lists_in_insertion_order_and_reinserting_moves_to_the_end() {
        let table = table(&["/a", "/b", "/c", "/a"]);
        let names: Vec<_> = table.names().iter().map(ProtocolId::as_str).collect();
        assert_eq!(names, ["/b", "/c", "/a"]);
        assert_eq!(table.find(b"/a"), Some(&3));
        assert_eq!(table.find(b"/x"), None);
    }
}
