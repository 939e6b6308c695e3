//! The listener's side: requests, and the answers to them.

use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Header};

use super::head::HeadScan;
use super::response::target;
use super::{HEAD_BYTES_MAX, HEADERS_MAX, VERSION, accept_of, lists, value, values};
use crate::error::RequestError;

/// Reads the request at the front of a connection.
#[derive(Debug, Default)]
pub struct RequestReader {
    scan: HeadScan,
}

/// A request, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Box<str>,
    /// Its target, usually a path with a query.
    pub target: Box<str>,
    /// Its `Host`, if it has exactly one that is text.
    pub host: Option<Box<str>>,
    /// What it asks for.
    pub kind: RequestKind,
    /// Length of its head. The input from there on is its body, or frames that follow an upgrade.
    pub head_bytes: usize,
}

impl Request {
    /// Returns whether its target is that which a dialer sends for `path`, with or without more of a
    /// query behind it.
    pub fn is_for(&self, path: &str) -> bool {
        let expected = target(path);
        let separator = if expected.contains('?') { '&' } else { '?' };
        origin_form(&self.target)
            .strip_prefix(&expected)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
    }
}

/// Returns a target without the scheme and the host that proxies put before it.
fn origin_form(target: &str) -> &str {
    let Some((_, rest)) = target
        .split_once("://")
        .filter(|(scheme, _)| scheme.chars().all(|letter| letter.is_ascii_alphanumeric()))
    else {
        return target;
    };
    rest.find('/').map_or("/", |start| &rest[start..])
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// An upgrade to WebSocket.
    Upgrade {
        /// The `Sec-WebSocket-Accept` of the answer.
        accept: Box<str>,
    },
    /// Anything else.
    Other,
}

/// Status of an answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub code: u16,
    /// Its name.
    pub phrase: &'static str,
}

impl Status {
    /// The request is not an upgrade, or malformed.
    pub const BAD_REQUEST: Self = Self {
        code: 400,
        phrase: "Bad Request",
    };
    /// Nothing is served here but upgrades, to the path of the listener.
    pub const NOT_FOUND: Self = Self {
        code: 404,
        phrase: "Not Found",
    };
    /// The request has a body without a length.
    pub const LENGTH_REQUIRED: Self = Self {
        code: 411,
        phrase: "Length Required",
    };
    /// The body of the request exceeds the limit.
    pub const CONTENT_TOO_LARGE: Self = Self {
        code: 413,
        phrase: "Content Too Large",
    };
    /// The upgrade is to another version.
    pub const UPGRADE_REQUIRED: Self = Self {
        code: 426,
        phrase: "Upgrade Required",
    };
    /// The head of the request exceeds a limit.
    pub const HEADERS_TOO_LARGE: Self = Self {
        code: 431,
        phrase: "Request Header Fields Too Large",
    };
    /// Too many requests are pending.
    pub const UNAVAILABLE: Self = Self {
        code: 503,
        phrase: "Service Unavailable",
    };
}

impl RequestReader {
    /// Reads the request at the front of `input`, which starts with everything that was passed
    /// before; returns `None` while it is incomplete.
    ///
    /// # Errors
    /// The input is not HTTP/1, too long, or an upgrade that violates RFC 6455.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<Request>, RequestError> {
        if !self.scan.is_due(input) {
            return Ok(None);
        }
        if matches!(input, [b'\r' | b'\n', ..]) {
            return Err(RequestError::Malformed(httparse::Error::NewLine));
        }
        let limited = &input[..input.len().min(HEAD_BYTES_MAX)];
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(limited) {
            Ok(httparse::Status::Complete(head_bytes)) => interpret(&request, head_bytes).map(Some),
            Ok(httparse::Status::Partial) if limited.len() == HEAD_BYTES_MAX => {
                Err(RequestError::TooLarge)
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(RequestError::TooManyHeaders),
            Err(error) => Err(RequestError::Malformed(error)),
        }
    }
}

fn interpret(
    request: &httparse::Request<'_, '_>,
    head_bytes: usize,
) -> Result<Request, RequestError> {
    let headers = &*request.headers;
    let host = value(headers, "host").and_then(|host| str::from_utf8(host).ok());
    let kind = if lists(headers, "upgrade", "websocket") {
        let accept = accept_upgrade(request)?.into();
        RequestKind::Upgrade { accept }
    } else {
        RequestKind::Other
    };
    Ok(Request {
        method: request.method.unwrap_or_default().into(),
        target: request.path.unwrap_or_default().into(),
        host: host.map(Into::into),
        kind,
        head_bytes,
    })
}

/// Checks an upgrade; returns the `Sec-WebSocket-Accept` of the answer.
fn accept_upgrade(request: &httparse::Request<'_, '_>) -> Result<String, RequestError> {
    let headers = &*request.headers;
    let is_get = request.method == Some("GET") && request.version == Some(1);
    if !is_get || !lists(headers, "connection", "upgrade") || has_body(headers) {
        return Err(RequestError::NotUpgradable);
    }
    if value(headers, "host").is_none() {
        return Err(RequestError::Host);
    }
    if value(headers, "sec-websocket-version") != Some(VERSION) {
        return Err(RequestError::Version);
    }
    let key = value(headers, "sec-websocket-key").ok_or(RequestError::Key)?;
    match BASE64.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(accept_of(key)),
        _ => Err(RequestError::Key),
    }
}

/// Returns whether a body follows the headers. Its bytes would be taken for frames.
fn has_body(headers: &[Header<'_>]) -> bool {
    values(headers, "transfer-encoding").next().is_some()
        || values(headers, "content-length").any(|length| length != b"0")
}

/// Appends the answer to an upgrade: frames follow it.
pub fn append_switch(accept: &str, out: &mut Vec<u8>) {
    let lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Accept: {accept}"),
        "",
        "",
    ];
    out.extend_from_slice(lines.join("\r\n").as_bytes());
}

/// Appends the answer to the request at the front of `input`, which is refused: the last of its
/// connection. Only a head answers a HEAD.
pub fn append_refusal(status: Status, input: &[u8], out: &mut Vec<u8>) {
    let Status { code, phrase } = status;
    let version = match status {
        Status::UPGRADE_REQUIRED => {
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close, Upgrade"
        }
        _ => "Connection: close",
    };
    let body = format!("{code} {phrase}\n");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} {phrase}\r\n{version}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    if !is_head(input) {
        out.extend_from_slice(body.as_bytes());
    }
}

pub(super) fn is_head(input: &[u8]) -> bool {
    input.starts_with(b"HEAD ")
}
