//! The steps of a chain, with the settings that matter to reading. The first two bytes of an input are the length expected,
//! the others what is decoded; then they are encoded too, and must come back.

use engine::codec::array_to_array::Side;
use engine::codec::array_to_array::astype::astype as astype_of;
use engine::codec::array_to_array::bitround::bitround as bitround_of;
use engine::codec::array_to_array::cast_value::{Rules, cast_value as cast_value_of};
use engine::codec::array_to_array::delta::delta as delta_of;
use engine::codec::array_to_array::fixed_scale_offset::{Formula, Operand, fixed_scale_offset};
use engine::codec::array_to_array::packbits::PackBits;
use engine::codec::array_to_array::scale_offset::scale_offset as scale_offset_of;
use engine::codec::array_to_bytes::pcodec::{Delta, Pcodec, Settings};
use engine::codec::bytes_to_bytes::Step;
use engine::codec::bytes_to_bytes::adler32::Adler32;
use engine::codec::bytes_to_bytes::blosc::Blosc;
use engine::codec::bytes_to_bytes::bz2::Bz2;
use engine::codec::bytes_to_bytes::checksum::{Checksum, Location};
use engine::codec::bytes_to_bytes::crc32::Crc32;
use engine::codec::bytes_to_bytes::crc32c::{Castagnoli, Crc32c};
use engine::codec::bytes_to_bytes::fletcher32::Fletcher32;
use engine::codec::bytes_to_bytes::gzip::Gzip;
use engine::codec::bytes_to_bytes::jenkins_lookup3::JenkinsLookup3;
use engine::codec::bytes_to_bytes::lz4::Lz4;
use engine::codec::bytes_to_bytes::lzma::{Filter, Format, Lzma};
use engine::codec::bytes_to_bytes::shuffle::Shuffle;
use engine::codec::bytes_to_bytes::zlib::Zlib;
use engine::codec::bytes_to_bytes::zstd::Zstd;
use engine::error::Result;
use engine::memory::OutBytes;

use crate::{Target, number, sample, seed};

const GUARD: usize = 64;
const LENGTHS: [usize; 4] = [0, 64, 400, 5000];

/// All ways of decoding `input` where `length` bytes are expected.
fn decode(codec: &dyn Step, input: &[u8], length: usize) {
    let mut room = vec![0xA5; length + 2 * GUARD];
    let _ = codec.decode_into(input, OutBytes::from(&mut room[GUARD..GUARD + length]));
    let guards = room[..GUARD].iter().chain(&room[GUARD + length..]);
    assert!(guards.into_iter().all(|byte| *byte == 0xA5), "written outside the place");

    let mut out = Vec::new();
    let result = codec.decode_onto(input, &mut out, length);
    assert!(result.is_err() || out.len() <= length, "{} bytes within a limit of {length}", out.len());
    assert!(out.capacity() <= 4 * length + (1 << 16), "{} bytes of memory for {length}", out.capacity());

    for validate in [false, true] {
        if let Some(Ok(view)) = codec.decode_view(input, validate) {
            assert!(view.len() <= input.len());
        }
    }

    let (start, end) = (length / 4, length / 2);
    let mut part = vec![0xA5; end - start + 2 * GUARD];
    let _ = codec.decode_span(input, length, start, OutBytes::from(&mut part[GUARD..GUARD + end - start]));
    let guards = part[..GUARD].iter().chain(&part[GUARD + end - start..]);
    assert!(guards.into_iter().all(|byte| *byte == 0xA5), "written outside the span");
    let _ = codec.span_parts(input, input.len(), length, start..end);
}

/// Whole elements of four bytes, once encoded, decode to themselves; but for none at all, which some formats cannot hold.
fn there_and_back(codec: &dyn Step, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len() / 4 * 4];
    if bytes.is_empty() {
        return;
    }
    let mut encoded = Vec::new();
    if codec.encode(bytes, &mut encoded).is_err() {
        return;
    }
    let mut decoded = vec![0; bytes.len()];
    codec.decode_into(&encoded, OutBytes::from(&mut decoded[..])).expect("sound bytes");
    assert_eq!(decoded, bytes);
}

fn of(codec: impl Step + 'static, exact: bool) -> Target {
    let mut seeds = Vec::new();
    for length in LENGTHS {
        let mut encoded = Vec::new();
        if codec.encode(&sample(length), &mut encoded).is_ok() {
            seeds.push(seed(length, &encoded));
        }
    }
    let check = move |input: &[u8]| {
        if let Some((length, bytes)) = number(input, 0..=16_383) {
            decode(&codec, bytes, length);
            if exact {
                there_and_back(&codec, bytes);
            }
        }
    };
    Target { check: Box::new(check), seeds }
}

fn exact(codec: impl Step + 'static) -> Target {
    of(codec, true)
}

/// A filter that rounds, or refuses some values.
fn filter<T: Step + 'static>(codec: Result<T>) -> Target {
    of(codec.expect("a sound configuration"), false)
}

fn side(name: &str) -> Side {
    Side::parse(name).expect("a number")
}

fn operand(name: &str, value: &[u8]) -> Operand {
    Operand { number: side(name).number, bytes: value.to_vec() }
}

fn blosc(cname: &str, shuffle: i32) -> Target {
    exact(Blosc::new(cname, 5, shuffle, 0, 4).expect("a compressor that is built in"))
}

fn lzma(format: Format, preset: Option<u32>, filters: Option<Vec<Filter>>) -> Target {
    exact(Lzma::new(format, -1, preset, filters))
}

pub fn adler32() -> Target {
    exact(Checksum::new(Adler32, Location::Start))
}

pub fn astype() -> Target {
    filter(astype_of(side("<f8"), side(">i2")))
}

pub fn bitround() -> Target {
    filter(bitround_of(side("<f4"), 5))
}

pub fn blosc_blosclz() -> Target {
    blosc("blosclz", 1)
}

pub fn blosc_lz4() -> Target {
    blosc("lz4", 2)
}

pub fn blosc_zlib() -> Target {
    blosc("zlib", 0)
}

pub fn blosc_zstd() -> Target {
    blosc("zstd", 1)
}

pub fn bz2() -> Target {
    exact(Bz2::new(1))
}

pub fn cast_value() -> Target {
    let rules = Rules {
        rounding: "nearest-even".to_owned(),
        out_of_range: None,
        encode: vec![(f32::NAN.to_ne_bytes().to_vec(), vec![0x80])],
        decode: vec![(vec![0x80], f32::NAN.to_ne_bytes().to_vec())],
    };
    filter(cast_value_of(side("<f4"), side("|i1"), &rules))
}

pub fn crc32() -> Target {
    exact(Checksum::new(Crc32, Location::End))
}

pub fn crc32c() -> Target {
    exact(Crc32c)
}

pub fn delta() -> Target {
    filter(delta_of(side(">i4"), side("<i2"), side("<i4").number))
}

pub fn fixedscaleoffset() -> Target {
    let ten = operand("<f8", &10_f64.to_ne_bytes());
    let formula = Formula { subtract: ten.clone(), multiply: ten.clone(), divide: ten.clone(), add: ten };
    filter(fixed_scale_offset(side("<f8"), side("<i2"), &formula))
}

pub fn fletcher32() -> Target {
    exact(Checksum::new(Fletcher32, Location::End))
}

pub fn gzip() -> Target {
    exact(Gzip::new(5))
}

pub fn jenkins_lookup3() -> Target {
    exact(Checksum::new(JenkinsLookup3::new(7, b"prefix".to_vec()), Location::End))
}

pub fn lz4() -> Target {
    exact(Lz4::new(1))
}

pub fn lzma_alone() -> Target {
    lzma(Format::Alone, Some(0), None)
}

pub fn lzma_raw() -> Target {
    let delta = Filter { id: 3, options: vec![("dist".to_owned(), 4)] };
    let lzma2 = Filter { id: 0x21, options: vec![("preset".to_owned(), 0)] };
    lzma(Format::Raw, None, Some(vec![delta, lzma2]))
}

pub fn lzma_xz() -> Target {
    lzma(Format::Xz, Some(0), None)
}

pub fn numcodecs_crc32c() -> Target {
    exact(Checksum::new(Castagnoli, Location::Start))
}

pub fn packbits() -> Target {
    filter(Ok(PackBits::new(false)))
}

pub fn pcodec() -> Target {
    let settings = Settings { level: 4, automatic_mode: true, delta: Delta::Auto, page: 1 << 18 };
    exact(Pcodec::new(side("<u4").number, settings, false))
}

pub fn scale_offset() -> Target {
    let (offset, scale) = (operand("<i2", &3_i16.to_ne_bytes()), operand("<i2", &2_i16.to_ne_bytes()));
    filter(scale_offset_of(side("<i2"), &offset, &scale))
}

pub fn shuffle() -> Target {
    exact(Shuffle::new(4))
}

pub fn zlib() -> Target {
    exact(Zlib::new(5))
}

pub fn zstd() -> Target {
    exact(Zstd::new(3, true))
}
