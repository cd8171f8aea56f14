//! Codec specifications, as `python/zarrs/_codecs.py` writes them, to an format.
//!
//! A chain is `(transpose orders, serializer, steps)`; a serializer is `("bytes",)`, `("vlen-utf8",)`, `("vlen-bytes",)` or `("sharding", chunk shape, inner
//! chain, index is big-endian, index steps, index at start, write order, index transpose orders)`; a step is its name and its
//! parameters, for "python" the object that holds the codecs.
//! Steps that work on numbers are in `filters`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::bindings::errors::to_python;
use crate::bindings::filters;
use crate::bindings::python_codec::PythonStep;
use crate::bindings::vlen;
use crate::codec::array_to_array::transpose::Transpose;
use crate::codec::array_to_bytes::sharding::{Sharding, WriteOrder};
use crate::codec::bytes_to_bytes::Step;
use crate::codec::bytes_to_bytes::adler32::Adler32;
use crate::codec::bytes_to_bytes::blosc::Blosc;
use crate::codec::bytes_to_bytes::bz2::Bz2;
use crate::codec::bytes_to_bytes::checksum::{Algorithm, Checksum, Location};
use crate::codec::bytes_to_bytes::crc32::Crc32;
use crate::codec::bytes_to_bytes::crc32c::{Castagnoli, Crc32c};
use crate::codec::bytes_to_bytes::fletcher32::Fletcher32;
use crate::codec::bytes_to_bytes::gzip::Gzip;
use crate::codec::bytes_to_bytes::jenkins_lookup3::JenkinsLookup3;
use crate::codec::bytes_to_bytes::lz4::Lz4;
use crate::codec::bytes_to_bytes::lzma::{Filter, Format, Lzma};
use crate::codec::bytes_to_bytes::shuffle::Shuffle;
use crate::codec::bytes_to_bytes::zlib::Zlib;
use crate::codec::bytes_to_bytes::zstd::Zstd;
use crate::codec::{Chain, Serializer};
use crate::memory::{Equality, Field, FillTest, Leaf};
use crate::pipeline::ChunkFormat;

/// What all chunks of an array have in common, ready to run.
#[pyclass(frozen, name = "ChunkFormat", module = "zarrs._internal")]
pub struct PyChunkFormat(pub Arc<ChunkFormat>);

#[pymethods]
impl PyChunkFormat {
    #[new]
    fn new(
        chain: &Bound<'_, PyTuple>,
        item_size: usize,
        fill: &Bound<'_, PyBytes>,
        same: &Bound<'_, PyTuple>,
        big_endian: bool,
    ) -> PyResult<Self> {
        let chain = chain_of(chain)?;
        let is_text = same.get_item(0)?.eq("text")?;
        // References are addresses: they must neither be made of stored bytes nor be stored.
        if is_text != chain.gives_references() {
            return Err(PyValueError::new_err("codecs of variable length are for elements of variable length"));
        }
        if is_text {
            return Ok(Self(Arc::new(vlen::format(chain, fill.as_bytes(), same.get_item(1)?.extract()?))));
        }
        let fill = fill.as_bytes().to_vec();
        if fill.len() != item_size {
            return Err(PyValueError::new_err(format!(
                "the fill value has {} bytes, an element has {item_size}",
                fill.len()
            )));
        }
        let empty = FillTest::new(&fill, &equality_of(same)?, big_endian);
        Ok(Self(Arc::new(ChunkFormat { chain, item_size, fill, vlen: None, empty })))
    }

    /// Whether a step is a Python codec.
    #[getter]
    fn calls_python(&self) -> bool {
        self.0.chain.python_call().is_some()
    }
}

fn equality_of(spec: &Bound<'_, PyTuple>) -> PyResult<Equality> {
    let name: String = spec.get_item(0)?.extract()?;
    Ok(match name.as_str() {
        "bits" => Equality::Bits,
        "bool" => Equality::Bool,
        "float" => Equality::FloatNan { unit: spec.get_item(1)?.extract()? },
        "complex" => Equality::Complex { unit: spec.get_item(1)?.extract()? },
        "never" => Equality::Never,
        "fields" => {
            let fields: Vec<(usize, usize, usize, String, usize)> = spec.get_item(1)?.extract()?;
            Equality::Fields(
                fields
                    .into_iter()
                    .map(|(offset, size, count, leaf, unit)| {
                        let leaf = match leaf.as_str() {
                            "float" => Leaf::Float { unit },
                            "time" => Leaf::Time,
                            _ => Leaf::Bits,
                        };
                        Field { offset, size, count, leaf }
                    })
                    .collect(),
            )
        }
        _ => return Err(PyValueError::new_err(format!("no emptiness rule is called {name:?}"))),
    })
}

fn chain_of(spec: &Bound<'_, PyTuple>) -> PyResult<Chain> {
    let transpose = transpose_of(&spec.get_item(0)?)?;
    let serializer = spec.get_item(1)?.cast_into::<PyTuple>()?;
    let name: String = serializer.get_item(0)?.extract()?;
    let serializer = match name.as_str() {
        "bytes" => Serializer::Bytes,
        "vlen-utf8" | "vlen-bytes" => Serializer::Vlen(vlen::codec(name == "vlen-utf8")),
        "sharding" => Serializer::Sharding(Box::new(sharding_of(&serializer)?)),
        _ => return Err(PyValueError::new_err(format!("no serializer is called {name:?}"))),
    };
    Ok(Chain { transpose, serializer, steps: steps_of(&spec.get_item(2)?)? })
}

fn transpose_of(orders: &Bound<'_, PyAny>) -> PyResult<Transpose> {
    let each: Vec<Vec<usize>> = orders.extract()?;
    each.into_iter()
        .try_fold(Transpose::identity(), |all, order| all.then(Transpose::new(order)?))
        .map_err(|error| to_python(orders.py(), error))
}

fn sharding_of(spec: &Bound<'_, PyTuple>) -> PyResult<Sharding> {
    let order: String = spec.get_item(6)?.extract()?;
    let index_steps = steps_of(&spec.get_item(4)?)?;
    if index_steps.iter().any(|step| step.encoded_size(0).is_none()) {
        return Err(PyValueError::new_err("a shard index codec has no fixed size"));
    }
    Ok(Sharding {
        chunk_shape: spec.get_item(1)?.extract()?,
        inner: chain_of(&spec.get_item(2)?.cast_into::<PyTuple>()?)?,
        index_big_endian: spec.get_item(3)?.extract()?,
        index_transpose: transpose_of(&spec.get_item(7)?)?,
        index_steps,
        index_at_start: spec.get_item(5)?.extract()?,
        order: match order.as_str() {
            "morton" => WriteOrder::Morton,
            "colexicographic" => WriteOrder::Colexicographic,
            _ => WriteOrder::Lexicographic,
        },
    })
}

fn steps_of(specs: &Bound<'_, PyAny>) -> PyResult<Vec<Arc<dyn Step>>> {
    specs.try_iter()?.map(|spec| step_of(&spec?.cast_into::<PyTuple>()?)).collect()
}

fn step_of(spec: &Bound<'_, PyTuple>) -> PyResult<Arc<dyn Step>> {
    let name: String = spec.get_item(0)?.extract()?;
    Ok(match name.as_str() {
        "zstd" => {
            let (_, level, checksum): (String, i32, bool) = spec.extract()?;
            Arc::new(Zstd::new(level, checksum))
        }
        "gzip" => {
            let (_, level): (String, i32) = spec.extract()?;
            Arc::new(Gzip::new(level))
        }
        "zlib" => {
            let (_, level): (String, i32) = spec.extract()?;
            Arc::new(Zlib::new(level))
        }
        "blosc" => {
            let (_, cname, clevel, shuffle, blocksize, typesize): (String, String, i32, i32, i32, usize) =
                spec.extract()?;
            let step = Blosc::new(&cname, clevel, shuffle, blocksize, typesize);
            Arc::new(step.map_err(|error| to_python(spec.py(), error))?)
        }
        "crc32c" => Arc::new(Crc32c),
        "lz4" => {
            let (_, acceleration): (String, i32) = spec.extract()?;
            Arc::new(Lz4::new(acceleration))
        }
        "bz2" => {
            let (_, level): (String, i32) = spec.extract()?;
            Arc::new(Bz2::new(level))
        }
        "lzma" => Arc::new(lzma_of(spec)?),
        "shuffle" => {
            let (_, size): (String, usize) = spec.extract()?;
            Arc::new(Shuffle::new(size))
        }
        "numcodecs_crc32" => checksum_of(spec, Crc32)?,
        "numcodecs_crc32c" => checksum_of(spec, Castagnoli)?,
        "numcodecs_adler32" => checksum_of(spec, Adler32)?,
        "fletcher32" => Arc::new(Checksum::new(Fletcher32, Location::End)),
        "jenkins_lookup3" => {
            let (_, start, prefix): (String, u32, Vec<u8>) = spec.extract()?;
            Arc::new(Checksum::new(JenkinsLookup3::new(start, prefix), Location::End))
        }
        "python" => Arc::new(PythonStep::new(&spec.get_item(1)?)?),
        _ => return filters::step_of(&name, spec),
    })
}

fn checksum_of<A: Algorithm + 'static>(spec: &Bound<'_, PyTuple>, algorithm: A) -> PyResult<Arc<dyn Step>> {
    let (_, at_start): (String, bool) = spec.extract()?;
    Ok(Arc::new(Checksum::new(algorithm, if at_start { Location::Start } else { Location::End })))
}

/// `("lzma", format, check, preset or None, filters or None)`; a filter is its number and its options with their names.
fn lzma_of(spec: &Bound<'_, PyTuple>) -> PyResult<Lzma> {
    type Filters = Vec<(u64, Vec<(String, u32)>)>;
    let (_, format, check, preset, filters): (String, i32, i32, Option<u32>, Option<Filters>) = spec.extract()?;
    let filters = filters.map(|all| all.into_iter().map(|(id, options)| Filter { id, options }).collect());
    let lzma = Format::new(format).map(|format| Lzma::new(format, check, preset, filters));
    lzma.map_err(|error| to_python(spec.py(), error))
}
