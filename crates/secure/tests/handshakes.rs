//! Both protocols through the public API: the same handshake, records and rejections.

use std::sync::Arc;

use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, HandshakeError, Identity, KeyType, Keypair, Opened,
    RecordError, Role, Secured, Security,
};
use proptest::prelude::*;

const PROTOCOLS: [Security; 2] = [Security::Noise, Security::Tls];

fn identity() -> Arc<Identity> {
    Arc::new(Identity::new(Keypair::generate(KeyType::Ed25519).unwrap()).unwrap())
}

fn config(identity: &Arc<Identity>) -> HandshakeConfig {
    HandshakeConfig {
        identity: Arc::clone(identity),
        muxers: ["/yamux/1.0.0".into()].into(),
        expected_peer: None,
    }
}

/// Carries bytes both ways, `chunk` at a time, until neither end has output.
fn run(
    dialer: &mut Handshake,
    listener: &mut Handshake,
    chunk: usize,
) -> Result<(), (Role, HandshakeError)> {
    let mut bytes = Vec::new();
    loop {
        dialer.poll_output(&mut bytes);
        let mut is_quiet = bytes.is_empty();
        feed(listener, &mut bytes, chunk).map_err(|error| (Role::Listener, error))?;
        listener.poll_output(&mut bytes);
        is_quiet &= bytes.is_empty();
        feed(dialer, &mut bytes, chunk).map_err(|error| (Role::Dialer, error))?;
        if is_quiet {
            return Ok(());
        }
    }
}

fn feed(end: &mut Handshake, bytes: &mut Vec<u8>, chunk: usize) -> Result<(), HandshakeError> {
    for part in bytes.chunks_mut(chunk) {
        assert_eq!(end.handle_input(part)?, part.len());
    }
    bytes.clear();
    Ok(())
}

fn secured(security: Security, chunk: usize) -> (Secured, Secured) {
    let mut dialer = Handshake::new(security, Role::Dialer, &config(&identity())).unwrap();
    let mut listener = Handshake::new(security, Role::Listener, &config(&identity())).unwrap();
    run(&mut dialer, &mut listener, chunk).unwrap();
    (dialer.finish().unwrap(), listener.finish().unwrap())
}

fn channels(security: Security) -> (Channel, Channel) {
    let (dialer, listener) = secured(security, 1 << 16);
    (dialer.channel, listener.channel)
}

fn sealed(channel: &mut Channel, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = channel.begin(&mut out);
    out.extend_from_slice(plaintext);
    channel.seal(&mut out, start).unwrap();
    assert_eq!(out.len(), plaintext.len() + channel.overhead());
    out
}

fn opened(channel: &mut Channel, record: &mut [u8]) -> Vec<u8> {
    match channel.open(record).unwrap() {
        Opened::Record {
            plaintext,
            consumed,
        } => {
            assert_eq!(consumed, record.len());
            record[plaintext].to_vec()
        }
        other => panic!("expected a record, found {other:?}"),
    }
}

#[test]
fn handshakes_complete_at_any_chunk_size() {
    for security in PROTOCOLS {
        for chunk in (1..40).chain([100, 1 << 16]) {
            let (dialer, listener) = secured(security, chunk);
            assert_eq!(dialer.muxer.as_deref(), Some("/yamux/1.0.0"));
            assert_eq!(listener.muxer.as_deref(), Some("/yamux/1.0.0"));
            let (mut dialer, mut listener) = (dialer.channel, listener.channel);
            let mut record = sealed(&mut dialer, b"to the listener");
            assert_eq!(opened(&mut listener, &mut record), b"to the listener");
            let mut record = sealed(&mut listener, b"to the dialer");
            assert_eq!(opened(&mut dialer, &mut record), b"to the dialer");
        }
    }
}

#[test]
fn each_end_authenticates_the_other() {
    for security in PROTOCOLS {
        let (one, two) = (identity(), identity());
        let mut dialer_config = config(&one);
        dialer_config.expected_peer = Some(*two.peer_id());
        let mut dialer = Handshake::new(security, Role::Dialer, &dialer_config).unwrap();
        let mut listener = Handshake::new(security, Role::Listener, &config(&two)).unwrap();
        run(&mut dialer, &mut listener, 1 << 16).unwrap();
        let (dialer, listener) = (dialer.finish().unwrap(), listener.finish().unwrap());
        assert_eq!(dialer.peer_id, *two.peer_id());
        assert_eq!(&dialer.public_key, two.keypair().public());
        assert_eq!(listener.peer_id, *one.peer_id());
        assert_eq!(&listener.public_key, one.keypair().public());
    }
}

// A038
#[test]
fn an_unexpected_peer_is_refused() {
    for security in PROTOCOLS {
        for role in [Role::Dialer, Role::Listener] {
            let (one, two, expected) = (identity(), identity(), *identity().peer_id());
            let (mut dialer_config, mut listener_config) = (config(&one), config(&two));
            let (config, actual) = match role {
                Role::Dialer => (&mut dialer_config, *two.peer_id()),
                Role::Listener => (&mut listener_config, *one.peer_id()),
            };
            config.expected_peer = Some(expected);
            let mut dialer = Handshake::new(security, Role::Dialer, &dialer_config).unwrap();
            let mut listener = Handshake::new(security, Role::Listener, &listener_config).unwrap();
            let (failed, error) = run(&mut dialer, &mut listener, 1 << 16).unwrap_err();
            assert_eq!(failed, role);
            assert!(
                matches!(
                    error,
                    HandshakeError::PeerIdMismatch { expected: e, actual: a }
                        if e == expected && a == actual
                ),
                "{error:?}"
            );
            let refusing = if role == Role::Dialer {
                dialer
            } else {
                listener
            };
            assert!(!refusing.is_complete());
            assert!(matches!(refusing.finish(), Err(HandshakeError::Incomplete)));
        }
    }
}

// A039
#[test]
fn a_node_refuses_itself() {
    for security in PROTOCOLS {
        let node = config(&identity());
        let mut dialer = Handshake::new(security, Role::Dialer, &node).unwrap();
        let mut listener = Handshake::new(security, Role::Listener, &node).unwrap();
        let (role, error) = run(&mut dialer, &mut listener, 1 << 16).unwrap_err();
        assert_eq!(role, Role::Dialer);
        assert!(matches!(error, HandshakeError::SelfDial), "{error:?}");
    }
}

#[test]
fn a_reflected_message_is_refused() {
    for security in PROTOCOLS {
        let mut dialer = Handshake::new(security, Role::Dialer, &config(&identity())).unwrap();
        let mut bytes = Vec::new();
        dialer.poll_output(&mut bytes);
        assert!(dialer.handle_input(&mut bytes).is_err());
    }
}

// A050: a truncated handshake is never complete.
#[test]
fn a_handshake_without_its_last_byte_is_not_complete() {
    for security in PROTOCOLS {
        let mut dialer = Handshake::new(security, Role::Dialer, &config(&identity())).unwrap();
        let mut listener = Handshake::new(security, Role::Listener, &config(&identity())).unwrap();
        let mut bytes = Vec::new();
        dialer.poll_output(&mut bytes);
        feed(&mut listener, &mut bytes, 1 << 16).unwrap();
        listener.poll_output(&mut bytes);
        feed(&mut dialer, &mut bytes, 1 << 16).unwrap();
        dialer.poll_output(&mut bytes);
        bytes.pop();
        feed(&mut listener, &mut bytes, 1 << 16).unwrap();
        assert!(!listener.is_complete());
        assert!(matches!(listener.finish(), Err(HandshakeError::Incomplete)));
    }
}

#[test]
fn every_corrupted_handshake_byte_is_detected() {
    for security in PROTOCOLS {
        let (one, two) = (config(&identity()), config(&identity()));
        // Coarse steps: each trial costs the arithmetic of two handshakes.
        for position in (0..4_000).step_by(97) {
            let mut dialer = Handshake::new(security, Role::Dialer, &one).unwrap();
            let mut listener = Handshake::new(security, Role::Listener, &two).unwrap();
            let (mut bytes, mut seen, mut is_corrupted) = (Vec::new(), 0, false);
            let mut result = Ok(());
            for turn in 0..4 {
                let (from, to) = match turn % 2 {
                    0 => (&mut dialer, &mut listener),
                    _ => (&mut listener, &mut dialer),
                };
                from.poll_output(&mut bytes);
                if !is_corrupted && position < seen + bytes.len() {
                    bytes[position - seen] ^= 0x40;
                    is_corrupted = true;
                }
                seen += bytes.len();
                result = result.and_then(|()| feed(to, &mut bytes, 1 << 16));
                bytes.clear();
            }
            let both_complete = result.is_ok() && dialer.is_complete() && listener.is_complete();
            // The version in a plaintext TLS record is ignored, as the standard requires.
            let is_ignored = security == Security::Tls && position < 3;
            assert!(
                !is_corrupted || !both_complete || is_ignored,
                "{security:?} {position}"
            );
        }
    }
}

// A040
#[test]
fn a_flipped_bit_in_a_record_is_refused() {
    for security in PROTOCOLS {
        let (mut dialer, listener) = channels(security);
        let record = sealed(&mut dialer, b"first");
        drop(listener);
        for index in 0..record.len() {
            let (mut dialer, mut listener) = channels(security);
            let mut record = sealed(&mut dialer, b"first");
            record[index] ^= 1;
            match listener.open(&mut record) {
                // A corrupted length announces bytes that never arrive.
                Ok(Opened::Incomplete { needed }) => assert!(needed > record.len()),
                Ok(other) => panic!("{security:?} {index} opened as {other:?}"),
                Err(_) => {
                    let mut next = sealed(&mut dialer, b"second");
                    assert!(matches!(listener.open(&mut next), Err(RecordError::Failed)));
                }
            }
        }
    }
}

// A041, A042, A043
#[test]
fn swapped_repeated_and_missing_records_are_refused() {
    for security in PROTOCOLS {
        let (mut dialer, mut listener) = channels(security);
        let _first = sealed(&mut dialer, b"first");
        let mut second = sealed(&mut dialer, b"second");
        assert!(matches!(
            listener.open(&mut second),
            Err(RecordError::Decrypt)
        ));

        let (mut dialer, mut listener) = channels(security);
        let mut first = sealed(&mut dialer, b"first");
        let mut again = first.clone();
        assert_eq!(opened(&mut listener, &mut first), b"first");
        assert!(matches!(
            listener.open(&mut again),
            Err(RecordError::Decrypt)
        ));
    }
}

// A044
#[test]
fn noise_records_shorter_than_their_tag_are_refused() {
    for length in 0..16_u16 {
        let (_, mut listener) = channels(Security::Noise);
        let mut record = length.to_be_bytes().to_vec();
        record.extend(vec![0; usize::from(length)]);
        assert!(matches!(
            listener.open(&mut record),
            Err(RecordError::RecordLength { .. })
        ));
    }
}

#[test]
fn incomplete_records_report_the_needed_bytes_and_are_unchanged() {
    for security in PROTOCOLS {
        let (mut dialer, mut listener) = channels(security);
        let record = sealed(&mut dialer, b"in parts");
        let header_length = record.len() - b"in parts".len() - dialer.overhead()
            + match security {
                Security::Noise => 2,
                Security::Tls => 5,
            };
        for length in 0..record.len() {
            let needed = if length < header_length {
                header_length
            } else {
                record.len()
            };
            let mut part = record[..length].to_vec();
            assert_eq!(
                listener.open(&mut part).unwrap(),
                Opened::Incomplete { needed }
            );
            assert_eq!(part, record[..length]);
        }
        assert_eq!(opened(&mut listener, &mut record.clone()), b"in parts");
    }
}

#[test]
fn several_records_in_one_buffer_open_in_order() {
    for security in PROTOCOLS {
        let (mut dialer, mut listener) = channels(security);
        let mut bytes = b"unmodified".to_vec();
        for length in [1, 100, Channel::PLAINTEXT_MAX] {
            let start = dialer.begin(&mut bytes);
            bytes.resize(bytes.len() + length, length as u8);
            dialer.seal(&mut bytes, start).unwrap();
        }
        let (front, mut rest) = bytes.split_at_mut(10);
        assert_eq!(front, b"unmodified");
        for length in [1, 100, Channel::PLAINTEXT_MAX] {
            let Opened::Record {
                plaintext,
                consumed,
            } = listener.open(rest).unwrap()
            else {
                panic!("expected a record")
            };
            assert_eq!(rest[plaintext], vec![length as u8; length]);
            rest = &mut rest[consumed..];
        }
        assert!(rest.is_empty());
    }
}

#[test]
fn empty_and_overlong_plaintexts_are_refused() {
    for security in PROTOCOLS {
        for length in [0, Channel::PLAINTEXT_MAX + 1] {
            let (mut dialer, _) = channels(security);
            let mut out = Vec::new();
            let start = dialer.begin(&mut out);
            out.resize(out.len() + length, 0);
            let error = dialer.seal(&mut out, start).unwrap_err();
            assert!(matches!(error, RecordError::PlaintextLength { length: l } if l == length));
        }
    }
}

#[test]
fn closing_sends_close_notify_over_tls_and_nothing_over_noise() {
    let (mut dialer, mut listener) = channels(Security::Tls);
    let mut out = Vec::new();
    dialer.close(&mut out);
    let consumed = out.len();
    assert_eq!(
        listener.open(&mut out).unwrap(),
        Opened::Closed { consumed }
    );
    // Only the peer's direction is closed.
    let mut record = sealed(&mut listener, b"still here");
    assert_eq!(opened(&mut dialer, &mut record), b"still here");

    let (mut dialer, _) = channels(Security::Noise);
    out.clear();
    dialer.close(&mut out);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn prop_arbitrary_records_never_panic_nor_open(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
        is_tls in any::<bool>(),
        has_valid_header in any::<bool>(),
    ) {
        let security = if is_tls { Security::Tls } else { Security::Noise };
        let (_, mut listener) = channels(security);
        if has_valid_header {
            let length = (bytes.len() as u16).to_be_bytes();
            let header = if is_tls { vec![23, 3, 3, length[0], length[1]] } else { length.to_vec() };
            bytes = [header, bytes].concat();
        }
        let has_opened = matches!(
            listener.open(&mut bytes),
            Ok(Opened::Record { .. } | Opened::Control { .. } | Opened::Closed { .. })
        );
        prop_assert!(!has_opened);
    }

    #[test]
    fn prop_plaintexts_round_trip(
        plaintext in proptest::collection::vec(any::<u8>(), 1..2_000),
        is_tls in any::<bool>(),
    ) {
        let (mut dialer, mut listener) =
            channels(if is_tls { Security::Tls } else { Security::Noise });
        let mut record = sealed(&mut dialer, &plaintext);
        prop_assert_eq!(opened(&mut listener, &mut record), plaintext);
    }
}
