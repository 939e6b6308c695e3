//! The writing half of a stream on the wire: whether its end is out, and whether the remote has agreed to
//! the protocol. [`super::StreamState`] says what callers may do; this says what the wire still owes them.
//!
//! The end, by input. A dash changes nothing.
//!
//! | | CLOSE | FORGET | FIN_SENT | CUT |
//! |---|---|---|---|---|
//! | OPEN | WANTED | WITHHELD | - | CUT |
//! | WANTED | - | - | SENT, except while UNDECIDED | CUT |
//! | SENT | - | - | - | - |
//! | WITHHELD | - | - | - | CUT |
//! | CUT | - | - | - | - |
//!
//! The agreement, by input. The rest of the inputs change nothing about it.
//!
//! | | AWAIT | AGREED | CUT |
//! |---|---|---|---|
//! | AGREED | - | - | - |
//! | UNDECIDED | - | AGREED | UNMET |
//! | UNANSWERED | AWAITED | AGREED | UNMET |
//! | AWAITED | - | AGREED | UNMET |
//! | UNMET | - | - | - |
//!
//! An end that is WANTED is held back while the agreement is UNDECIDED; while it is UNANSWERED or AWAITED,
//! only for remotes that may lose it: see [`FinDue`]. SENT and AGREED together complete the half.

/// How far the end of the writing half has come on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinState {
    /// Nobody has asked for it.
    Open,
    /// It follows the last byte.
    Wanted,
    /// It is out.
    Sent,
    /// It is never sent, though bytes are: the stream was forgotten here without a word.
    Withheld,
    /// Neither it nor any byte is sent any more.
    Cut,
}

/// Whether the remote speaks the stream's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// It does, or there is nothing to agree on here.
    Agreed,
    /// It has several to choose from: no byte and no end of the caller's may pass the proposals.
    Undecided,
    /// It has not answered a single proposal, whose stream is usable meanwhile.
    Unanswered,
    /// As [`Agreement::Unanswered`], and the caller waits for the answer.
    Awaited,
    /// The half was cut before the remote agreed.
    Unmet,
}

/// What happens to the writing half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteInput {
    /// Its end was asked for.
    Close,
    /// The stream was forgotten: what was written is delivered, and no end.
    Forget,
    /// The end was sent.
    FinSent,
    /// The remote has agreed to a protocol.
    Agreed,
    /// The caller waits for the answer to the single proposal.
    Await,
    /// A reset, a failure or the loss of the connection: nothing more is sent.
    Cut,
}

/// When the end may follow the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinDue {
    /// At once.
    Now,
    /// Once the remote has answered, unless it is known to bear an end that comes before its handler listens.
    OnAnswer,
    /// Not as things stand: it is not wanted, or a choice of protocols is open.
    Not,
}

/// The state machine of one writing half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteHalf {
    fin: FinState,
    agreement: Agreement,
}

impl WriteHalf {
    /// An open half of a stream that begins with `agreement`.
    pub const fn new(agreement: Agreement) -> Self {
        let fin = FinState::Open;
        Self { fin, agreement }
    }

    /// How far its end has come.
    pub const fn fin(&self) -> FinState {
        self.fin
    }

    /// Whether the remote speaks the protocol.
    pub const fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// Whether bytes of the caller's may be queued behind the proposals.
    pub const fn takes_bytes(&self) -> bool {
        !matches!(self.agreement, Agreement::Undecided)
    }

    /// When the end may follow the last byte.
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

    /// The end is out, and the remote speaks the protocol of what came before it.
    pub const fn is_complete(&self) -> bool {
        matches!(
            (self.fin, self.agreement),
            (FinState::Sent, Agreement::Agreed)
        )
    }

    /// Takes note of what happened; anything that the present state rules out changes nothing.
    pub const fn apply(&mut self, input: WriteInput) {
        self.fin = match (input, self.fin) {
            (WriteInput::Close, FinState::Open) => FinState::Wanted,
            (WriteInput::Forget, FinState::Open) => FinState::Withheld,
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
