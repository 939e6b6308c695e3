//! The ring of facts, and who listens to it.

use crate::diagnostics::{Diagnostics, Fact, Kept, Level, RING_MAX, Refusal, Subject};

#[test]
fn a_full_ring_counts_what_it_drops_and_tells_once() {
    let diagnostics = Diagnostics::default();
    assert_eq!(diagnostics.keep(subject(), refusal()), Kept::First);
    for _ in 1..RING_MAX {
        assert_eq!(diagnostics.keep(subject(), refusal()), Kept::BehindOthers);
    }
    for _ in 0..3 {
        assert_eq!(diagnostics.keep(subject(), refusal()), Kept::Not);
    }
    assert_eq!(diagnostics.waiting(), (RING_MAX as u32, 3));
    assert_eq!(diagnostics.waiting().1, 0);
    let taken = std::iter::from_fn(|| diagnostics.take()).count();
    assert_eq!(taken, RING_MAX);
}

#[test]
fn only_levels_that_somebody_listens_to_are_heard() {
    let diagnostics = Diagnostics::default();
    assert!(!diagnostics.hears(Level::Error));
    diagnostics.listen(Level::Error as u32 | Level::Info as u32);
    assert!(diagnostics.hears(Level::Error));
    assert!(!diagnostics.hears(Level::Warn));
    assert!(diagnostics.hears(Level::Info));
}

fn subject() -> Subject {
    Subject {
        node: 1,
        connection: 0,
        address: None,
    }
}

fn refusal() -> Fact {
    Fact::ConnectionRefused(Refusal {
        option: "pendingInboundMax",
        limit: 1,
        current: 1,
    })
}
