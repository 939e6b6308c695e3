//! The attempts of one dial, as JavaScript sees them: failed, and in progress.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::command::{ConnectError, Stage};
use crate::sync::{Arc, Mutex};

/// An attempt that failed.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Index in the plan.
    pub index: usize,
    /// Stage at which it failed.
    pub stage: Stage,
    /// Cause of the failure.
    pub error: ConnectError,
    /// Time from its start to its failure.
    pub elapsed: Duration,
}

/// Snapshot of a dial's attempts.
#[derive(Debug, Clone, Default)]
pub struct AttemptsSoFar {
    /// Failures not taken before, in the order in which they ended.
    pub failed: Vec<Attempt>,
    /// Attempts in progress, in the order in which they started.
    pub under_way: Vec<AttemptUnderWay>,
}

/// An attempt in progress.
#[derive(Debug, Clone, Copy)]
pub struct AttemptUnderWay {
    /// Index in the plan.
    pub index: usize,
    /// Current stage.
    pub stage: Stage,
    /// Time since its start.
    pub elapsed: Duration,
}

/// Progress of one attempt, written by its task, which may be abandoned at any time.
pub(crate) struct AttemptProgress {
    /// Its current stage, or that of its failure.
    pub(crate) stage: Mutex<Stage>,
    /// When its connection was up, before the upgrade.
    pub(crate) connected: OnceLock<Instant>,
}

impl AttemptProgress {
    pub(crate) const fn at(stage: Stage) -> Self {
        Self {
            stage: Mutex::new(stage),
            connected: OnceLock::new(),
        }
    }

    /// Returns the stage. The lock is released before anything else is done: [`Attempts::take`]
    /// waits for it under its own.
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.lock()
    }
}

/// The attempts of one dial. Its I/O thread writes, JavaScript's reads at any time.
///
/// Holds at most one entry per attempt of the plan, and lives as long as the dial or until its
/// outcome is taken.
#[derive(Default)]
pub struct Attempts(Mutex<State>);

#[derive(Default)]
struct State {
    started: Vec<Started>,
    /// Failures not taken yet.
    failed: Vec<Attempt>,
}

struct Started {
    index: usize,
    at: Instant,
    progress: Arc<AttemptProgress>,
}

impl Attempts {
    /// Takes the failures since the last call, and a snapshot of the attempts in progress.
    pub fn take(&self) -> AttemptsSoFar {
        let mut state = self.0.lock();
        let under_way = |started: &Started| AttemptUnderWay {
            index: started.index,
            stage: started.progress.stage(),
            elapsed: started.at.elapsed(),
        };
        AttemptsSoFar {
            under_way: state.started.iter().map(under_way).collect(),
            failed: std::mem::take(&mut state.failed),
        }
    }

    /// Returns whether there are failures to take.
    pub(crate) fn has_failed(&self) -> bool {
        !self.0.lock().failed.is_empty()
    }

    /// Records the start of an attempt.
    pub(crate) fn start(&self, index: usize, progress: Arc<AttemptProgress>) {
        let at = Instant::now();
        self.0.lock().started.push(Started {
            index,
            at,
            progress,
        });
    }

    /// Returns the time since the start of an attempt; zero if it has not started.
    pub(crate) fn elapsed(&self, index: usize) -> Duration {
        let state = self.0.lock();
        let started = state.started.iter().find(|it| it.index == index);
        started.map_or(Duration::ZERO, |it| it.at.elapsed())
    }

    /// Removes the attempt that has succeeded.
    pub(crate) fn succeed(&self, index: usize) {
        self.0
            .lock()
            .started
            .retain(|started| started.index != index);
    }

    /// Returns whether there are attempts in progress, or failures to take.
    pub(crate) fn any(&self) -> bool {
        let state = self.0.lock();
        !(state.started.is_empty() && state.failed.is_empty())
    }

    /// Records a failure; returns whether it is the only one to take.
    pub(crate) fn fail(&self, attempt: Attempt) -> bool {
        let mut state = self.0.lock();
        state
            .started
            .retain(|started| started.index != attempt.index);
        state.failed.push(attempt);
        state.failed.len() == 1
    }
}
