//! The oracle of the encoding test is numcodecs 0.17.1.

use super::super::samples::{assert_decodes, crc32, encoded, into, letter, onto, walk};
use super::*;

#[test]
fn test_bytes_are_those_of_numcodecs() {
    let expected = [(3, 0xea74_b999), (7, 0x038e_5e2e), (16, 0xf1b5_b23b), (31, 0x11c8_e2de)];
    for (size, sum) in expected {
        assert_eq!(crc32(&encoded(&Shuffle::new(size), &walk(size * 1001))), sum, "elements of {size}");
    }
    assert_eq!(encoded(&Shuffle::new(4), b"abcdefgh"), b"aebfcgdh");
}

#[test]
fn test_every_size_and_count_round_trips() {
    for size in 0..40 {
        for count in [0, 1, 15, 16, 17, 33, 1000] {
            let data = walk(size * count);
            let codec = Shuffle::new(size);
            assert_eq!(codec.encoded_size(data.len()), Some(data.len()));
            assert_is_in_columns(codec, &data, size);
        }
    }
}

fn assert_is_in_columns(codec: Shuffle, data: &[u8], size: usize) {
    let input = encoded(&codec, data);
    assert_decodes(&codec, &input, data);
    if size > 1 && !data.is_empty() {
        let columns: Vec<u8> = (0..size).flat_map(|byte| data[byte..].iter().step_by(size).copied()).collect();
        assert_eq!(input, columns, "elements of {size}");
    }
}

#[test]
fn test_parts_of_elements_are_value_errors() {
    assert_eq!(letter(&into(&Shuffle::new(4), b"abcde", 5)), 'v');
    assert_eq!(letter(&onto(&Shuffle::new(4), b"abcde", 100)), 'v');
    assert_eq!(letter(&Shuffle::new(4).encode(b"abcde", &mut Vec::new())), 'v');
    assert_eq!(letter(&into(&Shuffle::new(1), b"abcde", 5)), 'o');
}
