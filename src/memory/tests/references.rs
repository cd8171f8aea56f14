//! References: what they lead to, and that it stays where it is.
#![allow(unsafe_code)] // The tests vouch for what their references lead to.

use std::sync::Arc;

use crate::memory::{
    CopyAxis, FillTest, REFERENCE, Reference, References, Referrer, SharedView, TextArena, ValidReferences, Walk,
    is_empty,
};

fn valid_references() -> ValidReferences {
    // SAFETY: every test keeps what its decoded chunks refer to.
    unsafe { ValidReferences::new() }
}

fn chunk_of(references: &[Reference]) -> Vec<u8> {
    references.iter().flat_map(|reference| reference.bytes()).collect()
}

#[test]
fn a_reference_keeps_its_value_in_a_chunk() {
    let text = *b"some text";
    let mut chunk = vec![7; 3 * REFERENCE];
    Reference::to(&text[5..]).write(&mut chunk, REFERENCE);
    let reference = Reference::read(&chunk, REFERENCE);
    assert_eq!(reference, Reference::to(&text[5..]));
    assert_eq!(reference.within(&text), Some(&b"text"[..]));
    assert_eq!(reference.within(&text[..8]), None);
    assert_eq!(reference.within(b"other"), None);
    assert_eq!(Reference::UNTOUCHED.within(&text), None);
    assert_eq!(Reference::UNTOUCHED.bytes(), [0; REFERENCE], "fresh memory is untouched");
}

#[test]
fn text_copied_to_many_blocks_stays_where_it_is() {
    let mut referrer = Referrer::with_capacity(0).expect("room");
    let texts: Vec<Vec<u8>> = (0..2000).map(|i| vec![i as u8; i * 7 % 1500]).chain([vec![1; 600_000]]).collect();
    for text in &texts {
        referrer.copy(text).expect("room");
    }
    let references = referrer.finish();
    assert_eq!(references.len(), texts.len());
    for (at, text) in texts.iter().enumerate() {
        // SAFETY: no thread writes, and the references own the text.
        assert_eq!(unsafe { references.get(at) }, Some(text.as_slice()), "{at}");
    }
}

#[test]
fn a_view_keeps_its_references_and_only_touched_ones_lead_anywhere() {
    let arena = TextArena::default();
    let text = b"one two".to_vec();
    let chunk = chunk_of(&[Reference::to(&text[..3]), Reference::to(&text[7..])]);
    arena.keep(text);
    let references = Arc::new(References::untouched(4).expect("room"));
    let view = SharedView::references(Arc::clone(&references), vec![REFERENCE as isize], true);
    let axis = CopyAxis { len: 2, from: Walk::Stride(REFERENCE as isize), to: Walk::Stride(2 * REFERENCE as isize) };
    view.scatter(&chunk, 0, REFERENCE as isize, &[axis]);
    // SAFETY: the scatter is done, and `arena` has the text.
    let read: Vec<Option<&[u8]>> = (0..4).map(|at| unsafe { references.get(at) }).collect();
    assert_eq!(read, [None, Some(&b"one"[..]), None, Some(&b""[..])]);
}

#[test]
fn a_decoded_chunk_is_empty_when_all_texts_equal_the_fill_value() {
    let (fill, same, longer) = (b"fill".to_vec(), b"fill".to_vec(), b"filled".to_vec());
    let fill_test = FillTest::text(&fill, valid_references());
    let chunk = |reference| chunk_of(&[Reference::to(&fill), Reference::to(&same), reference]);
    assert!(is_empty(&chunk(Reference::to(&longer[..4])), &fill_test));
    assert!(!is_empty(&chunk(Reference::to(&longer)), &fill_test));
    assert!(!is_empty(&chunk(Reference::to(&longer[..0])), &fill_test));
    let nothing = FillTest::text(b"", valid_references());
    assert!(is_empty(&chunk_of(&[Reference::to(b""), Reference::to(&longer[6..])]), &nothing));
    assert!(!is_empty(&chunk_of(&[Reference::ABSENT]), &nothing), "None is stored, and equals nothing");
}
