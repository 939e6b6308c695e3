//! Streams of any protocol: inbound ones go to a server task, outbound ones are opened on request.

use std::{
    convert::Infallible,
    future::{self, Ready},
    iter, slice,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, InboundUpgrade, OutboundUpgrade, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::{Result, server};

/// Opens streams on one connection.
#[derive(Clone)]
pub struct Opener(mpsc::UnboundedSender<OpenStream>);

impl Opener {
    pub async fn open(&self, protocol: StreamProtocol) -> Result<Stream> {
        let (reply, stream) = oneshot::channel();
        self.0
            .send(OpenStream { protocol, reply })
            .map_err(|_| "connection closed")?;
        Ok(stream.await.map_err(|_| "stream was not opened")?)
    }
}

pub struct Behaviour {
    served: &'static [StreamProtocol],
    latest: Option<Opener>,
}

impl Behaviour {
    pub fn new(served: &'static [StreamProtocol]) -> Self {
        Self {
            served,
            latest: None,
        }
    }

    /// Returns the opener of the latest connection.
    pub fn opener(&self) -> Option<Opener> {
        self.latest.clone()
    }

    fn new_handler(&mut self) -> Handler {
        let (sender, requests) = mpsc::unbounded_channel();
        self.latest = Some(Opener(sender));
        Handler {
            served: self.served,
            requests,
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.new_handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.new_handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

pub struct Handler {
    served: &'static [StreamProtocol],
    requests: mpsc::UnboundedReceiver<OpenStream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ServeStream;
    type OutboundProtocol = OpenStream;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<ServeStream> {
        SubstreamProtocol::new(ServeStream(self.served), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<OpenStream, (), Infallible>> {
        match self.requests.poll_recv(cx) {
            Poll::Ready(Some(request)) => {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(request, ()),
                })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    /// The upgrades below hand the streams over themselves.
    fn on_connection_event(&mut self, _: ConnectionEvent<'_, ServeStream, OpenStream>) {}
}

/// Negotiates one protocol and sends the stream to the requester.
pub struct OpenStream {
    protocol: StreamProtocol,
    reply: oneshot::Sender<Stream>,
}

impl UpgradeInfo for OpenStream {
    type Info = StreamProtocol;
    type InfoIter = iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(self.protocol.clone())
    }
}

impl OutboundUpgrade<Stream> for OpenStream {
    type Output = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        // The requester may be gone; the stream is then dropped, which resets it.
        let _ = self.reply.send(stream);
        future::ready(Ok(()))
    }
}

/// Accepts these protocols and serves the stream in a task of its own.
pub struct ServeStream(&'static [StreamProtocol]);

impl UpgradeInfo for ServeStream {
    type Info = StreamProtocol;
    type InfoIter = iter::Cloned<slice::Iter<'static, StreamProtocol>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().cloned()
    }
}

impl InboundUpgrade<Stream> for ServeStream {
    type Output = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        tokio::spawn(server::serve(stream, protocol));
        future::ready(Ok(()))
    }
}
