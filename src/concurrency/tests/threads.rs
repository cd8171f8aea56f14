//! Many jobs at once.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::{submit, submit_and_help};
use super::{Counted, limits};

#[test]
fn test_jobs_from_32_threads_all_end() {
    std::thread::scope(|scope| {
        for thread in 0..32 {
            scope.spawn(move || {
                for round in 0..100 {
                    let work = Counted::new(1 + (thread * 7 + round) % 40, |_| Ok(()));
                    let limits = limits(4, 1 + round % 4, 1 + round % 3);
                    let job = match round % 3 {
                        0 => submit(work.clone(), limits),
                        1 => submit_and_help(work.clone(), limits, Duration::from_micros(20)),
                        _ => submit_and_help(work.clone(), limits, Duration::from_secs(1)),
                    };
                    if round % 5 == 0 {
                        job.cancel();
                    }
                    job.wait();
                    assert!(work.outcome().cancelled || work.each_ran_once());
                }
            });
        }
    });
}

#[test]
fn test_a_small_job_does_not_wait_for_a_long_one() {
    let long = Counted::new(500, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let small = Counted::new(2, |_| Ok(()));
    let first = submit(long.clone(), limits(1, 1, 1));
    submit(small.clone(), limits(1, 1, 1)).wait();
    assert!(!first.is_done() && long.ran() < 500, "the small job waited for {} units", long.ran());
    first.wait();
    assert!(small.each_ran_once() && long.each_ran_once());
}

#[test]
fn test_a_unit_may_submit_another_job() {
    let inner = Counted::new(30, |_| Ok(()));
    let given = Arc::clone(&inner);
    let outer = Counted::new(1, move |_| {
        submit(given.clone(), limits(1, 1, 1));
        Ok(())
    });
    submit(outer, limits(1, 1, 1)).wait();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !inner.each_ran_once() && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    assert!(inner.each_ran_once());
}
