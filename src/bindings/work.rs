//! A batch as work for the pool, and its completion: who holds the Python objects, and who wakes the waiting coroutine.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::loop_queue::LoopQueue;
use crate::bindings::python_step::{Caller, Scope};
use crate::concurrency::{Outcome, Work};
use crate::error::Error;
use crate::pipeline::read::{Read, ShardRead};
use crate::pipeline::write::{ShardWrite, Write};

/// The batch itself: what to run, whichever thread runs it.
pub enum Batch {
    /// One unit a chunk.
    Read(Arc<Read>),
    /// One unit a touched subchunk.
    ReadShards(Arc<Read>, Units<ShardRead>),
    /// One unit a chunk.
    Write(Arc<Write>),
    /// One unit a touched subchunk.
    WriteShards(Arc<Write>, Units<ShardWrite>),
}

/// Shards, and at which unit each begins.
pub struct Units<S> {
    shards: Vec<S>,
    starts: Vec<usize>,
}

impl<S> Units<S> {
    /// Numbers the units of `shards`, `len` for each; a shard of which nothing is wanted is one unit all the same, so that
    /// it is looked for.
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

    fn len(&self) -> usize {
        self.starts[self.shards.len()]
    }

    fn run(
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

/// A batch on the pool.
pub struct Task {
    batch: Batch,
    completion: Arc<Completion>,
}

impl Task {
    /// `batch`, telling `completion` of its end.
    pub fn new(batch: Batch, completion: Arc<Completion>) -> Self {
        Self { batch, completion }
    }
}

impl Work for Task {
    fn units(&self) -> usize {
        match &self.batch {
            Batch::Read(read) => read.len(),
            Batch::ReadShards(_, units) => units.len(),
            Batch::Write(write) => write.len(),
            Batch::WriteShards(_, units) => units.len(),
        }
    }

    fn run(&self, units: Range<usize>) -> Result<(), (usize, Error)> {
        let _scope = self.completion.loop_queue.is_some().then(|| Scope::enter(&self.completion));
        match &self.batch {
            Batch::Read(read) => read.chunks(units),
            Batch::ReadShards(read, shards) => {
                shards.run(units, |shard| shard.plan.len(), |shard, range| read.subchunks(shard, range))
            }
            Batch::Write(write) => write.chunks(units),
            Batch::WriteShards(write, shards) => {
                shards.run(units, |shard| shard.plan.len(), |shard, range| write.subchunks(shard, range))
            }
        }
    }

    fn finished(self: Arc<Self>, outcome: Outcome) {
        let completion = Arc::clone(&self.completion);
        drop(self);
        completion.finish(outcome);
    }
}

/// The end of a batch, shared by the worker that brings it and the coroutine that waits.
#[derive(Default)]
pub struct Completion {
    state: Mutex<State>,
    /// What Python codecs want from the event loop, where there are any.
    loop_queue: Option<Arc<LoopQueue>>,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    done: bool,
    /// The event loop, what it shall call, and the future to call it with.
    waker: Option<[Py<PyAny>; 3]>,
    /// Python objects whose memory the units use; let go by the last worker.
    held: Vec<Py<PyAny>>,
    /// For Python codecs: whose call it is.
    caller: Option<Py<Caller>>,
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("done", &self.is_done()).finish_non_exhaustive()
    }
}

impl Completion {
    /// A completion that holds `held` until the end; with a `caller` where Python codecs are called for it.
    pub fn new(held: Vec<Py<PyAny>>, caller: Option<Py<Caller>>) -> Self {
        let loop_queue = caller.as_ref().map(|caller| Arc::clone(caller.get().loop_queue()));
        Self { loop_queue, state: Mutex::new(State { held, caller, ..State::default() }) }
    }

    /// What Python codecs want from the event loop of the call.
    pub fn loop_queue(&self) -> Option<&LoopQueue> {
        self.loop_queue.as_deref()
    }

    /// Whose call it is, for Python codecs, as long as the batch has not ended.
    pub fn caller(&self, py: Python<'_>) -> Option<Py<Caller>> {
        self.state().caller.as_ref().map(|caller| caller.clone_ref(py))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the batch has ended.
    pub fn is_done(&self) -> bool {
        self.state().done
    }

    /// How it ended, once.
    pub fn take_outcome(&self) -> Option<Outcome> {
        self.state().outcome.take()
    }

    /// Asks to be woken: `call` is called with `future` on `event_loop`. False if the batch has ended already.
    pub fn wake(&self, event_loop: Py<PyAny>, call: Py<PyAny>, future: Py<PyAny>) -> bool {
        let mut state = self.state();
        if state.done {
            return false;
        }
        state.waker = Some([event_loop, call, future]);
        true
    }

    /// Takes what is held, for a batch that was run on the calling thread.
    pub fn finish_inline(&self, outcome: Outcome) -> Vec<Py<PyAny>> {
        let mut state = self.state();
        state.outcome = Some(outcome);
        state.done = true;
        std::mem::take(&mut state.held)
    }

    fn finish(&self, outcome: Outcome) {
        let (waker, held) = {
            let mut state = self.state();
            state.outcome = Some(outcome);
            state.done = true;
            (state.waker.take(), (state.caller.take(), std::mem::take(&mut state.held)))
        };
        // No lock is held from here on: attaching may wait for the GIL.
        let mut left = Some((waker, held));
        Python::try_attach(|py| {
            let Some((waker, held)) = left.take() else { return };
            drop(held);
            if let Some([event_loop, call, future]) = waker {
                // The loop may be closed by now: then nobody waits any more.
                let woken = event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (call, future));
                drop(woken);
            }
        });
        // The interpreter is gone: its objects cannot be dropped any more.
        std::mem::forget(left);
    }
}
