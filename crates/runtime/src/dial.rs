//! Dialling one set of concrete addresses: staggered attempts, the first to be upgraded wins.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferroswarm_secure::{Identity, PeerId, Role, Security};
use multiaddr::Multiaddr;
use tokio::task::{self, JoinSet};

use crate::command::{Attempt, CommandError, ConnectError, Outcome, Stage};
use crate::connection::Direction;
use crate::diagnostics::Fact;
use crate::node::{Origin, Shared};
use crate::sync::{Arc, Mutex};
use crate::threads::Seat;
use crate::transport::{Endpoint, RawConnection};
use crate::upgrade::{Purpose, Upgraded, upgrade};

/// What to dial, and how.
pub struct DialRequest {
    /// Concrete addresses, best first.
    pub addresses: Vec<Multiaddr>,
    /// Who must answer; anybody if none.
    pub peer: Option<PeerId>,
    /// As whom; the node if none. So one process can be many peers without a thread for each.
    pub identity: Option<Arc<Identity>>,
    /// Security to offer; the node's if none.
    pub securities: Option<Vec<Security>>,
    /// For one address, its upgrade included.
    pub address_timeout: Duration,
    /// For all of it.
    pub timeout: Duration,
    /// Attempts at a time.
    pub parallel: usize,
}

/// Head start of an attempt over the next one: RFC 8305's recommendation.
const STAGGER: Duration = Duration::from_millis(250);

/// An attempt that came through.
struct Won {
    raw: RawConnection,
    upgraded: Upgraded,
    dial_time: Duration,
}

/// An attempt that may be cut off at any time leaves its stage behind.
struct Started {
    address: Multiaddr,
    at: Instant,
    stage: Arc<Mutex<Stage>>,
}

impl Started {
    /// It ends here and now.
    fn ended(self, error: ConnectError) -> Attempt {
        let stage = *self.stage.lock();
        Attempt {
            address: self.address,
            stage,
            error,
            elapsed: self.at.elapsed(),
        }
    }
}

/// Dials; the seat is kept by the connection.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    request: u32,
    dial: DialRequest,
    seat: Seat,
) -> Outcome {
    if shared.is_closing() {
        return Outcome::Failed(CommandError::NodeClosed);
    }
    let Ok(place) = shared.admission.place(&shared.limits) else {
        return Outcome::Failed(CommandError::TooManyConnections(
            shared.limits.connections_max,
        ));
    };
    let dial = Arc::new(dial);
    let mut race = Race::new(shared, &dial);
    let raced = tokio::time::timeout(dial.timeout, race.run()).await;
    let Ok(Some(won)) = raced else {
        return Outcome::DialFailed(race.report());
    };
    drop(race);
    let origin = Origin {
        request,
        direction: Direction::Outbound,
        dial_time: won.dial_time,
        place,
        ticket: None,
    };
    Outcome::Dialled(shared.establish(won.raw, won.upgraded, seat, origin))
}

/// Attempts under way and those that failed.
struct Race<'a> {
    shared: &'a Arc<Shared>,
    dial: &'a Arc<DialRequest>,
    next: usize,
    tasks: HashMap<task::Id, usize>,
    running: JoinSet<(usize, Result<Won, Attempt>)>,
    started: Vec<Option<Started>>,
    failed: Vec<Attempt>,
}

impl<'a> Race<'a> {
    fn new(shared: &'a Arc<Shared>, dial: &'a Arc<DialRequest>) -> Self {
        Self {
            shared,
            dial,
            next: 0,
            tasks: HashMap::new(),
            running: JoinSet::new(),
            started: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// The first attempt that comes through; none when every one failed.
    async fn run(&mut self) -> Option<Won> {
        loop {
            let more = self.next < self.dial.addresses.len();
            if more && self.running.len() < self.dial.parallel.max(1) {
                self.start();
            }
            if self.running.is_empty() {
                return None;
            }
            let wait = if self.next < self.dial.addresses.len() {
                STAGGER
            } else {
                Duration::MAX
            };
            let Ok(joined) = tokio::time::timeout(wait, self.running.join_next()).await else {
                continue;
            };
            match joined? {
                Ok((_, Ok(won))) => return Some(won),
                Ok((index, Err(attempt))) => {
                    self.started[index] = None;
                    self.failed.push(attempt);
                }
                // Nothing aborts single attempts: it panicked, and its entry is still there.
                Err(error) => self.broke(error.id()),
            }
        }
    }

    fn start(&mut self) {
        let address = self.dial.addresses[self.next].clone();
        let index = self.next;
        self.next += 1;
        let stage = Arc::new(Mutex::new(Stage::Dial));
        let at = Instant::now();
        self.started.push(Some(Started {
            address: address.clone(),
            at,
            stage: Arc::clone(&stage),
        }));
        let (shared, dial) = (Arc::clone(self.shared), Arc::clone(self.dial));
        let attempt = self.running.spawn(async move {
            let connecting = connect(&shared, &dial, &address, &stage);
            let result = tokio::time::timeout(dial.address_timeout, connecting).await;
            let error = match result {
                Ok(Ok(won)) => return (index, Ok(won)),
                Ok(Err(error)) => error,
                Err(_) => ConnectError::Timeout,
            };
            let stage = *stage.lock();
            (
                index,
                Err(Attempt {
                    address,
                    stage,
                    error,
                    elapsed: at.elapsed(),
                }),
            )
        });
        self.tasks.insert(attempt.id(), index);
    }

    /// A panic in one attempt is that attempt's failure, and ours.
    fn broke(&mut self, task: task::Id) {
        let index = self.tasks.get(&task);
        let Some(started) = index.and_then(|&index| self.started[index].take()) else {
            return;
        };
        self.shared
            .report(Fact::Internal, || Some(started.address.clone()));
        self.failed.push(started.ended(ConnectError::Internal));
    }

    /// Every address that was tried; those still under way have timed out.
    fn report(&mut self) -> Vec<Attempt> {
        let mut attempts = std::mem::take(&mut self.failed);
        let late = self.started.drain(..).flatten();
        attempts.extend(late.map(|started| started.ended(ConnectError::Timeout)));
        attempts
    }
}

async fn connect(
    shared: &Shared,
    dial: &DialRequest,
    address: &Multiaddr,
    stage: &Mutex<Stage>,
) -> Result<Won, ConnectError> {
    let started = Instant::now();
    let raw = Endpoint::parse(address)?
        .dial()
        .await
        .map_err(|error| ConnectError::Io(error.into()))?;
    let dial_time = started.elapsed();
    let purpose = Purpose {
        role: Role::Dialer,
        identity: dial.identity.as_ref().unwrap_or(&shared.upgrade.identity),
        expected_peer: dial.peer,
        securities: dial.securities.as_deref(),
        stage,
    };
    let upgrading = upgrade(&*raw.pipe, &shared.upgrade, &purpose);
    let Ok(upgraded) = tokio::time::timeout(shared.limits.upgrade_timeout, upgrading).await else {
        return Err(ConnectError::Timeout);
    };
    let upgraded = upgraded?;
    Ok(Won {
        raw,
        upgraded,
        dial_time,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{OnceLock, Weak};

    use ferroswarm_secure::{Identity, KeyType, Keypair};

    use super::*;
    use crate::diagnostics::Level;
    use crate::hub::{Doorbell, Hub, Ready};
    use crate::{Limits, Muxer, Node, NodeOptions};

    /// Takes what is ready as soon as it rings.
    struct Taker {
        hub: Arc<OnceLock<Weak<Hub>>>,
        taken: Sender<Vec<Ready>>,
    }

    impl Doorbell for Taker {
        fn ring(&self) {
            let hub = self.hub.get().and_then(Weak::upgrade).expect("a hub");
            hub.answer();
            let ready = std::iter::from_fn(|| hub.take()).collect();
            drop(self.taken.send(ready));
        }
    }

    fn node() -> (Node, Receiver<Vec<Ready>>) {
        let place = Arc::new(OnceLock::new());
        let (taken, rings) = mpsc::channel();
        let hub = Hub::new(Box::new(Taker {
            hub: Arc::clone(&place),
            taken,
        }));
        place.set(std::sync::Arc::downgrade(&hub)).expect("one hub");
        let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
        let options = NodeOptions {
            identity: Arc::new(Identity::new(keypair).expect("a key of ours")),
            securities: vec![Security::Noise],
            muxer: Muxer::default(),
            io_threads: Some(1),
            limits: Limits::default(),
        };
        (Node::start(1, hub, options).expect("threads"), rings)
    }

    fn request(addresses: Vec<Multiaddr>) -> DialRequest {
        DialRequest {
            addresses,
            peer: None,
            identity: None,
            securities: None,
            address_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            parallel: 1,
        }
    }

    #[test]
    fn an_attempt_that_panics_is_told_as_a_failure_of_ours() {
        let (node, _rings) = node();
        let hub = Arc::clone(&node.shared().hub);
        hub.listen_to(Level::Error as u32);
        let dial = Arc::new(request(Vec::new()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let attempts = runtime.block_on(async {
            let mut race = Race::new(node.shared(), &dial);
            race.started.push(Some(Started {
                address: "/ip4/192.0.2.1/tcp/1".parse().expect("an address"),
                at: Instant::now(),
                stage: Arc::new(Mutex::new(Stage::Security)),
            }));
            let task = race.running.spawn(async { panic!("as the test wants it") });
            race.tasks.insert(task.id(), 0);
            assert!(race.run().await.is_none());
            race.report()
        });
        let [attempt] = &attempts[..] else {
            panic!("expected one attempt");
        };
        assert_eq!(attempt.stage, Stage::Security);
        assert!(matches!(attempt.error, ConnectError::Internal));
        let told = hub.take_diagnostic().expect("a fact");
        assert!(matches!(told.fact, Fact::Internal), "{told:?}");
    }

    #[test]
    fn a_dial_and_its_connection_are_announced_together() {
        let (listener, bound) = node();
        listener.listen(1, "/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
        let [Ready::Completion(completion)] = &bound.recv().expect("a ring")[..] else {
            panic!("expected the completion alone");
        };
        let Outcome::Listening { addresses, .. } = &completion.outcome else {
            panic!("expected a listener");
        };
        let (dialer, rings) = node();
        dialer.dial(7, request(addresses.clone()));
        let told = rings.recv().expect("a ring");
        let [Ready::Opened(connection), Ready::Completion(completion)] = &told[..] else {
            panic!("expected a connection and a completion in one ring");
        };
        assert_eq!((connection.facts().request, completion.request), (7, 7));
    }
}
