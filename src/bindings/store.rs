//! The stores that Rust reaches by itself, as Python makes them: a directory, an open ZIP archive, the objects of a memory store.
#![allow(unsafe_code, reason = "vouches for the bytes of stored objects, and for a descriptor")]

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bindings::bytes::OwnedBytes;
use crate::bindings::errors::unsupported;
use crate::bindings::numpy::ArrayView;
use crate::memory::BorrowedBytes;
use crate::pipeline::Batch;
use crate::store::local::{LocalStore, Options};
use crate::store::zip::ZipStore;
use crate::store::{Snapshot, Store};

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
    /// The archive behind Python's open `descriptor`, which is duplicated. zipfile has found its directory at `start`, with so
    /// many different `names`.
    #[new]
    #[cfg(unix)]
    fn new(py: Python<'_>, descriptor: i32, path: PathBuf, start: u64, names: usize) -> PyResult<Self> {
        use crate::store::zip::Found;
        use std::fs::File;
        use std::os::fd::BorrowedFd;

        if descriptor < 0 {
            return Err(unsupported(py, "store", "its archive is closed"));
        }
        // SAFETY: it is not -1, and only borrowed for this call, in which zarr's lock keeps the archive open. If it were
        // closed nevertheless, the system would say so, or return another file, in which the directory is not found.
        let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?;
        let archive = py.detach(|| ZipStore::new(File::from(owned), path, Found { start, names }));
        archive.map(|archive| Self(Arc::new(archive))).map_err(|reason| unsupported(py, "store", &reason))
    }
}

/// The objects of one `zarr.storage.MemoryStore`, or those below `prefix` of a store that shares its dictionary.
#[pyclass(frozen, name = "MemoryStore", module = "zarrs._internal")]
pub struct PyMemoryStore {
    objects: Py<PyDict>,
    prefix: String,
}

#[pymethods]
impl PyMemoryStore {
    #[new]
    fn new(objects: Py<PyDict>, prefix: String) -> Self {
        Self { objects, prefix }
    }
}

impl PyMemoryStore {
    /// The objects that `batch` names, and the Python objects that own their bytes.
    fn snapshot(&self, py: Python<'_>, batch: &Batch) -> PyResult<(Snapshot, Vec<Py<PyAny>>)> {
        let objects = self.objects.bind(py);
        let mut snapshot = Snapshot::with_capacity(batch.chunks.len());
        let mut owners = Vec::with_capacity(batch.chunks.len());
        for chunk in 0..batch.chunks.len() {
            let key = batch.key(chunk);
            let Some(buffer) = self.with_prefix(key, |key| objects.get_item(key))? else { continue };
            let array = buffer.getattr(intern!(py, "_data"))?;
            let view = ArrayView::new(&array)
                .map_err(|_| unsupported(py, "store", "a stored buffer does not lie in main memory"))?;
            // NumPy gives an empty array any stride.
            let is_row = view.shape.len() == 1 && (view.len() <= 1 || view.strides[0] == 1);
            if view.item_size != 1 || !is_row {
                return Err(unsupported(py, "store", "a stored buffer is not a row of bytes"));
            }
            // SAFETY: a row of bytes, whose owner is kept until the batch is done. That its bytes do not change meanwhile is
            // zarr's rule: a stored buffer is replaced, never changed.
            snapshot.insert(key, unsafe { BorrowedBytes::new(view.ptr, view.len()) });
            owners.push(array.unbind());
        }
        Ok((snapshot, owners))
    }

    /// Stores `bytes` at `key` as a buffer of the class `buffer`; `None` removes the key.
    pub fn put(&self, key: &str, bytes: Option<Vec<u8>>, buffer: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = buffer.py();
        let objects = self.objects.bind(py);
        let Some(bytes) = bytes else {
            self.with_prefix(key, |key| objects.call_method1(intern!(py, "pop"), (key, py.None())))?;
            return Ok(());
        };
        let numpy = py.import(intern!(py, "numpy"))?;
        let array = numpy.call_method1(intern!(py, "frombuffer"), (OwnedBytes::new(bytes), intern!(py, "B")))?;
        let stored = buffer.call_method1(intern!(py, "from_array_like"), (array,))?;
        self.with_prefix(key, |key| objects.set_item(key, stored))
    }

    fn with_prefix<R>(&self, key: &str, use_key: impl FnOnce(&str) -> R) -> R {
        if self.prefix.is_empty() { use_key(key) } else { use_key(&format!("{}/{key}", self.prefix)) }
    }
}

/// How an array's objects are reached.
pub enum StoreHandle {
    /// Files below a directory.
    Local(Arc<LocalStore>),
    /// Entries of an open archive.
    Zip(Arc<ZipStore>),
    /// A dictionary, of which each call takes a snapshot.
    Memory(Py<PyMemoryStore>),
    /// A store in Python: the caller fetches and stores.
    Caller,
}

impl StoreHandle {
    /// The handle that Python made, or None for a store that it reaches itself.
    ///
    /// # Errors
    /// `TypeError` for any other object.
    pub fn new(handle: &Bound<'_, PyAny>) -> PyResult<Self> {
        if handle.is_none() {
            return Ok(Self::Caller);
        }
        if let Ok(local) = handle.cast::<PyLocalStore>() {
            return Ok(Self::Local(Arc::clone(&local.get().0)));
        }
        if let Ok(archive) = handle.cast::<PyZipStore>() {
            return Ok(Self::Zip(Arc::clone(&archive.get().0)));
        }
        Ok(Self::Memory(handle.cast::<PyMemoryStore>()?.clone().unbind()))
    }

    /// The store for one call, and the Python objects that must stay alive with it; `None` for a store that the caller
    /// reaches.
    pub fn open(&self, py: Python<'_>, batch: &Batch) -> PyResult<Option<(Store, Vec<Py<PyAny>>)>> {
        Ok(match self {
            Self::Local(store) => Some((Store::Local(Arc::clone(store)), Vec::new())),
            Self::Zip(archive) => Some((Store::Zip(Arc::clone(archive)), Vec::new())),
            Self::Memory(memory) => {
                let (snapshot, owners) = memory.get().snapshot(py, batch)?;
                Some((Store::Snapshot(Arc::new(snapshot)), owners))
            }
            Self::Caller => None,
        })
    }
}
