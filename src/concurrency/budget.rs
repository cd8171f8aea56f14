//! A bound on bytes in flight: fetched or encoded, and not yet placed or stored.

use std::sync::{Condvar, Mutex, PoisonError};

use super::pool::{Process, current};
use super::workers::locked;

/// The process-wide bound, in bytes.
pub const BYTES_IN_FLIGHT: u64 = 256 << 20;

/// This process's bound. Ask for it in each call: one that is kept belongs to the process that made it.
pub fn in_flight() -> &'static Budget {
    current().in_flight.get_or_init(|| Budget::new(BYTES_IN_FLIGHT))
}

/// A counter of bytes with a limit. Whatever the limit, one holder is always admitted.
pub struct Budget {
    limit: u64,
    held: Mutex<Held>,
    freed: Condvar,
    process: &'static Process,
}

#[derive(Default)]
struct Held {
    bytes: u64,
    /// Units that run and hold bytes: each will let go without waiting for anything here.
    running: usize,
    /// Blocked callers are served in the order they came, so that a large unit is not passed by small ones for ever.
    tickets: u64,
    served: u64,
}

/// Bytes held; dropping it gives them back.
#[must_use]
pub struct Permit<'a> {
    budget: &'a Budget,
    bytes: u64,
    running: bool,
}

impl Budget {
    /// A budget of `limit` bytes that nobody holds.
    pub fn new(limit: u64) -> Self {
        Self { limit, held: Mutex::default(), freed: Condvar::new(), process: current() }
    }

    /// `bytes` if they fit now (or nothing is held) and nobody waits. For the asyncio driver: never blocks.
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit<'_>> {
        let mut held = locked(&self.held);
        let admitted = held.tickets == held.served && (held.bytes == 0 || self.fits(&held, bytes));
        admitted.then(|| self.admit(&mut held, bytes, false))
    }

    /// `bytes`, after waiting until they fit or no running unit holds any. Only inside a unit on a pool's thread, and only
    /// by a unit that holds nothing yet.
    ///
    /// This cannot deadlock: a waiter waits only for running units, which never wait here again. Bytes of
    /// [`Budget::try_acquire`] may belong to objects that wait for a thread, so they hold up nobody who runs: the bound can
    /// be passed by one unit.
    pub fn acquire(&self, bytes: u64) -> Permit<'_> {
        let mut held = locked(&self.held);
        let ticket = held.tickets;
        held.tickets += 1;
        while held.served != ticket || !(held.running == 0 || self.fits(&held, bytes)) {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        held.served += 1;
        if held.tickets > held.served {
            self.freed.notify_all();
        }
        self.admit(&mut held, bytes, true)
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        locked(&self.held).bytes
    }

    fn fits(&self, held: &Held, bytes: u64) -> bool {
        held.bytes.saturating_add(bytes) <= self.limit
    }

    fn admit(&self, held: &mut Held, bytes: u64, running: bool) -> Permit<'_> {
        // A declared size can be anything; the sum must come back to zero, so the permit keeps what was really added.
        let bytes = bytes.min(u64::MAX - held.bytes);
        held.bytes += bytes;
        held.running += usize::from(running);
        Permit { budget: self, bytes, running }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A forked child may drop what its parent held, while the lock is one that no thread will ever release.
        if !self.budget.process.is_here() {
            return;
        }
        let mut held = locked(&self.budget.held);
        held.bytes -= self.bytes;
        held.running -= usize::from(self.running);
        if held.tickets > held.served {
            self.budget.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn test_one_is_always_admitted_and_a_second_is_not() {
        let budget = Budget::new(100);
        let large = budget.try_acquire(u64::MAX).expect("nothing is held");
        assert!(budget.try_acquire(1).is_none());
        drop(large);
        let first = budget.try_acquire(60).expect("nothing is held");
        assert!(budget.try_acquire(41).is_none());
        let second = budget.try_acquire(40).expect("it fits");
        assert_eq!(budget.held(), 100);
        drop((first, second));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn test_a_running_unit_is_not_held_up_by_parked_bytes() {
        let budget = Budget::new(100);
        let _parked = budget.try_acquire(100).expect("nothing is held");
        let _running = budget.acquire(50);
        assert_eq!(budget.held(), 150);
    }

    #[test]
    fn test_the_bound_holds_and_nobody_starves_under_contention() {
        let (budget, peak) = (Budget::new(1000), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (budget, peak) = (&budget, &peak);
                scope.spawn(move || {
                    for round in 0..50 {
                        let _permit = budget.acquire(if thread == 0 { 1000 } else { 100 + 10 * (round % 20) });
                        peak.fetch_max(budget.held(), Ordering::Relaxed);
                        std::thread::sleep(Duration::from_micros(50));
                    }
                });
            }
        });
        assert_eq!(budget.held(), 0);
        assert!(peak.load(Ordering::Relaxed) <= 1000);
    }
}
