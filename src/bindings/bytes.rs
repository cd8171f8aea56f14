//! Bytes that cross the boundary without a copy: handed to Python, and seen in a Python object.

#![allow(unsafe_code, reason = "fills and reads a Py_buffer")]

use std::cell::UnsafeCell;
use std::ffi::c_int;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// What `look` makes of the bytes of `object`, which must be in one piece.
///
/// # Errors
/// What Python raises for an object without a buffer of bytes.
pub fn with_bytes<R>(object: &Bound<'_, PyAny>, look: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    let buffer = PyBuffer::<u8>::get(object)?;
    let Some(bytes) = buffer.as_slice_ptr() else {
        return Err(PyBufferError::new_err("the bytes of a codec's result do not lie in one piece"));
    };
    // SAFETY: the buffer keeps the bytes where they are until it is dropped, after `look`. A codec gives its result away;
    // one that goes on writing it from another thread would find any mixture stored, as with zarr's own pipeline.
    Ok(look(unsafe { bytes.as_ref() }))
}

/// Bytes that the format made, exported through the buffer protocol: writable, as what a memory store holds.
#[pyclass(frozen, module = "zarrs._internal")]
#[derive(Debug)]
pub struct OwnedBytes(UnsafeCell<Box<[u8]>>);

// SAFETY: Rust never looks at the bytes again; who writes them through an export answers to Python's rules.
unsafe impl Sync for OwnedBytes {}

impl OwnedBytes {
    /// Takes `bytes` over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(UnsafeCell::new(bytes.into_boxed_slice()))
    }
}

#[pymethods]
impl OwnedBytes {
    fn __len__(&self) -> usize {
        // SAFETY: the box itself is never replaced.
        unsafe { &*self.0.get() }.len()
    }

    /// # Safety
    /// Called by Python with a buffer structure to fill.
    #[allow(clippy::needless_pass_by_value, reason = "the signature that PyO3 asks for")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer structure to fill"));
        }
        // SAFETY: the bytes live as long as `slf`, which the view keeps alive; nothing else refers to them.
        let filled = unsafe {
            let bytes = &mut *slf.get().0.get();
            let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len() as ffi::Py_ssize_t);
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, 0, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
