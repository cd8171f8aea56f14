//! Every codec that runs as a step, by the name and the parameters that describe it. Python's descriptions
//! (`python/zarrs/_codecs/`) and the fuzz targets both come through here. No Python, no codec's own work.

use std::sync::Arc;

use super::array_to_array::astype::astype;
use super::array_to_array::bitround::bitround;
use super::array_to_array::cast_value::{Rules, cast_value};
use super::array_to_array::delta::delta;
use super::array_to_array::fixed_scale_offset::{Formula, Operand, fixed_scale_offset};
use super::array_to_array::packbits::PackBits;
use super::array_to_array::quantize::quantize;
use super::array_to_array::scale_offset::scale_offset;
use super::array_to_array::swap::swap;
use super::array_to_array::{Number, Side};
use super::array_to_bytes::pcodec::{Delta, Pcodec, Settings};
use super::bytes_to_bytes::Step;
use super::bytes_to_bytes::adler32::Adler32;
use super::bytes_to_bytes::blosc::Blosc;
use super::bytes_to_bytes::bz2::Bz2;
use super::bytes_to_bytes::checksum::{Checksum, Location};
use super::bytes_to_bytes::crc32::Crc32;
use super::bytes_to_bytes::crc32c::{Castagnoli, Crc32c};
use super::bytes_to_bytes::fletcher32::Fletcher32;
use super::bytes_to_bytes::gzip::Gzip;
use super::bytes_to_bytes::jenkins_lookup3::JenkinsLookup3;
use super::bytes_to_bytes::lz4::Lz4;
use super::bytes_to_bytes::lzma::{Filter, Format, Lzma};
use super::bytes_to_bytes::shuffle::Shuffle;
use super::bytes_to_bytes::zlib::Zlib;
use super::bytes_to_bytes::zstd::Zstd;
use super::parameters::{FromValue, Parameters, Value, mismatch};
use crate::error::{Error, Result};

/// Makes a codec of its parameters.
type Make = fn(&mut Parameters) -> Result<Arc<dyn Step>>;

/// The codecs by name. Data types are NumPy's names with byte order (`<i4`).
const STEPS: &[(&str, Make)] = &[
    ("astype", |p| step(astype(p.take("decoded")?, p.take("encoded")?)?)),
    ("bitround", |p| step(bitround(p.take("dtype")?, p.take("keepbits")?)?)),
    ("blosc", |p| {
        let cname: String = p.take("cname")?;
        let (clevel, shuffle) = (p.take("clevel")?, p.take("shuffle")?);
        step(Blosc::new(&cname, clevel, shuffle, p.take("blocksize")?, p.take("typesize")?)?)
    }),
    ("bz2", |p| step(Bz2::new(p.take("level")?))),
    ("cast_value", |p| {
        let rules = Rules {
            rounding: p.take("rounding")?,
            out_of_range: p.take("out_of_range")?,
            encode: p.take("encode_map")?,
            decode: p.take("decode_map")?,
        };
        step(cast_value(p.take("decoded")?, p.take("encoded")?, &rules)?)
    }),
    ("crc32c", |_| step(Crc32c)),
    ("delta", |p| step(delta(p.take("decoded")?, p.take("encoded")?, p.take("sum")?)?)),
    ("fixedscaleoffset", |p| {
        let formula = Formula {
            subtract: p.take("subtract")?,
            multiply: p.take("multiply")?,
            divide: p.take("divide")?,
            add: p.take("add")?,
        };
        step(fixed_scale_offset(p.take("decoded")?, p.take("encoded")?, &formula)?)
    }),
    ("fletcher32", |_| step(Checksum::new(Fletcher32, Location::End))),
    ("gzip", |p| step(Gzip::new(p.take("level")?))),
    ("jenkins_lookup3", |p| {
        let algorithm = JenkinsLookup3::new(p.take("initval")?, p.take("prefix")?);
        step(Checksum::new(algorithm, Location::End))
    }),
    ("lz4", |p| step(Lz4::new(p.take("acceleration")?))),
    ("lzma", |p| step(Lzma::new(p.take("format")?, p.take("check")?, p.take("preset")?, p.take("filters")?))),
    ("numcodecs_adler32", |p| step(Checksum::new(Adler32, p.take("location")?))),
    ("numcodecs_crc32", |p| step(Checksum::new(Crc32, p.take("location")?))),
    ("numcodecs_crc32c", |p| step(Checksum::new(Castagnoli, p.take("location")?))),
    ("packbits", |p| step(PackBits::new(p.take("shaped")?))),
    ("pcodec", |p| {
        let order: Option<usize> = p.take("delta_encoding_order")?;
        let settings = Settings {
            level: p.take("level")?,
            automatic_mode: p.take("automatic_mode")?,
            delta: differences(&p.take::<String>("delta_spec")?, order)?,
            page: p.take("equal_pages_up_to")?,
        };
        step(Pcodec::new(p.take("dtype")?, settings, p.take("view")?))
    }),
    ("quantize", |p| step(quantize(p.take("decoded")?, p.take("encoded")?, &p.take("scale")?)?)),
    ("scale_offset", |p| step(scale_offset(p.take("dtype")?, &p.take("offset")?, &p.take("scale")?)?)),
    ("shuffle", |p| step(Shuffle::new(p.take("elementsize")?))),
    ("swap", |p| step(swap(p.take("dtype")?))),
    ("zlib", |p| step(Zlib::new(p.take("level")?))),
    ("zstd", |p| step(Zstd::new(p.take("level")?, p.take("checksum")?))),
];

/// The codec called `name` with the parameters of `values`.
///
/// # Errors
/// `Value` for an unknown name, for parameters that are not the codec's, and what its constructor refuses.
pub fn step_called(name: &str, values: Vec<(String, Value)>) -> Result<Arc<dyn Step>> {
    let Some((_, make)) = STEPS.iter().find(|(known, _)| *known == name) else {
        return Err(Error::value(format!("no step is called {name:?}")));
    };
    let mut parameters = Parameters::new(name, values);
    let step = make(&mut parameters)?;
    parameters.finish()?;
    Ok(step)
}

#[allow(clippy::unnecessary_wraps, reason = "so that a row of the table is one expression")]
fn step(codec: impl Step + 'static) -> Result<Arc<dyn Step>> {
    Ok(Arc::new(codec))
}

fn differences(name: &str, order: Option<usize>) -> Result<Delta> {
    match (name, order) {
        ("auto", None) => Ok(Delta::Auto),
        ("no_op", None) => Ok(Delta::NoOp),
        ("try_consecutive", Some(order)) => Ok(Delta::Consecutive(order)),
        ("try_lookback", None) => Ok(Delta::Lookback),
        _ => Err(Error::value(format!("no differences are called {name:?} with order {order:?}"))),
    }
}

impl FromValue for Side {
    fn from_value(value: Value) -> Result<Self> {
        let name = String::from_value(value)?;
        Self::parse(&name).ok_or_else(|| Error::value(format!("no number is called {name:?}")))
    }
}

/// A number in any byte order.
impl FromValue for Number {
    fn from_value(value: Value) -> Result<Self> {
        Side::from_value(value).map(|side| side.number)
    }
}

/// A scalar: the name of its data type, and its bytes in this machine's byte order.
impl FromValue for Operand {
    fn from_value(value: Value) -> Result<Self> {
        let mut parts = named("scalar", value)?;
        let operand = Self { number: parts.take("dtype")?, bytes: parts.take("bytes")? };
        parts.finish()?;
        Ok(operand)
    }
}

impl FromValue for Location {
    fn from_value(value: Value) -> Result<Self> {
        match String::from_value(value)?.as_str() {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            other => Err(Error::value(format!("no location is called {other:?}"))),
        }
    }
}

impl FromValue for Format {
    fn from_value(value: Value) -> Result<Self> {
        Self::new(i32::from_value(value)?)
    }
}

/// A filter as Python's `lzma` takes it: its number as `id`, and its options by name.
impl FromValue for Filter {
    fn from_value(value: Value) -> Result<Self> {
        let mut parts = named("filter", value)?;
        let id = parts.take("id")?;
        let options = parts.rest().into_iter().map(|(name, value)| Ok((name, u32::from_value(value)?)));
        Ok(Self { id, options: options.collect::<Result<_>>()? })
    }
}

fn named(what: &str, value: Value) -> Result<Parameters> {
    match value {
        Value::Named(values) => Ok(Parameters::new(what, values)),
        other => Err(mismatch("values by name", &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_so_that_none_occurs_twice() {
        assert!(STEPS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_codec_takes_its_parameters_and_no_others() {
        let level = || ("level".to_owned(), Value::from(3));
        step_called("gzip", vec![level()]).expect("sound");
        for values in [vec![], vec![level(), ("speed".to_owned(), Value::from(1))]] {
            step_called("gzip", values).expect_err("not gzip's parameters");
        }
        step_called("no such codec", vec![]).expect_err("not in the table");
    }
}
