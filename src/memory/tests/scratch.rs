//! The buffers of a thread.

use crate::error::Kind;
use crate::memory::{DecodedChunk, Scratch, Slot};

#[test]
fn nested_use_of_one_slot_gets_another_buffer() {
    let mut outer = Scratch::take(Slot::Stored);
    outer.extend_from_slice(b"outer");
    let mut inner = Scratch::take(Slot::Stored);
    assert!(inner.is_empty());
    inner.extend_from_slice(b"inner");
    drop(inner);
    assert_eq!(*outer, b"outer");
}

#[test]
fn a_buffer_comes_back_with_its_capacity_unless_it_is_huge() {
    let capacity = |slot| Scratch::take(slot).capacity();
    Scratch::take(Slot::Even).reserve(1 << 20);
    assert!(capacity(Slot::Even) >= 1 << 20);
    assert_eq!(capacity(Slot::Odd), 0);
    Scratch::take(Slot::Encoded).reserve((64 << 20) + 1);
    assert_eq!(capacity(Slot::Encoded), 0);
}

#[test]
fn a_decoded_chunk_is_used_again_and_a_nested_one_is_another() {
    let mut chunk = DecodedChunk::take();
    let first = chunk.room(1000).expect("a thousand bytes can be had");
    assert!(first.iter().all(|byte| *byte == 0));
    first.fill(7);
    let address = first.as_ptr();
    let mut inner = DecodedChunk::take();
    inner.room(10).expect("ten bytes can be had").fill(8);
    drop(inner);
    assert_eq!(*chunk, [7; 1000]);
    drop(chunk);
    let mut chunk = DecodedChunk::take();
    assert!(chunk.is_empty());
    assert_eq!(chunk.room(900).expect("there already").as_ptr(), address);
    assert_eq!(chunk.len(), 900);
    assert!(chunk.room(0).expect("nothing can be had").is_empty());
    assert_eq!(chunk.room(2000).expect("two thousand bytes can be had").len(), 2000);
    drop(chunk);
    DecodedChunk::take().room((64 << 20) + 1).expect("one huge chunk can be had");
    assert!(DecodedChunk::take().room(2000).expect("there already").iter().all(|byte| *byte == 0));
}

#[test]
fn a_decoded_chunk_of_an_absurd_length_is_refused() {
    for len in [usize::MAX, isize::MAX as usize, usize::MAX / 4] {
        let mut chunk = DecodedChunk::take();
        let refused = chunk.room(len).expect_err("no machine has as much");
        assert!(matches!(refused.kind, Kind::Memory));
        assert!(chunk.is_empty());
    }
}
