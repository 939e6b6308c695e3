//! CPU time of both muxer engines, side by side: a sender and a receiver of each on one thread,
//! from pipe to pipe, without records and sockets.
//!
//!     cargo run --release -p ferroswarm-proto --example muxer_engines
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use ferroswarm_proto::muxer::{
    Engine, Event, FRAME_PAYLOAD_MAX, Loan, MemoryBudget, Role, StreamKey, yamux, yamux_crate,
};
use ferroswarm_proto::stream::{ChunkPool, Pipe};

/// Plaintext of one record.
const RECORD_BYTES: usize = 16 << 10;
/// Measurements per engine, alternating between the engines.
const ROUNDS: usize = 15;
/// Size of the writes, and bytes per measurement.
const LOADS: [(usize, usize); 2] = [(FRAME_PAYLOAD_MAX, 1 << 30), (100, 64 << 20)];

/// Budget that keeps windows at their initial size, in both engines.
struct NoGrowth;

impl MemoryBudget for NoGrowth {
    fn reserve(&mut self, _bytes: u32) -> bool {
        false
    }
}

fn main() {
    for (write, total) in LOADS {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (kind, times) in times.iter_mut().enumerate() {
                times.push(transfer(kind, write, total));
            }
        }
        for (name, mut times) in ["yamux", "yamux-crate"].into_iter().zip(times) {
            times.sort_by(f64::total_cmp);
            let (low, median) = (times[0], times[ROUNDS / 2]);
            println!("{name:12} writes of {write:5} B: {median:.3} ns/B, at best {low:.3}");
        }
    }
}

fn engine(kind: usize, role: Role) -> Engine {
    if kind == 0 {
        return Engine::Yamux(yamux::Session::new(role, yamux::Config::default()));
    }
    let config = yamux_crate::Config {
        growth_max: 0,
        ..yamux_crate::Config::default()
    };
    Engine::YamuxCrate(Box::new(yamux_crate::Session::new(role, config)))
}

/// Moves `total` bytes from pipe to pipe; returns the CPU time of this thread in nanoseconds per
/// byte.
fn transfer(kind: usize, write: usize, total: usize) -> f64 {
    let mut sender = engine(kind, Role::Dialer);
    let mut receiver = engine(kind, Role::Listener);
    let key = sender.open().expect("the first stream opens");
    let payload = vec![7; write];
    let mut pool = ChunkPool::default();
    let (mut outward, mut inward) = (Pipe::default(), Pipe::default());
    let mut target = vec![0; 256 << 10];
    let mut received = 0;
    let mut record = Vec::with_capacity(2 * RECORD_BYTES);
    let started = cpu_time();
    while received < total {
        record.clear();
        while record.len() + write + 12 <= RECORD_BYTES && sender.send_credit(key) as usize >= write
        {
            outward.push(&payload, &mut pool);
            let taken = sender.write(key, write, &mut record, |into| {
                outward.peek(into);
            });
            outward.advance(outward.len(), &mut pool);
            if taken < write {
                break;
            }
        }
        sender.poll_control(&mut record, RECORD_BYTES);
        received += receive(&mut receiver, &record, &mut inward, &mut pool, &mut target);
        record.clear();
        receiver.poll_control(&mut record, RECORD_BYTES);
        receive(&mut sender, &record, &mut inward, &mut pool, &mut target);
    }
    (cpu_time() - started).as_nanos() as f64 / received as f64
}

/// Feeds `bytes` to `engine` and consumes the data; returns its length.
fn receive(
    engine: &mut Engine,
    mut bytes: &[u8],
    inward: &mut Pipe,
    pool: &mut ChunkPool,
    target: &mut [u8],
) -> usize {
    let now = Duration::from_secs(1);
    let mut loan = Loan::default();
    let mut from: Option<StreamKey> = None;
    while let Some(event) = engine
        .poll_event(&mut bytes, now, &mut loan)
        .expect("both follow the protocol")
    {
        match event {
            Event::Opened { key } => engine.accept(key),
            Event::Data { key, bytes } => {
                from = Some(key);
                inward.push(bytes, pool);
            }
            _ => {}
        }
    }
    let count = inward.copy_to(target, pool);
    if let Some(key) = from {
        // At most a window.
        engine.consumed(key, count as u32, now, &mut NoGrowth);
    }
    count
}

/// Returns the CPU time of this thread, which excludes other processes on the machine.
fn cpu_time() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat exists on Linux");
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first number is the CPU time"))
}
