//! Scopes used by many threads at once.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{Limit, Priority, Resource};
use ferroswarm_secure::PeerId;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::connection::Direction;
use crate::explore::explore;
use crate::resources::{
    ConnectionScope, MemoryCharge, Refusal, ResourceOptions, Resources, StreamScope,
};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

const THREADS: u32 = 8;

/// Operations of each thread.
const STEPS: u32 = 10;

const KIB: usize = 1 << 10;

/// What the threads share: whatever one has opened, another may change or close.
#[derive(Default)]
struct Open {
    connections: Vec<ConnectionScope>,
    streams: Vec<StreamScope>,
}

/// Takes a random element.
fn take<T>(pool: &Mutex<Open>, list: fn(&mut Open) -> &mut Vec<T>) -> Option<T> {
    let mut pool = pool.lock();
    let from = list(&mut pool);
    let count = from.len();
    (count > 0).then(|| from.swap_remove(thread_rng().gen_range(0..count)))
}

fn narrow() -> ResourceOptions {
    let mut options = ResourceOptions::default();
    let limits = &mut options.limits;
    limits.system = Limit {
        memory: 4_000,
        connections: 5,
        streams: 6,
        fds: 4,
        ..Limit::UNLIMITED
    };
    limits.transient.connections = 3;
    limits.transient.streams = 3;
    limits.peer_default.connections = 2;
    limits.peer_default.streams = 4;
    limits.protocol_default.streams = 3;
    limits.service_default.memory = 1_000;
    options.subnets.ipv4 = vec![(32, 2)];
    options.rates.ipv4 = Vec::new();
    options
}

fn peer(number: u8) -> PeerId {
    let mut multihash = vec![0x12, 32];
    multihash.resize(34, number);
    PeerId::from_bytes(&multihash).expect("a multihash")
}

/// Asserts that no scope uses more than its limit.
fn expect_within_limits(resources: &Resources) {
    for (name, usage, limit) in resources.report() {
        for resource in Resource::ALL {
            let (used, most) = (usage.of(resource), limit.of(resource));
            assert!(used <= most, "{name} uses {used} of {most}");
        }
    }
}

fn step(resources: &Arc<Resources>, pool: &Mutex<Open>) -> Result<(), Refusal> {
    let mut rng = thread_rng();
    match rng.gen_range(0..9) {
        0 => {
            let host = IpAddr::V4(Ipv4Addr::new(192, 0, 2, rng.gen_range(0..3)));
            let accepted = resources.accept(Some(host), 1, Duration::ZERO)?;
            pool.lock().connections.push(accepted);
        }
        1 => {
            let dialled = resources.dial(None, 1)?;
            pool.lock().connections.push(dialled);
        }
        2 | 3 => {
            if let Some(connection) = take(pool, |open| &mut open.connections) {
                // A refused connection ends, as does one that has a peer.
                connection.set_peer(peer(rng.gen_range(0..2)))?;
                pool.lock().connections.push(connection);
            }
        }
        4 => {
            let connection = pool.lock().connections.last().map(ConnectionScope::id);
            if let Some(connection) = connection {
                let stream = resources.open_stream(connection, Direction::Inbound)?;
                pool.lock().streams.push(stream);
            }
        }
        5 => {
            if let Some(stream) = take(pool, |open| &mut open.streams) {
                let name = ProtocolId::new(["/a", "/b"][rng.gen_range(0..2)]).expect("a name");
                let set = stream.set_protocol(&name, rng.gen_bool(0.5).then_some(&name));
                pool.lock().streams.push(stream);
                set?;
            }
        }
        6 => {
            if let Some(mut stream) = take(pool, |open| &mut open.streams) {
                stream.reserve_window(rng.gen_range(1..800));
                let reserved = resources.reserve_memory(stream.id(), 200, Priority::ALWAYS);
                if reserved.is_ok() {
                    assert_eq!(resources.release_memory(stream.id(), 200), Ok(true));
                }
                pool.lock().streams.push(stream);
            }
        }
        7 => drop(take(pool, |open| &mut open.connections)),
        _ => drop(take(pool, |open| &mut open.streams)),
    }
    Ok(())
}

// R5, R12
#[test]
fn scopes_used_by_many_threads_stay_within_their_limits_and_lose_no_release() {
    explore(150, || {
        let resources = Resources::new(narrow());
        let pool = Arc::new(Mutex::new(Open::default()));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (resources, pool) = (Arc::clone(&resources), Arc::clone(&pool));
                thread::spawn(move || {
                    for _ in 0..STEPS {
                        step(&resources, &pool).ok();
                        expect_within_limits(&resources);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        drop(pool);
        expect_nothing(&resources);
    });
}

fn expect_nothing(resources: &Resources) {
    for (name, usage, _) in resources.report() {
        assert!(usage.is_none(), "{name} still uses {usage:?}");
    }
}

/// The bytes of a connection and their charge, as `Connection` compares them.
struct Memory {
    resources: Arc<Resources>,
    connection: ConnectionScope,
    used: AtomicUsize,
    charge: MemoryCharge,
}

impl Memory {
    fn settle(&self) {
        let used = || self.used.load(Ordering::SeqCst);
        let settled = self
            .charge
            .settle(&self.resources, self.connection.id(), used);
        settled.expect("no limit");
    }

    fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
        if !self.charge.covers(self.used.load(Ordering::SeqCst)) {
            self.settle();
        }
    }

    fn subtract(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.charge.exceeds(self.used.load(Ordering::SeqCst)) {
            self.settle();
        }
    }

    fn charged(&self) -> usize {
        let stat = self.resources.stat(self.connection.id());
        stat.expect("an open scope").0.memory as usize
    }
}

#[test]
fn memory_that_comes_and_goes_at_once_is_charged_as_it_ends() {
    explore(1_000, || {
        let resources = Resources::new(ResourceOptions::default());
        let memory = Arc::new(Memory {
            connection: resources.dial(None, 1).expect("no limit"),
            resources,
            used: AtomicUsize::default(),
            charge: MemoryCharge::default(),
        });
        memory.add(300 * KIB);
        let of = |run: fn(&Memory)| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || run(&memory))
        };
        let threads = [
            of(|memory| {
                memory.add(400 * KIB);
                memory.subtract(400 * KIB);
            }),
            of(|memory| memory.subtract(300 * KIB)),
            of(|memory| {
                memory.add(100 * KIB);
                memory.subtract(20 * KIB);
            }),
        ];
        for thread in threads {
            thread.join().expect("no panic");
        }
        let charged = memory.charged();
        assert!((80 * KIB..=336 * KIB).contains(&charged), "{charged}");
        memory.subtract(80 * KIB);
        assert_eq!(memory.charged(), 0);
    });
}
