//! Engine errors as the exceptions that zarr-python's own pipeline raises for the same cause.

use pyo3::exceptions::{
    PyEOFError, PyException, PyIndexError, PyMemoryError, PyOSError, PyOverflowError, PyRuntimeError, PyTypeError,
    PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};

use crate::error::{Error, Kind};

/// `zarrs.UnsupportedError`; neither a `NotImplementedError` (zarr swallows those) nor a `TypeError` (it hides bugs).
pub fn unsupported_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let found = TYPE.get_or_try_init(py, || {
        let class = py.import("zarrs.errors")?.getattr("UnsupportedError")?.cast_into::<PyType>()?;
        Ok::<_, PyErr>(class.unbind())
    })?;
    Ok(found.clone_ref(py))
}

/// The exception for something that the format leaves to zarr's own pipeline.
pub fn unsupported(py: Python<'_>, what: &str, reason: &str) -> PyErr {
    match unsupported_type(py).and_then(|class| class.bind(py).call1((what, reason))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

pyo3::create_exception!(
    zarrs._internal,
    OverlappingOutput,
    PyException,
    "An output whose elements share bytes: NumPy has to assign."
);

/// The exception for an output whose elements share bytes: the order of assignments would show, and NumPy decides it.
pub fn overlapping_output(_py: Python<'_>) -> PyErr {
    OverlappingOutput::new_err("elements of the output share bytes")
}

/// The exception for `error`.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let note = error.key.is_some();
    let imported = |module: &str, class: &str| match py.import(module).and_then(|module| module.getattr(class)) {
        Ok(class) => match class.call1((message.as_str(),)) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        },
        Err(error) => error,
    };
    match error.kind {
        Kind::Value | Kind::TooLong | Kind::Dropped => PyValueError::new_err(message),
        Kind::Type => PyTypeError::new_err(message),
        Kind::Overflow => PyOverflowError::new_err(message),
        Kind::Index => PyIndexError::new_err(message),
        Kind::Runtime => PyRuntimeError::new_err(message),
        Kind::Eof => PyEOFError::new_err(message),
        Kind::Memory => PyMemoryError::new_err(message),
        Kind::Utf8(bytes) => not_utf8(py, &bytes, &message),
        Kind::BadGzip => imported("gzip", "BadGzipFile"),
        Kind::BadZip => imported("zipfile", "BadZipFile"),
        Kind::Zlib => imported("zlib", "error"),
        Kind::Lzma => imported("lzma", "LZMAError"),
        Kind::Io(source) => match source.raw_os_error() {
            // OSError(errno, message) selects the subclass itself.
            Some(number) => PyOSError::new_err((number, message)),
            None => PyOSError::new_err(message),
        },
        Kind::Cancelled => imported("asyncio", "CancelledError"),
        Kind::Python(raised) => {
            let Some(exception) = raised.downcast::<Raised>().ok().and_then(|raised| raised.into_inner()) else {
                return PyException::new_err(message);
            };
            if note {
                // A third-party exception may reject `add_note`; the note is then dropped.
                let _ = exception.value(py).call_method1(intern!(py, "add_note"), (message,));
            }
            exception
        }
    }
}

/// The exception with which Python refuses `bytes` as UTF-8; its reason says where they are as well.
fn not_utf8(py: Python<'_>, bytes: &[u8], message: &str) -> PyErr {
    match PyBytes::new(py, bytes).call_method1("decode", ("utf-8",)) {
        Ok(_) => PyValueError::new_err(message.to_owned()),
        Err(error) => {
            let exception = error.value(py);
            let reason = exception.getattr("reason").and_then(|reason| reason.extract::<String>());
            if let Ok(reason) = reason {
                // If this fails, the exception keeps the reason that Python gave.
                let _ = exception.setattr("reason", format!("{reason} ({message})"));
            }
            error
        }
    }
}

/// An exception of Python code on its way through the engine. If several units fail, only one error is returned; the others
/// are dropped by threads without the GIL, which attach to do so.
pub struct Raised(Option<PyErr>);

impl Raised {
    /// `exception`, to be passed through whole.
    pub fn new(exception: PyErr) -> Self {
        Self(Some(exception))
    }

    /// The exception.
    pub fn into_inner(mut self) -> Option<PyErr> {
        self.0.take()
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        drop_attached(self.0.take());
    }
}

/// Drops Python objects on a thread that may be detached. Once the interpreter is gone, they are leaked.
pub fn drop_attached<T>(objects: Option<T>) {
    if objects.is_none() {
        return;
    }
    let mut objects = objects;
    Python::try_attach(|_| drop(objects.take()));
    std::mem::forget(objects);
}
