use proptest::prelude::*;

use super::*;

fn dialer(names: &[&str], mode: Mode) -> Dialer {
    Dialer::new(
        names
            .iter()
            .map(|name| ProtocolId::new(name).unwrap())
            .collect(),
        mode,
    )
}

fn lines(texts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        append_line(&mut out, text);
    }
    out
}

/// Feeds the parts, collecting the output before and after each.
fn feed<'a>(
    dialer: &mut Dialer,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(usize, Vec<u8>), NegotiationError> {
    let mut out = Vec::new();
    let mut consumed = 0;
    dialer.poll_output(&mut out);
    for part in parts {
        consumed += dialer.handle_input(part)?;
        dialer.poll_output(&mut out);
    }
    Ok((consumed, out))
}

fn error_of(dialer: &mut Dialer, input: &[u8]) -> NegotiationError {
    let error = feed(dialer, input.chunks(1)).unwrap_err();
    assert_eq!(dialer.handle_input(b""), Err(error), "errors are final");
    assert_eq!(dialer.handle_end(), Err(error), "errors are final");
    assert_eq!(dialer.outcome(), None);
    let mut out = Vec::new();
    dialer.poll_output(&mut out);
    assert_eq!(out, b"", "no output after an error");
    error
}

#[test]
fn sends_header_and_first_proposal_together() {
    for mode in [Mode::V1, Mode::Lazy] {
        let mut out = Vec::new();
        dialer(&["/a"], mode).poll_output(&mut out);
        assert_eq!(out, b"\x13/multistream/1.0.0\n\x03/a\n");
    }
}

// A013
#[test]
fn consumes_nothing_past_the_agreement_at_any_split() {
    let mut input = lines(&[HEADER, b"na", b"/b"]);
    let agreed = input.len();
    input.extend_from_slice(b"\x05next layer");
    for split in 0..=input.len() {
        let mut dialer = dialer(&["/a", "/b"], Mode::V1);
        let (first, second) = input.split_at(split);
        let (consumed, out) = feed(&mut dialer, [first, second]).unwrap();
        assert_eq!(
            (consumed, dialer.outcome()),
            (agreed, Some(1)),
            "split at {split}"
        );
        assert_eq!(out, lines(&[HEADER, b"/a", b"/b"]));
        assert_eq!(dialer.handle_end(), Ok(()));
    }
}

// M2, A015
#[test]
fn proposes_the_next_protocol_after_na() {
    let mut dialer = dialer(&["/a", "/b"], Mode::V1);
    let (_, out) = feed(&mut dialer, lines(&[HEADER, b"na", b"/b"]).chunks(1)).unwrap();
    assert_eq!(out, lines(&[HEADER, b"/a", b"/b"]));
    assert_eq!(dialer.outcome(), Some(1));
}

#[test]
fn sends_its_proposal_even_if_the_remote_answers_first() {
    let mut dialer = dialer(&["/a"], Mode::V1);
    let answer = lines(&[HEADER, b"/a"]);
    assert_eq!(dialer.handle_input(&answer), Ok(answer.len()));
    let mut out = Vec::new();
    dialer.poll_output(&mut out);
    assert_eq!(out, lines(&[HEADER, b"/a"]));
}

// A017, M2
#[test]
fn fails_when_every_proposal_is_refused() {
    let input = lines(&[HEADER, b"na", b"na", b"na"]);
    let error = error_of(&mut dialer(&["/a", "/b"], Mode::V1), &input);
    assert_eq!(error, NegotiationError::Refused);
    assert_eq!(
        error_of(&mut dialer(&[], Mode::V1), &lines(&[HEADER])),
        NegotiationError::Refused
    );
}

// A019
#[test]
fn fails_when_the_lazy_proposal_is_refused() {
    let error = error_of(&mut dialer(&["/a"], Mode::Lazy), &lines(&[HEADER, b"na"]));
    assert_eq!(error, NegotiationError::Refused);
}

// A016
#[test]
fn fails_on_an_answer_that_was_not_proposed() {
    for answer in [
        b"/b".as_slice(),
        b"/a/",
        b"/A",
        b"ls",
        b"",
        b"/a\0",
        b"\xff",
    ] {
        for mode in [Mode::V1, Mode::Lazy] {
            let error = error_of(&mut dialer(&["/a"], mode), &lines(&[HEADER, answer]));
            assert_eq!(error, NegotiationError::UnexpectedAnswer);
        }
    }
    // Neither an earlier nor a later proposal answers the current one.
    for answer in [b"/a".as_slice(), b"/c"] {
        let input = lines(&[HEADER, b"na", answer]);
        let error = error_of(&mut dialer(&["/a", "/b", "/c"], Mode::V1), &input);
        assert_eq!(error, NegotiationError::UnexpectedAnswer);
    }
}

// A006, A007, M8
#[test]
fn fails_on_another_version() {
    for header in [
        b"/multistream/2.0.0".as_slice(),
        b"/multistream/1.0.0 ",
        b"na",
        b"/a",
    ] {
        let error = error_of(&mut dialer(&["/a"], Mode::V1), &lines(&[header]));
        assert_eq!(error, NegotiationError::Version);
    }
}

// A018
#[test]
fn fails_when_the_remote_ends_before_the_agreement() {
    for input in [lines(&[]), lines(&[HEADER]), lines(&[HEADER, b"na"])] {
        let mut dialer = dialer(&["/a", "/b"], Mode::V1);
        feed(&mut dialer, [&input[..]]).unwrap();
        assert_eq!(dialer.handle_end(), Err(NegotiationError::Ended));
        assert_eq!(dialer.handle_input(b""), Err(NegotiationError::Ended));
    }
}

// M8
#[test]
fn tolerates_one_restart_by_the_remote() {
    let mut restarted = dialer(&["/a", "/b"], Mode::V1);
    let input = lines(&[HEADER, b"na", HEADER, HEADER, b"/b"]);
    let (_, out) = feed(&mut restarted, input.chunks(1)).unwrap();
    assert_eq!(out, lines(&[HEADER, b"/a", b"/b", HEADER, b"/b"]));
    assert_eq!(restarted.outcome(), Some(1));

    let twice = lines(&[HEADER, HEADER, HEADER, HEADER]);
    let error = error_of(&mut dialer(&["/a"], Mode::V1), &twice);
    assert_eq!(error, NegotiationError::UnexpectedAnswer);
    let lazy = error_of(&mut dialer(&["/a"], Mode::Lazy), &lines(&[HEADER, HEADER]));
    assert_eq!(lazy, NegotiationError::UnexpectedAnswer);
}

#[test]
fn fails_at_the_first_byte_that_cannot_be_the_header() {
    for first in [&b"HTTP/1.1 400"[..], b"\x13/nothing", b"\x02na"] {
        let error = error_of(&mut dialer(&["/a"], Mode::V1), first);
        assert_eq!(error, NegotiationError::Version);
    }
}

// A001, A002, A003, A004, A005, M10
#[test]
fn fails_on_malformed_lines() {
    use crate::framing::VarintError;

    let cases: [(&[u8], NegotiationError); 6] = [
        (&[0], NegotiationError::NoNewline),
        (b"\x02ab", NegotiationError::NoNewline),
        (b"\x13/multistream/1.0.0X", NegotiationError::NoNewline),
        (
            &[0x81, 0x08],
            NegotiationError::LineTooLong { length: 1_025 },
        ),
        (
            &[0x94, 0x00],
            NegotiationError::Length(VarintError::NotMinimal),
        ),
        (&[0xff; 10], NegotiationError::Length(VarintError::TooLong)),
    ];
    for (answer, expected) in cases {
        let input = [&lines(&[HEADER]), answer].concat();
        assert_eq!(error_of(&mut dialer(&["/a"], Mode::V1), &input), expected);
    }
}

proptest! {
    // A021
    #[test]
    fn prop_survives_arbitrary_input_and_buffers_at_most_one_line(
        input in proptest::collection::vec(any::<u8>(), 0..3_000),
        piece in 1..500_usize,
    ) {
        let mut dialer = dialer(&["/a", "/b"], Mode::V1);
        let _ = feed(&mut dialer, input.chunks(piece));
        prop_assert!(dialer.outcome().is_none());
        prop_assert!(dialer.reader.held_bytes() <= 2 * (super::super::LINE_BYTES_MAX + 9));
    }

    #[test]
    fn prop_outcome_does_not_depend_on_splits(
        texts in proptest::collection::vec(
            proptest::sample::select(vec![HEADER, b"na", b"/a", b"/b", b"ls"]),
            0..6,
        ),
        piece in 1..40_usize,
    ) {
        let input = lines(&texts);
        let (mut whole, mut parts) = (dialer(&["/a", "/b"], Mode::V1), dialer(&["/a", "/b"], Mode::V1));
        let expected = feed(&mut whole, [&input[..]]).map(|(consumed, _)| consumed);
        let actual = feed(&mut parts, input.chunks(piece)).map(|(consumed, _)| consumed);
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(parts.outcome(), whole.outcome());
    }
}
