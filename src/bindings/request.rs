//! What a call asks of a store in Python, and what the store returned.
#![allow(unsafe_code, reason = "vouches for the bytes that a store returned")]

use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::numpy::ArrayView;
use crate::memory::BorrowedBytes;
use crate::pipeline::Batch;
use crate::pipeline::requests::{Part, Request};
use crate::store::ByteRange;

/// One request to a store in Python.
#[pyclass(frozen, name = "Request", module = "zarrs._internal", get_all)]
pub struct PyRequest {
    /// What the answer is fed under.
    id: usize,
    /// The key of the object.
    key: String,
    /// The first byte; None for the whole object; for the last bytes their number, negative.
    start: Option<i64>,
    /// The end of the range; None for the whole object and for its last bytes.
    end: Option<u64>,
    /// About how many bytes the answer holds, or decodes to.
    size: u64,
    /// Whether the store has to be asked at all; else the answer is None.
    needed: bool,
}

impl PyRequest {
    /// `request`, for a chunk of `batch`.
    pub fn new(request: &Request, batch: &Batch) -> Self {
        let (start, end) = match request.range {
            ByteRange::Whole => (None, None),
            ByteRange::Range { start, len } => (Some(start as i64), Some(start + len)),
            ByteRange::Suffix(len) => (Some(-(len as i64)), None),
        };
        let key = batch.key(request.chunk).to_owned();
        Self { id: request.id, key, start, end, size: request.bytes, needed: request.needed }
    }
}

/// The bytes in `buffer`, which a store returned; `None` stays `None`.
///
/// # Errors
/// What Python raises for an object that holds no bytes.
pub fn part_of(buffer: &Bound<'_, PyAny>) -> PyResult<Option<Part>> {
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
    let mut view = ArrayView::new(&array)?;
    if view.shape.len() != 1 || view.item_size != 1 || view.strides[0] != 1 {
        let numpy = py.import(intern!(py, "numpy"))?;
        let bytes = buffer.call_method0(intern!(py, "to_bytes"))?;
        array = numpy.call_method1(intern!(py, "frombuffer"), (bytes, "B"))?;
        view = ArrayView::new(&array)?;
    }
    // SAFETY: a row of bytes whose owner is kept with it. That they do not change meanwhile is zarr's rule: the caller owns what
    // a store returned.
    let bytes = unsafe { BorrowedBytes::new(view.ptr, view.len()) };
    Ok(Some(Part::new(bytes, Box::new(array.unbind()))))
}
