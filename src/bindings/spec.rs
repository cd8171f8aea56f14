//! Descriptions by Python, read by name: a chain (`python/zarrs/_codecs/chain.py`) and an element's equality
//! (`data_types.py`). Which codecs there are is written in `codec/table.rs`; of all steps only runs of Python codecs, which are
//! Python objects, are made here.

use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

use crate::bindings::errors::to_python;
use crate::bindings::python_codec::PythonStep;
use crate::bindings::vlen;
use crate::codec::array_to_array::transpose::Transpose;
use crate::codec::array_to_bytes::sharding::{Sharding, WriteOrder};
use crate::codec::bytes_to_bytes::Step;
use crate::codec::parameters::Value;
use crate::codec::table::step_called;
use crate::codec::{Chain, Serializer};
use crate::memory::{Equality, Field, Leaf};

#[derive(FromPyObject)]
struct ChainSpec<'py> {
    transpose: Vec<Vec<usize>>,
    serializer: SerializerSpec<'py>,
    steps: Vec<Bound<'py, PyAny>>,
}

#[derive(FromPyObject)]
enum SerializerSpec<'py> {
    #[pyo3(transparent)]
    Named(String),
    #[pyo3(transparent)]
    Sharding(Bound<'py, PyAny>),
}

#[derive(FromPyObject)]
struct ShardingSpec<'py> {
    chunk_shape: Vec<usize>,
    inner: Bound<'py, PyAny>,
    index_transpose: Vec<Vec<usize>>,
    index_big_endian: bool,
    index_steps: Vec<Bound<'py, PyAny>>,
    index_at_start: bool,
    write_order: String,
}

/// The chain that `spec`, a `Chain` of Python's, describes.
pub fn chain_of(spec: &Bound<'_, PyAny>) -> PyResult<Chain> {
    let ChainSpec { transpose, serializer, steps } = spec.extract()?;
    let serializer = match serializer {
        SerializerSpec::Named(name) => match name.as_str() {
            "bytes" => Serializer::Bytes,
            "vlen-utf8" | "vlen-bytes" => Serializer::Vlen(vlen::codec(name == "vlen-utf8")),
            _ => return Err(PyValueError::new_err(format!("no serializer is called {name:?}"))),
        },
        SerializerSpec::Sharding(sharding) => Serializer::Sharding(Box::new(sharding_of(&sharding)?)),
    };
    Ok(Chain { transpose: transpose_of(spec.py(), transpose)?, serializer, steps: steps_of(&steps)? })
}

fn transpose_of(py: Python<'_>, orders: Vec<Vec<usize>>) -> PyResult<Transpose> {
    orders
        .into_iter()
        .try_fold(Transpose::identity(), |all, order| all.then(Transpose::new(order)?))
        .map_err(|error| to_python(py, error))
}

fn sharding_of(spec: &Bound<'_, PyAny>) -> PyResult<Sharding> {
    let sharding: ShardingSpec<'_> = spec.extract()?;
    let index_steps = steps_of(&sharding.index_steps)?;
    if index_steps.iter().any(|step| step.encoded_size(0).is_none()) {
        return Err(PyValueError::new_err("a shard index codec has no fixed size"));
    }
    Ok(Sharding {
        chunk_shape: sharding.chunk_shape,
        inner: chain_of(&sharding.inner)?,
        index_big_endian: sharding.index_big_endian,
        index_transpose: transpose_of(spec.py(), sharding.index_transpose)?,
        index_steps,
        index_at_start: sharding.index_at_start,
        order: match sharding.write_order.as_str() {
            "morton" => WriteOrder::Morton,
            "colexicographic" => WriteOrder::Colexicographic,
            _ => WriteOrder::Lexicographic,
        },
    })
}

fn steps_of(specs: &[Bound<'_, PyAny>]) -> PyResult<Vec<Arc<dyn Step>>> {
    specs.iter().map(step_of).collect()
}

fn step_of(spec: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Step>> {
    let py = spec.py();
    let name = spec.getattr(intern!(py, "name"))?.cast_into::<PyString>()?;
    let name = name.to_cow()?;
    if name == "python" {
        return Ok(Arc::new(PythonStep::new(spec)?));
    }
    let configuration = spec.getattr(intern!(py, "configuration"))?.cast_into::<PyDict>()?;
    step_called(&name, named_values(&configuration)?).map_err(|error| to_python(py, error))
}

fn named_values(values: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Value)>> {
    values.iter().map(|(name, value)| Ok((name.extract()?, value_of(&value)?))).collect()
}

fn value_of(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        Ok(Value::None)
    } else if value.is_instance_of::<PyBool>() {
        // Before numbers: in Python a truth value is one.
        Ok(Value::Bool(value.extract()?))
    } else if value.is_instance_of::<PyInt>() {
        Ok(Value::Integer(value.extract()?))
    } else if value.is_instance_of::<PyString>() {
        Ok(Value::Text(value.extract()?))
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Ok(Value::Bytes(bytes.as_bytes().to_vec()))
    } else if let Ok(values) = value.cast::<PyDict>() {
        Ok(Value::Named(named_values(values)?))
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let values = value.try_iter()?.map(|value| value_of(&value?));
        Ok(Value::List(values.collect::<PyResult<_>>()?))
    } else {
        Err(PyTypeError::new_err(format!("a codec's parameter cannot be a {}", value.get_type().name()?)))
    }
}

#[derive(FromPyObject)]
struct EqualitySpec {
    kind: String,
    unit: usize,
    fields: Vec<FieldSpec>,
}

#[derive(FromPyObject)]
struct FieldSpec {
    offset: usize,
    size: usize,
    repeats: usize,
    kind: String,
    unit: usize,
}

/// When elements equal the fill value, as `spec`, an `Equality` of Python's, describes it.
pub fn equality_of(spec: &Bound<'_, PyAny>) -> PyResult<Equality> {
    let EqualitySpec { kind, unit, fields } = spec.extract()?;
    Ok(match kind.as_str() {
        "bits" => Equality::Bits,
        "bool" => Equality::Bool,
        "float" => Equality::FloatNan { unit },
        "complex" => Equality::Complex { unit },
        "never" => Equality::Never,
        "fields" => Equality::Fields(fields.into_iter().map(field_of).collect()),
        _ => return Err(PyValueError::new_err(format!("no equality is called {kind:?}"))),
    })
}

fn field_of(FieldSpec { offset, size, repeats, kind, unit }: FieldSpec) -> Field {
    let leaf = match kind.as_str() {
        "float" => Leaf::Float { unit },
        "time" => Leaf::Time,
        _ => Leaf::Bits,
    };
    Field { offset, size, count: repeats, leaf }
}
