//! How the elements of a chunk or a subchunk lie in its decoded form.

use crate::codec::Chain;
use crate::error::{Error, Kind, Result};
use crate::pipeline::ChunkFormat;
use crate::pipeline::placement::packed_strides;

/// How the elements of a chunk of one shape lie in its packed, stored form.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The chunk shape.
    pub shape: Vec<usize>,
    /// The shape after the chain's transposition.
    pub stored_shape: Vec<usize>,
    /// Bytes to the next index of each chunk dimension in the stored form.
    pub strides: Vec<isize>,
    /// Length of the stored form in bytes.
    pub len: usize,
}

impl Layout {
    /// The layout of chunks of `shape` under `chain`.
    ///
    /// # Errors
    /// `Value` when the shape does not fit the chain's transposition or the address space.
    pub fn new(chain: &Chain, shape: &[usize], item_size: usize) -> Result<Self> {
        let len = shape
            .iter()
            .try_fold(item_size, |size, n| size.checked_mul(*n))
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or_else(|| Error::value(format!("a chunk of shape {shape:?} does not fit the address space")))?;
        let stored_shape = chain.transpose.apply(shape)?;
        let packed = packed_strides(&stored_shape, item_size);
        let strides = chain.transpose.new_names(shape.len()).into_iter().map(|stored| packed[stored]).collect();
        Ok(Self { shape: shape.to_vec(), stored_shape, strides, len })
    }

    /// The layouts of all `specs` of a batch.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn of_specs(format: &ChunkFormat, specs: &[crate::pipeline::ChunkSpec]) -> Result<Vec<Self>> {
        specs.iter().map(|spec| Self::new(&format.chain, &spec.shape, format.item_size)).collect()
    }

    /// `error`, if it is about a value, with what the chunk should hold: "(4 × 8 elements of 2 bytes)".
    #[must_use]
    pub fn explain(&self, error: Error, format: &ChunkFormat) -> Error {
        if !matches!(error.kind, Kind::Value | Kind::TooLong) {
            return error;
        }
        let lengths: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let elements =
            if lengths.is_empty() { "one element".to_owned() } else { format!("{} elements", lengths.join(" × ")) };
        Error { message: format!("{} ({elements} {})", error.message, format.item_words()), ..error }
    }
}
