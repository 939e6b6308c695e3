//! The one transport of a node, which its address decides.

use std::{fs, path::Path};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    noise,
    pnet::{PnetConfig, PreSharedKey},
    quic, tcp, tls, websocket, yamux,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::{
    Result,
    node::{STREAMS_MAX, UPGRADE_TIMEOUT},
    options::{self, Options, Security},
};

/// A transport whose connections are secured and muxed.
type Upgraded = Boxed<(PeerId, StreamMuxerBox)>;

pub fn new_transport(options: &Options, addr: &Multiaddr, key: &Keypair) -> Result<Upgraded> {
    let transport = match options::Transport::of(addr) {
        options::Transport::Quic if options.psk.is_some() => {
            return Err("there are no private networks over QUIC".into());
        }
        options::Transport::Quic => quic::tokio::Transport::new(quic::Config::new(key))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed(),
        options::Transport::Tcp => protect(new_tcp(), options, key)?,
        options::Transport::WebSocket | options::Transport::SecureWebSocket => {
            let mut websocket = websocket::Config::new(dns::tokio::Transport::system(new_tcp())?);
            websocket.set_tls_config(tls_config(options)?);
            protect(websocket, options, key)?
        }
    };
    Ok(TransportTimeout::new(transport, UPGRADE_TIMEOUT).boxed())
}

fn new_tcp() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
}

/// Upgrades the connections of a transport, inside the private network if there is one.
fn protect<T>(transport: T, options: &Options, key: &Keypair) -> Result<Upgraded>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let security = options.stack.security;
    let Some(path) = &options.psk else {
        return upgrade(transport, security, key);
    };
    let psk: PreSharedKey = fs::read_to_string(path)?.parse()?;
    let protected = transport.and_then(move |socket, _| PnetConfig::new(psk).handshake(socket));
    upgrade(protected, security, key)
}

fn upgrade<T>(transport: T, security: Security, key: &Keypair) -> Result<Upgraded>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_MAX);
    let upgrade = transport.upgrade(Version::V1Lazy);
    Ok(match security {
        Security::Noise => upgrade
            .authenticate(noise::Config::new(key)?)
            .multiplex(muxer)
            .boxed(),
        Security::Tls => upgrade
            .authenticate(tls::Config::new(key)?)
            .multiplex(muxer)
            .boxed(),
    })
}

/// Returns the certificate of secure WebSockets and the roots that are trusted beside those of the web.
fn tls_config(options: &Options) -> Result<websocket::tls::Config> {
    let mut config = websocket::tls::Config::builder();
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        let key = PrivateKeyDer::from_pem_file(key)?;
        let key = websocket::tls::PrivateKey::new(key.secret_der().to_vec());
        config.server(key, certificates(cert)?)?;
    }
    if let Some(roots) = &options.ca {
        for root in certificates(roots)? {
            config.add_trust(&root)?;
        }
    }
    Ok(config.finish())
}

fn certificates(path: &Path) -> Result<Vec<websocket::tls::Certificate>> {
    CertificateDer::pem_file_iter(path)?
        .map(|found| Ok(websocket::tls::Certificate::new(found?.to_vec())))
        .collect()
}
