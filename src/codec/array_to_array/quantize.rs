//! The `quantize` codec: floats rounded to a number of decimal digits.
//! <https://numcodecs.readthedocs.io/en/stable/filter/quantize.html>

use super::fixed_scale_offset::{Operand, Real, rounding, scalar};
use super::flat::{Flat, Stage, convert};
use super::number::{Numeric, Side};
use super::with_number;
use crate::error::{Error, Result};

/// The codec between `decoded` and `encoded` floats; `scale`, a power of two in the decoded type, encodes the digits.
///
/// # Errors
/// `Value` for data types other than floats.
pub fn quantize(decoded: Side, encoded: Side, scale: &Operand) -> Result<Flat> {
    let scaled = with_number!(decoded.number, T => {
        let scale: T = scalar(scale)?;
        [
            Some(Stage::map(move |value: T| scale.times(value))),
            rounding(decoded.number),
            Some(Stage::map(move |value: T| value.over(scale))),
        ]
    }; floats);
    let Some([times, round, over]) = scaled else {
        return Err(Error::value(format!("quantize is for floats, not {decoded:?}")));
    };
    let encode = [times, round, over, convert(decoded.number, encoded.number)?];
    Ok(Flat::new("quantize", (decoded, encoded), encode, [convert(encoded.number, decoded.number)?]))
}
