//! What is looked up, and what comes of it.

use std::fmt;
use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use thiserror::Error;

/// Lookups that wait for their turn. Each is a call of the application; this bounds a loop of them.
pub(super) const WAITING_MAX: usize = 1_024;

/// The type of the records looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Texts.
    Txt,
}

impl From<RecordKind> for RecordType {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::A => Self::A,
            RecordKind::Aaaa => Self::AAAA,
            RecordKind::Txt => Self::TXT,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RecordType::from(*self).fmt(f)
    }
}

/// The records of a name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Addresses, or texts whose strings are joined.
    pub values: Vec<String>,
    /// Texts left out, as they are not UTF-8 or too long.
    pub omitted: u32,
}

/// Reason a lookup failed.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text is not a host name.
    #[error("it is not a host name")]
    BadName,
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NotFound,
    /// The name exists, but has no records of this type.
    #[error("the name has no {0} records")]
    NoRecords(RecordKind),
    /// No name server has answered.
    #[error("no name server answered within {0:?}")]
    Timeout(Duration),
    /// A name server has answered with an error, such as SERVFAIL or REFUSED.
    #[error("the name server answered: {0}")]
    Server(ResponseCode),
    /// The system's configuration cannot be used.
    #[error("the name servers of the system are not known: {0}")]
    Configuration(Box<NetError>),
    /// Too many lookups wait.
    #[error("{WAITING_MAX} lookups wait already")]
    QueueFull,
    /// Any other failure, such as an error of the socket.
    #[error("{0}")]
    Other(Box<NetError>),
}

impl ResolveError {
    /// Converts the failure of a query in a lookup of at most `time`.
    pub(super) fn of_query(error: NetError, kind: RecordKind, time: Duration) -> Self {
        match error {
            NetError::Timeout => Self::Timeout(time),
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Server(code),
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
                match response_code {
                    ResponseCode::NXDomain => Self::NotFound,
                    ResponseCode::NoError => Self::NoRecords(kind),
                    code => Self::Server(code),
                }
            }
            error => Self::Other(Box::new(error)),
        }
    }
}
