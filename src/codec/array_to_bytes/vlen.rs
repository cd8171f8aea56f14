//! The codecs `vlen-utf8` and `vlen-bytes`: elements of variable length, as numcodecs stores them.
//!
//! The number of elements, then for each its length and its bytes; all numbers are 32 bits, little-endian (zarr-extensions
//! `vlen-utf8`, `vlen-bytes`). Bytes after the last element are ignored, as numcodecs ignores them.

use crate::error::{Error, Kind, Result};
use crate::memory::{REFERENCE, Reference, ValidReferences};

/// Bytes of a stored number.
const NUMBER: usize = 4;

/// One of the two codecs.
#[derive(Debug, Clone, Copy)]
pub struct Vlen {
    /// Whether the elements are text, so that they must be UTF-8.
    pub utf8: bool,
    /// That images may be followed.
    pub vouched: ValidReferences,
}

impl Vlen {
    /// Fills `image` with references to the elements that `text` holds.
    ///
    /// # Errors
    /// `Value` when `text` is truncated or holds another number of elements, `Utf8` when an element is not UTF-8; in the
    /// order in which numcodecs and then zarr-python find them.
    pub fn decode(self, text: &[u8], image: &mut [u8]) -> Result<()> {
        let expected = image.len() / REFERENCE;
        let Some((count, mut rest)) = number(text) else {
            return Err(Error::value(format!("the chunk has {} bytes, too few to count its elements", text.len())));
        };
        // Of short ASCII text the lengths are ASCII too: then one fast pass has seen it all.
        let suspect = self.utf8 && !text.is_ascii();
        let mut cells = image.chunks_exact_mut(REFERENCE);
        for at in 0..count {
            let Some((one, after)) = number(rest).and_then(|(len, rest)| rest.split_at_checked(len)) else {
                return Err(Error::value(format!(
                    "the chunk is truncated: {} bytes end inside element {at} of {count}",
                    text.len()
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

    /// Where text of `expected` elements ends of which `head` is the first part; `None` if it does not end in there.
    ///
    /// # Errors
    /// `Value` when it holds another number of elements.
    pub fn end(head: &[u8], expected: usize) -> Result<Option<usize>> {
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

    /// The most bytes that text of so many elements can have: numcodecs counts with signed numbers.
    pub fn longest(elements: usize) -> usize {
        elements.saturating_mul(NUMBER + i32::MAX as usize).saturating_add(NUMBER)
    }

    /// Appends the stored form of `image` to `out`.
    ///
    /// # Errors
    /// `Value` when a number does not fit 32 bits; `Memory`.
    pub fn encode(self, image: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let elements = self.vouched.text(image).map(Option::unwrap_or_default);
        let total = elements.clone().fold(NUMBER, |total, text| total.saturating_add(NUMBER + text.len()));
        out.try_reserve(total)
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {total} bytes for encoded text")))?;
        out.extend_from_slice(&stored(image.len() / REFERENCE)?);
        for text in elements {
            out.extend_from_slice(&stored(text.len())?);
            out.extend_from_slice(text);
        }
        Ok(())
    }
}

fn wrong_count(count: usize, expected: usize) -> Error {
    Error::value(format!("the chunk holds {count} elements, expected {expected}"))
}

/// The number at the start of `bytes`, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}

/// numcodecs counts with signed numbers.
fn stored(number: usize) -> Result<[u8; NUMBER]> {
    i32::try_from(number)
        .map(i32::to_le_bytes)
        .map_err(|_| Error::value(format!("{number} does not fit the 31 bits that a stored length has")))
}

#[cfg(test)]
#[allow(unsafe_code, reason = "vouches for the images of the tests")]
mod tests {
    use super::*;

    fn codec(utf8: bool) -> Vlen {
        // SAFETY: the tests keep the text that they decode.
        Vlen { utf8, vouched: unsafe { ValidReferences::new() } }
    }

    fn stored_form(elements: &[&[u8]]) -> Vec<u8> {
        let mut text = (elements.len() as u32).to_le_bytes().to_vec();
        for one in elements {
            text.extend((one.len() as u32).to_le_bytes());
            text.extend_from_slice(one);
        }
        text
    }

    #[test]
    fn what_was_decoded_encodes_to_the_same_bytes() {
        let long = vec![b'x'; 300];
        let text = stored_form(&[b"", b"a\0b", "\u{1F600}".as_bytes(), &long]);
        let mut image = vec![0; 4 * REFERENCE];
        codec(true).decode(&text, &mut image).expect("well formed");
        let mut out = Vec::new();
        codec(true).encode(&image, &mut out).expect("fits");
        assert_eq!(out, text);
    }

    #[test]
    fn absent_and_untouched_elements_are_stored_without_bytes() {
        let image = [Reference::ABSENT.bytes(), Reference::UNTOUCHED.bytes()].concat();
        let mut out = Vec::new();
        codec(false).encode(&image, &mut out).expect("fits");
        assert_eq!(out, stored_form(&[b"", b""]));
    }

    #[test]
    fn every_truncation_is_refused() {
        let text = stored_form(&[b"one", b"", b"three"]);
        let mut image = vec![0; 3 * REFERENCE];
        for len in 0..text.len() {
            let error = codec(true).decode(&text[..len], &mut image).expect_err("truncated");
            assert!(matches!(error.kind, Kind::Value), "{len}: {error}");
        }
        codec(true).decode(&[text.as_slice(), b"more"].concat(), &mut image).expect("what follows is ignored");
    }

    #[test]
    fn test_a_part_of_text_tells_whether_more_must_come() {
        let text = stored_form(&[b"one", b"", b"three"]);
        for len in 0..text.len() {
            assert!(matches!(Vlen::end(&text[..len], 3), Ok(None)), "{len}");
        }
        let more = [text.as_slice(), b"more"].concat();
        for whole in [&text, &more] {
            assert!(matches!(Vlen::end(whole, 3), Ok(Some(end)) if end == text.len()));
        }
        for other in [2, 4] {
            assert!(matches!(Vlen::end(&text[..4], other), Err(Error { kind: Kind::Value, .. })));
        }
    }

    #[test]
    fn a_length_past_the_end_and_a_wrong_count_are_refused() {
        let mut image = vec![0; 2 * REFERENCE];
        for hostile in [
            [2u32.to_le_bytes(), u32::MAX.to_le_bytes(), [0; 4]].concat(),
            [u32::MAX.to_le_bytes(), [0; 4], [0; 4]].concat(),
            stored_form(&[b"a"]),
            stored_form(&[b"a", b"b", b"c"]),
        ] {
            let error = codec(false).decode(&hostile, &mut image).expect_err("damaged");
            assert!(matches!(error.kind, Kind::Value), "{error}");
        }
    }

    #[test]
    fn only_text_must_be_utf8() {
        let mut image = vec![0; 2 * REFERENCE];
        // Half a character in each of two elements, which together would be one.
        let text = stored_form(&[b"\xc3", b"\xa9"]);
        let error = codec(true).decode(&text, &mut image).expect_err("not UTF-8");
        assert!(matches!(error.kind, Kind::Utf8(bytes) if bytes == b"\xc3"));
        codec(false).decode(&text, &mut image).expect("any bytes");
    }
}
