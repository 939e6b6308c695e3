//! Addresses: `…/tcp/N/ws`, `…/tls/ws` and their variants.

use std::net::SocketAddr;

use ferroswarm_websocket::Request;
use multiaddr::{Multiaddr, Protocol};
use rustls::pki_types::{DnsName, ServerName};

use crate::command::AddressError;
use crate::transport::tcp;

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The TCP endpoint.
    pub(super) socket: SocketAddr,
    /// The name in the server's certificate; `None` without TLS.
    pub(super) tls: Option<ServerName<'static>>,
    /// The path of the upgrade; any for a listener if `None`, and `/` for a dialer.
    pub(super) path: Option<Box<str>>,
    /// The parts after the port, as spelled.
    suffix: Multiaddr,
}

impl Address {
    /// Parses a whole address; `None` if it names no WebSocket, and so may be of another transport.
    ///
    /// # Errors
    /// The part that is not understood.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Result<Self, AddressError>> {
        let parts: Vec<Protocol<'_>> = address.iter().collect();
        let after_tcp = parts
            .iter()
            .position(|part| matches!(part, Protocol::Tcp(_)))?
            + 1;
        let is_ours = |part: &Protocol<'_>| matches!(part, Protocol::Ws(_) | Protocol::Wss(_));
        parts[after_tcp..].iter().any(is_ours).then(|| {
            let socket = tcp::socket_address(&parts[..after_tcp].iter().cloned().collect())?;
            Self::parse_suffix(socket, &parts[after_tcp..])
        })
    }

    fn parse_suffix(socket: SocketAddr, suffix: &[Protocol<'_>]) -> Result<Self, AddressError> {
        let refused =
            |rest: &[Protocol<'_>]| Err(AddressError::NoTransport(rest.iter().cloned().collect()));
        // Without a name the certificate is to name the host.
        let host = || ServerName::IpAddress(socket.ip().into());
        let (tls, rest) = match suffix {
            [Protocol::Ws(path), rest @ ..] if path == "/" => (None, rest),
            [Protocol::Wss(path), rest @ ..] if path == "/" => (Some(host()), rest),
            [Protocol::Tls, Protocol::Ws(path), rest @ ..] if path == "/" => (Some(host()), rest),
            [
                Protocol::Tls,
                Protocol::Sni(name),
                Protocol::Ws(path),
                rest @ ..,
            ] if path == "/" => {
                let Ok(name) = DnsName::try_from(name.to_string()) else {
                    return refused(&suffix[1..2]);
                };
                (Some(ServerName::DnsName(name)), rest)
            }
            _ => return refused(suffix),
        };
        let (path, rest) = match rest {
            [Protocol::HttpPath(path), rest @ ..] => (Some(path.as_ref().into()), rest),
            rest => (None, rest),
        };
        if !rest.is_empty() {
            return refused(rest);
        }
        Ok(Self {
            socket,
            tls,
            path,
            suffix: suffix.iter().cloned().collect(),
        })
    }

    /// Returns the socket address.
    pub(crate) const fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Returns a TCP address with the parts of this one after it.
    pub(super) fn with_suffix(&self, tcp: &Multiaddr) -> Multiaddr {
        tcp.iter().chain(self.suffix.iter()).collect()
    }

    /// Returns whether a listener upgrades a request.
    pub(super) fn serves(&self, request: &Request) -> bool {
        let path = self.path.as_deref();
        path.is_none_or(|path| request.is_for(path))
    }

    /// Returns the host of a request, with its port unless it is the default: the name of TLS, that
    /// which the address was `resolved_from`, or the IP address.
    pub(super) fn host(&self, resolved_from: Option<&str>) -> String {
        let (name, default) = match &self.tls {
            None => (resolved_from, 80),
            Some(ServerName::DnsName(name)) => (Some(name.as_ref()), 443),
            Some(_) => (None, 443),
        };
        let port = self.socket.port();
        let name = match (name, self.socket) {
            (Some(name), _) => name.to_owned(),
            (None, SocketAddr::V4(socket)) => socket.ip().to_string(),
            // Without its zone, which has no meaning to the remote.
            (None, SocketAddr::V6(socket)) => format!("[{}]", socket.ip()),
        };
        match port == default {
            true => name,
            false => format!("{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Result<Address, String>> {
        let parsed = Address::parse(&text.parse().unwrap());
        parsed.map(|parsed| parsed.map_err(|error| error.to_string()))
    }

    #[test]
    fn parses_every_spelling_to_socket_name_and_path() {
        let cases = [
            ("/ip4/1.2.3.4/tcp/80/ws", None, None, "1.2.3.4"),
            ("/ip4/1.2.3.4/tcp/443/ws", None, None, "1.2.3.4:443"),
            (
                "/ip6/::1/tcp/9/ws/http-path/a%2Fb",
                None,
                Some("a/b"),
                "[::1]:9",
            ),
            ("/ip4/1.2.3.4/tcp/443/wss", Some("1.2.3.4"), None, "1.2.3.4"),
            ("/ip6/::1/tcp/443/tls/ws", Some("::1"), None, "[::1]"),
            (
                "/ip4/1.2.3.4/tcp/4001/tls/sni/a.example/ws",
                Some("a.example"),
                None,
                "a.example:4001",
            ),
            (
                "/ip4/1.2.3.4/tcp/443/tls/sni/a.example/ws/http-path/p2p",
                Some("a.example"),
                Some("p2p"),
                "a.example",
            ),
        ];
        for (text, name, path, host) in cases {
            let address = parse(text).unwrap().unwrap();
            let found = address.tls.as_ref().map(|name| name.to_str().into_owned());
            assert_eq!(found.as_deref(), name, "{text}");
            assert_eq!(address.path.as_deref(), path, "{text}");
            assert_eq!(address.host(None), host, "{text}");
            let named = host
                .replace("1.2.3.4", "b.example")
                .replace("[::1]", "b.example");
            let expected = if address.tls.is_some() { host } else { &*named };
            assert_eq!(address.host(Some("b.example")), expected, "{text}");
            let tcp = text.parse::<Multiaddr>().unwrap().iter().take(2).collect();
            assert_eq!(address.with_suffix(&tcp).to_string(), text);
        }
    }

    #[test]
    fn names_the_part_that_is_not_understood() {
        let cases = [
            ("/ip4/1.2.3.4/tcp/1/ws/p2p-circuit", "/p2p-circuit"),
            ("/ip4/1.2.3.4/tcp/1/tls/sni/a..b/ws", "/sni/a..b"),
            ("/ip4/1.2.3.4/tcp/1/tls/wss", "/tls/wss"),
            ("/ip4/1.2.3.4/tcp/1/sni/a.example/ws", "/sni/a.example/ws"),
            ("/ip4/1.2.3.4/tcp/1/noise/ws", "/noise/ws"),
            ("/ip4/1.2.3.4/tcp/1/x-parity-ws/a", "/x-parity-ws/a"),
            ("/ip4/1.2.3.4/tcp/1/ws/http-path/a/ws", "/ws"),
            ("/dns4/a.example/tcp/1/ws", "/dns4/a.example/tcp/1"),
        ];
        for (text, part) in cases {
            let expected = format!("no transport takes {part}");
            assert_eq!(parse(text), Some(Err(expected)), "{text}");
        }
        for text in [
            "/ip4/1.2.3.4/tcp/1",
            "/ip4/1.2.3.4/udp/1/quic-v1",
            "/unix/a",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
