//! Fills, and the buffers of a thread.
#![allow(unsafe_code)] // `fill` is unsafe; each buffer spans all offsets of its walk.

use super::random::{Random, axes};
use crate::error::Kind;
use crate::memory::fill::fill;
use crate::memory::strided::copy;
use crate::memory::{CopyAxis, DecodedChunk, Element, Scratch, Slot, Swap, Walk, repeat};

#[test]
fn fills_write_the_pattern_to_each_target_and_nothing_else() {
    for round in 0..if cfg!(miri) { 60 } else { 500 } {
        let random = &mut Random(round);
        let shape = random.shape();
        let size = random.pick(&[1, 2, 3, 4, 7, 8, 12, 16, 31, 64, 100, 700, 1500]);
        let pattern = if random.below(2) == 0 { random.bytes(size) } else { vec![random.below(256) as u8; size] };
        let to = random.one_side(&shape, size, false);
        let mut target = random.bytes(to.len);
        let mut expected = target.clone();
        for place in to.offsets(&shape) {
            expected[place..place + size].copy_from_slice(&pattern);
        }
        let axes = axes(&shape, &to, &to);
        // SAFETY: the buffer is as long as its walk.
        unsafe { fill(target.as_mut_ptr().add(to.base), &axes, &pattern) };
        assert!(target == expected, "round {round}: {size} {axes:?}");
    }
}

#[test]
fn one_element_is_broadcast_to_all_targets() {
    let mut target = vec![0; 5000 * 4];
    let axes = [CopyAxis { len: 5000, from: Walk::Stride(0), to: Walk::Stride(4) }];
    // SAFETY: four bytes are read, and 5000 times four are there to be written.
    unsafe { copy([1, 2, 3, 4].as_ptr(), target.as_mut_ptr(), &axes, &Element { size: 4, swap: Swap::Uniform(4) }) };
    assert!(target.chunks_exact(4).all(|one| one == [4, 3, 2, 1]));
}

#[test]
fn a_pattern_is_repeated_as_often_as_it_fits() {
    let mut bytes = [9; 8];
    repeat(&mut bytes, &[1, 2, 3]);
    assert_eq!(bytes, [1, 2, 3, 1, 2, 3, 9, 9]);
    repeat(&mut bytes, &[]);
    repeat(&mut [], &[1]);
    assert_eq!(bytes, [1, 2, 3, 1, 2, 3, 9, 9]);
}

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
fn an_image_is_used_again_and_a_nested_one_is_another() {
    let mut image = DecodedChunk::take();
    let first = image.room(1000).expect("a thousand bytes can be had");
    assert!(first.iter().all(|byte| *byte == 0));
    first.fill(7);
    let address = first.as_ptr();
    let mut inner = DecodedChunk::take();
    inner.room(10).expect("ten bytes can be had").fill(8);
    drop(inner);
    assert_eq!(*image, [7; 1000]);
    drop(image);
    let mut image = DecodedChunk::take();
    assert!(image.is_empty());
    assert_eq!(image.room(900).expect("there already").as_ptr(), address);
    assert_eq!(image.len(), 900);
    assert!(image.room(0).expect("nothing can be had").is_empty());
    assert_eq!(image.room(2000).expect("two thousand bytes can be had").len(), 2000);
    drop(image);
    DecodedChunk::take().room((64 << 20) + 1).expect("one huge chunk can be had");
    assert!(DecodedChunk::take().room(2000).expect("there already").iter().all(|byte| *byte == 0));
}

#[test]
fn an_image_of_an_absurd_length_is_refused() {
    for len in [usize::MAX, isize::MAX as usize, usize::MAX / 4] {
        let mut image = DecodedChunk::take();
        let refused = image.room(len).expect_err("no machine has as much");
        assert!(matches!(refused.kind, Kind::Memory));
        assert!(image.is_empty());
    }
}
