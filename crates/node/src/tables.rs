//! The constants that both sides of the boundary have, by name. A test compares them with those of TypeScript.

use std::collections::HashMap;

use ferroswarm_runtime::{
    Direction, Fact, HANDLE_PENDING, HANDLES_MAX, HubStats, Level, RECORDS_PER_ENTRY, State,
};
use napi_derive::napi;

use crate::diagnostic::{DIAGNOSTIC_TEXT_MAX, DIAGNOSTIC_WORDS};
use crate::error_code::ErrorCode;
use crate::{gate, hot, muxer_session, options, record};

/// Defines constants, and a table of all of them.
macro_rules! numbers {
    ($(#[$about:meta])* $table:ident: $($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        $($(#[$doc])* pub(crate) const $name: u32 = $value;)*

        $(#[$about])*
        pub(crate) const $table: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use numbers;

type Table = HashMap<String, f64>;

/// Returns every table, for tests: numbers by their names in Rust.
#[napi(
    ts_return_type = "Record<string, Record<string, number>>",
    catch_unwind
)]
pub fn native_tables() -> HashMap<String, Table> {
    let states = (0..=u8::MAX).filter_map(State::from_number);
    let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
    let directions = [Direction::Inbound, Direction::Outbound];
    let codes = ErrorCode::ALL.iter().map(|code| (code.name(), code.word()));
    [
        ("kinds", words(record::KINDS)),
        ("flags", words(record::FLAGS)),
        ("orders", words(record::ORDERS)),
        ("framings", words(record::FRAMINGS)),
        ("taken", words(record::TAKEN)),
        ("pipes", words(record::PIPES)),
        ("hooks", words(gate::HOOKS)),
        ("lists", words(gate::LISTS)),
        ("events", words(muxer_session::EVENTS)),
        ("facts", words(Fact::CODES)),
        ("measures", measures()),
        ("errors", table(codes)),
        (
            "states",
            table(states.map(|state| (format!("{state:?}"), state as u8))),
        ),
        (
            "levels",
            table(levels.map(|level| (format!("{level:?}"), level as u32))),
        ),
        (
            "directions",
            table(directions.map(|end| (format!("{end:?}"), end as u8))),
        ),
        (
            "counters",
            table(HubStats::NAMES.iter().copied().zip(0u32..)),
        ),
        ("calls", table(hot::names().zip(0u32..))),
        ("limits", table(options::default_limits())),
    ]
    .map(|(name, table)| (name.to_owned(), table))
    .into()
}

/// Sizes of records, handles and diagnostic facts.
fn measures() -> Table {
    table([
        ("RECORD_WORDS", record::WORDS as f64),
        ("RECORDS_PER_ENTRY", RECORDS_PER_ENTRY as f64),
        ("HANDLE_INDEX_MASK", (HANDLES_MAX - 1) as f64),
        ("HANDLE_PENDING", f64::from(HANDLE_PENDING)),
        ("DIAGNOSTIC_WORDS", DIAGNOSTIC_WORDS as f64),
        ("DIAGNOSTIC_TEXT_MAX", DIAGNOSTIC_TEXT_MAX as f64),
    ])
}

fn words(numbers: &[(&str, u32)]) -> Table {
    table(numbers.iter().copied())
}

fn table<N: Into<String>, V: Into<f64>>(entries: impl IntoIterator<Item = (N, V)>) -> Table {
    let entries = entries.into_iter();
    entries
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}
