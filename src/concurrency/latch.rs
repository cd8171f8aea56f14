//! A value that is set once, and the waiters for it: blocked threads, and callbacks that wake something else (an event loop).

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::locked;

/// What is called when the value is set, by the thread that sets it and with no lock held.
pub type Callback = Box<dyn FnOnce() + Send>;

/// A value that is set once. One lock, and a system call only if a thread is blocked.
pub struct Latch<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    is_set: bool,
    value: Option<T>,
    callbacks: Vec<Callback>,
    blocked: usize,
}

impl<T> Default for Latch<T> {
    fn default() -> Self {
        let state = State { is_set: false, value: None, callbacks: Vec::new(), blocked: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Latch<T> {
    /// Sets the value and wakes every waiter. The first call wins.
    ///
    /// # Errors
    /// `value`, if one was set before.
    pub fn set(&self, value: T) -> Result<(), T> {
        let callbacks = {
            let mut state = locked(&self.state);
            if state.is_set {
                return Err(value);
            }
            state.is_set = true;
            state.value = Some(value);
            if state.blocked > 0 {
                self.changed.notify_all();
            }
            std::mem::take(&mut state.callbacks)
        };
        for callback in callbacks {
            callback();
        }
        Ok(())
    }

    /// Whether the value was set, taken or not.
    pub fn is_set(&self) -> bool {
        locked(&self.state).is_set
    }

    /// The value, once, after it was set.
    pub fn take(&self) -> Option<T> {
        locked(&self.state).value.take()
    }

    /// Has `callback` called when the value is set.
    ///
    /// # Errors
    /// `callback`, if the value is set already.
    pub fn on_set(&self, callback: Callback) -> Result<(), Callback> {
        let mut state = locked(&self.state);
        if state.is_set {
            return Err(callback);
        }
        state.callbacks.push(callback);
        Ok(())
    }

    /// Blocks until the value is set or `limit` has passed, and takes it; `None`: not set in time, or taken before.
    pub fn wait_timeout(&self, limit: Duration) -> Option<T> {
        let deadline = Instant::now().checked_add(limit);
        let mut state = locked(&self.state);
        state.blocked += 1;
        while !state.is_set {
            let left = deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.blocked -= 1;
        state.value.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_first_value_wins_and_is_taken_once() {
        let latch = Latch::default();
        assert!(!latch.is_set());
        assert_eq!((latch.set(1), latch.set(2)), (Ok(()), Err(2)));
        assert_eq!((latch.take(), latch.take(), latch.is_set()), (Some(1), None, true));
    }

    #[test]
    fn a_callback_runs_once_whichever_comes_first() {
        for _ in 0..500 {
            let (latch, calls) = (Arc::new(Latch::default()), Arc::new(AtomicUsize::new(0)));
            std::thread::scope(|scope| {
                let (other, told) = (Arc::clone(&latch), Arc::clone(&calls));
                scope.spawn(move || other.set(()));
                let callback = Box::new(move || {
                    told.fetch_add(1, Ordering::SeqCst);
                });
                if let Err(callback) = latch.on_set(callback) {
                    callback();
                }
            });
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_blocked_thread_gets_the_value_or_gives_up() {
        let latch = Latch::default();
        assert_eq!(latch.wait_timeout(Duration::from_millis(1)), None);
        std::thread::scope(|scope| {
            scope.spawn(|| latch.set(7));
            assert_eq!(latch.wait_timeout(Duration::from_secs(60)), Some(7));
        });
    }
}
