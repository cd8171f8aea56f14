//! The `astype` codec: another data type in storage. <https://numcodecs.readthedocs.io/en/stable/filter/astype.html>

use super::flat::{Flat, convert};
use super::number::Side;
use crate::error::Result;

/// The codec between `decoded` and `encoded` elements; what does not fit is converted as NumPy's `astype` does.
///
/// # Errors
/// `Value` if there is no such conversion here.
pub fn astype(decoded: Side, encoded: Side) -> Result<Flat> {
    let encode = convert(decoded.number, encoded.number)?;
    let decode = convert(encoded.number, decoded.number)?;
    Ok(Flat::new("astype", (decoded, encoded), [encode], [decode]))
}
