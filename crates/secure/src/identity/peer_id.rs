//! Peer ids: the multihash of a public key, and its text forms.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::BASE32_NOPAD_NOCASE;

use super::keys::PublicKey;

/// Identifier of a peer: the multihash of its public key.
///
/// Keys whose protobuf form is at most 42 bytes (ed25519, secp256k1) are inlined; larger ones are
/// hashed with SHA-256. [`Display`](fmt::Display) writes base58btc (`12D3Koo…`, `Qm…`); [`FromStr`]
/// also parses the CIDv1 form in base32 (`bafz…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    length: u8,
    /// The multihash, padded with zeros.
    bytes: [u8; MULTIHASH_LENGTH_MAX],
}

impl PeerId {
    /// Returns the id of a public key.
    pub fn from_public_key(key: &PublicKey) -> Self {
        let encoded = key.to_protobuf();
        if encoded.len() <= INLINE_KEY_LENGTH_MAX {
            Self::assemble(CODE_IDENTITY, &encoded)
        } else {
            Self::assemble(
                CODE_SHA2_256,
                digest::digest(&digest::SHA256, &encoded).as_ref(),
            )
        }
    }

    /// Decodes a multihash: identity of at most 42 bytes, or SHA2-256.
    pub fn from_bytes(multihash: &[u8]) -> Result<Self, PeerIdError> {
        let [code, length, digest @ ..] = multihash else {
            return Err(PeerIdError::Truncated);
        };
        if usize::from(*length) != digest.len() {
            return Err(PeerIdError::DigestLength {
                code: *code,
                length: digest.len(),
            });
        }
        match (*code, digest.len()) {
            (CODE_IDENTITY, 1..=INLINE_KEY_LENGTH_MAX) | (CODE_SHA2_256, SHA2_256_LENGTH) => {
                Ok(Self::assemble(*code, digest))
            }
            (CODE_IDENTITY | CODE_SHA2_256, length) => Err(PeerIdError::DigestLength {
                code: *code,
                length,
            }),
            _ => Err(PeerIdError::HashFunction { code: *code }),
        }
    }

    /// Returns the multihash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Returns the multihash as a vector.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    /// Returns the public key, if a valid one is inlined in the id.
    pub fn public_key(&self) -> Option<PublicKey> {
        match self.as_bytes() {
            [CODE_IDENTITY, _, encoded @ ..] => PublicKey::from_protobuf(encoded).ok(),
            _ => None,
        }
    }

    fn assemble(code: u8, digest: &[u8]) -> Self {
        let mut bytes = [0; MULTIHASH_LENGTH_MAX];
        // Callers pass at most INLINE_KEY_LENGTH_MAX bytes.
        let length = digest.len() as u8;
        bytes[..2].copy_from_slice(&[code, length]);
        bytes[2..2 + digest.len()].copy_from_slice(digest);
        Self {
            length: length + 2,
            bytes,
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.as_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        // Bounded before decoding, because base58 takes quadratic time.
        if text.len() > TEXT_LENGTH_MAX {
            return Err(PeerIdError::TextLength { length: text.len() });
        }
        if text.starts_with("Qm") || text.starts_with('1') {
            let bytes = bs58::decode(text)
                .into_vec()
                .map_err(|_| PeerIdError::Base58)?;
            return Self::from_bytes(&bytes);
        }
        let Some(base32) = text.strip_prefix('b') else {
            return Err(PeerIdError::Form);
        };
        if base32.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(PeerIdError::Base32);
        }
        let cid = BASE32_NOPAD_NOCASE
            .decode(base32.as_bytes())
            .map_err(|_| PeerIdError::Base32)?;
        match &cid[..] {
            [CID_VERSION_1, CODEC_LIBP2P_KEY, multihash @ ..] => Self::from_bytes(multihash),
            _ => Err(PeerIdError::Cid),
        }
    }
}

/// Error parsing a peer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIdError {
    /// Fewer bytes than the shortest multihash.
    #[error("multihash is truncated")]
    Truncated,
    /// The hash function is neither identity nor SHA2-256.
    #[error("multihash function {code:#04x} is neither identity nor sha2-256")]
    HashFunction {
        /// Multicodec of the hash function.
        code: u8,
    },
    /// The digest's length differs from the announced one, or is invalid for its hash function.
    #[error("multihash function {code:#04x} does not have a digest of {length} bytes")]
    DigestLength {
        /// Multicodec of the hash function.
        code: u8,
        /// Bytes after the multihash header.
        length: usize,
    },
    /// The text is longer than any peer id.
    #[error("text of {length} bytes exceeds limit of {TEXT_LENGTH_MAX}")]
    TextLength {
        /// Length of the text in bytes.
        length: usize,
    },
    /// The text is neither base58btc (`1…`, `Qm…`) nor a base32 CID (`b…`).
    #[error("text is neither a base58 multihash nor a base32 CID")]
    Form,
    /// The text contains characters outside base58btc.
    #[error("text is not base58btc")]
    Base58,
    /// The text contains characters outside lower-case base32.
    #[error("text is not base32")]
    Base32,
    /// The CID is not version 1 with the codec `libp2p-key`.
    #[error("CID is not version 1 with codec libp2p-key")]
    Cid,
}

/// Longest protobuf key inlined in a peer id instead of its digest (peer-ids specification).
const INLINE_KEY_LENGTH_MAX: usize = 42;
const MULTIHASH_LENGTH_MAX: usize = INLINE_KEY_LENGTH_MAX + 2;
const CODE_IDENTITY: u8 = 0x00;
const CODE_SHA2_256: u8 = 0x12;
const SHA2_256_LENGTH: usize = 32;
const CID_VERSION_1: u8 = 1;
const CODEC_LIBP2P_KEY: u8 = 0x72;
/// A base32 CID of the longest multihash takes 75 characters.
const TEXT_LENGTH_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From the peer-ids specification and the documentation of js-libp2p.
    #[test]
    fn parses_base58_and_cid_forms_of_one_peer() {
        let legacy: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
            .parse()
            .unwrap();
        let cid: PeerId = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
            .parse()
            .unwrap();
        assert_eq!(legacy, cid);
        assert_eq!(
            cid.to_string(),
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
        );
    }

    #[test]
    fn text_forms_round_trip() {
        for text in [
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        ] {
            let id: PeerId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(PeerId::from_bytes(&id.to_bytes()), Ok(id));
        }
    }

    #[test]
    fn rejects_other_hashes_lengths_codecs_and_cases() {
        assert_eq!(PeerId::from_bytes(&[]), Err(PeerIdError::Truncated));
        assert_eq!(
            PeerId::from_bytes(&[0x12, 0x21, 0]).unwrap_err(),
            PeerIdError::DigestLength {
                code: 0x12,
                length: 1
            }
        );
        let mut wrong_function = [0; 34];
        wrong_function[..2].copy_from_slice(&[0x13, 32]);
        assert_eq!(
            PeerId::from_bytes(&wrong_function),
            Err(PeerIdError::HashFunction { code: 0x13 })
        );
        let mut too_long = [0; 45];
        too_long[1] = 43;
        assert!(PeerId::from_bytes(&too_long).is_err());
        assert_eq!("Qm0".parse::<PeerId>(), Err(PeerIdError::Base58));
        assert_eq!("zQm".parse::<PeerId>(), Err(PeerIdError::Form));
        assert_eq!("bAFZB".parse::<PeerId>(), Err(PeerIdError::Base32));
        assert_eq!(
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".parse::<PeerId>(),
            Err(PeerIdError::Cid)
        );
        assert_eq!(
            "1".repeat(101).parse::<PeerId>(),
            Err(PeerIdError::TextLength { length: 101 })
        );
    }

    proptest! {
        #[test]
        fn prop_arbitrary_bytes_and_text_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            text in "[1Qb][a-zA-Z0-9]{0,80}",
        ) {
            if let Ok(id) = PeerId::from_bytes(&bytes) {
                prop_assert_eq!(id.to_string().parse::<PeerId>(), Ok(id));
            }
            let _ = text.parse::<PeerId>();
        }
    }
}
