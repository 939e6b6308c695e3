//! Length-prefixed messages on a byte stream.

mod decoder;
mod msgio;
mod varint;

pub use decoder::Decoder;
pub use msgio::{Framing, FramingError, MESSAGE_BYTES_MAX_DEFAULT, Prefix};
pub use varint::{VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint};
