//! The steps of a chain, with the settings that matter to reading. The first two bytes of an input are the length expected,
//! the others what is decoded; then they are encoded too, and must come back.

use std::sync::Arc;

use engine::codec::bytes_to_bytes::Step;
use engine::codec::parameters::Value;
use engine::codec::table::step_called;
use engine::memory::OutBytes;

use crate::{Maker, Target, number, sample, seed};

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

fn of(name: &str, parameters: Vec<(&str, Value)>, exact: bool) -> Target {
    let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let codec: Arc<dyn Step> = step_called(name, parameters).expect("a codec of the table, and its parameters");
    let mut seeds = Vec::new();
    for length in LENGTHS {
        let mut encoded = Vec::new();
        if codec.encode(&sample(length), &mut encoded).is_ok() {
            seeds.push(seed(length, &encoded));
        }
    }
    let check = move |input: &[u8]| {
        if let Some((length, bytes)) = number(input, 0..=16_383) {
            decode(&*codec, bytes, length);
            if exact {
                there_and_back(&*codec, bytes);
            }
        }
    };
    Target { check: Box::new(check), seeds }
}

/// A codec that decodes what it encodes to the same bytes.
fn exact(name: &str, parameters: Vec<(&str, Value)>) -> Target {
    of(name, parameters, true)
}

/// A filter that rounds, or refuses some values.
fn filter(name: &str, parameters: Vec<(&str, Value)>) -> Target {
    of(name, parameters, false)
}

fn scalar(dtype: &str, bytes: &[u8]) -> Value {
    [("dtype", dtype.into()), ("bytes", bytes.into())].into()
}

fn blosc(cname: &str, shuffle: i32) -> Target {
    let (clevel, blocksize, typesize) = (5.into(), 0.into(), 4.into());
    let parameters = vec![
        ("cname", cname.into()),
        ("clevel", clevel),
        ("shuffle", shuffle.into()),
        ("blocksize", blocksize),
        ("typesize", typesize),
    ];
    exact("blosc", parameters)
}

fn lzma(format: i32, preset: Option<i32>, filters: Option<Vec<Value>>) -> Target {
    let (preset, filters) = (preset.into(), filters.into());
    exact("lzma", vec![("format", format.into()), ("check", (-1).into()), ("preset", preset), ("filters", filters)])
}

/// The targets by name, made of the codecs of the engine's table.
pub const TARGETS: &[(&str, Maker)] = &[
    ("adler32", || exact("numcodecs_adler32", vec![("location", "start".into())])),
    ("astype", || filter("astype", vec![("decoded", "<f8".into()), ("encoded", ">i2".into())])),
    ("bitround", || filter("bitround", vec![("dtype", "<f4".into()), ("keepbits", 5.into())])),
    ("blosc_blosclz", || blosc("blosclz", 1)),
    ("blosc_lz4", || blosc("lz4", 2)),
    ("blosc_zlib", || blosc("zlib", 0)),
    ("blosc_zstd", || blosc("zstd", 1)),
    ("bz2", || exact("bz2", vec![("level", 1.into())])),
    ("cast_value", || {
        let (nan, least) = (|| Value::from(&f32::NAN.to_ne_bytes()[..]), || Value::from(&[0x80][..]));
        let parameters = vec![
            ("decoded", "<f4".into()),
            ("encoded", "|i1".into()),
            ("rounding", "nearest-even".into()),
            ("out_of_range", Value::None),
            ("encode_map", vec![vec![nan(), least()].into()].into()),
            ("decode_map", vec![vec![least(), nan()].into()].into()),
        ];
        filter("cast_value", parameters)
    }),
    ("crc32", || exact("numcodecs_crc32", vec![("location", "end".into())])),
    ("crc32c", || exact("crc32c", vec![])),
    ("delta", || filter("delta", vec![("decoded", ">i4".into()), ("encoded", "<i2".into()), ("sum", "<i4".into())])),
    ("fixedscaleoffset", || {
        let ten = || scalar("<f8", &10_f64.to_ne_bytes());
        let mut parameters = vec![("decoded", "<f8".into()), ("encoded", "<i2".into())];
        parameters.extend(["subtract", "multiply", "divide", "add"].map(|operation| (operation, ten())));
        filter("fixedscaleoffset", parameters)
    }),
    ("fletcher32", || exact("fletcher32", vec![])),
    ("gzip", || exact("gzip", vec![("level", 5.into())])),
    ("jenkins_lookup3", || exact("jenkins_lookup3", vec![("initval", 7.into()), ("prefix", (&b"prefix"[..]).into())])),
    ("lz4", || exact("lz4", vec![("acceleration", 1.into())])),
    ("lzma_alone", || lzma(2, Some(0), None)),
    ("lzma_raw", || {
        let delta = [("id", 3.into()), ("dist", 4.into())].into();
        let lzma2 = [("id", 0x21.into()), ("preset", 0.into())].into();
        lzma(3, None, Some(vec![delta, lzma2]))
    }),
    ("lzma_xz", || lzma(1, Some(0), None)),
    ("numcodecs_crc32c", || exact("numcodecs_crc32c", vec![("location", "start".into())])),
    ("packbits", || filter("packbits", vec![("shaped", false.into())])),
    ("pcodec", || {
        let parameters = vec![
            ("dtype", "<u4".into()),
            ("level", 4.into()),
            ("automatic_mode", true.into()),
            ("delta_spec", "auto".into()),
            ("delta_encoding_order", Value::None),
            ("equal_pages_up_to", (1 << 18).into()),
            ("view", false.into()),
        ];
        exact("pcodec", parameters)
    }),
    ("scale_offset", || {
        let (offset, scale) = (scalar("<i2", &3_i16.to_ne_bytes()), scalar("<i2", &2_i16.to_ne_bytes()));
        filter("scale_offset", vec![("dtype", "<i2".into()), ("offset", offset), ("scale", scale)])
    }),
    ("shuffle", || exact("shuffle", vec![("elementsize", 4.into())])),
    ("zlib", || exact("zlib", vec![("level", 5.into())])),
    ("zstd", || exact("zstd", vec![("level", 3.into()), ("checksum", true.into())])),
];
