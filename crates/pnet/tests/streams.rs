//! Both directions of a connection: against go-libp2p, and in pieces of every size.

use ferroswarm_pnet::{Decryptor, Encryptor, KEY_LENGTH, NONCE_LENGTH, Nonce, PreSharedKey};
use proptest::prelude::*;

const STREAMS: &str = include_str!("vectors/streams.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(byte).collect()
}

/// Returns what a sender puts on the wire for `text`, ciphered piece by piece.
fn sent(key: &PreSharedKey, nonce: &Nonce, text: &[u8], piece: usize) -> Vec<u8> {
    let mut encryptor = Encryptor::with_nonce(key, nonce);
    let mut wire = nonce.to_vec();
    for piece in text.chunks(piece) {
        let mut piece = piece.to_vec();
        encryptor.encrypt(&mut piece);
        wire.extend(piece);
    }
    wire
}

/// Returns what a receiver makes of `wire`, which arrives piece by piece.
fn received(key: &PreSharedKey, wire: &[u8], piece: usize) -> Vec<u8> {
    let mut decryptor = Decryptor::new(key);
    let mut text = Vec::new();
    for piece in wire.chunks(piece) {
        let mut piece = piece.to_vec();
        let skipped = decryptor.decrypt(&mut piece);
        text.extend_from_slice(&piece[skipped..]);
    }
    text
}

#[test]
fn agrees_with_go() {
    let text: Vec<u8> = (0..150).collect();
    let lines = STREAMS.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let (key, wire) = line.split_once(' ').expect("two columns");
        let (key, wire) = (PreSharedKey::parse(key.as_bytes()).unwrap(), bytes(wire));
        let nonce = wire[..NONCE_LENGTH].try_into().unwrap();
        assert_eq!(sent(&key, &nonce, &text, 7), wire);
        assert_eq!(received(&key, &wire, 7), text);
    }
}

#[test]
fn every_direction_has_a_nonce_of_its_own() {
    let key = PreSharedKey::new([7; KEY_LENGTH]);
    let (_, one) = Encryptor::new(&key).unwrap();
    let (mut encryptor, other) = Encryptor::new(&key).unwrap();
    assert_ne!(one, other);
    let mut piece = *b"a message";
    encryptor.encrypt(&mut piece);
    let wire = [&other[..], &piece].concat();
    assert_eq!(received(&key, &wire, 1), b"a message");
}

proptest! {
    // go 168
    #[test]
    fn prop_any_fragmentation_gives_the_same_bytes(
        key: [u8; KEY_LENGTH],
        nonce: [u8; NONCE_LENGTH],
        text in proptest::collection::vec(any::<u8>(), 0..1_000),
        sizes in (1_usize..300, 1_usize..300),
    ) {
        let key = PreSharedKey::new(key);
        let wire = sent(&key, &nonce, &text, sizes.0);
        prop_assert_eq!(&wire, &sent(&key, &nonce, &text, usize::MAX));
        prop_assert_eq!(received(&key, &wire, sizes.1), text);
    }

    // A145
    #[test]
    fn prop_a_key_that_differs_in_one_bit_gives_garbage(
        key: [u8; KEY_LENGTH],
        nonce: [u8; NONCE_LENGTH],
        bit in 0..8 * KEY_LENGTH,
    ) {
        let mut other = key;
        other[bit / 8] ^= 1 << (bit % 8);
        let text = [0; 64];
        let wire = sent(&PreSharedKey::new(key), &nonce, &text, 64);
        let garbage = received(&PreSharedKey::new(other), &wire, 64);
        let same = text.iter().zip(&garbage).filter(|(one, other)| one == other).count();
        prop_assert!(same < 16, "{} of 64 bytes are the same", same);
    }
}
