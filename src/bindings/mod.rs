//! The Python boundary, and the only place that names `pyo3`: zarr's batch becomes plain projections, NumPy arrays become checked
//! views, descriptions of chunk formats become chunk formats, errors become exceptions, a finished batch wakes a future.

mod array;
mod batch;
mod call;
mod chunk_format;
mod errors;
mod loop_queue;
mod owned;
mod python_step;
mod remote;
mod selection;
mod session;
mod spec;
mod store;
mod strings;
mod vlen;
mod work;

use pyo3::prelude::*;

/// Adds everything to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("UnsupportedError", errors::unsupported_type(module.py())?)?;
    module.add_class::<chunk_format::PyChunkFormat>()?;
    module.add_class::<store::PyLocalStore>()?;
    module.add_class::<store::PyZipStore>()?;
    module.add_class::<call::Options>()?;
    module.add_class::<call::Pending>()?;
    module.add_class::<owned::OwnedBytes>()?;
    module.add_class::<remote::RemoteRead>()?;
    module.add_class::<remote::RemoteWrite>()?;
    module.add_class::<python_step::Caller>()?;
    module.add_class::<loop_queue::PyReply>()?;
    module.add_function(wrap_pyfunction!(call::read, module)?)?;
    module.add_function(wrap_pyfunction!(call::write, module)?)?;
    module.add_function(wrap_pyfunction!(call::shutdown, module)?)?;
    module.add_function(wrap_pyfunction!(call::cpus, module)?)?;
    Ok(())
}
