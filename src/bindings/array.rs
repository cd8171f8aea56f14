//! One array, ready to be read and written: its format, its store, and what the configuration says.

use std::sync::Arc;
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings::batch::Items;
use crate::bindings::call::Call;
use crate::bindings::chunk_format::PyChunkFormat;
use crate::bindings::dispatch::{self, CallEstimate, Place};
use crate::bindings::errors::{to_python, unsupported};
use crate::bindings::python_codec::WAITING;
use crate::bindings::store::StoreHandle;
use crate::bindings::views::{Input, Output, SwapSpec};
use crate::bindings::work::{CallWork, Task, shutting_down};
use crate::codec::bytes_to_bytes::PythonCall;
use crate::concurrency::{self, Limits, Work};
use crate::pipeline::fed_read::FedRead;
use crate::pipeline::fed_write::FedWrite;
use crate::pipeline::plan::Coalesce;
use crate::pipeline::read::Read;
use crate::pipeline::store_read::StoreRead;
use crate::pipeline::store_write::StoreWrite;
use crate::pipeline::write::Write;
use crate::pipeline::{Batch, ChunkFormat};

/// What a call takes from the configuration.
#[pyclass(frozen, module = "zarrs._internal")]
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads of the pool.
    threads: usize,
    /// Chunks in flight at most.
    maximum: Option<usize>,
    /// Whether checksums are checked.
    validate: bool,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, threads, chunk_concurrent_maximum, validate_checksums))]
    fn new(threads: usize, chunk_concurrent_maximum: Option<usize>, validate_checksums: bool) -> Self {
        Self { threads: threads.max(1), maximum: chunk_concurrent_maximum, validate: validate_checksums }
    }
}

/// An array of one format in one store.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Array {
    format: Py<PyChunkFormat>,
    store: StoreHandle,
    options: Options,
}

/// What a call returns at once: its result, or the call that is under way.
type Started = (Option<Py<PyAny>>, Option<Py<Call>>);

#[pymethods]
#[allow(clippy::needless_pass_by_value, reason = "extracted from Python, so owned")]
impl Array {
    /// `store` is a handle on a native store, or None where the caller fetches and stores.
    #[new]
    fn new(format: Py<PyChunkFormat>, store: &Bound<'_, PyAny>, options: &Bound<'_, Options>) -> PyResult<Self> {
        Ok(Self { format, store: StoreHandle::new(store)?, options: options.get().clone() })
    }

    /// Reads the batch `items` into `out`: the results, one for each item, and None; or None and the call that is under way.
    ///
    /// `swap` says which bytes change order between stored elements and those of `out`; `drop_axes` which axes chunks have
    /// and `out` has not.
    fn read(
        &self,
        items: &Bound<'_, PyList>,
        out: &Bound<'_, PyAny>,
        swap: Option<SwapSpec>,
        drop_axes: Vec<usize>,
    ) -> PyResult<Started> {
        let py = items.py();
        let items = Items::new(items, &drop_axes)?;
        let format = &self.format.get().0;
        let Output { batch, view, pending } = Output::new(&items, out, format, swap)?;
        let mut held = self.held(py, out, &batch)?;
        let store = self.store.open(py, &batch)?;
        let raise = |error| to_python(py, error);
        let read = Read::new(Arc::clone(format), batch, view, self.options.validate).map_err(raise)?;
        let Some((store, owners)) = store else {
            let read = FedRead::new(read, coalesce_of(&items.spec)?).map_err(raise)?;
            return self.open_call(py, Task::FedRead(read, pending), held);
        };
        held.extend(owners);
        let chunks = read.len();
        let mut read = StoreRead::new(read, store);
        let micros = read.estimate();
        if self.may_divide(chunks, micros) {
            read.schedule_for(self.options.threads).map_err(raise)?;
        }
        self.run(py, Task::StoreRead(read, pending), held, micros)
    }

    /// Writes the batch `items` from `value`: (None, None), or None and the call that is under way. Else as `read`.
    fn write(
        &self,
        items: &Bound<'_, PyList>,
        value: &Bound<'_, PyAny>,
        swap: Option<SwapSpec>,
        drop_axes: Vec<usize>,
    ) -> PyResult<Started> {
        let py = items.py();
        let items = Items::new(items, &drop_axes)?;
        let format = &self.format.get().0;
        let Input { batch, view, owners } = Input::new(&items, value, format, swap)?;
        let mut held = self.held(py, value, &batch)?;
        held.extend(owners);
        let store = self.store.open(py, &batch)?;
        let raise = |error| to_python(py, error);
        let write = Write::new(Arc::clone(format), batch, view, self.options.validate).map_err(raise)?;
        let Some((store, owners)) = store else {
            return self.open_call(py, Task::FedWrite(FedWrite::new(write)), held);
        };
        held.extend(owners);
        let chunks = write.len();
        let mut write = StoreWrite::new(write, store);
        let micros = write.estimate();
        if self.may_divide(chunks, micros) {
            write.schedule_for(self.options.threads).map_err(raise)?;
        }
        let memory = match &self.store {
            StoreHandle::Memory(memory) => {
                let buffer = items.spec.getattr(intern!(py, "prototype"))?.getattr(intern!(py, "buffer"))?;
                Some((memory.clone_ref(py), buffer.unbind()))
            }
            _ => None,
        };
        self.run(py, Task::StoreWrite(write, memory), held, micros)
    }
}

impl Array {
    fn format(&self) -> &ChunkFormat {
        &self.format.get().0
    }

    /// The Python objects that a call on `array` keeps alive, if the format can take `batch`.
    fn held(&self, py: Python<'_>, array: &Bound<'_, PyAny>, batch: &Batch) -> PyResult<Vec<Py<PyAny>>> {
        let mut held = vec![array.clone().unbind()];
        if self.format().chain.python_call().is_some() {
            if batch.specs.windows(2).any(|pair| pair[0].shape != pair[1].shape) {
                let reason = "its chunks differ in shape, and Python codecs are among their steps";
                return Err(unsupported(py, "batch", reason));
            }
            // So that its Python codecs are dropped by a thread that is attached.
            held.push(self.format.clone_ref(py).into_any());
        }
        Ok(held)
    }

    /// Whether units smaller than chunks may pay for a call on `chunks` that takes `micros`: it may go to the pool, and the
    /// configuration does not allow fewer chunks in flight than there are.
    fn may_divide(&self, chunks: usize, micros: f64) -> bool {
        let limited = self.options.maximum.is_some_and(|maximum| maximum < chunks);
        !limited && dispatch::may_use_pool(micros, self.format().chain.python_call().is_some())
    }

    fn limits(&self, python: Option<PythonCall>, units: usize) -> Limits {
        let threads = if python == Some(PythonCall::EventLoop) {
            self.options.threads.max(WAITING)
        } else {
            self.options.threads
        };
        let participants = concurrency::participants(units, threads, self.options.maximum);
        Limits {
            threads,
            participants,
            isolated: python.is_some(),
            grain: dispatch::grain(units, self.options.threads),
        }
    }

    /// Opens a call whose bytes the caller fetches.
    fn open_call(&self, py: Python<'_>, task: Task, held: Vec<Py<PyAny>>) -> PyResult<Started> {
        if concurrency::is_shut_down() {
            return Err(shutting_down());
        }
        // Units come one by one, so a participant that took several would leave others without work.
        let limits = Limits { grain: 1, ..self.limits(task.python_call(), usize::MAX) };
        let work = Arc::new(CallWork::new(py, task, held)?);
        let job = concurrency::open(Arc::clone(&work) as Arc<dyn Work>, limits);
        Ok((None, Some(Py::new(py, Call::new(work, job))?)))
    }

    /// Runs a call on a native store: here, or on the pool.
    fn run(&self, py: Python<'_>, task: Task, held: Vec<Py<PyAny>>, micros: f64) -> PyResult<Started> {
        let python = task.python_call();
        let work = CallWork::new(py, task, held)?;
        let units = work.units();
        let estimate = CallEstimate { micros, units, calls_python: python.is_some() };
        let limits = self.limits(python, units);
        let helped_for = match estimate.place() {
            Place::Pool(time) => time,
            place => {
                let started = Instant::now();
                let outcome = place.run(py, || concurrency::run_inline(&work, limits.grain));
                estimate.took(started.elapsed());
                return Ok((Some(work.task.result(py, outcome)?), None));
            }
        };
        if concurrency::is_shut_down() {
            // On the calling thread it would hold zarr's event loop, which zarr is about to stop.
            return Err(shutting_down());
        }
        let work = Arc::new(work);
        let shared = Arc::clone(&work) as Arc<dyn Work>;
        let job = py.detach(|| {
            if helped_for.is_zero() {
                concurrency::submit(shared, limits)
            } else {
                concurrency::submit_and_help(shared, limits, helped_for)
            }
        });
        match work.ended.take() {
            Some(outcome) => Ok((Some(work.task.result(py, outcome)?), None)),
            None => Ok((None, Some(Py::new(py, Call::new(work, job))?))),
        }
    }
}

/// When ranges of one shard become one request, by the configuration of its array; older releases of zarr have no setting.
fn coalesce_of(spec: &Bound<'_, PyAny>) -> PyResult<Coalesce> {
    let py = spec.py();
    let config = spec.getattr(intern!(py, "config"))?;
    let setting = |name: &Bound<'_, pyo3::types::PyString>, default: u64| match config.getattr_opt(name)? {
        Some(value) => value.extract(),
        None => Ok(default),
    };
    Ok(Coalesce {
        max_gap: setting(intern!(py, "sharding_coalesce_max_gap_bytes"), 1 << 20)?,
        max_bytes: setting(intern!(py, "sharding_coalesce_max_bytes"), 16 << 20)?,
    })
}
