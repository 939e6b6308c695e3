//! Two connections that are each other's remote.

use std::sync::OnceLock;
use std::time::Duration;

use ferroswarm_proto::multistream::{Others, ProtocolId, ProtocolTable};
use ferroswarm_proto::resource::LimitTable;
use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, PeerId, Role, Secured,
    Security,
};

use crate::config::{Limits, Muxer};
use crate::connection::{Connection, Direction, Facts, Layers, Parts, StageTimes};
use crate::handlers::{Handler, Handlers};
use crate::hub::Hub;
use crate::pipe::BytePipe;
use crate::resources::{ResourceOptions, Resources, ScopeId};
use crate::sync::{Arc, test_epoch};

/// Number of protocols named at every end: `/label/1` is number 1 in every environment, and so on.
const NAMED: u32 = 11;

/// Number of protocols served at every end; the others are only named.
const SERVED: u32 = 8;

/// The one of them that is limited to one inbound stream at a time.
pub(crate) const SINGLE: u32 = SERVED;

/// The one whose streams are charged to the service of this name.
pub(crate) const SERVICE: (u32, &str) = (2, "service");

/// Limits of one end.
#[derive(Default)]
pub(crate) struct EndLimits {
    pub(crate) bounds: Limits,
    resources: ResourceOptions,
    /// Accounting of its node, if it has other connections too.
    shared: Option<Arc<Resources>>,
    /// It has the third of the identities, not the one of its role.
    is_third: bool,
}

impl EndLimits {
    /// Changes the limits of its scopes.
    pub(crate) fn of_scopes(set: impl FnOnce(&mut LimitTable<Arc<PeerId>, ProtocolId>)) -> Self {
        let mut limits = Self::default();
        set(&mut limits.resources.limits);
        limits
    }

    /// Charges its connection to a node that may have others.
    pub(crate) fn of_node(resources: &Arc<Resources>) -> Self {
        Self {
            shared: Some(Arc::clone(resources)),
            ..Self::default()
        }
    }

    /// Gives it an identity that is neither that of the dialer nor that of the listener.
    pub(crate) fn third() -> Self {
        Self {
            is_third: true,
            ..Self::default()
        }
    }
}

impl From<Limits> for EndLimits {
    fn from(bounds: Limits) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }
}

/// Parameters of one end of a connection.
pub(crate) struct End {
    /// Hub of its environment.
    pub(crate) hub: Arc<Hub>,
    pub(crate) limits: EndLimits,
    pub(crate) muxer: Muxer,
    pub(crate) streams: Streams,
}

/// Treatment of inbound streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Negotiated by the table.
    Negotiated,
    /// The same, and JavaScript is queried about protocols that are not in it.
    Queried,
    /// Handed over without negotiation.
    Raw,
}

/// Connects two ends, the first of which dials.
pub(crate) fn connect(
    ends: [End; 2],
    pipes: (impl BytePipe + 'static, impl BytePipe + 'static),
) -> [Arc<Connection>; 2] {
    let [dialer, listener] = handshake(&ends[0]);
    let [dialing, listening] = ends;
    [
        establish(dialing, Arc::new(pipes.0), dialer, Direction::Outbound),
        establish(listening, Arc::new(pipes.1), listener, Direction::Inbound),
    ]
}

/// Creates a dialled connection and the channel of its remote, which the caller plays.
pub(crate) fn connect_alone(end: End, pipe: impl BytePipe + 'static) -> (Arc<Connection>, Channel) {
    let [dialer, listener] = handshake(&end);
    let connection = establish(end, Arc::new(pipe), dialer, Direction::Outbound);
    (connection, listener.channel)
}

fn establish(
    end: End,
    pipe: Arc<dyn BytePipe>,
    secured: Secured,
    direction: Direction,
) -> Arc<Connection> {
    let options = end.limits.resources;
    let shared = end.limits.shared;
    let resources = shared.unwrap_or_else(|| Resources::new(options));
    let handlers = Handlers::default();
    let mut table = ProtocolTable::default();
    let intern = |name: &str| {
        let name = ProtocolId::new(name).expect("a valid name");
        (name.clone(), end.hub.names().intern(name))
    };
    let named: Vec<_> = (1..=NAMED)
        .map(|label| (label, intern(&format!("/label/{label}"))))
        .collect();
    let (_, service) = intern(SERVICE.1);
    for (label, (name, number)) in named {
        assert_eq!(number, Some(label));
        if label <= SERVED {
            let inbound_max = if label == SINGLE { 1 } else { u32::MAX };
            table.insert(
                name,
                Handler {
                    protocol: label,
                    inbound_max,
                    service: service.filter(|_| label == SERVICE.0).unwrap_or(0),
                },
            );
        }
    }
    if end.streams == Streams::Queried {
        table.set_others(Others::Ask);
    }
    handlers.set(table);
    handlers.set_raw(end.streams == Streams::Raw);
    let address: multiaddr::Multiaddr = "/memory/1".parse().expect("an address");
    Connection::new(Parts {
        hub: end.hub,
        facts: Facts {
            node: 1,
            request: 0,
            direction,
            role: match direction {
                Direction::Outbound => ferroswarm_secure::Role::Dialer,
                Direction::Inbound => ferroswarm_secure::Role::Listener,
            },
            remote_peer: secured.peer_id,
            remote_key: secured.public_key,
            remote_address: address.clone(),
            local_address: address,
            security: Some(Security::Noise),
            muxer: Some(end.muxer),
            early_muxer: true,
            stages: StageTimes::default(),
        },
        layers: Layers::Muxed {
            pipe,
            channel: secured.channel,
            leftover: Vec::new(),
            plaintext: Vec::new(),
        },
        handlers: Arc::new(handlers),
        limits: Arc::new(end.limits.bounds),
        epoch: test_epoch(),
        scope: scope_of(&resources, direction, secured.peer_id),
        unreported: None,
        resources,
    })
}

/// Opens the scope of a connection whose owner never closes it, as no driver ends here.
fn scope_of(resources: &Resources, direction: Direction, peer: PeerId) -> ScopeId {
    let scope = resources
        .open_connection(direction, 1, None, Duration::ZERO)
        .expect("no limit");
    resources.set_peer(scope, peer, None).expect("no limit");
    scope
}

/// Performs a Noise handshake between two identities of the process; returns both ends.
fn handshake(dialing: &End) -> [Secured; 2] {
    static IDENTITIES: OnceLock<[Arc<Identity>; 3]> = OnceLock::new();
    let identities = IDENTITIES.get_or_init(|| {
        [(); 3].map(|()| {
            let keypair = Keypair::generate(KeyType::Ed25519).expect("a key");
            Arc::new(Identity::new(keypair).expect("an identity"))
        })
    });
    let start = |index: usize, role| {
        let config = HandshakeConfig {
            identity: Arc::clone(&identities[index]),
            muxers: Arc::from([Box::from(Muxer::default().protocol_id())]),
            expected_peer: None,
        };
        Handshake::new(Security::Noise, role, &config).expect("a handshake")
    };
    let mut dialer = start(if dialing.limits.is_third { 2 } else { 0 }, Role::Dialer);
    let mut listener = start(1, Role::Listener);
    while !(dialer.is_complete() && listener.is_complete()) {
        pass(&mut dialer, &mut listener);
        pass(&mut listener, &mut dialer);
    }
    [dialer, listener].map(|end| end.finish().expect("a complete handshake"))
}

/// Passes one end's output to the other.
fn pass(from: &mut Handshake, to: &mut Handshake) {
    let mut bytes = Vec::new();
    from.poll_output(&mut bytes);
    let consumed = to.handle_input(&mut bytes).expect("a message in order");
    assert_eq!(consumed, bytes.len());
}
