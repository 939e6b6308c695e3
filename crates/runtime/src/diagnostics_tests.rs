//! The ring of facts and its enabled levels.

use crate::diagnostics::{Diagnostics, Fact, Level, Pushed, RING_MAX, Subject};
use crate::resources::{Bound, Refusal};

#[test]
fn a_full_ring_counts_dropped_facts_and_notifies_once() {
    let diagnostics = Diagnostics::default();
    assert_eq!(diagnostics.push(subject(), refusal()), Pushed::First);
    for _ in 1..RING_MAX {
        assert_eq!(diagnostics.push(subject(), refusal()), Pushed::Later);
    }
    for _ in 0..3 {
        assert_eq!(diagnostics.push(subject(), refusal()), Pushed::Dropped);
    }
    assert_eq!(diagnostics.pending(), (RING_MAX as u32, 3));
    assert_eq!(diagnostics.pending().1, 0);
    let taken = std::iter::from_fn(|| diagnostics.take()).count();
    assert_eq!(taken, RING_MAX);
}

#[test]
fn only_enabled_levels_are_kept() {
    let diagnostics = Diagnostics::default();
    assert!(!diagnostics.is_enabled(Level::Error));
    diagnostics.enable(Level::Error as u32 | Level::Info as u32);
    assert!(diagnostics.is_enabled(Level::Error));
    assert!(!diagnostics.is_enabled(Level::Warn));
    assert!(diagnostics.is_enabled(Level::Info));
}

fn subject() -> Subject {
    Subject {
        node: 1,
        connection: 0,
        address: None,
    }
}

fn refusal() -> Fact {
    Fact::ConnectionRefused(Refusal::Bound(Bound {
        option: "acceptBacklog",
        limit: 1,
        current: 1,
    }))
}
