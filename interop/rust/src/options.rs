use std::{net::SocketAddr, str::FromStr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{Error, Result};

#[derive(Clone, Copy)]
pub enum Mode {
    Server,
    Client,
}

#[derive(Clone, Copy)]
pub enum Stack {
    NoiseYamux,
    TlsYamux,
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
            stack: Stack::NoiseYamux,
            listen: tcp_multiaddr("127.0.0.1:0")?,
            addr: None,
            workload: String::new(),
            n: 1,
            warm_up: 0,
            bytes: 1024,
            concurrency: 1,
            rate: 1000,
            seconds: 1.0,
        };
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} has no value"))?;
            match name.as_str() {
                "--stack" => options.stack = value.parse()?,
                "--listen" => options.listen = tcp_multiaddr(&value)?,
                "--addr" => options.addr = Some(value.parse()?),
                "--workload" => options.workload = value,
                "--n" => options.n = value.parse()?,
                "--warm-up" => options.warm_up = value.parse()?,
                "--bytes" => options.bytes = value.parse()?,
                "--concurrency" => options.concurrency = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }
}

impl FromStr for Stack {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "tcp-noise-yamux" => Ok(Self::NoiseYamux),
            "tcp-tls-yamux" => Ok(Self::TlsYamux),
            _ => Err(format!("unknown stack {text}").into()),
        }
    }
}

fn tcp_multiaddr(host_port: &str) -> Result<Multiaddr> {
    let addr: SocketAddr = host_port.parse()?;
    Ok(Multiaddr::from(addr.ip()).with(Protocol::Tcp(addr.port())))
}
