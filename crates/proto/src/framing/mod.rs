//! Cutting a stream of bytes into messages: a length, then that many bytes.

mod decoder;
mod msgio;
mod varint;

pub use decoder::Decoder;
pub use msgio::{Framing, FramingError, MESSAGE_BYTES_MAX_DEFAULT, Prefix};
pub use varint::{VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint};
