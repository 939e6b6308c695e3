use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use proptest::prelude::*;

use super::*;

unsafe extern "C" {
    fn Poly1305_ctx_size() -> usize;
}

/// Returns aws-lc's ciphertext and tag.
fn sealed_by_aws_lc(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("32 bytes"));
    let mut sealed = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed)
        .expect("short enough");
    sealed
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}

#[test]
fn openssl_state_fits() {
    // SAFETY: has no preconditions.
    let length = unsafe { Poly1305_ctx_size() };
    assert!(length <= size_of::<State>(), "{length}");
}

#[test]
fn seals_and_opens_the_rfc_8439_vector() {
    // RFC 8439, section 2.8.2.
    let plaintext = b"Ladies and Gentlemen of the class of '99: \
        If I could offer you only one tip for the future, sunscreen would be it.";
    let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
    let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
    let aad = bytes("50515253c0c1c2c3c4c5c6c7");
    let ciphertext = bytes(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
         3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
         92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b6116",
    );
    let mut text = plaintext.to_vec();
    let key = Key::on_any_processor(&key);
    let tag = key.seal(&nonce, &aad, &mut text);
    assert_eq!(text, ciphertext);
    assert_eq!(tag[..], bytes("1ae10b594f09e26a7e902ecbd0600691"));
    assert_eq!(key.open(&nonce, &aad, &mut text, &tag), Ok(()));
    assert_eq!(text, plaintext);
}

/// Lengths around the block sizes and vector widths of both functions, and around `PIECE_BYTES`.
fn length() -> impl Strategy<Value = usize> {
    let edge = prop::sample::select(vec![
        0,
        16,
        64,
        128,
        256,
        512,
        1_024,
        PIECE_BYTES,
        3 * PIECE_BYTES,
    ]);
    prop_oneof![
        (edge, 0..3_usize).prop_map(|(edge, more)| (edge + more).saturating_sub(1)),
        0..40_000_usize,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn matches_aws_lc(
        key: [u8; 32],
        nonce: [u8; 12],
        aad in prop::collection::vec(any::<u8>(), 0..40),
        length in length(),
        seed: u8,
    ) {
        let text: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        let expected = sealed_by_aws_lc(&key, &nonce, &aad, &text);
        let key = Key::on_any_processor(&key);
        let mut sealed = text.clone();
        let tag = key.seal(&nonce, &aad, &mut sealed);
        prop_assert_eq!(&sealed[..], &expected[..length]);
        prop_assert_eq!(&tag[..], &expected[length..]);
        prop_assert_eq!(key.open(&nonce, &aad, &mut sealed, &tag), Ok(()));
        prop_assert_eq!(sealed, text);
    }

    #[test]
    fn rejects_and_zeroizes_modified_ciphertext(
        key: [u8; 32],
        nonce: [u8; 12],
        length in length(),
        at: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        let key = Key::on_any_processor(&key);
        let mut sealed = vec![0x5a; length];
        let tag = key.seal(&nonce, &[], &mut sealed);
        sealed.extend(tag);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let (text, tag) = sealed.split_last_chunk_mut().expect("there is a tag");
        prop_assert_eq!(key.open(&nonce, &[], text, tag), Err(Forged));
        prop_assert!(text.iter().all(|byte| *byte == 0));
    }
}
