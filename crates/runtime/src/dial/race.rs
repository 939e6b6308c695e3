//! The race of one dial: planned attempts, of which the first to succeed wins.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::PlannedAttempt;
use crate::attempts::{Attempt, AttemptProgress, Attempts};
use crate::command::{ConnectError, Stage};
use crate::sync::Arc;

/// Attempts in progress and yet to start. Dropping it abandons them.
///
/// An attempt starts when its delay is over or its predecessor in the plan has failed, whichever is
/// first, and never before its predecessor has started: RFC 8305, section 5. One that starts early
/// brings forward its successors by as much, which preserves the delays between attempts. None starts
/// while another one that has just connected is given time for its upgrade.
pub(super) struct Race<'a, W, C> {
    plan: &'a [PlannedAttempt],
    bounds: Bounds<'a>,
    attempts: &'a Arc<Attempts>,
    /// Starts one attempt.
    connect: C,
    /// Start of the plan: that of the race, less the time by which failures have shortened it.
    began: Instant,
    /// Attempts that have started, in the order of the plan.
    started: Vec<Started>,
    running: JoinSet<Result<W, ConnectError>>,
}

/// Bounds on concurrent attempts.
pub(super) struct Bounds<'a> {
    /// Their number in this race, at least 1.
    pub(super) parallel: usize,
    /// Permits of all races at the same peer, and of those of the node. An attempt starts when it has
    /// one of each: the wait is not part of its timeout.
    pub(super) of_peer: Option<Arc<Semaphore>>,
    pub(super) of_node: Option<&'a Arc<Semaphore>>,
}

#[cfg(test)]
impl Bounds<'_> {
    pub(super) const fn of_dial(parallel: usize) -> Self {
        Self {
            parallel,
            of_peer: None,
            of_node: None,
        }
    }
}

struct Started {
    task: task::Id,
    progress: Arc<AttemptProgress>,
    has_failed: bool,
}

impl<'a, W, C, F> Race<'a, W, C>
where
    W: Send + 'static,
    C: FnMut(usize, Arc<AttemptProgress>) -> F,
    F: Future<Output = Result<W, ConnectError>> + Send + 'static,
{
    pub(super) fn new(
        plan: &'a [PlannedAttempt],
        bounds: Bounds<'a>,
        attempts: &'a Arc<Attempts>,
        connect: C,
    ) -> Self {
        Self {
            plan,
            bounds,
            attempts,
            connect,
            began: Instant::now(),
            started: Vec::new(),
            running: JoinSet::new(),
        }
    }

    /// Returns whether every attempt of the plan has ended.
    pub(super) fn is_over(&self) -> bool {
        self.running.is_empty() && self.started.len() == self.plan.len()
    }

    /// Waits for the next attempt to end, in success or failure; `None` when the race is over.
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
                Ok((task, Ok(won))) => {
                    if let Some(index) = self.index_of(task) {
                        self.attempts.succeed(index);
                    }
                    Ok(won)
                }
                Ok((task, Err(error))) => Err(self.failed(task, error)?),
                // Single attempts are never aborted: it panicked.
                Err(error) => Err(self.failed(error.id(), ConnectError::Internal)?),
            });
        }
        None
    }

    /// Returns when the next attempt starts; `None` at the limit of concurrent attempts, or if none
    /// is left.
    fn due(&self) -> Option<Instant> {
        let planned = self.plan.get(self.started.len())?;
        if self.running.len() >= self.bounds.parallel.max(1) {
            return None;
        }
        let has_last_failed = self.started.last().is_some_and(|last| last.has_failed);
        let delay = if has_last_failed {
            Duration::ZERO
        } else {
            planned.delay
        };
        let due = self.began.checked_add(delay)?;
        Some(self.held_until().map_or(due, |held| held.max(due)))
    }

    /// Returns until when the attempts that are being upgraded hold up those to come.
    fn held_until(&self) -> Option<Instant> {
        let running = self.started.iter().zip(self.plan);
        running
            .filter(|(started, _)| !started.has_failed)
            .filter_map(|(started, planned)| {
                let connected = started.progress.connected.get()?;
                connected.checked_add(planned.hold)
            })
            .max()
    }

    fn start(&mut self) {
        let index = self.started.len();
        let progress = Arc::new(AttemptProgress::at(Stage::Connect));
        let connecting = (self.connect)(index, Arc::clone(&progress));
        let PlannedAttempt {
            delay,
            timeout: limit,
            ..
        } = self.plan[index];
        let now = Instant::now();
        if let Some(began) = now.checked_sub(delay) {
            self.began = self.began.min(began);
        }
        let of_peer = self.bounds.of_peer.clone();
        let of_node = self.bounds.of_node.cloned();
        let of_node = of_node.filter(|_| self.plan[index].takes_descriptor());
        let (attempts, started) = (Arc::clone(self.attempts), Arc::clone(&progress));
        let attempt = self.running.spawn(async move {
            let _permits = (permit(of_peer).await, permit(of_node).await);
            attempts.start(index, started);
            let connected = timeout(limit, connecting).await;
            connected.unwrap_or(Err(ConnectError::Timeout))
        });
        self.started.push(Started {
            task: attempt.id(),
            progress,
            has_failed: false,
        });
    }

    fn index_of(&self, task: task::Id) -> Option<usize> {
        self.started.iter().position(|it| it.task == task)
    }

    /// Returns the failed attempt of `task`; every task has one.
    fn failed(&mut self, task: task::Id, error: ConnectError) -> Option<Attempt> {
        let index = self.index_of(task)?;
        let started = &mut self.started[index];
        started.has_failed = true;
        Some(Attempt {
            index,
            stage: started.progress.stage(),
            error,
            elapsed: self.attempts.elapsed(index),
        })
    }
}

async fn permit(permits: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // Never closed: there is always a permit to come.
    permits?.acquire_owned().await.ok()
}

#[cfg(test)]
mod tests;
