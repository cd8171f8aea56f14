//! Engine errors as the exceptions that zarr-python's own pipeline raises for the same cause.

use pyo3::exceptions::{
    PyEOFError, PyException, PyIndexError, PyMemoryError, PyOSError, PyOverflowError, PyRuntimeError, PyTypeError,
    PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};

use crate::bindings::python_step::Raised;
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
                // An exception class of somebody else may refuse it; then it goes without.
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
                // Where the exception cannot say more, it still says what Python says.
                let _ = exception.setattr("reason", format!("{reason} ({message})"));
            }
            error
        }
    }
}
