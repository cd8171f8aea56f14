use super::super::samples::{assert_decodes, contents, encoded, flips, into, letter, onto, truncations};
use super::*;

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for data in contents() {
        let input = encoded(&Crc32c, &data);
        assert_eq!(Some(input.len()), Crc32c.encoded_size(data.len()));
        assert_decodes(&Crc32c, &input, &data);
        assert!(Crc32c.decode_view(&input, true).expect("a view").expect("matches") == data);
    }
}

#[test]
fn test_appends_the_checksum_of_the_specification() {
    // RFC 3720, B.4: 32 bytes of zeros.
    assert_eq!(encoded(&Crc32c, &[0; 32])[32..], 0x8A91_36AA_u32.to_le_bytes());
}

#[test]
fn test_every_damage_is_a_value_error() {
    let input = encoded(&Crc32c, b"some bytes");
    assert_eq!(truncations(&Crc32c, &input, 10), "v".repeat(14));
    assert_eq!(flips(&Crc32c, &input, 0, 10), "v".repeat(14 * 8));
    assert_eq!(letter(&onto(&Crc32c, &input[1..], 10)), 'v');
}

#[test]
fn test_an_error_names_both_checksums() {
    let mut input = encoded(&Crc32c, &[0; 32]);
    input[35] = 0;
    let error = into(&Crc32c, &input, 32).expect_err("does not match");
    assert!(error.message.contains("0x009136aa") && error.message.contains("0x8a9136aa"), "{error}");
}

#[test]
fn test_a_view_without_validation_skips_the_comparison() {
    assert_eq!(Crc32c.decode_view(b"abc\0\0\0\0", false).expect("a view").expect("long enough"), b"abc");
    assert_eq!(letter(&Crc32c.decode_view(b"abc", false).expect("a view")), 'v');
}
