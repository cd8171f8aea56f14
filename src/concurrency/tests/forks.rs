//! Processes: a forked child works whatever its parent was doing, and exit is orderly. Each child has an alarm, so that a
//! hang is a failure and not a test that never ends.
#![allow(unsafe_code)] // fork, waitpid, _exit and what runs before `main` have no safe form.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use super::super::{Job, active, shutdown, shutdown_within, submit, submit_and_help};
use super::{Counted, limits};

/// Makes this process like the ones that load us. A Rust `main` watches for stack overflows, and for that the standard
/// library takes a lock of its own wherever a Rust thread starts or ends: a fork at that moment leaves it locked in the
/// child, where no Rust thread can then start (seen in 1 of 18,000 forks beside the test runner's threads). In a Python
/// process nobody sets the watch up and the lock is never taken; here it is left out because the signals are not at their
/// defaults when `main` begins.
#[used]
#[unsafe(link_section = ".init_array")]
static LIKE_PYTHON: extern "C" fn() = {
    extern "C" fn leave_out_the_watch() {
        // SAFETY: no other thread exists before `main`. The system still ends a process that really faults.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_IGN);
            libc::signal(libc::SIGBUS, libc::SIG_IGN);
        }
    }
    leave_out_the_watch
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
        let failed = (0..200).filter(|_| !in_child(works));
        let failed = failed.count();
        over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0, "children of 200");
    });
}

#[test]
fn test_a_child_forked_inside_a_unit_leaves_the_job_alone() {
    static JOB: OnceLock<Job> = OnceLock::new();
    let failed = Arc::new(AtomicBool::new(false));
    let (told, forked) = (Arc::clone(&failed), AtomicBool::new(false));
    let blocker = Counted::new(40, |_| {
        sleep(Duration::from_millis(1));
        Ok(())
    });
    let job = submit(blocker.clone(), limits(2, 2, 1));
    let _ = JOB.set(job.clone());
    // The helper of this job forks inside it, and the child then comes back out of `help`.
    let work = Counted::new(4, move |unit| {
        if unit == 0 && !forked.swap(true, Ordering::SeqCst) {
            let parent = JOB.get().expect("set above");
            let passed = in_child(|| {
                parent.cancel();
                parent.wait();
                parent.is_done() && parent.help(Duration::from_secs(1)) && works()
            });
            told.store(!passed, Ordering::SeqCst);
        }
        Ok(())
    });
    submit_and_help(work.clone(), limits(3, 3, 1), Duration::from_secs(5)).wait();
    job.wait();
    assert!(!failed.load(Ordering::SeqCst));
    assert!(work.each_ran_once() && blocker.each_ran_once());
}

#[test]
fn test_a_child_comes_back_out_of_help() {
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
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: changes this child only. Root is not bound by the limit, so it becomes somebody else.
        unsafe {
            if libc::geteuid() == 0 {
                libc::setresuid(65534, 65534, 65534);
            }
            libc::setrlimit(libc::RLIMIT_NPROC, &raw const none);
        }
        works() && pool_threads() == 0
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
fn test_shutdown_does_not_wait_for_ever() {
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
