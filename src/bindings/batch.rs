//! zarr's batch as plain data, in one pass under the GIL.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyString, PyTuple, PyType};

use crate::bindings::errors::unsupported;
use crate::bindings::selection::{Direction, Side, pair};
use crate::pipeline::{Batch, BatchBuilder, ChunkSpec};

/// The items that zarr passed, and what all of them must agree on: the store and the `ArraySpec` of the first.
pub struct Items<'a, 'py> {
    list: &'a Bound<'py, PyList>,
    store: Bound<'py, PyAny>,
    /// The `ArraySpec` of the first item.
    pub spec: Bound<'py, PyAny>,
    /// Axes that chunks have and the array has not.
    drop_axes: &'a [usize],
}

impl<'a, 'py> Items<'a, 'py> {
    /// The items of `list`, which is not empty.
    ///
    /// # Errors
    /// `TypeError` for what is no batch.
    pub fn new(list: &'a Bound<'py, PyList>, drop_axes: &'a [usize]) -> PyResult<Self> {
        let first = list.get_item(0)?.cast_into::<PyTuple>()?;
        let store = first.get_item(0)?.getattr(intern!(list.py(), "store"))?;
        Ok(Self { list, store, spec: first.get_item(1)?, drop_axes })
    }

    /// All items as a batch onto an array of `array_shape`.
    ///
    /// # Errors
    /// `IndexError` and `ValueError` as NumPy raises them for selections that do not fit; `UnsupportedError` where the items
    /// differ in store, data type or fill value.
    pub fn read(&self, array_shape: &[usize], direction: Direction) -> PyResult<Batch> {
        let py = self.list.py();
        let path_type = store_path_type(py)?;
        let mut builder = BatchBuilder::with_capacity(self.list.len(), array_shape.len());
        let mut specs: Vec<(*mut pyo3::ffi::PyObject, usize)> = Vec::new();
        let (mut chunk, mut array) = (Side::default(), Side::default());
        for item in self.list.iter() {
            let item = item.cast::<PyTuple>()?;
            let [getter, spec, chunk_selection, out_selection, complete] = &item.as_slice_of::<5>()?;
            if !getter.get_type().is(path_type) || !getter.getattr(intern!(py, "store"))?.is(&self.store) {
                return Err(unsupported(py, "batch", "its items belong to different stores"));
            }
            let batch = &mut builder.batch;
            let seen = specs.iter().rev().find(|(seen, _)| *seen == spec.as_ptr());
            let spec = if let Some((_, number)) = seen {
                *number
            } else {
                let number = read_spec(spec, &self.spec, &mut batch.specs)?;
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
            match direction {
                Direction::Read => {
                    array.read(out_selection, array_shape, &mut batch.lists)?;
                    if !self.drop_axes.is_empty() {
                        chunk.squeeze(self.drop_axes)?;
                    }
                }
                Direction::Write if array_shape.is_empty() => array.scalar(),
                Direction::Write => {
                    array.read(out_selection, array_shape, &mut batch.lists)?;
                    if !self.drop_axes.is_empty() {
                        array.expand(self.drop_axes, rank)?;
                    }
                }
            }
            let first_axis = batch.axes.len();
            pair(&chunk, &array, direction, &mut batch.axes)?;
            let path = getter.getattr(intern!(py, "path"))?;
            let Ok(key) = path.cast::<PyString>()?.to_str() else {
                return Err(unsupported(py, "key", "it is not valid Unicode"));
            };
            builder.push(key, spec, first_axis, complete.is_truthy()?);
        }
        Ok(builder.finish())
    }
}

/// zarr's `StorePath`: the byte getter of every item that comes from an array.
fn store_path_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "zarr.storage._common", "StorePath")
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
