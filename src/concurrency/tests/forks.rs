//! Processes: a forked child works whatever its parent was doing, and shutdown is orderly. Each child has an alarm, so that a
//! child that hangs fails its test.
#![allow(unsafe_code)] // fork, waitpid, _exit and what runs before `main` have no safe form.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use super::super::{Job, active, open, shutdown, shutdown_within, submit, submit_and_help};
use super::{Counted, comes_true, limits};
use crate::error::Error;

/// Makes this process like those that load the library. A Rust `main` sets up a handler for stack overflows, and the standard
/// library then takes a lock whenever a Rust thread starts or ends: a fork at that moment leaves it locked in the child,
/// where no Rust thread can start any more (seen in 1 of 18,000 forks beside the test runner's threads). A Python process
/// has no such handler and never takes the lock; here the standard library skips the handler because the signals are not at
/// their defaults when `main` begins.
#[used]
#[unsafe(link_section = ".init_array")]
static LIKE_PYTHON: extern "C" fn() = {
    extern "C" fn prevent_the_handler() {
        // SAFETY: no other thread exists before `main`. The system still kills a process that faults.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_IGN);
            libc::signal(libc::SIGBUS, libc::SIG_IGN);
        }
    }
    prevent_the_handler
};

/// Runs `body` in a forked child; true if it returned true within ten seconds.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs on this thread's stack alone and leaves by `_exit`, so nothing of the parent's unwinds or is
    // dropped in it.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            libc::alarm(10);
            let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
            libc::_exit(i32::from(!passed));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

fn works() -> bool {
    let work = Counted::new(100, |_| Ok(()));
    let job = submit_and_help(work.clone(), limits(2, 2, 1), Duration::from_micros(50));
    job.wait();
    let work_alone = Counted::new(100, |_| Ok(()));
    submit(work_alone.clone(), limits(2, 2, 1)).wait();
    work.each_ran_once() && work_alone.each_ran_once()
}

/// Threads of this process that a pool has started.
fn pool_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("zarrs-")).count()
}

/// Keeps this process, which must be a child of the tests', from starting threads.
fn forbid_threads() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: changes this child only. Root is not bound by the limit, so it becomes another user.
    unsafe {
        if libc::geteuid() == 0 {
            libc::setresuid(65534, 65534, 65534);
        }
        libc::setrlimit(libc::RLIMIT_NPROC, &raw const none);
    }
}

/// CPU time that this process has used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn test_a_child_and_a_grandchild_work_after_the_parent_used_the_pool() {
    assert!(works());
    assert!(in_child(|| works() && in_child(works) && works()));
    assert!(works());
}

#[test]
fn test_a_child_forked_while_other_threads_submit_works() {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(works());
                }
            });
        }
        let failed = (0..200).filter(|_| !in_child(works)).count();
        over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0, "children of 200");
    });
}

#[test]
fn test_a_child_forked_inside_a_unit_leaves_the_job_alone() {
    static JOB: OnceLock<Job> = OnceLock::new();
    let failed = Arc::new(AtomicBool::new(false));
    let (seen, forked) = (Arc::clone(&failed), AtomicBool::new(false));
    let blocker = Counted::new(40, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let job = submit(blocker.clone(), limits(2, 2, 1));
    let _ = JOB.set(job.clone());
    // A unit of this job forks, on the helper or on a thread of the pool, while the other job runs.
    let work = Counted::new(4, move |unit| {
        if unit == 0 && !forked.swap(true, Ordering::SeqCst) {
            let parent = JOB.get().expect("set above");
            let passed = in_child(|| {
                parent.cancel();
                parent.wait();
                parent.is_done() && parent.help(Duration::from_secs(1)) && works()
            });
            seen.store(!passed, Ordering::SeqCst);
        }
        Ok(())
    });
    submit_and_help(work.clone(), limits(3, 3, 1), Duration::from_secs(5)).wait();
    job.wait();
    assert!(!failed.load(Ordering::SeqCst));
    assert!(work.each_ran_once() && blocker.each_ran_once());
}

#[test]
fn test_a_child_returns_from_help() {
    assert!(in_child(|| {
        static CHILD: AtomicBool = AtomicBool::new(false);
        let work = Counted::new(4, |unit| {
            if unit == 0 {
                // SAFETY: both processes go on with this thread alone, and leave by `_exit` in `in_child`.
                let child = unsafe { libc::fork() };
                CHILD.store(child == 0, Ordering::SeqCst);
                if child != 0 {
                    let mut status = 0;
                    // SAFETY: `status` outlives the call.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    assert_eq!(status, 0);
                }
            }
            Ok(())
        });
        let job = submit_and_help(work.clone(), limits(2, 1, 1), Duration::from_secs(5));
        if CHILD.load(Ordering::SeqCst) {
            let untouched = work.outcomes.lock().is_ok_and(|outcomes| outcomes.is_empty());
            return work.ran() == 1 && untouched && job.is_done() && works();
        }
        job.wait();
        work.each_ran_once()
    }));
}

#[test]
fn test_a_child_leaves_the_open_jobs_of_its_parent_alone() {
    let work = Counted::new(10, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let job = open(work.clone(), limits(2, 2, 1));
    let act = || {
        let ran = work.ran();
        job.push(1);
        job.fail(0, Error::value("in the child"));
        job.close();
        job.cancel();
        job.wait();
        let untouched = work.outcomes.lock().is_ok_and(|outcomes| outcomes.is_empty());
        job.is_done() && job.help(Duration::from_secs(1)) && untouched && work.ran() == ran && works()
    };
    assert!(in_child(act), "while it is idle");
    job.push(10);
    assert!(in_child(act), "while units run");
    assert!(!job.is_done());
    job.close();
    job.wait();
    assert!(work.each_ran_once() && work.outcome().error.is_none());
}

#[test]
fn test_a_pushed_unit_may_fork() {
    let failed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&failed);
    let work = Counted::new(20, move |unit| {
        if unit % 5 == 0 && !in_child(|| works() && active() == 0) {
            seen.store(true, Ordering::SeqCst);
        }
        Ok(())
    });
    let job = open(work.clone(), limits(2, 2, 1));
    (0..20).for_each(|_| job.push(1));
    job.close();
    job.wait();
    assert!(work.each_ran_once() && !failed.load(Ordering::SeqCst));
}

#[test]
fn test_a_child_returns_from_a_push() {
    assert!(in_child(|| {
        static CHILD: AtomicBool = AtomicBool::new(false);
        let work = Counted::new(2, |unit| {
            if unit == 0 {
                // SAFETY: both processes go on with this thread alone, and leave by `_exit` in `in_child`.
                let child = unsafe { libc::fork() };
                CHILD.store(child == 0, Ordering::SeqCst);
                if child != 0 {
                    let mut status = 0;
                    // SAFETY: `status` outlives the call.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    assert_eq!(status, 0);
                }
            }
            Ok(())
        });
        // No thread can be started, so the push runs the units here.
        forbid_threads();
        let job = open(work.clone(), limits(2, 1, 1));
        job.push(2);
        if CHILD.load(Ordering::SeqCst) {
            job.push(1);
            job.close();
            return work.ran() == 1 && job.is_done();
        }
        job.close();
        job.is_done() && work.each_ran_once()
    }));
}

#[test]
fn test_an_open_job_without_units_has_no_thread_and_is_not_active() {
    assert!(in_child(|| {
        let gate = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&gate);
        let work = Counted::new(9, move |_| {
            assert!(comes_true(|| held.load(Ordering::SeqCst)));
            Ok(())
        });
        let job = open(work.clone(), limits(4, 2, 1));
        let mut passed = active() == 0 && pool_threads() == 0 && !job.is_done();
        job.push(1);
        passed &= active() == 1 && pool_threads() <= 1;
        gate.store(true, Ordering::SeqCst);
        passed &= comes_true(|| active() == 0) && work.ran() == 1;
        gate.store(false, Ordering::SeqCst);
        job.push(8);
        passed &= active() == 1;
        gate.store(true, Ordering::SeqCst);
        passed &= comes_true(|| active() == 0) && work.each_ran_once();
        passed &= (1..=2).contains(&pool_threads());
        // A caller helps where no other job is in flight, and an idle one is not.
        let (caller, here) = (std::thread::current().id(), Arc::new(AtomicBool::new(false)));
        let helps = Arc::clone(&here);
        let helped = Counted::new(1, move |_| {
            helps.store(std::thread::current().id() == caller, Ordering::SeqCst);
            Ok(())
        });
        submit_and_help(helped, limits(4, 4, 1), Duration::from_secs(1)).wait();
        passed &= here.load(Ordering::SeqCst);
        job.close();
        passed && job.is_done() && work.outcome().error.is_none() && active() == 0
    }));
}

#[test]
fn test_an_idle_open_job_costs_no_cpu_time() {
    assert!(in_child(|| {
        let work = Counted::new(64, |_| Ok(()));
        let jobs = [(); 8].map(|()| open(work.clone(), limits(4, 4, 1)));
        jobs[0].push(64);
        let mut passed = comes_true(|| work.ran() == 64 && active() == 0);
        sleep(Duration::from_millis(20));
        let before = cpu_time();
        sleep(Duration::from_millis(200));
        passed &= cpu_time().saturating_sub(before) < Duration::from_millis(5);
        passed
    }));
}

#[test]
fn test_threads_are_started_only_as_jobs_want_them() {
    assert!(in_child(|| {
        super::super::cpus();
        let mut passed = active() == 0 && pool_threads() == 0;
        let run = |units, threads| {
            let job = submit(Counted::new(units, |_| Ok(())), limits(threads, threads, 1));
            job.wait();
        };
        run(2, 8);
        passed &= (1..=2).contains(&pool_threads());
        run(1, 16);
        passed &= pool_threads() <= 3;
        let slow = Counted::new(64, |_| {
            sleep(Duration::from_millis(1));
            Ok(())
        });
        submit(slow, limits(8, 8, 1)).wait();
        passed && (3..=9).contains(&pool_threads()) && active() == 0
    }));
}

#[test]
fn test_work_is_done_by_the_caller_where_no_thread_can_be_started() {
    assert!(in_child(|| {
        forbid_threads();
        works() && pool_threads() == 0
    }));
}

#[test]
fn test_pushed_units_run_on_the_pusher_where_no_thread_can_be_started() {
    assert!(in_child(|| {
        forbid_threads();
        let caller = std::thread::current().id();
        let work = Counted::new(10, move |_| {
            assert_eq!(std::thread::current().id(), caller);
            Ok(())
        });
        let job = open(work.clone(), limits(2, 2, 1));
        job.push(3);
        let mut passed = work.ran() == 3 && !job.is_done();
        job.push(7);
        job.close();
        passed &= job.is_done() && work.each_ran_once();
        passed && work.outcome().error.is_none() && pool_threads() == 0
    }));
}

#[test]
fn test_shutdown_cancels_open_jobs_and_later_ones_are_over() {
    assert!(in_child(|| {
        let slow = Counted::new(1000, |_| {
            sleep(Duration::from_millis(5));
            Ok(())
        });
        let idle = Counted::new(10, |_| Ok(()));
        let jobs = [open(slow.clone(), limits(2, 2, 1)), open(idle.clone(), limits(2, 2, 1))];
        jobs[0].push(1000);
        let mut passed = comes_true(|| slow.ran() > 0);
        passed &= shutdown() && jobs.iter().all(Job::is_done) && active() == 0;
        passed &= slow.outcome().cancelled && idle.outcome().cancelled && slow.ran() < 1000;
        let ran = slow.ran();
        for job in &jobs {
            job.push(1);
        }
        // A size that has no pool yet is refused as well.
        for size in [2, 5] {
            let later = Counted::new(10, |_| Ok(()));
            let job = open(later.clone(), limits(size, size, 1));
            passed &= job.is_done() && later.outcome().cancelled;
            job.push(10);
            job.close();
            passed &= later.ran() == 0;
        }
        passed && slow.ran() == ran && idle.ran() == 0 && shutdown()
    }));
}

#[test]
fn test_shutdown_cancels_waits_and_lets_later_work_run_inline() {
    assert!(in_child(|| {
        let work = Counted::new(1000, |_| {
            sleep(Duration::from_millis(5));
            Ok(())
        });
        let waiting = Counted::new(10, |_| Ok(()));
        let jobs = [submit(work.clone(), limits(2, 2, 1)), submit(waiting.clone(), limits(2, 2, 1))];
        while work.ran() == 0 {
            std::thread::yield_now();
        }
        let mut passed = shutdown() && jobs.iter().all(Job::is_done);
        passed &= work.outcome().cancelled && waiting.outcome().cancelled && work.ran() < 1000;
        let (caller, later) = (std::thread::current().id(), Counted::new(10, |_| Ok(())));
        let here = Counted::new(1, move |_| {
            assert_eq!(std::thread::current().id(), caller);
            Ok(())
        });
        passed &= submit(here.clone(), limits(2, 2, 1)).is_done() && here.outcome().error.is_none();
        // A size that has no pool yet is refused as well.
        passed &= submit(later.clone(), limits(5, 5, 1)).is_done() && later.each_ran_once();
        passed && pool_threads() <= 2 && shutdown()
    }));
}

#[test]
fn test_shutdown_waits_no_longer_than_its_limit() {
    assert!(in_child(|| {
        let stuck = Counted::new(1, |_| {
            sleep(Duration::from_secs(60));
            Ok(())
        });
        submit(stuck.clone(), limits(1, 1, 1));
        while stuck.ran() == 0 {
            std::thread::yield_now();
        }
        !shutdown_within(Duration::from_millis(50))
    }));
}
