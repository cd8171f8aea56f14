//! zarr's batch as plain projections, in one pass under the GIL.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::bindings::errors::unsupported;
use crate::bindings::selection::{Direction, Side, pair};
use crate::pipeline::{Batch, Chunk, ChunkSpec, Projection};
use crate::selection::Span;

/// What every item of the batch must agree on.
pub struct Expected<'a, 'py> {
    /// The `StorePath` class.
    pub path_type: &'a Bound<'py, PyAny>,
    /// The store of the first item.
    pub store: &'a Bound<'py, PyAny>,
    /// The `ArraySpec` of the first item, for which the format was made.
    pub spec: &'a Bound<'py, PyAny>,
    /// Shape of `out` or `value`.
    pub shape: &'a [usize],
    /// Axes that the chunk side has and the array side has not.
    pub drop_axes: &'a [usize],
    /// Which way elements go.
    pub direction: Direction,
}

/// Reads all items.
///
/// # Errors
/// `IndexError` and `ValueError` as NumPy raises them for selections that do not fit; `UnsupportedError` where the items
/// differ in store, data type or fill value.
pub fn read(items: &Bound<'_, PyList>, expected: &Expected<'_, '_>) -> PyResult<Batch> {
    let py = items.py();
    let mut batch = Batch::default();
    let count = items.len();
    batch.projections.reserve(count);
    batch.chunks.reserve(count);
    batch.axes.reserve(count * expected.shape.len().max(1));
    let mut keys = Keys::with_capacity(count);
    let mut specs: Vec<(*mut pyo3::ffi::PyObject, usize)> = Vec::new();
    let (mut chunk, mut array) = (Side::default(), Side::default());
    let mut group_of_row = Vec::with_capacity(count);
    for item in items.iter() {
        let item = item.cast::<PyTuple>()?;
        let [getter, spec, chunk_selection, out_selection, complete] = &item.as_slice_of::<5>()?;
        if !getter.get_type().is(expected.path_type) || !getter.getattr(intern!(py, "store"))?.is(expected.store) {
            return Err(unsupported(py, "batch", "its items belong to different stores"));
        }
        let seen = specs.iter().rev().find(|(seen, _)| *seen == spec.as_ptr());
        let spec = if let Some((_, number)) = seen {
            *number
        } else {
            let number = read_spec(spec, expected.spec, &mut batch.specs)?;
            // Many distinct specs are looked up by their own pointer only while they are near.
            if specs.len() == 8 {
                specs.remove(0);
            }
            specs.push((spec.as_ptr(), number));
            number
        };
        let shape = &batch.specs[spec].shape;
        chunk.read(chunk_selection, shape, &mut batch.lists)?;
        let rank = shape.len();
        match expected.direction {
            Direction::Read => {
                array.read(out_selection, expected.shape, &mut batch.lists)?;
                if !expected.drop_axes.is_empty() {
                    chunk.squeeze(expected.drop_axes)?;
                }
            }
            Direction::Write if expected.shape.is_empty() => array.scalar(),
            Direction::Write => {
                array.read(out_selection, expected.shape, &mut batch.lists)?;
                if !expected.drop_axes.is_empty() {
                    array.expand(expected.drop_axes, rank)?;
                }
            }
        }
        let start = batch.axes.len();
        pair(&chunk, &array, expected.direction, &mut batch.axes)?;
        let axes = Span { start, len: batch.axes.len() - start };
        let path = getter.getattr(intern!(py, "path"))?;
        let path = path.cast::<PyString>()?;
        let Ok(key) = path.to_str() else {
            return Err(unsupported(py, "key", "it is not valid Unicode"));
        };
        let chunk = keys.group_of(key, spec, &mut batch);
        batch.chunks[chunk].projections.len += 1;
        group_of_row.push(chunk);
        batch.projections.push(Projection { axes, complete: complete.is_truthy()? });
    }
    order_rows(&mut batch, &group_of_row);
    Ok(batch)
}

/// Projection numbers by chunk, in batch order within a chunk.
fn order_rows(batch: &mut Batch, group_of_row: &[usize]) {
    if batch.chunks.len() == batch.projections.len() {
        batch.order = (0..batch.projections.len()).collect();
        for (number, chunk) in batch.chunks.iter_mut().enumerate() {
            chunk.projections.start = number;
        }
        return;
    }
    let mut start = 0;
    for chunk in &mut batch.chunks {
        chunk.projections.start = start;
        start += chunk.projections.len;
    }
    let mut next: Vec<usize> = batch.chunks.iter().map(|chunk| chunk.projections.start).collect();
    batch.order = vec![0; batch.projections.len()];
    for (row, chunk) in group_of_row.iter().enumerate() {
        batch.order[next[*chunk]] = row;
        next[*chunk] += 1;
    }
}

fn read_spec(spec: &Bound<'_, PyAny>, first: &Bound<'_, PyAny>, specs: &mut Vec<ChunkSpec>) -> PyResult<usize> {
    let py = spec.py();
    if !spec.is(first) {
        for name in [intern!(py, "dtype"), intern!(py, "fill_value"), intern!(py, "prototype")] {
            let (this, other) = (spec.getattr(name)?, first.getattr(name)?);
            // A fill value that is not equal to itself (a NaN) is the same object in every spec of one call.
            if !this.is(&other) && !this.eq(&other)? {
                return Err(unsupported(py, "batch", "its chunks differ in data type, fill value or buffer prototype"));
            }
        }
    }
    let shape: Vec<usize> = spec.getattr(intern!(py, "shape"))?.extract()?;
    let write_empty = spec.getattr(intern!(py, "config"))?.getattr(intern!(py, "write_empty_chunks"))?.is_truthy()?;
    let found = ChunkSpec { shape, write_empty };
    if specs.last() != Some(&found) {
        specs.push(found);
    }
    Ok(specs.len() - 1)
}

/// Finds the chunk of a key; batches of zarr's own indexers name each key once, hand-made ones may repeat them.
struct Keys {
    table: Vec<u32>,
    mask: usize,
}

impl Keys {
    fn with_capacity(count: usize) -> Self {
        let size = (2 * count).next_power_of_two();
        Self { table: vec![u32::MAX; size], mask: size - 1 }
    }

    fn group_of(&mut self, key: &str, spec: usize, batch: &mut Batch) -> usize {
        // FNV-1a: keys are short, and nobody gains by colliding with themselves.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut slot = (hash ^ hash >> 29) as usize & self.mask;
        loop {
            match self.table[slot] {
                u32::MAX => break,
                chunk if batch.key(chunk as usize) == key => return chunk as usize,
                _ => slot = (slot + 1) & self.mask,
            }
        }
        let start = batch.keys.len();
        batch.keys.push_str(key);
        let chunk = batch.chunks.len();
        batch.chunks.push(Chunk { key: Span { start, len: key.len() }, spec, projections: Span { start: 0, len: 0 } });
        self.table[slot] = u32::try_from(chunk).expect("fewer than 2^32 chunks in a batch");
        chunk
    }
}

trait AsSlice<'py> {
    fn as_slice_of<const N: usize>(&self) -> PyResult<[Bound<'py, PyAny>; N]>;
}

impl<'py> AsSlice<'py> for Bound<'py, PyTuple> {
    fn as_slice_of<const N: usize>(&self) -> PyResult<[Bound<'py, PyAny>; N]> {
        if self.len() != N {
            return Err(PyTypeError::new_err(format!("an item of a batch has {N} parts, this has {}", self.len())));
        }
        let mut parts = self.iter();
        Ok(std::array::from_fn(|_| parts.next().expect("the length was just compared")))
    }
}
