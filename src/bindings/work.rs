//! One read or write as work for the pool: what its units do, what must stay alive meanwhile, and what comes of it.
#![allow(unsafe_code, reason = "vouches for what references point to")]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::errors::{drop_attached, to_python};
use crate::bindings::python_codec::{Context, Scope};
use crate::bindings::store::PyMemoryStore;
use crate::bindings::vlen::PendingElements;
use crate::bindings::wake::Waker;
use crate::codec::bytes_to_bytes::PythonCall;
use crate::concurrency::{self, Latch, Outcome, Work, locked};
use crate::error::Error;
use crate::pipeline::ChunkFormat;
use crate::pipeline::fed_read::FedRead;
use crate::pipeline::fed_write::FedWrite;
use crate::pipeline::read::Read;
use crate::pipeline::store_read::StoreRead;
use crate::pipeline::store_write::StoreWrite;
use crate::pipeline::units::{FedUnits, HoldsBytes, Units};

/// What is read or written, and how its bytes are reached.
pub enum Task {
    /// A read of a native store.
    StoreRead(StoreRead, Option<PendingElements>),
    /// A write to a native store; a memory store is written at the end, with buffers of the class beside it.
    StoreWrite(StoreWrite, Option<(Py<PyMemoryStore>, Py<PyAny>)>),
    /// A read whose bytes the caller fetches.
    FedRead(FedRead, Option<PendingElements>),
    /// A write whose bytes the caller fetches and stores.
    FedWrite(FedWrite),
}

impl Task {
    fn format(&self) -> &ChunkFormat {
        match self {
            Self::StoreRead(task, _) => task.read.format(),
            Self::StoreWrite(task, _) => task.write.format(),
            Self::FedRead(task, _) => task.read.format(),
            Self::FedWrite(task) => task.write.format(),
        }
    }

    /// Whether, and where, its units call Python codecs.
    pub fn python_call(&self) -> Option<PythonCall> {
        self.format().chain.python_call()
    }

    /// The results of a read, one for each projection; None for a write.
    ///
    /// # Errors
    /// The error of the first chunk that failed; `CancelledError`.
    pub(crate) fn result(&self, py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
        let failure = match outcome {
            Outcome { error: Some((_, error)), .. } => Some(to_python(py, error)),
            Outcome { cancelled: true, .. } if concurrency::is_shut_down() => Some(shutting_down()),
            Outcome { cancelled: true, .. } => {
                Some(PyErr::from_value(py.import("asyncio")?.getattr("CancelledError")?.call0()?))
            }
            _ => None,
        };
        if let Self::StoreWrite(task, Some((memory, buffer))) = self {
            // What was encoded before a failure is stored: a call is atomic by key, not as a whole.
            for (chunk, bytes) in task.take_ready() {
                memory.get().put(task.write.batch().key(chunk), bytes, buffer.bind(py))?;
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        match self {
            Self::StoreRead(task, pending) => results(py, &task.read, pending.as_ref()),
            Self::FedRead(task, pending) => {
                py.detach(|| task.fill_vanished());
                results(py, &task.read, pending.as_ref())
            }
            Self::StoreWrite(..) | Self::FedWrite(_) => Ok(py.None()),
        }
    }
}

/// The error of a call that comes too late.
pub fn shutting_down() -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err("cannot read or write chunks: the interpreter is shutting down")
}

/// One result for each projection, in order: a plain dictionary, the same object for the same status.
fn results(py: Python<'_>, read: &Read, pending: Option<&PendingElements>) -> PyResult<Py<PyAny>> {
    if let Some(pending) = pending {
        // SAFETY: the call has ended without an error, and `read` keeps what its references point to.
        unsafe { pending.fill(py)? };
    }
    let status = |name: &str| {
        let result = PyDict::new(py);
        result.set_item(intern!(py, "status"), name).map(|()| result)
    };
    let (present, missing) = (status("present")?, status("missing")?);
    let results = read.missing_projections().into_iter().map(|is_missing| if is_missing { &missing } else { &present });
    Ok(PyTuple::new(py, results.collect::<Vec<_>>())?.into_any().unbind())
}

/// A task, and all that must stay alive until no unit of it runs any more.
pub struct CallWork {
    /// The task.
    pub task: Task,
    /// The call that Python codecs run for, where there are any.
    pub context: Option<Arc<Context>>,
    /// Python objects whose memory the units use; dropped when the last unit has ended.
    held: Mutex<Vec<Py<PyAny>>>,
    /// Set at the end.
    pub(crate) ended: Latch<Outcome>,
    /// Woken when the next fed unit has ended.
    unit_ended: Mutex<Option<Waker>>,
}

impl CallWork {
    /// `task`, for which `held` stays alive.
    ///
    /// # Errors
    /// `RuntimeError` if a Python codec needs an event loop, and none runs on this thread.
    pub fn new(py: Python<'_>, task: Task, held: Vec<Py<PyAny>>) -> PyResult<Self> {
        let context = task.python_call().map(|kind| Context::here(py, kind)).transpose()?;
        Ok(Self { task, context, held: Mutex::new(held), ended: Latch::default(), unit_ended: Mutex::default() })
    }

    /// What has to be dropped at the end, by a thread that is attached.
    pub fn release(&self) -> impl Send + use<> {
        (std::mem::take(&mut *locked(&self.held)), self.context.as_ref().and_then(|context| context.end()))
    }

    /// Whether no fed unit waits or runs.
    pub fn is_idle(&self) -> bool {
        match &self.task {
            Task::FedRead(task, _) => task.units.pending() == 0,
            Task::FedWrite(task) => task.units.pending() == 0,
            Task::StoreRead(..) | Task::StoreWrite(..) => self.ended.is_set(),
        }
    }

    /// Has `waker` woken when the next unit ends; false, and no wake-up, if no unit waits or runs.
    pub fn wake_at_unit(&self, waker: Waker) -> bool {
        let before = locked(&self.unit_ended).replace(waker);
        drop(before);
        // The thread that ends a unit counts it before it takes the waker: one of the two sees the other.
        if !self.is_idle() {
            return true;
        }
        let unused = locked(&self.unit_ended).take();
        unused.is_none()
    }

    fn tell_unit_ended(&self) {
        let waker = locked(&self.unit_ended).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn scope(&self) -> Option<Scope> {
        self.context.as_ref().map(Scope::enter)
    }

    /// Drops fed units that have run; by a thread that is attached.
    pub fn drop_spent(&self) {
        match &self.task {
            Task::FedRead(task, _) => drop(task.units.take_spent()),
            Task::FedWrite(task) => drop(task.units.take_spent()),
            Task::StoreRead(..) | Task::StoreWrite(..) => {}
        }
    }
}

/// Runs the next of `units` for each number in `range`.
fn run_fed<U: HoldsBytes>(
    units: &FedUnits<U>,
    range: Range<usize>,
    run: impl Fn(&U) -> Result<(), (usize, Error)>,
) -> Result<(), (usize, Error)> {
    for _ in range {
        let Some(unit) = units.pop() else { return Ok(()) };
        let outcome = concurrency::caught(0, || run(&unit));
        units.spend(unit);
        outcome?;
    }
    Ok(())
}

impl Work for CallWork {
    fn units(&self) -> usize {
        match &self.task {
            Task::StoreRead(task, _) => task.len(),
            Task::StoreWrite(task, _) => task.len(),
            Task::FedRead(..) | Task::FedWrite(_) => 0,
        }
    }

    fn run(&self, units: Range<usize>) -> Result<(), (usize, Error)> {
        let _scope = self.scope();
        let outcome = match &self.task {
            Task::StoreRead(task, _) => return task.run(units),
            Task::StoreWrite(task, _) => return task.run(units),
            Task::FedRead(task, _) => run_fed(&task.units, units, |unit| task.run(unit)),
            Task::FedWrite(task) => run_fed(&task.units, units, |unit| task.run(unit)),
        };
        self.tell_unit_ended();
        outcome
    }

    fn finished(self: Arc<Self>, outcome: Outcome) {
        match &self.task {
            Task::FedRead(task, _) => task.units.abandon(),
            Task::FedWrite(task) => task.units.abandon(),
            Task::StoreRead(..) | Task::StoreWrite(..) => {}
        }
        let released = self.release();
        // No lock is held from here on: attaching may wait for the GIL.
        let mut released = Some(released);
        Python::try_attach(|_| {
            drop(released.take());
            self.drop_spent();
        });
        drop_attached(released);
        drop(self.ended.set(outcome));
        self.tell_unit_ended();
    }
}
