//! Questions about connections that are being set up, which JavaScript answers.
//!
//! A question ends with its answer, or when its connection is given up: there are no more of them than
//! connections that are being set up, which the limits of the transient scope bound.

use ferroswarm_secure::{PeerId, Security};
use multiaddr::Multiaddr;

use crate::command::ConnectError;
use crate::connection::Direction;
use crate::hub::{Hub, Ready};
use crate::node::Running;
use crate::pending::Pending;
use crate::transport::RawConnection;

/// A moment at which JavaScript may refuse a connection; the number is its bit in the mask of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// A remote has connected; nothing is known but addresses.
    Accept = 1,
    /// The remote is authenticated.
    Secured = 2,
    /// The muxer is negotiated, and nobody knows of the connection yet.
    Upgraded = 4,
}

/// What JavaScript is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The hook.
    pub hook: Hook,
    /// Request of the dial or the upgrade; 0 for a connection that a listener has accepted.
    pub request: u32,
    /// The listener that has accepted it; 0 for other connections.
    pub listener: u32,
    /// Which side has opened the connection.
    pub direction: Direction,
    /// Local address.
    pub local: Multiaddr,
    /// Address of the remote.
    pub remote: Multiaddr,
    /// The remote, once it is authenticated.
    pub peer: Option<PeerId>,
    /// The security protocol, of [`Hook::Upgraded`].
    pub security: Option<Security>,
    /// Protocol id of the muxer, of [`Hook::Upgraded`].
    pub muxer: Option<Box<str>>,
}

/// JavaScript's answer.
enum Answer {
    Allow,
    /// As [`Answer::Allow`]; what follows is this command's.
    Admit(Running),
    /// For this reason.
    Refuse(Box<str>),
}

/// Open questions of one node.
#[derive(Default)]
pub(crate) struct Questions {
    hooks: u32,
    pending: Pending<Question, Answer>,
}

impl Questions {
    pub(super) fn new(hooks: u32) -> Self {
        Self {
            hooks,
            pending: Pending::default(),
        }
    }

    const fn asks(&self, hook: Hook) -> bool {
        self.hooks & hook as u32 != 0
    }

    pub(super) fn take(&self) -> Vec<(u64, Question)> {
        self.pending.take()
    }

    /// Returns false if nobody waits for the answer any more.
    pub(super) fn answer(&self, ticket: u64, refusal: Option<Box<str>>) -> bool {
        let answer = refusal.map_or(Answer::Allow, Answer::Refuse);
        self.pending.answer(ticket, answer)
    }

    /// Allows the connection of [`Hook::Accept`] and passes the command to its upgrade. Without a
    /// connection that waits for the answer, the command ends.
    pub(crate) fn admit(&self, ticket: u64, command: Running) {
        self.pending.answer(ticket, Answer::Admit(command));
    }

    /// Numbers of questions that are not taken, and not answered.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.pending.counts()
    }
}

/// Asks the hooks about one connection.
pub(crate) struct Asker<'a> {
    pub(crate) questions: &'a Questions,
    pub(crate) hub: &'a Hub,
    /// Its node.
    pub(crate) node: u32,
    /// Request of its dial or upgrade; 0 if there is none.
    pub(crate) request: u32,
    /// The listener that has accepted it; 0 if there is none.
    pub(crate) listener: u32,
    pub(crate) direction: Direction,
    pub(crate) raw: &'a RawConnection,
}

impl Asker<'_> {
    /// Returns whether JavaScript answers a hook.
    pub(crate) const fn asks(&self, hook: Hook) -> bool {
        self.questions.asks(hook)
    }

    /// Asks whether an inbound connection may be upgraded; the dialer of others knows their address.
    /// Returns the command that the upgrade is to become, if JavaScript has made it one.
    ///
    /// # Errors
    /// [`ConnectError::Gated`].
    pub(crate) async fn accept(&self) -> Result<Option<Running>, ConnectError> {
        if self.direction == Direction::Outbound {
            return Ok(None);
        }
        self.ask(Hook::Accept, None, None, None).await
    }

    /// Asks about the peer of a secured connection.
    ///
    /// # Errors
    /// [`ConnectError::Gated`].
    pub(crate) async fn secured(&self, peer: PeerId) -> Result<(), ConnectError> {
        self.ask(Hook::Secured, Some(peer), None, None).await?;
        Ok(())
    }

    /// Asks about a connection that is ready to be announced.
    ///
    /// # Errors
    /// [`ConnectError::Gated`].
    pub(crate) async fn upgraded(
        &self,
        peer: PeerId,
        security: Option<Security>,
        muxer: Option<Box<str>>,
    ) -> Result<(), ConnectError> {
        self.ask(Hook::Upgraded, Some(peer), security, muxer)
            .await?;
        Ok(())
    }

    async fn ask(
        &self,
        hook: Hook,
        peer: Option<PeerId>,
        security: Option<Security>,
        muxer: Option<Box<str>>,
    ) -> Result<Option<Running>, ConnectError> {
        if !self.asks(hook) {
            return Ok(None);
        }
        let question = Question {
            hook,
            request: self.request,
            listener: self.listener,
            direction: self.direction,
            local: self.raw.local.clone(),
            remote: self.raw.remote.clone(),
            peer,
            security,
            muxer,
        };
        let announce = || {
            self.hub.queue(Ready::GateQuestions { node: self.node });
            self.hub.announce();
        };
        match self.questions.pending.ask(question, announce).await {
            Some(Answer::Allow) => Ok(None),
            Some(Answer::Admit(command)) => Ok(Some(command)),
            Some(Answer::Refuse(reason)) => Err(ConnectError::Gated(reason)),
            // Every question that is waited for is answered.
            None => Err(ConnectError::Internal),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::live::Bell;
    use crate::sync::Arc;
    use crate::transport::memory;

    const ALL: u32 = 7;

    fn asker<'a>(
        questions: &'a Questions,
        hub: &'a Hub,
        raw: &'a RawConnection,
        direction: Direction,
    ) -> Asker<'a> {
        Asker {
            questions,
            hub,
            node: 3,
            request: 0,
            listener: 5,
            direction,
            raw,
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn questions_are_announced_once_and_answered_by_their_tickets() {
        let hub = Hub::new(Box::new(Bell(Arc::default())));
        let (raw, _remote) = memory::connected(16);
        let questions = Questions::new(ALL);
        let asker = asker(&questions, &hub, &raw, Direction::Inbound);
        let mut first = pin!(asker.accept());
        let mut second = pin!(asker.accept());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert!(matches!(hub.take(), Some(Ready::GateQuestions { node: 3 })));
        assert!(hub.take().is_none());
        let taken = questions.take();
        let tickets: Vec<u64> = taken.iter().map(|(ticket, _)| *ticket).collect();
        assert_eq!(tickets, [0, 1]);
        assert_eq!(taken[0].1.remote, raw.remote);
        assert_eq!(taken[0].1.listener, 5);
        assert!(questions.answer(1, Some("not today".into())));
        assert!(questions.answer(0, None));
        assert!(matches!(poll(first), Poll::Ready(Ok(None))));
        match poll(second) {
            Poll::Ready(Err(ConnectError::Gated(reason))) => assert_eq!(&*reason, "not today"),
            _ => panic!("expected a refusal"),
        }
        assert!(!questions.answer(0, None));
        assert_eq!(questions.counts(), (0, 0));
    }

    #[test]
    fn a_connection_that_is_given_up_leaves_no_question() {
        let hub = Hub::new(Box::new(Bell(Arc::default())));
        let (raw, _remote) = memory::connected(16);
        let questions = Questions::new(ALL);
        let asker = asker(&questions, &hub, &raw, Direction::Inbound);
        let mut waiting = Box::pin(asker.accept());
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(questions.counts(), (1, 1));
        drop(waiting);
        assert_eq!(questions.counts(), (0, 0));
        assert_eq!(questions.take().len(), 0);
        let mut taken = Box::pin(asker.accept());
        assert!(poll(taken.as_mut()).is_pending());
        let (ticket, _) = questions.take().remove(0);
        drop(taken);
        assert!(!questions.answer(ticket, None));
        assert_eq!(questions.counts(), (0, 0));
    }

    #[test]
    fn nothing_is_asked_for_a_hook_that_javascript_lacks_or_for_the_accept_of_a_dial() {
        let hub = Hub::new(Box::new(Bell(Arc::default())));
        let (raw, _remote) = memory::connected(16);
        let questions = Questions::new(Hook::Secured as u32);
        let inbound = asker(&questions, &hub, &raw, Direction::Inbound);
        assert!(matches!(
            poll(pin!(inbound.accept())),
            Poll::Ready(Ok(None))
        ));
        let questions = Questions::new(ALL);
        let outbound = asker(&questions, &hub, &raw, Direction::Outbound);
        assert!(matches!(
            poll(pin!(outbound.accept())),
            Poll::Ready(Ok(None))
        ));
        assert!(hub.take().is_none());
    }
}
