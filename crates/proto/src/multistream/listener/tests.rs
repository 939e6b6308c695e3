use proptest::prelude::*;

use super::*;

fn table() -> ProtocolTable<u32> {
    let mut table = ProtocolTable::default();
    for (number, name) in ["/a", "/b"].into_iter().enumerate() {
        table.insert(ProtocolId::new(name).unwrap(), number as u32);
    }
    table
}

fn querying_table() -> ProtocolTable<u32> {
    let mut table = table();
    table.set_others(Others::Ask);
    table
}

fn lines(texts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        append_line(&mut out, text);
    }
    out
}

fn feed<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(usize, Vec<u8>, Option<u32>), NegotiationError> {
    let mut listener = Listener::default();
    let mut consumed = 0;
    for part in parts {
        consumed += listener.handle_input(part, &table())?;
    }
    Ok((consumed, output_of(&mut listener), listener.outcome()))
}

fn output_of(listener: &mut Listener<u32>) -> Vec<u8> {
    let mut out = Vec::new();
    listener.poll_output(&mut out);
    out
}

fn error_of(texts: &[&[u8]]) -> NegotiationError {
    feed(lines(texts).chunks(7)).unwrap_err()
}

// A015, M1
#[test]
fn agrees_at_any_piece_size() {
    let input = lines(&[HEADER, b"/x", b"/b"]);
    for piece in 1..=input.len() {
        let (consumed, out, chosen) = feed(input.chunks(piece)).unwrap();
        assert_eq!((consumed, chosen), (input.len(), Some(1)));
        assert_eq!(out, lines(&[HEADER, b"na", b"/b"]));
    }
}

// A013, A014
#[test]
fn consumes_nothing_past_the_agreement_at_any_split() {
    let mut input = lines(&[HEADER, b"/a"]);
    let agreed = input.len();
    input.extend_from_slice(b"\x03ls\nnext layer");
    for split in 0..=input.len() {
        let (first, second) = input.split_at(split);
        let (consumed, out, chosen) = feed([first, second]).unwrap();
        assert_eq!((consumed, chosen), (agreed, Some(0)), "split at {split}");
        assert_eq!(out, lines(&[HEADER, b"/a"]));
    }
}

#[test]
fn sends_its_header_once_the_remotes_arrives() {
    let (_, out, _) = feed([&lines(&[HEADER])[..]]).unwrap();
    assert_eq!(out, lines(&[HEADER]));
}

// A006, A007, M8
#[test]
fn fails_on_another_version() {
    assert_eq!(
        error_of(&[b"/multistream/2.0.0"]),
        NegotiationError::Version
    );
    assert_eq!(error_of(&[b"/a"]), NegotiationError::Version);
    assert_eq!(error_of(&[b"ls"]), NegotiationError::Version);
    let browser =
        b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: a-long-name/1.0 (of 100 bytes)\r\n";
    assert_eq!(
        feed([&browser[..]]).unwrap_err(),
        NegotiationError::NoNewline
    );
}

// A007
#[test]
fn fails_at_the_first_byte_that_cannot_be_the_header() {
    for first in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01",
        b"\x13/nothing",
    ] {
        assert_eq!(feed([first]).unwrap_err(), NegotiationError::Version);
    }
    for piece in 1..20 {
        let input = lines(&[HEADER]);
        assert!(feed([&input[..piece]]).is_ok());
    }
}

// A008, M10
#[test]
fn fails_after_too_many_unknown_proposals() {
    let mut texts: Vec<&[u8]> = vec![HEADER];
    texts.extend([b"/x".as_slice(); PROPOSALS_MAX]);
    assert!(feed(lines(&texts).chunks(7)).is_ok());
    // The limit holds even for a protocol that is served.
    for last in [b"/x".as_slice(), b"/a"] {
        texts.push(last);
        assert_eq!(error_of(&texts), NegotiationError::TooManyProposals);
        texts.pop();
    }
}

// A009, A010
#[test]
fn answers_a_limited_number_of_listings() {
    let (_, out, _) = feed(lines(&[HEADER, b"ls"]).chunks(3)).unwrap();
    let mut expected = lines(&[HEADER]);
    expected.extend_from_slice(b"\x09\x03/a\n\x03/b\n\n");
    assert_eq!(out, expected);
    let mut texts: Vec<&[u8]> = vec![HEADER];
    texts.extend([b"ls".as_slice(); LISTINGS_MAX]);
    assert!(feed(lines(&texts).chunks(9)).is_ok());
    texts.push(b"ls");
    assert_eq!(error_of(&texts), NegotiationError::TooManyListings);
}

// A009
#[test]
fn limits_the_bytes_of_listings() {
    let mut table = ProtocolTable::default();
    for number in 0..200_u32 {
        let name = format!("/{number}/{}", "x".repeat(100));
        table.insert(ProtocolId::new(&name).unwrap(), number);
    }
    let mut listener = Listener::default();
    let input = lines(&[HEADER, b"ls", b"ls", b"ls", b"ls"]);
    let answer = listener.handle_input(&input, &table);
    assert_eq!(answer, Err(NegotiationError::TooManyListings));
    let out = output_of(&mut listener);
    assert!(out.len() > 40_000 && out.len() <= LISTING_BYTES_MAX + 100);
}

#[test]
fn lists_an_empty_table_as_an_empty_message() {
    let mut listener = Listener::<u32>::default();
    let input = lines(&[HEADER, b"ls"]);
    assert_eq!(
        listener.handle_input(&input, &ProtocolTable::default()),
        Ok(input.len())
    );
    assert_eq!(output_of(&mut listener), lines(&[HEADER, b""]));
}

// A022
#[test]
fn matches_names_byte_by_byte() {
    let long = [b'x'; 1_023];
    for name in [
        b"/a\0".as_slice(),
        b"/a\r",
        b"/\xff",
        b"/A",
        b"/a/",
        b"",
        HEADER,
        &long,
    ] {
        let (_, out, chosen) = feed(lines(&[HEADER, name]).chunks(4)).unwrap();
        assert_eq!((out, chosen), (lines(&[HEADER, b"na"]), None));
    }
}

#[test]
fn serves_a_name_of_the_full_length_of_a_line() {
    let name = "x".repeat(1_023);
    let mut table = ProtocolTable::default();
    table.insert(ProtocolId::new(&name).unwrap(), 7);
    let mut listener = Listener::default();
    for part in lines(&[HEADER, name.as_bytes()]).chunks(100) {
        listener.handle_input(part, &table).unwrap();
    }
    assert_eq!(listener.outcome(), Some(7));
    assert_eq!(output_of(&mut listener), lines(&[HEADER, name.as_bytes()]));
}

// A018
#[test]
fn fails_when_the_remote_ends_before_the_agreement() {
    let mut listener = Listener::default();
    listener
        .handle_input(&lines(&[HEADER, b"/x"]), &table())
        .unwrap();
    assert_eq!(listener.handle_end(), Err(NegotiationError::Ended));
    assert_eq!(
        listener.handle_input(b"", &table()),
        Err(NegotiationError::Ended)
    );
    let mut agreed = Listener::default();
    agreed
        .handle_input(&lines(&[HEADER, b"/a"]), &table())
        .unwrap();
    assert_eq!(agreed.handle_end(), Ok(()));
}

#[test]
fn errors_are_final() {
    let mut listener = Listener::default();
    let refused = listener.handle_input(&lines(&[b"/http/1.1"]), &table());
    assert_eq!(refused, Err(NegotiationError::Version));
    assert_eq!(listener.handle_input(&lines(&[HEADER]), &table()), refused);
}

#[test]
fn queries_a_name_without_an_entry() {
    let (table, mut listener) = (querying_table(), Listener::default());
    let mut input = lines(&[HEADER, b"/x/1", b"/x/2"]);
    let queried = lines(&[HEADER, b"/x/1"]).len();
    let agreed = input.len();
    input.extend_from_slice(b"next layer");

    let consumed = listener.handle_input(&input, &table).unwrap();
    assert_eq!(consumed, queried);
    assert_eq!(listener.queried().map(ProtocolId::as_str), Some("/x/1"));
    assert_eq!(listener.handle_input(&input[consumed..], &table), Ok(0));
    assert_eq!(output_of(&mut listener), lines(&[HEADER]));

    listener.answer(Answer::Refuse);
    let rest = &input[consumed..];
    let consumed = consumed + listener.handle_input(rest, &table).unwrap();
    assert_eq!((consumed, listener.outcome()), (agreed, None));
    assert_eq!(listener.handle_end(), Ok(()));

    listener.answer(Answer::Serve(9));
    assert_eq!((listener.queried(), listener.outcome()), (None, Some(9)));
    assert_eq!(listener.handle_input(&input[consumed..], &table), Ok(0));
    assert_eq!(output_of(&mut listener), lines(&[b"na", b"/x/2"]));
}

#[test]
fn does_not_query_known_or_invalid_names() {
    let table = querying_table();
    for (name, answer, chosen) in [
        (b"/a".as_slice(), b"/a".as_slice(), Some(0)),
        (b"/\xff", b"na", None),
        (b"", b"na", None),
    ] {
        let mut listener = Listener::default();
        listener
            .handle_input(&lines(&[HEADER, name]), &table)
            .unwrap();
        assert_eq!((listener.queried(), listener.outcome()), (None, chosen));
        assert_eq!(output_of(&mut listener), lines(&[HEADER, answer]));
    }
}

#[test]
fn an_answer_without_a_query_changes_nothing() {
    let mut listener = Listener::default();
    listener.answer(Answer::Serve(1));
    listener.handle_input(&lines(&[HEADER]), &table()).unwrap();
    listener.answer(Answer::Refuse);
    assert_eq!(listener.outcome(), None);
    assert_eq!(output_of(&mut listener), lines(&[HEADER]));
}

proptest! {
    // A021
    #[test]
    fn prop_survives_arbitrary_input_within_its_bounds(
        input in proptest::collection::vec(any::<u8>(), 0..3_000),
        has_header in any::<bool>(),
        piece in 1..500_usize,
    ) {
        let mut wire = if has_header { lines(&[HEADER]) } else { Vec::new() };
        wire.extend_from_slice(&input);
        let mut listener = Listener::default();
        for part in wire.chunks(piece) {
            if listener.handle_input(part, &table()).is_err() {
                break;
            }
            prop_assert!(listener.reader.held_bytes() <= 2 * (super::super::LINE_BYTES_MAX + 9));
        }
        prop_assert!(listener.outcome().is_none());
        prop_assert!(output_of(&mut listener).len() <= LISTING_BYTES_MAX);
    }
}
