//! Copies and swaps.
#![allow(unsafe_code)] // The functions under test are unsafe; each buffer spans all offsets of its walk.

use super::random::{Random, axes, reversed};
use crate::memory::copy::copy;
use crate::memory::{CopyAxis, Element, Swap, Walk, swap_in_place, swapped};

const ROUNDS: u64 = if cfg!(miri) { 60 } else { 600 };

#[test]
fn copies_are_what_a_loop_over_all_elements_does() {
    for round in 0..ROUNDS {
        let random = &mut Random(round);
        let (shape, element) = (random.shape(), random.element());
        let (from, to) = (random.one_side(&shape, element.size, true), random.one_side(&shape, element.size, false));
        let source = random.bytes(from.len);
        let mut target = random.bytes(to.len);
        let mut expected = target.clone();
        for (at, offset) in from.offsets(&shape).into_iter().zip(to.offsets(&shape)) {
            let one = reversed(&source[at..at + element.size], &element.swap);
            expected[offset..offset + element.size].copy_from_slice(&one);
        }
        let axes = axes(&shape, &from, &to);
        // SAFETY: both buffers are as long as their walks.
        unsafe { copy(source.as_ptr().add(from.base), target.as_mut_ptr().add(to.base), &axes, &element) };
        assert!(target == expected, "round {round}: {element:?} {axes:?}");
    }
}

#[test]
fn the_last_of_several_writes_to_one_offset_wins() {
    for round in 0..ROUNDS {
        let random = &mut Random(round);
        let size = random.pick(&[1, 2, 4, 8, 12]);
        let shape: Vec<usize> = (0..=random.below(3)).map(|_| 1 + random.below(12)).collect();
        // Offsets that meet in any combination, not only index by index; some of them at equal steps.
        let lists: Vec<Vec<isize>> = (shape.iter())
            .map(|&len| match random.below(3) {
                0 => (0..len).map(|index| (index * size) as isize).collect(),
                _ => (0..len).map(|_| (random.below(7) * size) as isize).collect(),
            })
            .collect();
        let source = random.bytes(shape.iter().product::<usize>() * size);
        let mut target = vec![0; 12 * size * shape.len()];
        let mut expected = target.clone();
        // The source is transposed, which must not change the order of writes.
        let mut stride = size;
        let mut axes = Vec::new();
        for (list, &len) in lists.iter().zip(&shape) {
            let steps = len > 1 && list.iter().enumerate().all(|(index, &offset)| offset == (index * size) as isize);
            let to = if steps { Walk::Stride(size as isize) } else { Walk::Offsets(list) };
            axes.push(CopyAxis { len, from: Walk::Stride(stride as isize), to });
            stride *= len;
        }
        if axes.iter().filter(|axis| matches!(axis.to, Walk::Stride(_))).count() > 1
            || !axes.iter().any(|axis| axis.len > 1 && matches!(axis.to, Walk::Offsets(_)))
        {
            // Then nothing says in which order to write.
            continue;
        }
        for index in 0..source.len() / size {
            let (mut rest, mut at, mut offset) = (index, 0, 0);
            let mut step = source.len();
            for list in lists.iter().rev() {
                step /= list.len();
                at += rest % list.len() * step;
                offset += list[rest % list.len()] as usize;
                rest /= list.len();
            }
            expected[offset..offset + size].copy_from_slice(&source[at..at + size]);
        }
        // SAFETY: the lists reach at most 12 elements each.
        unsafe { copy(source.as_ptr(), target.as_mut_ptr(), &axes, &Element { size, swap: Swap::None }) };
        assert_eq!(target, expected, "round {round}: {axes:?}");
    }
}

#[test]
fn transpositions_of_any_shape_and_width_are_exact() {
    for round in 0..ROUNDS / 4 {
        let random = &mut Random(round);
        let size: usize = random.pick(&[1, 2, 3, 4, 8, 16]);
        let swap =
            if size.is_power_of_two() && size < 16 { Swap::Uniform(random.pick(&[1, size])) } else { Swap::None };
        let (planes, rows, columns) = (1 + random.below(3), 1 + random.below(70), 1 + random.below(170));
        let source = random.bytes(planes * rows * columns * size);
        let mut target = vec![0; source.len()];
        let step = |len, from: usize, to: usize| CopyAxis {
            len,
            from: Walk::Stride((from * size) as isize),
            to: Walk::Stride((to * size) as isize),
        };
        let whole = rows * columns;
        let axes = [step(rows, 1, columns), step(planes, whole, whole), step(columns, rows, 1)];
        // SAFETY: both buffers have all planes.
        unsafe { copy(source.as_ptr(), target.as_mut_ptr(), &axes, &Element { size, swap: swap.clone() }) };
        for (offset, one) in target.chunks_exact(size).enumerate() {
            let (plane, row, column) = (offset / whole, offset % whole / columns, offset % columns);
            let at = (plane * whole + column * rows + row) * size;
            assert_eq!(one, reversed(&source[at..at + size], &swap), "{planes} {rows} {columns} {size} {offset}");
        }
    }
}

#[test]
fn more_axes_than_the_stack_holds_are_copied() {
    let source: Vec<u8> = (0..=255).cycle().take(1 << 12).collect();
    let mut target = vec![0; 1 << 12];
    // Twelve axes of two in reverse order: none can be merged.
    let axes: Vec<CopyAxis<'_>> = (0..12)
        .map(|axis| CopyAxis { len: 2, from: Walk::Stride(1 << axis), to: Walk::Stride(1 << (11 - axis)) })
        .collect();
    // SAFETY: both buffers have 2^12 bytes.
    unsafe { copy(source.as_ptr(), target.as_mut_ptr(), &axes, &Element { size: 1, swap: Swap::None }) };
    for (index, byte) in target.iter().enumerate() {
        assert_eq!(*byte, source[(index.reverse_bits()) >> (usize::BITS - 12)]);
    }
}

#[test]
fn packed_bytes_are_swapped_in_place() {
    for round in 0..ROUNDS / 10 {
        let random = &mut Random(round);
        let element = random.element();
        let count = random.below(100);
        let mut bytes = random.bytes(count * element.size);
        let expected: Vec<u8> = bytes.chunks_exact(element.size).flat_map(|one| reversed(one, &element.swap)).collect();
        swap_in_place(&mut bytes, &element);
        assert_eq!(bytes, expected, "{element:?}");
        let one = random.bytes(element.size);
        assert_eq!(swapped(&one, &element), reversed(&one, &element.swap));
    }
}
