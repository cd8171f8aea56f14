//! Whether a decoded chunk holds nothing but the fill value, by zarr's rule, in the stored byte order.
//! Leaves out how a fill value is written in metadata.

use super::equality::{Equality, Field, Leaf};
use super::references::ValidReferences;

/// A fill value, ready to be compared with decoded chunks.
#[derive(Clone, Debug)]
pub struct FillTest(Test);

#[derive(Clone, Debug)]
enum Test {
    /// Nothing differs where the mask has bits. Both are the element repeated to a common length; no mask is all bits.
    Masked { pattern: Vec<u8>, mask: Option<Vec<u8>> },
    /// Each element of `floats` floats has one that is not a number.
    Nan { unit: usize, floats: usize, big_endian: bool },
    /// Each byte is 1 at least.
    True,
    /// Each reference leads to the same bytes as the fill value.
    Text { fill: Vec<u8>, valid: ValidReferences },
    /// None.
    Never,
}

/// Least length of the repeated pattern: long enough that the loop over it is what takes the time.
const REPEATED: usize = 256;

impl FillTest {
    /// The rule for `fill`, the bytes of one element as they are stored.
    pub fn new(fill: &[u8], equality: &Equality, big_endian: bool) -> Self {
        let nan = |unit, floats| Self(Test::Nan { unit, floats, big_endian });
        let has_nan = |unit| fill.chunks_exact(unit).any(|float| is_nan(float, big_endian));
        match equality {
            Equality::Never => Self(Test::Never),
            Equality::Bool if fill.iter().any(|byte| *byte != 0) => Self(Test::True),
            Equality::FloatNan { unit } if has_nan(*unit) => nan(*unit, 1),
            Equality::Complex { unit } if has_nan(*unit) => nan(*unit, 2),
            Equality::Bits | Equality::Bool | Equality::FloatNan { .. } => Self::masked(fill, None),
            Equality::Complex { unit } => {
                let mut mask = Vec::with_capacity(fill.len());
                fill.chunks_exact(*unit).for_each(|float| mask.extend(number_mask(float, big_endian)));
                Self::masked(fill, Some(mask))
            }
            Equality::Fields(fields) => match fields_mask(fill, fields, big_endian) {
                Some(mask) => Self::masked(fill, Some(mask)),
                None => Self(Test::Never),
            },
        }
    }

    /// The rule for elements of variable length, whose decoded chunks hold references; `fill` is the text of the fill
    /// value.
    pub fn text(fill: &[u8], valid: ValidReferences) -> Self {
        Self(Test::Text { fill: fill.to_vec(), valid })
    }

    fn masked(fill: &[u8], mask: Option<Vec<u8>>) -> Self {
        let times = REPEATED.div_ceil(fill.len().max(1));
        let mask = mask.filter(|mask| mask.iter().any(|byte| *byte != u8::MAX));
        Self(Test::Masked { pattern: fill.repeat(times), mask: mask.map(|mask| mask.repeat(times)) })
    }
}

/// Whether every element of the packed `chunk` equals the fill value; so does a decoded chunk without elements.
pub fn is_empty(chunk: &[u8], fill_test: &FillTest) -> bool {
    match &fill_test.0 {
        Test::Masked { pattern, .. } if pattern.is_empty() => true,
        Test::Masked { pattern, mask: None } => chunk.chunks(pattern.len()).all(|part| part == &pattern[..part.len()]),
        Test::Masked { pattern, mask: Some(mask) } => {
            chunk.chunks(pattern.len()).all(|part| equal_where(part, pattern, mask))
        }
        Test::Nan { unit, floats, big_endian } => match (unit, big_endian) {
            (2, false) => all_nan(chunk, *floats, |float| is_nan16(u16::from_le_bytes(float))),
            (2, true) => all_nan(chunk, *floats, |float| is_nan16(u16::from_be_bytes(float))),
            (4, false) => all_nan(chunk, *floats, |float| f32::from_le_bytes(float).is_nan()),
            (4, true) => all_nan(chunk, *floats, |float| f32::from_be_bytes(float).is_nan()),
            (_, false) => all_nan(chunk, *floats, |float| f64::from_le_bytes(float).is_nan()),
            (_, true) => all_nan(chunk, *floats, |float| f64::from_be_bytes(float).is_nan()),
        },
        Test::True => {
            chunk.chunks(REPEATED).all(|part| part.iter().fold(1, |all, byte| all & u8::from(*byte != 0)) == 1)
        }
        Test::Text { fill, valid } => valid.text(chunk).all(|text| text == Some(fill)),
        Test::Never => chunk.is_empty(),
    }
}

/// Whether the bytes are equal wherever `mask` has bits, without a branch inside, so that it vectorises.
fn equal_where(part: &[u8], pattern: &[u8], mask: &[u8]) -> bool {
    let wanted = pattern.iter().zip(mask);
    part.iter().zip(wanted).fold(0, |differ, (byte, (want, mask))| differ | ((byte ^ want) & mask)) == 0
}

/// Whether each group of `floats` (1 or 2) floats of N bytes has one that is not a number.
fn all_nan<const N: usize>(chunk: &[u8], floats: usize, is_nan: impl Fn([u8; N]) -> bool) -> bool {
    let nan = |float: &[u8; N]| u8::from(is_nan(*float));
    chunk.as_chunks().0.chunks(REPEATED / N).all(|part| {
        let complex = part.as_chunks().0.iter();
        let all = match floats {
            1 => part.iter().fold(1, |all, float| all & nan(float)),
            _ => complex.fold(1, |all, [real, imaginary]| all & (nan(real) | nan(imaginary))),
        };
        all == 1
    })
}

fn is_nan16(bits: u16) -> bool {
    bits & 0x7fff > 0x7c00
}

/// Whether the float is not a number.
fn is_nan(float: &[u8], big_endian: bool) -> bool {
    let magnitude = bits(float, big_endian) & !sign(float.len());
    match float.len() {
        2 => magnitude > 0x7c00,
        4 => magnitude > 0x7f80_0000,
        _ => magnitude > 0x7ff0_0000_0000_0000,
    }
}

/// Which bits must be equal for `==`: not the sign of a zero.
fn number_mask(float: &[u8], big_endian: bool) -> Vec<u8> {
    let mut mask = vec![u8::MAX; float.len()];
    if bits(float, big_endian) & !sign(float.len()) == 0 {
        mask[if big_endian { 0 } else { float.len() - 1 }] = 0x7f;
    }
    mask
}

/// Which bits must be equal for a structure's `==`; `None` if a leaf of the fill value equals nothing.
fn fields_mask(fill: &[u8], fields: &[Field], big_endian: bool) -> Option<Vec<u8>> {
    let mut mask = vec![0; fill.len()];
    for field in fields {
        let bytes = field.offset..field.offset + field.size * field.count;
        let (value, mask) = (&fill[bytes.clone()], &mut mask[bytes]);
        match field.leaf {
            Leaf::Time if value.chunks_exact(8).any(|time| bits(time, big_endian) == sign(8)) => return None,
            Leaf::Bits | Leaf::Time => mask.fill(u8::MAX),
            Leaf::Float { unit } => {
                for (float, mask) in value.chunks_exact(unit).zip(mask.chunks_exact_mut(unit)) {
                    if is_nan(float, big_endian) {
                        return None;
                    }
                    mask.copy_from_slice(&number_mask(float, big_endian));
                }
            }
        }
    }
    Some(mask)
}

/// The bytes of a number of at most 8 as an integer.
fn bits(number: &[u8], big_endian: bool) -> u64 {
    let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    if big_endian { number.iter().fold(0, join) } else { number.iter().rev().fold(0, join) }
}

/// The highest bit of a number of `unit` bytes.
fn sign(unit: usize) -> u64 {
    1 << (unit * 8 - 1)
}
