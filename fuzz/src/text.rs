//! Elements of variable length. The first two bytes of an input are the number of elements expected.

use engine::codec::array_to_bytes::vlen::Vlen;
use engine::memory::{REFERENCE, ValidReferences};

use crate::{Target, number, seed};

fn check(codec: Vlen, stored: &[u8], count: usize) {
    let mut decoded = vec![0; count * REFERENCE];
    if codec.decode(stored, &mut decoded).is_err() {
        return;
    }
    for element in codec.vouched.text(&decoded).flatten() {
        assert!(
            stored.as_ptr_range().start <= element.as_ptr() && element.as_ptr_range().end <= stored.as_ptr_range().end
        );
        assert!(!codec.utf8 || std::str::from_utf8(element).is_ok(), "{element:?} is not UTF-8");
    }
    let mut encoded = Vec::new();
    codec.encode(&decoded, &mut encoded).expect("lengths that were stored");
    assert!(stored.starts_with(&encoded), "{stored:?} comes back as {encoded:?}");
}

fn vlen(utf8: bool) -> Target {
    // SAFETY: an decoded is only used beside the bytes that it was decoded from.
    let codec = Vlen { utf8, vouched: unsafe { ValidReferences::new() } };
    let elements: [&[u8]; 4] = [b"", b"a\0b", "\u{1F600}\u{e9}".as_bytes(), &[b'x'; 300]];
    let mut stored = 4_u32.to_le_bytes().to_vec();
    for element in elements {
        stored.extend((element.len() as u32).to_le_bytes());
        stored.extend_from_slice(element);
    }
    let check = move |input: &[u8]| {
        if let Some((count, stored)) = number(input, 0..=1024) {
            check(codec, stored, count);
        }
    };
    Target { check: Box::new(check), seeds: vec![seed(4, &stored), seed(0, &[0; 4])] }
}

pub fn vlen_bytes() -> Target {
    vlen(false)
}

pub fn vlen_utf8() -> Target {
    vlen(true)
}
