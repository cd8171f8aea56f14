//! Fletcher's checksum as HDF5 and netCDF compute it: over big-endian words of 16 bits; an odd last byte is the high
//! half of a word. No crate has this variant. <https://docs.hdfgroup.org/hdf5/develop/group___d_c_p_l.html>

use super::checksum::Algorithm;
use crate::error::Kind;

/// As many words as have sums that fit 32 bits: 256 × 257 / 2 × 65,535 is less than 2³².
const BLOCK_WORDS: usize = 256;

/// `numcodecs.fletcher32`.
#[derive(Debug, Clone, Copy)]
pub struct Fletcher32;

/// `sum` modulo 65,535, but 65,535 instead of 0 unless the sum itself is 0: the result of an end-around carry.
fn folded(sum: u64) -> u64 {
    if sum == 0 { 0 } else { (sum - 1) % 65_535 + 1 }
}

/// Adds `words`, at most [`BLOCK_WORDS`] of them, to both sums.
fn add(words: impl ExactSizeIterator<Item = u16>, first: &mut u64, second: &mut u64) {
    let count = words.len();
    let (mut plain, mut weighted) = (0_u32, 0_u32);
    // Each word counts in the second sum once for itself and once for each word after it.
    for (at, word) in words.enumerate() {
        plain += u32::from(word);
        weighted += u32::from(word) * (count - at) as u32;
    }
    *second = folded(*second + *first * count as u64 + u64::from(weighted));
    *first = folded(*first + u64::from(plain));
}

impl Algorithm for Fletcher32 {
    const NAME: &'static str = "fletcher32";

    fn sum(&self, data: &[u8]) -> u32 {
        let (mut first, mut second) = (0, 0);
        let (words, odd) = data.as_chunks::<2>();
        let (blocks, rest) = words.as_chunks::<BLOCK_WORDS>();
        for block in blocks {
            // The compiler knows the length of a block, so it vectorises this.
            add(block.iter().map(|word| u16::from_be_bytes(*word)), &mut first, &mut second);
        }
        add(rest.iter().map(|word| u16::from_be_bytes(*word)), &mut first, &mut second);
        add(odd.iter().map(|byte| u16::from_be_bytes([*byte, 0])), &mut first, &mut second);
        (second << 16 | first) as u32
    }

    /// numcodecs reads the first byte of the data before it checks that there is one.
    fn refuses_stored(&self, stored: usize) -> Option<Kind> {
        (stored <= 4).then_some(Kind::Index)
    }

    fn refuses_data(&self, data: usize) -> Option<Kind> {
        (data == 0).then_some(Kind::Index)
    }
}
