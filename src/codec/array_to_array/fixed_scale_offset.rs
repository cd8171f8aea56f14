//! The `fixedscaleoffset` codec: `(x − offset) × scale`, rounded.
//! <https://numcodecs.readthedocs.io/en/stable/filter/fixedscaleoffset.html>

use half::f16;

use super::convert::{half, single};
use super::flat::{Flat, Stage, convert};
use super::number::{Number, Numeric, Side};
use super::with_number;
use crate::error::{Error, Result};

/// The scalar operand of one operation: the type in which NumPy computes it, and the scalar in that type and in this
/// machine's byte order.
#[derive(Debug, Clone)]
pub struct Operand {
    /// The type of the scalar and the result.
    pub number: Number,
    /// The scalar.
    pub bytes: Vec<u8>,
}

/// The operations of the codec; each has the type of NumPy's result.
#[derive(Debug, Clone)]
pub struct Formula {
    /// Encoding: the subtrahend.
    pub subtract: Operand,
    /// Encoding: the factor of the difference; the product is rounded to the nearest integer.
    pub multiply: Operand,
    /// Decoding: the divisor.
    pub divide: Operand,
    /// Decoding: the addend to the quotient.
    pub add: Operand,
}

/// The codec between `decoded` and `encoded` elements.
///
/// # Errors
/// `Value` for data types whose arithmetic is not implemented.
pub fn fixed_scale_offset(decoded: Side, encoded: Side, formula: &Formula) -> Result<Flat> {
    let Formula { subtract, multiply, divide, add } = formula;
    let encode = [
        convert(decoded.number, subtract.number)?,
        Some(arithmetic(subtract, Operation::Minus)?),
        convert(subtract.number, multiply.number)?,
        Some(arithmetic(multiply, Operation::Times)?),
        rounding(multiply.number),
        convert(multiply.number, encoded.number)?,
    ];
    let decode = [
        convert(encoded.number, divide.number)?,
        Some(division(divide)?),
        convert(divide.number, add.number)?,
        Some(arithmetic(add, Operation::Plus)?),
        convert(add.number, decoded.number)?,
    ];
    Ok(Flat::new("fixedscaleoffset", (decoded, encoded), encode, decode))
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Plus,
    Minus,
    Times,
}

fn unsupported(operand: &Operand) -> Error {
    Error::value(format!("no arithmetic with {operand:?}"))
}

/// The scalar of `operand`.
pub(super) fn scalar<T: Numeric>(operand: &Operand) -> Result<T> {
    if operand.bytes.len() == T::SIZE { Ok(T::load(&operand.bytes)) } else { Err(unsupported(operand)) }
}

fn arithmetic(operand: &Operand, operation: Operation) -> Result<Stage> {
    with_number!(operand.number, T => {
        let scalar: T = scalar(operand)?;
        match operation {
            Operation::Plus => Stage::map(move |value: T| value.plus(scalar)),
            Operation::Minus => Stage::map(move |value: T| value.minus(scalar)),
            Operation::Times => Stage::map(move |value: T| value.times(scalar)),
        }
    }; reals)
    .ok_or_else(|| unsupported(operand))
}

/// Division by `operand`, always a float: NumPy divides integers as doubles.
pub(super) fn division(operand: &Operand) -> Result<Stage> {
    with_number!(operand.number, T => {
        let scalar: T = scalar(operand)?;
        Stage::map(move |value: T| value.over(scalar))
    }; floats)
    .ok_or_else(|| unsupported(operand))
}

/// `np.around` without decimals; `None` for integers, which it does not change.
pub(super) fn rounding(number: Number) -> Option<Stage> {
    with_number!(number, T => Stage::map(|value: T| value.to_nearest_even()); floats)
}

/// Operations of floats only.
pub(super) trait Real: Numeric {
    /// Quotient.
    fn over(self, other: Self) -> Self;
    /// The nearest integer, ties to even.
    fn to_nearest_even(self) -> Self;
}

macro_rules! reals {
    ($($type:ty),*) => {$(
        impl Real for $type {
            #[inline]
            fn over(self, other: Self) -> Self {
                self / other
            }
            #[inline]
            fn to_nearest_even(self) -> Self {
                self.round_ties_even()
            }
        }
    )*};
}

reals!(f32, f64);

impl Real for f16 {
    #[inline]
    fn over(self, other: Self) -> Self {
        half(single(self) / single(other))
    }
    #[inline]
    fn to_nearest_even(self) -> Self {
        half(single(self).round_ties_even())
    }
}
