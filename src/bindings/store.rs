//! Native stores as Python makes them: a directory, an open ZIP archive, or the dictionary of a memory store.

#![allow(unsafe_code, reason = "vouches for the bytes of stored objects, and for a descriptor")]

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::array::View;
use crate::bindings::errors::unsupported;
use crate::memory::BorrowedBytes;
use crate::pipeline::Batch;
use crate::pipeline::source::Store;
use crate::store::local::{LocalStore, Options};
use crate::store::zip::ZipStore;

/// The files of one `zarr.storage.LocalStore`.
#[pyclass(frozen, name = "LocalStore", module = "zarrs._internal")]
pub struct PyLocalStore(Arc<LocalStore>);

#[pymethods]
impl PyLocalStore {
    #[new]
    fn new(root: PathBuf, direct_io: bool, file_handle_cache_size: usize) -> Self {
        Self(Arc::new(LocalStore::new(root, Options { direct_io, handle_cache: file_handle_cache_size })))
    }

    /// Whether direct I/O was asked for and the file system refused it.
    fn direct_io_refused(&self) -> bool {
        self.0.direct_io_refused()
    }
}

/// The archive that one `zarr.storage.ZipStore` has open for reading.
#[pyclass(frozen, name = "ZipStore", module = "zarrs._internal")]
pub struct PyZipStore(Arc<ZipStore>);

#[pymethods]
impl PyZipStore {
    /// The archive behind Python's open `descriptor`, which is not kept: this store has one of its own for the same file.
    /// zipfile has found its directory at `start`, with so many different `names`.
    #[new]
    #[cfg(unix)]
    fn new(py: Python<'_>, descriptor: i32, path: PathBuf, start: u64, names: usize) -> PyResult<Self> {
        use crate::store::zip::Found;
        use std::fs::File;
        use std::os::fd::BorrowedFd;

        if descriptor < 0 {
            return Err(unsupported(py, "store", "its archive is closed"));
        }
        // SAFETY: it is not -1, and only borrowed for this call, in which zarr's lock keeps the archive open. Were it closed
        // all the same, the system would say so, or give another file, in which the directory is not found.
        let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?;
        let archive = py.detach(|| ZipStore::new(File::from(owned), path, Found { start, names }));
        archive.map(|archive| Self(Arc::new(archive))).map_err(|reason| unsupported(py, "store", &reason))
    }
}

/// The format's store for a batch (a directory, an archive, a dictionary, or a dictionary with a prefix of its keys), and the Python objects that must stay alive with it.
pub fn open(store: &Bound<'_, PyAny>, batch: &Batch) -> PyResult<(Store, Vec<Py<PyAny>>)> {
    if let Ok(local) = store.cast::<PyLocalStore>() {
        return Ok((Store::Local(Arc::clone(&local.get().0)), Vec::new()));
    }
    if let Ok(archive) = store.cast::<PyZipStore>() {
        return Ok((Store::Zip(Arc::clone(&archive.get().0)), Vec::new()));
    }
    let py = store.py();
    let (objects, prefix) = match store.cast::<PyTuple>() {
        Ok(pair) => (pair.get_item(0)?, pair.get_item(1)?.extract::<String>()?),
        Err(_) => (store.clone(), String::new()),
    };
    let objects = objects.cast::<PyDict>()?;
    let mut held = Vec::with_capacity(batch.chunks.len());
    let mut owners = Vec::with_capacity(batch.chunks.len());
    for number in 0..batch.chunks.len() {
        let key = batch.key(number);
        let found =
            if prefix.is_empty() { objects.get_item(key)? } else { objects.get_item(format!("{prefix}/{key}"))? };
        let Some(buffer) = found else {
            held.push(None);
            continue;
        };
        let array = buffer.getattr(intern!(py, "_data"))?;
        let view =
            View::new(&array).map_err(|_| unsupported(py, "store", "a stored buffer does not lie in main memory"))?;
        if view.item_size != 1 || view.strides.iter().any(|stride| *stride != 1) || view.shape.len() != 1 {
            return Err(unsupported(py, "store", "a stored buffer is not a row of bytes"));
        }
        // SAFETY: a row of bytes, whose owner is kept until the batch is done. That nobody writes it meanwhile is zarr's
        // rule: a stored buffer is replaced, never changed.
        held.push(Some(unsafe { BorrowedBytes::new(view.ptr, view.len()) }));
        owners.push(array.unbind());
    }
    Ok((Store::Memory(held), owners))
}
