//! Identities and secure channels.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ferroswarm_secure::fuzzing::{key_of_noise_payload, noise_channels, peer_of_certificate};
use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, Opened, PeerId, PublicKey,
    Role, Security,
};

use crate::settings;
use crate::tampering::Tampering;

/// Peer identities in all encodings: public keys in protobuf and DER, Noise payloads, peer ids as
/// bytes and text. Decoded values re-encode to the same bytes, and no key verifies an arbitrary
/// signature.
pub fn identity(data: &[u8]) {
    let ([form], bytes) = settings(data);
    match form % 4 {
        0 => {
            if let Ok(key) = PublicKey::from_protobuf(bytes) {
                check_key(&key);
            }
        }
        1 => {
            if let Ok(key) = key_of_noise_payload(bytes) {
                check_key(&key);
            }
        }
        2 => {
            if let Ok(id) = PeerId::from_bytes(bytes) {
                assert_eq!(id.as_bytes(), bytes);
                check_id(id);
            }
        }
        _ => {
            if let Ok(id) =
                std::str::from_utf8(bytes).map_or(Err(()), |text| text.parse().map_err(drop))
            {
                check_id(id);
            }
        }
    }
}

fn check_key(key: &PublicKey) {
    let encoded = key.to_protobuf();
    assert!(PublicKey::from_protobuf(&encoded).as_ref() == Ok(key));
    assert!(!key.verify(b"unsigned message", &encoded));
    let id = PeerId::from_public_key(key);
    if let Some(inlined) = id.public_key() {
        assert!(inlined == *key);
    }
    check_id(id);
}

fn check_id(id: PeerId) {
    assert_eq!(PeerId::from_bytes(id.as_bytes()), Ok(id));
    assert_eq!(id.to_string().parse(), Ok(id));
}

/// A certificate is rejected or yields a valid peer id. The current date is taken from the input
/// too.
pub fn tls_certificate(data: &[u8]) {
    let ([year], der) = settings(data);
    let now = Duration::from_secs((1970 + u64::from(year)) * 31_556_952);
    if let Ok(id) = peer_of_certificate(der, now) {
        check_id(id);
    }
}

static CONFIGS: LazyLock<[HandshakeConfig; 2]> = LazyLock::new(|| {
    [
        ["/yamux/1.0.0"].as_slice(),
        &["/mplex/6.7.0", "/yamux/1.0.0"],
    ]
    .map(|muxers| {
        let keypair = Keypair::generate(KeyType::Ed25519).expect("key generation succeeds");
        HandshakeConfig {
            identity: Arc::new(Identity::new(keypair).expect("credentials can be created")),
            muxers: muxers.iter().map(|&muxer| muxer.into()).collect(),
            expected_peer: None,
        }
    })
});

/// One end of a handshake, with the bytes it sent and consumed.
struct End {
    handshake: Handshake,
    sent: Vec<u8>,
    consumed: Vec<u8>,
}

/// A handshake over a link that modifies, drops, duplicates and injects bytes: an end completes
/// only if it consumed exactly the bytes that the other end sent.
pub fn noise_handshake(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let roles = [Role::Dialer, Role::Listener];
    let mut ends = [0, 1].map(|side: usize| End {
        handshake: Handshake::new(Security::Noise, roles[side], &CONFIGS[side])
            .expect("a handshake can start"),
        sent: Vec::new(),
        consumed: Vec::new(),
    });
    // Three messages, each delivered before the next is sent.
    for message in 0..3 {
        let (from, to) = (message % 2, (message + 1) % 2);
        let mut frame = Vec::new();
        ends[from].handshake.poll_output(&mut frame);
        ends[from].sent.extend_from_slice(&frame);
        let mut pieces = vec![frame];
        if let Ok(tampering) = Tampering::arbitrary(&mut input) {
            tampering.apply(&mut pieces);
        }
        let cut = usize::from(u8::arbitrary(&mut input).unwrap_or(0)) + 1;
        let mut bytes = pieces.concat();
        for piece in bytes.chunks_mut(cut) {
            let original = piece.to_vec();
            match ends[to].handshake.handle_input(piece) {
                Ok(consumed) => ends[to].consumed.extend_from_slice(&original[..consumed]),
                Err(_) => assert!(!ends[to].handshake.is_complete()),
            }
        }
    }
    for side in 0..2 {
        let [end, other] = [&ends[side], &ends[1 - side]];
        if end.handshake.is_complete() {
            assert_eq!(end.consumed, other.sent);
        }
    }
    let [dialer, listener] = ends;
    if listener.handshake.is_complete() {
        let dialer = dialer.handshake.finish().expect("it sent the last message");
        let listener = listener.handshake.finish().expect("it is complete");
        assert_eq!(dialer.peer_id, *CONFIGS[1].identity.peer_id());
        assert_eq!(listener.peer_id, *CONFIGS[0].identity.peer_id());
        assert_eq!(dialer.muxer.as_deref(), Some("/yamux/1.0.0"));
        assert_eq!(dialer.muxer, listener.muxer);
    }
}

/// Sealed records over the same link: records open as sealed and in order, up to the first one
/// tampered with; after an error none opens.
pub fn noise_transport(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let (mut sender, mut receiver) = noise_channels(&[1; 32], &[2; 32]);
    let mut sealed = Vec::new();
    let mut pieces = Vec::new();
    while let Ok(step) = <(u16, Tampering)>::arbitrary(&mut input)
        && !input.is_empty()
    {
        let length = usize::from(step.0) % Channel::PLAINTEXT_MAX + 1;
        let plaintext = vec![sealed.len() as u8; length];
        let mut record = Vec::new();
        let start = sender.begin(&mut record);
        record.extend_from_slice(&plaintext);
        sender
            .seal(&mut record, start)
            .expect("the length is valid");
        sealed.push(plaintext);
        pieces.push(record);
        step.1.apply(&mut pieces);
    }
    let mut bytes = pieces.concat();
    let mut at = 0;
    let mut opened = Vec::new();
    loop {
        match receiver.open(&mut bytes[at..]) {
            Ok(Opened::Record {
                plaintext,
                consumed,
            }) => {
                assert!(plaintext.end <= consumed);
                opened.push(bytes[at..][plaintext].to_vec());
                at += consumed;
            }
            Ok(Opened::Incomplete { needed }) => {
                assert!(needed > bytes.len() - at);
                break;
            }
            Ok(other) => panic!("unexpected {other:?}"),
            Err(_) => {
                assert!(receiver.open(&mut []).is_err());
                break;
            }
        }
    }
    assert!(sealed.starts_with(&opened));
}
