use proptest::prelude::*;

use super::Refusal::{Closed, EndOfStream, Failed};
use super::Verdict::{NoOp, Proceed, Refuse};
use super::*;

const OPERATIONS: [Operation; 6] = [
    Operation::Read,
    Operation::Write,
    Operation::CloseRead,
    Operation::CloseWrite,
    Operation::Close,
    Operation::Reset,
];

const STATES: [State; 7] = [
    State::Init,
    State::Open,
    State::CloseRead,
    State::CloseWrite,
    State::CloseBoth,
    State::Reset,
    State::Error,
];

const RESET: Input = Input::Reset {
    code: 7,
    remote: true,
};
const FAIL: Input = Input::Fail { code: 3 };

fn after(inputs: &[Input]) -> StreamState {
    let mut state = StreamState::new(State::Open);
    for input in inputs {
        state.apply(*input);
    }
    state
}

/// Returns a machine in `state`, reached as over a live connection.
fn in_state(state: State) -> StreamState {
    match state {
        State::Init => StreamState::new(State::Init),
        State::Open => after(&[]),
        State::CloseRead => after(&[Input::EndReported]),
        State::CloseWrite => after(&[Input::CloseWrite]),
        State::CloseBoth => after(&[Input::CloseWrite, Input::EndReported]),
        State::Reset => after(&[RESET]),
        State::Error => after(&[FAIL]),
    }
}

/// Asserts one row of the public table: read, write, closeRead, closeWrite, close, reset.
fn assert_row(machine: StreamState, state: State, verdicts: [Verdict; 6]) {
    assert_eq!(machine.state(), state);
    for (operation, verdict) in OPERATIONS.into_iter().zip(verdicts) {
        assert_eq!(
            machine.check(operation),
            verdict,
            "{state:?}: {operation:?}"
        );
    }
}

#[test]
fn init_and_open_allow_every_operation() {
    assert_row(in_state(State::Init), State::Init, [Proceed; 6]);
    assert_row(in_state(State::Open), State::Open, [Proceed; 6]);
}

// N3, N27
#[test]
fn close_read_refuses_only_reads() {
    let rest = [Proceed, NoOp, Proceed, Proceed, Proceed];
    let row = |end| [Refuse(end), rest[0], rest[1], rest[2], rest[3], rest[4]];
    assert_row(
        after(&[Input::EndReported]),
        State::CloseRead,
        row(EndOfStream),
    );
    assert_row(after(&[Input::CloseRead]), State::CloseRead, row(Closed));
}

// N7
#[test]
fn close_write_refuses_only_writes() {
    let row = [Proceed, Refuse(Closed), Proceed, NoOp, Proceed, Proceed];
    assert_row(after(&[Input::CloseWrite]), State::CloseWrite, row);
}

// N25
#[test]
fn close_both_refuses_io_and_ignores_closes() {
    let row = |end| [Refuse(end), Refuse(Closed), NoOp, NoOp, NoOp, NoOp];
    for inputs in [
        [Input::CloseWrite, Input::EndReported],
        [Input::EndReported, Input::Close],
    ] {
        assert_row(after(&inputs), State::CloseBoth, row(EndOfStream));
    }
    for inputs in [
        [Input::Close, Input::Close],
        [Input::CloseRead, Input::CloseWrite],
    ] {
        assert_row(after(&inputs), State::CloseBoth, row(Closed));
    }
}

// N4, N5, N8, N9, N26
#[test]
fn reset_allows_only_close_and_reset() {
    let refused = Refuse(Refusal::Reset);
    let row = [refused, refused, refused, refused, NoOp, NoOp];
    assert_row(after(&[RESET]), State::Reset, row);
}

// N10, N15, N26
#[test]
fn error_allows_only_close_and_reset() {
    let refused = Refuse(Failed);
    let row = [refused, refused, refused, refused, NoOp, NoOp];
    assert_row(after(&[FAIL]), State::Error, row);
}

// N14
#[test]
fn init_opens_once_negotiated_and_closes_immediately() {
    let mut machine = StreamState::new(State::Init);
    machine.apply(Input::Negotiated);
    assert_eq!(machine.state(), State::Open);
    for (input, state) in [
        (Input::Close, State::CloseBoth),
        (RESET, State::Reset),
        (FAIL, State::Error),
    ] {
        let mut machine = StreamState::new(State::Init);
        machine.apply(input);
        machine.apply(Input::Negotiated);
        assert_eq!(machine.state(), state);
    }
}

// N24
#[test]
fn both_halves_end_in_either_order() {
    for end in [Input::EndReported, Input::CloseRead] {
        assert_eq!(after(&[end, Input::CloseWrite]).state(), State::CloseBoth);
        assert_eq!(after(&[Input::CloseWrite, end]).state(), State::CloseBoth);
    }
}

#[test]
fn a_local_close_does_not_hide_a_reported_end() {
    let machine = after(&[Input::EndReported, Input::CloseRead]);
    assert_eq!(machine.check(Operation::Read), Refuse(EndOfStream));
    let machine = after(&[Input::CloseRead, Input::EndReported]);
    assert_eq!(machine.check(Operation::Read), Refuse(Closed));
}

// N11
#[test]
fn the_first_of_reset_and_failure_wins() {
    assert_eq!(after(&[FAIL, RESET]), after(&[FAIL]));
    assert_eq!(after(&[RESET, FAIL]), after(&[RESET]));
    let other = Input::Reset {
        code: 8,
        remote: false,
    };
    assert_eq!(after(&[RESET, other]).reset(), Some((7, true)));
}

#[test]
fn keeps_the_code_of_a_reset_and_of_a_failure() {
    assert_eq!(after(&[RESET]).reset(), Some((7, true)));
    assert_eq!(after(&[RESET]).failure(), None);
    assert_eq!(after(&[FAIL]).failure(), Some(3));
    assert_eq!(after(&[FAIL]).reset(), None);
}

// N16
#[test]
fn callers_may_move_only_one_step_forward() {
    let allowed: [&[State]; 7] = [
        &[State::Open, State::Reset, State::Error],
        &[
            State::CloseRead,
            State::CloseWrite,
            State::Reset,
            State::Error,
        ],
        &[State::CloseBoth, State::Reset, State::Error],
        &[State::CloseBoth, State::Reset, State::Error],
        &[],
        &[],
        &[],
    ];
    for (from, allowed) in STATES.into_iter().zip(allowed) {
        for to in STATES {
            let is_allowed = allowed.contains(&to);
            assert_eq!(
                in_state(from).can_move(to),
                is_allowed,
                "{from:?} to {to:?}"
            );
        }
    }
}

// N13
#[test]
fn is_done_in_exactly_three_states() {
    for state in STATES {
        let done = matches!(state, State::CloseBoth | State::Reset | State::Error);
        assert_eq!(in_state(state).is_done(), done, "{state:?}");
        let terminal = matches!(state, State::Reset | State::Error);
        assert_eq!(in_state(state).is_terminal(), terminal, "{state:?}");
    }
}

#[test]
fn discriminants_match_the_public_ones() {
    for (number, state) in (1..).zip(STATES) {
        assert_eq!(state as u8, number);
        assert_eq!(State::from_number(number), Some(state));
    }
    assert_eq!(State::from_number(0), None);
    assert_eq!(State::from_number(8), None);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Negotiated),
        Just(Input::EndReported),
        Just(Input::CloseRead),
        Just(Input::CloseWrite),
        Just(Input::Close),
        (any::<u32>(), any::<bool>()).prop_map(|(code, remote)| Input::Reset { code, remote }),
        any::<u16>().prop_map(|code| Input::Fail { code }),
    ]
}

proptest! {
    #[test]
    fn prop_halves_never_reopen_and_done_states_never_change(
        inputs in proptest::collection::vec(any_input(), 0..20),
    ) {
        let mut machine = StreamState::new(State::Init);
        for input in inputs {
            let before = machine;
            machine.apply(input);
            prop_assert!(!machine.is_read_open() || before.is_read_open());
            prop_assert!(!machine.is_write_open() || before.is_write_open());
            prop_assert!(machine.state() != State::Init || before.state() == State::Init);
            if before.is_done() {
                prop_assert_eq!(machine, before);
            }
        }
    }
}
