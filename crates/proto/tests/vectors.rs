//! Byte sequences of the specifications and of other implementations.

use ferroswarm_proto::framing::{VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint};
use ferroswarm_proto::multistream::{Dialer, Listener, Mode, ProtocolId, ProtocolTable};

const VARINT: &str = include_str!("vectors/varint.txt");
const MULTISTREAM: &str = include_str!("vectors/multistream.txt");

/// The name and the bytes of each line that is no comment.
fn vectors(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, hex) = line.split_once(' ').expect("two columns");
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        (name, digits.map(byte).collect())
    })
}

fn line(wanted: &str) -> Vec<u8> {
    vectors(MULTISTREAM)
        .find(|(name, _)| *name == wanted)
        .expect("a vector of that name")
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

#[test]
fn a_dialer_writes_and_reads_the_known_lines() {
    let proposals = [protocol("/noise"), protocol("/yamux/1.0.0")];
    let mut dialer = Dialer::new(Box::from(proposals), Mode::V1);
    let mut output = Vec::new();
    dialer.poll_output(&mut output);
    assert_eq!(output, [line("header"), line("noise")].concat());
    let refused = [line("header"), line("na")].concat();
    assert_eq!(dialer.handle_input(&refused), Ok(refused.len()));
    output.clear();
    dialer.poll_output(&mut output);
    assert_eq!(output, line("yamux"));
    assert_eq!(dialer.handle_input(&line("yamux")), Ok(line("yamux").len()));
    assert_eq!(dialer.outcome(), Some(1));
}

// M4
#[test]
fn a_listener_writes_and_reads_the_known_lines() {
    let mut table = ProtocolTable::default();
    table.insert(protocol("/a"), 1);
    table.insert(protocol("/ping"), 2);
    let mut listener = Listener::default();
    let asked = [line("header"), line("ls"), line("noise")].concat();
    assert_eq!(listener.handle_input(&asked, &table), Ok(asked.len()));
    let mut output = Vec::new();
    listener.poll_output(&mut output);
    assert_eq!(
        output,
        [line("header"), line("listing"), line("na")].concat()
    );
}
