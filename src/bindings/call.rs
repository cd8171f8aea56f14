//! One call of zarr: read the batch, choose where it runs, hand back results or something to wait for.
#![allow(unsafe_code, reason = "vouches for NumPy memory while the pool works on it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::bindings::array::View;
use crate::bindings::batch::{self, Expected};
use crate::bindings::chunk_format::PyChunkFormat;
use crate::bindings::errors::{to_python, unsupported};
use crate::bindings::owned::OwnedBytes;
use crate::bindings::python_step::Caller;
use crate::bindings::selection::Direction;
use crate::bindings::store;
use crate::bindings::vlen::{self, Target};
use crate::bindings::work::{Batch, Completion, Task, Units};
use crate::codec::bytes_to_bytes::PythonCall;
use crate::concurrency::{self, Job, Limits, Outcome, Work};
use crate::memory::{Element, SharedView, Swap};
use crate::pipeline::Batch as Projections;
use crate::pipeline::read::Read;
use crate::pipeline::write::{Stored, Write};
use crate::pipeline::{self, ChunkFormat};

/// Estimated work, in microseconds, that is done at once without letting go of the GIL: letting go and taking it again
/// beside a busy thread costs more.
const HOLDING: f64 = 60.0;
/// Estimated work that is done at once on the calling thread: waking a sleeping one costs as much.
const INLINE: f64 = 200.0;
/// How long the calling thread helps the pool before it returns to its event loop.
const HELP: Duration = Duration::from_micros(300);
/// Estimated work of one unit that the calling thread helps with, since it cannot leave in the middle of one.
const UNIT: f64 = 1000.0;

/// Chunks at a time where codecs wait for the event loop: zarr's own `async.concurrency`.
pub const WAITING: usize = 10;

/// Calls that go to the pool whatever their estimate, since the store was slow of late.
static SLOW: AtomicU32 = AtomicU32::new(0);

/// What a call takes from the configuration.
#[pyclass(frozen, module = "zarrs._internal")]
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads of the pool.
    pub threads: usize,
    minimum: usize,
    /// Chunks in flight at most.
    pub maximum: Option<usize>,
    /// Whether checksums are checked.
    pub validate: bool,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, threads, chunk_concurrent_minimum, chunk_concurrent_maximum, validate_checksums))]
    fn new(
        threads: usize,
        chunk_concurrent_minimum: usize,
        chunk_concurrent_maximum: Option<usize>,
        validate_checksums: bool,
    ) -> Self {
        Self {
            threads: threads.max(1),
            minimum: chunk_concurrent_minimum,
            maximum: chunk_concurrent_maximum,
            validate: validate_checksums,
        }
    }
}

/// Which chunks of bytes change order between stored and in-memory elements, as Python says it.
#[derive(FromPyObject)]
pub enum SwapSpec {
    Uniform(usize),
    Fields(Vec<(usize, usize, usize)>),
}

fn element_of(swap: Option<SwapSpec>, item_size: usize) -> PyResult<Element> {
    let swap = match swap {
        None => Swap::None,
        Some(SwapSpec::Uniform(unit)) if unit > 0 && item_size.is_multiple_of(unit) => Swap::Uniform(unit),
        Some(SwapSpec::Fields(fields))
            if fields.iter().all(|(offset, unit, count)| offset + unit * count <= item_size) =>
        {
            Swap::Fields(fields)
        }
        Some(_) => return Err(PyValueError::new_err(format!("the swap does not fit elements of {item_size} bytes"))),
    };
    Ok(Element { size: item_size, swap })
}

/// A batch that the pool is still working on.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Pending {
    kind: Kind,
    completion: Arc<Completion>,
    job: Job,
}

enum Kind {
    /// Elements of variable length are in their target only when it was filled.
    Read(Arc<Read>, Option<Target>),
    Write(Arc<Write>),
}

#[pymethods]
impl Pending {
    /// Asks that `event_loop` calls `call(future)` at the end; False if the end has come already.
    fn wake(&self, event_loop: Py<PyAny>, call: Py<PyAny>, future: Py<PyAny>) -> bool {
        self.completion.wake(event_loop, call, future)
    }

    /// Starts no new unit; running ones end.
    fn cancel(&self, py: Python<'_>) {
        if let Some(caller) = self.completion.caller(py) {
            caller.get().give_up();
        }
        py.detach(|| self.job.cancel());
    }

    /// The results, once, after the end.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.kind.result(py, self.completion.take_outcome())
    }
}

impl Kind {
    fn python_call(&self) -> Option<PythonCall> {
        match self {
            Self::Read(read, _) => read.format().chain.python_call(),
            Self::Write(write) => write.format().chain.python_call(),
        }
    }

    fn result(&self, py: Python<'_>, outcome: Option<Outcome>) -> PyResult<Py<PyAny>> {
        let Some(outcome) = outcome else {
            return Err(PyRuntimeError::new_err("the batch has not ended, or its result was taken already"));
        };
        let failure = match outcome {
            Outcome { error: Some((_, error)), .. } => Some(to_python(py, error)),
            Outcome { cancelled: true, .. } => {
                Some(PyErr::from_value(py.import("asyncio")?.getattr("CancelledError")?.call0()?))
            }
            _ => None,
        };
        match self {
            Self::Read(read, target) => {
                if let Some(failure) = failure {
                    return Err(failure);
                }
                if let Some(target) = target {
                    // SAFETY: the batch has ended without an error, and `read` keeps what its references point to.
                    unsafe { target.fill(py)? };
                }
                statuses(py, read)
            }
            Self::Write(write) => {
                // What was encoded before the failure is stored all the same: a call is atomic by key, not as a whole.
                let changes = changes(py, write)?;
                let failure = failure.map(|failure| failure.into_value(py));
                Ok((changes, failure).into_pyobject(py)?.into_any().unbind())
            }
        }
    }
}

/// One result for each projection, in order: a plain dictionary, the same object for the same status.
pub fn statuses(py: Python<'_>, read: &Read) -> PyResult<Py<PyAny>> {
    let status = |name: &str| {
        let result = PyDict::new(py);
        result.set_item(intern!(py, "status"), name).map(|()| result)
    };
    let (present, missing) = (status("present")?, status("missing")?);
    let projections = read.missing_projections();
    let results = projections.into_iter().map(|row| if row { &missing } else { &present });
    Ok(PyTuple::new(py, results.collect::<Vec<_>>())?.into_any().unbind())
}

/// What a memory store has to do: key and new bytes, `None` to erase.
fn changes<'py>(py: Python<'py>, write: &Write) -> PyResult<Bound<'py, PyList>> {
    let changes = PyList::empty(py);
    for number in 0..write.len() {
        match write.take_stored(number) {
            None => {}
            Some(Stored::Erase) => changes.append((write.batch().key(number), py.None()))?,
            Some(Stored::Set(bytes)) => changes.append((write.batch().key(number), OwnedBytes::new(bytes)))?,
        }
    }
    Ok(changes)
}

/// What a call of zarr hands over beside the array.
pub struct Call<'a, 'py> {
    /// The batch.
    pub items: &'a Bound<'py, PyList>,
    /// The `StorePath` class.
    pub path_type: &'a Bound<'py, PyAny>,
    /// The store of the first item.
    pub store: &'a Bound<'py, PyAny>,
    /// The `ArraySpec` of the first item.
    pub spec: &'a Bound<'py, PyAny>,
    /// Axes that chunks have and the array has not.
    pub drop_axes: &'a [usize],
}

impl<'py> Call<'_, 'py> {
    /// The batch of a read and the array it fills; `None` if the array's layout must be left to NumPy. Whoever uses the
    /// array keeps `out` alive until no unit runs any more.
    pub fn target(
        &self,
        format: &ChunkFormat,
        out: &Bound<'py, PyAny>,
        swap: Option<SwapSpec>,
    ) -> PyResult<Option<(pipeline::Batch, SharedView, Option<Target>)>> {
        let view = View::new(out)?;
        if !view.writeable {
            return Err(PyValueError::new_err("assignment destination is read-only"));
        }
        if view.may_overlap() {
            return Ok(None);
        }
        let batch = self.batch(&view, Direction::Read)?;
        if let Some(text) = &format.text {
            let (references, target) = Target::new(out, &view, text.utf8)?;
            return Ok(Some((batch, references, Some(target))));
        }
        check_items(&view, format.item_size)?;
        let element = element_of(swap, format.item_size)?;
        // SAFETY: NumPy says that the elements are there, that they may be written (checked above) and that different ones
        // share no byte (`may_overlap`); the caller keeps them until the last unit has ended, and no unit runs later. Not
        // guaranteed: two chunks of a batch that zarr's indexers did not make may name one element, whose value is then
        // open.
        let out = unsafe { SharedView::new(view.ptr, &view.shape, view.strides, element, true) };
        Ok(Some((batch, out, None)))
    }

    /// The batch of a write, the array it takes and what else must be kept, as for a read.
    pub fn source(
        &self,
        format: &ChunkFormat,
        value: &Bound<'py, PyAny>,
        swap: Option<SwapSpec>,
    ) -> PyResult<(pipeline::Batch, SharedView, Vec<Py<PyAny>>)> {
        let view = View::new(value)?;
        let batch = self.batch(&view, Direction::Write)?;
        let mut owners = Vec::new();
        if let Some(text) = &format.text {
            let references = vlen::references(value, &view, text.utf8, &mut owners)?;
            return Ok((batch, references, owners));
        }
        check_items(&view, format.item_size)?;
        let element = element_of(swap, format.item_size)?;
        // SAFETY: NumPy says that the elements are there, and the caller keeps them until the last unit has ended; no unit
        // runs later. Not guaranteed: whoever changes the value while it is written may find any mixture stored.
        let value = unsafe { SharedView::new(view.ptr, &view.shape, view.strides, element, false) };
        Ok((batch, value, owners))
    }

    fn batch(&self, view: &View, direction: Direction) -> PyResult<pipeline::Batch> {
        let Self { path_type, store, spec, drop_axes, .. } = *self;
        batch::read(self.items, &Expected { path_type, store, spec, shape: &view.shape, drop_axes, direction })
    }
}

/// Reads a batch into `out`: the results, or a `Pending`; `None` if the array's layout must be left to NumPy.
#[pyfunction]
#[pyo3(signature = (format, store, items, path_type, spec, out, swap, drop_axes, options))]
#[allow(clippy::too_many_arguments, reason = "one crossing of the boundary; Python calls it from one place")]
#[allow(clippy::needless_pass_by_value, reason = "extracted from Python, so owned")]
pub fn read(
    py: Python<'_>,
    format: &Bound<'_, PyChunkFormat>,
    store: &Bound<'_, PyTuple>,
    items: &Bound<'_, PyList>,
    path_type: &Bound<'_, PyAny>,
    spec: &Bound<'_, PyAny>,
    out: &Bound<'_, PyAny>,
    swap: Option<SwapSpec>,
    drop_axes: Vec<usize>,
    options: &Bound<'_, Options>,
) -> PyResult<Option<Py<PyAny>>> {
    let (whole, format) = (format, &format.get().0);
    let options = options.get();
    let call = Call { items, path_type, store: &store.get_item(0)?, spec, drop_axes: &drop_axes };
    let Some((batch, out_view, target)) = call.target(format, out, swap)? else { return Ok(None) };
    let python = format.chain.python_call();
    check_shapes(py, python, &batch)?;
    let (source, mut held) = store::open(&store.get_item(1)?, &batch)?;
    held.push(out.clone().unbind());
    // So that its Python codecs are let go by a thread that may.
    held.extend(python.map(|_| whole.clone().into_any().unbind()));
    let read = Arc::new(
        Read::new(Arc::clone(format), batch, source, out_view, options.validate)
            .map_err(|error| to_python(py, error))?,
    );
    let estimate = read.estimate();
    let limited = options.maximum.is_some_and(|maximum| maximum < read.len());
    let batch = if (estimate > INLINE || python.is_some()) && read.schedule_subchunks(options.threads) && !limited {
        let shards = read.shards().map_err(|error| to_python(py, error))?;
        Batch::ReadShards(Arc::clone(&read), Units::new(shards, |shard| shard.plan.len()))
    } else {
        Batch::Read(Arc::clone(&read))
    };
    run(py, batch, Kind::Read(read, target), held, estimate, options).map(Some)
}

/// Writes a batch from `value`: `(changes, error)`, or a `Pending` whose result is that.
#[pyfunction]
#[pyo3(signature = (format, store, items, path_type, spec, value, swap, drop_axes, options))]
#[allow(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as for `read`")]
pub fn write(
    py: Python<'_>,
    format: &Bound<'_, PyChunkFormat>,
    store: &Bound<'_, PyTuple>,
    items: &Bound<'_, PyList>,
    path_type: &Bound<'_, PyAny>,
    spec: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    swap: Option<SwapSpec>,
    drop_axes: Vec<usize>,
    options: &Bound<'_, Options>,
) -> PyResult<Py<PyAny>> {
    let (whole, format) = (format, &format.get().0);
    let options = options.get();
    let call = Call { items, path_type, store: &store.get_item(0)?, spec, drop_axes: &drop_axes };
    let (batch, value_view, owners) = call.source(format, value, swap)?;
    let python = format.chain.python_call();
    check_shapes(py, python, &batch)?;
    let (source, mut held) = store::open(&store.get_item(1)?, &batch)?;
    held.push(value.clone().unbind());
    held.extend(owners);
    // So that its Python codecs are let go by a thread that may.
    held.extend(python.map(|_| whole.clone().into_any().unbind()));
    let write = Arc::new(
        Write::new(Arc::clone(format), batch, source, value_view, options.validate)
            .map_err(|error| to_python(py, error))?,
    );
    let estimate = write.estimate();
    let limited = options.maximum.is_some_and(|maximum| maximum < write.len());
    let batch = if (estimate > INLINE || python.is_some()) && write.schedule_subchunks(options.threads) && !limited {
        let shards = write.shards().map_err(|error| to_python(py, error))?;
        Batch::WriteShards(Arc::clone(&write), Units::new(shards, |shard| shard.plan.len()))
    } else {
        Batch::Write(Arc::clone(&write))
    };
    run(py, batch, Kind::Write(write), held, estimate, options)
}

fn check_items(view: &View, item_size: usize) -> PyResult<()> {
    if view.item_size == item_size {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "the array has elements of {} bytes, the chunks of {item_size} bytes",
        view.item_size
    )))
}

/// Refuses a batch of several chunk shapes where Python codecs were prepared for one.
pub fn check_shapes(py: Python<'_>, python: Option<PythonCall>, batch: &Projections) -> PyResult<()> {
    if python.is_some() && batch.specs.windows(2).any(|pair| pair[0].shape != pair[1].shape) {
        return Err(unsupported(py, "batch", "its chunks differ in shape, and Python codecs are among their steps"));
    }
    Ok(())
}

fn run(
    py: Python<'_>,
    batch: Batch,
    kind: Kind,
    held: Vec<Py<PyAny>>,
    estimate: f64,
    options: &Options,
) -> PyResult<Py<PyAny>> {
    let python = kind.python_call();
    let caller = python.map(|kind| Caller::here(py, kind == PythonCall::EventLoop)).transpose()?;
    let completion = Arc::new(Completion::new(held, caller));
    let task = Task::new(batch, Arc::clone(&completion));
    let grain = grain_of(&task, options.threads);
    // All synchronous callers share zarr's one loop: while another call is active, this thread is wanted there.
    let alone = concurrency::active() == 0;
    let slow = SLOW.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1)).is_ok();
    if estimate < INLINE && alone && !slow && python.is_none() {
        let started = Instant::now();
        let outcome = if estimate < HOLDING {
            concurrency::run_inline(&task, grain)
        } else {
            py.detach(|| concurrency::run_inline(&task, grain))
        };
        if started.elapsed() > Duration::from_micros(1000 + 4 * estimate as u64) {
            SLOW.store(16, Ordering::Relaxed);
        }
        drop(completion.finish_inline(outcome));
        return kind.result(py, completion.take_outcome());
    }
    if concurrency::is_shut_down() {
        // On the calling thread it would hold zarr's event loop, which zarr is about to stop.
        return Err(PyRuntimeError::new_err("cannot read or write chunks: the interpreter is shutting down"));
    }
    let units = task.units();
    // Waiting takes no CPU: as many at a time as zarr itself has.
    let threads = if python == Some(PythonCall::EventLoop) { options.threads.max(WAITING) } else { options.threads };
    let split = concurrency::split(units, 1, threads, options.minimum, options.maximum.map(|maximum| maximum.max(1)));
    let limits = Limits { threads, participants: split.outer, isolated: python.is_some(), grain };
    let work: Arc<dyn Work> = Arc::new(task);
    let job = py.detach(|| {
        if alone && python.is_none() && estimate < UNIT * units as f64 {
            concurrency::submit_and_help(work, limits, HELP)
        } else {
            concurrency::submit(work, limits)
        }
    });
    if completion.is_done() {
        return kind.result(py, completion.take_outcome());
    }
    Ok(Pending { kind, completion, job }.into_pyobject(py)?.into_any().unbind())
}

/// Units that a participant takes at once: enough neighbours for a line along the array's last axis, few enough that all
/// participants have work.
fn grain_of(task: &Task, threads: usize) -> usize {
    (task.units() / (4 * threads.max(1))).clamp(1, 16)
}

/// Interpreter exit: no new work, running units end, then this returns.
#[pyfunction]
pub fn shutdown(py: Python<'_>) {
    py.detach(concurrency::shutdown);
}

/// CPUs that this process may use.
#[pyfunction]
pub fn cpus() -> usize {
    concurrency::cpus()
}
