//! The `astype` codec: another data type in storage. <https://numcodecs.readthedocs.io/en/stable/filter/astype.html>

use super::flat::{Flat, convert};
use super::number::Side;
use crate::error::Result;

/// The codec between `decoded` and `encoded` elements; values that do not fit are converted as NumPy's `astype` does.
///
/// # Errors
/// `Value` if this conversion is not implemented.
pub fn astype(decoded: Side, encoded: Side) -> Result<Flat> {
    let encode = convert(decoded.number, encoded.number)?;
    let decode = convert(encoded.number, decoded.number)?;
    Ok(Flat::new("astype", (decoded, encoded), [encode], [decode]))
}
