use aws_lc_rs::aead::CHACHA20_POLY1305;
use proptest::prelude::*;
use snow::resolvers::CryptoResolver;

use super::*;
use crate::identity::{Identity, KeyType};
use crate::noise::records::nonce;
use crate::record::Sealer;
use crate::testing::{assert_opens, config, hex, identity, run, sealed, vectors};
use crate::{Handshake, Opened, RecordError, Security};

/// Encodings of points of low order: 0, 1, two points of order 8, -1, and p, p + 1.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn low_order() -> impl Iterator<Item = Vec<u8>> {
    // An eighth encoding sets the bit that X25519 ignores.
    let masked = format!("{}80", &LOW_ORDER[0][..62]);
    LOW_ORDER
        .iter()
        .map(|point| hex(point))
        .chain([hex(&masked)])
}

/// A misbehaving peer: the same key exchange with arbitrary payloads.
struct RawPeer {
    state: HandshakeState,
    noise_key: [u8; KEY_LENGTH],
}

impl RawPeer {
    fn new(role: Role, static_key: StaticKey) -> Self {
        let static_key = Arc::new(static_key);
        let resolver: Box<dyn CryptoResolver + Send> =
            Box::new(Resolver::new(Arc::clone(&static_key)));
        let builder = Builder::with_resolver(PARAMS.clone(), resolver)
            .local_private_key(static_key.secret())
            .unwrap();
        let state = match role {
            Role::Dialer => builder.build_initiator(),
            Role::Listener => builder.build_responder(),
        };
        Self {
            state: state.unwrap(),
            noise_key: *static_key.public(),
        }
    }

    fn fresh(role: Role) -> Self {
        Self::new(role, random_key())
    }

    fn write(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; payload.len() + 200];
        let length = self.state.write_message(payload, &mut message).unwrap();
        message.truncate(length);
        framed(&message)
    }

    fn read(&mut self, frame: &[u8]) {
        self.state
            .read_message(&frame[2..], &mut vec![0; frame.len()])
            .unwrap();
    }

    fn valid_payload(&self, keypair: &Keypair) -> Vec<u8> {
        let signature = keypair.sign(&signed_bytes(&self.noise_key)).unwrap();
        payload::encode_credentials(keypair.public(), &signature)
    }
}

fn random_key() -> StaticKey {
    let mut secret = Zeroizing::new([0; KEY_LENGTH]);
    rand::fill(&mut secret[..]).unwrap();
    StaticKey::new(secret).unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn start(role: Role, config: &HandshakeConfig) -> Handshake {
    Handshake::new(Security::Noise, role, config).unwrap()
}

fn output(handshake: &mut Handshake) -> Vec<u8> {
    let mut out = Vec::new();
    handshake.poll_output(&mut out);
    out
}

/// Runs a dialer against a listener that answers with the given payload.
fn dial_raw(
    config: &HandshakeConfig,
    payload: impl FnOnce(&RawPeer) -> Vec<u8>,
) -> Result<Handshake, HandshakeError> {
    let mut dialer = start(Role::Dialer, config);
    let mut peer = RawPeer::fresh(Role::Listener);
    peer.read(&output(&mut dialer));
    let payload = payload(&peer);
    let mut frame = peer.write(&payload);
    dialer.handle_input(&mut frame).map(|_| dialer)
}

fn dial_with(payload: impl FnOnce(&RawPeer) -> Vec<u8>) -> Result<Handshake, HandshakeError> {
    dial_raw(&config(&identity(), &[]), payload)
}

fn keypair() -> Keypair {
    Keypair::generate(KeyType::Ed25519).unwrap()
}

fn assert_payload(result: Result<Handshake, HandshakeError>, expected: PayloadError) {
    match result.unwrap_err() {
        HandshakeError::Payload(found) => assert_eq!(found, expected),
        other => panic!("expected {expected:?}, found {other:?}"),
    }
}

/// Returns a builder with the given static and ephemeral keys.
fn vector_builder<'a>(keys: &'a [Vec<u8>], prologue: &'a [u8]) -> Builder<'a> {
    let static_key = StaticKey::new(Zeroizing::new(keys[0][..].try_into().unwrap())).unwrap();
    Builder::with_resolver(
        PARAMS.clone(),
        Box::new(Resolver::new(Arc::new(static_key))),
    )
    .local_private_key(&keys[0])
    .unwrap()
    .fixed_ephemeral_key_for_testing_only(&keys[1])
    .prologue(prologue)
    .unwrap()
}

#[test]
fn matches_the_published_test_vector() {
    let mut inputs = vectors(include_str!("../../../tests/vectors/noise-xx.txt"));
    let mut input = || hex(inputs.next().unwrap()[1]);
    let prologue = input();
    let keys: Vec<Vec<u8>> = (0..2).map(|_| input()).collect();
    // Both prologues are the same, and only the dialer's is in the file.
    let listener_keys: Vec<Vec<u8>> = (0..2).map(|_| input()).collect();
    let handshake_hash = input();
    let mut dialer = vector_builder(&keys, &prologue).build_initiator().unwrap();
    let mut listener = vector_builder(&listener_keys, &prologue)
        .build_responder()
        .unwrap();
    let messages: Vec<(Vec<u8>, Vec<u8>)> =
        vectors(include_str!("../../../tests/vectors/noise-xx.txt"))
            .filter(|words| words[0] == "message")
            .map(|words| (hex(words[1]), hex(words[2])))
            .collect();
    let mut buffer = [0; 512];
    for (index, (payload, ciphertext)) in messages[..3].iter().enumerate() {
        let (writer, reader) = match index {
            1 => (&mut listener, &mut dialer),
            _ => (&mut dialer, &mut listener),
        };
        let length = writer.write_message(payload, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], ciphertext);
        let length = reader.read_message(ciphertext, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], payload);
    }
    assert_eq!(dialer.get_handshake_hash(), handshake_hash);
    let (dialer_key, listener_key) = dialer.dangerously_get_raw_split();
    assert_eq!(
        listener.dangerously_get_raw_split(),
        (dialer_key, listener_key)
    );
    let mut dialer = Channel::noise(NoiseRecords::new(&dialer_key, &listener_key));
    let mut listener = Channel::noise(NoiseRecords::new(&listener_key, &dialer_key));
    for (index, (payload, ciphertext)) in messages[3..].iter().enumerate() {
        let (writer, reader) = match index {
            1 => (&mut dialer, &mut listener),
            _ => (&mut listener, &mut dialer),
        };
        let mut record = sealed(writer, payload);
        assert_eq!(&record[2..], ciphertext);
        assert_opens(reader, &mut record, payload);
    }
}

// A023
#[test]
fn a_short_first_message_is_refused() {
    let mut listener = start(Role::Listener, &config(&identity(), &[]));
    let error = listener.handle_input(&mut framed(&[7; 31])).unwrap_err();
    assert!(matches!(error, HandshakeError::Noise(_)), "{error:?}");
    assert!(matches!(
        listener.handle_input(&mut [0]),
        Err(HandshakeError::Failed)
    ));
}

// A024
#[test]
fn a_payload_in_the_first_message_is_refused() {
    let mut listener = start(Role::Listener, &config(&identity(), &[]));
    let mut peer = RawPeer::fresh(Role::Dialer);
    let mut frame = peer.write(&[0x22, 0]);
    let error = listener.handle_input(&mut frame).unwrap_err();
    let expected = PayloadError::Early { length: 2 };
    assert!(
        matches!(error, HandshakeError::Payload(found) if found == expected),
        "{error:?}"
    );
}

// A025
#[test]
fn ephemeral_keys_of_low_order_are_refused() {
    for point in low_order() {
        let mut listener = start(Role::Listener, &config(&identity(), &[]));
        assert!(
            listener.handle_input(&mut framed(&point)).is_err(),
            "{point:02x?}"
        );
        let mut dialer = start(Role::Dialer, &config(&identity(), &[]));
        let message = [&point[..], &[0; 64]].concat();
        assert!(
            dialer.handle_input(&mut framed(&message)).is_err(),
            "{point:02x?}"
        );
    }
}

// A026
#[test]
fn static_keys_of_low_order_are_refused() {
    for point in low_order() {
        let point: [u8; KEY_LENGTH] = point[..].try_into().unwrap();
        let keypair = keypair();
        let mut dialer = start(Role::Dialer, &config(&identity(), &[]));
        let mut peer = RawPeer::new(Role::Listener, random_key().with_public(point));
        peer.read(&output(&mut dialer));
        let payload = peer.valid_payload(&keypair);
        let error = dialer.handle_input(&mut peer.write(&payload)).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Noise(snow::Error::Dh)),
            "{error:?}"
        );
    }
}

// A027
#[test]
fn an_empty_message_is_refused() {
    for role in [Role::Dialer, Role::Listener] {
        let error = start(role, &config(&identity(), &[]))
            .handle_input(&mut [0, 0])
            .unwrap_err();
        assert!(matches!(error, HandshakeError::EmptyMessage), "{error:?}");
    }
}

// A028, A029
#[test]
fn a_message_over_8_kib_is_refused_at_its_length() {
    for length in [8_193_u16, 61_440, 65_535] {
        let mut listener = start(Role::Listener, &config(&identity(), &[]));
        let error = listener
            .handle_input(&mut length.to_be_bytes())
            .unwrap_err();
        assert!(
            matches!(error, HandshakeError::MessageTooLong { .. }),
            "{error:?}"
        );
    }
}

// A030
#[test]
fn a_payload_without_key_or_signature_is_refused() {
    let keypair = keypair();
    let key = keypair.public().to_protobuf();
    let field = |number: u8, bytes: &[u8]| {
        let mut message = Vec::new();
        crate::protobuf::write_bytes(&mut message, number, bytes);
        message
    };
    assert_payload(dial_with(|_| Vec::new()), PayloadError::MissingKey);
    assert_payload(dial_with(|_| field(2, &[1; 64])), PayloadError::MissingKey);
    assert_payload(
        dial_with(|_| field(1, &key)),
        PayloadError::MissingSignature,
    );
    let empty = [field(1, &[]), field(2, &[])].concat();
    assert_payload(dial_with(|_| empty), PayloadError::MissingKey);
    assert_payload(
        dial_with(|peer| {
            let payload = peer.valid_payload(&keypair);
            [&payload[..], &payload].concat()
        }),
        PayloadError::Malformed,
    );
}

// A031
#[test]
fn a_flipped_bit_in_the_signature_is_refused() {
    let (config, keypair) = (config(&identity(), &[]), keypair());
    for index in 0..64 {
        let result = dial_raw(&config, |peer| {
            let mut payload = peer.valid_payload(&keypair);
            let signature = payload.len() - 64;
            payload[signature + index] ^= 1;
            payload
        });
        assert_payload(result, PayloadError::Signature);
    }
    assert!(dial_raw(&config, |peer| peer.valid_payload(&keypair)).is_ok());
}

// A032
#[test]
fn a_payload_of_another_session_is_refused() {
    let keypair = keypair();
    let mut captured = Vec::new();
    assert!(
        dial_with(|peer| {
            captured = peer.valid_payload(&keypair);
            captured.clone()
        })
        .is_ok()
    );
    assert_payload(dial_with(|_| captured), PayloadError::Signature);
}

// A033
#[test]
fn a_signature_with_another_prefix_is_refused() {
    let keypair = keypair();
    let result = dial_with(|peer| {
        let signed = [b"noise-libp2p-static-key", &peer.noise_key[..]].concat();
        payload::encode_credentials(keypair.public(), &keypair.sign(&signed).unwrap())
    });
    assert_payload(result, PayloadError::Signature);
}

// A034, A036 and A037 in the handshake; the keys themselves are tested with the identity.
#[test]
fn refused_identity_keys_end_the_handshake() {
    for key in [
        &[8, 4, 18, 0][..],
        &[8, 0, 18, 6, 0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        let result = dial_with(|_| {
            let mut payload = Vec::new();
            crate::protobuf::write_bytes(&mut payload, 1, key);
            crate::protobuf::write_bytes(&mut payload, 2, &[1; 64]);
            payload
        });
        let error = result.unwrap_err();
        assert!(
            matches!(error, HandshakeError::Payload(PayloadError::Key(_))),
            "{error:?}"
        );
    }
}

/// Runs a handshake with the given muxers; returns the one negotiated, or the first error.
fn negotiate(
    dialer: &[&str],
    listener: &[&str],
) -> Result<Option<Box<str>>, (Role, HandshakeError)> {
    let mut dialer = start(Role::Dialer, &config(&identity(), dialer));
    let mut listener = start(Role::Listener, &config(&identity(), listener));
    run(&mut dialer, &mut listener, usize::MAX)?;
    let (dialer, listener) = (dialer.finish().unwrap(), listener.finish().unwrap());
    assert_eq!(dialer.muxer, listener.muxer);
    Ok(dialer.muxer)
}

#[test]
fn the_dialers_first_common_muxer_is_chosen() {
    let chosen = |dialer: &[&str], listener: &[&str]| negotiate(dialer, listener).unwrap();
    assert_eq!(chosen(&["/a", "/b"], &["/b", "/a"]).as_deref(), Some("/a"));
    assert_eq!(chosen(&["/c", "/b"], &["/a", "/b"]).as_deref(), Some("/b"));
    assert_eq!(chosen(&[], &["/a"]), None);
    assert_eq!(chosen(&["/a"], &[]), None);
}

// A048
#[test]
fn muxer_lists_without_overlap_fail_and_long_ones_are_ignored() {
    let (role, error) = negotiate(&["/a"], &["/b"]).unwrap_err();
    assert_eq!(role, Role::Dialer);
    assert!(
        matches!(error, HandshakeError::Payload(PayloadError::NoCommonMuxer)),
        "{error:?}"
    );

    let keypair = keypair();
    let config = config(&identity(), &["/a"]);
    let dial = |muxers: Vec<Box<str>>| {
        dial_raw(&config, |peer| {
            payload::encode(&peer.valid_payload(&keypair), &muxers)
        })
    };
    let mut dialer = dial(vec!["/x".into(); 101]).unwrap();
    output(&mut dialer);
    assert_eq!(dialer.finish().unwrap().muxer, None);
    let error = dial(vec!["/x".into(); 100]).unwrap_err();
    assert!(
        matches!(error, HandshakeError::Payload(PayloadError::NoCommonMuxer)),
        "{error:?}"
    );
    // 10,000 entries or names of 1 MiB do not fit in a message at all.
    let extensions_only = [0x22, 0x00];
    let mut dialer = dial_raw(&config, |peer| {
        [&peer.valid_payload(&keypair)[..], &extensions_only].concat()
    })
    .unwrap();
    output(&mut dialer);
    assert_eq!(dialer.finish().unwrap().muxer, None);
}

#[test]
fn transport_bytes_after_the_handshake_are_not_consumed() {
    let mut dialer = start(Role::Dialer, &config(&identity(), &[]));
    let mut listener = start(Role::Listener, &config(&identity(), &[]));
    listener.handle_input(&mut output(&mut dialer)).unwrap();
    dialer.handle_input(&mut output(&mut listener)).unwrap();
    assert!(!dialer.is_complete());
    let mut bytes = output(&mut dialer);
    let handshake_length = bytes.len();
    let mut dialer = dialer.finish().unwrap().channel;
    bytes.extend(sealed(&mut dialer, b"early"));
    assert_eq!(listener.handle_input(&mut bytes).unwrap(), handshake_length);
    assert_eq!(
        listener
            .handle_input(&mut bytes[handshake_length..])
            .unwrap(),
        0
    );
    let mut listener = listener.finish().unwrap().channel;
    assert_opens(&mut listener, &mut bytes[handshake_length..], b"early");
}

#[test]
fn identities_of_every_key_type_fit_in_a_handshake() {
    for key_type in [KeyType::Secp256k1, KeyType::Ecdsa, KeyType::Rsa] {
        let keypair = Keypair::generate(key_type).unwrap();
        let identity_of_type = Arc::new(Identity::new(keypair).unwrap());
        let mut dialer = start(Role::Dialer, &config(&identity_of_type, &["/a"]));
        let mut listener = start(Role::Listener, &config(&identity(), &["/a"]));
        run(&mut dialer, &mut listener, usize::MAX).unwrap();
        let secured = listener.finish().unwrap();
        assert_eq!(secured.peer_id, *identity_of_type.peer_id());
        assert_eq!(secured.public_key.key_type(), key_type);
    }
}

// A047
#[test]
fn the_last_record_number_is_never_used() {
    let records = || {
        let mut records = NoiseRecords::new(&[1; 32], &[1; 32]);
        records.set_sequences(u64::MAX - 1);
        Channel::noise(records)
    };
    let (mut sender, mut receiver) = (records(), records());
    let mut record = sealed(&mut sender, b"last");
    assert_opens(&mut receiver, &mut record.clone(), b"last");
    let mut out = Vec::new();
    let start = sender.begin(&mut out);
    out.push(0);
    assert!(matches!(
        sender.seal(&mut out, start),
        Err(RecordError::NonceExhausted)
    ));
    assert!(matches!(
        receiver.open(&mut record),
        Err(RecordError::NonceExhausted)
    ));
}

/// Returns a transport record of any length.
fn record_of(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut record = ((plaintext.len() + TAG_LENGTH) as u16)
        .to_be_bytes()
        .to_vec();
    record.extend_from_slice(plaintext);
    sealer.seal(nonce, &[], &mut record, LENGTH_BYTES).unwrap();
    record
}

// A045
#[test]
fn a_limited_run_of_empty_records_is_accepted() {
    let mut sealer = Sealer::new(&CHACHA20_POLY1305, &[1; 32], 0);
    let mut receiver = Channel::noise(NoiseRecords::new(&[1; 32], &[1; 32]));
    for _ in 0..3 {
        for _ in 0..1_024 {
            let opened = receiver.open(&mut record_of(&mut sealer, &[])).unwrap();
            assert_eq!(opened, Opened::Control { consumed: 18 });
        }
        assert_opens(&mut receiver, &mut record_of(&mut sealer, b"data"), b"data");
    }
    for _ in 0..1_024 {
        receiver.open(&mut record_of(&mut sealer, &[])).unwrap();
    }
    let error = receiver.open(&mut record_of(&mut sealer, &[])).unwrap_err();
    assert!(matches!(error, RecordError::TooManyEmpty));
}

// A046
#[test]
fn records_of_the_maximum_length_open() {
    let mut sealer = Sealer::new(&CHACHA20_POLY1305, &[1; 32], 0);
    let mut receiver = Channel::noise(NoiseRecords::new(&[1; 32], &[1; 32]));
    for round in 0..16 {
        let plaintext = vec![round; 65_519];
        assert_opens(
            &mut receiver,
            &mut record_of(&mut sealer, &plaintext),
            &plaintext,
        );
    }
}

// A051
#[test]
fn garbage_third_messages_are_refused() {
    let node = config(&identity(), &[]);
    for round in 0..50_u8 {
        let mut dialer = start(Role::Dialer, &config(&identity(), &[]));
        let mut listener = start(Role::Listener, &node);
        listener.handle_input(&mut output(&mut dialer)).unwrap();
        let mut garbage = framed(&[round; 168]);
        let error = listener.handle_input(&mut garbage).unwrap_err();
        assert!(matches!(error, HandshakeError::Noise(_)), "{error:?}");
        assert!(!listener.is_complete());
    }
}

proptest! {
    #[test]
    fn prop_arbitrary_payloads_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let _ = Payload::decode(&bytes);
    }

    #[test]
    fn prop_arbitrary_extensions_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..128),
    ) {
        let mut message = vec![0x0A, 1, 0, 0x12, 1, 0];
        crate::protobuf::write_bytes(&mut message, 4, &bytes);
        let _ = Payload::decode(&message);
    }

    #[test]
    fn prop_arbitrary_input_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        is_dialer in any::<bool>(),
    ) {
        let role = if is_dialer { Role::Dialer } else { Role::Listener };
        let _ = start(role, &SHARED).handle_input(&mut bytes);
    }
}

static SHARED: LazyLock<HandshakeConfig> = LazyLock::new(|| config(&identity(), &[]));
