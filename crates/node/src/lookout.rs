//! Whether an event loop looks out for its guests before it sleeps, see `docs/boundary.md`.

use std::time::{Duration, Instant};

/// What a look takes at most: longer than an answer from the same machine needs whose event loop sleeps,
/// and a tenth of the shortest timer.
const PATIENCE: Duration = Duration::from_micros(100);

/// What a sleeping core takes to wake, a virtual one's included. News that come to a loop that sleeps are
/// later by that.
const WAKE: Duration = Duration::from_micros(50);

/// Quick news in a row that make a look worth its time, so that one in vain costs 100 µs of eight messages.
const QUICK_MIN: u32 = 8;

/// How soon the guests of one event loop have had news, of late.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    /// Times in a row that news came in time.
    quick: u32,
    awaits: Awaits,
}

/// What the loop waits for since it had news.
#[derive(Debug, Default, Clone, Copy)]
enum Awaits {
    /// Nothing that is in a hurry.
    #[default]
    Nothing,
    /// An answer to what it is still at.
    Answer,
    /// An answer, with nothing else to do since then.
    Since(Instant),
}

impl Lookout {
    /// The loop has nothing left to do; tells how long to look out before it sleeps, if at all.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let since = match self.awaits {
            Awaits::Nothing => return None,
            Awaits::Answer => now,
            Awaits::Since(since) => since,
        };
        self.awaits = Awaits::Since(since);
        // What woke the loop meanwhile was not the answer: only the rest of the time is left.
        let left = PATIENCE.checked_sub(now.duration_since(since))?;
        (self.quick == QUICK_MIN).then_some(left)
    }

    /// It looked out, and there was nothing.
    pub(crate) fn in_vain(&mut self) {
        *self = Self::default();
    }

    /// A guest has news.
    pub(crate) fn news(&mut self, now: Instant) {
        if let Awaits::Since(since) = self.awaits {
            self.quick = if now.duration_since(since) <= PATIENCE + WAKE {
                QUICK_MIN.min(self.quick + 1)
            } else {
                0
            };
        }
        self.awaits = Awaits::Answer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times out of `rounds` that a loop looks out whose news come `gap` after it began to wait.
    fn looks(lookout: &mut Lookout, now: &mut Instant, gap: Duration, rounds: usize) -> usize {
        let round = |_: &usize| {
            let look = lookout.wait(*now);
            if look.is_some_and(|patience| patience < gap) {
                lookout.in_vain();
            }
            *now += gap;
            lookout.news(*now);
            look.is_some()
        };
        (0..rounds).filter(round).count()
    }

    #[test]
    fn a_loop_looks_out_once_its_news_have_been_quick_for_a_while() {
        let (mut lookout, mut now) = (Lookout::default(), Instant::now());
        lookout.news(now);
        assert_eq!(looks(&mut lookout, &mut now, PATIENCE, 100), 92);
    }

    #[test]
    fn news_that_come_too_late_for_a_look_have_one_of_nine_in_vain() {
        let (mut lookout, mut now) = (Lookout::default(), Instant::now());
        lookout.news(now);
        let late = PATIENCE + Duration::from_micros(1);
        assert_eq!(looks(&mut lookout, &mut now, late, 90), 10);
    }

    #[test]
    fn one_look_in_vain_ends_it() {
        let (mut lookout, mut now) = (Lookout::default(), Instant::now());
        lookout.news(now);
        looks(&mut lookout, &mut now, Duration::from_micros(10), 20);
        let slow = PATIENCE + WAKE + Duration::from_micros(1);
        assert_eq!(looks(&mut lookout, &mut now, slow, 20), 1);
    }

    #[test]
    fn a_loop_that_wakes_for_something_else_looks_out_for_the_rest_of_the_time() {
        let (mut lookout, mut now) = (Lookout::default(), Instant::now());
        lookout.news(now);
        looks(&mut lookout, &mut now, Duration::from_micros(10), 20);
        assert_eq!(lookout.wait(now), Some(PATIENCE));
        let later = now + Duration::from_micros(20);
        assert_eq!(
            lookout.wait(later),
            Some(PATIENCE - Duration::from_micros(20))
        );
        assert_eq!(lookout.wait(now + 2 * PATIENCE), None);
    }

    #[test]
    fn a_loop_without_guests_does_not_look_out() {
        assert_eq!(Lookout::default().wait(Instant::now()), None);
    }
}
