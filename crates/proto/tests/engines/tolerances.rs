//! Permitted differences between the `yamux` crate and our engine: the list of `docs/muxers.md` in
//! code.

use std::collections::BTreeSet;

use crate::subject::{Local, StreamEvent};
use crate::wire::WINDOW;

/// Actions of a script that the engines are known to treat differently.
#[derive(Default, Debug)]
pub(crate) struct Tolerances {
    /// Streams whose remote sent data after its FIN: our engine resets them, the crate ignores the
    /// data.
    pub(crate) data_after_fin: BTreeSet<u32>,
    /// Streams that were finished and reset in one input, or reset before the end could be reported
    /// for lack of reading: the crate reports only the reset, even where our engine had finished
    /// its half too and ignores the reset of a stream that is over.
    pub(crate) fin_and_reset_together: BTreeSet<u32>,
    /// The crate's session has ended: it missed the ends of streams in the same input.
    pub(crate) ends_missed: bool,
    /// The input stopped within a data frame: our engine hands out the part that arrived, the crate
    /// none of it.
    pub(crate) cut_frame: Option<(u32, u64)>,
}

/// Engines whose connection a violation ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    Both,
    /// Unknown flags, stream 0, a ping with a stream id: the crate ignores them.
    OnlyOurs,
    /// Unsolicited pongs.
    OnlyTheCrate,
    Neither,
}

impl Tolerances {
    /// Compares the events of `id` from the crate with ours; panics at an unknown difference.
    pub(crate) fn compare(&self, id: u32, ours: &Local, theirs: &Local, remote_ended: bool) {
        if self.data_after_fin.contains(&id) {
            return;
        }
        // The crate reports no code.
        let plain = |reported: &StreamEvent| match reported {
            StreamEvent::Reset(_) => StreamEvent::Reset(0),
            reported => *reported,
        };
        let sequence = |local: &Local| -> Vec<StreamEvent> {
            let reported = local.reported.iter().map(plain);
            reported
                .filter(|reported| *reported != StreamEvent::Acked)
                .collect()
        };
        let (mut expected, mut found) = (sequence(ours), sequence(theirs));
        let held_back = theirs.unread >= WINDOW && !theirs.discards;
        let is_short = found.len() < expected.len();
        let overtaken = theirs.was_full || self.fin_and_reset_together.contains(&id);
        if overtaken && found.ends_with(&[StreamEvent::Reset(0)]) {
            for reported in [&mut expected, &mut found] {
                reported.retain(|reported| {
                    !matches!(reported, StreamEvent::Finished | StreamEvent::Reset(_))
                });
                reported.push(StreamEvent::Reset(0));
            }
        }
        if is_short && held_back {
            expected.retain(|reported| *reported != StreamEvent::Finished);
        }
        if is_short && self.ends_missed {
            expected.truncate(found.len());
        }
        assert_eq!(found, expected, "events of {id}");
        self.compare_acks(id, ours, theirs, remote_ended);
        self.compare_bytes(id, ours, theirs, held_back);
    }

    /// The crate treats a stream whose remote half has ended as acknowledged.
    fn compare_acks(&self, id: u32, ours: &Local, theirs: &Local, remote_ended: bool) {
        let [here, there] =
            [ours, theirs].map(|local| local.reported.contains(&StreamEvent::Acked));
        let known = there || self.ends_missed || theirs.is_reset();
        assert!(!here || known, "{id} is acknowledged");
        assert!(!there || here || remote_ended, "{id} is not acknowledged");
    }

    fn compare_bytes(&self, id: u32, ours: &Local, theirs: &Local, held_back: bool) {
        let cut = match self.cut_frame {
            Some((stream, bytes)) if stream == id => bytes,
            _ => 0,
        };
        let missing = ours.received.checked_sub(theirs.received);
        let missing = missing.expect("the crate reports no byte that ours does not");
        let is_known = missing == 0 || missing == cut || held_back;
        assert!(is_known, "{missing} bytes of {id}");
    }
}
