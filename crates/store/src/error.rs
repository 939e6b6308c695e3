//! Reasons of failures.

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};
use std::io;
use thiserror::Error;

/// Reason a call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another store of this one, has the file open.
    #[error("it is open elsewhere")]
    Locked,
    /// The file is damaged, or something else. One of another kind is left as it is; the check of a
    /// damaged store may have changed it.
    #[error("it is no intact store: {0}")]
    Corrupt(Box<str>),
    /// The file has the format of another version.
    #[error("it has version {0} of the format, and not {expected}", expected = crate::file::VERSION)]
    Version(u64),
    /// The system's error, such as that of a full disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The changes are no [`Batch`](crate::Batch).
    #[error("the changes are malformed")]
    Malformed,
    /// Too many calls wait.
    #[error("too many calls wait")]
    Busy,
    /// The store is closed.
    #[error("it is closed")]
    Closed,
}

impl StoreError {
    /// Returns the error for a panic, which damaged files cause in redb.
    pub(crate) fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Self::Corrupt(text.unwrap_or("an invariant does not hold").into())
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            // The magic number is missing, or the length is impossible.
            StorageError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Corrupt(error.to_string().into())
            }
            StorageError::Io(error) => Self::Io(error),
            StorageError::DatabaseClosed => Self::Closed,
            error => Self::Corrupt(error.to_string().into()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::Locked,
            DatabaseError::Storage(error) => error.into(),
            error => Self::Corrupt(error.to_string().into()),
        }
    }
}

impl From<TransactionError> for StoreError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            error => Self::Corrupt(error.to_string().into()),
        }
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::Corrupt(error.to_string().into()),
        }
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            error => Self::Corrupt(error.to_string().into()),
        }
    }
}
