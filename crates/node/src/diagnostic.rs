//! Diagnostic facts as words and text; `ts/native/diagnostic.ts` mirrors the layout.

use std::time::UNIX_EPOCH;

use ferroswarm_runtime::{ConnectError, Diagnostic, Fact, OsError, Stage, TransportFault};

use crate::error_code::ErrorCode;

/// Words per fact: code, node, connection, milliseconds since the epoch (high, low), three details, and the
/// byte lengths of its address and text, which are adjacent in the texts.
pub(crate) const DIAGNOSTIC_WORDS: usize = 10;

/// Maximum bytes of one fact's texts: an address, and a refusal with the name of a scope, which may
/// contain that of a protocol.
pub(crate) const DIAGNOSTIC_TEXT_MAX: usize = 2 << 10;

/// Writes `diagnostic` into `words` and its texts to the front of `texts`; returns the bytes of the latter.
pub(crate) fn write(diagnostic: &Diagnostic, words: &mut [u32], texts: &mut [u8]) -> usize {
    let address = diagnostic.address.as_ref().map(ToString::to_string);
    let address = address.unwrap_or_default();
    let text = diagnostic.fact.text();
    let since_epoch = diagnostic.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    let [first, second, third] = details(&diagnostic.fact);
    let mut taken = 0;
    let mut put = |text: &str| {
        let place = texts.get_mut(taken..taken + text.len());
        // An address that does not fit is omitted, not truncated.
        let Some(place) = place else { return 0 };
        place.copy_from_slice(text.as_bytes());
        taken += text.len();
        text.len() as u32
    };
    let (address_bytes, text_bytes) = (put(&address), put(&text));
    words.copy_from_slice(&[
        diagnostic.fact.code(),
        diagnostic.node,
        diagnostic.connection,
        (milliseconds >> 32) as u32,
        milliseconds as u32,
        first,
        second,
        third,
        address_bytes,
        text_bytes,
    ]);
    taken
}

/// Numeric details of a fact: see docs/diagnostics.md.
fn details(fact: &Fact) -> [u32; 3] {
    match fact {
        Fact::AcceptFailed { error, failures } => [system_number(*error), *failures, 0],
        Fact::SocketFailed { error } => [system_number(*error), 0, 0],
        Fact::DatagramsDropped(count) => [u32::try_from(*count).unwrap_or(u32::MAX), 0, 0],
        Fact::TransportFailed { fault, .. } => match fault {
            TransportFault::Closed(code) => [u32::from(*code), 0, 0],
            TransportFault::Frame(error) => [u32::from(error.close_code()), 0, 0],
            _ => [0; 3],
        },
        Fact::Internal
        | Fact::ConnectionStalled(_)
        | Fact::ConnectionGated(_)
        | Fact::QuicFailed(_) => [0; 3],
        Fact::ConnectionRefused(refusal)
        | Fact::MemoryShed(refusal)
        | Fact::ReadPaused(refusal)
        | Fact::WritesHeld(refusal)
        | Fact::StreamRefused(refusal) => [refusal.limit() as u32, word(refusal.current()), 0],
        Fact::BudgetSpent(error) | Fact::MuxerFailed(error) => [error.goaway_code(), 0, 0],
        Fact::UpgradeFailed { stage, error } | Fact::UpgradeAbandoned { stage, error } => {
            let stage = match stage {
                Stage::Connect => 1,
                Stage::Security => 2,
                Stage::Muxer => 3,
                Stage::Psk => 4,
            };
            [stage, ErrorCode::from(error).word(), cause_number(error)]
        }
        Fact::RecordFailed(error) => [error.alert().map_or(0, u32::from), 0, 0],
    }
}

/// The TLS alert with which the remote refused, or the OS error number.
fn cause_number(error: &ConnectError) -> u32 {
    match error {
        ConnectError::Handshake(error) => error.alert().map_or(0, u32::from),
        ConnectError::Io(error) => system_number(*error),
        _ => 0,
    }
}

/// OS error numbers are positive.
fn system_number(error: OsError) -> u32 {
    error
        .number()
        .and_then(|number| number.try_into().ok())
        .unwrap_or(0)
}

fn word(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
