//! What a caller describes to the pool: the work, its limits, and how it ended. Runs no thread.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Error;

/// Independent units, each run at most once, and exactly once unless the job is stopped.
pub(crate) trait Work: Send + Sync + 'static {
    /// How many units there are; asked once, and never of a job made by [`open`](super::open), whose units are pushed.
    fn units(&self) -> usize {
        0
    }

    /// Runs `units` in order. Runs of a submitted job start at multiples of their length (the last may be shorter), so that
    /// which neighbours are handled together does not depend on the number of threads. Runs of an open job start anywhere;
    /// what a thread wrote before it pushed a unit is visible here.
    ///
    /// # Errors
    /// A number and why; the rest of the run is then not run. The number only orders failures, the lowest being kept: it
    /// may be that of the unit or any other, such as a chunk's. A panic has the number of the run's first unit.
    fn run(&self, units: Range<usize>) -> Result<(), (usize, Error)>;

    /// Called exactly once, when the job is over, the last participant has left and every participant has dropped its
    /// reference. The caller is that participant or, if there was none at the end, the thread that called
    /// `Job::cancel`, `Job::fail` or `Job::close`. Called with no lock held; may come before `submit` has returned.
    fn finished(self: Arc<Self>, outcome: Outcome);
}

/// How a job ended; with neither, every unit has run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The failure with the lowest number. After a failure no new unit starts.
    pub(crate) error: Option<(usize, Error)>,
    /// Whether `cancel` (or `shutdown`) came before the end; every unit may still have run.
    pub(crate) cancelled: bool,
}

/// How much of a pool a job may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The pool's size. All participants of all jobs with this size, helping callers included, never exceed it.
    pub(crate) threads: usize,
    /// Participants of this job at any time: the chunk concurrency.
    pub(crate) participants: usize,
    /// Whether the job goes to a separate pool of that size: its units wait for something that may itself need the
    /// ordinary one.
    pub(crate) isolated: bool,
    /// Units per run at most; fewer if a participant's share is smaller.
    pub(crate) grain: usize,
}

/// The participants of a job of `units`: as many as `threads`, at most `maximum` (`None`: no bound of its own), and at least
/// one. Each unit in flight costs its memory, so never more than there are units.
pub(crate) fn participants(units: usize, threads: usize, maximum: Option<usize>) -> usize {
    threads.min(maximum.unwrap_or(threads)).min(units).max(1)
}

/// Runs `units`; a panic becomes the error of the first of them.
pub(super) fn run_caught(work: &dyn Work, units: Range<usize>) -> Result<(), (usize, Error)> {
    caught(units.start, || work.run(units))
}

/// Runs `unit`; a panic becomes its error, with `number`.
pub(crate) fn caught(number: usize, unit: impl FnOnce() -> Result<(), (usize, Error)>) -> Result<(), (usize, Error)> {
    catch_unwind(AssertUnwindSafe(unit)).unwrap_or_else(|payload| Err((number, panicked(payload))))
}

/// The error of a unit that panicked with `payload`.
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        // An unknown payload could panic again when dropped.
        std::mem::forget(payload);
        "with no message".to_owned()
    };
    Error::runtime(format!("panicked: {message}"))
}

#[cfg(test)]
mod tests {
    use super::participants;

    #[test]
    fn test_participants_table() {
        // units, threads, maximum → participants
        let rows = [
            (100, 8, None, 8),
            (5, 8, None, 5),
            (1, 8, None, 1),
            (100, 1, None, 1),
            (100, 8, Some(1), 1),
            (100, 8, Some(2), 2),
            (100, 8, Some(3), 3),
            (2, 8, Some(3), 2),
            (100, 8, Some(100), 8),
            (0, 0, Some(0), 1),
        ];
        for (units, threads, maximum, expected) in rows {
            assert_eq!(participants(units, threads, maximum), expected, "{:?}", (units, threads, maximum));
        }
    }

    #[test]
    fn test_bounds_hold_for_every_small_input() {
        for units in 1..20 {
            for threads in 1..20 {
                for maximum in [None, Some(1), Some(2), Some(3), Some(50)] {
                    let most = maximum.unwrap_or(threads).min(threads).min(units);
                    assert_eq!(participants(units, threads, maximum), most);
                }
            }
        }
    }
}
