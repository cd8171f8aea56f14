//! Where work runs: on the calling thread with or without the GIL, or on the pool. Every such decision is made here, from
//! estimates in microseconds.
//!
//! | work | keeps the GIL below | stays on its thread below |
//! |---|---|---|
//! | a call on a native store | 60 | 200 |
//! | units fed by an event loop's thread | 20 | 60 |
//! | units fed by a thread that works for one call alone | 20 | 4,000 |
//!
//! Releasing the GIL and taking it back beside a busy Python thread costs more than 60 µs of waiting; waking a sleeping pool
//! thread costs as much as 200 µs of work. An event loop feeds many units one after another, so its limits are lower. Units
//! that call Python codecs always go to the pool: they may block.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

use crate::concurrency;

/// Estimates below which the GIL is kept, and below which the calling thread does the work.
struct Thresholds {
    holding: f64,
    inline: f64,
}

const NATIVE_CALL: Thresholds = Thresholds { holding: 60.0, inline: 200.0 };
const FED_BY_LOOP: Thresholds = Thresholds { holding: 20.0, inline: 60.0 };
const FED_BY_DEDICATED_THREAD: Thresholds = Thresholds { holding: 20.0, inline: 4000.0 };

/// How long the calling thread helps the pool before it returns to its event loop.
const HELP: Duration = Duration::from_micros(300);
/// The estimate of one unit up to which the calling thread helps, since it cannot leave a unit in the middle.
const HELPED_UNIT: f64 = 1000.0;

/// Calls that leave the calling thread, whatever their estimate, after one has turned out to be slow.
const CALLS_AFTER_SLOW: u32 = 16;
/// Threads that call a synchronous store in Python.
const STORE_THREADS: usize = 4;
/// Bytes that are fetched from a synchronous store on the event loop's own thread, and chunks that are written there.
const FETCHED_ON_LOOP: u64 = 256 << 10;
const STORED_ON_LOOP: u64 = FETCHED_ON_LOOP / 8;
/// A call of a synchronous store on the loop's thread is slow from here on.
const SLOW_STORE_CALL: Duration = Duration::from_millis(2);

static NATIVE_SLOW: Slow = Slow(AtomicU32::new(0));
static STORE_SLOW: Slow = Slow(AtomicU32::new(0));

/// Remembers for a number of calls that one was slow.
struct Slow(AtomicU32);

impl Slow {
    /// Whether this call is one of those.
    fn is_remembered(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1)).is_ok()
    }

    fn remember(&self) {
        self.0.store(CALLS_AFTER_SLOW, Ordering::Relaxed);
    }
}

/// Where work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Here, with the GIL held.
    Holding,
    /// Here, with the GIL released.
    Detached,
    /// On the pool; the calling thread helps for so long.
    Pool(Duration),
}

impl Place {
    /// Runs `work` here; only for a place that is not the pool.
    pub fn run<R: Send>(self, py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
        if self == Self::Holding { work() } else { py.detach(work) }
    }
}

/// What is known about a call on a native store.
#[derive(Debug, Clone, Copy)]
pub struct CallEstimate {
    /// Of all its work.
    pub micros: f64,
    /// Number of its units.
    pub units: usize,
    /// Whether units call Python codecs.
    pub calls_python: bool,
}

impl CallEstimate {
    /// Where the call runs.
    pub fn place(self) -> Place {
        // All synchronous callers share zarr's one loop: while another call is active, this thread is wanted there.
        let alone = concurrency::active() == 0;
        let slow = NATIVE_SLOW.is_remembered();
        if self.micros < NATIVE_CALL.inline && alone && !slow && !self.calls_python {
            return if self.micros < NATIVE_CALL.holding { Place::Holding } else { Place::Detached };
        }
        let helps = alone && !self.calls_python && self.micros < HELPED_UNIT * self.units as f64;
        Place::Pool(if helps { HELP } else { Duration::ZERO })
    }

    /// Is told how long the call took on the calling thread: if its store was slow, the next ones go to the pool.
    pub fn took(self, time: Duration) {
        if time > Duration::from_micros(1000 + 4 * self.micros as u64) {
            NATIVE_SLOW.remember();
        }
    }
}

/// Where fed units that take `micros` run.
pub fn place_of_units(micros: f64, dedicated_thread: bool, calls_python: bool) -> Place {
    let thresholds = if dedicated_thread { FED_BY_DEDICATED_THREAD } else { FED_BY_LOOP };
    if calls_python || micros >= thresholds.inline {
        Place::Pool(Duration::ZERO)
    } else if micros < thresholds.holding {
        Place::Holding
    } else {
        Place::Detached
    }
}

/// Whether a fed shard that takes `micros` to encode is cut into units of subchunks, for several threads of the pool. A thread
/// that works for one call alone encodes what it fetched.
pub fn shares_out_shard(micros: f64, dedicated_thread: bool) -> bool {
    !dedicated_thread && micros >= FED_BY_DEDICATED_THREAD.inline
}

/// Units that a participant takes at once: enough neighbours for a line along the array's last axis, few enough that all
/// participants have work.
pub fn grain(units: usize, threads: usize) -> usize {
    (units / (4 * threads.max(1))).clamp(1, 16)
}

/// How many threads call a synchronous store in Python for the first `requests` of a call, which are `bytes` long, when the
/// configuration allows `most`; 0: the event loop's own thread does.
#[pyfunction]
#[pyo3(signature = (requests, bytes, *, is_write, most))]
pub fn store_threads(requests: usize, bytes: u64, is_write: bool, most: usize) -> usize {
    let small =
        if is_write { requests <= 2 && bytes <= STORED_ON_LOOP } else { requests <= 4 && bytes <= FETCHED_ON_LOOP };
    if small {
        return usize::from(STORE_SLOW.is_remembered());
    }
    STORE_THREADS.min(most).min(requests)
}

/// Is told how many seconds the event loop's thread spent in a synchronous store.
#[pyfunction]
pub fn store_call_took(seconds: f64) {
    if seconds > SLOW_STORE_CALL.as_secs_f64() {
        STORE_SLOW.remember();
    }
}

/// Whether a call that takes `micros` may go to the pool, so that it pays to make its units small.
pub fn may_use_pool(micros: f64, calls_python: bool) -> bool {
    calls_python || micros > NATIVE_CALL.inline
}
