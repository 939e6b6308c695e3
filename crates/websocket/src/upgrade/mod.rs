//! The upgrade of HTTP/1.1 to WebSocket (RFC 6455, section 4), in both roles, and requests that are
//! none.

use aws_lc_rs::digest;
use data_encoding::BASE64;
use httparse::Header;

pub use plain::{
    ANSWER_BODY_BYTES_MAX, Answer, CONTINUE, PlainRequest, REQUEST_BODY_BYTES_MAX, append_answer,
};
pub use request::{Request, RequestKind, RequestReader, Status, append_refusal, append_switch};
pub use response::UpgradeRequest;

mod head;
mod plain;
mod request;
mod response;

/// Maximum length of the first line and the headers of a request or response.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// Maximum number of headers. Browsers and proxies send about 20.
pub const HEADERS_MAX: usize = 64;

/// The version of RFC 6455.
const VERSION: &[u8] = b"13";

/// Appended to a key before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the `Sec-WebSocket-Accept` of a `Sec-WebSocket-Key`.
fn accept_of(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    BASE64.encode(hash.finish().as_ref())
}

/// Returns the values of all headers called `name`.
fn values<'a>(headers: &'a [Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Returns the value of the header called `name`, if there is exactly one.
fn value<'a>(headers: &'a [Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut values = values(headers, name);
    values.next().filter(|_| values.next().is_none())
}

/// Returns whether a header called `name` lists `token`, in letters of any case.
fn lists(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests;
