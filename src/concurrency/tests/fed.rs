//! Open jobs: units that are pushed while the job runs, and every way for such a job to end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use super::super::{Job, open, submit};
use super::{Counted, comes_true, limits};
use crate::error::Error;

fn error(text: &str) -> Error {
    Error::value(text)
}

#[test]
fn test_every_pushed_unit_runs_exactly_once_and_sees_what_was_written_before_the_push() {
    for (pushers, pushes, count, grain) in
        [(1, 1, 1, 1), (1, 500, 1, 1), (4, 250, 1, 1), (3, 100, 7, 4), (2, 10, 100, 16)]
    {
        let units = pushers * pushes * count;
        let written = Arc::new((0..units).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
        let (seen, next) = (Arc::clone(&written), AtomicUsize::new(0));
        let work = Counted::new(units, move |unit| {
            assert_eq!(seen[unit].load(Ordering::Relaxed), 1, "unit {unit}");
            Ok(())
        });
        let job = open(work.clone(), limits(4, 4, grain));
        let order = std::sync::Mutex::new(());
        std::thread::scope(|scope| {
            for _ in 0..pushers {
                scope.spawn(|| {
                    for _ in 0..pushes {
                        // Payload and push in one critical section, so that numbers agree.
                        let _order = order.lock().expect("no panic");
                        let first = next.fetch_add(count, Ordering::Relaxed);
                        written[first..first + count].iter().for_each(|unit| unit.store(1, Ordering::Relaxed));
                        job.push(count);
                    }
                });
            }
        });
        job.close();
        job.wait();
        assert!(work.each_ran_once());
        let outcome = work.outcome();
        assert!(outcome.error.is_none() && !outcome.cancelled);
        // The test's reference and that of `finished`: the participants have dropped theirs.
        assert_eq!(work.references.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn test_no_push_is_overlooked_by_threads_that_are_about_to_sleep() {
    let work = Counted::new(20_000, |_| Ok(()));
    let job = open(work.clone(), limits(3, 2, 1));
    for unit in 0..20_000 {
        job.push(1);
        // Mostly without waiting, so that pushes meet participants in every state.
        if unit % 3 == 0 {
            assert!(comes_true(|| work.runs[unit].load(Ordering::SeqCst) == 1), "unit {unit} waits");
        }
    }
    job.close();
    job.wait();
    assert!(work.each_ran_once());
}

#[test]
fn test_a_job_without_units_is_finished_by_close() {
    let work = Counted::new(0, |_| Ok(()));
    let job = open(work.clone(), limits(2, 2, 1));
    job.push(0);
    assert!(!job.is_done());
    job.close();
    assert!(job.is_done());
    job.close();
    job.wait();
    let outcome = work.outcome();
    assert!(outcome.error.is_none() && !outcome.cancelled);
}

#[test]
fn test_a_job_whose_units_have_run_ends_only_when_it_is_closed() {
    let work = Counted::new(8, |_| Ok(()));
    let job = open(work.clone(), limits(2, 2, 1));
    job.push(4);
    assert!(comes_true(|| work.ran() == 4));
    sleep(Duration::from_millis(5));
    assert!(!job.is_done());
    job.push(4);
    assert!(comes_true(|| work.ran() == 8) && !job.is_done());
    job.close();
    job.wait();
    assert!(work.each_ran_once() && work.outcome().error.is_none());
}

#[test]
fn test_units_pushed_before_close_run_and_later_ones_do_not() {
    let gate = Arc::new(Barrier::new(2));
    let held = Arc::clone(&gate);
    let work = Counted::new(20, move |unit| {
        if unit == 0 {
            held.wait();
        }
        Ok(())
    });
    let job = open(work.clone(), limits(1, 1, 1));
    job.push(10);
    job.close();
    job.push(10);
    assert!(!job.is_done());
    gate.wait();
    job.wait();
    job.push(10);
    assert_eq!(work.ran(), 10);
    assert!(work.outcome().error.is_none());
}

#[test]
fn test_participants_are_never_more_than_asked_for_and_reach_that_number() {
    for participants in [1, 2, 3] {
        let work = Counted::new(60, |_| {
            sleep(Duration::from_micros(500));
            Ok(())
        });
        let job = open(work.clone(), limits(3, participants, 1));
        (0..60).for_each(|_| job.push(1));
        job.close();
        job.wait();
        assert!(work.each_ran_once());
        assert_eq!(work.peak(), participants);
    }
}

#[test]
fn test_open_jobs_share_the_size_of_their_pool() {
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
                // A pool that no other test uses.
                let job = open(work.clone(), limits(7, 3, 1));
                (0..10).for_each(|_| job.push(2));
                job.close();
                job.wait();
                assert!(work.each_ran_once());
            });
        }
    });
    assert!((2..=7).contains(&PEAK.load(Ordering::SeqCst)));
}

#[test]
fn test_the_failure_with_the_lowest_number_is_kept_wherever_it_comes_from() {
    // Units 0 and 1 run together; their numbers are those of chunks 30 and 20, and the caller adds 25 and 10.
    let gate = Arc::new(Barrier::new(3));
    let held = Arc::clone(&gate);
    let work = Counted::new(100, move |unit| {
        held.wait();
        held.wait();
        Err((30 - 10 * unit, error("a unit")))
    });
    let job = open(work.clone(), limits(2, 2, 1));
    job.push(100);
    gate.wait();
    job.fail(25, error("the caller"));
    job.fail(10, error("the caller"));
    job.fail(40, error("the caller"));
    assert!(!job.is_done());
    gate.wait();
    job.wait();
    let (number, error) = work.outcome().error.expect("it failed");
    assert_eq!((number, error.message.as_str(), work.ran()), (10, "the caller", 2));
}

#[test]
fn test_the_failure_of_a_unit_ends_the_job_without_close() {
    let work = Counted::new(100, |unit| if unit == 3 { Err((77, error("a unit"))) } else { Ok(()) });
    let job = open(work.clone(), limits(1, 1, 1));
    job.push(100);
    job.wait();
    assert_eq!(work.outcome().error.expect("it failed").0, 77);
    assert_eq!(work.ran(), 4);
    job.push(1);
    job.close();
    job.fail(0, error("late"));
    job.cancel();
    assert_eq!(work.ran(), 4);
}

#[test]
fn test_fail_and_cancel_finish_an_idle_job_on_their_caller() {
    for used in [false, true] {
        let idle = || {
            let work = Counted::new(1, |_| Ok(()));
            let job = open(work.clone(), limits(2, 2, 1));
            if used {
                job.push(1);
                assert!(comes_true(|| work.ran() == 1));
            }
            (work, job)
        };
        let (work, job) = idle();
        job.fail(5, error("no answer"));
        job.wait();
        let outcome = work.outcome();
        assert!(outcome.error.is_some_and(|(number, error)| (number, error.message.as_str()) == (5, "no answer")));
        assert!(!outcome.cancelled);
        let (work, job) = idle();
        job.cancel();
        job.wait();
        let outcome = work.outcome();
        assert!(outcome.cancelled && outcome.error.is_none());
        job.push(1);
        assert_eq!(work.ran(), usize::from(used));
    }
}

#[test]
fn test_cancel_lets_running_units_finish_and_starts_no_other() {
    let work = Counted::new(1000, |_| {
        sleep(Duration::from_millis(5));
        Ok(())
    });
    let job = open(work.clone(), limits(2, 2, 1));
    job.push(900);
    assert!(comes_true(|| work.ran() > 0));
    job.cancel();
    let ran = work.ran();
    job.push(100);
    job.wait();
    assert!(work.outcome().cancelled);
    assert!(work.ran() <= ran + 2, "{} units ran after {ran}", work.ran());
}

#[test]
fn test_a_panic_has_the_number_of_its_unit() {
    let work = Counted::new(10, |unit| if unit == 4 { panic!("expected by the test") } else { Ok(()) });
    let job = open(work.clone(), limits(2, 1, 1));
    job.push(10);
    job.wait();
    let (number, error) = work.outcome().error.expect("it panicked");
    assert_eq!((number, error.message.as_str()), (4, "panicked: expected by the test"));
}

#[test]
fn test_a_unit_may_push_more_units_and_close_the_job() {
    static JOB: OnceLock<Job> = OnceLock::new();
    let work = Counted::new(100, |unit| {
        let job = JOB.wait();
        if unit < 99 {
            job.push(1);
        } else {
            job.close();
        }
        Ok(())
    });
    let job = open(work.clone(), limits(2, 2, 1));
    assert!(JOB.set(job.clone()).is_ok());
    job.push(1);
    job.wait();
    assert!(work.each_ran_once() && work.outcome().error.is_none());
}

#[test]
fn test_a_caller_may_help_with_pushed_units() {
    let (here, helped) = (std::thread::current().id(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&helped);
    let work = Counted::new(100, move |_| {
        sleep(Duration::from_millis(1));
        count.fetch_add(usize::from(std::thread::current().id() == here), Ordering::SeqCst);
        Ok(())
    });
    // A pool that no other test uses: its first threads are still to be started when the caller takes its place.
    let job = open(work.clone(), limits(19, 19, 1));
    assert!(!job.help(Duration::from_secs(5)), "nothing is there to help with");
    job.push(100);
    assert!(!job.help(Duration::from_secs(5)), "it is still open");
    assert!(helped.load(Ordering::SeqCst) > 0);
    job.close();
    job.wait();
    assert!(work.each_ran_once());
}

#[test]
fn test_a_pushed_unit_does_not_wait_for_a_long_job() {
    let long = Counted::new(500, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let first = submit(long.clone(), limits(1, 1, 1));
    let work = Counted::new(1, |_| Ok(()));
    let job = open(work.clone(), limits(1, 1, 1));
    job.push(1);
    job.close();
    job.wait();
    assert!(!first.is_done() && long.ran() < 500, "the unit waited for {} others", long.ran());
    first.wait();
    assert!(work.each_ran_once() && long.each_ran_once());
}

#[test]
fn test_a_small_job_does_not_wait_for_many_pushed_units() {
    let fed = Counted::new(500, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let job = open(fed.clone(), limits(1, 1, 1));
    job.push(500);
    let small = Counted::new(2, |_| Ok(()));
    submit(small.clone(), limits(1, 1, 1)).wait();
    assert!(fed.ran() < 500, "the small job waited for {} units", fed.ran());
    job.close();
    job.wait();
    assert!(small.each_ran_once() && fed.each_ran_once());
}

#[test]
fn test_jobs_that_are_pushed_to_closed_failed_and_cancelled_at_once_all_end() {
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                for round in 0..100 {
                    let work =
                        Counted::new(
                            64,
                            move |unit| {
                                if (unit + round) % 97 == 0 { Err((unit, error("a unit"))) } else { Ok(()) }
                            },
                        );
                    let job = open(work.clone(), limits(4, 1 + round % 4, 1 + thread % 3));
                    std::thread::scope(|scope| {
                        scope.spawn(|| (0..32).for_each(|_| job.push(1)));
                        scope.spawn(|| (0..4).for_each(|_| job.push(8)));
                        match (thread + round) % 4 {
                            0 => drop(scope.spawn(|| job.cancel())),
                            1 => drop(scope.spawn(|| job.fail(7, error("the caller")))),
                            2 => drop(scope.spawn(|| job.close())),
                            _ => {}
                        }
                    });
                    job.close();
                    job.wait();
                    let outcome = work.outcome();
                    let closed_early = (thread + round) % 4 == 2;
                    assert!(outcome.cancelled || outcome.error.is_some() || closed_early || work.each_ran_once());
                    assert!(work.runs.iter().all(|count| count.load(Ordering::SeqCst) <= 1));
                }
            });
        }
    });
}
