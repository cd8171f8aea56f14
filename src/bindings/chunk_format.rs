//! The chunk format as Python holds it, made from its description (`spec`).

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bindings::spec::{chain_of, equality_of};
use crate::bindings::vlen;
use crate::memory::FillTest;
use crate::pipeline::ChunkFormat;

/// What all chunks of an array have in common, ready to run.
#[pyclass(frozen, name = "ChunkFormat", module = "zarrs._internal")]
pub struct PyChunkFormat(pub Arc<ChunkFormat>);

#[pymethods]
impl PyChunkFormat {
    /// The format of elements of `item_size` bytes.
    #[new]
    #[pyo3(signature = (chain, *, item_size, fill, equality, big_endian))]
    fn new(
        chain: &Bound<'_, PyAny>,
        item_size: usize,
        fill: &Bound<'_, PyBytes>,
        equality: &Bound<'_, PyAny>,
        big_endian: bool,
    ) -> PyResult<Self> {
        let chain = chain_of(chain)?;
        // References are addresses: they must neither be made of stored bytes nor be stored.
        if chain.gives_references() {
            return Err(PyValueError::new_err("codecs of variable length are for elements of variable length"));
        }
        let fill = fill.as_bytes().to_vec();
        if fill.len() != item_size {
            return Err(PyValueError::new_err(format!(
                "the fill value has {} bytes, an element has {item_size}",
                fill.len()
            )));
        }
        let empty = FillTest::new(&fill, &equality_of(equality)?, big_endian);
        Ok(Self(Arc::new(ChunkFormat { chain, item_size, fill, vlen: None, empty })))
    }

    /// The format of elements of variable length: text if `utf8`, otherwise bytes.
    #[staticmethod]
    #[pyo3(signature = (chain, *, fill, utf8))]
    fn of_variable_length(chain: &Bound<'_, PyAny>, fill: &Bound<'_, PyBytes>, utf8: bool) -> PyResult<Self> {
        let chain = chain_of(chain)?;
        if !chain.gives_references() {
            return Err(PyValueError::new_err("codecs of variable length are for elements of variable length"));
        }
        Ok(Self(Arc::new(vlen::format(chain, fill.as_bytes(), utf8))))
    }

    /// Whether a step is a Python codec.
    #[getter]
    fn calls_python(&self) -> bool {
        self.0.chain.python_call().is_some()
    }
}
