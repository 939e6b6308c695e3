//! Where the `yamux` crate may differ from our engine: the list of `docs/muxers.md` in code.

use std::collections::BTreeSet;

use crate::subject::{Local, Told};
use crate::wire::WINDOW;

/// What a script has done that the engines are known to see differently.
#[derive(Default, Debug)]
pub(crate) struct Tolerances {
    /// Streams whose remote sent data behind its end: ours resets them, the crate ignores the data.
    pub(crate) data_behind_the_end: BTreeSet<u32>,
    /// Streams that ended and were reset in one input, or before as much was read that the end could be
    /// told: the crate tells the reset alone, even where ours had ended its half too and takes the reset
    /// of a stream that is over for nothing.
    pub(crate) end_and_reset_at_once: BTreeSet<u32>,
    /// The crate is at its end: what ended streams in the same input went unseen.
    pub(crate) ends_unseen: bool,
    /// The input stopped within a data frame: ours hands out what has come, the crate nothing of it.
    pub(crate) cut_frame: Option<(u32, u64)>,
}

/// How a fault ends a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    Both,
    /// Flags nobody knows, stream 0, a ping of a stream: the crate lets them pass.
    OnlyOurs,
    /// Pongs that nobody asked for.
    OnlyTheCrate,
    Neither,
}

impl Tolerances {
    /// What the crate tells of `id` where ours tells `ours`; panics at a difference that is not known.
    pub(crate) fn compare(&self, id: u32, ours: &Local, theirs: &Local, remote_ended: bool) {
        if self.data_behind_the_end.contains(&id) {
            return;
        }
        // The crate tells no code.
        let plain = |reported: &Told| match reported {
            Told::Reset(_) => Told::Reset(0),
            reported => *reported,
        };
        let sequence = |local: &Local| -> Vec<Told> {
            let reported = local.reported.iter().map(plain);
            reported
                .filter(|reported| *reported != Told::Acked)
                .collect()
        };
        let (mut expected, mut found) = (sequence(ours), sequence(theirs));
        let held_back = theirs.unread >= WINDOW && !theirs.discards;
        let is_short = found.len() < expected.len();
        let overtaken = theirs.was_full || self.end_and_reset_at_once.contains(&id);
        if overtaken && found.ends_with(&[Told::Reset(0)]) {
            for reported in [&mut expected, &mut found] {
                reported.retain(|reported| !matches!(reported, Told::Finished | Told::Reset(_)));
                reported.push(Told::Reset(0));
            }
        }
        if is_short && held_back {
            expected.retain(|reported| *reported != Told::Finished);
        }
        if is_short && self.ends_unseen {
            expected.truncate(found.len());
        }
        assert_eq!(found, expected, "what is told of {id}");
        self.compare_acks(id, ours, theirs, remote_ended);
        self.compare_bytes(id, ours, theirs, held_back);
    }

    /// To the crate a stream whose remote half has ended is acknowledged.
    fn compare_acks(&self, id: u32, ours: &Local, theirs: &Local, remote_ended: bool) {
        let [here, there] = [ours, theirs].map(|local| local.reported.contains(&Told::Acked));
        let known = there || self.ends_unseen || theirs.is_reset();
        assert!(!here || known, "{id} is acknowledged");
        assert!(!there || here || remote_ended, "{id} is not acknowledged");
    }

    fn compare_bytes(&self, id: u32, ours: &Local, theirs: &Local, held_back: bool) {
        let cut = match self.cut_frame {
            Some((stream, bytes)) if stream == id => bytes,
            _ => 0,
        };
        let missing = ours.received.checked_sub(theirs.received);
        let missing = missing.expect("the crate tells no byte that ours does not");
        let is_known = missing == 0 || missing == cut || held_back;
        assert!(is_known, "{missing} bytes of {id}");
    }
}
