//! The `delta` codec: differences between neighbours. <https://numcodecs.readthedocs.io/en/stable/filter/delta.html>

use super::flat::{Carry, Flat, Stage, convert};
use super::number::{Complex, Number, Numeric, Side};
use super::{converter, with_number};
use crate::error::{Error, Kind, Result};

/// The codec between `decoded` and `encoded` elements; sums are computed as `sum`, NumPy's common type of both.
///
/// # Errors
/// `Value` for data types whose arithmetic is not implemented.
pub fn delta(decoded: Side, encoded: Side, sum: Number) -> Result<Flat> {
    let none = || Error::value(format!("delta has no arithmetic for {decoded:?}, {encoded:?} and {sum:?}"));
    let narrowed = match limits(encoded.number) {
        Some(limits) if decoded.number != encoded.number => Some(narrowing(decoded.number, encoded.number, limits)?),
        _ => convert(decoded.number, encoded.number)?,
    };
    let encode = [Some(differences(decoded.number).ok_or_else(none)?), narrowed];
    let decode = [convert(encoded.number, sum)?, Some(sums(sum).ok_or_else(none)?), convert(sum, decoded.number)?];
    Ok(Flat::new("delta", (decoded, encoded), encode, decode))
}

fn differences(number: Number) -> Option<Stage> {
    match number {
        Number::C64 => Some(difference_stage::<Complex<f32>>()),
        Number::C128 => Some(difference_stage::<Complex<f64>>()),
        _ => with_number!(number, T => difference_stage::<T>(); reals),
    }
}

fn sums(number: Number) -> Option<Stage> {
    match number {
        Number::C64 => Some(sum_stage::<Complex<f32>>()),
        Number::C128 => Some(sum_stage::<Complex<f64>>()),
        _ => with_number!(number, T => sum_stage::<T>(); reals),
    }
}

/// The range of a signed integer type, its end excluded; `None` for other types. NumPy wraps values put into unsigned
/// types.
fn limits(number: Number) -> Option<(f64, f64)> {
    let half = match number {
        Number::I8 => 7,
        Number::I16 => 15,
        Number::I32 => 31,
        Number::I64 => 63,
        _ => return None,
    };
    Some((-(2_f64.powi(half)), 2_f64.powi(half)))
}

/// The conversion of differences to signed integers. The first is an element of the array, which NumPy assigns as a
/// Python integer and refuses if it does not fit; all others are converted as an array.
fn narrowing(from: Number, to: Number, (least, end): (f64, f64)) -> Result<Stage> {
    let none = || Error::value(format!("no conversion of {from:?} to {to:?}"));
    let (convert, widen) = converter(from, to).zip(converter(from, Number::F64)).ok_or_else(none)?;
    Ok(Stage::new(to.size(), move |input, out, carry| {
        if carry.last.replace([0; 16]).is_none() && !input.is_empty() {
            let mut first = [0; 8];
            widen(&input[..from.size()], &mut first);
            let first = f64::from_ne_bytes(first).trunc();
            if first.is_nan() {
                return Err(Error::value("delta: cannot convert float NaN to integer"));
            }
            if first < least || first >= end {
                return Err(Error::new(Kind::Overflow, format!("delta: {first} is out of bounds for {to:?}")));
            }
        }
        convert(input, out);
        Ok(())
    }))
}

/// Replaces each element but the first by its difference from the one before.
fn difference_stage<T: Numeric>() -> Stage {
    Stage::new(T::SIZE, |input, out, carry| {
        let Some((first, rest)) = input.split_at_checked(T::SIZE) else { return Ok(()) };
        let (out_first, out_rest) = out.split_at_mut(T::SIZE);
        let value = T::load(first);
        carried::<T>(carry).map_or(value, |last| value.minus(last)).store(out_first);
        let neighbours = rest.chunks_exact(T::SIZE).zip(input.chunks_exact(T::SIZE));
        for ((here, before), to) in neighbours.zip(out_rest.chunks_exact_mut(T::SIZE)) {
            T::load(here).minus(T::load(before)).store(to);
        }
        keep(carry, T::load(&input[input.len() - T::SIZE..]));
        Ok(())
    })
}

fn sum_stage<T: Numeric>() -> Stage {
    Stage::new(T::SIZE, |input, out, carry| {
        let mut sum = carried::<T>(carry);
        for (from, to) in input.chunks_exact(T::SIZE).zip(out.chunks_exact_mut(T::SIZE)) {
            let value = T::load(from);
            // Not 0 + the first: -0.0 would become 0.0.
            let next = sum.map_or(value, |sum| sum.plus(value));
            next.store(to);
            sum = Some(next);
        }
        if let Some(sum) = sum {
            keep(carry, sum);
        }
        Ok(())
    })
}

fn carried<T: Numeric>(carry: &Carry) -> Option<T> {
    carry.last.as_ref().map(|last| T::load(&last[..T::SIZE]))
}

fn keep<T: Numeric>(carry: &mut Carry, value: T) {
    let mut last = [0; 16];
    value.store(&mut last[..T::SIZE]);
    carry.last = Some(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Step;

    #[test]
    fn test_sums_and_differences_continue_across_blocks() {
        for order in ["<", ">"] {
            let side = Side::parse(&format!("{order}i4")).expect("a number");
            let codec = delta(side, side, Number::I32).expect("integers");
            let values: Vec<u8> = (0..5000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_ne_bytes()).collect();
            let mut encoded = Vec::new();
            codec.encode(&values, &mut encoded).expect("room");
            assert_eq!(encoded.len(), values.len());
            let mut decoded = vec![0; values.len()];
            codec.decode_into(&encoded, decoded.as_mut_slice().into()).expect("as encoded");
            assert_eq!(decoded, values);
        }
    }

    #[test]
    fn test_lengths_are_checked() {
        let side = Side::parse("<i4").expect("a number");
        let codec = delta(side, side, Number::I32).expect("integers");
        assert!(codec.encode(&[0; 5], &mut Vec::new()).is_err());
        assert!(codec.decode_into(&[0; 8], [0; 4].as_mut_slice().into()).is_err());
        assert!(codec.decode_onto(&[0; 8], &mut Vec::new(), 7).is_err());
        assert!(codec.decode_onto(&[], &mut Vec::new(), 0).is_ok());
    }

    #[test]
    fn test_a_first_element_that_does_not_fit_is_refused() {
        let (wide, narrow) = (Side::parse("<f8").expect("a number"), Side::parse("|i1").expect("a number"));
        let codec = delta(wide, narrow, Number::F64).expect("numbers");
        for (first, refused) in [(127.9, false), (128.0, true), (-128.9, false), (-129.0, true), (f64::NAN, true)] {
            let outcome = codec.encode(&f64::to_ne_bytes(first), &mut Vec::new());
            assert_eq!(outcome.is_err(), refused, "{first}");
        }
    }
}
