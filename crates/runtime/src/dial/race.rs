//! The race of one dial: attempts by a plan, of which the first that succeeds wins.

use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::PlannedAttempt;
use crate::attempts::{Attempt, Attempts};
use crate::command::{ConnectError, Stage};
use crate::sync::{Arc, Mutex};

/// Attempts under way, and those to come. Dropping it gives them up.
///
/// An attempt begins when its delay is over or the one before it in the plan has failed, whichever is
/// first, and never before that one has begun: RFC 8305, section 5. One that begins early brings
/// forward those behind it by as much, so that the delays between attempts stay.
pub(super) struct Race<'a, W, C> {
    plan: &'a [PlannedAttempt],
    /// Attempts at a time.
    parallel: usize,
    attempts: &'a Attempts,
    /// Makes one attempt.
    connect: C,
    /// Start of the plan: of the race, less the time by which failures have shortened it.
    began: Instant,
    /// Those that have begun, by their place in the plan.
    started: Vec<Started>,
    running: JoinSet<Result<W, ConnectError>>,
    /// The attempt that began last has failed.
    has_last_failed: bool,
}

struct Started {
    task: task::Id,
    at: Instant,
    stage: Arc<Mutex<Stage>>,
}

impl<'a, W, C, F> Race<'a, W, C>
where
    W: Send + 'static,
    C: FnMut(usize, Arc<Mutex<Stage>>) -> F,
    F: Future<Output = Result<W, ConnectError>> + Send + 'static,
{
    pub(super) fn new(
        plan: &'a [PlannedAttempt],
        parallel: usize,
        attempts: &'a Attempts,
        connect: C,
    ) -> Self {
        Self {
            plan,
            parallel: parallel.max(1),
            attempts,
            connect,
            began: Instant::now(),
            started: Vec::new(),
            running: JoinSet::new(),
            has_last_failed: false,
        }
    }

    /// Whether every attempt of the plan has ended.
    pub(super) fn is_over(&self) -> bool {
        self.running.is_empty() && self.started.len() == self.plan.len()
    }

    /// The next attempt that ends, with what it has won or as it failed; none when the race is over.
    pub(super) async fn next(&mut self) -> Option<Result<W, Attempt>> {
        while !self.is_over() {
            let due = self.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                self.start();
                continue;
            }
            let joined = match due {
                Some(due) if self.running.is_empty() => {
                    sleep_until(due).await;
                    continue;
                }
                Some(due) => match timeout_at(due, self.running.join_next_with_id()).await {
                    Ok(joined) => joined?,
                    Err(_) => continue,
                },
                None => self.running.join_next_with_id().await?,
            };
            return Some(match joined {
                Ok((_, Ok(won))) => Ok(won),
                Ok((task, Err(error))) => Err(self.failed(task, error)?),
                // Nothing aborts single attempts: it panicked.
                Err(error) => Err(self.failed(error.id(), ConnectError::Internal)?),
            });
        }
        None
    }

    /// When the next attempt begins; none while as many are under way as may be, and when there is none.
    fn due(&self) -> Option<Instant> {
        let planned = self.plan.get(self.started.len())?;
        if self.running.len() >= self.parallel {
            return None;
        }
        let delay = if self.has_last_failed {
            Duration::ZERO
        } else {
            planned.delay
        };
        self.began.checked_add(delay)
    }

    fn start(&mut self) {
        let index = self.started.len();
        let stage = self.attempts.start(index);
        let connecting = (self.connect)(index, Arc::clone(&stage));
        let PlannedAttempt {
            delay,
            timeout: limit,
            ..
        } = self.plan[index];
        let now = Instant::now();
        if let Some(began) = now.checked_sub(delay) {
            self.began = self.began.min(began);
        }
        let attempt = self.running.spawn(async move {
            let connected = timeout(limit, connecting).await;
            connected.unwrap_or(Err(ConnectError::Timeout))
        });
        self.started.push(Started {
            task: attempt.id(),
            at: now,
            stage,
        });
        self.has_last_failed = false;
    }

    /// The attempt that `task` made, as it ended; there is one for every task.
    fn failed(&mut self, task: task::Id, error: ConnectError) -> Option<Attempt> {
        let index = self
            .started
            .iter()
            .position(|started| started.task == task)?;
        let started = &self.started[index];
        self.has_last_failed |= index + 1 == self.started.len();
        Some(Attempt {
            index,
            stage: *started.stage.lock(),
            error,
            elapsed: started.at.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests;
