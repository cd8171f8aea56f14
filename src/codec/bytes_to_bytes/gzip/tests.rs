//! The letters of the damage tests are the classes that numcodecs 0.17.1 raises for the same bytes, in order.

use super::super::samples::{
    assert_decodes, contents, counts, crc32, encoded, flips, into, letter, onto, truncations, unhex, walk,
};
use super::*;

// Python's `gzip.compress(walk(200), 6, mtime=0)`; the same in two members with padding; and with all header fields.
const ONE: &str = "\
    1f8b08000000000000ff2dc3210e82000000406c168bcde08626a246b223b291984d13c546c2ee66f207fec06cb2194864a7\
    1f30d00c56e76d70db054167e8d8d099910b63937ee6c6ad3b4b2b8f9e3c7bf1eacdbbb58d0f9fbe7cdbf63f7efd391a7427\
    4e9dbb3476656aeedac2d2bd07ff1c646f64c8000000\
";
const TWO: &str = "\
    1f8b08000000000000ff636080000e2016026205205604620d203600624b207685e200208e07e20420ce06e22220ae00e276\
    20ee05e239400c00fba1f1995000000000001f8b08000000000000ff2dc3211244500000d0ef000eb0618b1b88b2acee3881\
    0368badbc892b641920d1710344135de0c6fe6752184dec1bfa393b38bab9bfbfbf0f4328e9e1fbf26a666e616fe2cadac6d\
    6cbd0187d39e1c7800000000\
";
const FIELDS: &str = "\
    1f8b081f0000000000ff03006162636e616d65006e6f74650012342dc3210e82000000406c168bcde08626a246b223b29198\
    4d13c546c2ee66f207fec06cb2194864a71f30d00c56e76d70db054167e8d8d099910b63937ee6c6ad3b4b2b8f9e3c7bf1ea\
    cdbbb58d0f9fbe7cdbf63f7efd391a74274e9dbb3476656aeedac2d2bd07ff1c646f64c8000000\
";

fn member(data: &[u8]) -> Vec<u8> {
    encoded(&Gzip::new(6), data)
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents() {
        for level in [0, 1, 9] {
            assert_decodes(&Gzip::new(level), &encoded(&Gzip::new(level), &data), &data);
        }
    }
}

#[test]
fn test_every_level_of_python_encodes() {
    let data = walk(5000);
    for level in -1..=9 {
        assert_decodes(&Gzip::new(9), &encoded(&Gzip::new(level), &data), &data);
    }
    for level in [-2, 10] {
        assert_eq!(letter(&Gzip::new(level).encode(&data, &mut Vec::new())), 'v');
    }
}

#[test]
fn test_equal_data_gives_equal_bytes() {
    assert_eq!(member(&walk(5000)), member(&walk(5000)));
    assert_eq!(member(b"")[..10], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]);
}

#[test]
fn test_reads_what_python_writes() {
    for stream in [ONE, TWO, FIELDS] {
        assert_decodes(&Gzip::new(0), &unhex(stream), &walk(200));
    }
}

#[test]
fn test_members_are_joined_and_zero_padding_is_skipped() {
    let data = walk(3000);
    let (a, b, empty) = (member(&data[..1000]), member(&data[1000..]), member(b""));
    let zeros: &[u8] = &[0; 9];
    for parts in [[&a, &b, &[][..]], [&a, zeros, &b], [&a, &b, zeros], [&a, &empty, &b], [&empty, &a, &b]] {
        assert_decodes(&Gzip::new(0), &parts.concat(), &data);
    }
    assert_eq!(letter(&into(&Gzip::new(0), &[zeros, &a].concat(), 1000)), 'b');
}

#[test]
fn test_every_truncation_is_the_error_of_python() {
    let rest = |length: usize| format!("vb{}", "e".repeat(length - 2));
    assert_eq!(truncations(&Gzip::new(0), &unhex(ONE), 200), rest(122));
    assert_eq!(truncations(&Gzip::new(0), &unhex(FIELDS), 200), rest(139));
    let two = format!("{}vvvb{}o", rest(66), "e".repeat(91));
    assert_eq!(truncations(&Gzip::new(0), &unhex(TWO), 200), two);
}

#[test]
fn test_every_flipped_bit_is_the_error_of_python() {
    for (stream, crc, expected) in [
        (ONE, 0x2fc0_7970, [('b', 513), ('e', 8), ('o', 52), ('z', 403)]),
        (TWO, 0x2bf5_af5c, [('b', 682), ('e', 20), ('o', 117), ('z', 477)]),
        (FIELDS, 0xb811_cb16, [('b', 513), ('e', 18), ('o', 159), ('z', 422)]),
    ] {
        let letters = flips(&Gzip::new(0), &unhex(stream), 0, 200);
        assert_eq!((counts(&letters), crc32(letters.as_bytes())), (expected.to_vec(), crc));
    }
}

#[test]
fn test_trailing_bytes_are_the_error_of_python() {
    let stream = unhex(ONE);
    for (tail, expected) in [(&b"xy"[..], 'b'), (b"\x1f", 'b'), (b"\x1f\x8b", 'e'), (b"\0\0x", 'b'), (b"\0\0", 'o')] {
        assert_eq!(letter(&into(&Gzip::new(0), &[&stream, tail].concat(), 200)), expected, "{tail:?}");
    }
}

#[test]
fn test_a_bomb_stops_at_the_limit() {
    let bomb = member(&vec![0; 64 << 20]);
    let error = into(&Gzip::new(0), &bomb, 1000).expect_err("too long");
    assert!(error.message.contains("more than"), "{error}");
    let mut out = Vec::new();
    assert_eq!(letter(&Gzip::new(0).decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.capacity() < 1 << 20, "{}", out.capacity());
    assert_eq!(letter(&onto(&Gzip::new(0), &bomb, 0)), 'v');
}
