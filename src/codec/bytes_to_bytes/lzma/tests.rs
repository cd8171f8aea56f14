//! Expected bytes and letters come from numcodecs 0.17.1 (Python's `lzma`, xz 5.4).

use super::super::samples::{
    assert_decodes, contents, counts, crc32, encoded, flips, into, letter, onto, truncations, unhex, walk,
};
use super::*;

// `LZMA(preset=1)`, the same with `format=FORMAT_ALONE`, and raw with a delta of 4 and LZMA2, all of `walk(200)`.
const XZ: &str = "\
    fd377a585a000004e6d6b4460200210110000000a8708e86e000c700585d00006a8056194228132462b0e260dc3c81a12d0c8ca0bc58d074af\
    a2faea51e52c2dadb0539a71d26445f3784589746e8d03e6412c15c5dc5375f87eaf4e61b10728aca273abf157191d126f45b022761e774103\
    d8a7007cb500edd31bb2e2751b45000174c801000000755f3f32b1c467fb020000000004595a\
";
const ALONE: &str = "\
    5d00001000ffffffffffffffff00006a8056194228132462b0e260dc3c81a12d0c8ca0bc58d074afa2faea51e52c2dadb0539a71d26445f378\
    4589746e8d03e6412c15c5dc5375f87eaf4e61b10728aca273abf157191d126f45b022761e774103d8a9367fc4ffffd5040000\
";
const RAW: &str = "\
    e000c7004a5d00006a8056194164c634c367c29bbb6a910449f63391bee8f820875eec68fd401077b5c426e07347bd3d061c9661296a771e69\
    69b75790c3ce8b18cba1f18b4374d9cbf8aa4aeb92e7707d00\
";

fn filter(id: u64, options: &[(&str, u32)]) -> Filter {
    Filter { id, options: options.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect() }
}

fn of(format: Format) -> Lzma {
    let filters =
        vec![filter(sys::LZMA_FILTER_DELTA, &[("dist", 4)]), filter(sys::LZMA_FILTER_LZMA2, &[("preset", 1)])];
    match format {
        Format::Raw => Lzma::new(format, -1, None, Some(filters)),
        _ => Lzma::new(format, -1, Some(1), None),
    }
}

#[test]
fn test_round_trips_and_refuses_other_lengths() {
    for format in [Format::Xz, Format::Alone, Format::Raw] {
        for data in contents() {
            assert_decodes(&of(format), &encoded(&of(format), &data), &data);
        }
    }
}

#[test]
fn test_reads_and_writes_what_python_writes() {
    for (format, stream) in [(Format::Xz, XZ), (Format::Alone, ALONE), (Format::Raw, RAW)] {
        assert_eq!(encoded(&of(format), &walk(200)), unhex(stream));
        assert_decodes(&of(format), &unhex(stream), &walk(200));
    }
    for stream in [XZ, ALONE] {
        assert_decodes(&Lzma::new(Format::Auto, -1, None, None), &unhex(stream), &walk(200));
    }
}

#[test]
fn test_streams_are_joined_and_trailing_bytes_are_ignored() {
    let twice = [walk(200), walk(200)].concat();
    for (format, stream) in [(Format::Xz, XZ), (Format::Alone, ALONE)] {
        let streams = [unhex(stream), unhex(stream)].concat();
        assert_decodes(&of(format), &streams, &twice);
        // More than twelve bytes: fewer could be the start of a header.
        assert_decodes(&of(format), &[&streams[..], &[0xFF; 13]].concat(), &twice);
        assert_eq!(letter(&into(&of(format), &[&streams, &streams[..5]].concat(), 400)), 'l');
    }
    let mut damaged = [unhex(XZ), unhex(XZ)].concat();
    damaged[XZ.len() / 2 + 40] ^= 1;
    assert!(into(&of(Format::Xz), &damaged, 200).expect("the first stream") == walk(200));
}

#[test]
fn test_damage_raises_the_classes_of_python() {
    let expected: [(_, _, &[_], _); 3] = [
        (Format::Xz, XZ, &[('l', 1216)], 0x2200_031f),
        (Format::Alone, ALONE, &[('l', 832), ('o', 32)], 0xb9bb_94c1),
        (Format::Raw, RAW, &[('l', 655), ('o', 1)], 0x83e3_1408),
    ];
    for (format, stream, classes, sum) in expected {
        let stream = unhex(stream);
        assert_eq!(truncations(&of(format), &stream, 200), "l".repeat(stream.len()));
        let letters = flips(&of(format), &stream, 0, 200);
        assert_eq!((counts(&letters).as_slice(), crc32(letters.as_bytes())), (classes, sum), "{format:?}");
    }
}

#[test]
fn test_conflicting_options_are_refused_as_in_python() {
    let lzma1 = || Some(vec![filter(sys::LZMA_FILTER_LZMA1, &[])]);
    let lzma2 = || Some(vec![filter(sys::LZMA_FILTER_LZMA2, &[])]);
    let encode = |codec: Lzma| letter(&codec.encode(&walk(50), &mut Vec::new()));
    let decode = |codec: Lzma| letter(&into(&codec, &unhex(XZ), 200));
    assert_eq!(encode(Lzma::new(Format::Auto, -1, None, None)), 'v');
    assert_eq!(encode(Lzma::new(Format::Raw, -1, None, None)), 'v');
    assert_eq!(encode(Lzma::new(Format::Xz, -1, Some(1), lzma2())), 'v');
    assert_eq!(encode(Lzma::new(Format::Alone, 4, None, None)), 'v');
    assert_eq!(encode(Lzma::new(Format::Alone, 0, None, lzma1())), 'o');
    assert_eq!(encode(Lzma::new(Format::Alone, 0, None, lzma2())), 'v');
    assert_eq!(encode(Lzma::new(Format::Xz, -1, None, lzma1())), 'l');
    assert_eq!(encode(Lzma::new(Format::Xz, 7, None, None)), 'l');
    assert_eq!(encode(Lzma::new(Format::Xz, -1, Some(10), None)), 'l');
    // Such a configuration can encode, but not decode.
    assert_eq!(encode(Lzma::new(Format::Xz, -1, None, lzma2())), 'o');
    assert_eq!(decode(Lzma::new(Format::Xz, -1, None, lzma2())), 'v');
    assert_eq!(decode(Lzma::new(Format::Raw, -1, None, None)), 'v');
    let raw = |filters| encode(Lzma::new(Format::Raw, -1, None, Some(filters)));
    assert_eq!(raw(vec![]), 'l');
    assert_eq!(raw(vec![filter(0x999, &[])]), 'v');
    assert_eq!(raw(vec![filter(sys::LZMA_FILTER_LZMA2, &[("level", 1)])]), 'v');
    assert_eq!(raw(vec![filter(sys::LZMA_FILTER_LZMA2, &[("lc", 9)])]), 'l');
    assert_eq!(raw(vec![filter(sys::LZMA_FILTER_X86, &[])]), 'l');
    assert_eq!(raw(vec![filter(sys::LZMA_FILTER_LZMA2, &[]); 5]), 'v');
    assert_eq!(letter(&Format::new(4)), 'v');
}

#[test]
fn test_a_bomb_stops_at_the_limit() {
    let bomb = encoded(&of(Format::Xz), &vec![0; 16 << 20]);
    assert_eq!(letter(&into(&of(Format::Xz), &bomb, 1000)), 'v');
    let mut out = Vec::new();
    assert_eq!(letter(&of(Format::Xz).decode_onto(&bomb, &mut out, 10_000)), 'v');
    assert!(out.capacity() < 1 << 20, "{}", out.capacity());
    assert_eq!(letter(&onto(&of(Format::Xz), &bomb, 0)), 'v');
}

#[test]
fn test_a_header_that_asks_for_a_huge_dictionary_does_no_harm() {
    // 4 GiB less one byte: either decoded, or refused for lack of memory.
    let mut stream = unhex(ALONE);
    stream[1..5].copy_from_slice(&[0xFF; 4]);
    match into(&of(Format::Alone), &stream, 200) {
        Ok(data) => assert_eq!(data, walk(200)),
        Err(error) => assert!(matches!(error.kind, Kind::Memory | Kind::Lzma), "{error:?}"),
    }
    assert!(DECODER.take().is_none(), "its decoder was kept");
}
