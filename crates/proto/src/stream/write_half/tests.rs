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
    WriteInput::Abandon,
    WriteInput::FinSent,
    WriteInput::Agreed,
    WriteInput::Await,
    WriteInput::Cut,
];

/// The FIN table: one row per state, one column per input of [`INPUTS`].
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

/// The agreement table, in the same layout.
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

/// Every state of the type, including unreachable ones.
fn states() -> impl Iterator<Item = (usize, usize, WriteHalf)> {
    (0..FINS.len()).flat_map(|fin| {
        (0..AGREEMENTS.len()).map(move |agreement| {
            let half = WriteHalf {
                fin: FINS[fin],
                agreement: AGREEMENTS[agreement],
            };
            (fin, agreement, half)
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
fn transitions_match_the_tables() {
    for (fin, agreement, before) in states() {
        for (column, input) in INPUTS.into_iter().enumerate() {
            let mut half = before;
            half.apply(input);
            let is_held = input == WriteInput::FinSent && before.agreement == Agreement::Undecided;
            let expected = WriteHalf {
                fin: if is_held {
                    before.fin
                } else {
                    FIN_TABLE[fin][column]
                },
                agreement: AGREEMENT_TABLE[agreement][column],
            };
            assert_eq!(half, expected, "{before:?}, {input:?}");
        }
    }
}

#[test]
fn fin_due_follows_fin_and_agreement() {
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
fn only_a_sent_fin_with_agreement_completes_the_half() {
    for (_, _, half) in states() {
        let complete = half.fin == FinState::Sent && half.agreement == Agreement::Agreed;
        assert_eq!(half.is_complete(), complete, "{half:?}");
    }
}

#[test]
fn bytes_wait_only_for_a_choice_of_protocols() {
    for (_, _, half) in states() {
        let waits = half.agreement == Agreement::Undecided;
        assert_eq!(half.takes_bytes(), !waits, "{half:?}");
    }
}

#[test]
fn a_half_cut_before_the_answer_is_never_agreed() {
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
fn an_abandoned_stream_still_ends_if_closed_before() {
    let half = after(Agreement::Agreed, &[WriteInput::Close, WriteInput::Abandon]);
    assert_eq!(half.fin_due(), FinDue::Now);
}
