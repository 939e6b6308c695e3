//! Close frames (RFC 6455, section 7.4).

use crate::error::FrameError;

/// Orderly end.
pub(crate) const NORMAL: u16 = 1000;
/// The endpoint goes away: a server that stops, a page that is left.
const GOING_AWAY: u16 = 1001;
/// Stands for a close frame without a code; never sent.
const NO_STATUS: u16 = 1005;

/// The remote's close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its code; 1005 if it has none.
    pub code: u16,
    /// Its reason, at most 123 bytes: text of the remote.
    pub reason: Box<str>,
}

impl Close {
    /// Decodes the payload of a close frame.
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(Self {
                    code: NO_STATUS,
                    reason: Box::default(),
                }),
                _ => Err(FrameError::CloseLength),
            };
        };
        let code = u16::from_be_bytes(*code);
        // Registered by the RFC or with IANA, or left to libraries and applications; 1004 to 1006
        // and 1015 must not appear in a frame.
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(FrameError::CloseCode(code));
        }
        let reason = str::from_utf8(reason).map_err(|_| FrameError::CloseReason)?;
        Ok(Self {
            code,
            reason: reason.into(),
        })
    }

    /// Returns whether it is the orderly end of the stream: code 1000, 1001 or none. With any other
    /// code, what the remote has sent may be incomplete.
    pub const fn is_orderly(&self) -> bool {
        matches!(self.code, NORMAL | GOING_AWAY | NO_STATUS)
    }

    /// Returns the code to echo; `None` for a frame without one.
    pub(crate) const fn echo(&self) -> Option<u16> {
        match self.code {
            NO_STATUS => None,
            code => Some(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1000_1001_and_no_code_are_orderly() {
        let orderly: Vec<u16> = (0..=u16::MAX)
            .filter_map(|code| Close::decode(&code.to_be_bytes()).ok())
            .filter(Close::is_orderly)
            .map(|close| close.code)
            .collect();
        assert_eq!(orderly, [1000, 1001]);
        let none = Close::decode(&[]).unwrap();
        assert!(none.is_orderly());
        assert_eq!((none.code, none.echo()), (1005, None));
    }

    #[test]
    fn refuses_codes_that_must_not_be_sent_half_a_code_and_a_reason_that_is_not_text() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
            let refused = Err(FrameError::CloseCode(code));
            assert_eq!(Close::decode(&code.to_be_bytes()), refused);
        }
        assert_eq!(Close::decode(&[3]), Err(FrameError::CloseLength));
        let invalid = [0x03, 0xE8, 0xC3];
        assert_eq!(Close::decode(&invalid), Err(FrameError::CloseReason));
        let close = Close::decode(b"\x0F\xA0bye").unwrap();
        assert_eq!((close.code, &*close.reason), (4000, "bye"));
    }
}
