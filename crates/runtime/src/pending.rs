//! Questions that JavaScript answers.
//!
//! JavaScript is notified once until it takes them, however many there are. A question ends with its
//! answer, or when the wait for it is dropped.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use crate::sync::Mutex;

struct State<Q, A> {
    /// Number of the next question.
    next: u64,
    /// Those that JavaScript has not taken, oldest first.
    untaken: BTreeMap<u64, Q>,
    /// Those that are not answered.
    open: HashMap<u64, oneshot::Sender<A>>,
    /// JavaScript is notified, and has not taken any since.
    is_announced: bool,
}

/// Questions of one kind, and the waits for their answers.
pub(crate) struct Pending<Q, A> {
    /// Held for a change of the lists: a leaf.
    state: Mutex<State<Q, A>>,
}

impl<Q, A> Default for Pending<Q, A> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                untaken: BTreeMap::new(),
                open: HashMap::new(),
                is_announced: false,
            }),
        }
    }
}

impl<Q, A> Pending<Q, A> {
    /// Returns the questions that wait to be taken with their tickets, oldest first.
    pub(crate) fn take(&self) -> Vec<(u64, Q)> {
        let mut state = self.state.lock();
        state.is_announced = false;
        std::mem::take(&mut state.untaken).into_iter().collect()
    }

    /// Returns false if nobody waits for the answer any more.
    pub(crate) fn answer(&self, ticket: u64, answer: A) -> bool {
        let answered = self.state.lock().open.remove(&ticket);
        answered.is_some_and(|answered| answered.send(answer).is_ok())
    }

    /// Asks, and calls `announce` if JavaScript is to be notified; returns the answer. `None` if there
    /// is none to come.
    pub(crate) async fn ask(&self, question: Q, announce: impl FnOnce()) -> Option<A> {
        let (mut wait, is_first) = self.open(question);
        if is_first {
            announce();
        }
        (&mut wait.answer).await.ok()
    }

    /// Adds a question; the second value is whether JavaScript is to be notified.
    fn open(&self, question: Q) -> (Wait<'_, Q, A>, bool) {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state.lock();
        let ticket = state.next;
        state.next += 1;
        state.untaken.insert(ticket, question);
        state.open.insert(ticket, sender);
        let is_first = !std::mem::replace(&mut state.is_announced, true);
        let wait = Wait {
            pending: self,
            ticket,
            answer,
        };
        (wait, is_first)
    }

    /// Numbers of questions that are not taken, and not answered.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.untaken.len(), state.open.len())
    }
}

/// The wait for an answer. Dropping it ends the question.
struct Wait<'a, Q, A> {
    pending: &'a Pending<Q, A>,
    ticket: u64,
    answer: oneshot::Receiver<A>,
}

impl<Q, A> Drop for Wait<'_, Q, A> {
    fn drop(&mut self) {
        let mut state = self.pending.state.lock();
        state.untaken.remove(&self.ticket);
        state.open.remove(&self.ticket);
    }
}
