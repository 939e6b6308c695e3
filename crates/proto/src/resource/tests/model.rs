//! Random operations on random graphs, against a model that adds up what is open.

use proptest::prelude::*;

use crate::resource::{
    Direction, Error, Limit, LimitTable, Manager, Name, Priority, Resource, ScopeId, Usage,
};

type Peer = u8;
type Label = u8;

const PEERS: u8 = 3;
const LABELS: u8 = 2;

#[derive(Debug, Clone)]
enum Operation {
    Connect(bool),
    SetPeer(usize, Peer),
    OpenStream(usize, bool),
    SetProtocol(usize, Label),
    SetService(usize, Label),
    BeginSpan(usize),
    Reserve(usize, u64, u8),
    Release(usize, u64),
    Done(usize),
}

/// What is open, and where it stands in the graph.
#[derive(Debug, Clone)]
struct Open {
    id: ScopeId,
    kind: Kind,
    /// Of its own: what its spans have reserved is counted there.
    own: Usage,
    /// A connection whose streams have not ended.
    ended: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Connection {
        peer: Option<Peer>,
    },
    Stream {
        connection: ScopeId,
        peer: Peer,
        protocol: Option<Label>,
        service: Option<Label>,
    },
    Span {
        owner: ScopeId,
    },
}

#[derive(Default)]
struct Model {
    open: Vec<Open>,
}

impl Model {
    fn find(&self, id: ScopeId) -> Option<&Open> {
        self.open.iter().find(|open| open.id == id)
    }

    /// The scope that a chain of spans ends at; `None` if one of the chain is closed.
    fn root(&self, id: ScopeId) -> Option<&Open> {
        let open = self.find(id).filter(|open| !open.ended)?;
        match open.kind {
            Kind::Span { owner } => self.root(owner),
            _ => Some(open),
        }
    }

    /// The named scopes that a connection or stream is charged to.
    fn names(kind: &Kind) -> Vec<Name<Peer, Label>> {
        match *kind {
            Kind::Connection { peer: None } => vec![Name::Transient, Name::System],
            Kind::Connection { peer: Some(peer) } => vec![Name::Peer(peer), Name::System],
            Kind::Stream {
                peer,
                protocol,
                service,
                ..
            } => {
                let mut names = vec![Name::Peer(peer), Name::System];
                match protocol {
                    None => names.push(Name::Transient),
                    Some(protocol) => {
                        names.push(Name::Protocol(protocol));
                        names.push(Name::ProtocolPeer(protocol, peer));
                    }
                }
                if let Some(service) = service {
                    names.push(Name::Service(service));
                    names.push(Name::ServicePeer(service, peer));
                }
                names
            }
            Kind::Span { .. } => vec![],
        }
    }

    fn sum(&self, is_charged: impl Fn(&Open, &Open) -> bool) -> Usage {
        let mut sum = Usage::NONE;
        for open in &self.open {
            let root = if open.ended {
                Some(open)
            } else {
                self.root(open.id)
            };
            if let Some(root) = root
                && is_charged(open, root)
            {
                sum.add(&open.own);
            }
        }
        sum
    }

    fn has_streams(&self, id: ScopeId) -> bool {
        let carries =
            |open: &Open| matches!(open.kind, Kind::Stream { connection, .. } if connection == id);
        self.open.iter().any(carries)
    }

    fn done(&mut self, at: usize) {
        let open = self.open[at].clone();
        if matches!(open.kind, Kind::Connection { .. }) && self.has_streams(open.id) {
            // What its spans hold is released with it.
            let memory = self
                .sum(|open_within, root| {
                    root.id == open.id && !matches!(open_within.kind, Kind::Stream { .. })
                })
                .memory;
            self.open[at].own = Usage::memory(memory);
            self.open[at].ended = true;
            return;
        }
        self.open.remove(at);
        if let Kind::Stream { connection, .. } = open.kind
            && !self.has_streams(connection)
        {
            self.open
                .retain(|open| open.id != connection || !open.ended);
        }
    }

    fn usage_of(&self, name: &Name<Peer, Label>) -> Usage {
        self.sum(|_, root| Self::names(&root.kind).contains(name))
    }

    /// Usage of a scope that is open: its own and that of what is within it.
    fn usage_at(&self, id: ScopeId) -> Usage {
        self.sum(|open, root| {
            let mut at = open;
            loop {
                if at.id == id {
                    return true;
                }
                match at.kind {
                    Kind::Span { owner } => at = self.find(owner).expect("an open owner"),
                    _ => break,
                }
            }
            matches!(root.kind, Kind::Stream { connection, .. } if connection == id)
        })
    }
}

fn limit_of(name: &Name<Peer, Label>) -> Limit {
    let streams = |streams, memory| Limit {
        streams,
        memory,
        ..Limit::UNLIMITED
    };
    match name {
        Name::System => Limit {
            connections: 5,
            fds: 4,
            ..streams(7, 900)
        },
        Name::Transient => Limit {
            connections_inbound: 2,
            streams_outbound: 2,
            ..streams(4, 500)
        },
        Name::Peer(_) => Limit {
            connections: 2,
            ..streams(4, 600)
        },
        Name::Protocol(_) => streams(5, 500),
        Name::ProtocolPeer(..) => streams(2, 400),
        Name::Service(_) => streams(3, 300),
        Name::ServicePeer(..) => streams(2, 250),
        _ => Limit::UNLIMITED,
    }
}

const CONNECTION_MEMORY: u64 = 450;
const STREAM_MEMORY: u64 = 200;

fn table() -> LimitTable<Peer, Label> {
    LimitTable {
        system: limit_of(&Name::System),
        transient: limit_of(&Name::Transient),
        peer_default: limit_of(&Name::Peer(0)),
        protocol_default: limit_of(&Name::Protocol(0)),
        protocol_peer_default: limit_of(&Name::ProtocolPeer(0, 0)),
        service_default: limit_of(&Name::Service(0)),
        service_peer_default: limit_of(&Name::ServicePeer(0, 0)),
        connection: Limit {
            memory: CONNECTION_MEMORY,
            ..Limit::UNLIMITED
        },
        stream: Limit {
            memory: STREAM_MEMORY,
            ..Limit::UNLIMITED
        },
        ..LimitTable::unlimited()
    }
}

/// Returns whether `more` fits into all of these scopes.
fn fits(model: &Model, names: &[Name<Peer, Label>], more: &Usage, priority: u8) -> bool {
    names.iter().all(|name| {
        let used = model.usage_of(name);
        let limit = limit_of(name);
        Resource::ALL.into_iter().all(|resource| {
            let (used, more) = (used.of(resource), more.of(resource));
            let limit = match resource {
                Resource::Memory => Priority(priority).share_of(limit.memory),
                resource => limit.of(resource),
            };
            more == 0 || used + more <= limit
        })
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    let at = 0_usize..12;
    prop_oneof![
        2 => any::<bool>().prop_map(Operation::Connect),
        3 => (at.clone(), 0..PEERS).prop_map(|(at, peer)| Operation::SetPeer(at, peer)),
        4 => (at.clone(), any::<bool>()).prop_map(|(at, inbound)| Operation::OpenStream(at, inbound)),
        4 => (at.clone(), 0..LABELS).prop_map(|(at, name)| Operation::SetProtocol(at, name)),
        2 => (at.clone(), 0..LABELS).prop_map(|(at, name)| Operation::SetService(at, name)),
        2 => at.clone().prop_map(Operation::BeginSpan),
        4 => (at.clone(), 0_u64..160, any::<u8>())
            .prop_map(|(at, bytes, priority)| Operation::Reserve(at, bytes, priority)),
        2 => (at.clone(), 0_u64..160).prop_map(|(at, bytes)| Operation::Release(at, bytes)),
        2 => at.prop_map(Operation::Done),
    ]
}

fn direction(inbound: bool) -> Direction {
    if inbound {
        Direction::Inbound
    } else {
        Direction::Outbound
    }
}

/// Moves a scope to other parents if what it uses fits into those it has not been charged to.
fn can_move(model: &Model, id: ScopeId, from: &Kind, to: &Kind) -> bool {
    let before = Model::names(from);
    let mut names = Model::names(to);
    names.retain(|name| !before.contains(name));
    fits(model, &names, &model.usage_at(id), 255)
}

#[expect(clippy::too_many_lines, reason = "one arm for each operation")]
fn apply(manager: &mut Manager<Peer, Label>, model: &mut Model, operation: Operation) {
    let id_at = |model: &Model, at: usize| model.open.get(at).map(|open| open.id);
    match operation {
        Operation::Connect(inbound) => {
            let usage = Usage::connection(direction(inbound), 1);
            let expected = fits(model, &[Name::Transient, Name::System], &usage, 255);
            let opened = manager.open_connection(direction(inbound), 1, false);
            assert_eq!(opened.is_ok(), expected, "{opened:?}");
            if let Ok(id) = opened {
                let kind = Kind::Connection { peer: None };
                model.open.push(Open {
                    id,
                    kind,
                    own: usage,
                    ended: false,
                });
            }
        }
        Operation::SetPeer(at, peer) => {
            let Some(id) = id_at(model, at) else { return };
            let before = model.open[at].kind.clone();
            let is_new = before == Kind::Connection { peer: None };
            let after = Kind::Connection { peer: Some(peer) };
            let expected = is_new && can_move(model, id, &before, &after);
            let set = manager.set_peer(id, &peer, false);
            assert_eq!(set.is_ok(), expected, "{set:?}");
            if expected {
                model.open[at].kind = after;
            }
        }
        Operation::OpenStream(at, inbound) => {
            let Some(id) = id_at(model, at) else { return };
            let Kind::Connection { peer: Some(peer) } = model.open[at].kind else {
                assert!(manager.open_stream(id, direction(inbound)).is_err());
                return;
            };
            if model.root(id).is_none() {
                // It has ended, and is kept for its streams.
                let opened = manager.open_stream(id, direction(inbound));
                assert_eq!(opened, Err(Error::Closed));
                return;
            }
            let kind = Kind::Stream {
                connection: id,
                peer,
                protocol: None,
                service: None,
            };
            let usage = Usage::stream(direction(inbound));
            let expected = fits(model, &Model::names(&kind), &usage, 255);
            let opened = manager.open_stream(id, direction(inbound));
            assert_eq!(opened.is_ok(), expected, "{opened:?}");
            if let Ok(id) = opened {
                model.open.push(Open {
                    id,
                    kind,
                    own: usage,
                    ended: false,
                });
            }
        }
        Operation::SetProtocol(at, label) | Operation::SetService(at, label) => {
            let Some(id) = id_at(model, at) else { return };
            let is_service = matches!(operation, Operation::SetService(..));
            let before = model.open[at].kind.clone();
            let after = match (is_service, before.clone()) {
                (
                    false,
                    Kind::Stream {
                        connection,
                        peer,
                        protocol: None,
                        service,
                    },
                ) => Some(Kind::Stream {
                    connection,
                    peer,
                    protocol: Some(label),
                    service,
                }),
                (
                    true,
                    Kind::Stream {
                        connection,
                        peer,
                        protocol: Some(protocol),
                        service: None,
                    },
                ) => Some(Kind::Stream {
                    connection,
                    peer,
                    protocol: Some(protocol),
                    service: Some(label),
                }),
                _ => None,
            };
            let possible = after.filter(|after| can_move(model, id, &before, after));
            let set = if is_service {
                manager.set_service(id, &label)
            } else {
                manager.set_protocol(id, &label)
            };
            assert_eq!(set.is_ok(), possible.is_some(), "{set:?}");
            if let Some(after) = possible {
                model.open[at].kind = after;
            }
        }
        Operation::BeginSpan(at) => {
            let Some(id) = id_at(model, at) else { return };
            let expected = model.root(id).is_some();
            let span = manager.begin_span(id);
            assert_eq!(span.is_ok(), expected);
            if let Ok(span) = span {
                let kind = Kind::Span { owner: id };
                let own = Usage::NONE;
                model.open.push(Open {
                    id: span,
                    kind,
                    own,
                    ended: false,
                });
            }
        }
        Operation::Reserve(at, bytes, priority) => {
            let Some(id) = id_at(model, at) else { return };
            let reserved = manager.reserve_memory(id, bytes, Priority(priority));
            let Some(root) = model.root(id) else {
                assert_eq!(reserved, Err(Error::Closed));
                return;
            };
            let more = Usage::memory(bytes);
            let within = |id, limit| {
                bytes == 0
                    || model.usage_at(id).memory + bytes <= Priority(priority).share_of(limit)
            };
            let own = match root.kind {
                Kind::Stream { connection, .. } => {
                    within(root.id, STREAM_MEMORY)
                        // A connection may close before its streams, which keeps them charged.
                        && (model.find(connection).is_none() || within(connection, CONNECTION_MEMORY))
                }
                _ => within(root.id, CONNECTION_MEMORY),
            };
            let expected = own && fits(model, &Model::names(&root.kind), &more, priority);
            assert_eq!(reserved.is_ok(), expected, "{reserved:?}");
            if expected {
                model.open[at].own.add(&more);
            }
        }
        Operation::Release(at, bytes) => {
            let Some(id) = id_at(model, at) else { return };
            // Only what the scope has reserved itself: releasing what its spans hold is a misuse
            // that the model does not follow.
            let bytes = bytes.min(model.open[at].own.memory);
            let released = manager.release_memory(id, bytes);
            if model.root(id).is_some() {
                assert_eq!(released, Ok(true));
                model.open[at].own.subtract(&Usage::memory(bytes));
            } else {
                assert_eq!(released, Err(Error::Closed));
            }
        }
        Operation::Done(at) => {
            let Some(id) = id_at(model, at) else { return };
            manager.done(id);
            model.done(at);
        }
    }
}

fn check(manager: &mut Manager<Peer, Label>, model: &Model) {
    let mut names = vec![Name::System, Name::Transient];
    for peer in 0..PEERS {
        names.push(Name::Peer(peer));
        for label in 0..LABELS {
            names.push(Name::ProtocolPeer(label, peer));
            names.push(Name::ServicePeer(label, peer));
        }
    }
    for label in 0..LABELS {
        names.push(Name::Protocol(label));
        names.push(Name::Service(label));
    }
    for name in names {
        let scope = manager.hold(&name).unwrap();
        assert_eq!(
            manager.usage(scope).unwrap(),
            model.usage_of(&name),
            "{name:?}"
        );
        manager.unhold(scope);
    }
    for open in &model.open {
        if model.root(open.id).is_some() {
            assert_eq!(
                manager.usage(open.id).unwrap(),
                model.usage_at(open.id),
                "{open:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // go 116, R12
    #[test]
    fn every_scope_uses_what_is_open_in_it(list in prop::collection::vec(operations(), 1..60)) {
        let mut manager = Manager::new(table(), false);
        let mut model = Model::default();
        for operation in list {
            apply(&mut manager, &mut model, operation);
            check(&mut manager, &model);
        }
        while !model.open.is_empty() {
            // An ended connection goes with the last of its streams.
            let at = model.open.iter().position(|open| !open.ended).expect("a stream");
            manager.done(model.open[at].id);
            model.done(at);
        }
        check(&mut manager, &model);
    }
}
