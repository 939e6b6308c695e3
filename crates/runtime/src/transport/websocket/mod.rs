//! WebSocket: HTTP upgrades over TCP, or over TLS over TCP, to a stream of bytes in frames.

use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;

use multiaddr::Multiaddr;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use crate::command::{ConnectError, Stage};
use crate::pipe::BytePipe;
use crate::sync::Arc;

use super::{Dialling, RawConnection, tcp};

pub(crate) use address::Address;
pub use certificates::{CertificatePem, Certificates, CertificatesError, Roots, Trust};

use certificates::{DialerConfig, listener_config};
use pipe::FramePipe;
use tls::TlsPipe;

mod address;
mod certificates;
mod pipe;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod upgrade;

/// Options of the WebSocket transport.
#[derive(Default)]
pub struct WebSocketOptions {
    /// What listeners with TLS present. Defaults to none, with which their handshakes fail; it may be
    /// replaced while they listen.
    pub certificates: Arc<Certificates>,
    /// The servers that dials with TLS trust. Defaults to those of the system's roots.
    pub trust: Trust,
}

/// Settings of a node's WebSocket transport.
#[derive(Default)]
pub(crate) struct WebSockets {
    certificates: Arc<Certificates>,
    listener: OnceLock<Arc<ServerConfig>>,
    dialer: DialerConfig,
}

impl WebSockets {
    pub(crate) fn new(options: WebSocketOptions) -> Self {
        Self {
            certificates: options.certificates,
            listener: OnceLock::new(),
            dialer: DialerConfig::new(options.trust),
        }
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    fn listener_config(&self) -> Result<Arc<ServerConfig>, ConnectError> {
        if let Some(config) = self.listener.get() {
            return Ok(Arc::clone(config));
        }
        let config = listener_config(&self.certificates)?;
        Ok(Arc::clone(self.listener.get_or_init(|| config)))
    }
}

/// Dials `address`, up to the end of the upgrade, whose time is that of the whole upgrade.
pub(super) async fn dial(
    address: &Address,
    settings: &WebSockets,
    dialling: &Dialling<'_>,
) -> Result<RawConnection, ConnectError> {
    let tcp = tcp::dial(address.socket()).await?;
    *dialling.stage.lock() = Stage::Security;
    let pipe = Arc::new(tcp.pipe);
    let upgrading = upgrade_dialled(pipe, address, settings);
    let pipe = dialling.upgrading(upgrading).await?;
    let local = address.with_suffix(&tcp.local);
    let remote = address.with_suffix(&tcp.remote);
    Ok(RawConnection::over(pipe, local, remote))
}

async fn upgrade_dialled(
    pipe: Arc<dyn BytePipe>,
    address: &Address,
    settings: &WebSockets,
) -> Result<FramePipe, ConnectError> {
    let pipe = match &address.tls {
        None => pipe,
        Some(name) => {
            let config = settings.dialer.load().await?;
            let connection = ClientConnection::new(config, name.clone())?;
            Arc::new(TlsPipe::dial(pipe, connection).await.map_err(explained)?)
        }
    };
    upgrade::dial(pipe, address).await
}

/// A listening socket whose connections are to be upgraded.
pub(crate) struct Listener {
    tcp: tcp::Listener,
    address: Arc<Address>,
}

impl Listener {
    pub(super) fn bind(address: Address, shares_port: bool) -> io::Result<Self> {
        Ok(Self {
            tcp: tcp::Listener::bind(address.socket(), shares_port)?,
            address: Arc::new(address),
        })
    }

    /// Accepts the next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        Ok(Arrival {
            tcp: self.tcp.accept().await?,
            address: Arc::clone(&self.address),
        })
    }

    /// Returns the bound address, including its port.
    pub(super) fn local_address(&self) -> io::Result<Multiaddr> {
        Ok(self.address.with_suffix(&self.tcp.local_address()?))
    }
}

/// An accepted TCP connection.
pub(crate) struct Arrival {
    tcp: tcp::Arrival,
    address: Arc<Address>,
}

impl Arrival {
    pub(super) const fn host(&self) -> IpAddr {
        self.tcp.host()
    }

    pub(super) fn remote_address(&self) -> Multiaddr {
        self.address.with_suffix(&self.tcp.remote_address())
    }

    /// Upgrades it. The caller bounds the time.
    pub(super) async fn open(self, settings: &WebSockets) -> Result<RawConnection, ConnectError> {
        let tcp = self.tcp.register()?;
        let pipe = Arc::new(tcp.pipe);
        let pipe: Arc<dyn BytePipe> = match &self.address.tls {
            None => pipe,
            Some(_) => {
                let connection = ServerConnection::new(settings.listener_config()?)?;
                Arc::new(TlsPipe::accept(pipe, connection).await.map_err(explained)?)
            }
        };
        let pipe = upgrade::accept(pipe, &self.address).await?;
        let local = self.address.with_suffix(&tcp.local);
        let remote = self.address.with_suffix(&tcp.remote);
        Ok(RawConnection::over(pipe, local, remote))
    }
}

/// Returns the error of TLS in an error of its pipe, if there is one. An end within the handshake is
/// that of the remote.
fn explained(error: io::Error) -> ConnectError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ConnectError::Ended;
    }
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(tls) => rustls::Error::clone(tls).into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests;
