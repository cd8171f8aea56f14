//! The `scale_offset` codec: `(x − offset) × scale` in the data type's own arithmetic, where integers may not overflow.
//! <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/scale_offset>

use super::fixed_scale_offset::{Operand, Real, scalar};
use super::flat::{Flat, Stage};
use super::number::{Number, Numeric, Side};
use super::with_number;
use crate::error::{Error, Result};

/// The codec for elements of `side`, with scalars of the same type.
///
/// # Errors
/// `Value` for a scale of zero and for data types that are neither integers nor floats.
pub fn scale_offset(side: Side, offset: &Operand, scale: &Operand) -> Result<Flat> {
    let stages = match side.number {
        Number::F16 | Number::F32 | Number::F64 => with_number!(side.number, T => {
            let (offset, scale): (T, T) = (scalar(offset)?, scalar(scale)?);
            (
                Stage::map(move |value: T| value.minus(offset).times(scale)),
                Stage::map(move |value: T| value.over(scale).plus(offset)),
            )
        }; floats),
        Number::U64 => Some(unlimited(scalar(offset)?, scalar(scale)?)?),
        Number::I8 => Some(widened::<i8>(scalar(offset)?, scalar(scale)?)?),
        Number::I16 => Some(widened::<i16>(scalar(offset)?, scalar(scale)?)?),
        Number::I32 => Some(widened::<i32>(scalar(offset)?, scalar(scale)?)?),
        Number::I64 => Some(widened::<i64>(scalar(offset)?, scalar(scale)?)?),
        Number::U8 => Some(widened::<u8>(scalar(offset)?, scalar(scale)?)?),
        Number::U16 => Some(widened::<u16>(scalar(offset)?, scalar(scale)?)?),
        Number::U32 => Some(widened::<u32>(scalar(offset)?, scalar(scale)?)?),
        _ => None,
    };
    let (encode, decode) = stages.ok_or_else(|| Error::value(format!("scale_offset is for numbers, not {side:?}")))?;
    Ok(Flat::new("scale_offset", (side, side), [Some(encode)], [Some(decode)]))
}

/// zarr's name of an integer type.
fn dtype<T>() -> String {
    let kind = if std::any::type_name::<T>().starts_with('u') { "uint" } else { "int" };
    format!("{kind}{}", 8 * size_of::<T>())
}

fn outside<T>() -> Error {
    Error::value(format!("scale_offset produced a value outside the range of dtype {}", dtype::<T>()))
}

fn inexact<T>() -> Error {
    Error::value(format!(
        "scale_offset decode: a value has a non-zero remainder by the scale, or is outside the range of dtype {}",
        dtype::<T>()
    ))
}

fn zero() -> Error {
    Error::value("scale_offset scale must be non-zero")
}

/// As in zarr-python: computed in 64 bits, which wrap for the widest integers, then checked against the data type.
fn widened<T: Numeric + TryFrom<i64> + Into<i64>>(offset: T, scale: T) -> Result<(Stage, Stage)> {
    let (offset, scale): (i64, i64) = (offset.into(), scale.into());
    if scale == 0 {
        return Err(zero());
    }
    let encode = move |value: T| T::try_from(value.into().wrapping_sub(offset).wrapping_mul(scale)).ok();
    let decode = move |value: T| {
        let value: i64 = value.into();
        let whole = value.wrapping_rem(scale) == 0;
        T::try_from(value.wrapping_div(scale).wrapping_add(offset)).ok().filter(|_| whole)
    };
    Ok((Stage::try_map(encode, outside::<T>), Stage::try_map(decode, inexact::<T>)))
}

/// As in zarr-python, which computes `uint64` in unbounded integers.
fn unlimited(offset: u64, scale: u64) -> Result<(Stage, Stage)> {
    if scale == 0 {
        return Err(zero());
    }
    // The scale is positive, so values below the offset would be negative.
    let encode = move |value: u64| value.checked_sub(offset).and_then(|value| value.checked_mul(scale));
    let decode = move |value: u64| (value / scale).checked_add(offset).filter(|_| value.is_multiple_of(scale));
    Ok((Stage::try_map(encode, outside::<u64>), Stage::try_map(decode, inexact::<u64>)))
}
