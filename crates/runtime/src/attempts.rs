//! The attempts of one dial, as JavaScript sees them: those that failed, and those under way.

use std::time::{Duration, Instant};

use crate::command::{ConnectError, Stage};
use crate::sync::{Arc, Mutex};

/// An attempt that failed.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which entry of the plan.
    pub index: usize,
    /// Where it failed.
    pub stage: Stage,
    /// Why.
    pub error: ConnectError,
    /// How long it took.
    pub elapsed: Duration,
}

/// What has become of a dial's attempts, at one moment.
#[derive(Debug, Clone, Default)]
pub struct AttemptsSoFar {
    /// Those that failed and were not taken before, in the order of their ends.
    pub failed: Vec<Attempt>,
    /// Those under way, in the order in which they began.
    pub under_way: Vec<AttemptUnderWay>,
}

/// An attempt under way.
#[derive(Debug, Clone, Copy)]
pub struct AttemptUnderWay {
    /// Which entry of the plan.
    pub index: usize,
    /// Where it is.
    pub stage: Stage,
    /// How long it has taken so far.
    pub elapsed: Duration,
}

/// The attempts of one dial. Its I/O thread writes, JavaScript's reads whenever it likes.
///
/// It holds an entry for each of the plan at most, and lives as long as the dial or until its outcome
/// is taken.
#[derive(Default)]
pub struct Attempts(Mutex<Board>);

#[derive(Default)]
struct Board {
    started: Vec<Started>,
    /// Those that nobody has taken.
    failed: Vec<Attempt>,
}

struct Started {
    index: usize,
    at: Instant,
    /// Shared with the attempt, which may be cut off at any time.
    stage: Arc<Mutex<Stage>>,
}

impl Attempts {
    /// Those that failed since the last call, and those under way.
    pub fn take(&self) -> AttemptsSoFar {
        let mut board = self.0.lock();
        let under_way = |started: &Started| AttemptUnderWay {
            index: started.index,
            stage: *started.stage.lock(),
            elapsed: started.at.elapsed(),
        };
        AttemptsSoFar {
            under_way: board.started.iter().map(under_way).collect(),
            failed: std::mem::take(&mut board.failed),
        }
    }

    /// Whether there are any to take.
    pub(crate) fn has_failed(&self) -> bool {
        !self.0.lock().failed.is_empty()
    }

    /// An attempt begins; it says in the answer where it is.
    pub(crate) fn start(&self, index: usize) -> Arc<Mutex<Stage>> {
        let stage = Arc::new(Mutex::new(Stage::Dial));
        self.0.lock().started.push(Started {
            index,
            at: Instant::now(),
            stage: Arc::clone(&stage),
        });
        stage
    }

    /// An attempt has failed; whether it is the only one to take.
    pub(crate) fn fail(&self, attempt: Attempt) -> bool {
        let mut board = self.0.lock();
        board
            .started
            .retain(|started| started.index != attempt.index);
        board.failed.push(attempt);
        board.failed.len() == 1
    }
}
