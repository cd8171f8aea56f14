//! Expected bytes and letters come from numcodecs 0.17.1 (bzip2 1.0.8).

use super::super::samples::{
    assert_decodes, contents, counts, crc32, encoded, flips, into, letter, onto, truncations, walk,
};
use super::*;

fn codec() -> Bz2 {
    Bz2::new(1)
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents() {
        assert_decodes(&codec(), &encoded(&codec(), &data), &data);
    }
}

#[test]
fn test_bytes_are_those_of_the_reference_library() {
    for (level, length, sum) in [(1, 53_797, 0xde12_9a3e), (9, 53_741, 0x6ceb_af2d)] {
        let bytes = encoded(&Bz2::new(level), &walk(100_003));
        assert_eq!((bytes.len(), crc32(&bytes)), (length, sum));
    }
}

#[test]
fn test_other_levels_are_value_errors_when_encoding() {
    for level in [-1, 0, 10] {
        assert_eq!(letter(&Bz2::new(level).encode(b"a", &mut Vec::new())), 'v');
        assert_decodes(&Bz2::new(level), &encoded(&codec(), b"abc"), b"abc");
    }
}

#[test]
fn test_streams_are_joined_and_trailing_bytes_are_ignored() {
    let data = walk(5000);
    let streams = [encoded(&codec(), &data[..1000]), encoded(&Bz2::new(9), &data[1000..])].concat();
    assert_decodes(&codec(), &streams, &data);
    for tail in [&b"x"[..], b"\0\0\0", b"BZh9xyzxyz"] {
        assert_decodes(&codec(), &[&streams, tail].concat(), &data);
    }
    // The beginning of another stream counts as one, which must be complete.
    for tail in [&b"B"[..], b"BZh", &streams[..20]] {
        assert_eq!(letter(&into(&codec(), &[&streams, tail].concat(), 5000)), 'v');
    }
    // A damaged stream is ignored like trailing bytes.
    let mut damaged = streams.clone();
    *damaged.last_mut().expect("not empty") ^= 0x40;
    assert!(into(&codec(), &damaged, 1000).expect("the first stream") == data[..1000]);
}

#[test]
fn test_empty_input_is_zero_streams() {
    assert_eq!(into(&codec(), b"", 0).expect("nothing"), b"");
    assert_eq!(letter(&into(&codec(), b"", 1)), 'v');
}

#[test]
fn test_damage_raises_the_classes_of_python() {
    let input = encoded(&codec(), &walk(200));
    assert_eq!(truncations(&codec(), &input, 200), "v".repeat(140));
    let letters = flips(&codec(), &input, 0, 200);
    assert_eq!(counts(&letters), [('i', 1111), ('o', 9)]);
    assert_eq!(crc32(letters.as_bytes()), 0xf214_bfc0);
}

#[test]
fn test_a_bomb_stops_at_the_limit() {
    let bomb = encoded(&codec(), &vec![0; 64 << 20]);
    assert_eq!(letter(&into(&codec(), &bomb, 1000)), 'v');
    let mut out = Vec::new();
    assert_eq!(letter(&codec().decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.capacity() < 1 << 20, "{}", out.capacity());
    assert_eq!(letter(&onto(&codec(), &bomb, 0)), 'v');
}

#[test]
fn test_damage_in_a_block_beyond_the_limit_is_found() {
    // One block, whose checksum follows the headers at byte ten.
    let mut input = encoded(&Bz2::new(9), &vec![0; 8 << 20]);
    assert_eq!(letter(&into(&codec(), &input, 1000)), 'v');
    input[10] ^= 1;
    assert_eq!(letter(&into(&codec(), &input, 1000)), 'i');
}
