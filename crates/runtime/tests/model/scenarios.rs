//! The scenarios. In each: every byte of every undisturbed stream arrives in order and once, every
//! stream and every connection closes once and in order, no thread waits forever, and nothing is
//! left behind.

use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::config::{AwaitingBounds, Limits};
use crate::connection::Connection;
use crate::explore::explore;
use crate::peer::{PREDICATE, Peer, Plan, Talk};
use crate::slot::Proposals;
use crate::sync::{Arc, set_time};
use crate::world::{Link, Signal, hub, hub_with_loop, limits, link};

/// More than a window and a send pipe hold.
const FLOOD_BYTES: usize = 600_000;

/// A message or two.
const SMALL_BYTES: usize = 20_000;

const fn reads(bytes: usize) -> Plan {
    Plan {
        bytes,
        reads: true,
        talk: Talk::Freely,
    }
}

/// Creates two peers and the connection that `near` dials.
fn meet(
    capacity: usize,
    near_plan: fn(u32) -> Plan,
    far_plan: fn(u32) -> Plan,
) -> (Peer, Peer, Link) {
    let (near, far) = (
        hub(AwaitingBounds::default()),
        hub(AwaitingBounds::default()),
    );
    let between = link(&near.0, &far.0, capacity, [limits(), limits()]);
    (
        Peer::new(near, near_plan),
        Peer::new(far, far_plan),
        between,
    )
}

/// Runs both ends of a connection and checks that nothing is left.
fn run(
    (near, far, between): (Peer, Peer, Link),
    near_runs: impl FnOnce(Peer) -> Peer + Send + 'static,
    far_runs: impl FnOnce(Peer) -> Peer + Send + 'static,
) {
    let near = thread::spawn(move || near_runs(near));
    let far = thread::spawn(move || far_runs(far));
    let (near, far) = (near.join().unwrap(), far.join().unwrap());
    near.expect_all_of(&far);
    far.expect_all_of(&near);
    near.expect_nothing();
    far.expect_nothing();
    between.expect_gone();
}

/// Closes every connection and waits for their ends.
fn close(peer: &mut Peer) {
    peer.close_all();
    peer.run_until(Peer::is_disconnected);
}

/// Opens `count` streams as soon as there is a connection.
fn open(peer: &mut Peer, count: u32, plan: fn(u32) -> Plan) {
    peer.run_until(|peer| peer.connections() > 0);
    for label in 1..=count {
        peer.open(Proposals::Lazy(label), plan(label));
    }
}

#[test]
fn both_sides_write_without_reading_and_then_read() {
    explore(60, || {
        let plan = |_| reads(FLOOD_BYTES);
        let barriers = [(); 2].map(|()| Arc::new(Signal::default()));
        let [near_full, far_full] = barriers;
        let (near_seen, far_seen) = (Arc::clone(&near_full), Arc::clone(&far_full));
        let near = move |mut peer: Peer| {
            peer.reads = false;
            open(&mut peer, 1, plan);
            peer.run_until(Peer::is_blocked);
            near_full.raise();
            far_seen.take();
            peer.reads = true;
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far = move |mut peer: Peer| {
            peer.reads = false;
            peer.run_until(|peer| peer.streams() == 1 && peer.is_blocked());
            far_full.raise();
            near_seen.take();
            peer.reads = true;
            peer.run_until(Peer::is_disconnected);
            peer
        };
        run(meet(40_000, plan, plan), near, far);
    });
}

#[test]
fn a_request_is_never_missed() {
    explore(1_500, || {
        // Only the next message would make either driver poll again.
        let requests = |_| Plan {
            talk: Talk::Requests,
            ..reads(20)
        };
        let responds = |_| Plan {
            talk: Talk::Responds,
            ..reads(20)
        };
        let near = move |mut peer: Peer| {
            open(&mut peer, 2, requests);
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far = |mut peer: Peer| {
            peer.run_until(Peer::is_disconnected);
            peer
        };
        run(meet(30_000, requests, responds), near, far);
    });
}

#[test]
fn a_request_reaches_a_thread_with_loop_sockets() {
    explore(1_500, || {
        let requests = |_| Plan {
            talk: Talk::Requests,
            ..reads(60)
        };
        let responds = |_| Plan {
            talk: Talk::Responds,
            ..reads(60)
        };
        let near = move |mut peer: Peer| {
            open(&mut peer, 2, requests);
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far = |mut peer: Peer| {
            peer.run_until(Peer::is_disconnected);
            peer
        };
        let (near_hub, far_hub) = (hub_with_loop(), hub_with_loop());
        let between = link(&near_hub.0, &far_hub.0, 30_000, [limits(), limits()]);
        let peers = (
            Peer::new(near_hub, requests),
            Peer::new(far_hub, responds),
            between,
        );
        run(peers, near, far);
    });
}

#[test]
fn sockets_move_to_and_from_the_loop_with_their_traffic() {
    explore(300, || {
        // More than counts as little traffic, so that the socket changes owners repeatedly.
        let plan = |label: u32| reads(label as usize * 15_000);
        let near = move |mut peer: Peer| {
            open(&mut peer, 3, plan);
            peer.chaos = thread_rng().gen_ratio(1, 2);
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far = |mut peer: Peer| {
            peer.run_until(Peer::is_disconnected);
            peer
        };
        let capacity = [3_000, 30_000][thread_rng().gen_range(0..2)];
        let (near_hub, far_hub) = (hub_with_loop(), hub_with_loop());
        let between = link(&near_hub.0, &far_hub.0, capacity, [limits(), limits()]);
        let peers = (Peer::new(near_hub, plan), Peer::new(far_hub, plan), between);
        run(peers, near, far);
    });
}

#[test]
fn a_paused_stream_holds_back_no_other() {
    explore(80, || {
        // The first stream floods a reader that never reads.
        let near_plan = |label| {
            reads(if label == 1 {
                FLOOD_BYTES
            } else {
                SMALL_BYTES * 3
            })
        };
        let far_plan = |label| Plan {
            bytes: if label == 1 { 0 } else { SMALL_BYTES },
            reads: label != 1,
            talk: Talk::Freely,
        };
        let near = move |mut peer: Peer| {
            open(&mut peer, 3, near_plan);
            // All but the first, on which the far side sends nothing.
            peer.run_until(|peer| peer.closed() == 2);
            close(&mut peer);
            peer
        };
        let far = |mut peer: Peer| {
            peer.run_until(Peer::is_disconnected);
            peer
        };
        let (near_peer, far_peer, between) = meet(30_000, near_plan, far_plan);
        let near_runs = thread::spawn(move || near(near_peer));
        let far_runs = thread::spawn(move || far(far_peer));
        let (near_peer, far_peer) = (near_runs.join().unwrap(), far_runs.join().unwrap());
        assert_eq!(
            (near_peer.whole(2), far_peer.whole(2)),
            (SMALL_BYTES, SMALL_BYTES * 3)
        );
        assert_eq!(
            (near_peer.whole(3), far_peer.whole(3)),
            (SMALL_BYTES, SMALL_BYTES * 3)
        );
        near_peer.expect_nothing();
        far_peer.expect_nothing();
        between.expect_gone();
    });
}

/// Bounds that a flood reaches at once.
const NARROW: AwaitingBounds = AwaitingBounds {
    total: 60_000,
    share: 20_000,
};

/// Bytes that one read of the socket may add to those waiting.
const READ_BYTES: usize = 30_000;

/// Limits of a remote that waits as long as it takes.
fn patient() -> Limits {
    Limits {
        keepalive_interval: Duration::ZERO,
        write_stall_timeout: Duration::from_secs(10_000),
        linger_timeout: Duration::from_secs(10_000),
        ..limits()
    }
}

#[test]
fn bytes_for_a_stalled_thread_are_bounded_and_arrive_later() {
    explore(60, || {
        let near_plan = |_| reads(FLOOD_BYTES);
        let far_plan = |_| reads(0);
        let (near, far) = (hub(AwaitingBounds::default()), hub(NARROW));
        let between = link(&near.0, &far.0, READ_BYTES, [patient(), limits()]);
        let stalled = Arc::clone(&between.connections[1]);
        let [armed, full] = [(); 2].map(|()| Arc::new(Signal::default()));
        let (far_armed, far_full) = (Arc::clone(&armed), Arc::clone(&full));
        let near_runs = move |mut peer: Peer| {
            open(&mut peer, 2, |_| reads(0));
            peer.expect_more(0);
            peer.turn();
            armed.take();
            peer.expect_more(FLOOD_BYTES);
            peer.run_until(Peer::is_blocked);
            full.raise();
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far_runs = move |mut peer: Peer| {
            peer.run_until(|peer| peer.streams() == 2 && peer.is_armed());
            far_armed.raise();
            // The thread is busy with something else.
            far_full.take();
            while peer.environment.hub().stats.read_pauses.get() == 0 {
                thread::yield_now();
            }
            let waits = peer.environment.hub().awaiting();
            assert!(waits <= NARROW.total + 2 * READ_BYTES, "{waits} bytes wait");
            // Long enough for any keepalive timeout, had its clock continued.
            set_time(Duration::from_secs(120));
            stalled.kick();
            thread::yield_now();
            peer.run_until(Peer::is_disconnected);
            peer
        };
        let peers = (
            Peer::new(near, near_plan),
            Peer::new(far, far_plan),
            between,
        );
        run(peers, near_runs, far_runs);
    });
}

#[test]
fn a_peer_at_the_cap_stops_no_other_connection() {
    explore(60, || {
        let (flooder, light) = (
            hub(AwaitingBounds::default()),
            hub(AwaitingBounds::default()),
        );
        let server = hub(NARROW);
        let flood = link(&flooder.0, &server.0, READ_BYTES, [patient(), patient()]);
        let calm = link(&light.0, &server.0, READ_BYTES, [patient(), patient()]);
        let [armed, full] = [(); 2].map(|()| Arc::new(Signal::default()));
        let [light_armed, light_go] = [(); 2].map(|()| Arc::new(Signal::default()));
        let watched = Arc::clone(&calm.connections[1]);

        let flooding = {
            let (armed, full) = (Arc::clone(&armed), Arc::clone(&full));
            let peer = Peer::new(flooder, |_| reads(0));
            thread::spawn(move || client(peer, 2, FLOOD_BYTES, &armed, &full))
        };
        let lightly = {
            let (light_armed, light_go) = (Arc::clone(&light_armed), Arc::clone(&light_go));
            let peer = Peer::new(light, |_| reads(0));
            thread::spawn(move || client(peer, 1, SMALL_BYTES, &light_armed, &light_go))
        };
        let mut peer = Peer::new(server, |_| reads(0));
        peer.run_until(|peer| peer.streams() == 3 && peer.is_armed());
        armed.raise();
        full.take();
        light_armed.raise();
        // All of it gets through while this thread drains nothing and the other client has filled
        // the cap.
        light_go.take();
        wait_for(&watched, SMALL_BYTES);
        drop(watched);
        peer.run_until(Peer::is_disconnected);
        flooding.join().unwrap();
        lightly.join().unwrap();
        peer.expect_nothing();
        flood.expect_gone();
        calm.expect_gone();
    });
}

/// A client of the cap's scenario: opens `count` streams, and sends `bytes` on each after `go`.
fn client(mut peer: Peer, count: u32, bytes: usize, go: &Signal, blocked: &Signal) {
    open(&mut peer, count, |_| reads(0));
    peer.expect_more(0);
    peer.turn();
    go.take();
    peer.expect_more(bytes);
    peer.run_until(Peer::is_blocked);
    blocked.raise();
    peer.run_until(Peer::is_done);
    close(&mut peer);
    peer.expect_nothing();
}

/// Waits, outside JavaScript's thread, until `bytes` of the connection wait for it.
fn wait_for(connection: &Connection, bytes: usize) {
    while connection.awaiting() < bytes {
        thread::yield_now();
    }
}

#[test]
fn streams_end_once_however_they_end() {
    explore(600, || {
        let plan = |label: u32| reads(label as usize * 4_000);
        // Down to a fraction of a record: every write meets a full socket.
        let capacity = [300, 3_000, 30_000][thread_rng().gen_range(0..3)];
        let near = move |mut peer: Peer| {
            open(&mut peer, 3, plan);
            peer.open(Proposals::AnyOf(Box::from([9, 10, 4])), plan(4));
            peer.chaos = true;
            let early = thread_rng().gen_ratio(1, 4);
            if early {
                for _ in 0..thread_rng().gen_range(0..20) {
                    peer.turn();
                }
            } else {
                peer.run_until(Peer::is_done);
            }
            // A stream opened while the connection ends closes too.
            peer.close_all();
            peer.open(Proposals::Lazy(5), plan(5));
            peer.run_until(Peer::is_disconnected);
            peer.allow_incomplete_if(early);
            peer
        };
        let far = |mut peer: Peer| {
            peer.chaos = true;
            peer.run_until(Peer::is_disconnected);
            peer
        };
        run(meet(capacity, plan, plan), near, far);
    });
}

#[test]
fn queried_streams_arrive_whole_or_end_once() {
    explore(400, || {
        let plan = |_| reads(SMALL_BYTES);
        let capacity = [1_000, 20_000][thread_rng().gen_range(0..2)];
        let near = move |mut peer: Peer| {
            open(&mut peer, 1, plan);
            // Bytes after the proposal arrive before the answer, or after it.
            peer.open(Proposals::Lazy(PREDICATE), plan(PREDICATE));
            // Queried, refused, queried again.
            peer.open(
                Proposals::AnyOf(Box::from([9, 10, PREDICATE])),
                plan(PREDICATE),
            );
            peer.run_until(Peer::is_done);
            close(&mut peer);
            peer
        };
        let far = |mut peer: Peer| {
            peer.run_until(Peer::is_disconnected);
            peer
        };
        run(meet(capacity, plan, plan), near, far);
    });
}

#[test]
fn both_sides_close_and_open_at_the_same_time() {
    explore(500, || {
        let plan = |label: u32| reads(label as usize * 2_000);
        let runs = move |mut peer: Peer| {
            peer.run_until(|peer| peer.connections() > 0);
            for label in 1..=3 {
                peer.open(Proposals::Lazy(label), plan(label));
                peer.turn();
            }
            peer.close_all();
            peer.open(Proposals::Lazy(4), plan(4));
            peer.run_until(Peer::is_disconnected);
            peer.allow_incomplete_if(true);
            peer
        };
        run(meet(5_000, plan, plan), runs, runs);
    });
}

#[test]
fn a_dropped_environment_leaves_no_connection() {
    explore(250, || {
        let plan = |_| reads(SMALL_BYTES);
        let (mut near, mut far, between) = meet(5_000, plan, plan);
        let far_runs = thread::spawn(move || {
            far.run_until(Peer::is_disconnected);
            far.expect_nothing();
        });
        open(&mut near, 3, plan);
        for _ in 0..thread_rng().gen_range(0..5) {
            near.turn();
        }
        near.close_all();
        // Nobody drains this side's records from here on.
        drop(near);
        far_runs.join().unwrap();
        between.expect_gone();
    });
}
