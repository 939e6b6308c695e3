//! The gate of a node: which connections it refuses, by lists of networks and by the hooks of
//! JavaScript.
//!
//! The lists are enforced here. A hook is a question: it waits in [`Questions`] until JavaScript has
//! taken and answered it, or until its connection is given up.

mod questions;

use std::net::IpAddr;

use ferroswarm_proto::resource::{ListRule, Network, NetworkLists, NetworkSet};

use crate::sync::{Arc, Mutex};

pub(crate) use self::questions::{Asker, Questions};
pub use self::questions::{Hook, Question};

/// Maximum number of networks in a list: 4 MB of IPv4, 16 MB of IPv6, and as much again while it is
/// changed.
pub const LIST_MAX: usize = 1_000_000;

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// If it is not empty, hosts outside of it are refused.
    Allow,
    /// Hosts in it are refused.
    Deny,
}

impl List {
    const fn of(self, lists: &NetworkLists) -> &NetworkSet {
        match self {
            Self::Allow => &lists.allow,
            Self::Deny => &lists.deny,
        }
    }

    const fn of_mut(self, lists: &mut NetworkLists) -> &mut NetworkSet {
        match self {
            Self::Allow => &mut lists.allow,
            Self::Deny => &mut lists.deny,
        }
    }
}

/// The gate of one node. It may exist before the node does, and outlive it.
#[derive(Default)]
pub struct Gate {
    /// Replaced as a whole by a change, so that a reader holds the lock for an instant.
    lists: Mutex<Arc<NetworkLists>>,
    /// Held by the one change at a time.
    changing: Mutex<()>,
    questions: Questions,
}

impl Gate {
    /// Creates a gate without lists; `hooks` is the sum of those that JavaScript answers.
    pub fn new(hooks: u32) -> Self {
        Self {
            questions: Questions::new(hooks),
            ..Self::default()
        }
    }

    fn lists(&self) -> Arc<NetworkLists> {
        Arc::clone(&self.lists.lock())
    }

    /// Returns the rule of the lists that refuses a remote; its host is unknown if `None`.
    pub fn rule_of(&self, host: Option<IpAddr>) -> Option<ListRule> {
        self.lists().rule_of(host)
    }

    /// Adds networks to a list, all of them or, beyond [`LIST_MAX`], none. Returns whether it did.
    pub fn add(&self, list: List, networks: &[Network]) -> bool {
        self.change(|lists| {
            let set = list.of_mut(lists);
            set.extend(networks);
            set.len() <= LIST_MAX
        })
    }

    /// Removes networks from a list; returns how many of them it had.
    pub fn remove(&self, list: List, networks: &[Network]) -> usize {
        let mut removed = 0;
        self.change(|lists| {
            removed = list.of_mut(lists).remove(networks);
            removed > 0
        });
        removed
    }

    /// Applies `edit` to a copy of the lists, which replaces them if it returns true.
    fn change(&self, edit: impl FnOnce(&mut NetworkLists) -> bool) -> bool {
        let _changing = self.changing.lock();
        let mut lists = NetworkLists::clone(&self.lists());
        let is_valid = edit(&mut lists);
        if is_valid {
            let new = Arc::new(lists);
            // The old ones may have 20 MB to free, for which no reader waits: the lock is released
            // at the end of this statement.
            let old = std::mem::replace(&mut *self.lists.lock(), new);
            drop(old);
        }
        is_valid
    }

    /// Returns the networks of a list: those of IPv4 first, then the longest prefixes, then by their
    /// address.
    pub fn networks(&self, list: List) -> Vec<Network> {
        list.of(&self.lists()).iter().collect()
    }

    /// Returns the questions that wait to be asked, oldest first.
    pub fn take_questions(&self) -> Vec<(u64, Question)> {
        self.questions.take()
    }

    /// Answers a question: with the reason of a refusal, or `None` to allow. Returns false if nobody
    /// waits for the answer any more.
    pub fn answer(&self, ticket: u64, refusal: Option<Box<str>>) -> bool {
        self.questions.answer(ticket, refusal)
    }

    /// Returns the questions, to ask more.
    pub(crate) const fn questions(&self) -> &Questions {
        &self.questions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_list_takes_its_maximum_and_refuses_what_exceeds_it_as_a_whole() {
        let gate = Gate::default();
        let all: Vec<Network> = (0..LIST_MAX as u32)
            .map(|at| Network::of(IpAddr::V4(at.into()), 32))
            .collect();
        assert!(gate.add(List::Deny, &all));
        let more = [network("192.0.2.1"), network("192.0.2.2")];
        assert!(!gate.add(List::Deny, &more));
        assert_eq!(gate.networks(List::Deny).len(), LIST_MAX);
        assert_eq!(gate.rule_of(Some(more[0].address())), None);
        // It is there already.
        assert!(gate.add(List::Deny, &all[..2]));
        assert!(gate.add(List::Allow, &more));
        assert_eq!(gate.remove(List::Deny, &all[..2]), 2);
        assert!(gate.add(List::Deny, &more));
        let rule = gate.rule_of(Some(more[0].address()));
        assert_eq!(rule, Some(ListRule::Denied(more[0])));
    }

    #[test]
    fn readers_see_the_lists_before_or_after_a_change() {
        let gate = Gate::default();
        let (one, other) = (network("192.0.2.1"), network("192.0.2.2"));
        gate.add(List::Deny, &[one, other]);
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                for _ in 0..1_000 {
                    assert_eq!(gate.remove(List::Deny, &[one, other]), 2);
                    assert!(gate.add(List::Deny, &[one, other]));
                }
            });
            while !changing.is_finished() {
                let lists = gate.lists();
                let refused = [one, other].map(|it| lists.rule_of(Some(it.address())).is_some());
                assert_eq!(refused[0], refused[1]);
            }
        });
    }
}
