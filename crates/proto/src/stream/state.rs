//! The state of a stream: which calls it allows, and what each one makes of it.
//!
//! ```text
//! INIT ──negotiated──> OPEN ──read half ends──> CLOSE_READ ──┐
//!                     └───write half ends─> CLOSE_WRITE ──┴─> CLOSE_BOTH
//! any live state ──reset──> RESET      any live state ──failure──> ERROR
//! ```
//!
//! RESET and ERROR are terminal: no call leaves them and no frame follows them.

/// A stream's state; the numbers are those of the public `StreamState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// The muxer stream or its protocol is not negotiated.
    Init = 1,
    /// Both halves are open.
    Open = 2,
    /// The read half has ended, and that was reported.
    CloseRead = 3,
    /// The write half was closed here.
    CloseWrite = 4,
    /// Both halves have ended in good order.
    CloseBoth = 5,
    /// Reset by either side, or lost with its connection.
    Reset = 6,
    /// Failed for any other reason.
    Error = 7,
}

impl State {
    /// The state with this number.
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

/// What a caller wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Take received bytes.
    Read,
    /// Send bytes.
    Write,
    /// End the read half.
    CloseRead,
    /// End the write half.
    CloseWrite,
    /// End both halves after everything written.
    Close,
    /// End both halves at once.
    Reset,
}

/// Whether an operation may go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Proceed,
    /// It has nothing to do, and that is fine.
    NoOp,
    /// It may not.
    Refuse(Refusal),
}

/// Why an operation may not go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The remote ended its half and everything was read.
    EndOfStream,
    /// The half was closed here.
    Closed,
    /// The stream was reset.
    Reset,
    /// The stream failed.
    Failed,
}

/// What happens to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The muxer stream exists and its protocol is negotiated.
    Negotiated,
    /// A read reported the remote's end.
    EndReported,
    /// The read half was closed here.
    CloseRead,
    /// The write half was closed here.
    CloseWrite,
    /// Both halves were closed here.
    Close,
    /// A reset, of either side.
    Reset {
        /// Error code as on the wire.
        code: u32,
        /// The remote sent it.
        remote: bool,
    },
    /// A failure that is neither an end nor a reset.
    Fail {
        /// The caller's number for it.
        code: u16,
    },
}

/// Who ended the read half.
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
    /// A stream in `state`, which is [`State::Init`] or [`State::Open`].
    pub const fn new(state: State) -> Self {
        Self {
            state,
            read_end: None,
            reset: None,
            failure: None,
        }
    }

    /// The present state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Bytes may still be read, or the end of them reported.
    pub const fn is_read_open(&self) -> bool {
        matches!(self.state, State::Init | State::Open | State::CloseWrite)
    }

    /// Bytes may still be written.
    pub const fn is_write_open(&self) -> bool {
        matches!(self.state, State::Init | State::Open | State::CloseRead)
    }

    /// RESET or ERROR.
    pub const fn is_terminal(&self) -> bool {
        matches!(self.state, State::Reset | State::Error)
    }

    /// Neither half is open.
    pub const fn is_done(&self) -> bool {
        !self.is_read_open() && !self.is_write_open()
    }

    /// Code of the reset and whether the remote sent it.
    pub const fn reset(&self) -> Option<(u32, bool)> {
        self.reset
    }

    /// The caller's number of the failure.
    pub const fn failure(&self) -> Option<u16> {
        self.failure
    }

    /// Whether `operation` may go ahead now.
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

    /// Whether a caller may move the state to `next` by hand: one step of the picture above.
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

    /// Takes note of what happened; anything that the present state rules out changes nothing.
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
