//! Entries and changes as one run of bytes, in which they cross from and to JavaScript.
//!
//! Each is the length of its key and that of its value, 32 bits each in little-endian order, then
//! both; the length [`DELETED`] stands for the removal of the key.

use crate::error::StoreError;

/// In place of the length of a value: there is none.
const DELETED: u32 = u32::MAX;

/// An entry of a page, or a change of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A key and its value.
    Put(&'a [u8], &'a [u8]),
    /// A key to remove.
    Delete(&'a [u8]),
}

/// Reads changes; yields an error and ends where the bytes are malformed.
pub struct Batch<'a> {
    rest: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads from the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Appends a change to `bytes`.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] if a length has more than 32 bits.
    pub fn push(bytes: &mut Vec<u8>, change: Change<'_>) -> Result<(), StoreError> {
        let length = |part: &[u8]| u32::try_from(part.len()).map_err(|_| StoreError::Malformed);
        let (key, value) = match change {
            Change::Put(key, value) => (key, value),
            Change::Delete(key) => (key, &[][..]),
        };
        let value_word = match change {
            Change::Put(..) => length(value)?,
            Change::Delete(_) => DELETED,
        };
        bytes.extend_from_slice(&length(key)?.to_le_bytes());
        bytes.extend_from_slice(&value_word.to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Ok(())
    }

    fn read(&mut self) -> Option<Change<'a>> {
        let key_length = self.length()?;
        let value_length = self.length()?;
        let key = self.take(key_length)?;
        if value_length == DELETED {
            return Some(Change::Delete(key));
        }
        Some(Change::Put(key, self.take(value_length)?))
    }

    fn length(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(part)
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Change<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let change = self.read();
        if change.is_none() {
            self.rest = &[];
        }
        Some(change.ok_or(StoreError::Malformed))
    }
}
