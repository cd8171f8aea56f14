//! The codecs `vlen-utf8` and `vlen-bytes`: elements of variable length, as numcodecs stores them.
//!
//! The number of elements, then for each its length and its bytes; all numbers are 32 bits, little-endian
//! (zarr-extensions `vlen-utf8`, `vlen-bytes`). Bytes after the last element are ignored, as numcodecs ignores them.

use crate::error::{Error, Kind, Result};
use crate::memory::{REFERENCE, Reference, ValidReferences};

/// Bytes of a stored number.
const NUMBER: usize = 4;

/// One of the two codecs.
#[derive(Debug, Clone, Copy)]
pub struct Vlen {
    /// Whether the elements are text, so that they must be UTF-8.
    pub utf8: bool,
    /// Proof that the references in decoded chunks are valid.
    pub vouched: ValidReferences,
}

impl Vlen {
    /// Fills `decoded` with references to the elements in `stored`.
    ///
    /// # Errors
    /// `Value` when `stored` is truncated or holds another number of elements, `Utf8` when an element is not UTF-8; in
    /// the order in which numcodecs and then zarr-python find them.
    pub fn decode(self, stored: &[u8], decoded: &mut [u8]) -> Result<()> {
        let expected = decoded.len() / REFERENCE;
        let Some((count, mut rest)) = number(stored) else {
            return Err(Error::value(format!(
                "the chunk has {} bytes, too few to hold its element count",
                stored.len()
            )));
        };
        // The lengths of short elements are ASCII too, so one fast pass validates a chunk of short ASCII text.
        let suspect = self.utf8 && !stored.is_ascii();
        let mut cells = decoded.chunks_exact_mut(REFERENCE);
        for at in 0..count {
            let Some((one, after)) = number(rest).and_then(|(len, rest)| rest.split_at_checked(len)) else {
                return Err(Error::value(format!(
                    "the chunk is truncated: {} bytes end inside element {at} of {count}",
                    stored.len()
                )));
            };
            if suspect && std::str::from_utf8(one).is_err() {
                return Err(Error::new(Kind::Utf8(one.to_vec()), format!("element {at} is not UTF-8")));
            }
            if let Some(cell) = cells.next() {
                cell.copy_from_slice(&Reference::to(one).bytes());
            }
            rest = after;
        }
        if count != expected {
            return Err(wrong_count(count, expected));
        }
        Ok(())
    }

    /// Where the stored form of `expected` elements ends, given its first bytes `head`; `None` if it ends after them.
    ///
    /// # Errors
    /// `Value` when it holds another number of elements.
    pub(crate) fn end(head: &[u8], expected: usize) -> Result<Option<usize>> {
        let Some((count, mut rest)) = number(head) else { return Ok(None) };
        if count != expected {
            return Err(wrong_count(count, expected));
        }
        for _ in 0..count {
            let Some((_, after)) = number(rest).and_then(|(len, rest)| rest.split_at_checked(len)) else {
                return Ok(None);
            };
            rest = after;
        }
        Ok(Some(head.len() - rest.len()))
    }

    /// The longest stored form of `elements` elements: numcodecs' lengths are signed numbers.
    pub(crate) fn longest(elements: usize) -> usize {
        elements.saturating_mul(NUMBER + i32::MAX as usize).saturating_add(NUMBER)
    }

    /// Appends the stored form of `decoded` to `out`.
    ///
    /// # Errors
    /// `Value` when a number does not fit 32 bits; `Memory`.
    pub fn encode(self, decoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let elements = self.vouched.text(decoded).map(Option::unwrap_or_default);
        let total = elements.clone().fold(NUMBER, |total, element| total.saturating_add(NUMBER + element.len()));
        out.try_reserve(total)
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {total} bytes for encoded elements")))?;
        out.extend_from_slice(&stored_number(decoded.len() / REFERENCE)?);
        for element in elements {
            out.extend_from_slice(&stored_number(element.len())?);
            out.extend_from_slice(element);
        }
        Ok(())
    }
}

fn wrong_count(count: usize, expected: usize) -> Error {
    Error::value(format!("the chunk holds {count} elements, expected {expected}"))
}

/// The number at the start of `bytes`, and the bytes after it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}

/// `number` as it is stored; numcodecs' numbers are signed.
fn stored_number(number: usize) -> Result<[u8; NUMBER]> {
    i32::try_from(number)
        .map(i32::to_le_bytes)
        .map_err(|_| Error::value(format!("{number} does not fit the 31 bits of a stored number")))
}

#[cfg(test)]
#[allow(unsafe_code, reason = "asserts that the references of the tests are valid")]
mod tests {
    use super::*;

    fn codec(utf8: bool) -> Vlen {
        // SAFETY: the tests keep the bytes that they decode.
        Vlen { utf8, vouched: unsafe { ValidReferences::new() } }
    }

    fn stored_form(elements: &[&[u8]]) -> Vec<u8> {
        let mut stored = (elements.len() as u32).to_le_bytes().to_vec();
        for one in elements {
            stored.extend((one.len() as u32).to_le_bytes());
            stored.extend_from_slice(one);
        }
        stored
    }

    #[test]
    fn test_decoded_elements_encode_to_the_same_bytes() {
        let long = vec![b'x'; 300];
        let stored = stored_form(&[b"", b"a\0b", "\u{1F600}".as_bytes(), &long]);
        let mut decoded = vec![0; 4 * REFERENCE];
        codec(true).decode(&stored, &mut decoded).expect("well formed");
        let mut out = Vec::new();
        codec(true).encode(&decoded, &mut out).expect("fits");
        assert_eq!(out, stored);
    }

    #[test]
    fn test_absent_and_untouched_elements_are_stored_without_bytes() {
        let decoded = [Reference::ABSENT.bytes(), Reference::UNTOUCHED.bytes()].concat();
        let mut out = Vec::new();
        codec(false).encode(&decoded, &mut out).expect("fits");
        assert_eq!(out, stored_form(&[b"", b""]));
    }

    #[test]
    fn test_every_truncation_is_refused() {
        let stored = stored_form(&[b"one", b"", b"three"]);
        let mut decoded = vec![0; 3 * REFERENCE];
        for len in 0..stored.len() {
            let error = codec(true).decode(&stored[..len], &mut decoded).expect_err("truncated");
            assert!(matches!(error.kind, Kind::Value), "{len}: {error}");
        }
        codec(true).decode(&[stored.as_slice(), b"more"].concat(), &mut decoded).expect("trailing bytes are ignored");
    }

    #[test]
    fn test_the_first_part_tells_whether_more_bytes_are_needed() {
        let stored = stored_form(&[b"one", b"", b"three"]);
        for len in 0..stored.len() {
            assert!(matches!(Vlen::end(&stored[..len], 3), Ok(None)), "{len}");
        }
        let more = [stored.as_slice(), b"more"].concat();
        for whole in [&stored, &more] {
            assert!(matches!(Vlen::end(whole, 3), Ok(Some(end)) if end == stored.len()));
        }
        for other in [2, 4] {
            assert!(matches!(Vlen::end(&stored[..4], other), Err(Error { kind: Kind::Value, .. })));
        }
    }

    #[test]
    fn test_a_length_past_the_end_and_a_wrong_count_are_refused() {
        let mut decoded = vec![0; 2 * REFERENCE];
        for hostile in [
            [2u32.to_le_bytes(), u32::MAX.to_le_bytes(), [0; 4]].concat(),
            [u32::MAX.to_le_bytes(), [0; 4], [0; 4]].concat(),
            stored_form(&[b"a"]),
            stored_form(&[b"a", b"b", b"c"]),
        ] {
            let error = codec(false).decode(&hostile, &mut decoded).expect_err("damaged");
            assert!(matches!(error.kind, Kind::Value), "{error}");
        }
    }

    #[test]
    fn test_only_text_must_be_utf8() {
        let mut decoded = vec![0; 2 * REFERENCE];
        // Each of two elements holds half of one character.
        let stored = stored_form(&[b"\xc3", b"\xa9"]);
        let error = codec(true).decode(&stored, &mut decoded).expect_err("not UTF-8");
        assert!(matches!(error.kind, Kind::Utf8(bytes) if bytes == b"\xc3"));
        codec(false).decode(&stored, &mut decoded).expect("any bytes");
    }
}
