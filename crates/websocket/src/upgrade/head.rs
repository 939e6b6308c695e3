//! The head of an HTTP message: its first line and headers, up to an empty line.

use super::HEAD_BYTES_MAX;

/// Decides when a growing input is worth parsing.
///
/// A remote may send byte by byte. Parsing every time would take time in proportion to the square
/// of the length; so the input is parsed once its end has arrived, and until then each time it has
/// doubled, which detects early what is not HTTP.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    scanned: usize,
    parsed: usize,
}

impl HeadScan {
    /// Returns whether to parse `input`, which starts with everything that was passed before.
    ///
    /// An empty line counts as the end: the caller refuses one at the start, which a parser would
    /// skip each time.
    pub(super) fn is_due(&mut self, input: &[u8]) -> bool {
        let limited = &input[..input.len().min(HEAD_BYTES_MAX)];
        // An end may be cut by the previous input's end.
        let fresh = &limited[self.scanned.saturating_sub(3).min(limited.len())..];
        self.scanned = limited.len();
        let has_end = fresh.windows(2).any(|pair| pair == b"\n\n")
            || fresh.windows(3).any(|bytes| bytes == b"\n\r\n");
        let is_due = has_end || limited.len() == HEAD_BYTES_MAX || limited.len() >= 2 * self.parsed;
        if is_due {
            self.parsed = limited.len();
        }
        is_due
    }
}
