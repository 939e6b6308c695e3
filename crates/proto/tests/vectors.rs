//! Byte sequences from the specifications and other implementations.

use ferroswarm_proto::framing::{
    Decoder, Framing, FramingError, VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint,
};
use ferroswarm_proto::multistream::{
    Dialer, Listener, Mode, NegotiationError, ProtocolId, ProtocolTable,
};

const HEADER: &str = "/multistream/1.0.0";
const VARINT: &str = include_str!("vectors/varint.txt");
const FRAMING: &str = include_str!("vectors/framing.txt");
const MULTISTREAM: &str = include_str!("vectors/multistream.txt");

/// Returns the name and the bytes of each line that is not a comment.
fn vectors(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    lines(text).map(|line| {
        let (name, hex) = line.split_once(' ').expect("two columns");
        (name, bytes(hex))
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.trim_matches(['-', '.'])
        .as_bytes()
        .chunks(2)
        .map(byte)
        .collect()
}

/// Returns the multistream-select rows of `kind`: text or error, and bytes.
fn multistream(kind: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    lines(MULTISTREAM).filter_map(move |line| {
        let columns: Vec<_> = line.split(' ').collect();
        let [of, text, hex] = columns[..] else {
            panic!("three columns in {line}");
        };
        (of == kind).then(|| (text.trim_matches('"'), bytes(hex)))
    })
}

fn line(wanted: &str) -> Vec<u8> {
    multistream("line")
        .find(|(text, _)| *text == wanted)
        .expect("a line with that text")
        .1
}

fn protocol(name: &str) -> ProtocolId {
    ProtocolId::new(name).unwrap()
}

// V1, V3, V4
#[test]
fn varints_agree_with_the_specification() {
    for (name, bytes) in vectors(VARINT) {
        match name {
            "not-minimal" => assert_eq!(decode_varint(&bytes), Err(VarintError::NotMinimal)),
            "too-long" => assert_eq!(decode_varint(&bytes), Err(VarintError::TooLong)),
            value => {
                let value = value.parse().unwrap();
                assert_eq!(decode_varint(&bytes), Ok(Some((value, bytes.len()))));
                assert_eq!(encode_varint(value, &mut [0; VARINT_BYTES_MAX]), bytes);
            }
        }
    }
}

// V2, V3, V4, A105, A107, A108, A109, A111
#[test]
fn framings_agree_with_the_vectors() {
    for line in lines(FRAMING) {
        let columns: Vec<_> = line.split(' ').collect();
        let [framing, limit, wire, messages, end] = columns[..] else {
            panic!("five columns in {line}");
        };
        let framing = match framing {
            "varint" => Framing::Varint,
            "fixed8" => Framing::Fixed8,
            "fixed16" => Framing::Fixed16,
            "fixed32" => Framing::Fixed32,
            "fixed64" => Framing::Fixed64,
            other => panic!("framing {other}"),
        };
        let wire = bytes(wire);
        let messages: Vec<_> = match messages {
            "-" => Vec::new(),
            some => some.split(',').map(bytes).collect(),
        };
        let found = cut(framing, limit.parse().unwrap(), &wire);
        assert_eq!(found, (messages.clone(), end), "{line}");
        let mut framed = Vec::new();
        for message in messages {
            let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
            let prefix = framing.encode_prefix(message.len(), &mut buffer).unwrap();
            framed.extend_from_slice(prefix);
            framed.extend_from_slice(&message);
        }
        assert!(wire.starts_with(&framed), "{line}");
    }
}

/// Returns the messages of `wire` and its ending, in the terms of the vectors.
fn cut(framing: Framing, limit: usize, wire: &[u8]) -> (Vec<Vec<u8>>, &'static str) {
    let decoder = Decoder::new(framing, limit);
    let (mut messages, mut rest) = (Vec::new(), wire);
    loop {
        let prefix = match decoder.peek(rest) {
            Ok(Some(prefix)) => prefix,
            Ok(None) if rest.is_empty() => return (messages, "clean"),
            Ok(None) => return (messages, "missing-length"),
            Err(FramingError::MessageTooLarge { .. }) => return (messages, "too-large"),
            Err(_) => return (messages, "invalid"),
        };
        let end = prefix.prefix_bytes + prefix.message_bytes;
        let Some(message) = rest.get(prefix.prefix_bytes..end) else {
            return (messages, "missing-message");
        };
        messages.push(message.to_vec());
        rest = &rest[end..];
    }
}

#[test]
fn a_dialer_writes_and_reads_the_known_lines() {
    let proposals = [protocol("/noise"), protocol("/yamux/1.0.0")];
    let mut dialer = Dialer::new(Box::from(proposals), Mode::V1);
    let mut output = Vec::new();
    dialer.poll_output(&mut output);
    assert_eq!(output, [line(HEADER), line("/noise")].concat());
    let refused = [line(HEADER), line("na")].concat();
    assert_eq!(dialer.handle_input(&refused), Ok(refused.len()));
    output.clear();
    dialer.poll_output(&mut output);
    assert_eq!(output, line("/yamux/1.0.0"));
    assert_eq!(
        dialer.handle_input(&line("/yamux/1.0.0")),
        Ok(line("/yamux/1.0.0").len())
    );
    assert_eq!(dialer.outcome(), Some(1));
}

// M4, A022
#[test]
fn a_listener_reads_every_known_line_and_writes_the_known_listings() {
    for (names, listing) in multistream("listing") {
        let mut table = ProtocolTable::default();
        for name in names.split_terminator(',') {
            table.insert(protocol(name), ());
        }
        let output = response_to(&[line("ls"), line("/noise")].concat(), &table).unwrap();
        assert_eq!(output, [line(HEADER), listing, line("na")].concat());
    }
    for (name, bytes) in multistream("line") {
        let Ok(name) = ProtocolId::new(name) else {
            continue;
        };
        let mut table = ProtocolTable::default();
        table.insert(name, ());
        let output = response_to(&bytes, &table).unwrap();
        assert_eq!(output, [line(HEADER), bytes].concat());
    }
}

// A001, A002, A003, A004, A005, A022
#[test]
fn both_sides_reject_malformed_lines() {
    for (kind, bytes) in multistream("error") {
        let response = response_to(&bytes, &ProtocolTable::default());
        let mut dialer = Dialer::new(Box::from([protocol("/noise")]), Mode::V1);
        let dialed = dialer.handle_input(&[line(HEADER), bytes].concat());
        let as_expected = |error| match kind {
            "no-newline" => error == NegotiationError::NoNewline,
            "too-long" => matches!(error, NegotiationError::LineTooLong { .. }),
            "length" => matches!(error, NegotiationError::Length(_)),
            "not-utf8" => error == NegotiationError::UnexpectedAnswer,
            other => panic!("unknown kind of error: {other}"),
        };
        assert!(as_expected(dialed.unwrap_err()), "{kind}");
        match response {
            // Names are matched byte by byte.
            Ok(output) if kind == "not-utf8" => {
                assert_eq!(output, [line(HEADER), line("na")].concat());
            }
            response => assert!(as_expected(response.unwrap_err()), "{kind}"),
        }
    }
}

/// Returns the listener's response to `input` after the header.
fn response_to(input: &[u8], table: &ProtocolTable<()>) -> Result<Vec<u8>, NegotiationError> {
    let mut listener = Listener::default();
    let request = [line(HEADER), input.to_vec()].concat();
    assert_eq!(listener.handle_input(&request, table)?, request.len());
    let mut output = Vec::new();
    listener.poll_output(&mut output);
    Ok(output)
}
