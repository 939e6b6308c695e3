//! The key of a private network, and the file that it is kept in.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use salsa20::Salsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update};
use zeroize::Zeroizing;

/// Length of a key in bytes.
pub const KEY_LENGTH: usize = 32;

/// First line of a key file, which go calls `swarm.key`.
const HEADER: &str = "/key/swarm/psk/1.0.0/";

/// Nonce of the fingerprint, as in kubo.
const FINGERPRINT_NONCE: [u8; 8] = *b"finprint";

/// The secret that the members of a private network share. Erased when it is dropped.
#[derive(Clone)]
pub struct PreSharedKey(Zeroizing<[u8; KEY_LENGTH]>);

impl PreSharedKey {
    /// Takes the bytes of a key.
    pub fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the contents of a key file, or a key as 64 hexadecimal digits:
    ///
    /// ```text
    /// /key/swarm/psk/1.0.0/
    /// /base16/
    /// 64 hexadecimal digits, or Base64 after /base64/, or 32 raw bytes after /bin/
    /// ```
    ///
    /// Lines may end with a carriage return, and white space may follow a key that is text.
    ///
    /// # Errors
    /// What is wrong, without any part of the contents: they may be a key in the wrong place.
    pub fn parse(contents: &[u8]) -> Result<Self, KeyError> {
        let text = contents.trim_ascii();
        if !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit) {
            return Encoding::Base16.decode(text);
        }
        let after_header = after_line(contents, HEADER).ok_or(KeyError::Header)?;
        let (encoding, key) = Encoding::ALL
            .iter()
            .find_map(|encoding| Some((encoding, after_line(after_header, encoding.name())?)))
            .ok_or(KeyError::Encoding)?;
        encoding.decode(key)
    }

    /// Returns what identifies the key without revealing it: kubo prints the same at its start.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut stream = Zeroizing::new([0; 64]);
        Salsa20::new(self.as_bytes().into(), &FINGERPRINT_NONCE.into())
            .apply_keystream(&mut stream[..]);
        let mut digest = [0; 16];
        Shake128::default()
            .chain(&stream[..])
            .finalize_xof_into(&mut digest);
        Fingerprint(digest)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreSharedKey").finish_non_exhaustive()
    }
}

/// Returns what follows the first line of `contents`, if that line is `expected`.
fn after_line<'a>(contents: &'a [u8], expected: &str) -> Option<&'a [u8]> {
    let rest = contents.strip_prefix(expected.as_bytes())?;
    rest.strip_prefix(b"\n")
        .or_else(|| rest.strip_prefix(b"\r\n"))
}

/// Identifies a [`PreSharedKey`] without revealing it. Displays as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER_PERMISSIVE.encode_display(&self.0).fmt(f)
    }
}

/// How a key file represents its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits of either case.
    Base16,
    /// Base64 with padding.
    Base64,
    /// The bytes themselves.
    Bin,
}

impl Encoding {
    const ALL: [Self; 3] = [Self::Base16, Self::Base64, Self::Bin];

    /// Returns the second line of a key file.
    const fn name(self) -> &'static str {
        match self {
            Self::Base16 => "/base16/",
            Self::Base64 => "/base64/",
            Self::Bin => "/bin/",
        }
    }

    fn decode(self, encoded: &[u8]) -> Result<PreSharedKey, KeyError> {
        let decoded = match self {
            Self::Base16 => HEXLOWER_PERMISSIVE.decode(encoded.trim_ascii_end()),
            Self::Base64 => BASE64.decode(encoded.trim_ascii_end()),
            Self::Bin => Ok(encoded.to_vec()),
        };
        let decoded = decoded
            .map(Zeroizing::new)
            .map_err(|error| KeyError::Text {
                encoding: self,
                position: error.position,
            })?;
        <[u8; KEY_LENGTH]>::try_from(&decoded[..])
            .map(PreSharedKey::new)
            .map_err(|_| KeyError::Length(decoded.len()))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reason why something is no key. Never contains any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is neither a key file nor hexadecimal digits.
    #[error("expected the line {HEADER} or 64 hexadecimal digits")]
    Header,
    /// The second line of the file names no encoding.
    #[error("expected /base16/, /base64/ or /bin/ after the line {HEADER}")]
    Encoding,
    /// The key is not text of its encoding.
    #[error("key is not valid {encoding} at position {position}")]
    Text {
        /// The encoding.
        encoding: Encoding,
        /// Where in the text of the key the error is.
        position: usize,
    },
    /// The key has another length than [`KEY_LENGTH`].
    #[error("key of {0} bytes, expected {KEY_LENGTH}")]
    Length(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "4c21ec405cbea00f8cd88c35e2eebcdd1bf5850632fd0518d9ca2e513419e393";
    const BASE64_KEY: &str = "TCHsQFy+oA+M2Iw14u683Rv1hQYy/QUY2couUTQZ45M=";

    fn key() -> [u8; KEY_LENGTH] {
        let bytes = HEXLOWER_PERMISSIVE.decode(DIGITS.as_bytes()).unwrap();
        bytes.try_into().unwrap()
    }

    fn parse(contents: &[u8]) -> Result<[u8; KEY_LENGTH], KeyError> {
        PreSharedKey::parse(contents).map(|key| *key.as_bytes())
    }

    // go 168
    #[test]
    fn reads_every_encoding_with_either_line_ending() {
        for (encoding, encoded) in [
            ("/base16/", DIGITS.as_bytes()),
            ("/base16/", DIGITS.to_uppercase().as_bytes()),
            ("/base64/", BASE64_KEY.as_bytes()),
            ("/bin/", &key()),
        ] {
            for end in ["\n", "\r\n"] {
                let lines = format!("{HEADER}{end}{encoding}{end}");
                let file = [lines.as_bytes(), encoded].concat();
                assert_eq!(parse(&file), Ok(key()), "{encoding}");
                let ended = [&file, end.as_bytes()].concat();
                let expected = match encoding {
                    "/bin/" => Err(KeyError::Length(32 + end.len())),
                    _ => Ok(key()),
                };
                assert_eq!(parse(&ended), expected, "{encoding}");
            }
        }
        assert_eq!(parse(DIGITS.as_bytes()), Ok(key()));
        assert_eq!(parse(format!("{DIGITS}\r\n").as_bytes()), Ok(key()));
    }

    // A147, go 168
    #[test]
    fn refuses_anything_else_by_what_is_wrong() {
        let text = |encoding, position| KeyError::Text { encoding, position };
        let file = |rest: &str| format!("{HEADER}\n{rest}").into_bytes();
        let cases = [
            (Vec::new(), KeyError::Header),
            (b"swordfish".to_vec(), KeyError::Header),
            (HEADER.into(), KeyError::Header),
            (b"/key/swarm/psk/2.0.0/\n/bin/\n".into(), KeyError::Header),
            (file(""), KeyError::Encoding),
            (file(DIGITS), KeyError::Encoding),
            (file("/base58/\n"), KeyError::Encoding),
            (file("/base16/"), KeyError::Encoding),
            (file("/base16/\n"), KeyError::Length(0)),
            (file("/base16/\nzz"), text(Encoding::Base16, 0)),
            (
                file(&format!("/base16/\n{}", &DIGITS[1..])),
                text(Encoding::Base16, 62),
            ),
            (
                file(&format!("/base16/\n{}", &DIGITS[2..])),
                KeyError::Length(31),
            ),
            (file(&format!("/base16/\n{DIGITS}00")), KeyError::Length(33)),
            (
                file(&format!("/base64/\n{DIGITS}!")),
                text(Encoding::Base64, 64),
            ),
            (file("/base64/\n"), KeyError::Length(0)),
            (file("/bin/\nshort"), KeyError::Length(5)),
            (DIGITS.as_bytes()[2..].into(), KeyError::Length(31)),
        ];
        for (contents, expected) in cases {
            let text = String::from_utf8_lossy(&contents);
            assert_eq!(parse(&contents), Err(expected), "{text}");
        }
    }

    /// The key and what go-ipfs 0.4.18 printed for it are published in the repository
    /// jhexperiment/telos-ipfs-notes.
    #[test]
    fn has_the_fingerprint_that_kubo_prints() {
        assert_eq!(
            PreSharedKey::new(key()).fingerprint().to_string(),
            "61d4478554db8f3a30f1b5b9aea6c295"
        );
    }

    // A149
    #[test]
    fn never_shows_the_key() {
        let shown = format!(
            "{:?}",
            PreSharedKey::new(*b"swordfish swordfish swordfish sw")
        );
        assert_eq!(shown, "PreSharedKey { .. }");
        let error = PreSharedKey::parse(b"/key/swarm/psk/1.0.0/\n/base16/\nswordfish").unwrap_err();
        assert_eq!(error.to_string(), "key is not valid /base16/ at position 8");
    }
}
