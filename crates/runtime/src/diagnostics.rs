//! Diagnostics: facts for the operator that no caller waits for, in a bounded ring per environment.
//!
//! Facts are reported to the [`Hub`](crate::Hub), which keeps them if their [`Level`] is enabled
//! and there is room. One record notifies JavaScript, which takes all pending facts at once; their
//! texts are made then, on its thread.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, SystemTime};

use ferroswarm_proto::muxer::EndError;
use ferroswarm_proto::resource::ListRule;
use ferroswarm_quic::CloseReason;
use ferroswarm_secure::RecordError;
use multiaddr::Multiaddr;

use crate::command::{ConnectError, Stage};
use crate::error::{OsError, TransportFault};
use crate::resources::Refusal;
use crate::sync::{AtomicU32, Mutex, Ordering};

/// Maximum number of pending facts, and of facts per second: more are counted and dropped. So a
/// flood caused by a remote costs a counter each, and its log lines some milliseconds of
/// JavaScript's thread per second.
pub(crate) const RING_MAX: usize = 1_024;

/// Maximum bytes of a fact's text, other than that of a refusal: longer than any of our own
/// sentences. A refusal names its scope in full, whatever the length of a protocol's name.
const TEXT_MAX: usize = 256;

/// Severity of a fact, as its bit in the mask of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// The node cannot do its work: the operator must act.
    Error = 1,
    /// A limit was reached: the operator may want to act.
    Warn = 2,
    /// A remote failed.
    Info = 4,
    /// Routine behaviour of remotes.
    Debug = 8,
}

/// Event that a connection waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The answer to a keepalive ping.
    Keepalive,
    /// Acceptance of bytes by the remote.
    Write,
    /// The rest of a frame.
    Frame,
}

impl Stall {
    /// Returns the name in diagnostic records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Write => "write",
            Self::Frame => "frame",
        }
    }
}

/// A diagnostic event.
#[derive(Debug)]
pub enum Fact {
    /// A listener could not accept.
    AcceptFailed {
        /// Error of the operating system.
        error: OsError,
        /// Number of failures since the last fact of this kind.
        failures: u32,
    },
    /// A task of ours panicked; its connection, or its attempt of a dial, has ended.
    Internal,
    /// A connection was refused before the handshake, or by a limit of its peer after it.
    ConnectionRefused(Refusal),
    /// The remote exceeded an abuse budget; the connection ends.
    BudgetSpent(EndError),
    /// A stream was reset because its connection held too much unread data.
    MemoryShed(Refusal),
    /// A connection stopped reading because JavaScript does not take received data.
    ReadPaused(Refusal),
    /// A connection is too slow for the datagrams of its remote: so many were dropped at once, and the
    /// remote sends them again. Reported once per connection.
    DatagramsDropped(u64),
    /// An inbound stream was refused.
    StreamRefused(Refusal),
    /// Memory for written bytes was refused: until some are sent, writers get little room.
    WritesHeld(Refusal),
    /// An inbound connection did not become a secured and multiplexed one.
    UpgradeFailed {
        /// Stage at which it failed.
        stage: Stage,
        /// Cause of the failure.
        error: ConnectError,
    },
    /// A remote was refused by the lists of the gate, before a byte was exchanged.
    ConnectionGated(ListRule),
    /// The remote violated the multiplexer's protocol.
    MuxerFailed(EndError),
    /// A record could not be opened or sealed, or the remote ended the channel with an alert.
    RecordFailed(RecordError),
    /// The remote has broken QUIC, or refused it.
    QuicFailed(CloseReason),
    /// The remote did not make progress in time.
    ConnectionStalled(Stall),
    /// The socket failed.
    SocketFailed {
        /// Error of the operating system.
        error: OsError,
    },
    /// The remote broke the transport above its socket, or closed it with an error.
    TransportFailed {
        /// The kind of failure.
        fault: TransportFault,
        /// The violation, or the remote's reason.
        text: Box<str>,
    },
    /// The remote left during the upgrade, as health checks and port scanners do.
    UpgradeAbandoned {
        /// Stage at which it left.
        stage: Stage,
        /// The resulting error.
        error: ConnectError,
    },
}

macro_rules! codes {
    ($($fact:ident = $code:literal,)*) => {
        impl Fact {
            /// Name and code of every fact.
            pub const CODES: &[(&str, u32)] = &[$((stringify!($fact), $code)),*];

            /// Returns the code of the fact; the hundreds are its level.
            pub const fn code(&self) -> u32 {
                match self {
                    $(Self::$fact { .. } => $code,)*
                }
            }
        }
    };
}

codes! {
    AcceptFailed = 101,
    Internal = 102,
    ConnectionRefused = 201,
    BudgetSpent = 202,
    MemoryShed = 203,
    ReadPaused = 204,
    StreamRefused = 205,
    WritesHeld = 206,
    DatagramsDropped = 207,
    UpgradeFailed = 301,
    MuxerFailed = 302,
    RecordFailed = 303,
    ConnectionStalled = 304,
    SocketFailed = 305,
    QuicFailed = 306,
    TransportFailed = 307,
    UpgradeAbandoned = 401,
    ConnectionGated = 402,
}

/// Returns resource, limit, usage, amount asked for, priority, and scope, separated by spaces; the
/// scope, which may be long and contain spaces, is last.
fn refusal_text(refusal: &Refusal) -> String {
    format!(
        "{} {} {} {} {} {}",
        refusal.resource(),
        refusal.limit(),
        refusal.current(),
        refusal.requested(),
        refusal.priority(),
        refusal.scope()
    )
}

impl Fact {
    /// Returns the severity.
    pub const fn level(&self) -> Level {
        match self.code() / 100 {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            _ => Level::Debug,
        }
    }

    /// Returns the fact of a failed upgrade of an inbound connection.
    pub(crate) fn upgrade(stage: Stage, error: ConnectError) -> Self {
        if error.is_departure() {
            Self::UpgradeAbandoned { stage, error }
        } else {
            Self::UpgradeFailed { stage, error }
        }
    }

    /// Returns the fact of an error by which the multiplexer ends a connection.
    pub(crate) const fn muxer(error: EndError) -> Self {
        if error.is_frame_stall() {
            Self::ConnectionStalled(Stall::Frame)
        } else if error.is_budget() {
            Self::BudgetSpent(error)
        } else {
            Self::MuxerFailed(error)
        }
    }

    /// Returns the cause in one clause, without control characters; empty where the code suffices.
    /// That of a refusal is for programs: its figures and, as it is, the name of its scope.
    pub fn text(&self) -> String {
        let text = match self {
            Self::AcceptFailed { error, .. } | Self::SocketFailed { error } => error.to_string(),
            Self::Internal | Self::DatagramsDropped(_) => String::new(),
            Self::ConnectionRefused(refusal)
            | Self::MemoryShed(refusal)
            | Self::ReadPaused(refusal)
            | Self::WritesHeld(refusal)
            | Self::StreamRefused(refusal) => return refusal_text(refusal),
            Self::BudgetSpent(error) | Self::MuxerFailed(error) => causes(error),
            Self::UpgradeFailed { error, .. } | Self::UpgradeAbandoned { error, .. } => {
                causes(error)
            }
            Self::RecordFailed(error) => causes(error),
            Self::TransportFailed { fault, text } => match fault {
                TransportFault::Frame(_) => fault.to_string(),
                TransportFault::Closed(_) | TransportFault::Tls if text.is_empty() => {
                    fault.to_string()
                }
                TransportFault::Closed(_) | TransportFault::Tls => format!("{fault}: {text}"),
            },
            Self::QuicFailed(reason) => causes(reason),
            Self::ConnectionGated(rule) => rule.to_string(),
            Self::ConnectionStalled(stall) => stall.name().to_owned(),
        };
        bounded(&text)
    }
}

/// Formats an error and its sources in one line.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let clause = cause.to_string();
        // A transparent error repeats the text of its source.
        if !text.ends_with(&clause) {
            text.push_str(": ");
            text.push_str(&clause);
        }
        source = cause.source();
    }
    bounded(&text)
}

/// Truncates to [`TEXT_MAX`] bytes and replaces control characters, which a terminal would obey.
fn bounded(text: &str) -> String {
    let printable = text.chars().map(|letter| {
        if letter.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            letter
        }
    });
    let mut result = String::new();
    for letter in printable {
        if result.len() + letter.len_utf8() > TEXT_MAX {
            break;
        }
        result.push(letter);
    }
    result
}

/// A fact with its time and subject.
#[derive(Debug)]
pub struct Diagnostic {
    /// Time of the report.
    pub at: SystemTime,
    /// The node.
    pub node: u32,
    /// Handle of the connection; 0 if there is none, or it was not reported to JavaScript yet.
    pub connection: u32,
    /// Address of the remote.
    pub address: Option<Multiaddr>,
    /// The fact.
    pub fact: Fact,
}

/// Subject of a fact.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) node: u32,
    pub(crate) connection: u32,
    pub(crate) address: Option<Multiaddr>,
}

struct Ring {
    facts: VecDeque<Diagnostic>,
    dropped: u32,
    /// Start of the current second, and its number of facts.
    since: SystemTime,
    in_second: usize,
    /// JavaScript has been notified of pending facts, or is about to be, and has not taken all.
    reported: bool,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            facts: VecDeque::new(),
            dropped: 0,
            since: SystemTime::UNIX_EPOCH,
            in_second: 0,
            reported: false,
        }
    }
}

impl Ring {
    /// Counts a fact at `now`; returns whether there is room for it.
    fn admits(&mut self, now: SystemTime) -> bool {
        // A clock that was set back starts another second too.
        let passed = now.duration_since(self.since).unwrap_or(Duration::MAX);
        if passed >= Duration::from_secs(1) {
            self.since = now;
            self.in_second = 0;
        }
        self.in_second += 1;
        self.facts.len() < RING_MAX && self.in_second <= RING_MAX
    }
}

/// Pending facts of an environment.
#[derive(Default)]
pub(crate) struct Diagnostics {
    /// Mask of the enabled levels.
    levels: AtomicU32,
    ring: Mutex<Ring>,
}

/// Result of pushing a fact.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// It is the first: JavaScript has to be notified.
    First,
    /// JavaScript has already been notified.
    Later,
    /// It was dropped.
    Dropped,
}

impl Diagnostics {
    pub(crate) fn enable(&self, levels: u32) {
        self.levels.store(levels, Ordering::Relaxed);
    }

    pub(crate) fn is_enabled(&self, level: Level) -> bool {
        self.levels.load(Ordering::Relaxed) & level as u32 != 0
    }

    pub(crate) fn push(&self, subject: Subject, fact: Fact) -> Pushed {
        let at = SystemTime::now();
        let mut ring = self.ring.lock();
        if !ring.admits(at) {
            ring.dropped = ring.dropped.saturating_add(1);
            return Pushed::Dropped;
        }
        ring.facts.push_back(Diagnostic {
            at,
            node: subject.node,
            connection: subject.connection,
            address: subject.address,
            fact,
        });
        if std::mem::replace(&mut ring.reported, true) {
            Pushed::Later
        } else {
            Pushed::First
        }
    }

    /// Returns the number of pending facts, and of those dropped since the last call.
    pub(crate) fn pending(&self) -> (u32, u32) {
        let mut ring = self.ring.lock();
        // At most RING_MAX.
        let pending = ring.facts.len() as u32;
        (pending, std::mem::take(&mut ring.dropped))
    }

    /// Takes the oldest fact; once none is left, the next fact notifies JavaScript again.
    pub(crate) fn take(&self) -> Option<Diagnostic> {
        let mut ring = self.ring.lock();
        let next = ring.facts.pop_front();
        if next.is_none() {
            ring.reported = false;
            ring.facts = VecDeque::new();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_per_second_are_limited_to_the_size_of_the_ring() {
        let mut ring = Ring::default();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert!((0..RING_MAX).all(|_| ring.admits(start)));
        assert!(!ring.admits(start + Duration::from_millis(999)));
        assert!(ring.admits(start + Duration::from_secs(1)));
        assert!(ring.admits(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn a_text_has_its_causes_and_no_control_characters() {
        let inner = std::io::Error::other("first\u{1b}[31m line\nsecond");
        let text = causes(&std::io::Error::other(inner));
        assert_eq!(text, "first\u{fffd}[31m line\u{fffd}second");
        let long = std::io::Error::other("ä".repeat(TEXT_MAX));
        assert_eq!(causes(&long).len(), TEXT_MAX);
    }
}
