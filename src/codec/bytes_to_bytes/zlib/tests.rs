//! The letters of the damage tests are the classes that numcodecs 0.17.1 raises for the same bytes.

use super::super::samples::{assert_decodes, contents, encoded, flips, into, letter, onto, truncations, unhex, walk};
use super::*;

// Python's `zlib.compress(walk(200), 6)`.
const STREAM: &str = "\
    789c2dc3210e82000000406c168bcde08626a246b223b291984d13c546c2ee66f207fec06cb2194864a71f30d00c56e76d70\
    db054167e8d8d099910b63937ee6c6ad3b4b2b8f9e3c7bf1eacdbbb58d0f9fbe7cdbf63f7efd391a74274e9dbb3476656aee\
    dac2d2bd07fff396161d\
";

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents() {
        for level in [0, 1, 9] {
            assert_decodes(&Zlib::new(level), &encoded(&Zlib::new(level), &data), &data);
        }
    }
}

#[test]
fn test_every_level_of_python_encodes() {
    let data = walk(5000);
    for level in -1..=9 {
        assert_decodes(&Zlib::new(9), &encoded(&Zlib::new(level), &data), &data);
    }
    for level in [-2, 10] {
        assert_eq!(letter(&Zlib::new(level).encode(&data, &mut Vec::new())), 'z');
    }
}

#[test]
fn test_reads_what_python_writes_and_nothing_after_it() {
    for tail in [&b""[..], b"xy", b"\0\0", &unhex(STREAM)] {
        assert_decodes(&Zlib::new(0), &[&unhex(STREAM), tail].concat(), &walk(200));
    }
}

#[test]
fn test_every_truncation_and_flipped_bit_is_a_zlib_error() {
    assert_eq!(truncations(&Zlib::new(0), &unhex(STREAM), 200), "z".repeat(110));
    assert_eq!(flips(&Zlib::new(0), &unhex(STREAM), 0, 200), "z".repeat(880));
}

#[test]
fn test_a_stream_with_a_dictionary_is_a_zlib_error() {
    // FDICT set, header check bits to match.
    assert_eq!(letter(&into(&Zlib::new(0), b"\x78\xbb\0\0\0\x01\x03\0\0\0\0\x01", 0)), 'z');
}

#[test]
fn test_a_bomb_stops_at_the_limit() {
    let bomb = encoded(&Zlib::new(9), &vec![0; 64 << 20]);
    assert_eq!(letter(&into(&Zlib::new(0), &bomb, 1000)), 'v');
    let mut out = Vec::new();
    assert_eq!(letter(&Zlib::new(0).decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.capacity() < 1 << 20, "{}", out.capacity());
    assert_eq!(letter(&onto(&Zlib::new(0), &bomb, 0)), 'v');
}
