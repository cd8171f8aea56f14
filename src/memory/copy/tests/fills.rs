//! Fills.
#![allow(unsafe_code)] // `fill` is unsafe; each buffer spans all offsets of its walk.

use super::random::{Random, axes};
use crate::memory::copy::{copy, fill};
use crate::memory::{CopyAxis, Element, Swap, Walk, repeat};

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
        for offset in to.offsets(&shape) {
            expected[offset..offset + size].copy_from_slice(&pattern);
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
