//! An element as the engine sees it: opaque bytes, some of which change order between the stored and the in-memory
//! form. Swaps of packed bytes; swaps on the way to another place are in `kernels.rs`.
#![allow(unsafe_code)] // Only to enter code that is compiled for a processor feature.

/// One element: its width, and what changes order between its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Bytes per element.
    pub size: usize,
    /// Which groups of bytes are reversed.
    pub swap: Swap,
}

/// Which groups of an element's bytes are reversed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Both forms are the same.
    None,
    /// Every group of this many bytes, which divide the size: complex128 is `Uniform(8)`, `>U3` is `Uniform(4)`.
    Uniform(usize),
    /// `(offset, unit, count)`: from byte `offset` on, `count` groups of `unit` bytes each; bytes outside stay as they
    /// are.
    Fields(Vec<(usize, usize, usize)>),
}

/// Swaps each element of a packed buffer where it lies.
pub fn swap_in_place(bytes: &mut [u8], element: &Element) {
    debug_assert!(
        element.size == 0 || bytes.len().is_multiple_of(element.size),
        "a packed buffer holds whole elements"
    );
    match &element.swap {
        Swap::None => {}
        Swap::Uniform(unit) => swap_units(bytes, *unit),
        Swap::Fields(fields) => {
            for one in bytes.chunks_exact_mut(element.size.max(1)) {
                swap_fields(one, fields);
            }
        }
    }
}

/// `pattern`, one element, in its other form.
pub fn swapped(pattern: &[u8], element: &Element) -> Vec<u8> {
    let mut other = pattern.to_vec();
    swap_in_place(&mut other, element);
    other
}

/// Reverses the groups that `fields` names in one element.
fn swap_fields(one: &mut [u8], fields: &[(usize, usize, usize)]) {
    for &(offset, unit, count) in fields {
        swap_units(&mut one[offset..offset + unit * count], unit);
    }
}

/// Reverses every group of `unit` bytes.
fn swap_units(bytes: &mut [u8], unit: usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function needs.
        return unsafe { swap_units_avx2(bytes, unit) };
    }
    swap_units_plainly(bytes, unit);
}

/// [`swap_units`], with the shuffles that plain x86-64 lacks.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn swap_units_avx2(bytes: &mut [u8], unit: usize) {
    swap_units_plainly(bytes, unit);
}

#[inline(always)] // A caller's processor features reach only what is inlined.
#[expect(clippy::inline_always, reason = "see above")]
fn swap_units_plainly(bytes: &mut [u8], unit: usize) {
    match unit {
        0 | 1 => {}
        2 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|word| *word = u16::from_ne_bytes(*word).swap_bytes().to_ne_bytes()),
        4 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|word| *word = u32::from_ne_bytes(*word).swap_bytes().to_ne_bytes()),
        8 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|word| *word = u64::from_ne_bytes(*word).swap_bytes().to_ne_bytes()),
        _ => bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse),
    }
}
