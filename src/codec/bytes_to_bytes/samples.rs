//! Shared by the tests of all codecs: sample contents, drivers, and error classes as letters. Tests only.

use crate::codec::Step;
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

pub(super) const SIZES: [usize; 5] = [0, 1, 7, 4096, 1 << 20];

/// A slow random walk of little-endian u32, like measured data.
pub(super) fn walk(length: usize) -> Vec<u8> {
    let mut state = 12345_u32;
    let mut value = 0_u32;
    let mut out = Vec::with_capacity(length + 4);
    while out.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value = value.wrapping_add(state >> 28);
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Bytes that no compressor shortens.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Zeros, a walk and noise of each size.
pub(super) fn contents() -> impl Iterator<Item = Vec<u8>> {
    SIZES.into_iter().flat_map(|size| [vec![0; size], walk(size), noise(size)])
}

pub(super) fn encoded(codec: &dyn Step, data: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    codec.encode(data, &mut out).expect("these settings encode");
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

/// `decode_into` with an output of `length` bytes, between guards that must stay unchanged.
pub(super) fn into(codec: &dyn Step, input: &[u8], length: usize) -> Result<Vec<u8>> {
    let mut room = vec![0xA5; length + 64];
    let result = codec.decode_into(input, OutBytes::from(&mut room[32..32 + length]));
    assert_guards(&room, length);
    result.map(|()| room[32..32 + length].to_vec())
}

/// `decode_span`, guarded like [`into`].
pub(super) fn span(
    codec: &dyn Step,
    input: &[u8],
    whole: usize,
    start: usize,
    length: usize,
) -> Option<Result<Vec<u8>>> {
    let mut room = vec![0xA5; length + 64];
    let result = codec.decode_span(input, whole, start, OutBytes::from(&mut room[32..32 + length]));
    assert_guards(&room, length);
    result.map(|result| result.map(|()| room[32..32 + length].to_vec()))
}

fn assert_guards(room: &[u8], length: usize) {
    assert!(room[..32].iter().chain(&room[32 + length..]).all(|byte| *byte == 0xA5), "a guard was written");
}

pub(super) fn onto(codec: &dyn Step, input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = b"before".to_vec();
    codec.decode_onto(input, &mut out, limit)?;
    assert_eq!(&out[..6], b"before");
    Ok(out.split_off(6))
}

/// Both ways of decoding return `data`, other lengths are `Value`, and no limit is exceeded.
pub(super) fn assert_decodes(codec: &dyn Step, input: &[u8], data: &[u8]) {
    let length = data.len();
    assert!(into(codec, input, length).expect("decodes") == data);
    assert!(onto(codec, input, length).expect("decodes within the limit") == data);
    assert!(onto(codec, input, usize::MAX).expect("decodes without a limit") == data);
    for other in [0, length / 2, length.wrapping_sub(1), length + 1, 2 * length + 5] {
        if other != length && other < 1 << 30 {
            assert_eq!(letter(&into(codec, input, other)), 'v', "{length} bytes into {other}");
        }
    }
    for limit in [0, length / 2, length.wrapping_sub(1)] {
        if limit < length {
            assert_eq!(letter(&onto(codec, input, limit)), 'v', "{length} bytes within {limit}");
        }
    }
}

/// One letter for each outcome: o for ok, v for `ValueError`, and so on.
pub(super) fn letter<T>(result: &Result<T>) -> char {
    match result {
        Ok(_) => 'o',
        Err(Error { kind: Kind::Value | Kind::TooLong, .. }) => 'v',
        Err(Error { kind: Kind::Runtime, .. }) => 'r',
        Err(Error { kind: Kind::Eof, .. }) => 'e',
        Err(Error { kind: Kind::BadGzip, .. }) => 'b',
        Err(Error { kind: Kind::Zlib, .. }) => 'z',
        Err(Error { kind: Kind::Lzma, .. }) => 'l',
        Err(Error { kind: Kind::Io(_), .. }) => 'i',
        Err(Error { kind: Kind::Index, .. }) => 'x',
        Err(error) => panic!("no codec should raise {error:?}"),
    }
}

/// The letters of every truncation of `input`, decoded to `length` bytes.
pub(super) fn truncations(codec: &dyn Step, input: &[u8], length: usize) -> String {
    (0..input.len())
        .map(|end| {
            // Its own allocation, so that a sanitizer sees reads past its end.
            let part = input[..end].to_vec();
            let _ = onto(codec, &part, length);
            letter(&into(codec, &part, length))
        })
        .collect()
}

/// The letters of every single-bit flip of `input` from byte `first` on.
pub(super) fn flips(codec: &dyn Step, input: &[u8], first: usize, length: usize) -> String {
    (first * 8..input.len() * 8)
        .map(|bit| {
            let mut flipped = input.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = onto(codec, &flipped, 2 * length);
            letter(&into(codec, &flipped, length))
        })
        .collect()
}

/// The letters in order with their counts, which together with [`crc32`] identify a long string.
pub(super) fn counts(letters: &str) -> Vec<(char, usize)> {
    let mut sorted: Vec<char> = letters.chars().collect();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|group| (group[0], group.len())).collect()
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
