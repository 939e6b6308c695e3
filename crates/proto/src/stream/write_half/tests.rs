use super::*;

const FINS: [FinState; 5] = [
    FinState::Open,
    FinState::Wanted,
    FinState::Sent,
    FinState::Withheld,
    FinState::Cut,
];

const AGREEMENTS: [Agreement; 5] = [
    Agreement::Agreed,
    Agreement::Undecided,
    Agreement::Unanswered,
    Agreement::Awaited,
    Agreement::Unmet,
];

const INPUTS: [WriteInput; 6] = [
    WriteInput::Close,
    WriteInput::Forget,
    WriteInput::FinSent,
    WriteInput::Agreed,
    WriteInput::Await,
    WriteInput::Cut,
];

/// The ends that the table has: a row a state, a column an input of [`INPUTS`].
const FIN_TABLE: [[FinState; 6]; 5] = {
    use FinState::{Cut, Open, Sent, Wanted, Withheld};
    [
        [Wanted, Withheld, Open, Open, Open, Cut],
        [Wanted, Wanted, Sent, Wanted, Wanted, Cut],
        [Sent, Sent, Sent, Sent, Sent, Sent],
        [Withheld, Withheld, Withheld, Withheld, Withheld, Cut],
        [Cut, Cut, Cut, Cut, Cut, Cut],
    ]
};

/// The agreements that the table has, in the same order.
const AGREEMENT_TABLE: [[Agreement; 6]; 5] = {
    use Agreement::{Agreed, Awaited, Unanswered, Undecided, Unmet};
    [
        [Agreed, Agreed, Agreed, Agreed, Agreed, Agreed],
        [Undecided, Undecided, Undecided, Agreed, Undecided, Unmet],
        [Unanswered, Unanswered, Unanswered, Agreed, Awaited, Unmet],
        [Awaited, Awaited, Awaited, Agreed, Awaited, Unmet],
        [Unmet, Unmet, Unmet, Unmet, Unmet, Unmet],
    ]
};

/// Every state that the type has, those that no order of inputs reaches too.
fn states() -> impl Iterator<Item = (usize, usize, WriteHalf)> {
    (0..FINS.len()).flat_map(|end| {
        (0..AGREEMENTS.len()).map(move |agreement| {
            let half = WriteHalf {
                fin: FINS[end],
                agreement: AGREEMENTS[agreement],
            };
            (end, agreement, half)
        })
    })
}

fn after(agreement: Agreement, inputs: &[WriteInput]) -> WriteHalf {
    let mut half = WriteHalf::new(agreement);
    for input in inputs {
        half.apply(*input);
    }
    half
}

#[test]
fn every_state_takes_every_input_as_the_table_has_it() {
    for (end, agreement, before) in states() {
        for (column, input) in INPUTS.into_iter().enumerate() {
            let mut half = before;
            half.apply(input);
            let is_held = input == WriteInput::FinSent && before.agreement == Agreement::Undecided;
            let expected = WriteHalf {
                fin: if is_held {
                    before.fin
                } else {
                    FIN_TABLE[end][column]
                },
                agreement: AGREEMENT_TABLE[agreement][column],
            };
            assert_eq!(half, expected, "{before:?}, {input:?}");
        }
    }
}

#[test]
fn every_state_says_when_its_end_is_due() {
    for (_, _, half) in states() {
        let due = match (half.fin, half.agreement) {
            (FinState::Wanted, Agreement::Agreed) => FinDue::Now,
            (FinState::Wanted, Agreement::Unanswered | Agreement::Awaited) => FinDue::OnAnswer,
            _ => FinDue::Not,
        };
        assert_eq!(half.fin_due(), due, "{half:?}");
    }
}

#[test]
fn only_an_end_that_was_sent_to_a_remote_that_agreed_completes_the_half() {
    for (_, _, half) in states() {
        let complete = half.fin == FinState::Sent && half.agreement == Agreement::Agreed;
        assert_eq!(half.is_complete(), complete, "{half:?}");
    }
}

#[test]
fn bytes_wait_for_a_choice_of_protocols_only() {
    for (_, _, half) in states() {
        let waits = half.agreement == Agreement::Undecided;
        assert_eq!(half.takes_bytes(), !waits, "{half:?}");
    }
}

#[test]
fn a_half_that_was_cut_before_the_answer_does_not_pass_for_agreed() {
    use WriteInput::{Agreed, Await, Close, Cut, FinSent};
    let sent_early = after(Agreement::Unanswered, &[Close, FinSent, Cut, Agreed]);
    assert_eq!(
        (sent_early.fin, sent_early.agreement),
        (FinState::Sent, Agreement::Unmet)
    );
    let awaited = after(Agreement::Unanswered, &[Close, Await, Cut]);
    assert_eq!(
        (awaited.fin, awaited.agreement),
        (FinState::Cut, Agreement::Unmet)
    );
    let agreed = after(Agreement::Unanswered, &[Close, Agreed, Cut]);
    assert_eq!(
        (agreed.fin, agreed.agreement),
        (FinState::Cut, Agreement::Agreed)
    );
}

#[test]
fn a_stream_that_was_closed_and_is_forgotten_still_ends() {
    let half = after(Agreement::Agreed, &[WriteInput::Close, WriteInput::Forget]);
    assert_eq!(half.fin_due(), FinDue::Now);
}
