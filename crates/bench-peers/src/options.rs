//! The command line of a peer.

use std::net::SocketAddr;

use crate::{Error, Result};

/// Mode of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Serves until its input ends.
    Server,
    /// Runs one workload.
    Client,
}

/// Options of the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// `server` or `client`.
    pub mode: Mode,
    /// Name of the stack.
    pub stack: String,
    /// Address on which a server listens.
    pub listen: SocketAddr,
    /// The server's address, as printed by it.
    pub addr: String,
    /// Name of the workload.
    pub workload: String,
    /// Number of operations.
    pub n: usize,
    /// Operations of a warm-up run, whose result line is not printed.
    pub warm_up: usize,
    /// Bytes of a transfer or a payload.
    pub bytes: u64,
    /// Concurrent operations.
    pub concurrency: usize,
    /// Operations or bytes per second.
    pub rate: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

impl Options {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// If they are invalid; the message is for the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mode = match words.next().as_deref() {
            Some("server") => Mode::Server,
            Some("client") => Mode::Client,
            _ => return Err("expected a mode: server or client".into()),
        };
        let mut options = Self {
            mode,
            stack: String::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            addr: String::new(),
            workload: String::new(),
            n: 1,
            warm_up: 0,
            bytes: 1_024,
            concurrency: 1,
            rate: 1_000,
            seconds: 1.0,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} has no value"))?;
            match name.as_str() {
                "--stack" => options.stack = value,
                "--listen" => options.listen = value.parse()?,
                "--addr" => options.addr = value,
                "--workload" => options.workload = value,
                "--n" => options.n = value.parse()?,
                "--warm-up" => options.warm_up = value.parse()?,
                "--bytes" => options.bytes = value.parse()?,
                "--concurrency" => options.concurrency = positive(&name, value.parse()?)?,
                "--rate" => options.rate = positive(&name, value.parse()?)?,
                "--seconds" => options.seconds = value.parse()?,
                _ => return Err(Error::from(format!("unknown option {name}"))),
            }
        }
        Ok(options)
    }

    /// Returns the options of the warm-up run, if there is one.
    pub fn warm_up_options(&self) -> Option<Self> {
        (self.warm_up > 0).then(|| Self {
            n: self.warm_up,
            ..self.clone()
        })
    }

    /// Bytes transferred by `paced`.
    pub fn paced_bytes(&self) -> u64 {
        (self.rate as f64 * self.seconds) as u64
    }
}

fn positive<T: Default + PartialEq>(name: &str, value: T) -> Result<T> {
    if value == T::default() {
        return Err(format!("{name}: expected more than 0").into());
    }
    Ok(value)
}
