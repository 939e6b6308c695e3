//! Random scripts over several streams, in which the session must match the model.

use proptest::collection::vec;
use proptest::prelude::*;

use super::lockstep::{Lockstep, Step, StepResult};
use super::support::*;
use crate::muxer::Role;
use crate::muxer::yamux::frame::{Header, Kind};

/// Few streams, so that steps interact.
const KEYS: u32 = 5;
const IDS: u32 = 11;

/// Maximum number of violations skipped before one ends a script.
const VIOLATIONS_MAX: usize = 20;

fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![1..100_u64, 60_000..70_000_u64, 130_000..262_145_u64]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => Just(0_u32),
        3 => 1..100_u32,
        4 => 10_000..140_000_u32,
        1 => 262_143..262_146_u32,
        1 => any::<u32>(),
    ]
}

/// A frame of a stream.
fn stream_frame() -> impl Strategy<Value = Header> {
    let flags = prop_oneof![
        4 => Just(NONE),
        3 => Just(SYN),
        2 => Just(ACK),
        2 => Just(FIN),
        1 => Just(RST),
        1 => Just(SYN.with(FIN)),
        1 => Just(SYN.with(ACK)),
        1 => Just(SYN.with(RST)),
        1 => Just(ACK.with(FIN)),
        1 => Just(FIN.with(RST)),
    ];
    let kind = prop_oneof![Just(Kind::Data), Just(Kind::WindowUpdate)];
    (kind, flags, 0..IDS, length()).prop_map(|(kind, flags, id, length)| Header {
        kind,
        flags,
        id,
        length,
    })
}

fn frame() -> impl Strategy<Value = Header> {
    prop_oneof![
        20 => stream_frame(),
        1 => any::<u32>().prop_map(|id| Header::ping(SYN, id)),
        1 => any::<u32>().prop_map(Header::go_away),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        3 => Just(Step::Open),
        3 => key.clone().prop_map(Step::Accept),
        1 => key.clone().prop_map(Step::Acknowledge),
        5 => (key.clone(), bytes()).prop_map(|(key, bytes)| Step::Send(key, bytes)),
        2 => key.clone().prop_map(Step::Finish),
        5 => (key.clone(), bytes()).prop_map(|(key, bytes)| Step::Consume(key, bytes)),
        1 => key.clone().prop_map(Step::Discard),
        1 => (key.clone(), any::<u32>()).prop_map(|(key, code)| Step::Reset(key, code)),
        2 => key.prop_map(Step::Remove),
        2 => (0..60_usize).prop_map(Step::Poll),
        4 => Just(Step::Poll(usize::MAX)),
        20 => frame().prop_map(Step::Frame),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn prop_a_session_matches_its_model(
        is_dialer in any::<bool>(),
        piece in prop_oneof![1..40_usize, Just(usize::MAX)],
        steps in vec(step(), 1..150),
        goaway_at in 0..300_usize,
    ) {
        let role = if is_dialer { Role::Dialer } else { Role::Listener };
        let mut both = Lockstep::new(role, piece);
        let mut violations = 0;
        for (at, step) in steps.into_iter().enumerate() {
            if at == goaway_at {
                both.perform(Step::GoAway(5));
            }
            // A violation ends the session: most are skipped to keep scripts long.
            if let Step::Frame(frame) = step
                && both.model.clone().receive(frame).is_err()
                && violations < VIOLATIONS_MAX
            {
                violations += 1;
                continue;
            }
            if let StepResult::Violation(_) = both.perform(step) {
                return Ok(());
            }
        }
        both.perform(Step::Poll(usize::MAX));
    }
}
