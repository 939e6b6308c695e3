//! The dialer's side: its request, and the listener's answer.

use std::fmt::Write;

use data_encoding::BASE64;
use httparse::EMPTY_HEADER;

use super::head::HeadScan;
use super::{HEAD_BYTES_MAX, HEADERS_MAX, accept_of, lists, value, values};
use crate::error::{RandomnessError, ResponseError};
use crate::mask;

/// Status of an upgrade.
const SWITCHING_PROTOCOLS: u16 = 101;

/// An upgrade requested by us.
#[derive(Debug)]
pub struct UpgradeRequest {
    key: String,
    scan: HeadScan,
}

impl UpgradeRequest {
    /// Creates a request with a random key.
    ///
    /// # Errors
    /// The generator failed.
    pub fn new() -> Result<Self, RandomnessError> {
        let mut nonce = [0; 16];
        mask::random(&mut nonce)?;
        Ok(Self::with_nonce(nonce))
    }

    /// Creates a request whose key is `nonce`, which must differ between connections.
    pub fn with_nonce(nonce: [u8; 16]) -> Self {
        Self {
            key: BASE64.encode(&nonce),
            scan: HeadScan::default(),
        }
    }

    /// Appends the request for `path` of `host`, with its port unless that is the scheme's own.
    ///
    /// Characters that a request must not contain are percent-encoded in `path`, which gets the
    /// slash that it lacks, and left out of `host`.
    pub fn append(&self, host: &str, path: &str, out: &mut Vec<u8>) {
        let host: String = host.chars().filter(char::is_ascii_graphic).collect();
        let lines = [
            &format!("GET {} HTTP/1.1", target(path)),
            &format!("Host: {host}"),
            "Upgrade: websocket",
            "Connection: Upgrade",
            &format!("Sec-WebSocket-Key: {}", self.key),
            "Sec-WebSocket-Version: 13",
            "",
            "",
        ];
        out.extend_from_slice(lines.join("\r\n").as_bytes());
    }

    /// Reads the answer at the front of `input`, which starts with everything that was passed
    /// before; returns the length of the answer, which frames follow, or `None` while it is
    /// incomplete.
    ///
    /// # Errors
    /// The input is not HTTP/1, too long, or not the answer that RFC 6455 demands.
    pub fn read_response(&mut self, input: &[u8]) -> Result<Option<usize>, ResponseError> {
        if !self.scan.is_due(input) {
            return Ok(None);
        }
        if matches!(input, [b'\r' | b'\n', ..]) {
            return Err(ResponseError::Malformed(httparse::Error::NewLine));
        }
        let limited = &input[..input.len().min(HEAD_BYTES_MAX)];
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(limited) {
            Ok(httparse::Status::Complete(length)) => {
                self.check(&response)?;
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) if limited.len() == HEAD_BYTES_MAX => {
                Err(ResponseError::TooLarge)
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(ResponseError::TooManyHeaders),
            Err(error) => Err(ResponseError::Malformed(error)),
        }
    }

    fn check(&self, response: &httparse::Response<'_, '_>) -> Result<(), ResponseError> {
        let headers = &*response.headers;
        match response.code {
            Some(SWITCHING_PROTOCOLS) if response.version == Some(1) => {}
            // HTTP/1.0 has no upgrades.
            Some(SWITCHING_PROTOCOLS) => return Err(ResponseError::NotWebSocket),
            code => return Err(ResponseError::Status(code.unwrap_or_default())),
        }
        let upgrades = lists(headers, "connection", "upgrade");
        if !upgrades || !lists(headers, "upgrade", "websocket") {
            return Err(ResponseError::NotWebSocket);
        }
        let accept = accept_of(self.key.as_bytes());
        if value(headers, "sec-websocket-accept") != Some(accept.as_bytes()) {
            return Err(ResponseError::Accept);
        }
        let mut selected = ["sec-websocket-extensions", "sec-websocket-protocol"].into_iter();
        if selected.any(|name| values(headers, name).next().is_some()) {
            return Err(ResponseError::NotOffered);
        }
        Ok(())
    }
}

/// Returns the target of a dialer's request for `path`. What is encoded already is left as it is.
pub(super) fn target(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {}
            0x21..=0x7E => {
                target.push(byte.into());
                continue;
            }
            _ => {}
        }
        // A String accepts everything.
        let _ = write!(target, "%{byte:02X}");
    }
    target
}
