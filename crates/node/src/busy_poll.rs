//! Whether an event loop polls its connections before it sleeps, see `docs/boundary.md`.

use std::time::{Duration, Instant};

/// Time that a sleeping core takes to wake, a virtual one included: an event that finds the loop asleep is
/// seen that much later than it came.
const WAKE: Duration = Duration::from_micros(50);

/// Prompt events in a row that make polling worth its time, so that eight messages pay for one poll in vain.
const PROMPT_MIN: u32 = 8;

/// How soon the connections of one event loop have had events of late.
#[derive(Debug, Default)]
pub(crate) struct BusyPoll {
    /// Longest that the loop may poll, as its connections have it.
    limit: Duration,
    /// Events in a row that came in time.
    prompt: u32,
    phase: Phase,
}

/// The state of the loop since its last event.
#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    /// No answer is expected soon.
    #[default]
    Idle,
    /// The event is being handled.
    Handling,
    /// It has been handled, and nothing was left to do from then on.
    Waiting(Instant),
}

impl BusyPoll {
    /// The loop has nothing left to do; returns how long it is to poll before it sleeps, if at all.
    pub(crate) fn before_sleep(&mut self, now: Instant) -> Option<Duration> {
        let since = match self.phase {
            Phase::Idle => return None,
            Phase::Handling => now,
            Phase::Waiting(since) => since,
        };
        self.phase = Phase::Waiting(since);
        // Something else may have woken the loop meanwhile: only the rest of the time is left.
        let left = self.limit.checked_sub(now.duration_since(since))?;
        (self.prompt == PROMPT_MIN).then_some(left)
    }

    /// The loop polled in vain.
    pub(crate) fn missed(&mut self) {
        *self = Self::default();
    }

    /// A connection has an event for JavaScript; the loop may poll for `limit` behind it. Zero is off.
    pub(crate) fn event(&mut self, now: Instant, limit: Duration) {
        if limit.is_zero() {
            *self = Self::default();
            return;
        }
        self.limit = limit;
        if let Phase::Waiting(since) = self.phase {
            self.prompt = if now.duration_since(since) <= limit + WAKE {
                PROMPT_MIN.min(self.prompt + 1)
            } else {
                0
            };
        }
        self.phase = Phase::Handling;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    /// Times out of `rounds` that a loop polls whose events come `gap` after it began to wait.
    fn polls(busy: &mut BusyPoll, now: &mut Instant, gap: Duration, rounds: usize) -> usize {
        let round = |_: &usize| {
            let poll = busy.before_sleep(*now);
            if poll.is_some_and(|limit| limit < gap) {
                busy.missed();
            }
            *now += gap;
            busy.event(*now, LIMIT);
            poll.is_some()
        };
        (0..rounds).filter(round).count()
    }

    fn begun() -> (BusyPoll, Instant) {
        let (mut busy, now) = (BusyPoll::default(), Instant::now());
        busy.event(now, LIMIT);
        (busy, now)
    }

    #[test]
    fn a_loop_polls_once_its_events_have_been_prompt_for_a_while() {
        let (mut busy, mut now) = begun();
        assert_eq!(polls(&mut busy, &mut now, LIMIT, 100), 92);
    }

    #[test]
    fn events_that_come_too_late_for_a_poll_have_one_of_nine_in_vain() {
        let (mut busy, mut now) = begun();
        let late = LIMIT + Duration::from_micros(1);
        assert_eq!(polls(&mut busy, &mut now, late, 90), 10);
    }

    #[test]
    fn one_poll_in_vain_ends_it() {
        let (mut busy, mut now) = begun();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        let slow = LIMIT + WAKE + Duration::from_micros(1);
        assert_eq!(polls(&mut busy, &mut now, slow, 20), 1);
    }

    #[test]
    fn a_loop_that_wakes_for_something_else_polls_for_the_rest_of_the_time() {
        let (mut busy, mut now) = begun();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        assert_eq!(busy.before_sleep(now), Some(LIMIT));
        let later = Duration::from_micros(20);
        assert_eq!(busy.before_sleep(now + later), Some(LIMIT - later));
        assert_eq!(busy.before_sleep(now + 2 * LIMIT), None);
    }

    #[test]
    fn a_loop_without_connections_does_not_poll() {
        assert_eq!(BusyPoll::default().before_sleep(Instant::now()), None);
    }

    #[test]
    fn a_limit_of_zero_is_off() {
        let (mut busy, mut now) = begun();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        for _ in 0..2 * PROMPT_MIN {
            busy.event(now, Duration::ZERO);
            assert_eq!(busy.before_sleep(now), None);
            now += Duration::from_micros(10);
        }
    }
}
