use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{Error, Result};

#[derive(Clone, Copy)]
pub enum Mode {
    Server,
    Client,
}

/// A security protocol, and the transport of `--listen` if that is a host and a port.
#[derive(Clone, Copy)]
pub struct Stack {
    /// QUIC has its own.
    pub security: Security,
    transport: Transport,
}

#[derive(Clone, Copy)]
pub enum Security {
    Noise,
    Tls,
}

#[derive(Clone, Copy)]
pub enum Transport {
    Tcp,
    WebSocket,
    SecureWebSocket,
    Quic,
}

impl Transport {
    /// Returns the transport of an address.
    pub fn of(addr: &Multiaddr) -> Self {
        let mut found = Self::Tcp;
        for part in addr {
            match part {
                Protocol::QuicV1 => found = Self::Quic,
                Protocol::Ws(_) => found = Self::WebSocket,
                Protocol::Wss(_) => found = Self::SecureWebSocket,
                _ => {}
            }
        }
        found
    }
}

#[derive(Clone)]
pub struct Options {
    pub mode: Mode,
    pub stack: Stack,
    pub listen: Multiaddr,
    pub addr: Option<Multiaddr>,
    pub workload: String,
    pub n: usize,
    pub warm_up: usize,
    pub bytes: usize,
    pub concurrency: usize,
    pub rate: u64,
    pub seconds: f64,
    /// Certificate and key of secure WebSockets, as files.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Roots that are trusted for secure WebSockets.
    pub ca: Option<PathBuf>,
    /// Key of a private network.
    pub psk: Option<PathBuf>,
}

impl Options {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mode = match args.next().as_deref() {
            Some("server") => Mode::Server,
            Some("client") => Mode::Client,
            _ => return Err("expected a mode: server or client".into()),
        };
        let mut options = Self {
            mode,
            stack: "tcp-noise-yamux".parse()?,
            listen: Multiaddr::empty(),
            addr: None,
            workload: String::new(),
            n: 1,
            warm_up: 0,
            bytes: 1024,
            concurrency: 1,
            rate: 1000,
            seconds: 1.0,
            cert: None,
            key: None,
            ca: None,
            psk: None,
        };
        let mut listen = "127.0.0.1:0".to_owned();
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} has no value"))?;
            match name.as_str() {
                "--stack" => options.stack = value.parse()?,
                "--listen" => listen = value,
                "--addr" => options.addr = Some(value.parse()?),
                "--workload" => options.workload = value,
                "--n" => options.n = value.parse()?,
                "--warm-up" => options.warm_up = value.parse()?,
                "--bytes" => options.bytes = value.parse()?,
                "--concurrency" => options.concurrency = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--cert" => options.cert = Some(value.into()),
                "--key" => options.key = Some(value.into()),
                "--ca" => options.ca = Some(value.into()),
                "--psk" => options.psk = Some(value.into()),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        options.listen = options.stack.listen_addr(&listen)?;
        Ok(options)
    }
}

impl Stack {
    /// Returns the address of `--listen`: a multiaddr, or `host:port` for the transport of the stack.
    fn listen_addr(self, text: &str) -> Result<Multiaddr> {
        if text.starts_with('/') {
            return Ok(text.parse()?);
        }
        let addr: SocketAddr = text.parse()?;
        let tcp = || Multiaddr::from(addr.ip()).with(Protocol::Tcp(addr.port()));
        Ok(match self.transport {
            Transport::Tcp => tcp(),
            Transport::WebSocket => tcp().with(Protocol::Ws("/".into())),
            Transport::SecureWebSocket => tcp().with(Protocol::Tls).with(Protocol::Ws("/".into())),
            Transport::Quic => Multiaddr::from(addr.ip())
                .with(Protocol::Udp(addr.port()))
                .with(Protocol::QuicV1),
        })
    }
}

impl FromStr for Stack {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (transport, security) = match text {
            "tcp-noise-yamux" => (Transport::Tcp, Security::Noise),
            "tcp-tls-yamux" => (Transport::Tcp, Security::Tls),
            "ws-noise-yamux" => (Transport::WebSocket, Security::Noise),
            "ws-tls-yamux" => (Transport::WebSocket, Security::Tls),
            "wss-noise-yamux" => (Transport::SecureWebSocket, Security::Noise),
            "wss-tls-yamux" => (Transport::SecureWebSocket, Security::Tls),
            "quic" => (Transport::Quic, Security::Tls),
            _ => return Err(format!("unknown stack {text}").into()),
        };
        Ok(Self {
            security,
            transport,
        })
    }
}
