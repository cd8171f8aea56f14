//! The oracle of the encoding tests is numcodecs 0.17.1 (c-blosc 1.21.7.dev) with one thread.

use super::super::samples::{
    assert_decodes, contents, crc32, encoded, flips, into, letter, noise, onto, span, truncations, walk,
};
use super::*;

const NAMES: [&str; 5] = ["blosclz", "lz4", "lz4hc", "zlib", "zstd"];

/// Compressor, clevel, shuffle, blocksize, typesize, length of a walk; length and CRC-32 of numcodecs' encoding of it.
type Encoding = (&'static str, i32, i32, i32, usize, usize, usize, u32);
#[rustfmt::skip]
const ENCODINGS: [Encoding; 45] = [
    ("blosclz", 1, 0, 0, 1, 100_003, 100_019, 0x6d85_1f50),
    ("blosclz", 5, 1, 0, 4, 100_003, 29_484, 0xbf73_eab4),
    ("blosclz", 5, 2, 0, 4, 100_000, 29_553, 0x835b_fcbb),
    ("blosclz", 9, 2, 0, 1, 70_000, 42_467, 0xe50f_22a8),
    ("blosclz", 3, 1, 4096, 8, 50_000, 16_021, 0xbe7b_635a),
    ("blosclz", 5, -1, 0, 1, 4096, 2663, 0x6dff_1a02),
    ("blosclz", 0, 1, 0, 4, 1000, 1016, 0x7544_e432),
    ("blosclz", 5, 1, 0, 4, 7, 23, 0xb186_d75b),
    ("blosclz", 5, 1, 0, 300, 5000, 5016, 0x7356_6dca),
    ("lz4", 1, 0, 0, 1, 100_003, 100_019, 0x2232_6943),
    ("lz4", 5, 1, 0, 4, 100_003, 28_949, 0xf2a9_1884),
    ("lz4", 5, 2, 0, 4, 100_000, 29_245, 0xa52e_3352),
    ("lz4", 9, 2, 0, 1, 70_000, 38_436, 0x5196_f071),
    ("lz4", 3, 1, 4096, 8, 50_000, 15_552, 0x34c4_d6e1),
    ("lz4", 5, -1, 0, 1, 4096, 2970, 0x871f_bc78),
    ("lz4", 0, 1, 0, 4, 1000, 1016, 0xaf6e_b1f3),
    ("lz4", 5, 1, 0, 4, 7, 23, 0x264e_f283),
    ("lz4", 5, 1, 0, 300, 5000, 5016, 0x58d3_634f),
    ("lz4hc", 1, 0, 0, 1, 100_003, 94_906, 0x5b18_183e),
    ("lz4hc", 5, 1, 0, 4, 100_003, 27_859, 0xb5aa_54f5),
    ("lz4hc", 5, 2, 0, 4, 100_000, 26_125, 0xeb12_9572),
    ("lz4hc", 9, 2, 0, 1, 70_000, 28_866, 0x9bd6_e888),
    ("lz4hc", 3, 1, 4096, 8, 50_000, 15_357, 0xec11_192b),
    ("lz4hc", 5, -1, 0, 1, 4096, 2263, 0x4e92_cd6d),
    ("lz4hc", 0, 1, 0, 4, 1000, 1016, 0xaf6e_b1f3),
    ("lz4hc", 5, 1, 0, 4, 7, 23, 0x264e_f283),
    ("lz4hc", 5, 1, 0, 300, 5000, 4738, 0xced3_304b),
    ("zlib", 1, 0, 0, 1, 100_003, 35_224, 0x3d98_cfca),
    ("zlib", 5, 1, 0, 4, 100_003, 25_853, 0xcfce_c8bf),
    ("zlib", 5, 2, 0, 4, 100_000, 23_175, 0xd3a0_5749),
    ("zlib", 9, 2, 0, 1, 70_000, 21_173, 0x4ecb_8756),
    ("zlib", 3, 1, 4096, 8, 50_000, 14_345, 0xf867_8864),
    ("zlib", 5, -1, 0, 1, 4096, 1372, 0x3da2_16c6),
    ("zlib", 0, 1, 0, 4, 1000, 1016, 0xc04b_1c30),
    ("zlib", 5, 1, 0, 4, 7, 23, 0xd2af_bf72),
    ("zlib", 5, 1, 0, 300, 5000, 1820, 0x45df_4481),
    ("zstd", 1, 0, 0, 1, 100_003, 62_196, 0x71b2_e8e1),
    ("zstd", 5, 1, 0, 4, 100_003, 26_443, 0x2128_0de1),
    ("zstd", 5, 2, 0, 4, 100_000, 24_440, 0x7898_36fe),
    ("zstd", 9, 2, 0, 1, 70_000, 18_794, 0xff35_0804),
    ("zstd", 3, 1, 4096, 8, 50_000, 14_130, 0xb04d_8f14),
    ("zstd", 5, -1, 0, 1, 4096, 1359, 0xceff_50b8),
    ("zstd", 0, 1, 0, 4, 1000, 1016, 0x2ba2_1674),
    ("zstd", 5, 1, 0, 4, 7, 23, 0x8335_4af8),
    ("zstd", 5, 1, 0, 300, 5000, 2781, 0x65d5_d494),
];

fn codec(cname: &str, clevel: i32, shuffle: i32, blocksize: i32, typesize: usize) -> Blosc {
    Blosc::new(cname, clevel, shuffle, blocksize, typesize).expect("a valid configuration")
}

/// A decoder: decoding needs no configuration.
fn any() -> Blosc {
    codec("lz4", 5, 1, 0, 1)
}

fn patched(input: &[u8], at: usize, value: i32) -> Vec<u8> {
    let mut copy = input.to_vec();
    copy[at..at + 4].copy_from_slice(&value.to_le_bytes());
    copy
}

#[test]
fn test_encodes_to_the_bytes_of_numcodecs() {
    for (cname, clevel, shuffle, blocksize, typesize, length, expected, crc) in ENCODINGS {
        let data = walk(length);
        let codec = codec(cname, clevel, shuffle, blocksize, typesize);
        let input = encoded(&codec, &data);
        assert_decodes(&any(), &input, &data);
        assert_eq!((input.len(), crc32(&input)), (expected, crc), "{codec:?} of {length}");
    }
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents().filter(|data| !data.is_empty()) {
        for cname in NAMES {
            let codec = codec(cname, 3, 1, 0, 4);
            assert_decodes(&any(), &encoded(&codec, &data), &data);
        }
    }
}

#[test]
fn test_empty_input_encodes_but_does_not_decode_as_in_numcodecs() {
    let input = encoded(&any(), b"");
    assert_eq!(input.len(), 16);
    assert_eq!(letter(&into(&any(), &input, 0)), 'r');
    assert_eq!(letter(&into(&any(), b"", 0)), 'r');
}

#[test]
fn test_configurations_are_refused_where_numcodecs_refuses_them() {
    let error = Blosc::new("snappy", 5, 1, 0, 4).expect_err("not built in");
    assert!(error.message.contains("\"snappy\" is not supported"), "{error}");
    assert_eq!(letter(&Blosc::new("lz4", 5, 1, 0, 0)), 'v');
    let encode = |codec: Blosc| letter(&codec.encode(&walk(500), &mut Vec::new()));
    assert_eq!(encode(codec("lz4", 10, 1, 0, 4)), 'r');
    assert_eq!(encode(codec("lz4", -1, 1, 0, 4)), 'r');
    assert_eq!(encode(codec("lz4", 5, 3, 0, 4)), 'v');
    assert_eq!(encode(codec("lz4", 5, 1, -5, usize::MAX)), 'o');
}

#[test]
fn test_bytes_after_the_buffer_are_ignored_as_in_numcodecs() {
    let data = walk(5000);
    assert_decodes(&any(), &[encoded(&any(), &data), b"xy".to_vec()].concat(), &data);
}

#[test]
fn test_every_truncation_is_a_runtime_error() {
    for (data, cname) in [(walk(400), "lz4"), (walk(400), "zstd"), (noise(40), "blosclz")] {
        let input = encoded(&codec(cname, 5, 1, 0, 4), &data);
        assert_eq!(truncations(&any(), &input, data.len()), "r".repeat(input.len()));
    }
}

#[test]
fn test_no_flipped_bit_writes_outside_the_output() {
    for cname in NAMES {
        for (shuffle, blocksize, typesize) in [(0, 0, 1), (1, 0, 4), (2, 256, 8), (1, 256, 2)] {
            let input = encoded(&codec(cname, 5, shuffle, blocksize, typesize), &walk(700));
            let letters = flips(&any(), &input, 0, 700);
            assert!(letters.chars().all(|letter| "orv".contains(letter)), "{letters}");
            for bit in 0..input.len() * 8 {
                let mut flipped = input.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let _ = span(&any(), &flipped, 700, 256, 64);
            }
        }
    }
}

#[test]
fn test_hostile_headers_are_errors() {
    // zstd, whose blocks blosc does not enlarge: four blocks.
    let input = encoded(&codec("zstd", 5, 1, 1024, 4), &walk(4000));
    for value in [i32::MIN, -1, 0, 1, 3, 127, 3999, 4001, i32::MAX - 16, i32::MAX] {
        // Block size, the offsets of blocks, and the length of the first piece.
        for at in [8, 16, 20, 28, 32] {
            let hostile = patched(&input, at, value);
            assert_eq!(letter(&into(&any(), &hostile, 4000)), 'r', "{value} at {at}");
            assert!(span(&any(), &hostile, 4000, 0, 8).is_none_or(|result| at == 20 || at == 28 || result.is_err()));
        }
        for at in [4, 12] {
            let hostile = patched(&input, at, value);
            assert_ne!(letter(&into(&any(), &hostile, 4000)), 'o', "{value} at {at}");
            assert_ne!(letter(&onto(&any(), &hostile, 1 << 20)), 'o', "{value} at {at}");
        }
    }
    for (at, value) in [(0, 3), (1, 9), (2, 0xFF), (3, 0)] {
        let mut hostile = input.clone();
        hostile[at] = value;
        assert_eq!(letter(&into(&any(), &hostile, 4000)), 'r', "byte {at}");
    }
}

#[test]
fn test_an_announced_length_is_judged_by_decoding() {
    for cname in NAMES {
        let sound = encoded(&codec(cname, 5, 1, 1024, 4), &walk(40_000));
        // Off by less than a block: the length of the last block does not match.
        for length in [39_999, 40_001, 40_900] {
            assert_eq!(letter(&into(&any(), &patched(&sound, 4, length), 40_000)), 'r', "{cname} {length}");
            assert_eq!(letter(&onto(&any(), &patched(&sound, 4, length), 1 << 20)), 'r', "{cname} {length}");
            assert!(span(&any(), &patched(&sound, 4, length), 40_000, 0, 8).is_none_or(|result| result.is_err()));
        }
        // The bytes within the limit are decoded, kept, and show damage.
        let mut out = Vec::new();
        let refused = any().decode_onto(&sound, &mut out, 5003);
        assert_eq!((letter(&refused), &out), ('v', &walk(5000)), "{cname}");
        let mut damaged = sound.clone();
        damaged[20..24].fill(0xFF);
        assert_eq!(letter(&any().decode_onto(&damaged, &mut Vec::new(), 5003)), 'r', "{cname}");
    }
}

#[test]
fn test_blocks_with_gaps_are_refused() {
    // Three-byte items do not divide the blocks of 1000 bytes: the last byte of each would not be written.
    let input = encoded(&codec("lz4", 5, 0, 1000, 1), &vec![0; 4000]);
    let mut hostile = input.clone();
    hostile[2] &= !0x10;
    hostile[3] = 3;
    assert_ne!(letter(&into(&any(), &hostile, 4000)), 'o');
    assert!(span(&any(), &hostile, 4000, 0, 3).is_none());
}

#[test]
fn test_an_overflowing_match_length_is_refused() {
    // c-blosc issue 405: a piece that is one match of 2^31 bytes and more.
    let ones = 8_421_600;
    let piece = [&[0, b'a', 0xE0][..], &vec![0xFF; ones], &[0, 0, 0, 0]].concat();
    let length = 64_i32 << 10;
    let total = (16 + 4 + 4 + piece.len()) as i32;
    let mut hostile = vec![2, 1, 0x10, 1];
    for field in [length, length, total, 20, piece.len() as i32] {
        hostile.extend_from_slice(&field.to_le_bytes());
    }
    hostile.extend_from_slice(&piece);
    let error = into(&any(), &hostile, length as usize).expect_err("refused");
    assert!(error.message.contains("match length"), "{error}");
}

#[test]
fn test_a_span_equals_that_part_of_the_whole() {
    let data = walk(400_000);
    for (cname, typesize, blocksize) in [("lz4", 4, 4096), ("zstd", 8, 1024), ("blosclz", 2, 4096), ("zlib", 1, 5000)] {
        let input = encoded(&codec(cname, 5, 1, blocksize, typesize), &data);
        for (start, length) in [(0, 8), (65_536, 65_536), (65_528, 16), (399_992, 8), (8000, 0), (160_000, 120_000)] {
            let got = span(&any(), &input, 400_000, start, length);
            let got = got.expect("fewer blocks than all").expect("decodes");
            assert!(got == data[start..start + length], "{cname}: {length} bytes at {start}");
        }
    }
}

#[test]
fn test_a_span_is_left_to_the_whole_decode_if_that_costs_no_more() {
    let data = walk(40_000);
    let input = encoded(&codec("zstd", 5, 1, 4096, 4), &data);
    assert!(span(&any(), &input, 40_000, 2, 8).is_none(), "within an item");
    assert!(span(&any(), &input, 40_000, 0, 40_000).is_none(), "all blocks");
    assert!(span(&any(), &input, 40_000, 39_996, 8).is_none(), "past the end");
    assert!(span(&any(), &input, 39_996, 0, 8).is_none(), "of another length");
    assert_eq!(span(&any(), &input[..99], 40_000, 0, 8).map(|result| letter(&result)), Some('r'));
}

#[test]
fn test_a_span_of_a_copied_buffer_may_be_any_bytes() {
    let data = noise(5000);
    let input = encoded(&codec("lz4", 0, 1, 0, 4), &data);
    for (start, length) in [(0, 5000), (1, 3), (4999, 1)] {
        let got = span(&any(), &input, 5000, start, length).expect("copied").expect("in bounds");
        assert!(got == data[start..start + length]);
    }
}

#[test]
fn test_spans_decode_on_several_threads_at_once() {
    let data = walk(200_000);
    let input = encoded(&codec("zstd", 5, 1, 4096, 4), &data);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (data, input) = (&data, &input);
            scope.spawn(move || {
                for step in 0..200 {
                    let start = (thread * 1000 + step * 900) / 4 * 4;
                    let got = span(&any(), input, 200_000, start, 2000).expect("few blocks").expect("decodes");
                    assert!(got == data[start..start + 2000]);
                }
            });
        }
    });
}
