//! A value that is set once, and what waits for it: blocked threads and callbacks. Knows nothing of forks: in a forked
//! child, a latch of its parent must not be touched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock::locked;

/// A value of type `T` that is set at most once and taken at most once. Setting it takes one lock, and makes a system call
/// only if a thread is blocked.
pub(crate) struct Latch<T> {
    set: AtomicBool,
    state: Mutex<State<T>>,
    wake: Condvar,
}

/// What [`Latch::set`] runs.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

struct State<T> {
    value: Option<T>,
    /// Threads inside `wait`, `wait_timeout` or `wait_until`: notifying a condition variable costs a system call.
    blocked: usize,
    callbacks: Vec<Callback>,
}

impl<T> Default for Latch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Latch<T> {
    /// A latch that is not set.
    pub(crate) fn new() -> Self {
        let state = State { value: None, blocked: 0, callbacks: Vec::new() };
        Self { set: AtomicBool::new(false), state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Sets the value, wakes the blocked threads and runs the callbacks in the order in which they were added, on this
    /// thread and with no lock held. A callback that panics does not keep the others from running.
    ///
    /// # Errors
    /// The latch is set already: `value` is handed back.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut state = locked(&self.state);
        if self.is_set() {
            return Err(value);
        }
        state.value = Some(value);
        // Under the lock: a thread or callback that finds the latch not set there is seen here.
        self.set.store(true, Ordering::Release);
        let (blocked, callbacks) = (state.blocked > 0, std::mem::take(&mut state.callbacks));
        drop(state);
        if blocked {
            self.wake.notify_all();
        }
        for callback in callbacks {
            // The panic hook has reported it, and the setter cannot do anything about it.
            let _ = catch_unwind(AssertUnwindSafe(callback));
        }
        Ok(())
    }

    /// Whether the latch has been set; still true after `take`. What the setter wrote before is visible then.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// The value, once; `None` before `set` and after the first `take`.
    pub(crate) fn take(&self) -> Option<T> {
        if self.is_set() { locked(&self.state).value.take() } else { None }
    }

    /// Has the setter run `callback`.
    ///
    /// # Errors
    /// The latch is set already: `callback` is handed back, and will not run.
    pub(crate) fn on_set(&self, callback: Callback) -> Result<(), Callback> {
        let mut state = locked(&self.state);
        if self.is_set() {
            return Err(callback);
        }
        state.callbacks.push(callback);
        Ok(())
    }

    /// Blocks until the latch is set.
    #[cfg(test)]
    pub(crate) fn wait(&self) {
        self.wait_until(None);
    }

    /// Blocks until the latch is set or `limit` has passed; true if it is set.
    pub(crate) fn wait_timeout(&self, limit: Duration) -> bool {
        // A limit past the end of the clock is none.
        self.is_set() || self.wait_until(Instant::now().checked_add(limit))
    }

    /// Blocks until the latch is set or `deadline` has passed (`None`: never); true if it is set.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.is_set() {
            return true;
        }
        let mut state = locked(&self.state);
        state.blocked += 1;
        while !self.is_set() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.blocked -= 1;
        self.is_set()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// A callback that adds one to `count`.
    fn counting(count: &Arc<AtomicUsize>) -> Callback {
        let count = Arc::clone(count);
        Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn test_the_first_value_wins_and_is_taken_once() {
        let latch = Latch::new();
        assert!(!latch.is_set() && latch.take().is_none());
        assert_eq!((latch.set("first"), latch.set("second")), (Ok(()), Err("second")));
        assert!(latch.is_set());
        assert_eq!((latch.take(), latch.take()), (Some("first"), None));
        assert_eq!(latch.set("third"), Err("third"), "a latch whose value was taken is still set");
        assert!(latch.is_set());
    }

    #[test]
    fn test_waiting_for_a_latch_that_is_set_returns_at_once() {
        let latch = Latch::new();
        latch.set(1).expect("not set yet");
        latch.wait();
        assert!(latch.wait_timeout(Duration::ZERO) && latch.wait_timeout(Duration::MAX));
        assert_eq!(latch.take(), Some(1));
    }

    #[test]
    fn test_a_wait_ends_at_its_limit() {
        let latch = Latch::<()>::new();
        let started = Instant::now();
        assert!(!latch.wait_timeout(Duration::from_millis(10)));
        assert!(started.elapsed() >= Duration::from_millis(10));
        assert!(!latch.wait_timeout(Duration::ZERO));
        assert_eq!(locked(&latch.state).blocked, 0);
    }

    #[test]
    fn test_every_blocked_thread_is_woken() {
        let latch = Latch::new();
        std::thread::scope(|scope| {
            let waiters = [None, Some(Duration::from_secs(60)), Some(Duration::MAX), None].map(|limit| {
                let latch = &latch;
                scope.spawn(move || {
                    limit.is_none_or(|limit| latch.wait_timeout(limit)) && {
                        latch.wait();
                        true
                    }
                })
            });
            while locked(&latch.state).blocked < waiters.len() {
                std::thread::yield_now();
            }
            latch.set(7).expect("not set yet");
            assert!(waiters.into_iter().all(|waiter| waiter.join().expect("waiting does not panic")));
        });
        assert_eq!(latch.take(), Some(7));
    }

    #[test]
    fn test_callbacks_run_in_order_on_the_setter_with_no_lock_held() {
        let latch = Arc::new(Latch::new());
        let (sender, told) = mpsc::channel();
        for number in 0..3 {
            let (seen, sender) = (Arc::clone(&latch), sender.clone());
            let callback = Box::new(move || {
                // Each of these locks the latch.
                let late = seen.on_set(Box::new(|| ())).is_err();
                let rejected = seen.set(0).is_err();
                sender.send((number, late && rejected, seen.take(), std::thread::current().id())).expect("received");
            });
            assert!(latch.on_set(callback).is_ok());
        }
        latch.set(9).expect("not set yet");
        let here = std::thread::current().id();
        let expected = [(0, true, Some(9), here), (1, true, None, here), (2, true, None, here)];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn test_a_late_callback_is_handed_back_and_can_be_run() {
        let (latch, count) = (Latch::new(), Arc::new(AtomicUsize::new(0)));
        latch.set(()).expect("not set yet");
        let callback = latch.on_set(counting(&count)).expect_err("the latch is set");
        assert_eq!(count.load(Ordering::SeqCst), 0);
        callback();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn test_a_panic_in_a_callback_does_not_keep_the_others_from_running() {
        let (latch, count) = (Latch::new(), Arc::new(AtomicUsize::new(0)));
        assert!(latch.on_set(counting(&count)).is_ok());
        assert!(latch.on_set(Box::new(|| panic!("expected by the test"))).is_ok());
        assert!(latch.on_set(counting(&count)).is_ok());
        latch.set(()).expect("not set yet");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn test_callbacks_of_a_latch_that_is_never_set_are_dropped_with_it() {
        let count = Arc::new(AtomicUsize::new(0));
        let latch = Latch::<()>::new();
        assert!(latch.on_set(counting(&count)).is_ok());
        drop(latch);
        assert_eq!((count.load(Ordering::SeqCst), Arc::strong_count(&count)), (0, 1));
    }

    #[test]
    fn test_races_of_setters_waiters_takers_and_callbacks() {
        for round in 0..200 {
            let (latch, ran) = (Latch::new(), Arc::new(AtomicUsize::new(0)));
            let (mut set, mut taken, mut accepted) = (0, 0, 0);
            std::thread::scope(|scope| {
                let setters = [0, 1].map(|number| {
                    let latch = &latch;
                    scope.spawn(move || latch.set((round, number)).is_ok())
                });
                let callbacks = [(); 2].map(|()| scope.spawn(|| latch.on_set(counting(&ran)).is_ok()));
                let takers = [Duration::from_secs(60), Duration::MAX].map(|limit| {
                    let latch = &latch;
                    scope.spawn(move || {
                        assert!(latch.wait_timeout(limit));
                        latch.take().is_some()
                    })
                });
                let count = |threads: [std::thread::ScopedJoinHandle<'_, bool>; 2]| {
                    threads.into_iter().map(|thread| usize::from(thread.join().expect("no panic"))).sum::<usize>()
                };
                (set, accepted, taken) = (count(setters), count(callbacks), count(takers));
            });
            assert_eq!((set, taken), (1, 1));
            assert_eq!(ran.load(Ordering::SeqCst), accepted, "every accepted callback runs exactly once");
        }
    }
}
