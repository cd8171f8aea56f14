//! Decode or encode units that come up one by one while an event loop awaits a store: a queue, the pool threads that drain
//! it, and the call that wakes the loop. Knows nothing of requests.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::call::WAITING;
use crate::bindings::chunk_format::PyChunkFormat;
use crate::bindings::python_step::{Caller, Scope};
use crate::bindings::work::Completion;
use crate::codec::bytes_to_bytes::PythonCall;
use crate::concurrency::{self, Limits, Outcome, Work};
use crate::error::Error;

/// What the units of a session do.
pub trait Job: Send + Sync + 'static {
    /// Work that needs no more bytes.
    type Unit: Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// The chunk's number, and why.
    fn run(&self, unit: &Self::Unit) -> Result<(), (usize, Error)>;

    /// Bytes that the unit holds until it has run.
    fn bytes(&self, unit: &Self::Unit) -> u64;
}

/// The units of one call, from the first to the last.
pub struct Session<J: Job> {
    /// What they do.
    pub job: J,
    threads: usize,
    drainers_most: usize,
    queue: Mutex<Queue<J::Unit>>,
    /// Units that are queued or run.
    units: AtomicUsize,
    /// Bytes that they hold.
    backlog: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<(usize, Error)>>,
    waker: Mutex<Option<Waker>>,
    /// What has been done with, and may own Python objects: dropped by a thread that is attached.
    spent: Mutex<Vec<Box<dyn Any + Send>>>,
    /// The array that is filled or read, and what else the units have the address of.
    owners: Vec<Py<PyAny>>,
    /// What the units call of Python, and whose call that is.
    python: Option<(PythonCall, Arc<Completion>)>,
}

struct Queue<U> {
    units: VecDeque<U>,
    drainers: usize,
}

struct Waker {
    event_loop: Py<PyAny>,
    call: Py<PyAny>,
    future: Py<PyAny>,
    /// Wake when any unit has ended, not only the last.
    any: bool,
}

/// A lock whose holder may have panicked: what it guards is whole all the same.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J: Job> Session<J> {
    /// A session without units, on the pool of `threads`, of which it uses `most` at a time; it keeps `owners` alive, and
    /// `format` where its units call Python codecs.
    ///
    /// # Errors
    /// What Python raises, for codecs that wait on a thread without an event loop.
    pub fn new(
        job: J,
        owners: Vec<Py<PyAny>>,
        format: &Bound<'_, PyChunkFormat>,
        threads: usize,
        most: Option<usize>,
    ) -> PyResult<Arc<Self>> {
        let caller = |kind: PythonCall| {
            let caller = Caller::here(format.py(), kind == PythonCall::EventLoop)?;
            let held = vec![format.clone().into_any().unbind()];
            Ok::<_, PyErr>((kind, Arc::new(Completion::new(held, Some(caller)))))
        };
        let python = format.get().0.chain.python_call().map(caller).transpose()?;
        // Waiting takes no CPU: as many at a time as zarr itself has.
        let waits = python.as_ref().is_some_and(|(kind, _)| *kind == PythonCall::EventLoop);
        let threads = if waits { threads.max(WAITING) } else { threads };
        Ok(Arc::new(Self {
            job,
            threads,
            drainers_most: most.unwrap_or(threads).clamp(1, threads.max(1)),
            queue: Mutex::new(Queue { units: VecDeque::new(), drainers: 0 }),
            units: AtomicUsize::new(0),
            backlog: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::default(),
            waker: Mutex::default(),
            spent: Mutex::default(),
            owners,
            python,
        }))
    }

    /// Whether nothing more is to be started: a unit failed, or the call was abandoned.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether no unit is queued or runs.
    pub fn is_idle(&self) -> bool {
        self.units.load(Ordering::Acquire) == 0
    }

    /// Bytes fed and not done with.
    pub fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Notes a failure; the one of the lowest chunk is kept.
    pub fn fail(&self, chunk: usize, error: Error) {
        let mut failure = locked(&self.failure);
        if failure.as_ref().is_none_or(|(first, _)| chunk < *first) {
            *failure = Some((chunk, error));
        }
        drop(failure);
        self.stop();
    }

    /// The failure, once.
    pub fn take_failure(&self) -> Option<Error> {
        locked(&self.failure).take().map(|(_, error)| error)
    }

    /// Whether units call Python codecs, which may need the event loop's thread.
    pub fn calls_python(&self) -> bool {
        self.python.is_some()
    }

    /// Makes Python codecs give up, for a call that nobody waits for any more.
    pub fn give_up(&self, py: Python<'_>) {
        if let Some(caller) = self.python.as_ref().and_then(|(_, completion)| completion.caller(py)) {
            caller.get().give_up();
        }
    }

    /// Starts no more units. Those that run end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let dropped = std::mem::take(&mut locked(&self.queue).units);
        let count = dropped.len();
        for unit in dropped {
            self.backlog.fetch_sub(self.job.bytes(&unit), Ordering::Relaxed);
            locked(&self.spent).push(Box::new(unit));
        }
        self.ended(count);
    }

    /// Drops what has been done with. Only on a thread that is attached.
    pub fn drop_spent(&self) {
        let spent = std::mem::take(&mut *locked(&self.spent));
        drop(spent);
    }

    /// Runs `units` on this thread.
    pub fn run_here(&self, units: Vec<J::Unit>) {
        self.units.fetch_add(units.len(), Ordering::AcqRel);
        for unit in units {
            self.backlog.fetch_add(self.job.bytes(&unit), Ordering::Relaxed);
            self.run(unit);
        }
    }

    /// Hands `units` to the pool.
    pub fn push(self: &Arc<Self>, units: Vec<J::Unit>) {
        if units.is_empty() {
            return;
        }
        self.units.fetch_add(units.len(), Ordering::AcqRel);
        self.backlog.fetch_add(units.iter().map(|unit| self.job.bytes(unit)).sum(), Ordering::Relaxed);
        let more = {
            let mut queue = locked(&self.queue);
            queue.units.extend(units);
            let more = queue.units.len().min(self.drainers_most.saturating_sub(queue.drainers));
            queue.drainers += more;
            more
        };
        let isolated = self.python.is_some();
        let limits = Limits { threads: self.threads, participants: 1, isolated, grain: 1 };
        for _ in 0..more {
            concurrency::submit(Arc::new(Drain(Arc::clone(self))), limits);
        }
    }

    /// Asks that `event_loop` calls `call(future)` once no unit is left, or (`any`) once one has ended. False, and no
    /// call, if no unit is left now.
    pub fn wake(&self, event_loop: Py<PyAny>, call: Py<PyAny>, future: Py<PyAny>, any: bool) -> bool {
        let mut waker = locked(&self.waker);
        // Looked at under the lock: whoever ends the last unit takes it afterwards.
        if self.is_idle() {
            return false;
        }
        let before = waker.replace(Waker { event_loop, call, future, any });
        drop(waker);
        drop(before);
        true
    }

    fn run(&self, unit: J::Unit) {
        if !self.is_stopped() {
            let _scope = self.python.as_ref().map(|(_, completion)| Scope::enter(completion));
            let outcome = catch_unwind(AssertUnwindSafe(|| self.job.run(&unit)));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err((chunk, error))) => self.fail(chunk, error),
                Err(panic) => self.fail(0, concurrency::panicked(panic)),
            }
        }
        self.backlog.fetch_sub(self.job.bytes(&unit), Ordering::Relaxed);
        locked(&self.spent).push(Box::new(unit));
        self.ended(1);
    }

    fn ended(&self, count: usize) {
        if count == 0 {
            return;
        }
        let last = self.units.fetch_sub(count, Ordering::AcqRel) == count;
        let waker = {
            let mut waker = locked(&self.waker);
            if last || waker.as_ref().is_some_and(|waker| waker.any) { waker.take() } else { None }
        };
        let Some(waker) = waker else { return };
        // No lock is held from here on: attaching may wait for the GIL.
        let mut left = Some(waker);
        Python::try_attach(|py| {
            let Some(Waker { event_loop, call, future, .. }) = left.take() else { return };
            // The loop may be closed by now: then nobody waits any more.
            drop(event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (call, future)));
        });
        // The interpreter is gone: its objects cannot be dropped any more.
        std::mem::forget(left);
    }
}

impl<J: Job> Drop for Session<J> {
    fn drop(&mut self) {
        let mut left =
            Some((std::mem::take(&mut *locked(&self.spent)), std::mem::take(&mut self.owners), self.python.take()));
        Python::try_attach(|_| drop(left.take()));
        // The interpreter is gone: its objects cannot be dropped any more.
        std::mem::forget(left);
    }
}

/// One thread's way through the queue.
struct Drain<J: Job>(Arc<Session<J>>);

impl<J: Job> Work for Drain<J> {
    fn units(&self) -> usize {
        1
    }

    fn run(&self, _units: std::ops::Range<usize>) -> Result<(), (usize, Error)> {
        loop {
            let unit = {
                let mut queue = locked(&self.0.queue);
                let unit = queue.units.pop_front();
                if unit.is_none() {
                    queue.drainers -= 1;
                }
                unit
            };
            match unit {
                Some(unit) => self.0.run(unit),
                None => return Ok(()),
            }
        }
    }

    fn finished(self: Arc<Self>, outcome: Outcome) {
        // Refused at interpreter exit, perhaps before it ran.
        if outcome.cancelled {
            self.0.fail(0, Error::runtime("cannot read or write chunks: the interpreter is shutting down"));
        }
    }
}
