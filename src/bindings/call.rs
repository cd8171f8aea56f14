//! A read or a write that is under way: what Python sees of it. A call on a native store makes no requests and takes no bytes;
//! it only ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings::bytes::OwnedBytes;
use crate::bindings::dispatch::{self, Place};
use crate::bindings::errors::to_python;
use crate::bindings::request::{PyRequest, part_of};
use crate::bindings::wake::Waker;
use crate::bindings::work::{CallWork, Task};
use crate::concurrency::{Job, caught};
use crate::error::Error;
use crate::pipeline::Batch;
use crate::pipeline::requests::Request;
use crate::pipeline::units::{FedUnits, HoldsBytes};

/// A read or write that is under way.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Call {
    work: Arc<CallWork>,
    job: Job,
    /// Whether it was cancelled, which may be after its last unit: encoded chunks are then not stored any more.
    cancelled: AtomicBool,
    /// Chunks of a write that were not fed yet.
    unfed: AtomicUsize,
}

impl Call {
    /// The call that `job` carries out.
    pub(crate) fn new(work: Arc<CallWork>, job: Job) -> Self {
        let unfed = if let Task::FedWrite(task) = &work.task { task.write.len() } else { 0 };
        Self { work, job, cancelled: AtomicBool::new(false), unfed: AtomicUsize::new(unfed) }
    }

    /// Runs `units` here or on the pool.
    fn start<U: HoldsBytes + Send>(
        &self,
        py: Python<'_>,
        queue: &FedUnits<U>,
        (units, micros): (Vec<U>, f64),
        dedicated_thread: bool,
        run: impl Fn(&U) -> Result<(), (usize, Error)> + Send + Sync,
    ) {
        if units.is_empty() {
            return;
        }
        let place = dispatch::place_of_units(micros, dedicated_thread, self.work.context.is_some());
        if let Place::Pool(_) = place {
            let count = units.len();
            queue.push(units);
            return py.detach(|| self.job.push(count));
        }
        queue.hold(&units);
        place.run(py, || {
            for unit in units {
                let outcome = if self.job.is_stopped() { Ok(()) } else { caught(0, || run(&unit)) };
                queue.spend(unit);
                if let Err((chunk, error)) = outcome {
                    self.job.fail(chunk, error);
                }
            }
        });
    }
}

#[pymethods]
impl Call {
    /// The first requests, once; none for a call on a native store.
    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match &self.work.task {
            Task::FedRead(task, _) => list_of(py, &task.take_first(), task.read.batch()),
            Task::FedWrite(task) => {
                let requests = task.requests().map_err(|error| to_python(py, error))?;
                list_of(py, &requests, task.write.batch())
            }
            Task::StoreRead(..) | Task::StoreWrite(..) => Ok(PyList::empty(py)),
        }
    }

    /// Takes the answer to request `id` (None: no such object) and returns the requests that follow. A thread that works for
    /// this call alone says so by `dedicated_thread`, and decodes more of what it brings by itself.
    #[pyo3(signature = (id, buffer, *, dedicated_thread = false))]
    fn feed<'py>(&self, id: usize, buffer: &Bound<'py, PyAny>, dedicated_thread: bool) -> PyResult<Bound<'py, PyList>> {
        let py = buffer.py();
        self.work.drop_spent();
        if self.is_stopped() {
            return Ok(PyList::empty(py));
        }
        match &self.work.task {
            Task::FedRead(task, _) => {
                let mut next = Vec::new();
                match task.feed(id, part_of(buffer)?) {
                    Ok((requests, units)) => {
                        next = requests;
                        let micros = units.iter().map(|unit| task.estimate(unit)).sum();
                        self.start(py, &task.units, (units, micros), dedicated_thread, |unit| task.run(unit));
                    }
                    Err((chunk, error)) => self.job.fail(chunk, error),
                }
                if task.requests.answered() {
                    py.detach(|| self.job.close());
                }
                list_of(py, &next, task.read.batch())
            }
            Task::FedWrite(task) => {
                let micros = task.write.estimate(id);
                let by_subchunks = dispatch::shares_out_shard(micros, dedicated_thread);
                let units = task.feed(id, part_of(buffer)?, by_subchunks);
                let units = units.map_err(|error| to_python(py, error))?;
                self.start(py, &task.units, (units, micros), dedicated_thread, |unit| task.run(unit));
                if self.unfed.fetch_sub(1, Ordering::AcqRel) == 1 {
                    py.detach(|| self.job.close());
                }
                Ok(PyList::empty(py))
            }
            Task::StoreRead(..) | Task::StoreWrite(..) => Err(PyRuntimeError::new_err("this call makes no requests")),
        }
    }

    /// The chunks of a write that are ready to be stored: number, key, and the new bytes, or None to erase the key.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        if let Task::FedWrite(task) = &self.work.task {
            for (chunk, bytes) in task.ready.take() {
                list.append((chunk, task.write.batch().key(chunk), bytes.map(OwnedBytes::new)))?;
            }
        }
        Ok(list)
    }

    /// Bytes that were fed and not decoded yet.
    fn backlog(&self) -> u64 {
        match &self.work.task {
            Task::FedRead(task, _) => task.units.held(),
            Task::FedWrite(task) => task.units.held(),
            Task::StoreRead(..) | Task::StoreWrite(..) => 0,
        }
    }

    /// Whether no unit waits or runs.
    fn is_idle(&self) -> bool {
        self.work.is_idle()
    }

    /// Whether nothing more is started: a unit failed, or the call was cancelled.
    fn is_stopped(&self) -> bool {
        self.cancelled.load(Ordering::Acquire) || self.job.is_stopped()
    }

    /// Asks that `event_loop` calls `callback(future)` at the end of the call, or (`at_unit`) when the next unit has ended;
    /// False, and no such call, if the call has ended, or no unit waits or runs.
    #[pyo3(signature = (event_loop, callback, future, *, at_unit = false))]
    fn wake(&self, event_loop: Py<PyAny>, callback: Py<PyAny>, future: Py<PyAny>, at_unit: bool) -> bool {
        let waker = Waker { event_loop, callback, future };
        if at_unit {
            return self.work.wake_at_unit(waker);
        }
        self.work.ended.on_set(Box::new(move || waker.wake())).is_ok()
    }

    /// Starts no new unit; running ones end.
    fn cancel(&self, py: Python<'_>) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(context) = &self.work.context {
            context.queue.give_up();
        }
        py.detach(|| self.job.cancel());
    }

    /// The results of a read, one for each projection, once the call has ended; None for a write.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.work.drop_spent();
        match self.work.ended.take() {
            Some(outcome) => self.work.task.result(py, outcome),
            None => Err(PyRuntimeError::new_err("the call has not ended, or its result was taken already")),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A call that Python lost track of would wait for bytes for ever.
        if matches!(self.work.task, Task::FedRead(..) | Task::FedWrite(_)) {
            self.job.cancel();
        }
    }
}

fn list_of<'py>(py: Python<'py>, requests: &[Request], batch: &Batch) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, requests.iter().map(|request| PyRequest::new(request, batch)))
}
