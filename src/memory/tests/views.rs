//! Views and places: copies through them are those of the kernels, and whatever leaves them is refused before it
//! starts.
#![allow(unsafe_code)] // A view of memory with another owner is made by address.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::memory::copy::copy;
use crate::memory::copy::tests::random::{Random, Side, axes};
use crate::memory::{CopyAxis, Element, OutBytes, SharedView, Swap, View, Walk};

const BYTE: Element = Element { size: 1, swap: Swap::None };

fn walk(len: usize, from: isize, to: isize) -> CopyAxis<'static> {
    CopyAxis { len, from: Walk::Stride(from), to: Walk::Stride(to) }
}

fn refused<T>(copy: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(copy)).is_err()
}

/// `axes` with both sides exchanged.
fn reversed<'a>(axes: &[CopyAxis<'a>]) -> Vec<CopyAxis<'a>> {
    axes.iter().map(|axis| CopyAxis { len: axis.len, from: axis.to, to: axis.from }).collect()
}

#[test]
fn scatter_and_gather_are_the_copy_and_the_least_byte_less_is_refused() {
    for round in 0..if cfg!(miri) { 60 } else { 500 } {
        let random = &mut Random(round);
        let (shape, element) = (random.shape(), random.element());
        let (from, to) = (random.one_side(&shape, element.size, true), random.one_side(&shape, element.size, false));
        let (source, before) = (random.bytes(from.len), random.bytes(to.len));
        let axes = axes(&shape, &from, &to);
        let mut expected = before.clone();
        // SAFETY: both buffers are as long as their walks.
        unsafe { copy(source.as_ptr().add(from.base), expected.as_mut_ptr().add(to.base), &axes, &element) };
        let (from_base, to_base) = (from.base as isize, to.base as isize);

        let mut target = before.clone();
        View::over(&mut target, Vec::new(), element.clone()).scatter(&source, from_base, to_base, &axes);
        assert!(target == expected, "round {round}: scatter {element:?} {axes:?}");
        let mut target = before.clone();
        View::of(&source, Vec::new(), element.clone()).gather(&mut target, from_base, to_base, &axes);
        assert!(target == expected, "round {round}: gather {element:?} {axes:?}");

        // The last byte of each side is reached by a walk, unless a list happens to leave it out.
        let (reach, least) = (|side: &Side| side.offsets(&shape).into_iter().max(), element.size);
        let (Some(last_from), Some(last_to)) = (reach(&from), reach(&to)) else { continue };
        let short = &source[..last_from + least - 1];
        assert!(refused(|| {
            View::over(&mut before.clone(), Vec::new(), element.clone()).scatter(short, from_base, to_base, &axes);
        }));
        assert!(refused(|| {
            View::of(short, Vec::new(), element.clone()).gather(&mut before.clone(), from_base, to_base, &axes);
        }));
        let mut short = before[..last_to + least - 1].to_vec();
        assert!(refused(|| {
            View::over(&mut short, Vec::new(), element.clone()).scatter(&source, from_base, to_base, &axes);
        }));
        let still: Vec<_> = axes.iter().map(|axis| CopyAxis { from: Walk::Stride(0), ..*axis }).collect();
        let pattern = random.bytes(least);
        assert!(refused(|| View::over(&mut short, Vec::new(), element.clone()).fill(to_base, &still, &pattern)));
        assert!(short == before[..short.len()], "round {round}: a refused copy wrote");
    }
}

#[test]
fn a_walk_that_begins_or_passes_before_the_first_byte_is_refused() {
    let mut bytes = [0; 8];
    let chunk = [7; 8];
    let view = View::over(&mut bytes, vec![1], BYTE);
    assert!(refused(|| view.scatter(&chunk, -1, 0, &[walk(1, 1, 1)])));
    assert!(refused(|| view.scatter(&chunk, 0, 3, &[walk(5, 1, -1)])));
    assert!(refused(|| view.scatter(&chunk, 0, 0, &[CopyAxis { to: Walk::Offsets(&[0, -1]), ..walk(2, 1, 1) }])));
    view.scatter(&chunk, 0, 7, &[walk(8, 1, -1)]);
    assert_eq!(bytes, chunk);
}

#[test]
fn numbers_that_do_not_fit_and_lists_that_are_too_short_are_refused() {
    let mut bytes = [0; 8];
    let view = View::over(&mut bytes, vec![1], BYTE);
    let chunk = [7; 8];
    // Twice 2^62 is a negative number, and four times it is nothing at all.
    for (len, stride) in [(3, 1 << 62), (5, 1 << 62), (usize::MAX, 1), (2, isize::MIN)] {
        assert!(refused(|| view.scatter(&chunk, 0, 0, &[walk(len, 0, stride)])), "{len} steps of {stride}");
        assert!(refused(|| view.scatter(&chunk, 0, 0, &[walk(len, stride, 0)])), "{len} steps of {stride}");
        assert!(refused(|| view.fill(0, &[walk(len, 0, stride)], &[1])), "{len} steps of {stride}");
    }
    assert!(refused(|| view.scatter(&chunk, isize::MAX, 0, &[])));
    assert!(refused(|| view.scatter(&chunk, 0, isize::MIN, &[])));
    assert!(refused(|| view.scatter(&chunk, 0, 0, &[CopyAxis { from: Walk::Offsets(&[0]), ..walk(2, 1, 1) }])));
    assert!(refused(|| view.run(7, 2)));
    assert!(refused(|| view.run(-1, 2)));
    assert!(refused(|| view.run(isize::MAX, usize::MAX)));
    assert_eq!(bytes, [0; 8]);
}

#[test]
fn nothing_may_be_walked_from_anywhere() {
    let view = View::over(&mut [], vec![1], BYTE);
    view.scatter(&[], 100, -100, &[walk(0, 1, 1)]);
    view.gather(&mut [], 100, -100, &[walk(0, 1, 1)]);
    view.fill(100, &[walk(3, 1, 1), walk(0, 1, 1)], &[1]);
    assert!(view.run(100, 0).is_empty());
    View::over(&mut [], vec![0], Element { size: 0, swap: Swap::None }).scatter(&[], 9, 9, &[walk(3, 1, 1)]);
}

#[test]
fn what_may_only_be_read_is_not_written() {
    let bytes = [1; 8];
    let view = View::of(&bytes, vec![1], BYTE);
    assert!(refused(|| view.scatter(&[7; 8], 0, 0, &[walk(8, 1, 1)])));
    assert!(refused(|| view.fill(0, &[walk(8, 0, 1)], &[7])));
    assert!(refused(|| view.run(0, 8)));
}

#[test]
fn a_swap_that_leaves_its_element_is_refused() {
    for swap in [
        Swap::Uniform(0),
        Swap::Uniform(3),
        Swap::Uniform(8),
        Swap::Fields(vec![(0, 2, 1), (2, 2, 2)]),
        Swap::Fields(vec![(usize::MAX, 1, 1)]),
        Swap::Fields(vec![(0, 2, usize::MAX)]),
    ] {
        assert!(refused(|| View::of(&[], Vec::new(), Element { size: 4, swap: swap.clone() })), "{swap:?}");
    }
}

#[test]
fn a_shared_view_spans_its_array_whatever_the_signs_of_its_strides() {
    let mut bytes: Vec<u8> = (0..60).collect();
    let element = Element { size: 2, swap: Swap::None };
    // Five rows of three elements from the last row up, in the middle of the buffer.
    // SAFETY: the array spans bytes 4 to 50 of the buffer, which nothing else uses before the view's last use.
    let view = unsafe { SharedView::new(bytes.as_mut_ptr().add(44), &[5, 3], vec![-10, 2], element.clone(), true) };
    let mut all = [0; 30];
    let there = [walk(5, -10, 6), walk(3, 2, 2)];
    view.gather(&mut all, 0, 0, &there);
    let rows: Vec<u8> = [44, 34, 24, 14, 4].into_iter().flat_map(|row| row..row + 6).collect();
    assert_eq!(all.as_slice(), rows);
    assert!(refused(|| view.gather(&mut all, 0, 0, &[walk(6, -10, 0)])));
    assert!(refused(|| view.gather(&mut all, 0, 0, &[walk(4, 2, 2)])));
    view.run(-40, 46).copy_from(&[9; 46]);
    assert!(refused(|| view.run(-40, 47)));
    assert!(refused(|| view.run(-41, 2)));
    std::thread::scope(|scope| {
        scope.spawn(|| view.scatter(&rows, 0, 0, &reversed(&there)));
    });
    drop(view);
    assert_eq!((bytes[3], bytes[4], bytes[11], bytes[50]), (3, 4, 9, 50));
    assert_eq!(bytes[44..50], [44, 45, 46, 47, 48, 49]);
    // SAFETY: there is no element.
    let nothing = unsafe { SharedView::new(bytes.as_mut_ptr(), &[3, 0], vec![isize::MAX, 1], element.clone(), true) };
    assert!(refused(|| nothing.fill(0, &[], &[1, 1])));
    // SAFETY: refused.
    assert!(refused(|| unsafe { SharedView::new(bytes.as_mut_ptr(), &[3], vec![isize::MAX], element, true) }));
}

#[test]
fn out_bytes_are_split_and_filled_within_their_length() {
    let mut bytes = [0; 6];
    let (mut head, tail) = OutBytes::from(&mut bytes[..]).split_at(4);
    head.reborrow().copy_from(&[1; 4]);
    head.split_at(3).1.copy_from(&[2]);
    let (mut middle, end) = tail.split_at(2);
    middle.copy_from(&[3, 4]);
    assert!(end.is_empty());
    assert!(refused(|| end.split_at(1)));
    assert!(refused(|| middle.copy_from(&[5])));
    assert!(refused(|| middle.copy_from(&[5; 3])));
    assert_eq!(bytes, [1, 1, 1, 2, 3, 4]);
}
