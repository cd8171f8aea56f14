//! Conversion between data types, element by element, exactly as NumPy's `astype` does it on x86-64.
//!
//! For a float outside the range of the integer type, NumPy leaves the result to the C compiler and so to the
//! processor's `cvttsd2si`, which returns the least integer of 32 or 64 bits. Narrower types keep its low bits.

use half::f16;

use super::number::{Number, Numeric, Truth};
use super::with_number;

/// Converts the elements of one block to those of another.
pub(crate) type Convert = fn(&[u8], &mut [u8]);

/// The conversion of `from` to `to`, both in this machine's byte order; `None` if it is not implemented.
pub(crate) fn converter(from: Number, to: Number) -> Option<Convert> {
    match from {
        Number::Bool => to_any::<Truth>(to),
        _ => with_number!(from, From => to_any::<From>(to); reals).flatten(),
    }
}

fn to_any<From: Source>(to: Number) -> Option<Convert> {
    match to {
        Number::Bool => Some(convert::<From, Truth>),
        _ => with_number!(to, To => convert::<From, To> as Convert; reals),
    }
}

fn convert<From: Source, To: Destination>(input: &[u8], out: &mut [u8]) {
    for (from, to) in input.chunks_exact(From::SIZE).zip(out.chunks_exact_mut(To::SIZE)) {
        From::load(from).to::<To>().store(to);
    }
}

/// A type to convert from.
pub(super) trait Source: Numeric {
    /// The same value as another type.
    fn to<To: Destination>(self) -> To;
}

/// A type to convert to.
pub(super) trait Destination: Numeric {
    /// From a signed integer of any width.
    fn from_signed(value: i64) -> Self;
    /// From an unsigned integer of any width.
    fn from_unsigned(value: u64) -> Self;
    /// From half or single precision.
    fn from_single(value: f32) -> Self;
    /// From double precision.
    fn from_double(value: f64) -> Self;
}

macro_rules! source {
    ($($type:ty => |$value:ident, $to:ident| $body:expr;)*) => {$(
        impl Source for $type {
            #[inline]
            fn to<$to: Destination>(self) -> $to {
                let $value = self;
                $body
            }
        }
    )*};
}

source! {
    Truth => |value, To| To::from_unsigned(u64::from(value.0 != 0));
    i8 => |value, To| To::from_signed(value.into());
    i16 => |value, To| To::from_signed(value.into());
    i32 => |value, To| To::from_signed(value.into());
    i64 => |value, To| To::from_signed(value);
    u8 => |value, To| To::from_unsigned(value.into());
    u16 => |value, To| To::from_unsigned(value.into());
    u32 => |value, To| To::from_unsigned(value.into());
    u64 => |value, To| To::from_unsigned(value);
    f16 => |value, To| To::from_single(single(value));
    f32 => |value, To| To::from_single(value);
    f64 => |value, To| To::from_double(value);
}

macro_rules! target {
    ($($type:ty: $signed:expr, $unsigned:expr, $single:expr, $double:expr;)*) => {$(
        impl Destination for $type {
            #[inline]
            fn from_signed(value: i64) -> Self {
                let convert: fn(i64) -> Self = $signed;
                convert(value)
            }
            #[inline]
            fn from_unsigned(value: u64) -> Self {
                let convert: fn(u64) -> Self = $unsigned;
                convert(value)
            }
            #[inline]
            fn from_single(value: f32) -> Self {
                let convert: fn(f32) -> Self = $single;
                convert(value)
            }
            #[inline]
            fn from_double(value: f64) -> Self {
                let convert: fn(f64) -> Self = $double;
                convert(value)
            }
        }
    )*};
}

target! {
    i8: |v| v as i8, |v| v as i8, |v| least32(v.into()) as i8, |v| least32(v) as i8;
    i16: |v| v as i16, |v| v as i16, |v| least32(v.into()) as i16, |v| least32(v) as i16;
    i32: |v| v as i32, |v| v as i32, |v| least32(v.into()), least32;
    i64: |v| v, |v| v as i64, |v| least64(v.into()), least64;
    u8: |v| v as u8, |v| v as u8, |v| least32(v.into()) as u8, |v| least32(v) as u8;
    u16: |v| v as u16, |v| v as u16, |v| least32(v.into()) as u16, |v| least32(v) as u16;
    u32: |v| v as u32, |v| v as u32, |v| least64(v.into()) as u32, |v| least64(v) as u32;
    u64: |v| v as u64, |v| v, |v| unsigned64(v.into()), unsigned64;
    f16: |v| half(v as f32), |v| half(v as f32), half, half_of_double;
    f32: |v| v as f32, |v| v as f32, |v| v, |v| v as f32;
    f64: |v| v as f64, |v| v as f64, f64::from, |v| v;
    Truth: |v| Truth(u8::from(v != 0)), |v| Truth(u8::from(v != 0)),
        |v| Truth(u8::from(v != 0.0)), |v| Truth(u8::from(v != 0.0));
}

/// `cvttsd2si` with 32 bits.
#[inline]
fn least32(value: f64) -> i32 {
    if value > -2_147_483_649.0 && value < 2_147_483_648.0 { value as i32 } else { i32::MIN }
}

/// `cvttsd2si` with 64 bits.
#[inline]
fn least64(value: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&value) { value as i64 } else { i64::MIN }
}

/// The code that compilers generate for a conversion to unsigned 64 bits: values in the upper half are converted less
/// 2^63.
#[inline]
fn unsigned64(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value >= HALF { least64(value - HALF) as u64 ^ (1 << 63) } else { least64(value) as u64 }
}

/// Half to single precision. A NaN keeps its payload, as in NumPy's own routine.
#[inline]
pub(super) fn single(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
    match rest {
        // Infinities and NaN.
        0x7c00.. => f32::from_bits(sign | 0x7f80_0000 | (rest & 0x3ff) << 13),
        // The exponent is biased by 15, not 127.
        0x0400.. => f32::from_bits(sign | ((rest << 13) + ((127 - 15) << 23))),
        // Zero and subnormal numbers, in units of 2^-24.
        _ => f32::from_bits(sign | (rest as f32 * f32::from_bits((127 - 24) << 23)).to_bits()),
    }
}

/// Single to half precision, ties to even. A NaN keeps the bits of its payload that fit, and stays a NaN.
#[inline]
pub(super) fn half(value: f32) -> f16 {
    let bits = value.to_bits();
    let (sign, rest) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    f16::from_bits(sign | half_bits(u64::from(rest), 23, 127))
}

/// Double to half precision, rounded once.
#[inline]
pub(super) fn half_of_double(value: f64) -> f16 {
    let bits = value.to_bits();
    let (sign, rest) = ((bits >> 48 & 0x8000) as u16, bits & (u64::MAX >> 1));
    f16::from_bits(sign | half_bits(rest, 52, 1023))
}

/// The magnitude in half precision of a magnitude `bits`, which has `mantissa` bits of significand and an exponent
/// biased by `offset`.
#[inline]
fn half_bits(bits: u64, mantissa: u32, offset: u64) -> u16 {
    let extra = mantissa - 10;
    let exponent = bits >> mantissa;
    let fraction = bits & ((1 << mantissa) - 1);
    if exponent == 2 * offset + 1 {
        // A payload of zero would turn the NaN into an infinity.
        let payload = (fraction >> extra) as u16;
        return 0x7c00 | if fraction != 0 && payload == 0 { 1 } else { payload };
    }
    if exponent > offset + 15 {
        return 0x7c00;
    }
    if exponent > offset - 15 {
        // Normal. A carry out of the fraction correctly increments the exponent, at most to infinity.
        return rounded(bits - ((offset - 15) << mantissa), extra) as u16;
    }
    // Subnormal or zero: the fraction with its leading one, in units of 2^-24.
    let shift = u64::from(extra) + offset - 14 - exponent;
    if shift > 62 || exponent == 0 {
        return 0;
    }
    rounded(fraction | 1 << mantissa, shift as u32) as u16
}

/// `value` without its `shift` lowest bits, rounded to nearest, ties to even.
#[inline]
fn rounded(value: u64, shift: u32) -> u64 {
    let odd = value >> shift & 1;
    (value + ((1 << (shift - 1)) - 1) + odd) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_halves_survive_single_and_double_precision() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            assert_eq!(half(single(value)).to_bits(), bits);
            if !value.is_nan() {
                assert_eq!(half_of_double(f64::from(single(value))).to_bits(), bits);
                assert_eq!(single(value).to_bits(), value.to_f32().to_bits());
            }
        }
    }

    #[test]
    fn test_halves_round_once_to_the_nearest_even() {
        // 1 + 2^-11 is halfway to the next half; a tiny excess decides, which single precision would lose.
        let tie = 1.0 + 2f64.powi(-11);
        assert_eq!(half_of_double(tie).to_bits(), 0x3c00);
        assert_eq!(half_of_double(tie + 2f64.powi(-40)).to_bits(), 0x3c01);
        assert_eq!(half(65_520.0).to_bits(), 0x7c00);
        assert_eq!(half(65_519.996).to_bits(), 0x7bff);
        assert_eq!(half(2f32.powi(-25)).to_bits(), 0);
        assert_eq!(half(2f32.powi(-25) * 1.001).to_bits(), 1);
        assert_eq!(half_of_double(f64::MIN_POSITIVE).to_bits(), 0);
    }

    #[test]
    fn test_floats_out_of_range_become_the_least_integer() {
        let to = |value: f64| (value.to::<i32>(), value.to::<i64>(), value.to::<u8>(), value.to::<u32>());
        assert_eq!(to(f64::NAN), (i32::MIN, i64::MIN, 0, 0));
        assert_eq!(to(1e10), (i32::MIN, 10_000_000_000, 0, 1_410_065_408));
        assert_eq!(to(-1.9), (-1, -1, 255, u32::MAX));
        assert_eq!(f64::INFINITY.to::<u64>(), 0);
        assert_eq!((-1.0_f64).to::<u64>(), u64::MAX);
    }
}
