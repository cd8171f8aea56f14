//! The Python boundary, and the only place that names `pyo3`: zarr's batch becomes plain data, NumPy arrays become checked
//! views, codec descriptions become a chunk format, errors become exceptions, the end of a call wakes a future.

mod array;
mod batch;
mod bytes;
mod call;
mod chunk_format;
mod dispatch;
mod errors;
mod numpy;
mod python_codec;
mod request;
mod selection;
mod spec;
mod store;
mod strings;
mod views;
mod vlen;
mod wake;
mod work;

use pyo3::prelude::*;

use crate::concurrency;

/// Adds everything to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("UnsupportedError", errors::unsupported_type(module.py())?)?;
    module.add("OverlappingOutput", module.py().get_type::<errors::OverlappingOutput>())?;
    module.add_class::<array::Array>()?;
    module.add_class::<array::Options>()?;
    module.add_class::<bytes::OwnedBytes>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<chunk_format::PyChunkFormat>()?;
    module.add_class::<python_codec::Caller>()?;
    module.add_class::<python_codec::PyReply>()?;
    module.add_class::<request::PyRequest>()?;
    module.add_class::<store::PyLocalStore>()?;
    module.add_class::<store::PyMemoryStore>()?;
    module.add_class::<store::PyZipStore>()?;
    module.add_function(wrap_pyfunction!(dispatch::store_threads, module)?)?;
    module.add_function(wrap_pyfunction!(dispatch::store_call_took, module)?)?;
    module.add_function(wrap_pyfunction!(shutdown, module)?)?;
    module.add_function(wrap_pyfunction!(cpus, module)?)?;
    Ok(())
}

/// Interpreter exit: no new work starts, running units end, then this returns.
#[pyfunction]
fn shutdown(py: Python<'_>) {
    py.detach(concurrency::shutdown);
}

/// CPUs that this process may use.
#[pyfunction]
fn cpus() -> usize {
    concurrency::cpus()
}
