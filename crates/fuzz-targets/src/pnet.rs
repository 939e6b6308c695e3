//! Private networks: the file of the key, and what a remote sends.

use ferroswarm_pnet::{
    Decryptor, Encryptor, KEY_LENGTH, KeyError, NONCE_LENGTH, Nonce, PreSharedKey,
};

use crate::{piece, settings};

/// Contents of a key file: what is accepted ends with the key, and errors describe the contents.
pub fn swarm_key(data: &[u8]) {
    match PreSharedKey::parse(data) {
        Ok(key) => {
            let end = data.last_chunk().copied().map(PreSharedKey::new);
            let is_binary = end.is_some_and(|end| end.fingerprint() == key.fingerprint());
            let is_text = data.trim_ascii_end().len() > KEY_LENGTH;
            assert!(is_binary || is_text);
        }
        Err(KeyError::Length(length)) => assert!(length != KEY_LENGTH && length <= data.len()),
        Err(KeyError::Text { position, .. }) => assert!(position <= data.len()),
        Err(error) => assert!(error.to_string().starts_with("expected")),
    }
}

/// What a remote sends: the result does not depend on how the input is split, a nonce is all that
/// is skipped, and ciphering the result with that nonce reproduces the input.
pub fn protected_stream(data: &[u8]) {
    let ([cut], rest) = settings(data);
    let (key, wire) = settings::<KEY_LENGTH>(rest);
    let key = PreSharedKey::new(key);
    let whole = read(&key, wire, usize::MAX);
    assert_eq!(whole, read(&key, wire, piece(cut)));
    assert_eq!(whole.len(), wire.len().saturating_sub(NONCE_LENGTH));
    if let Some((nonce, ciphered)) = wire.split_at_checked(NONCE_LENGTH) {
        let nonce: Nonce = nonce.try_into().expect("it is as long as a nonce");
        let mut again = whole;
        Encryptor::with_nonce(&key, &nonce).encrypt(&mut again);
        assert_eq!(again, ciphered);
    }
}

fn read(key: &PreSharedKey, wire: &[u8], piece: usize) -> Vec<u8> {
    let mut decryptor = Decryptor::new(key);
    let mut text = Vec::new();
    for piece in wire.chunks(piece) {
        let mut piece = piece.to_vec();
        let skipped = decryptor.decrypt(&mut piece);
        text.extend_from_slice(&piece[skipped..]);
    }
    text
}
