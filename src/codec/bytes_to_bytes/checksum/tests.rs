//! Expected checksums and letters come from numcodecs 0.17.1.

use super::super::adler32::Adler32;
use super::super::crc32::Crc32;
use super::super::crc32c::Castagnoli;
use super::super::fletcher32::Fletcher32;
use super::super::jenkins_lookup3::JenkinsLookup3;
use super::super::samples::{assert_decodes, contents, encoded, flips, into, letter, onto, truncations, walk};
use super::*;

/// For walks of these lengths: crc32, crc32c, adler32, fletcher32, lookup3, and lookup3 from 5 with a prefix of 13
/// bytes.
const LENGTHS: [usize; 7] = [1, 3, 7, 12, 24, 4096, 100_003];
#[rustfmt::skip]
const SUMS: [[u32; 6]; 7] = [
    [0xd202_ef8d, 0x527d_5351, 0x0001_0001, 0x0000_0000, 0x8ba9_414b, 0xd177_9ad2],
    [0xff41_d912, 0x6064_a37a, 0x0003_0001, 0x0000_0000, 0x6bd0_060f, 0xb5fb_e9f4],
    [0x9d6c_df7e, 0xbb3e_6a6d, 0x0007_0001, 0x0000_0000, 0x7dc5_4d65, 0x5250_7ec7],
    [0xbe61_ee80, 0xdd24_d6bb, 0x002c_0009, 0x1000_0800, 0x4b81_eaf1, 0xef1a_696a],
    [0xd109_8c01, 0x71b4_6810, 0x02f4_005c, 0x6e01_5b00, 0xbd0f_0d5d, 0xec1b_2e64],
    [0x059b_4cd8, 0x5cfe_9372, 0x9faf_3727, 0x826b_93ad, 0x6e0e_4612, 0xe2d9_3cb4],
    [0x2618_b78d, 0x4481_9767, 0xaf47_9657, 0xf84c_b401, 0xb8e3_c530, 0x6eb4_ff3c],
];

fn jenkins(start: u32, prefix: &[u8]) -> JenkinsLookup3 {
    JenkinsLookup3::new(start, prefix.to_vec())
}

fn at_end<A: Algorithm>(algorithm: A) -> Checksum<A> {
    Checksum::new(algorithm, Location::End)
}

#[test]
fn test_sums_are_those_of_numcodecs() {
    for (length, sums) in LENGTHS.into_iter().zip(SUMS) {
        let data = walk(length);
        let got = [
            Crc32.sum(&data),
            Castagnoli.sum(&data),
            Adler32.sum(&data),
            Fletcher32.sum(&data),
            jenkins(0, b"").sum(&data),
            jenkins(5, b"0123456789abc").sum(&data),
        ];
        assert_eq!(got, sums, "{length} bytes");
    }
}

#[test]
fn test_fletcher_carries_around_the_end() {
    assert_eq!(Fletcher32.sum(&vec![0xFF; 100_000]), 0xFFFF_FFFF);
    assert_eq!(Fletcher32.sum(&vec![0; 100_000]), 0);
    assert_eq!(Fletcher32.sum(b"a"), 0x6100_6100);
    assert_eq!(Fletcher32.sum(b"abcde"), 0x4FF0_29C7);
}

#[test]
fn test_a_prefix_counts_as_data() {
    let data = walk(60);
    for prefix in 0..30 {
        for rest in 0..30 {
            let whole = jenkins(3, b"").sum(&data[..prefix + rest]);
            assert_eq!(jenkins(3, &data[..prefix]).sum(&data[prefix..prefix + rest]), whole, "{prefix} + {rest}");
        }
    }
}

#[test]
fn test_round_trips_at_both_ends_and_refuses_other_lengths() {
    for data in contents() {
        for location in [Location::Start, Location::End] {
            let codec = Checksum::new(Crc32, location);
            let input = encoded(&codec, &data);
            assert_eq!(Some(input.len()), codec.encoded_size(data.len()));
            assert_decodes(&codec, &input, &data);
            let kept = if location == Location::Start { &input[4..] } else { &input[..data.len()] };
            assert!(kept == data);
        }
    }
}

#[test]
fn test_damage_raises_the_classes_of_numcodecs() {
    let data = walk(10);
    let start = Checksum::new(Crc32, Location::Start);
    let input = encoded(&start, &data);
    assert_eq!(truncations(&start, &input, 10), "vvvvrrrrrrrrrr");
    assert_eq!(flips(&start, &input, 0, 10), "r".repeat(14 * 8));
    let codec = at_end(jenkins(5, b"ab"));
    let input = encoded(&codec, &data);
    assert_eq!(truncations(&codec, &input, 10), "xvvvrrrrrrrrrr");
    assert_eq!(flips(&codec, &input, 0, 10), "r".repeat(14 * 8));
    let codec = at_end(Fletcher32);
    let input = encoded(&codec, &data[..9]);
    assert_eq!(truncations(&codec, &input, 9), "xxxxxvvvvrrrr");
    assert_eq!(flips(&codec, &input, 0, 9), "r".repeat(13 * 8));
}

#[test]
fn test_fletcher_refuses_empty_data() {
    assert_eq!(letter(&at_end(Fletcher32).encode(b"", &mut Vec::new())), 'x');
    assert_eq!(letter(&into(&at_end(Fletcher32), &[0; 4], 0)), 'x');
    assert_eq!(encoded(&at_end(jenkins(0, b"")), b""), 0xDEAD_BEEF_u32.to_le_bytes());
}

#[test]
fn test_a_view_without_validation_skips_the_comparison() {
    let codec = at_end(Adler32);
    assert_eq!(codec.decode_view(b"abc\0\0\0\0", false).expect("a view").expect("long enough"), b"abc");
    assert_eq!(letter(&codec.decode_view(b"abc\0\0\0\0", true).expect("a view")), 'r');
    assert_eq!(letter(&codec.decode_view(b"abc", false).expect("a view")), 'v');
    assert_eq!(letter(&onto(&codec, b"abc\0\0\0\0", 10)), 'r');
}
