//! One job at a time: exactly once, limits, errors, panics, cancellation, help.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use super::super::{run_inline, submit, submit_and_help};
use super::{Counted, limits};
use crate::error::Error;

/// A pause that differs from unit to unit but not from run to run.
fn pause(unit: usize) {
    sleep(Duration::from_nanos((unit as u64).wrapping_mul(2_654_435_761) % 50_000));
}

fn fail(unit: usize) -> (usize, Error) {
    (unit, Error::value(format!("unit {unit}")))
}

#[test]
fn test_every_unit_runs_exactly_once_under_contention() {
    for (units, grain) in [(1, 1), (7, 3), (300, 1), (1000, 8), (100_000, 5)] {
        let work = Counted::new(units, move |unit| {
            if units <= 1000 {
                pause(unit);
            }
            Ok(())
        });
        let job = submit_and_help(work.clone(), limits(6, 6, grain), Duration::from_millis(1));
        while !job.help(Duration::from_micros(100)) {
            std::thread::yield_now();
        }
        assert!(work.each_ran_once());
        let outcome = work.outcome();
        assert!(outcome.error.is_none() && !outcome.cancelled);
        // The test's reference and that of `finished`: the participants have dropped theirs.
        assert_eq!(work.references.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn test_no_units_finish_at_once() {
    let work = Counted::new(0, |_| Ok(()));
    assert!(submit(work.clone(), limits(2, 2, 1)).is_done());
    assert!(work.outcome().error.is_none());
}

#[test]
fn test_stealing_evens_out_a_skewed_load() {
    // All the time is in the first of four ranges; without stealing, one thread would run all 40 of its units.
    let runners = Arc::new(Mutex::new(HashMap::new()));
    let counts = Arc::clone(&runners);
    let work = Counted::new(160, move |unit| {
        if unit < 40 {
            sleep(Duration::from_millis(3));
            *counts.lock().expect("no panic").entry(std::thread::current().id()).or_insert(0) += 1;
        }
        Ok(())
    });
    submit(work.clone(), limits(4, 4, 1)).wait();
    assert!(work.each_ran_once());
    let most = runners.lock().expect("no panic").values().copied().max();
    assert!(most.is_some_and(|most| most <= 30), "one thread ran {most:?} of 40");
}

#[test]
fn test_participants_are_never_more_than_asked_for() {
    for participants in [1, 2, 3, 5] {
        let work = Counted::new(60, |_| {
            sleep(Duration::from_micros(300));
            Ok(())
        });
        let job = submit_and_help(work.clone(), limits(5, participants, 1), Duration::from_millis(2));
        while !job.help(Duration::from_micros(500)) {
            std::thread::yield_now();
        }
        assert!(work.each_ran_once());
        assert!(work.peak() <= participants, "{} at once, {participants} allowed", work.peak());
    }
}

#[test]
fn test_all_jobs_of_a_pool_share_its_size() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let work = Counted::new(20, |_| {
                    PEAK.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(Duration::from_micros(200));
                    NOW.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                });
                let job = submit(work.clone(), limits(3, 3, 1));
                while !job.help(Duration::from_millis(1)) {
                    std::thread::yield_now();
                }
                assert!(work.each_ran_once());
            });
        }
    });
    assert!((2..=3).contains(&PEAK.load(Ordering::SeqCst)));
}

#[test]
fn test_the_error_of_the_lowest_unit_is_kept_and_stops_the_rest() {
    // Units 0, 250, 500 and 750 start together and all fail, the lowest last.
    let gate = std::sync::Barrier::new(4);
    let work = Counted::new(1000, move |unit| {
        gate.wait();
        sleep(Duration::from_millis(20 - unit as u64 / 50));
        Err(fail(unit))
    });
    submit(work.clone(), limits(4, 4, 1)).wait();
    let (unit, error) = work.outcome().error.expect("every unit fails");
    assert_eq!((unit, error.message.as_str(), work.ran()), (0, "unit 0", 4));
}

#[test]
fn test_the_failing_unit_is_exact_within_a_run() {
    let work = Counted::new(64, |unit| if unit == 37 { Err(fail(unit)) } else { Ok(()) });
    submit(work.clone(), limits(1, 1, 16)).wait();
    assert_eq!(work.outcome().error.expect("unit 37 fails").0, 37);
    assert_eq!(work.ran(), 38);
}

#[test]
fn test_a_panic_is_an_error_and_the_pool_lives_on() {
    for round in 0..3 {
        let work = Counted::new(1, move |_| match round {
            0 => panic!("a word"),
            1 => panic!("round {round}"),
            _ => std::panic::panic_any(round),
        });
        submit(work.clone(), limits(2, 2, 1)).wait();
        let (unit, error) = work.outcome().error.expect("it panicked");
        let expected = ["panicked: a word", "panicked: round 1", "panicked: with no message"][round];
        assert_eq!((unit, error.message.as_str()), (0, expected));
    }
    let work = Counted::new(10, |_| Ok(()));
    submit(work.clone(), limits(2, 2, 1)).wait();
    assert!(work.each_ran_once());
}

#[test]
fn test_cancel_before_any_unit_started() {
    let blocker = Counted::new(1, |_| {
        sleep(Duration::from_millis(50));
        Ok(())
    });
    let first = submit(blocker, limits(1, 1, 1));
    let work = Counted::new(10, |_| Ok(()));
    let job = submit(work.clone(), limits(1, 1, 1));
    job.cancel();
    assert!(job.is_done());
    job.cancel();
    assert!(work.outcome().cancelled);
    assert_eq!(work.ran(), 0);
    first.wait();
}

#[test]
fn test_cancel_lets_running_units_finish_and_starts_no_other() {
    let work = Counted::new(1000, |_| {
        sleep(Duration::from_millis(5));
        Ok(())
    });
    let job = submit(work.clone(), limits(2, 2, 1));
    while work.ran() == 0 {
        std::thread::yield_now();
    }
    job.cancel();
    let ran = work.ran();
    job.wait();
    assert!(work.outcome().cancelled);
    assert!(work.ran() <= ran + 2, "{} units ran after {ran}", work.ran());
}

#[test]
fn test_help_keeps_to_its_budget() {
    let work = Counted::new(400, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let job = submit(work.clone(), limits(2, 2, 1));
    assert!(!job.help(Duration::from_millis(5)));
    assert!(work.ran() < 400, "the helper left before the end");
    assert!(!job.help(Duration::ZERO));
    job.wait();
    assert!(job.help(Duration::ZERO) && work.each_ran_once());
}

#[test]
fn test_units_that_a_helper_leaves_are_run_by_others() {
    let work = Counted::new(50, |_| {
        sleep(Duration::from_micros(500));
        Ok(())
    });
    // A pool that no other test uses, so that no other job wakes its threads.
    let job = submit_and_help(work.clone(), limits(13, 1, 1), Duration::from_millis(2));
    assert!(!job.is_done());
    job.wait();
    assert!(work.each_ran_once() && work.peak() == 1);
}

#[test]
fn test_inline_runs_in_order_and_stops_at_the_first_error() {
    let work = Counted::new(20, |unit| if unit >= 13 { Err(fail(unit)) } else { Ok(()) });
    let outcome = run_inline(&*work, 4);
    assert_eq!((outcome.error.expect("unit 13 fails").0, work.ran()), (13, 14));
    assert!(run_inline(&*Counted::new(3, |_| Ok(())), 0).error.is_none());
    assert_eq!(Arc::strong_count(&work), 1);
}
