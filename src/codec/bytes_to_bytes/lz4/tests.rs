//! Expected bytes and letters come from numcodecs 0.17.1 (LZ4 1.10.0).

use super::super::samples::{
    assert_decodes, contents, counts, crc32, encoded, flips, into, letter, onto, truncations, walk,
};
use super::*;

fn codec() -> Lz4 {
    Lz4::new(1)
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents().filter(|data| !data.is_empty()) {
        for acceleration in [-1, 1, 50] {
            let codec = Lz4::new(acceleration);
            assert_decodes(&codec, &encoded(&codec, &data), &data);
        }
    }
}

#[test]
fn test_bytes_are_those_of_numcodecs() {
    for (acceleration, length, sum) in [(1, 99_583, 0x8e29_d3c9), (30, 100_397, 0xa3f3_1856)] {
        let bytes = encoded(&Lz4::new(acceleration), &walk(100_003));
        assert_eq!((bytes.len(), crc32(&bytes)), (length, sum));
    }
}

#[test]
fn test_empty_input_encodes_but_does_not_decode() {
    assert_eq!(encoded(&codec(), b""), [0; 5]);
    assert_eq!(letter(&into(&codec(), &[0; 5], 0)), 'r');
}

#[test]
fn test_damage_raises_the_classes_of_numcodecs() {
    let input = encoded(&codec(), &walk(200));
    let letters = truncations(&codec(), &input, 200);
    assert_eq!(letters, "v".repeat(4) + &"r".repeat(189));
    let letters = flips(&codec(), &input, 0, 200);
    assert_eq!(counts(&letters), [('o', 1410), ('r', 134)]);
    assert_eq!(crc32(letters.as_bytes()), 0x5c4a_56cb);
}

#[test]
fn test_a_huge_announced_length_is_not_trusted() {
    for announced in [i32::MAX, i32::MIN, -1, 0, 1 << 30] {
        let input = [&announced.to_le_bytes()[..], &encoded(&codec(), &walk(200))[4..]].concat();
        assert_eq!(letter(&into(&codec(), &input, 200)), 'r');
        let mut out = Vec::new();
        assert_eq!(letter(&codec().decode_onto(&input, &mut out, usize::MAX)), 'r');
        assert!(out.capacity() < 1 << 20, "{}", out.capacity());
    }
}

#[test]
fn test_a_bomb_stops_at_the_limit() {
    let bomb = encoded(&codec(), &vec![0; 64 << 20]);
    assert_eq!(letter(&into(&codec(), &bomb, 1000)), 'v');
    let mut out = Vec::new();
    assert_eq!(letter(&codec().decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.len() <= 10_000 && out.capacity() < 1 << 20, "{}", out.capacity());
}

#[test]
fn test_a_block_shorter_than_announced_is_damage_rather_than_a_wrong_length() {
    let input = encoded(&codec(), &walk(200));
    for announced in [201_u32, 40_000] {
        let input = [&announced.to_le_bytes()[..], &input[4..]].concat();
        assert_eq!(letter(&into(&codec(), &input, 200)), 'r');
        assert_eq!(letter(&onto(&codec(), &input, 1000)), 'r');
        // Decoding stops before the end of the block, so the damage is not met.
        assert_eq!(letter(&onto(&codec(), &input, 100)), 'v');
    }
}
