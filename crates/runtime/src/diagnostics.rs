//! What happened and no caller waits for: a bounded ring of facts per environment, for its operator.
//!
//! Whoever finds such a fact reports it to the [`Hub`](crate::Hub), which keeps it if somebody listens to its
//! [`Level`] and there is room. JavaScript is told by one record that there are some, and takes as many as
//! there are at once; their texts are made then, on its thread.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, SystemTime};

use ferroswarm_proto::muxer::EndError;
use ferroswarm_secure::RecordError;
use multiaddr::Multiaddr;

use crate::command::{ConnectError, Stage};
use crate::error::OsError;
use crate::sync::{AtomicU32, Mutex, Ordering};

/// Facts that wait for JavaScript, and facts of one second: more are counted and dropped. So a flood that a
/// remote can make costs a counter each, and its log lines some milliseconds of JavaScript's thread a second.
pub(crate) const RING_MAX: usize = 1_024;

/// Bytes of a text about a fact: longer than any of our own sentences.
const TEXT_MAX: usize = 256;

/// How much a fact matters, as the bit of it in the mask of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// The node cannot do its work: the operator must act.
    Error = 1,
    /// A bound said no: the operator may want to act.
    Warn = 2,
    /// A remote failed.
    Info = 4,
    /// What remotes do every day.
    Debug = 8,
}

/// What a bound refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the option that sets the bound.
    pub option: &'static str,
    /// The bound.
    pub limit: u64,
    /// The use at the refusal.
    pub current: u64,
}

/// What a connection waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The answer to a keepalive ping.
    Keepalive,
    /// The remote to take bytes.
    Write,
    /// The rest of a frame.
    Frame,
}

impl Stall {
    /// The name in diagnostic records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Write => "write",
            Self::Frame => "frame",
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Fact {
    /// A listener could not accept.
    AcceptFailed {
        /// What the system said.
        error: OsError,
        /// How often since the last fact of this kind.
        failures: u32,
    },
    /// A task of ours panicked; its connection, or its attempt of a dial, has ended.
    Internal,
    /// A connection was refused before a byte was spent on it.
    ConnectionRefused(Refusal),
    /// The remote did more of something than is good for us; the connection ends.
    BudgetSpent(EndError),
    /// A stream was reset because its connection held too much that was not read.
    MemoryShed(Refusal),
    /// A connection is not read because JavaScript does not take what has come.
    ReadPaused(Refusal),
    /// An inbound stream was refused.
    StreamRefused(Refusal),
    /// An inbound connection did not become a secured and multiplexed one.
    UpgradeFailed {
        /// Where it failed.
        stage: Stage,
        /// Why.
        error: ConnectError,
    },
    /// The remote broke the multiplexer's protocol.
    MuxerFailed(EndError),
    /// A record could not be opened or sealed, or the remote ended the channel with an alert.
    RecordFailed(RecordError),
    /// The remote did not do something in time.
    ConnectionStalled(Stall),
    /// The socket failed.
    SocketFailed {
        /// What the system said.
        error: OsError,
    },
    /// The remote left in the middle of the upgrade, as health checks and port scanners do.
    UpgradeAbandoned {
        /// Where it was.
        stage: Stage,
        /// How it left.
        error: ConnectError,
    },
}

macro_rules! codes {
    ($($fact:ident = $code:literal,)*) => {
        impl Fact {
            /// The name and the code of every fact.
            pub const CODES: &[(&str, u32)] = &[$((stringify!($fact), $code)),*];

            /// The code of the fact; the hundreds are its level.
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
    UpgradeFailed = 301,
    MuxerFailed = 302,
    RecordFailed = 303,
    ConnectionStalled = 304,
    SocketFailed = 305,
    UpgradeAbandoned = 401,
}

impl Fact {
    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self.code() / 100 {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            _ => Level::Debug,
        }
    }

    /// An upgrade of an inbound connection that came to nothing.
    pub(crate) fn upgrade(stage: Stage, error: ConnectError) -> Self {
        if error.is_departure() {
            Self::UpgradeAbandoned { stage, error }
        } else {
            Self::UpgradeFailed { stage, error }
        }
    }

    /// What ends a connection as its multiplexer says.
    pub(crate) const fn muxer(error: EndError) -> Self {
        if error.is_frame_stall() {
            Self::ConnectionStalled(Stall::Frame)
        } else if error.is_budget() {
            Self::BudgetSpent(error)
        } else {
            Self::MuxerFailed(error)
        }
    }

    /// The cause in one clause, without control characters; empty where the code says it all.
    pub fn text(&self) -> String {
        let text = match self {
            Self::AcceptFailed { error, .. } | Self::SocketFailed { error } => error.to_string(),
            Self::Internal => String::new(),
            Self::ConnectionRefused(refusal)
            | Self::MemoryShed(refusal)
            | Self::ReadPaused(refusal)
            | Self::StreamRefused(refusal) => refusal.option.to_owned(),
            Self::BudgetSpent(error) | Self::MuxerFailed(error) => causes(error),
            Self::UpgradeFailed { error, .. } | Self::UpgradeAbandoned { error, .. } => {
                causes(error)
            }
            Self::RecordFailed(error) => causes(error),
            Self::ConnectionStalled(stall) => stall.name().to_owned(),
        };
        bounded(&text)
    }
}

/// An error and its sources, in one line.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let clause = cause.to_string();
        // A transparent error says what its source says.
        if !text.ends_with(&clause) {
            text.push_str(": ");
            text.push_str(&clause);
        }
        source = cause.source();
    }
    bounded(&text)
}

/// At most [`TEXT_MAX`] bytes, and nothing that a terminal would obey.
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

/// A fact, when, and about whom.
#[derive(Debug)]
pub struct Diagnostic {
    /// When it was reported.
    pub at: SystemTime,
    /// The node.
    pub node: u32,
    /// The connection as JavaScript knows it; 0 where there is none, or it has not heard of it.
    pub connection: u32,
    /// Where the remote is.
    pub address: Option<Multiaddr>,
    /// What happened.
    pub fact: Fact,
}

/// Whom a fact is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) node: u32,
    pub(crate) connection: u32,
    pub(crate) address: Option<Multiaddr>,
}

struct Ring {
    facts: VecDeque<Diagnostic>,
    dropped: u32,
    /// The second that is counted, and how many facts it has had.
    since: SystemTime,
    in_second: usize,
    /// JavaScript is told, or about to be, that there are some.
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
    /// Whether there is room for a fact at `now`.
    fn admits(&mut self, now: SystemTime) -> bool {
        // A clock that was put back begins another second too.
        let passed = now.duration_since(self.since).unwrap_or(Duration::MAX);
        if passed >= Duration::from_secs(1) {
            self.since = now;
            self.in_second = 0;
        }
        self.in_second += 1;
        self.facts.len() < RING_MAX && self.in_second <= RING_MAX
    }
}

/// The facts of an environment that JavaScript has not taken.
#[derive(Default)]
pub(crate) struct Diagnostics {
    /// Levels that somebody listens to.
    levels: AtomicU32,
    ring: Mutex<Ring>,
}

/// What became of a fact.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Kept {
    /// It is the first: JavaScript has to be told.
    First,
    /// JavaScript has been told that there are some.
    BehindOthers,
    /// It was dropped.
    Not,
}

impl Diagnostics {
    pub(crate) fn listen(&self, levels: u32) {
        self.levels.store(levels, Ordering::Relaxed);
    }

    pub(crate) fn hears(&self, level: Level) -> bool {
        self.levels.load(Ordering::Relaxed) & level as u32 != 0
    }

    pub(crate) fn keep(&self, subject: Subject, fact: Fact) -> Kept {
        let at = SystemTime::now();
        let mut ring = self.ring.lock();
        if !ring.admits(at) {
            ring.dropped = ring.dropped.saturating_add(1);
            return Kept::Not;
        }
        ring.facts.push_back(Diagnostic {
            at,
            node: subject.node,
            connection: subject.connection,
            address: subject.address,
            fact,
        });
        if std::mem::replace(&mut ring.reported, true) {
            Kept::BehindOthers
        } else {
            Kept::First
        }
    }

    /// How many wait, and how many were dropped since this was last asked.
    pub(crate) fn waiting(&self) -> (u32, u32) {
        let mut ring = self.ring.lock();
        // At most as many as the ring has places.
        let waiting = ring.facts.len() as u32;
        (waiting, std::mem::take(&mut ring.dropped))
    }

    /// The oldest; behind the last one, the next fact tells JavaScript again.
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
    fn a_second_has_as_many_facts_as_the_ring_has_places() {
        let mut ring = Ring::default();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert!((0..RING_MAX).all(|_| ring.admits(start)));
        assert!(!ring.admits(start + Duration::from_millis(999)));
        assert!(ring.admits(start + Duration::from_secs(1)));
        assert!(ring.admits(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn a_text_has_its_causes_and_nothing_that_a_terminal_obeys() {
        let inner = std::io::Error::other("first\u{1b}[31m line\nsecond");
        let text = causes(&std::io::Error::other(inner));
        assert_eq!(text, "first\u{fffd}[31m line\u{fffd}second");
        let long = std::io::Error::other("ä".repeat(TEXT_MAX));
        assert_eq!(causes(&long).len(), TEXT_MAX);
    }
}
