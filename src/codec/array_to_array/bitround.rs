//! The `bitround` codec: floats rounded to fewer bits of significand. Decoding changes nothing.
//! <https://numcodecs.readthedocs.io/en/stable/filter/bitround.html>

use super::flat::{Flat, Stage};
use super::number::{Number, Side};
use crate::error::{Error, Result};

/// The codec for elements of `side`, which keeps `keep` bits of the significand.
///
/// # Errors
/// `Value` for elements other than floats.
pub fn bitround(side: Side, keep: u32) -> Result<Flat> {
    let bits: u32 = match side.number {
        Number::F16 => 10,
        Number::F32 => 23,
        Number::F64 => 52,
        other => return Err(Error::value(format!("bitround is for floats, not {other:?}"))),
    };
    let Some(drop) = bits.checked_sub(keep) else {
        // As in numcodecs, which checks the number only when it encodes.
        let error = move || Error::value(format!("bitround cannot keep {keep} bits of {bits}"));
        let refuse = Stage::new(side.number.size(), move |_, _, _| Err(error()));
        return Ok(Flat::new("bitround", (side, side), [Some(refuse)], []));
    };
    // Rounds to nearest, ties to even, on the bits as an integer: one less than half of the dropped part is added, and
    // one more if the last kept bit is odd. NaN and infinities are not treated specially, as in numcodecs.
    let stage = (drop > 0).then(|| match side.number {
        Number::F16 => {
            Stage::map(move |bits: u16| bits.wrapping_add((bits >> drop & 1) + ((1 << (drop - 1)) - 1)) >> drop << drop)
        }
        Number::F32 => {
            Stage::map(move |bits: u32| bits.wrapping_add((bits >> drop & 1) + ((1 << (drop - 1)) - 1)) >> drop << drop)
        }
        _ => {
            Stage::map(move |bits: u64| bits.wrapping_add((bits >> drop & 1) + ((1 << (drop - 1)) - 1)) >> drop << drop)
        }
    });
    Ok(Flat::new("bitround", (side, side), [stage], []))
}
