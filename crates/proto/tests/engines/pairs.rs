//! Two engines connected to each other.

use ferroswarm_proto::muxer::Role;

use crate::random::Random;
use crate::subject::{Kind, Subject};

/// Maximum number of rounds for all written data to arrive.
const ROUNDS_MAX: usize = 2_000;

pub(crate) struct Pair {
    random: Random,
    ends: [Subject; 2],
}

impl Pair {
    pub(crate) fn new([dialer, listener]: [Kind; 2], seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            ends: [
                Subject::new(dialer, Role::Dialer),
                Subject::new(listener, Role::Listener),
            ],
        }
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..10 + self.random.below(100) {
            let side = self.random.below(2);
            if self.random.chance(3) {
                self.pump(side);
            } else {
                self.command(side);
            }
        }
        self.run_until_idle();
        self.check();
    }

    fn command(&mut self, side: usize) {
        let end = &mut self.ends[side];
        let live = end.live();
        let choice = self.random.below(22);
        let Some(id) = self.random.pick(&live).filter(|_| choice > 2) else {
            end.open();
            return;
        };
        let bytes = self.random.length(600_000) as u64;
        match choice {
            3..=8 => end.write(id, bytes),
            9..=10 => end.finish(id),
            11..=15 => end.consume(id, bytes),
            16..=18 => end.accept(id),
            19 => end.discard(id),
            20 => end.reset(id, bytes as u32),
            _ => end.sweep(&live),
        }
    }

    /// Moves the output of `side` to the other end; returns whether there was any.
    fn pump(&mut self, side: usize) -> bool {
        let record = [100, 16_384, 65_519][self.random.below(3)];
        self.ends[side].transmit(record);
        let output = std::mem::take(&mut self.ends[side].output);
        let piece = [1 << 20, 5_000, 60_000][self.random.below(3)];
        for bytes in output.chunks(piece) {
            self.ends[1 - side].receive(bytes);
        }
        !output.is_empty()
    }

    fn run_until_idle(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            for end in &mut self.ends {
                for id in end.live() {
                    end.accept(id);
                    end.consume(id, u64::MAX);
                }
            }
            let busy = [0, 1].map(|side| self.pump(side)) != [false, false];
            quiet = if busy { 0 } else { quiet + 1 };
            // Held-back events are reported after the last output, and read in the next round.
            if quiet == 2 {
                return;
            }
        }
        panic!("not idle after {ROUNDS_MAX} rounds");
    }

    fn check(&self) {
        for side in 0..2 {
            let (near, far) = (&self.ends[side], &self.ends[1 - side]);
            assert!(near.end.is_none(), "{:?}", near.end);
            for (id, local) in &near.streams {
                let Some(there) = far.streams.get(id) else {
                    assert!(
                        local.is_reset() || local.removed,
                        "{id} is unknown to the other end"
                    );
                    continue;
                };
                if local.reset_locally
                    || there.reset_locally
                    || local.is_reset()
                    || there.is_reset()
                {
                    // A reset by one end was reported to the other.
                    let reported = |reset: bool, other: bool| !reset || other;
                    assert!(reported(
                        local.reset_locally,
                        there.is_over() || there.removed
                    ));
                    continue;
                }
                assert!(!local.wants_to_send(), "{id} is stuck");
                if !there.discards {
                    assert_eq!(local.sent, there.received, "stream {id}");
                }
                assert_eq!(local.fin, there.is_finished(), "the end of {id}");
            }
        }
    }
}
