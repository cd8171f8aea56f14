//! The letters of the damage tests are the classes that numcodecs 0.17.1 raises for the same bytes, in order.

use super::super::samples::{
    assert_decodes, contents, counts, crc32, encoded, flips, into, letter, onto, truncations, unhex, walk,
};
use super::*;

// numcodecs' `Zstd(3).encode(walk(200))`, with and without checksum.
const PLAIN: &str = "\
    28b52ffd20c8650300e28a1722804d86310b46cf14d092054942aa9e2349723a2622c00b218dd681ac07930aed4fa6cff22a\
    af7a92f7788ec7788ab75ee219dee00906f8e9a697481f5df4d041ffdcf3ce39df5cf3cc31bf9cf2ea93470e7963f175c40f\
    2f9cf0c0a9030400606803b26997f300da\
";
const CHECKED: &str = "\
    28b52ffd24c8650300e28a1722804d86310b46cf14d092054942aa9e2349723a2622c00b218dd681ac07930aed4fa6cff22a\
    af7a92f7788ec7788ab75ee219dee00906f8e9a697481f5df4d041ffdcf3ce39df5cf3cc31bf9cf2ea93470e7963f175c40f\
    2f9cf0c0a9030400606803b26997f300daf344399d\
";

fn codec() -> Zstd {
    Zstd::new(3, false)
}

/// A frame without a content size: `data` in raw blocks of at most 100 bytes, under a window `descriptor`.
fn unsized_frame(data: &[u8], descriptor: u8) -> Vec<u8> {
    let mut frame = [&MAGIC.to_le_bytes()[..], &[0, descriptor]].concat();
    for block in data.chunks(100) {
        frame.extend_from_slice(&((block.len() as u32) << 3).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&[1, 0, 0]);
    frame
}

fn skippable(length: u32) -> Vec<u8> {
    let mut frame = [0x184D_2A53_u32.to_le_bytes(), length.to_le_bytes()].concat();
    frame.resize(8 + length as usize, b'q');
    frame
}

/// A frame that announces `length` bytes and holds three.
fn announces(length: u64) -> Vec<u8> {
    [&MAGIC.to_le_bytes()[..], &[0xE0], &length.to_le_bytes(), &[3 << 3 | 1, 0, 0], b"abc"].concat()
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents().filter(|data| !data.is_empty()) {
        for (level, checksum) in [(0, true), (-5, false), (9, false)] {
            let codec = Zstd::new(level, checksum);
            assert_decodes(&codec, &encoded(&codec, &data), &data);
        }
    }
}

#[test]
fn test_empty_input_encodes_but_does_not_decode_as_in_numcodecs() {
    let input = encoded(&codec(), b"");
    assert_eq!(letter(&into(&codec(), &input, 0)), 'r');
    assert_eq!(letter(&into(&codec(), b"", 0)), 'r');
    assert_eq!(letter(&onto(&codec(), &skippable(3), 10)), 'r');
}

#[test]
fn test_levels_are_clamped_and_zero_is_three() {
    let data = walk(5000);
    let at = |level| encoded(&Zstd::new(level, false), &data);
    assert_eq!(at(0), at(3));
    assert_eq!(at(100), at(22));
    assert_eq!(at(i32::MIN), at(-131_072));
    assert_ne!(at(1), at(-1));
}

#[test]
fn test_frames_carry_their_length_and_a_checksum_on_request() {
    let data = walk(5000);
    let (plain, checked) = (encoded(&codec(), &data), encoded(&Zstd::new(3, true), &data));
    assert_eq!(zstd_safe::get_frame_content_size(&plain).expect("a frame"), Some(5000));
    assert_eq!(checked.len(), plain.len() + 4);
    assert_eq!(encoded(&codec(), &data), plain, "the context keeps no state");
}

#[test]
fn test_every_thread_encodes_the_same() {
    let data = walk(1 << 20);
    let here = encoded(&codec(), &data);
    let there = std::thread::scope(|scope| scope.spawn(|| encoded(&codec(), &data)).join());
    assert!(there.expect("no panic") == here);
}

#[test]
fn test_reads_what_numcodecs_writes() {
    for stream in [PLAIN, CHECKED] {
        assert_decodes(&codec(), &unhex(stream), &walk(200));
    }
}

#[test]
fn test_frames_are_joined_with_and_without_length_and_around_skippable_ones() {
    let data = walk(3000);
    let (a, b) = (encoded(&codec(), &data[..1000]), encoded(&codec(), &data[1000..]));
    let (ua, ub) = (unsized_frame(&data[..1000], 0), unsized_frame(&data[1000..], 0));
    let (skip, none) = (skippable(5), unsized_frame(b"", 0));
    for [x, y, z] in [[&a, &b, &skip], [&skip, &a, &b], [&a, &ub, &skip], [&skip, &ua, &b], [&ua, &none, &ub]] {
        assert_decodes(&codec(), &[&x[..], y, z].concat(), &data);
    }
    assert_decodes(&codec(), &none, b"");
}

#[test]
fn test_a_long_frame_without_length_decodes() {
    let data = walk(1 << 20);
    assert_decodes(&codec(), &unsized_frame(&data, 0x60), &data);
}

#[test]
fn test_windows_beyond_the_default_are_refused_as_in_numcodecs() {
    for (descriptor, expected) in [(0x88, 'o'), (0x89, 'r'), (0xA8, 'r')] {
        let frame = unsized_frame(b"abc", descriptor);
        assert_eq!(letter(&into(&codec(), &frame, 3)), expected);
        assert_eq!(letter(&onto(&codec(), &frame, 3)), expected);
    }
}

#[test]
fn test_every_truncation_is_a_runtime_error() {
    for stream in [unhex(PLAIN), unhex(CHECKED), unsized_frame(&walk(200), 0)] {
        assert_eq!(truncations(&codec(), &stream, 200), "r".repeat(stream.len()));
    }
}

#[test]
fn test_every_flipped_bit_is_the_error_of_numcodecs() {
    for (stream, crc, expected) in [
        (unhex(PLAIN), 0xac8c_b84f, [('o', 292), ('r', 644)]),
        (unhex(CHECKED), 0xf0d4_2d7e, [('o', 3), ('r', 965)]),
        (unsized_frame(&walk(200), 0), 0x67e4_8733, [('o', 1610), ('r', 110)]),
    ] {
        let letters = flips(&codec(), &stream, 0, 200);
        assert_eq!((counts(&letters), crc32(letters.as_bytes())), (expected.to_vec(), crc));
    }
}

#[test]
fn test_trailing_bytes_are_refused() {
    for stream in [unhex(PLAIN), unsized_frame(&walk(200), 0)] {
        for tail in [&b"x"[..], b"garbage", &[0; 16]] {
            assert_eq!(letter(&into(&codec(), &[&stream, tail].concat(), 200)), 'r');
        }
    }
}

#[test]
fn test_formats_older_than_version_1_are_refused() {
    for magic in [0x1EB5_2FFD_u32, 0xFD2F_B522, 0xFD2F_B525, 0xFD2F_B527] {
        let mut stream = unhex(PLAIN);
        stream[..4].copy_from_slice(&magic.to_le_bytes());
        assert_eq!(letter(&into(&codec(), &stream, 200)), 'r');
    }
}

#[test]
fn test_a_wrong_content_size_is_damage_however_large() {
    for length in [1 << 62, u64::MAX - 2, 1 << 40, 201] {
        for (limit, decoded) in [200, usize::MAX].map(|limit| (limit, onto(&codec(), &announces(length), limit))) {
            assert_eq!(letter(&decoded), 'r', "{length} within {limit}");
        }
        assert_eq!(letter(&into(&codec(), &announces(length), 200)), 'r', "{length}");
    }
    let twice = [announces(u64::MAX - 2), announces(u64::MAX - 2)].concat();
    assert_eq!(letter(&into(&codec(), &twice, 200)), 'r');
    // A correct content size that differs from the expected length is a wrong length.
    let error = into(&codec(), &announces(3), 200).expect_err("too short");
    assert_eq!(error.message, "decoded to 3 bytes, expected 200");
    assert_eq!(letter(&into(&codec(), &announces(200), 200)), 'r');
}

#[test]
fn test_a_bomb_without_length_stops_at_the_limit() {
    // One run-length block of 128 KiB in four bytes, many times.
    let block = [(128 << 10 << 3 | 2_u32).to_le_bytes()[..3].to_vec(), vec![7]].concat();
    let bomb = [&MAGIC.to_le_bytes()[..], &[0, 0x88], &block.repeat(2000), &[1, 0, 0]].concat();
    assert_eq!(letter(&into(&codec(), &bomb, 1000)), 'v');
    let mut out = Vec::new();
    assert_eq!(letter(&codec().decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.capacity() < 1 << 20, "{}", out.capacity());
}
