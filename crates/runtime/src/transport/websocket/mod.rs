//! WebSocket: HTTP upgrades over TCP, or over TLS over TCP, to a stream of bytes in frames.

use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;

use multiaddr::Multiaddr;
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use tokio::sync::Semaphore;

use crate::command::{ConnectError, Stage};
use crate::hub::Hub;
use crate::pipe::BytePipe;
use crate::sync::Arc;

use super::{Dialling, RawConnection, tcp};

pub(crate) use address::Address;
pub use certificates::{CertificatePem, Certificates, CertificatesError, Roots, Trust};
pub use requests::HttpRequest;
pub(crate) use requests::Requests;

use certificates::{DialerConfig, listener_config};
use pipe::FramePipe;
use requests::PENDING_MAX;
use tls::TlsPipe;
use upgrade::Site;

mod address;
mod certificates;
mod pipe;
mod requests;
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
    /// Whether the application answers requests to listeners that are no upgrade:
    /// [`Node::take_requests`](crate::Node::take_requests). Defaults to false, with which they get 404.
    pub passes_requests: bool,
}

/// Settings of a node's WebSocket transport.
#[derive(Default)]
pub(crate) struct WebSockets {
    certificates: Arc<Certificates>,
    listener: OnceLock<Arc<ServerConfig>>,
    dialer: DialerConfig,
    /// Requests that the application answers; `None` if it answers none.
    requests: Option<Requests>,
}

impl WebSockets {
    /// Creates the settings of node number `node`, whose notifications go to `hub`.
    pub(crate) fn new(options: WebSocketOptions, hub: &Arc<Hub>, node: u32) -> Self {
        let passes_requests = options.passes_requests;
        Self {
            certificates: options.certificates,
            listener: OnceLock::new(),
            dialer: DialerConfig::new(options.trust),
            requests: passes_requests.then(|| Requests::new(hub, node)),
        }
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Returns the requests that the application answers.
    pub(crate) const fn requests(&self) -> Option<&Requests> {
        self.requests.as_ref()
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
    let upgrading = upgrade_dialled(pipe, address, settings, dialling.host);
    let pipe = dialling.upgrading(upgrading).await?;
    let local = address.with_suffix(&tcp.local);
    let remote = address.with_suffix(&tcp.remote);
    Ok(RawConnection::over(pipe, local, remote))
}

async fn upgrade_dialled(
    pipe: Arc<dyn BytePipe>,
    address: &Address,
    settings: &WebSockets,
    name: Option<&str>,
) -> Result<FramePipe, ConnectError> {
    let pipe = match &address.tls {
        None => pipe,
        Some(name) => {
            let config = settings.dialer.load().await?;
            let connection = ClientConnection::new(config, name.clone())?;
            Arc::new(TlsPipe::dial(pipe, connection).await.map_err(explained)?)
        }
    };
    upgrade::dial(pipe, address, name).await
}

/// A listening socket whose connections are to be upgraded.
pub(crate) struct Listener {
    tcp: tcp::Listener,
    address: Arc<Address>,
    /// A permit for each request that is no upgrade.
    places: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn bind(address: Address, shares_port: bool) -> io::Result<Self> {
        Ok(Self {
            tcp: tcp::Listener::bind(address.socket(), shares_port)?,
            address: Arc::new(address),
            places: Arc::new(Semaphore::new(PENDING_MAX)),
        })
    }

    /// Accepts the next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        Ok(Arrival {
            tcp: self.tcp.accept().await?,
            address: Arc::clone(&self.address),
            places: Arc::clone(&self.places),
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
    places: Arc<Semaphore>,
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
        let site = Site {
            address: &self.address,
            local: self.address.with_suffix(&tcp.local),
            remote: self.address.with_suffix(&tcp.remote),
            requests: settings.requests(),
            places: &self.places,
        };
        let pipe = site.accept(pipe).await?;
        Ok(RawConnection::over(pipe, site.local, site.remote))
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
