//! The `packbits` codec: truth values as bits, first the highest, after one byte that counts the bits of padding.
//! <https://numcodecs.readthedocs.io/en/stable/filter/packbits.html>

use crate::codec::bytes_to_bytes::{BytesToBytes, reserve, too_long, wrong_length};
use crate::error::{Error, Kind, Result};
use crate::memory::Place;

/// Bytes unpacked at a time.
const BLOCK: usize = 512;

/// The `packbits` codec; it has no configuration.
#[derive(Debug, Clone, Copy)]
pub struct PackBits {
    shaped: bool,
}

impl PackBits {
    /// The codec; `shaped` if whoever calls it gives the bytes a shape first (format 3), and so refuses none at all.
    pub fn new(shaped: bool) -> Self {
        Self { shaped }
    }
}

/// The packed bytes of `input`, and how many truth values they hold.
fn parts(input: &[u8], shaped: bool) -> Result<(&[u8], usize)> {
    let Some((padding, packed)) = input.split_first() else {
        let kind = if shaped { Kind::Value } else { Kind::Index };
        return Err(Error::new(kind, "packbits: there is no byte that counts the padding"));
    };
    // As numcodecs: any count is believed, and what is not there cannot be cut off.
    Ok((packed, (8 * packed.len()).saturating_sub(usize::from(*padding))))
}

/// Gives the truth values of `packed`, without padding, to `put` block by block.
fn unpack(packed: &[u8], mut count: usize, mut put: impl FnMut(&[u8])) {
    let mut block = [0; 8 * BLOCK];
    for bytes in packed.chunks(BLOCK) {
        for (bits, to) in bytes.iter().zip(block.chunks_exact_mut(8)) {
            for (place, value) in to.iter_mut().enumerate() {
                *value = bits >> (7 - place) & 1;
            }
        }
        let here = count.min(8 * bytes.len());
        put(&block[..here]);
        count -= here;
    }
}

impl BytesToBytes for PackBits {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let packed = input.len().div_ceil(8);
        reserve(out, packed + 1)?;
        out.push((8 * packed - input.len()) as u8);
        out.extend(input.chunks(8).map(|values| {
            values.iter().enumerate().fold(0, |bits, (place, value)| bits | u8::from(*value != 0) << (7 - place))
        }));
        Ok(())
    }

    fn decode_into(&self, input: &[u8], place: Place<'_>) -> Result<()> {
        let (packed, count) = parts(input, self.shaped)?;
        if count != place.len() {
            return Err(wrong_length(count, place.len()));
        }
        let mut rest = Some(place);
        unpack(packed, count, |values| {
            let place = rest.take().expect("invariant: put back below");
            let (mut here, behind) = place.split_at(values.len());
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
