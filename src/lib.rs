//! The engine of zarrs: selections, planning, decoding and placement of Zarr chunks, driven by zarr-python.

pub mod codec;
pub mod concurrency;
pub mod error;
pub mod memory;
pub mod pipeline;
pub mod selection;
pub mod store;

#[cfg(feature = "python")]
pub mod bindings;

/// The Python module `zarrs._internal`.
#[cfg(feature = "python")]
#[pyo3::pymodule(gil_used = false)]
fn _internal(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    bindings::register(module)
}
