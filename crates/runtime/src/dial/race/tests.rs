use std::future::{pending, ready};

use super::*;
use crate::sync::Mutex;

/// Behaviour of an attempt, with times in milliseconds from its start.
#[derive(Debug, Clone, Copy)]
enum Fate {
    WinsAfter(u64),
    FailsAfter(u64),
    Hangs,
    /// Connects after so long, and is upgraded or fails at this time.
    Connects(u64, &'static Self),
}

use Fate::{Connects, FailsAfter, Hangs, WinsAfter};

/// An observed event, with times in milliseconds from the start of the race.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Began(usize, u128),
    Abandoned(usize),
    Failed(usize, u128),
    Won(usize, u128),
    Over(u128),
}

use Event::{Abandoned, Began, Failed, Over, Won};

const HOLD: Duration = ms(250);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Records that an attempt was dropped before its end.
struct Guard {
    index: usize,
    events: Option<Arc<Mutex<Vec<Event>>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(events) = self.events.take() {
            events.lock().push(Abandoned(self.index));
        }
    }
}

/// Delay, timeout and fate of an attempt.
type Entry = (u64, u64, Fate);

fn plan_of(entries: &[Entry]) -> Vec<PlannedAttempt> {
    let planned = |&(delay, timeout, _): &Entry| PlannedAttempt {
        address: "/ip4/192.0.2.1/tcp/1".parse().expect("an address"),
        peer: None,
        host: None,
        delay: ms(delay),
        timeout: ms(timeout),
        hold: HOLD,
    };
    entries.iter().map(planned).collect()
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Races until an attempt wins, all have failed or `limit` has passed; returns the events.
fn race_for(parallel: usize, entries: &[Entry], limit: Duration) -> (Vec<Event>, Arc<Attempts>) {
    let plan = plan_of(entries);
    let events = Arc::new(Mutex::new(Vec::new()));
    let attempts = Arc::new(Attempts::default());
    let runtime = paused_runtime();
    runtime.block_on(async {
        let began = Instant::now();
        let now = || began.elapsed().as_millis();
        let connect = |index, progress| {
            events.lock().push(Began(index, now()));
            attempt(index, entries[index].2, progress, Arc::clone(&events))
        };
        let mut race = Race::new(&plan, Bounds::of_dial(parallel), &attempts, connect);
        let run = async {
            loop {
                let event = match race.next().await {
                    Some(Ok(index)) => Won(index, now()),
                    Some(Err(attempt)) => {
                        let index = attempt.index;
                        attempts.fail(attempt);
                        Failed(index, now())
                    }
                    None => Over(now()),
                };
                let goes_on = matches!(event, Failed(..));
                events.lock().push(event);
                if !goes_on {
                    return;
                }
            }
        };
        drop(timeout(limit, run).await);
        drop(race);
        // Aborted tasks are dropped when the runtime next polls them.
        task::yield_now().await;
    });
    let events = std::mem::take(&mut *events.lock());
    (events, attempts)
}

async fn attempt(
    index: usize,
    fate: Fate,
    progress: Arc<AttemptProgress>,
    events: Arc<Mutex<Vec<Event>>>,
) -> Result<usize, ConnectError> {
    let mut guard = Guard {
        index,
        events: Some(events),
    };
    let began = Instant::now();
    let mut fate = fate;
    if let Connects(after, end) = fate {
        tokio::time::sleep(ms(after)).await;
        progress.connected.set(Instant::now()).expect("once");
        fate = *end;
    }
    let (after, result) = match fate {
        WinsAfter(after) => (after, Ok(index)),
        FailsAfter(after) => (after, Err(ConnectError::Ended)),
        Hangs | Connects(..) => pending().await,
    };
    sleep_until(began + ms(after)).await;
    guard.events = None;
    result
}

/// Returns the events of a race that is not cancelled.
fn race(parallel: usize, entries: &[Entry]) -> Vec<Event> {
    race_for(parallel, entries, Duration::from_secs(3_600)).0
}

#[test]
fn attempts_start_in_order_after_their_delays_and_the_first_to_succeed_wins() {
    let events = race(
        8,
        &[
            (0, 10_000, Hangs),
            (250, 10_000, WinsAfter(300)),
            (500, 10_000, Hangs),
            (750, 10_000, Hangs),
        ],
    );
    let [began @ .., one, other] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        began,
        [Began(0, 0), Began(1, 250), Began(2, 500), Won(1, 550)]
    );
    let mut abandoned = [one, other];
    abandoned.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(abandoned, [&Abandoned(0), &Abandoned(2)]);
}

#[test]
fn a_failed_attempt_starts_the_next_at_once_and_brings_the_others_forward() {
    let events = race(
        8,
        &[
            (0, 10_000, FailsAfter(10)),
            (250, 10_000, Hangs),
            (500, 10_000, WinsAfter(5)),
        ],
    );
    let expected = [
        Began(0, 0),
        Failed(0, 10),
        Began(1, 10),
        Began(2, 260),
        Won(2, 265),
        Abandoned(1),
    ];
    assert_eq!(events, expected);
}

#[test]
fn consecutive_failures_do_not_wait_for_an_attempt_that_hangs() {
    let events = race(
        8,
        &[
            (0, 10_000, Hangs),
            (250, 10_000, FailsAfter(1)),
            (500, 10_000, FailsAfter(1)),
            (750, 10_000, WinsAfter(1)),
        ],
    );
    let expected = [
        Began(0, 0),
        Began(1, 250),
        Failed(1, 251),
        Began(2, 251),
        Failed(2, 252),
        Began(3, 252),
        Won(3, 253),
        Abandoned(0),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_failure_with_later_attempts_in_progress_starts_nothing_early() {
    let events = race(
        8,
        &[
            (0, 10_000, FailsAfter(300)),
            (250, 10_000, Hangs),
            (500, 10_000, WinsAfter(0)),
        ],
    );
    let expected = [
        Began(0, 0),
        Began(1, 250),
        Failed(0, 300),
        Began(2, 500),
        Won(2, 500),
        Abandoned(1),
    ];
    assert_eq!(events, expected);
}

// go 21
#[test]
fn an_attempt_that_has_just_connected_has_time_for_its_upgrade_before_others_start() {
    let events = race(
        8,
        &[
            (0, 10_000, Connects(100, &WinsAfter(340))),
            (250, 10_000, Hangs),
        ],
    );
    assert_eq!(events, [Began(0, 0), Won(0, 340)]);
}

#[test]
fn an_upgrade_that_takes_longer_holds_up_nothing_and_its_failure_starts_the_next() {
    let late = race(
        8,
        &[
            (0, 10_000, Connects(100, &Hangs)),
            (250, 10_000, FailsAfter(10)),
            (500, 10_000, WinsAfter(0)),
        ],
    );
    let expected = [
        Began(0, 0),
        Began(1, 350),
        Failed(1, 360),
        Began(2, 360),
        Won(2, 360),
        Abandoned(0),
    ];
    assert_eq!(late, expected);
    let failing = race(
        8,
        &[
            (0, 10_000, Connects(100, &FailsAfter(120))),
            (250, 10_000, WinsAfter(5)),
        ],
    );
    let expected = [Began(0, 0), Failed(0, 120), Began(1, 120), Won(1, 125)];
    assert_eq!(failing, expected);
}

#[test]
fn a_failure_starts_nothing_while_another_attempt_has_time_for_its_upgrade() {
    let events = race(
        8,
        &[
            (0, 10_000, Connects(200, &Hangs)),
            (150, 10_000, FailsAfter(100)),
            (500, 10_000, WinsAfter(0)),
        ],
    );
    let expected = [
        Began(0, 0),
        Began(1, 150),
        Failed(1, 250),
        Began(2, 450),
        Won(2, 450),
        Abandoned(0),
    ];
    assert_eq!(events, expected);
}

#[test]
fn concurrent_attempts_are_limited() {
    let events = race(
        2,
        &[
            (0, 10_000, FailsAfter(400)),
            (0, 10_000, FailsAfter(700)),
            (0, 10_000, FailsAfter(100)),
        ],
    );
    let expected = [
        Began(0, 0),
        Began(1, 0),
        Failed(0, 400),
        Began(2, 400),
        Failed(2, 500),
        Failed(1, 700),
        Over(700),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_limit_of_zero_means_one_attempt_at_a_time() {
    let events = race(0, &[(0, 1_000, FailsAfter(1)), (0, 1_000, FailsAfter(1))]);
    let expected = [
        Began(0, 0),
        Failed(0, 1),
        Began(1, 1),
        Failed(1, 2),
        Over(2),
    ];
    assert_eq!(events, expected);
}

#[test]
fn each_attempt_times_out_from_its_own_start() {
    let (events, attempts) = race_for(
        8,
        &[(0, 1_000, Hangs), (250, 500, Hangs)],
        Duration::from_secs(60),
    );
    let expected = [
        Began(0, 0),
        Began(1, 250),
        Abandoned(1),
        Failed(1, 750),
        Abandoned(0),
        Failed(0, 1_000),
        Over(1_000),
    ];
    assert_eq!(events, expected);
    let failed = attempts.take().failed;
    let facts = failed.iter().map(|attempt| {
        assert!(matches!(attempt.error, ConnectError::Timeout));
        (attempt.index, attempt.elapsed.as_millis())
    });
    assert_eq!(facts.collect::<Vec<_>>(), [(1, 500), (0, 1_000)]);
}

#[test]
fn a_first_attempt_waits_for_its_delay_too() {
    let events = race(8, &[(40, 10_000, WinsAfter(2))]);
    assert_eq!(events, [Began(0, 40), Won(0, 42)]);
    assert_eq!(race(8, &[]), [Over(0)]);
}

#[test]
fn a_cancelled_race_abandons_its_attempts_and_starts_no_more() {
    let (events, attempts) = race_for(
        8,
        &[
            (0, 10_000, FailsAfter(5)),
            (100, 10_000, Hangs),
            (2_000, 10_000, Hangs),
        ],
        ms(1_000),
    );
    let expected = [Began(0, 0), Failed(0, 5), Began(1, 5), Abandoned(1)];
    assert_eq!(events, expected);
    let under_way: Vec<_> = attempts
        .take()
        .under_way
        .iter()
        .map(|it| it.index)
        .collect();
    assert_eq!(under_way, [1]);
}

#[test]
fn attempts_in_progress_show_their_stages() {
    let plan = plan_of(&[(0, 1_000, Hangs), (0, 1_000, Hangs)]);
    let attempts = Arc::new(Attempts::default());
    let runtime = paused_runtime();
    runtime.block_on(async {
        let mut race = Race::new(&plan, Bounds::of_dial(8), &attempts, |index, progress| {
            if index == 1 {
                *progress.stage.lock() = Stage::Muxer;
            }
            pending::<Result<(), _>>()
        });
        drop(timeout(ms(1), race.next()).await);
    });
    let seen = attempts.take().under_way;
    let stages: Vec<_> = seen.iter().map(|it| (it.index, it.stage)).collect();
    assert_eq!(stages, [(0, Stage::Connect), (1, Stage::Muxer)]);
}

#[test]
fn failures_are_taken_once_and_only_the_first_is_to_be_announced() {
    let attempts = Arc::new(Attempts::default());
    let fail = |index| {
        attempts.start(index, Arc::new(AttemptProgress::at(Stage::Connect)));
        attempts.fail(Attempt {
            index,
            stage: Stage::Connect,
            error: ConnectError::Ended,
            elapsed: ms(1),
        })
    };
    assert_eq!([0, 1].map(fail), [true, false]);
    let taken = attempts.take().failed;
    assert_eq!(taken.iter().map(|it| it.index).collect::<Vec<_>>(), [0, 1]);
    assert!(attempts.take().failed.is_empty());
    assert!(attempts.take().under_way.is_empty());
    assert!(fail(2));
}

#[test]
fn an_attempt_that_panics_is_a_failure_and_starts_the_next() {
    let plan = plan_of(&[(0, 1_000, Hangs), (500, 1_000, Hangs)]);
    let attempts = Arc::new(Attempts::default());
    let runtime = paused_runtime();
    runtime.block_on(async {
        let began = Instant::now();
        let mut race = Race::new(&plan, Bounds::of_dial(8), &attempts, |index, _| {
            assert!(index < 2);
            async move {
                assert_eq!(index, 1, "deliberate panic");
                ready(Ok(index)).await
            }
        });
        let Some(Err(failure)) = race.next().await else {
            panic!("expected a failure");
        };
        assert_eq!(failure.index, 0);
        assert!(matches!(failure.error, ConnectError::Internal));
        assert!(matches!(race.next().await, Some(Ok(1))));
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

#[test]
fn an_attempt_that_waits_for_a_permit_of_the_node_does_not_time_out() {
    let plan = plan_of(&[(0, 1_000, Hangs), (10, 50, Hangs)]);
    let attempts = Arc::new(Attempts::default());
    let permits = Arc::new(Semaphore::new(1));
    let bounds = Bounds {
        parallel: 8,
        of_peer: None,
        of_node: Some(&permits),
    };
    paused_runtime().block_on(async {
        let began = Instant::now();
        let mut race = Race::new(&plan, bounds, &attempts, |index, _| async move {
            let ends_after = if index == 0 { 100 } else { 20 };
            tokio::time::sleep(ms(ends_after)).await;
            if index == 0 {
                Err(ConnectError::Ended)
            } else {
                Ok(index)
            }
        });
        let first = race.next().await.expect("an end");
        assert!(first.is_err_and(|attempt| attempt.index == 0));
        assert!(race.next().await.expect("an end").is_ok());
        assert_eq!(began.elapsed(), ms(120));
    });
    assert_eq!(permits.available_permits(), 1);
}

#[test]
fn an_attempt_that_has_won_is_no_longer_among_those_in_progress() {
    let plan = plan_of(&[(0, 1_000, Hangs), (0, 1_000, Hangs)]);
    let attempts = Arc::new(Attempts::default());
    paused_runtime().block_on(async {
        let mut race = Race::new(
            &plan,
            Bounds::of_dial(8),
            &attempts,
            |index, _| async move {
                if index == 0 {
                    pending::<()>().await;
                }
                Ok(index)
            },
        );
        assert!(matches!(race.next().await, Some(Ok(1))));
    });
    assert!(attempts.any());
    let left = attempts.take().under_way;
    assert_eq!(left.iter().map(|it| it.index).collect::<Vec<_>>(), [0]);
}

#[test]
fn races_at_one_peer_share_their_permits() {
    let (first, second) = (plan_of(&[(0, 1_000, Hangs); 2]), plan_of(&[(0, 50, Hangs)]));
    let attempts = [Arc::new(Attempts::default()), Arc::new(Attempts::default())];
    let permits = Arc::new(Semaphore::new(2));
    let bounds = || Bounds {
        parallel: 2,
        of_peer: Some(Arc::clone(&permits)),
        of_node: None,
    };
    paused_runtime().block_on(async {
        let began = Instant::now();
        let mut other = Race::new(&second, bounds(), &attempts[1], |_, _| ready(Ok(())));
        let mut race = Race::new(&first, bounds(), &attempts[0], |_, _| async {
            tokio::time::sleep(ms(100)).await;
            Err::<(), _>(ConnectError::Ended)
        });
        assert!(timeout(ms(1), race.next()).await.is_err());
        assert!(timeout(ms(1), other.next()).await.is_err());
        // It has not begun: there is nothing to say of it.
        assert!(attempts[1].take().under_way.is_empty());
        assert!(race.next().await.expect("an end").is_err());
        assert!(other.next().await.expect("an end").is_ok());
        assert_eq!(began.elapsed(), ms(100));
    });
}

#[test]
fn attempts_can_be_taken_while_they_fail() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let plan = plan_of(&[(0, 1_000, FailsAfter(0)); 64]);
        for _ in 0..300 {
            let attempts = Arc::new(Attempts::default());
            let taken = Arc::clone(&attempts);
            let (over, is_over) = std::sync::mpsc::channel::<()>();
            let taker = std::thread::spawn(move || {
                while is_over.try_recv().is_err() {
                    drop(taken.take());
                }
            });
            paused_runtime().block_on(async {
                let mut race = Race::new(&plan, Bounds::of_dial(64), &attempts, |_, _| {
                    ready(Err::<(), _>(ConnectError::Ended))
                });
                while race.next().await.is_some() {}
            });
            over.send(()).expect("the other thread takes");
            taker.join().expect("no panic");
        }
        done.send(()).expect("the test waits");
    });
    ended
        .recv_timeout(Duration::from_secs(60))
        .expect("neither thread waits for the other");
}
