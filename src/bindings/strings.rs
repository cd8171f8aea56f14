//! NumPy's `StringDType` through its C functions: strings of an array unpacked, references packed. Leaves out arrays of
//! Python objects (`text.rs`).
#![allow(unsafe_code, reason = "packed strings are known by address only")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCapsule;

use crate::bindings::numpy::ArrayView;
use crate::memory::References;

/// The strings of one array, locked: until this is dropped no Python code may run on this thread.
pub struct Strings {
    api: StringApi,
    allocator: *mut c_void,
    locked: Cell<bool>,
    /// Keeps the allocator.
    _data_type: Py<PyAny>,
}

impl Strings {
    /// Locks the strings of `array`, whose data type is `StringDType`.
    pub fn of(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let api = StringApi::get(array.py())?;
        let data_type = array.getattr(intern!(array.py(), "dtype"))?;
        // SAFETY: the data type of an array of kind T is an instance of StringDType.
        let allocator = unsafe { (api.acquire)(data_type.as_ptr()) };
        Ok(Self { api, allocator, locked: Cell::new(true), _data_type: data_type.unbind() })
    }

    /// The string at `element`; `None` if it is missing (or damaged, which NumPy tells in its own way).
    ///
    /// # Safety
    /// An element of the array; the result is used while these strings are locked.
    pub unsafe fn load(&self, element: *const u8) -> Option<&[u8]> {
        let mut text = Unpacked { size: 0, start: std::ptr::null() };
        // SAFETY: as the caller vouches.
        let loaded = unsafe { (self.api.load)(self.allocator, element.cast(), &raw mut text) };
        if loaded != 0 {
            return None;
        }
        if text.size == 0 {
            return Some(&[]);
        }
        // SAFETY: NumPy's answer, valid while the allocator is locked.
        Some(unsafe { std::slice::from_raw_parts(text.start.cast(), text.size) })
    }
}

impl Strings {
    fn unlock(&self) {
        if self.locked.replace(false) {
            // SAFETY: acquired by `of`, on this thread.
            unsafe { (self.api.release)(self.allocator) };
        }
    }
}

impl Drop for Strings {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// The packing of all references into an array of strings.
pub struct Packing<'a> {
    /// The array.
    pub view: &'a ArrayView,
    /// What is packed.
    pub references: &'a References,
    /// Its strings, locked.
    pub strings: &'a Strings,
}

// SAFETY: it runs on the thread that made it, without the GIL: NumPy's functions for packed strings need none, and both
// the array and its data type are held by the caller.
unsafe impl Send for Packing<'_> {}

impl Packing<'_> {
    /// Packs them and unlocks the strings; false if NumPy ran out of memory.
    ///
    /// # Safety
    /// No thread writes the references any more, and all that they point to is still there; the view is of the array that the
    /// strings belong to.
    pub unsafe fn run(&self) -> bool {
        let (mut at, mut packed) = (0, true);
        let Strings { api, allocator, .. } = self.strings;
        self.view.each(&mut |element| {
            // SAFETY: the batch has ended; see the caller.
            if let Some(text) = unsafe { self.references.get(at) } {
                // SAFETY: an element of the array that the allocator belongs to; NumPy copies the bytes.
                let outcome =
                    unsafe { (api.pack)(*allocator, element.cast_mut().cast(), text.as_ptr().cast(), text.len()) };
                packed &= outcome == 0;
            }
            at += 1;
        });
        // Before this thread waits for the GIL: the thread that holds it may wait for these strings.
        self.strings.unlock();
        packed
    }
}

type Load = unsafe extern "C" fn(*mut c_void, *const c_void, *mut Unpacked) -> c_int;
type Pack = unsafe extern "C" fn(*mut c_void, *mut c_void, *const c_char, usize) -> c_int;
type Acquire = unsafe extern "C" fn(*mut ffi::PyObject) -> *mut c_void;
type Release = unsafe extern "C" fn(*mut c_void);

/// The functions of NumPy's C interface that handle packed strings (`numpy/__multiarray_api.h`; their places in the table
/// are part of its binary interface since 2.0).
#[derive(Clone, Copy)]
struct StringApi {
    load: Load,
    pack: Pack,
    acquire: Acquire,
    release: Release,
}

/// NumPy's `npy_static_string`.
#[repr(C)]
struct Unpacked {
    size: usize,
    start: *const c_char,
}

const FEATURE_VERSION: usize = 211;
const LOAD: usize = 313;
const PACK: usize = 314;
const ACQUIRE: usize = 316;
const RELEASE: usize = 318;
/// NumPy 2.0 in the numbers of its C interface.
const WITH_STRINGS: c_uint = 0x12;

impl StringApi {
    fn get(py: Python<'_>) -> PyResult<Self> {
        static API: PyOnceLock<StringApi> = PyOnceLock::new();
        API.get_or_try_init(py, || {
            let module = py.import("numpy._core._multiarray_umath")?;
            let capsule = module.getattr(intern!(py, "_ARRAY_API"))?.cast_into::<PyCapsule>()?;
            let table = capsule.pointer_checked(None)?.cast::<*const c_void>().as_ptr();
            // SAFETY: the table has all places of the interface's version, which is asked for first; each function has
            // the type that NumPy's header declares. The module is never unloaded.
            unsafe {
                let version =
                    std::mem::transmute::<*const c_void, unsafe extern "C" fn() -> c_uint>(*table.add(FEATURE_VERSION));
                if version() < WITH_STRINGS {
                    return Err(PyTypeError::new_err("this NumPy has no strings of variable length"));
                }
                Ok(Self {
                    load: std::mem::transmute::<*const c_void, Load>(*table.add(LOAD)),
                    pack: std::mem::transmute::<*const c_void, Pack>(*table.add(PACK)),
                    acquire: std::mem::transmute::<*const c_void, Acquire>(*table.add(ACQUIRE)),
                    release: std::mem::transmute::<*const c_void, Release>(*table.add(RELEASE)),
                })
            }
        })
        .copied()
    }
}
