//! A link that modifies, drops, duplicates and injects bytes.

use arbitrary::Arbitrary;

/// Modification of a piece of data in transit.
#[derive(Arbitrary, Debug)]
pub(crate) enum Tampering {
    None,
    Flip { at: u16, bit: u8 },
    Cut { at: u16 },
    Drop,
    Twice,
    Swap,
    Insert { at: u16, bytes: Vec<u8> },
    Replace { bytes: Vec<u8> },
}

impl Tampering {
    /// Applies the modification to the last of `pieces`, the one that just arrived.
    pub(crate) fn apply(self, pieces: &mut Vec<Vec<u8>>) {
        let Some(last) = pieces.last_mut() else {
            return;
        };
        let place = |at: u16, end: usize| usize::from(at) % end.max(1);
        match self {
            Self::None => {}
            Self::Flip { at, bit } => {
                let at = place(at, last.len());
                if let Some(byte) = last.get_mut(at) {
                    *byte ^= 1 << (bit & 7);
                }
            }
            Self::Cut { at } => last.truncate(place(at, last.len())),
            Self::Drop => drop(pieces.pop()),
            Self::Twice => {
                let copy = last.clone();
                pieces.push(copy);
            }
            Self::Swap => {
                let end = pieces.len();
                if end > 1 {
                    pieces.swap(end - 2, end - 1);
                }
            }
            Self::Insert { at, bytes } => {
                let at = place(at, last.len() + 1);
                last.splice(at..at, bytes);
            }
            Self::Replace { bytes } => *last = bytes,
        }
    }
}
