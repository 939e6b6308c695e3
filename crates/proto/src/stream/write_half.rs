//! The write half of a stream on the wire: whether its FIN was sent, and whether the remote has
//! agreed to the protocol. [`super::StreamState`] covers the caller's view, this module the wire's.
//!
//! Transitions of the FIN, by input. A dash means no change.
//!
//! | | CLOSE | ABANDON | FIN_SENT | CUT |
//! |---|---|---|---|---|
//! | OPEN | WANTED | WITHHELD | - | CUT |
//! | WANTED | - | - | SENT, except while UNDECIDED | CUT |
//! | SENT | - | - | - | - |
//! | WITHHELD | - | - | - | CUT |
//! | CUT | - | - | - | - |
//!
//! Transitions of the agreement, by input. Other inputs do not change it.
//!
//! | | AWAIT | AGREED | CUT |
//! |---|---|---|---|
//! | AGREED | - | - | - |
//! | UNDECIDED | - | AGREED | UNMET |
//! | UNANSWERED | AWAITED | AGREED | UNMET |
//! | AWAITED | - | AGREED | UNMET |
//! | UNMET | - | - | - |
//!
//! A WANTED FIN is held back while the agreement is UNDECIDED; while it is UNANSWERED or AWAITED,
//! it is held back only for remotes that may lose it: see [`FinDue`]. SENT and AGREED together
//! complete the half.

/// State of the FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinState {
    /// Not requested.
    Open,
    /// Requested; it follows the last byte.
    Wanted,
    /// Sent.
    Sent,
    /// Never sent, though pending bytes are: the stream was abandoned locally.
    Withheld,
    /// Never sent, and no more bytes either.
    Cut,
}

/// State of the agreement on the stream's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// Agreed, or nothing to negotiate.
    Agreed,
    /// Several protocols are proposed: neither data nor FIN may be sent before the choice.
    Undecided,
    /// A single proposal is unanswered; the stream is usable meanwhile.
    Unanswered,
    /// Like [`Agreement::Unanswered`], with the caller waiting for the answer.
    Awaited,
    /// The half was cut before the remote agreed.
    Unmet,
}

/// An event of the write half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteInput {
    /// The caller closed the half.
    Close,
    /// The stream was abandoned: pending bytes are delivered, but no FIN.
    Abandon,
    /// The FIN was sent.
    FinSent,
    /// The remote has agreed to a protocol.
    Agreed,
    /// The caller waits for the answer to the single proposal.
    Await,
    /// Reset, failure or loss of the connection: nothing more is sent.
    Cut,
}

/// When the FIN may follow the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinDue {
    /// Immediately.
    Now,
    /// Once the remote has answered, unless it is known to tolerate a FIN that arrives before its
    /// handler is attached.
    OnAnswer,
    /// Not in the current state: it is not requested, or the choice of protocols is pending.
    Not,
}

/// The state machine of one write half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteHalf {
    fin: FinState,
    agreement: Agreement,
}

impl WriteHalf {
    /// Creates an open half with the initial `agreement`.
    pub const fn new(agreement: Agreement) -> Self {
        let fin = FinState::Open;
        Self { fin, agreement }
    }

    /// Returns the state of the FIN.
    pub const fn fin(&self) -> FinState {
        self.fin
    }

    /// Returns the state of the agreement.
    pub const fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// Returns whether the caller's bytes may be queued behind the proposals.
    pub const fn takes_bytes(&self) -> bool {
        !matches!(self.agreement, Agreement::Undecided)
    }

    /// Returns when the FIN may follow the last byte.
    pub const fn fin_due(&self) -> FinDue {
        match (self.fin, self.agreement) {
            (FinState::Wanted, Agreement::Agreed) => FinDue::Now,
            (FinState::Wanted, Agreement::Unanswered | Agreement::Awaited) => FinDue::OnAnswer,
            (FinState::Wanted, Agreement::Undecided | Agreement::Unmet)
            | (FinState::Open | FinState::Sent | FinState::Withheld | FinState::Cut, _) => {
                FinDue::Not
            }
        }
    }

    /// Returns whether the FIN was sent and the remote has agreed to the protocol.
    pub const fn is_complete(&self) -> bool {
        matches!(
            (self.fin, self.agreement),
            (FinState::Sent, Agreement::Agreed)
        )
    }

    /// Applies `input`; inputs that the current state rules out have no effect.
    pub const fn apply(&mut self, input: WriteInput) {
        self.fin = match (input, self.fin) {
            (WriteInput::Close, FinState::Open) => FinState::Wanted,
            (WriteInput::Abandon, FinState::Open) => FinState::Withheld,
            (WriteInput::FinSent, FinState::Wanted) if self.takes_bytes() => FinState::Sent,
            (WriteInput::Cut, FinState::Open | FinState::Wanted | FinState::Withheld) => {
                FinState::Cut
            }
            (_, fin) => fin,
        };
        self.agreement = match (input, self.agreement) {
            (WriteInput::Await, Agreement::Unanswered) => Agreement::Awaited,
            (
                WriteInput::Agreed,
                Agreement::Undecided | Agreement::Unanswered | Agreement::Awaited,
            ) => Agreement::Agreed,
            (
                WriteInput::Cut,
                Agreement::Undecided | Agreement::Unanswered | Agreement::Awaited,
            ) => Agreement::Unmet,
            (_, agreement) => agreement,
        };
    }
}

#[cfg(test)]
mod tests;
