//! Text and bytes of variable length between NumPy and the format's references: values, and arrays to be filled; those of
//! Python objects in here, those of `StringDType` in `strings.rs`. Leaves out which data types and codecs belong together
//! (`_codecs/vlen.py`).
#![allow(unsafe_code, reason = "Python objects are known by address only, and references are vouched for")]

use std::ffi::c_char;
use std::sync::Arc;

use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::bindings::errors::{to_python, unsupported};
use crate::bindings::numpy::ArrayView;
use crate::bindings::strings::{Packing, Strings};
use crate::codec::Chain;
use crate::codec::array_to_bytes::vlen::Vlen;
use crate::memory::{FillTest, REFERENCE, Reference, References, Referrer, SharedView, ValidReferences};
use crate::pipeline::packed_strides;
use crate::pipeline::{ChunkFormat, VlenFill};

/// Length from which a Python object's bytes are not copied; the object is kept instead, which costs more than a few bytes.
const KEPT_FROM: usize = 1024;
/// Elements from which other Python threads may run while NumPy's strings are packed.
const DETACHED_FROM: usize = 2048;

/// The codec of elements of variable length.
pub fn codec(utf8: bool) -> Vlen {
    Vlen { utf8, vouched: valid_references() }
}

/// The format of elements of variable length whose fill value is `fill`.
pub fn format(chain: Chain, fill: &[u8], utf8: bool) -> ChunkFormat {
    let fill: Box<[u8]> = fill.into();
    ChunkFormat {
        chain,
        item_size: REFERENCE,
        fill: Reference::to(&fill).bytes().to_vec(),
        empty: FillTest::text(&fill, valid_references()),
        vlen: Some(VlenFill { bytes: fill, utf8 }),
    }
}

fn valid_references() -> ValidReferences {
    // SAFETY: decoded chunks of such a format are filled from three sources. The fill value, which lies in the format that
    // every batch holds. Stored chunks, which `pipeline/vlen.rs` keeps until the batch, or the decoded chunk, is done. A value
    // (`references` below), which owns copies or whose objects are held until the last unit has ended.
    unsafe { ValidReferences::new() }
}

/// An array that is filled from references when all of them are there.
pub struct PendingElements {
    array: Py<PyAny>,
    references: Arc<References>,
    utf8: bool,
}

impl PendingElements {
    /// The references that the format fills, and the target that they are for, an array seen as `view`.
    pub fn new(array: &Bound<'_, PyAny>, view: &ArrayView, utf8: bool) -> PyResult<(SharedView, Self)> {
        check_kind(view)?;
        let references = References::untouched(view.len()).map_err(|error| to_python(array.py(), error))?;
        let references = Arc::new(references);
        let shared = SharedView::references(Arc::clone(&references), packed_strides(&view.shape, REFERENCE), true);
        Ok((shared, Self { array: array.clone().unbind(), references, utf8 }))
    }

    /// Fills the array; elements that no projection wrote stay as they are.
    ///
    /// # Safety
    /// The batch has ended without an error, and all that its references point to is still there.
    pub unsafe fn fill(&self, py: Python<'_>) -> PyResult<()> {
        let array = self.array.bind(py);
        // Seen again, since the batch ran without holding anything of it: NumPy refuses to resize an array that is held.
        let view = ArrayView::new(array)?;
        check_kind(&view)?;
        if view.len() != self.references.len() {
            return Err(PyTypeError::new_err("the array changed its shape while it was read"));
        }
        // SAFETY: as the caller vouches; the array is of the kind that each takes.
        unsafe {
            match view.kind {
                b'T' => self.fill_strings(array, &view),
                _ => self.fill_objects(py, &view),
            }
        }
    }

    /// # Safety
    /// As for [`PendingElements::fill`]; an array of `StringDType`.
    unsafe fn fill_strings(&self, array: &Bound<'_, PyAny>, view: &ArrayView) -> PyResult<()> {
        let py = array.py();
        let strings = Strings::of(array)?;
        let packing = Packing { view, references: &self.references, strings: &strings };
        // SAFETY: as the caller vouches. NumPy's own loops pack strings without the GIL too.
        let pack = move || unsafe { packing.run() };
        let packed = if view.len() < DETACHED_FROM { pack() } else { py.detach(pack) };
        if packed { Ok(()) } else { Err(PyMemoryError::new_err("NumPy cannot allocate the strings")) }
    }

    /// # Safety
    /// As for [`PendingElements::fill`]; an array of objects.
    unsafe fn fill_objects(&self, py: Python<'_>, view: &ArrayView) -> PyResult<()> {
        let mut at = 0;
        let mut failure = None;
        // The object made last: missing chunks have the same fill value throughout, as in zarr-python.
        // The array holds it.
        let mut last: Option<(&[u8], *mut ffi::PyObject)> = None;
        view.each(&mut |element| {
            // SAFETY: the batch has ended; see the caller.
            let text = unsafe { self.references.get(at) };
            at += 1;
            let Some(text) = text.filter(|_| failure.is_none()) else { return };
            let known = last.filter(|(before, _)| std::ptr::eq(*before, text));
            let object = match known {
                // SAFETY: the array has held it since the element before.
                Some((_, object)) => unsafe { Bound::from_borrowed_ptr(py, object) }.unbind(),
                None => match object_of(py, text, self.utf8) {
                    Ok(object) => object,
                    Err(error) => {
                        failure = Some(error);
                        return;
                    }
                },
            };
            last = Some((text, object.as_ptr()));
            // SAFETY: an element of an array of objects, which holds an object or nothing; it is replaced before the old
            // one goes, whose end may run any code.
            unsafe {
                let old = element.cast::<*mut ffi::PyObject>().read_unaligned();
                element.cast_mut().cast::<*mut ffi::PyObject>().write_unaligned(object.into_ptr());
                if !old.is_null() {
                    ffi::Py_DECREF(old);
                    // Any code: it may have emptied the array.
                    last = None;
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }
}

fn object_of(py: Python<'_>, text: &[u8], utf8: bool) -> PyResult<Py<PyAny>> {
    let (start, len) = (text.as_ptr().cast::<c_char>(), text.len() as ffi::Py_ssize_t);
    // SAFETY: `len` bytes, of which Python makes a new object or an error.
    unsafe {
        let made = if utf8 {
            ffi::PyUnicode_FromStringAndSize(start, len)
        } else {
            ffi::PyBytes_FromStringAndSize(start, len)
        };
        Bound::from_owned_ptr_or_err(py, made).map(Bound::unbind)
    }
}

/// References to the elements of a value, an array seen as `view`; `held` gets the objects that they need.
///
/// # Errors
/// `UnsupportedError` where zarr-python has to say what an element means: a missing string, an object of another type.
pub fn references(
    value: &Bound<'_, PyAny>,
    view: &ArrayView,
    utf8: bool,
    held: &mut Vec<Py<PyAny>>,
) -> PyResult<SharedView> {
    let py = value.py();
    check_kind(view)?;
    let mut referrer = Referrer::with_capacity(view.len()).map_err(|error| to_python(py, error))?;
    match view.kind {
        b'T' => refer_to_strings(value, view, &mut referrer)?,
        _ => refer_to_objects(py, view, utf8, &mut referrer, held)?,
    }
    Ok(SharedView::references(Arc::new(referrer.finish()), packed_strides(&view.shape, REFERENCE), false))
}

/// Copies all of them: NumPy moves and frees its strings when the array is changed.
fn refer_to_strings(value: &Bound<'_, PyAny>, view: &ArrayView, referrer: &mut Referrer) -> PyResult<()> {
    let py = value.py();
    let strings = Strings::of(value)?;
    let (mut missing, mut failure) = (false, None);
    view.each(&mut |element| {
        if missing || failure.is_some() {
            return;
        }
        // SAFETY: an element of the array that the strings belong to.
        match unsafe { strings.load(element) } {
            Some(text) => failure = referrer.copy(text).err(),
            None => missing = true,
        }
    });
    drop(strings);
    if missing {
        return Err(unsupported(py, "value", "it has missing strings"));
    }
    failure.map_or(Ok(()), |error| Err(to_python(py, error)))
}

/// Copies short ones and keeps the objects of long ones: the user may replace them in the array meanwhile.
fn refer_to_objects(
    py: Python<'_>,
    view: &ArrayView,
    utf8: bool,
    referrer: &mut Referrer,
    held: &mut Vec<Py<PyAny>>,
) -> PyResult<()> {
    let mut failure = None;
    view.each(&mut |element| {
        if failure.is_none() {
            // SAFETY: an element of an array of objects: an object, or no address, which NumPy reads as None.
            let object = unsafe { element.cast::<*mut ffi::PyObject>().read_unaligned() };
            // SAFETY: the array holds the object, and nothing runs that could replace it.
            failure = unsafe { refer_to_object(py, object, utf8, referrer, held) }.err();
        }
    });
    failure.map_or(Ok(()), Err)
}

/// # Safety
/// `object` is alive, or null.
unsafe fn refer_to_object(
    py: Python<'_>,
    object: *mut ffi::PyObject,
    utf8: bool,
    referrer: &mut Referrer,
    held: &mut Vec<Py<PyAny>>,
) -> PyResult<()> {
    // SAFETY: as the caller vouches; types are checked before an object is taken for one of them, and each block of bytes
    // is used while the object that owns it is held.
    unsafe {
        if object.is_null() || object == ffi::Py_None() {
            referrer.absent();
            return Ok(());
        }
        let of_type = if utf8 { ffi::PyUnicode_CheckExact(object) } else { ffi::PyBytes_CheckExact(object) };
        if of_type == 0 {
            let name = if utf8 { "str" } else { "bytes" };
            return Err(unsupported(py, "value", &format!("an element is neither {name} nor None")));
        }
        let owner = if utf8 {
            // Not the form that Python would keep inside the user's object.
            let encoded = ffi::PyUnicode_AsUTF8String(object);
            let owner = Bound::from_owned_ptr_or_err(py, encoded)
                .map_err(|_| unsupported(py, "value", "an element cannot be encoded as UTF-8"))?;
            Some(owner)
        } else {
            None
        };
        let bytes = owner.as_ref().map_or(object, Bound::as_ptr);
        let (start, len) = (ffi::PyBytes_AsString(bytes), ffi::PyBytes_Size(bytes));
        let text = std::slice::from_raw_parts(start.cast::<u8>(), len as usize);
        if text.len() < KEPT_FROM {
            return referrer.copy(text).map_err(|error| to_python(py, error));
        }
        referrer.refer(text);
        held.push(owner.unwrap_or_else(|| Bound::from_borrowed_ptr(py, object)).unbind());
        Ok(())
    }
}

fn check_kind(view: &ArrayView) -> PyResult<()> {
    match (view.kind, view.item_size) {
        (b'T', PACKED) | (b'O', OBJECT) => Ok(()),
        (kind, size) => Err(PyTypeError::new_err(format!(
            "elements of kind {:?} and {size} bytes do not hold text of variable length",
            char::from(kind)
        ))),
    }
}

/// Bytes of one packed string: two words.
const PACKED: usize = 2 * size_of::<usize>();
/// Bytes of one object's address.
const OBJECT: usize = size_of::<usize>();
