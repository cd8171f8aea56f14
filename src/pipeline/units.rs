//! Units of work: what a thread takes at a time. A unit is a chunk, or a touched subchunk where few shards hold many.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::concurrency::locked;
use crate::error::Error;

/// Shards are scheduled by subchunks while there are fewer of them than this for each thread.
const SHARDS_PER_THREAD: usize = 8;

/// Work of numbered units, each of which runs once, on any thread.
pub trait Units: Send + Sync {
    /// Number of units.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `units` in order.
    ///
    /// # Errors
    /// A number by which failures are ordered as chunks are, and the error with the chunk key.
    fn run(&self, units: Range<usize>) -> Result<(), (usize, Error)>;
}

/// Whether `chunks` shards are so few that their subchunks are the units for `threads`.
pub fn schedule_subchunks(chunks: usize, threads: usize) -> bool {
    threads > 1 && chunks < SHARDS_PER_THREAD * threads
}

/// The subchunks of several shards as units, numbered through.
#[derive(Debug)]
pub struct SubchunkUnits<S> {
    shards: Vec<S>,
    starts: Vec<usize>,
}

impl<S> SubchunkUnits<S> {
    /// Numbers the units of `shards`, `len` for each. A shard of which nothing is wanted is one unit still, so that it is
    /// found to be missing or present.
    pub fn new(shards: Vec<S>, len: impl Fn(&S) -> usize) -> Self {
        let mut starts = Vec::with_capacity(shards.len() + 1);
        let mut start = 0;
        for shard in &shards {
            starts.push(start);
            start += len(shard).max(1);
        }
        starts.push(start);
        Self { shards, starts }
    }

    /// Number of units.
    pub fn count(&self) -> usize {
        self.starts[self.shards.len()]
    }

    /// Runs `units` shard by shard: `run` is given the subchunks of each.
    ///
    /// # Errors
    /// The first unit of the shard that failed, and its error.
    pub fn run(
        &self,
        units: Range<usize>,
        len: impl Fn(&S) -> usize,
        run: impl Fn(&S, Range<usize>) -> Result<(), Error>,
    ) -> Result<(), (usize, Error)> {
        let mut at = units.start;
        while at < units.end {
            let number = self.starts.partition_point(|start| *start <= at) - 1;
            let (start, end) = (self.starts[number], self.starts[number + 1].min(units.end));
            let shard = &self.shards[number];
            let most = len(shard);
            run(shard, (at - start).min(most)..(end - start).min(most)).map_err(|error| (at, error))?;
            at = end;
        }
        Ok(())
    }
}

/// Units that come up one by one, as bytes are fetched by the caller: those that wait, and those that have run.
#[derive(Debug)]
pub struct FedUnits<U> {
    waiting: Mutex<VecDeque<U>>,
    spent: Mutex<Vec<U>>,
    /// Units that wait or run.
    pending: AtomicUsize,
    /// Bytes that they hold.
    held: AtomicU64,
}

/// A unit that holds fetched bytes until it has run.
pub trait HoldsBytes {
    /// How many.
    fn bytes(&self) -> u64;
}

impl<U> Default for FedUnits<U> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            spent: Mutex::default(),
            pending: AtomicUsize::new(0),
            held: AtomicU64::new(0),
        }
    }
}

impl<U: HoldsBytes> FedUnits<U> {
    /// Adds `units` behind those that wait.
    pub fn push(&self, units: Vec<U>) {
        self.hold(&units);
        locked(&self.waiting).extend(units);
    }

    /// Counts `units`, which the caller is about to run by itself.
    pub fn hold(&self, units: &[U]) {
        self.pending.fetch_add(units.len(), Ordering::AcqRel);
        self.held.fetch_add(units.iter().map(HoldsBytes::bytes).sum(), Ordering::Relaxed);
    }

    /// The next unit that waits.
    pub fn pop(&self) -> Option<U> {
        locked(&self.waiting).pop_front()
    }

    /// Keeps a `unit` that has run: only the caller may drop what owns its bytes.
    pub fn spend(&self, unit: U) {
        self.held.fetch_sub(unit.bytes(), Ordering::Relaxed);
        locked(&self.spent).push(unit);
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Number of units that wait or run.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Bytes of the units that have not run.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The units that have run since this was last called.
    pub fn take_spent(&self) -> Vec<U> {
        std::mem::take(&mut *locked(&self.spent))
    }

    /// Gives up the units that wait.
    pub fn abandon(&self) {
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        for unit in waiting {
            self.spend(unit);
        }
    }
}
