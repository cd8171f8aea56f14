//! Specifications of codecs that work on numbers, as `python/zarrs/_filters.py` writes them, to steps of a chain.
//!
//! Data types are NumPy's names with byte order (`<i4`), scalars their bytes in this machine's byte order.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::errors::to_python;
use crate::codec::array_to_array::astype::astype;
use crate::codec::array_to_array::bitround::bitround;
use crate::codec::array_to_array::cast_value::{Rules, cast_value};
use crate::codec::array_to_array::delta::delta;
use crate::codec::array_to_array::fixed_scale_offset::{Formula, Operand, fixed_scale_offset};
use crate::codec::array_to_array::packbits::PackBits;
use crate::codec::array_to_array::quantize::quantize;
use crate::codec::array_to_array::scale_offset::scale_offset;
use crate::codec::array_to_array::swap::swap;
use crate::codec::array_to_array::{Flat, Side};
use crate::codec::array_to_bytes::pcodec::{Delta, Pcodec, Settings};
use crate::codec::bytes_to_bytes::Step;
use crate::error::Result;

type Scalar = (String, Vec<u8>);

fn side(name: &str) -> PyResult<Side> {
    Side::parse(name).ok_or_else(|| PyValueError::new_err(format!("no number is called {name:?}")))
}

fn operand((name, bytes): Scalar) -> PyResult<Operand> {
    Ok(Operand { number: side(&name)?.number, bytes })
}

/// The step that `spec` describes; `name` is its first part.
pub fn step_of(name: &str, spec: &Bound<'_, PyTuple>) -> PyResult<Arc<dyn Step>> {
    let flat = |made: Result<Flat>| -> PyResult<Arc<dyn Step>> {
        Ok(Arc::new(made.map_err(|error| to_python(spec.py(), error))?))
    };
    match name {
        "astype" => {
            let (_, decoded, encoded): (String, String, String) = spec.extract()?;
            flat(astype(side(&decoded)?, side(&encoded)?))
        }
        "bitround" => {
            let (_, name, keep): (String, String, u32) = spec.extract()?;
            flat(bitround(side(&name)?, keep))
        }
        "cast_value" => {
            type Map = Vec<(Vec<u8>, Vec<u8>)>;
            let (_, decoded, encoded, rounding, out_of_range, encode, decode): (
                String,
                String,
                String,
                String,
                Option<String>,
                Map,
                Map,
            ) = spec.extract()?;
            let rules = Rules { rounding, out_of_range, encode, decode };
            flat(cast_value(side(&decoded)?, side(&encoded)?, &rules))
        }
        "delta" => {
            let (_, decoded, encoded, sum): (String, String, String, String) = spec.extract()?;
            flat(delta(side(&decoded)?, side(&encoded)?, side(&sum)?.number))
        }
        "fixedscaleoffset" => {
            let (_, decoded, encoded, subtract, multiply, divide, add): (
                String,
                String,
                String,
                Scalar,
                Scalar,
                Scalar,
                Scalar,
            ) = spec.extract()?;
            let formula = Formula {
                subtract: operand(subtract)?,
                multiply: operand(multiply)?,
                divide: operand(divide)?,
                add: operand(add)?,
            };
            flat(fixed_scale_offset(side(&decoded)?, side(&encoded)?, &formula))
        }
        "packbits" => {
            let (_, shaped): (String, bool) = spec.extract()?;
            Ok(Arc::new(PackBits::new(shaped)))
        }
        "pcodec" => {
            let (_, name, level, automatic_mode, delta, order, page, view): (
                String,
                String,
                usize,
                bool,
                String,
                usize,
                usize,
                bool,
            ) = spec.extract()?;
            let delta = match delta.as_str() {
                "auto" => Delta::Auto,
                "no_op" => Delta::NoOp,
                "try_consecutive" => Delta::Consecutive(order),
                "try_lookback" => Delta::Lookback,
                _ => return Err(PyValueError::new_err(format!("no differences are called {delta:?}"))),
            };
            let settings = Settings { level, automatic_mode, delta, page };
            Ok(Arc::new(Pcodec::new(side(&name)?.number, settings, view)))
        }
        "quantize" => {
            let (_, decoded, encoded, scale): (String, String, String, Scalar) = spec.extract()?;
            flat(quantize(side(&decoded)?, side(&encoded)?, &operand(scale)?))
        }
        "scale_offset" => {
            let (_, name, offset, scale): (String, String, Scalar, Scalar) = spec.extract()?;
            flat(scale_offset(side(&name)?, &operand(offset)?, &operand(scale)?))
        }
        "swap" => {
            let (_, name): (String, String) = spec.extract()?;
            Ok(Arc::new(swap(side(&name)?)))
        }
        _ => Err(PyValueError::new_err(format!("no step is called {name:?}"))),
    }
}
