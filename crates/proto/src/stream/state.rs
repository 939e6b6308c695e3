//! Stream states, the operations each allows, and the transitions between them.
//!
//! ```text
//! INIT ──negotiated──> OPEN ──read half ends──> CLOSE_READ ──┐
//!                     └───write half ends─> CLOSE_WRITE ──┴─> CLOSE_BOTH
//! any live state ──reset──> RESET      any live state ──failure──> ERROR
//! ```
//!
//! RESET and ERROR are terminal: no call leaves them and no frame follows them.

/// State of a stream; discriminants match the public `StreamState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// The muxer stream is not open or its protocol not negotiated.
    Init = 1,
    /// Both halves are open.
    Open = 2,
    /// The read half has ended, which was reported, or was closed locally.
    CloseRead = 3,
    /// The write half was closed locally.
    CloseWrite = 4,
    /// Both halves ended gracefully.
    CloseBoth = 5,
    /// Reset by either side, or by loss of the connection.
    Reset = 6,
    /// Failed for any other reason.
    Error = 7,
}

impl State {
    /// Returns the state with the given discriminant.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Init,
            2 => Self::Open,
            3 => Self::CloseRead,
            4 => Self::CloseWrite,
            5 => Self::CloseBoth,
            6 => Self::Reset,
            7 => Self::Error,
            _ => return None,
        })
    }
}

/// An operation requested by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read received bytes.
    Read,
    /// Write bytes.
    Write,
    /// End the read half.
    CloseRead,
    /// End the write half.
    CloseWrite,
    /// End both halves after all written bytes.
    Close,
    /// End both halves immediately.
    Reset,
}

/// Result of checking an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Proceed,
    /// Succeeds without effect.
    NoOp,
    /// Refused.
    Refuse(Refusal),
}

/// Reason for refusing an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The remote ended its half and everything was read.
    EndOfStream,
    /// The half was closed locally.
    Closed,
    /// The stream was reset.
    Reset,
    /// The stream failed.
    Failed,
}

/// An event that may change the state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The muxer stream is open and its protocol negotiated.
    Negotiated,
    /// A read reported the end of the remote's half.
    EndReported,
    /// The read half was closed locally.
    CloseRead,
    /// The write half was closed locally.
    CloseWrite,
    /// Both halves were closed locally.
    Close,
    /// A reset by either side.
    Reset {
        /// Error code on the wire.
        code: u32,
        /// Whether the remote sent it.
        remote: bool,
    },
    /// A failure other than an end or a reset.
    Fail {
        /// The caller's error code.
        code: u16,
    },
}

/// The side that ended the read half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadEnd {
    Remote,
    Local,
}

/// The state machine of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    state: State,
    read_end: Option<ReadEnd>,
    reset: Option<(u32, bool)>,
    failure: Option<u16>,
}

impl StreamState {
    /// Creates a stream in `state`, which is [`State::Init`] or [`State::Open`].
    pub const fn new(state: State) -> Self {
        Self {
            state,
            read_end: None,
            reset: None,
            failure: None,
        }
    }

    /// Returns the current state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns whether bytes may still be read, or their end reported.
    pub const fn is_read_open(&self) -> bool {
        matches!(self.state, State::Init | State::Open | State::CloseWrite)
    }

    /// Returns whether bytes may still be written.
    pub const fn is_write_open(&self) -> bool {
        matches!(self.state, State::Init | State::Open | State::CloseRead)
    }

    /// Returns whether the state is RESET or ERROR.
    pub const fn is_terminal(&self) -> bool {
        matches!(self.state, State::Reset | State::Error)
    }

    /// Returns whether neither half is open.
    pub const fn is_done(&self) -> bool {
        !self.is_read_open() && !self.is_write_open()
    }

    /// Returns the code of the reset and whether the remote sent it.
    pub const fn reset(&self) -> Option<(u32, bool)> {
        self.reset
    }

    /// Returns the caller's error code of the failure.
    pub const fn failure(&self) -> Option<u16> {
        self.failure
    }

    /// Returns whether `operation` is allowed now.
    pub const fn check(&self, operation: Operation) -> Verdict {
        match self.state {
            State::Reset => Self::check_terminal(operation, Refusal::Reset),
            State::Error => Self::check_terminal(operation, Refusal::Failed),
            State::Init | State::Open | State::CloseRead | State::CloseWrite | State::CloseBoth => {
                self.check_live(operation)
            }
        }
    }

    const fn check_terminal(operation: Operation, refusal: Refusal) -> Verdict {
        match operation {
            Operation::Read | Operation::Write | Operation::CloseRead | Operation::CloseWrite => {
                Verdict::Refuse(refusal)
            }
            Operation::Close | Operation::Reset => Verdict::NoOp,
        }
    }

    const fn check_live(&self, operation: Operation) -> Verdict {
        match operation {
            Operation::Read if !self.is_read_open() => Verdict::Refuse(match self.read_end {
                Some(ReadEnd::Remote) => Refusal::EndOfStream,
                Some(ReadEnd::Local) | None => Refusal::Closed,
            }),
            Operation::Write if !self.is_write_open() => Verdict::Refuse(Refusal::Closed),
            Operation::CloseRead if !self.is_read_open() => Verdict::NoOp,
            Operation::CloseWrite if !self.is_write_open() => Verdict::NoOp,
            Operation::Close | Operation::Reset if self.is_done() => Verdict::NoOp,
            Operation::Read
            | Operation::Write
            | Operation::CloseRead
            | Operation::CloseWrite
            | Operation::Close
            | Operation::Reset => Verdict::Proceed,
        }
    }

    /// Returns whether a caller may set the state to `next`: one transition of the diagram above.
    pub const fn can_move(&self, next: State) -> bool {
        match next {
            State::Init => false,
            State::Open => matches!(self.state, State::Init),
            State::CloseRead => matches!(self.state, State::Open),
            State::CloseWrite => matches!(self.state, State::Open),
            State::CloseBoth => matches!(self.state, State::CloseRead | State::CloseWrite),
            State::Reset | State::Error => !self.is_done(),
        }
    }

    /// Applies `input`; inputs that the current state rules out have no effect.
    pub const fn apply(&mut self, input: Input) {
        match input {
            Input::Negotiated => {
                if matches!(self.state, State::Init) {
                    self.state = State::Open;
                }
            }
            Input::EndReported => self.end_read(ReadEnd::Remote),
            Input::CloseRead => self.end_read(ReadEnd::Local),
            Input::CloseWrite => self.end_write(),
            Input::Close => {
                self.end_read(ReadEnd::Local);
                self.end_write();
            }
            Input::Reset { code, remote } => {
                if !self.is_done() {
                    self.state = State::Reset;
                    self.reset = Some((code, remote));
                }
            }
            Input::Fail { code } => {
                if !self.is_done() {
                    self.state = State::Error;
                    self.failure = Some(code);
                }
            }
        }
    }

    const fn end_read(&mut self, by: ReadEnd) {
        if !self.is_read_open() {
            return;
        }
        self.read_end = Some(by);
        self.state = match self.state {
            State::CloseWrite => State::CloseBoth,
            _ => State::CloseRead,
        };
    }

    const fn end_write(&mut self) {
        if !self.is_write_open() {
            return;
        }
        self.state = match self.state {
            State::CloseRead => State::CloseBoth,
            _ => State::CloseWrite,
        };
    }
}

#[cfg(test)]
mod tests;
