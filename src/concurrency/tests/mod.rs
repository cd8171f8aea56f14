//! What this module promises, tested through the interface that the rest of the crate uses.

mod fed;
#[cfg(target_os = "linux")] // They count this process's threads in /proc.
mod forks;
mod jobs;
mod threads;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Limits, Outcome, Work};
use crate::error::Error;

type UnitResult = Result<(), (usize, Error)>;

/// Units that run a closure and are counted.
struct Counted<F> {
    runs: Vec<AtomicUsize>,
    body: F,
    now: AtomicUsize,
    /// The most runs that were seen at once.
    peak: AtomicUsize,
    outcomes: Mutex<Vec<Outcome>>,
    /// References to the work while `finished` runs.
    references: AtomicUsize,
}

impl<F: Fn(usize) -> UnitResult + Send + Sync + 'static> Counted<F> {
    fn new(units: usize, body: F) -> Arc<Self> {
        Arc::new(Self {
            runs: (0..units).map(|_| AtomicUsize::new(0)).collect(),
            body,
            now: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            outcomes: Mutex::default(),
            references: AtomicUsize::new(0),
        })
    }
}

impl<F> Counted<F> {
    fn ran(&self) -> usize {
        self.runs.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    fn each_ran_once(&self) -> bool {
        self.runs.iter().all(|count| count.load(Ordering::SeqCst) == 1)
    }

    fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    /// The outcome that `finished` was told, which must be the only one.
    fn outcome(&self) -> Outcome {
        let mut outcomes = self.outcomes.lock().expect("no test panics under this lock");
        assert_eq!(outcomes.len(), 1, "finished is called exactly once");
        outcomes.pop().expect("there is one")
    }
}

impl<F: Fn(usize) -> UnitResult + Send + Sync + 'static> Work for Counted<F> {
    fn units(&self) -> usize {
        self.runs.len()
    }

    fn run(&self, units: Range<usize>) -> UnitResult {
        self.peak.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _leaves = Leaves(&self.now);
        units.into_iter().try_for_each(|unit| {
            self.runs[unit].fetch_add(1, Ordering::SeqCst);
            (self.body)(unit)
        })
    }

    fn finished(self: Arc<Self>, outcome: Outcome) {
        assert_eq!(self.now.load(Ordering::SeqCst), 0, "every participant has left");
        self.references.store(Arc::strong_count(&self), Ordering::SeqCst);
        self.outcomes.lock().expect("no test panics under this lock").push(outcome);
    }
}

/// Counts down when a run ends, by a panic too.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn limits(threads: usize, participants: usize, grain: usize) -> Limits {
    Limits { threads, participants, isolated: false, grain }
}

/// Whether `condition` becomes true within ten seconds.
fn comes_true(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
