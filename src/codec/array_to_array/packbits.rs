//! The `packbits` codec: truth values as bits, the highest bit first, after one byte that counts the bits of padding.
//! <https://numcodecs.readthedocs.io/en/stable/filter/packbits.html>

use crate::codec::output::{reserve, too_long};
use crate::codec::{Step, wrong_length};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// Bytes unpacked at a time.
const BLOCK_BYTES: usize = 512;

/// The `packbits` codec; it has no configuration.
#[derive(Debug, Clone, Copy)]
pub struct PackBits {
    shaped: bool,
}

impl PackBits {
    /// The codec; `shaped` if zarr-python reshapes the bytes before it calls the codec (format 3): empty input is then
    /// another error class.
    pub fn new(shaped: bool) -> Self {
        Self { shaped }
    }
}

/// The packed bytes of `input`, and the number of truth values in them.
fn parts(input: &[u8], shaped: bool) -> Result<(&[u8], usize)> {
    let Some((padding, packed)) = input.split_first() else {
        let kind = if shaped { Kind::Value } else { Kind::Index };
        return Err(Error::new(kind, "packbits: the input is empty, expected a byte that counts the padding"));
    };
    // As in numcodecs: any count is accepted, and one beyond the packed bits leaves nothing.
    Ok((packed, (8 * packed.len()).saturating_sub(usize::from(*padding))))
}

/// A factor that gathers the lowest bits of eight bytes in the highest byte, the first byte's bit first; or that
/// spreads eight bits over the highest bits of eight bytes. No two partial products share a bit, so nothing is carried.
const SPREAD: u64 = 0x8040_2010_0804_0201;
/// The lowest bit of each byte.
const LOWEST: u64 = 0x0101_0101_0101_0101;

/// Eight truth values as bits; every byte but 0 is true.
fn pack(values: [u8; 8]) -> u8 {
    let values = u64::from_le_bytes(values);
    let highest = ((values & !(LOWEST << 7)) + (LOWEST * 0x7f)) | values;
    ((highest >> 7 & LOWEST).wrapping_mul(SPREAD) >> 56) as u8
}

/// The truth values of eight bits.
fn unpacked(bits: u8) -> [u8; 8] {
    (u64::from(bits).wrapping_mul(SPREAD) >> 7 & LOWEST).to_le_bytes()
}

/// Passes the first `count` truth values of `packed` to `put`, block by block.
fn unpack(packed: &[u8], mut count: usize, mut put: impl FnMut(&[u8])) {
    let mut block = [0; 8 * BLOCK_BYTES];
    for bytes in packed.chunks(BLOCK_BYTES) {
        for (bits, to) in bytes.iter().zip(block.chunks_exact_mut(8)) {
            to.copy_from_slice(&unpacked(*bits));
        }
        let here = count.min(8 * bytes.len());
        put(&block[..here]);
        count -= here;
    }
}

impl Step for PackBits {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let packed = input.len().div_ceil(8);
        reserve(out, packed + 1)?;
        out.push((8 * packed - input.len()) as u8);
        let (whole, rest) = input.as_chunks();
        out.extend(whole.iter().map(|values| pack(*values)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            out.push(pack(last));
        }
        Ok(())
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        let (packed, count) = parts(input, self.shaped)?;
        if count != out.len() {
            return Err(wrong_length(count, out.len()));
        }
        let mut rest = Some(out);
        unpack(packed, count, |values| {
            let out = rest.take().expect("invariant: put back below");
            let (mut here, behind) = out.split_at(values.len());
            here.copy_from(values);
            rest = Some(behind);
        });
        Ok(())
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let (packed, count) = parts(input, self.shaped)?;
        if count > limit {
            return Err(too_long(limit));
        }
        reserve(out, count)?;
        unpack(packed, count, |values| out.extend_from_slice(values));
        Ok(())
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        Some(decoded.div_ceil(8) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_every_byte_is_its_eight_truth_values() {
        for bits in 0..=u8::MAX {
            let values: Vec<u8> = (0..8).map(|bit| bits >> (7 - bit) & 1).collect();
            assert_eq!(unpacked(bits), values[..]);
            assert_eq!(pack(unpacked(bits)), bits);
            assert_eq!(pack(unpacked(bits).map(|value| value * 0x80)), bits);
            assert_eq!(pack(unpacked(bits).map(|value| value * 0xff)), bits);
        }
    }

    #[test]
    fn test_padding_is_counted_and_cut_off() {
        let codec = PackBits::new(false);
        for count in [0, 1, 7, 8, 9, 8 * BLOCK_BYTES - 1, 8 * BLOCK_BYTES + 3] {
            let values: Vec<u8> = (0..count).map(|n| u8::from(n % 3 == 0)).collect();
            let mut encoded = Vec::new();
            codec.encode(&values, &mut encoded).expect("room");
            assert_eq!(Some(encoded.len()), codec.encoded_size(count));
            let mut decoded = Vec::new();
            codec.decode_onto(&encoded, &mut decoded, count).expect("as encoded");
            assert_eq!(decoded, values);
            assert!(codec.decode_into(&encoded, vec![0; count + 1].as_mut_slice().into()).is_err());
        }
        assert!(codec.decode_onto(&[0, 0, 0], &mut Vec::new(), 15).is_err());
        assert!(codec.decode_onto(&[], &mut Vec::new(), 8).is_err());
    }
}
