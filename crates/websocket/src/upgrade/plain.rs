//! Requests that are no upgrade, and answers to them: a connection is good for one of each.

use std::fmt::Write;

use httparse::{EMPTY_HEADER, Header};

use super::request::{Status, is_head};
use super::{HEADERS_MAX, lists, values};

/// Maximum length of the body of a request. It is read whole before it is passed on, for as many
/// requests at a time as a listener has.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 << 10;

/// Maximum length of the body of an answer, which is held until it is written.
pub const ANSWER_BODY_BYTES_MAX: usize = 1 << 20;

/// Tells a dialer that waits for it to send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Headers that belong to the connection, whose end is the end of the answer.
const OF_CONNECTION: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The head of a request that is no upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainRequest {
    /// Its method.
    pub method: Box<str>,
    /// Its target: a path with a query, a URL, or `*`.
    pub target: Box<str>,
    /// Its headers. Bytes beyond ASCII are taken for Latin-1, as HTTP has it.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Length of its body, which follows the head; at most [`REQUEST_BODY_BYTES_MAX`].
    pub body_bytes: usize,
    /// Whether its dialer waits for [`CONTINUE`] before it sends the body.
    pub expects_continue: bool,
}

impl PlainRequest {
    /// Reads a complete head.
    ///
    /// # Errors
    /// The status that answers a request whose body has no length, an invalid one, or one beyond the
    /// limit.
    pub fn read(head: &[u8]) -> Result<Self, Status> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(Status::BAD_REQUEST),
        }
        let headers = &*request.headers;
        let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
        Ok(Self {
            method: request.method.unwrap_or_default().into(),
            target: request.path.unwrap_or_default().into(),
            body_bytes: body_bytes(headers)?,
            expects_continue: request.version == Some(1)
                && lists(headers, "expect", "100-continue"),
            headers: headers
                .iter()
                .map(|header| (header.name.into(), text(header.value)))
                .collect(),
        })
    }
}

fn body_bytes(headers: &[Header<'_>]) -> Result<usize, Status> {
    if values(headers, "transfer-encoding").next().is_some() {
        return Err(Status::LENGTH_REQUIRED);
    }
    let mut lengths = values(headers, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(0);
    };
    // Two that differ are how requests are smuggled past proxies.
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) || lengths.any(|it| it != length)
    {
        return Err(Status::BAD_REQUEST);
    }
    str::from_utf8(length)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|bytes| *bytes <= REQUEST_BODY_BYTES_MAX)
        .ok_or(Status::CONTENT_TOO_LARGE)
}

/// The answer to a request that is no upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    reason: Box<str>,
    headers: Vec<(Box<str>, Box<str>)>,
    body: Vec<u8>,
}

impl Answer {
    /// Creates an answer; `None` if the status is not from 200 to 599, or the body is beyond
    /// [`ANSWER_BODY_BYTES_MAX`].
    ///
    /// Headers that are not HTTP, and those of the connection and of the length of the body, are left
    /// out. Characters beyond ASCII are sent as Latin-1, and those beyond that are left out.
    pub fn new(
        status: u16,
        reason: &str,
        headers: Vec<(Box<str>, Box<str>)>,
        body: Vec<u8>,
    ) -> Option<Self> {
        if !(200..=599).contains(&status) || body.len() > ANSWER_BODY_BYTES_MAX {
            return None;
        }
        let is_sent = |(name, value): &(Box<str>, Box<str>)| {
            is_token(name)
                && value.chars().all(is_field_character)
                && !OF_CONNECTION.iter().any(|it| it.eq_ignore_ascii_case(name))
        };
        Some(Self {
            status,
            reason: reason
                .chars()
                .filter(|it| is_field_character(*it))
                .collect(),
            headers: headers.into_iter().filter(is_sent).collect(),
            body,
        })
    }

    /// Returns whether the status is of an answer without a body.
    const fn is_empty(&self) -> bool {
        matches!(self.status, 204 | 205 | 304)
    }
}

fn is_token(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

const fn is_field_character(letter: char) -> bool {
    matches!(letter, '\t' | ' '..='~' | '\u{80}'..='\u{FF}')
}

/// Appends the answer to the request at the front of `input`, the last of its connection. Only a head
/// answers a HEAD.
pub fn append_answer(answer: &Answer, input: &[u8], out: &mut Vec<u8>) {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, answer.reason);
    for (name, value) in &answer.headers {
        // A String accepts everything.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let has_body = !is_head(input) && !answer.is_empty();
    if has_body || (!answer.is_empty() && !answer.body.is_empty()) {
        let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
    }
    head.push_str("Connection: close\r\n\r\n");
    // Latin-1, by the checks of `Answer::new`.
    out.extend(head.chars().map(|letter| letter as u8));
    if has_body {
        out.extend_from_slice(&answer.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<PlainRequest, Status> {
        PlainRequest::read(head.as_bytes())
    }

    fn answered(request: &str, answer: &Answer) -> String {
        let mut out = Vec::new();
        append_answer(answer, request.as_bytes(), &mut out);
        out.into_iter().map(char::from).collect()
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
        let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn reads_the_head_of_a_request_and_the_length_of_its_body() {
        let request = read(
            "POST /a?b HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\
             content-length: 3\r\nX: caf\u{e9}\r\n\r\nabc",
        );
        let expected = PlainRequest {
            method: "POST".into(),
            target: "/a?b".into(),
            headers: headers(&[
                ("Host", "a"),
                ("Expect", "100-Continue"),
                ("Content-Length", "3"),
                ("content-length", "3"),
                // UTF-8 of one letter is two of Latin-1.
                ("X", "caf\u{c3}\u{a9}"),
            ]),
            body_bytes: 3,
            expects_continue: true,
        };
        assert_eq!(request, Ok(expected));
        let plain = read("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert_eq!((plain.body_bytes, plain.expects_continue), (0, false));
    }

    #[test]
    fn refuses_bodies_without_a_length_that_is_valid_and_within_the_limit() {
        let with = |header: &str| read(&format!("POST / HTTP/1.1\r\n{header}\r\n\r\n"));
        let max = format!("Content-Length: {REQUEST_BODY_BYTES_MAX}");
        assert_eq!(with(&max).unwrap().body_bytes, REQUEST_BODY_BYTES_MAX);
        let beyond = format!("Content-Length: {}", REQUEST_BODY_BYTES_MAX + 1);
        for (header, status) in [
            ("Transfer-Encoding: chunked", Status::LENGTH_REQUIRED),
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked",
                Status::LENGTH_REQUIRED,
            ),
            (&*beyond, Status::CONTENT_TOO_LARGE),
            (
                "Content-Length: 99999999999999999999999",
                Status::CONTENT_TOO_LARGE,
            ),
            ("Content-Length: +3", Status::BAD_REQUEST),
            ("Content-Length:", Status::BAD_REQUEST),
            (
                "Content-Length: 3\r\nContent-Length: 4",
                Status::BAD_REQUEST,
            ),
        ] {
            assert_eq!(with(header), Err(status), "{header}");
        }
        assert_eq!(read("GET / HTTP/1.1\r\n"), Err(Status::BAD_REQUEST));
    }

    #[test]
    fn an_answer_has_its_length_and_ends_the_connection() {
        let given = headers(&[
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a"),
            ("set-cookie", "b\u{e9}"),
            ("Transfer-Encoding", "chunked"),
            ("content-length", "7"),
            ("connection", "keep-alive"),
            ("in\r\njected", "a"),
            ("injected", "a\r\nb"),
            ("wide", "\u{100}"),
        ]);
        let answer = Answer::new(200, "O\r\nK", given, b"hello".to_vec()).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a\r\n\
                    set-cookie: b\u{e9}\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
        assert_eq!(answered("GET /", &answer), format!("{head}hello"));
        assert_eq!(answered("HEAD /", &answer), head);
    }

    #[test]
    fn an_answer_without_a_body_claims_none() {
        let answer = |status| Answer::new(status, "", Vec::new(), Vec::new()).unwrap();
        let plain = "Connection: close\r\n\r\n";
        let cases = [
            ("GET /", 200, format!("Content-Length: 0\r\n{plain}")),
            // That of a GET is unknown.
            ("HEAD /", 200, plain.to_owned()),
            ("GET /", 204, plain.to_owned()),
            ("GET /", 304, plain.to_owned()),
        ];
        for (request, status, rest) in cases {
            let expected = format!("HTTP/1.1 {status} \r\n{rest}");
            assert_eq!(answered(request, &answer(status)), expected);
        }
    }

    #[test]
    fn statuses_and_bodies_are_bounded() {
        let answer = |status, length| Answer::new(status, "", Vec::new(), vec![0; length]);
        assert!(answer(599, ANSWER_BODY_BYTES_MAX).is_some());
        assert!(answer(200, ANSWER_BODY_BYTES_MAX + 1).is_none());
        for status in [0, 101, 199, 600] {
            assert!(answer(status, 0).is_none(), "{status}");
        }
    }
}
