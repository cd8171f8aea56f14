//! Engine errors as the exceptions that zarr-python's own pipeline raises for the same cause.

use pyo3::exceptions::{
    PyEOFError, PyException, PyIndexError, PyMemoryError, PyOSError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

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

/// The exception for something that the engine leaves to zarr's own pipeline.
pub fn unsupported(py: Python<'_>, what: &str, reason: &str) -> PyErr {
    match unsupported_type(py).and_then(|class| class.bind(py).call1((what, reason))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// The exception for `error`.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let imported = |module: &str, class: &str| match py.import(module).and_then(|module| module.getattr(class)) {
        Ok(class) => match class.call1((message.as_str(),)) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        },
        Err(error) => error,
    };
    match error.kind {
        Kind::Value => PyValueError::new_err(message),
        Kind::Type => PyTypeError::new_err(message),
        Kind::Index => PyIndexError::new_err(message),
        Kind::Runtime => PyRuntimeError::new_err(message),
        Kind::Eof => PyEOFError::new_err(message),
        Kind::Memory => PyMemoryError::new_err(message),
        Kind::BadGzip => imported("gzip", "BadGzipFile"),
        Kind::BadZip => imported("zipfile", "BadZipFile"),
        Kind::Zlib => imported("zlib", "error"),
        Kind::Io(source) => match source.raw_os_error() {
            // OSError(errno, message) selects the subclass itself.
            Some(number) => PyOSError::new_err((number, message)),
            None => PyOSError::new_err(message),
        },
        Kind::Cancelled => imported("asyncio", "CancelledError"),
        Kind::Foreign(exception) => match exception.downcast::<PyErr>() {
            Ok(exception) => *exception,
            Err(_) => PyException::new_err(message),
        },
    }
}
