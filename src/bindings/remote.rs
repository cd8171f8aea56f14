//! Reads and writes of stores that Python awaits: requests out, bytes in; encoded chunks out. The event loop's side is
//! `python/zarrs/_remote.py`.

#![allow(unsafe_code, reason = "vouches for the bytes of what a store gave")]

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings::array::View;
use crate::bindings::call::{Call, Options, SwapSpec, check_shapes, statuses};
use crate::bindings::chunk_format::PyChunkFormat;
use crate::bindings::errors::to_python;
use crate::bindings::owned::OwnedBytes;
use crate::bindings::session::{Job, Session, locked};
use crate::bindings::vlen::Target;
use crate::error::Error;
use crate::memory::BorrowedBytes;
use crate::pipeline::read::Read;
use crate::pipeline::requests::{Coalesce, Part, Reading, Request, Unit};
use crate::pipeline::source::Store;
use crate::pipeline::write::{ShardWrite, Stored, Write};
use crate::store::ByteRange;

/// Estimated work, in microseconds, that is done at once on the thread that feeds: a hand-over costs as much.
const INLINE: f64 = 60.0;
/// Estimated work that a thread which exists for one call does itself.
const OWN: f64 = 4000.0;
/// Estimated work below which the GIL is kept.
const HOLDING: f64 = 20.0;
/// Subchunks of a written shard that one unit encodes.
const SUBCHUNKS: usize = 16;

impl Job for Reading {
    type Unit = Unit;

    fn run(&self, unit: &Unit) -> Result<(), (usize, Error)> {
        Self::run(self, unit)
    }

    fn bytes(&self, unit: &Unit) -> u64 {
        match unit {
            Unit::Object { part, .. } | Unit::Subchunks { part, .. } => {
                part.as_ref().map_or(0, |part| part.len() as u64)
            }
        }
    }
}

/// What `buffer`, which a store returned, holds; `None` stays `None`.
fn part_of(buffer: &Bound<'_, PyAny>) -> PyResult<Option<Part>> {
    if buffer.is_none() {
        return Ok(None);
    }
    let py = buffer.py();
    let is_array = |object: &Bound<'_, PyAny>| object.hasattr(intern!(py, "__array_struct__"));
    let mut array = match buffer.getattr(intern!(py, "_data")) {
        Ok(array) if is_array(&array)? => array,
        _ if is_array(buffer)? => buffer.clone(),
        _ => buffer.call_method0(intern!(py, "as_numpy_array"))?,
    };
    let mut view = View::new(&array)?;
    if view.shape.len() != 1 || view.item_size != 1 || view.strides[0] != 1 {
        let numpy = py.import(intern!(py, "numpy"))?;
        let bytes = buffer.call_method0(intern!(py, "to_bytes"))?;
        array = numpy.call_method1(intern!(py, "frombuffer"), (bytes, "B"))?;
        view = View::new(&array)?;
    }
    // SAFETY: a row of bytes whose owner is kept with it. That nobody writes it meanwhile is zarr's rule: what a store
    // returned is the caller's.
    let held = unsafe { BorrowedBytes::new(view.ptr, view.len()) };
    Ok(Some(Part::new(held, Box::new(array.unbind()))))
}

/// A read in progress.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct RemoteRead {
    session: Arc<Session<Reading>>,
    first: Mutex<Vec<Request>>,
    /// Elements of variable length are in their target only when it was filled.
    text: Option<Target>,
}

#[pymethods]
impl RemoteRead {
    /// A read of `items` into `out`; None if the array's layout must be left to NumPy.
    #[staticmethod]
    #[pyo3(signature = (format, store, items, path_type, spec, out, swap, drop_axes, options, max_gap, max_bytes))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as for `call::read`")]
    fn open(
        py: Python<'_>,
        format: &Bound<'_, PyChunkFormat>,
        store: &Bound<'_, PyAny>,
        items: &Bound<'_, PyList>,
        path_type: &Bound<'_, PyAny>,
        spec: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        swap: Option<SwapSpec>,
        drop_axes: Vec<usize>,
        options: &Bound<'_, Options>,
        max_gap: u64,
        max_bytes: u64,
    ) -> PyResult<Option<Self>> {
        let (whole, format) = (format, &format.get().0);
        let options = options.get();
        let call = Call { items, path_type, store, spec, drop_axes: &drop_axes };
        let Some((batch, target, text)) = call.target(format, out, swap)? else { return Ok(None) };
        check_shapes(py, format.chain.python_call(), &batch)?;
        let raise = |error| to_python(py, error);
        let read = Read::new(Arc::clone(format), batch, Store::Memory(Vec::new()), target, options.validate);
        let (reading, first) = Reading::new(read.map_err(raise)?, Coalesce { max_gap, max_bytes }).map_err(raise)?;
        let session = Session::new(reading, vec![out.clone().unbind()], whole, options.threads, options.maximum)?;
        Ok(Some(Self { session, first: Mutex::new(first), text }))
    }

    /// The first requests, once: for each `(id, key, start, end, bytes)`. `start` is None for a whole object; a negative
    /// one, with `end` None, asks for that many last bytes.
    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let first = std::mem::take(&mut *locked(&self.first));
        self.to_list(py, &first)
    }

    /// Takes what the store gave for request `id`: the requests that follow. With `own` this thread exists for the call,
    /// and decodes what it brings.
    fn feed<'py>(&self, id: usize, buffer: &Bound<'py, PyAny>, own: bool) -> PyResult<Bound<'py, PyList>> {
        let py = buffer.py();
        self.session.drop_spent();
        if self.session.is_stopped() {
            return Ok(PyList::empty(py));
        }
        let part = part_of(buffer)?;
        match self.session.job.feed(id, part) {
            Ok((requests, units)) => {
                let estimate = units.iter().map(|unit| self.session.job.estimate(unit)).sum();
                start(py, &self.session, units, estimate, if own { OWN } else { INLINE });
                self.to_list(py, &requests)
            }
            Err((chunk, error)) => {
                self.session.fail(chunk, error);
                Ok(PyList::empty(py))
            }
        }
    }

    /// Whether no unit is queued or runs.
    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// Whether a unit failed, so that nothing more should be asked for.
    fn is_stopped(&self) -> bool {
        self.session.is_stopped()
    }

    /// Bytes fed and not decoded yet.
    fn backlog(&self) -> u64 {
        self.session.backlog()
    }

    /// Starts nothing more.
    fn stop(&self, py: Python<'_>) {
        self.session.give_up(py);
        self.session.stop();
    }

    /// Asks that `event_loop` calls `call(future)` once nothing is left to decode, or (`any`) once something was decoded;
    /// False if nothing is left now.
    fn wake(&self, event_loop: Py<PyAny>, call: Py<PyAny>, future: Py<PyAny>, any: bool) -> bool {
        self.session.wake(event_loop, call, future, any)
    }

    /// The results, one for each projection, or the error of the lowest chunk that failed.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.session.drop_spent();
        let gone = self.session.job.gone();
        if !gone.is_empty() {
            py.detach(|| self.session.run_here(gone));
            self.session.drop_spent();
        }
        match self.session.take_failure() {
            Some(error) => Err(to_python(py, error)),
            None if !self.session.is_idle() => Err(PyRuntimeError::new_err("the read has not ended")),
            None => {
                if let Some(text) = &self.text {
                    // SAFETY: nothing is queued or runs, and nothing failed; the session keeps what references point to.
                    unsafe { text.fill(py)? };
                }
                statuses(py, &self.session.job.read)
            }
        }
    }
}

impl RemoteRead {
    fn to_list<'py>(&self, py: Python<'py>, requests: &[Request]) -> PyResult<Bound<'py, PyList>> {
        let batch = self.session.job.read.batch();
        let list = PyList::empty(py);
        for request in requests {
            let (start, end): (Option<i128>, Option<u64>) = match request.range {
                ByteRange::Whole => (None, None),
                ByteRange::Range { start, len } => (Some(i128::from(start)), Some(start + len)),
                ByteRange::Suffix(len) => (Some(-i128::from(len)), None),
            };
            list.append((request.id, batch.key(request.chunk), start, end, request.bytes))?;
        }
        Ok(list)
    }
}

fn start<J: Job>(py: Python<'_>, session: &Arc<Session<J>>, units: Vec<J::Unit>, estimate: f64, inline: f64) {
    if session.calls_python() {
        py.detach(|| session.push(units));
    } else if estimate < HOLDING {
        session.run_here(units);
    } else if estimate < inline {
        py.detach(|| session.run_here(units));
    } else {
        py.detach(|| session.push(units));
    }
}

/// A chunk that is to be encoded, or subchunks of it; with its stored bytes where they are needed.
pub enum EncodeUnit {
    Chunk { number: usize, old: Option<Arc<Part>> },
    Subchunks { number: usize, shard: Arc<ShardWrite>, first: usize, end: usize, old: Option<Arc<Part>> },
}

/// A write whose stored bytes somebody else gets, and whose encoded chunks somebody else stores.
pub struct Writing {
    write: Write,
    encoded: Mutex<Vec<(usize, Stored)>>,
}

impl Job for Writing {
    type Unit = EncodeUnit;

    fn run(&self, unit: &EncodeUnit) -> Result<(), (usize, Error)> {
        let number = match unit {
            EncodeUnit::Chunk { number, old } => {
                self.write.chunk_over(*number, old.as_deref().map(Part::bytes))?;
                *number
            }
            EncodeUnit::Subchunks { number, shard, first, end, old } => {
                self.write.subchunks_over(shard, *first..*end, old.as_deref().map(Part::bytes))?;
                *number
            }
        };
        if let Some(stored) = self.write.take_stored(number) {
            locked(&self.encoded).push((number, stored));
        }
        Ok(())
    }

    fn bytes(&self, unit: &EncodeUnit) -> u64 {
        match unit {
            EncodeUnit::Chunk { old, .. } | EncodeUnit::Subchunks { old, .. } => {
                old.as_ref().map_or(0, |part| part.len() as u64)
            }
        }
    }
}

/// A write in progress.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct RemoteWrite {
    session: Arc<Session<Writing>>,
}

#[pymethods]
impl RemoteWrite {
    /// A write of `value` to `items`.
    #[new]
    #[pyo3(signature = (format, store, items, path_type, spec, value, swap, drop_axes, options))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as for `call::read`")]
    fn new(
        py: Python<'_>,
        format: &Bound<'_, PyChunkFormat>,
        store: &Bound<'_, PyAny>,
        items: &Bound<'_, PyList>,
        path_type: &Bound<'_, PyAny>,
        spec: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        swap: Option<SwapSpec>,
        drop_axes: Vec<usize>,
        options: &Bound<'_, Options>,
    ) -> PyResult<Self> {
        let (whole, format) = (format, &format.get().0);
        let options = options.get();
        let call = Call { items, path_type, store, spec, drop_axes: &drop_axes };
        let (batch, source, mut owners) = call.source(format, value, swap)?;
        check_shapes(py, format.chain.python_call(), &batch)?;
        let write = Write::new(Arc::clone(format), batch, Store::Memory(Vec::new()), source, options.validate)
            .map_err(|error| to_python(py, error))?;
        let job = Writing { write, encoded: Mutex::default() };
        owners.push(value.clone().unbind());
        let session = Session::new(job, owners, whole, options.threads, options.maximum)?;
        Ok(Self { session })
    }

    /// For each chunk `(number, key, whether its stored bytes are needed, its decoded length in bytes)`.
    fn chunks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let write = &self.session.job.write;
        let list = PyList::empty(py);
        for number in 0..write.len() {
            let needs_old = write.needs_old(number).map_err(|error| to_python(py, error))?;
            list.append((number, write.batch().key(number), needs_old, write.layout(number).len))?;
        }
        Ok(list)
    }

    /// Encodes chunk `number` over the stored bytes in `buffer` (None: missing, or not needed).
    fn feed(&self, number: usize, buffer: &Bound<'_, PyAny>, own: bool) -> PyResult<()> {
        let py = buffer.py();
        self.session.drop_spent();
        if self.session.is_stopped() {
            return Ok(());
        }
        let old = part_of(buffer)?.map(Arc::new);
        let write = &self.session.job.write;
        let estimate = write.estimate_encode(number);
        let units = if write.is_shard() && estimate > OWN && !own {
            let shard = Arc::new(write.shard(number).map_err(|error| to_python(py, error))?);
            let count = shard.plan.len();
            (0..count)
                .step_by(SUBCHUNKS)
                .map(|first| EncodeUnit::Subchunks {
                    number,
                    shard: Arc::clone(&shard),
                    first,
                    end: count.min(first + SUBCHUNKS),
                    old: old.clone(),
                })
                .collect()
        } else {
            vec![EncodeUnit::Chunk { number, old }]
        };
        start(py, &self.session, units, estimate, if own { f64::INFINITY } else { INLINE });
        Ok(())
    }

    /// What is ready to be stored: key, chunk number, and the new bytes or None to delete the key.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let encoded = std::mem::take(&mut *locked(&self.session.job.encoded));
        let list = PyList::empty(py);
        for (number, stored) in encoded {
            let key = self.session.job.write.batch().key(number);
            match stored {
                Stored::Set(bytes) => list.append((number, key, OwnedBytes::new(bytes)))?,
                Stored::Erase => list.append((number, key, py.None()))?,
            }
        }
        Ok(list)
    }

    /// As for reads.
    fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// As for reads.
    fn is_stopped(&self) -> bool {
        self.session.is_stopped()
    }

    /// As for reads.
    fn stop(&self, py: Python<'_>) {
        self.session.give_up(py);
        self.session.stop();
    }

    /// As for reads.
    fn wake(&self, event_loop: Py<PyAny>, call: Py<PyAny>, future: Py<PyAny>, any: bool) -> bool {
        self.session.wake(event_loop, call, future, any)
    }

    /// Raises the error of the lowest chunk that failed.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        self.session.drop_spent();
        match self.session.take_failure() {
            Some(error) => Err(to_python(py, error)),
            None => Ok(()),
        }
    }
}
