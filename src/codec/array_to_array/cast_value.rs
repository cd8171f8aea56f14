//! The `cast_value` codec: values cast to another data type, by the library that zarr-python's own codec calls.
//! <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/cast_value>

use half::f16;
use zarr_cast_value::{
    CastError, FloatToFloatConfig, FloatToIntConfig, IntToFloatConfig, IntToIntConfig, MapEntry, OutOfRangeMode,
    RoundingMode, convert_slice_float_to_float, convert_slice_float_to_int, convert_slice_int_to_float,
    convert_slice_int_to_int,
};

use super::flat::{BLOCK_ELEMENTS, Flat, Stage};
use super::number::{Number, Numeric, Side};
use crate::error::{Error, Result};

/// Scalars that are cast by lookup: pairs of an element of the source type and one of the target type, in this
/// machine's byte order.
pub type ScalarMap = Vec<(Vec<u8>, Vec<u8>)>;

/// How to cast values that the other data type cannot hold.
#[derive(Debug, Clone)]
pub struct Rules {
    /// "nearest-even", "towards-zero", "towards-positive", "towards-negative" or "nearest-away".
    pub rounding: String,
    /// "clamp" or "wrap"; `None` is an error.
    pub out_of_range: Option<String>,
    /// Scalars to look up when encoding.
    pub encode: ScalarMap,
    /// Scalars to look up when decoding.
    pub decode: ScalarMap,
}

/// The codec between `decoded` and `encoded` elements.
///
/// # Errors
/// `Value` for an unknown rule, a scalar of another size, or a data type that is neither an integer nor a float.
pub fn cast_value(decoded: Side, encoded: Side, rules: &Rules) -> Result<Flat> {
    let rounding: RoundingMode = rules.rounding.parse().map_err(Error::value)?;
    let out_of_range: Option<OutOfRangeMode> =
        rules.out_of_range.as_deref().map(str::parse).transpose().map_err(Error::value)?;
    let stage = |from, to, map| {
        cast(from, to, rounding, out_of_range, map)?
            .ok_or_else(|| Error::value(format!("cast_value is for integers and floats, not {from:?} and {to:?}")))
    };
    let encode = stage(decoded.number, encoded.number, &rules.encode)?;
    let decode = stage(encoded.number, decoded.number, &rules.decode)?;
    Ok(Flat::new("cast_value", (decoded, encoded), [Some(encode)], [Some(decode)]))
}

macro_rules! casts {
    (($from:expr, $to:expr, $rounding:expr, $out_of_range:expr, $map:expr);
     integers: $($integer:ident $int:ty),*; floats: $($real:ident $float:ty),*; ) => {
        match $from {
            $(Number::$integer => casts!(@from_integer $int, $to, $rounding, $out_of_range, $map),)*
            $(Number::$real => casts!(@from_float $float, $to, $rounding, $out_of_range, $map),)*
            _ => None,
        }
    };
    (@from_integer $from:ty, $to:expr, $rounding:expr, $out_of_range:expr, $map:expr) => {
        casts!(@to $from, $to, $rounding, $out_of_range, $map;
            |from, to, config| convert_slice_int_to_int(from, to, config),
            |map_entries, _rounding, out_of_range| IntToIntConfig { map_entries, out_of_range };
            |from, to, config| convert_slice_int_to_float(from, to, config),
            |map_entries, rounding, out_of_range| IntToFloatConfig { map_entries, rounding, out_of_range })
    };
    (@from_float $from:ty, $to:expr, $rounding:expr, $out_of_range:expr, $map:expr) => {
        casts!(@to $from, $to, $rounding, $out_of_range, $map;
            |from, to, config| convert_slice_float_to_int(from, to, config),
            |map_entries, rounding, out_of_range| FloatToIntConfig { map_entries, rounding, out_of_range };
            |from, to, config| convert_slice_float_to_float(from, to, config),
            |map_entries, rounding, out_of_range| FloatToFloatConfig { map_entries, rounding, out_of_range })
    };
    (@to $from:ty, $to:expr, $rounding:expr, $out_of_range:expr, $map:expr;
     $to_integer:expr, $integer_config:expr; $to_float:expr, $float_config:expr) => {
        match $to {
            Number::I8 => casts!(@one $from, i8, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::I16 => casts!(@one $from, i16, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::I32 => casts!(@one $from, i32, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::I64 => casts!(@one $from, i64, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::U8 => casts!(@one $from, u8, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::U16 => casts!(@one $from, u16, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::U32 => casts!(@one $from, u32, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::U64 => casts!(@one $from, u64, $rounding, $out_of_range, $map, $to_integer, $integer_config),
            Number::F16 => casts!(@one $from, f16, $rounding, $out_of_range, $map, $to_float, $float_config),
            Number::F32 => casts!(@one $from, f32, $rounding, $out_of_range, $map, $to_float, $float_config),
            Number::F64 => casts!(@one $from, f64, $rounding, $out_of_range, $map, $to_float, $float_config),
            _ => None,
        }
    };
    (@one $from:ty, $to:ty, $rounding:expr, $out_of_range:expr, $map:expr, $convert:expr, $config:expr) => {{
        let config = ($config)(entries::<$from, $to>($map)?, $rounding, $out_of_range);
        Some(stage::<$from, $to>(move |from, to| ($convert)(from, to, &config)))
    }};
}

fn cast(
    from: Number,
    to: Number,
    rounding: RoundingMode,
    out_of_range: Option<OutOfRangeMode>,
    map: &ScalarMap,
) -> Result<Option<Stage>> {
    Ok(casts!((from, to, rounding, out_of_range, map);
        integers: I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64;
        floats: F16 f16, F32 f32, F64 f64;))
}

fn entries<From: Numeric, To: Numeric>(map: &ScalarMap) -> Result<Vec<MapEntry<From, To>>> {
    map.iter()
        .map(|(src, tgt)| {
            if (src.len(), tgt.len()) == (From::SIZE, To::SIZE) {
                Ok(MapEntry { src: From::load(src), tgt: To::load(tgt) })
            } else {
                Err(Error::value("cast_value: the size of a scalar differs from that of its data type"))
            }
        })
        .collect()
}

fn stage<From: Numeric, To: Numeric>(
    convert: impl Fn(&[From], &mut [To]) -> std::result::Result<(), CastError> + Send + Sync + 'static,
) -> Stage {
    Stage::new(To::SIZE, move |input, out, _| {
        let (mut from, mut to) = ([From::default(); BLOCK_ELEMENTS], [To::default(); BLOCK_ELEMENTS]);
        let count = input.len() / From::SIZE;
        for (bytes, value) in input.chunks_exact(From::SIZE).zip(&mut from) {
            *value = From::load(bytes);
        }
        convert(&from[..count], &mut to[..count]).map_err(|error| Error::value(error.to_string()))?;
        for (value, bytes) in to.iter().zip(out.chunks_exact_mut(To::SIZE)) {
            value.store(bytes);
        }
        Ok(())
    })
}
