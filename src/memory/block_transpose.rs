//! Squares of elements transposed in registers. Other processors than x86-64 get squares of one element.
#![allow(unsafe_code)] // Vectors are loaded from raw addresses, as all elements are.

/// Side, in elements of `size` bytes, of the squares that [`transpose`] takes: rows of 16 bytes.
pub(super) const fn side(size: usize) -> usize {
    if cfg!(target_arch = "x86_64") && matches!(size, 1 | 2 | 4 | 8) { 16 / size } else { 1 }
}

/// Makes the columns of the square at `to`, which are `out` bytes isolated, of its rows at `from`, `step` bytes isolated.
///
/// # Safety
/// Each of the `side(size)` rows can be read at `from`, and written at `to`, and the two do not overlap.
#[inline]
pub(super) unsafe fn transpose(size: usize, from: *const u8, step: isize, to: *mut u8, out: isize) {
    // SAFETY: as the caller vouches.
    unsafe {
        match size {
            #[cfg(target_arch = "x86_64")]
            1 => sse2::bytes(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            2 => sse2::words(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            4 => sse2::doubles(from, step, to, out),
            #[cfg(target_arch = "x86_64")]
            8 => sse2::quads(from, step, to, out),
            _ => from.copy_to_nonoverlapping(to, size),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpackhi_epi16, _mm_unpackhi_epi32,
        _mm_unpackhi_epi64, _mm_unpacklo_epi8, _mm_unpacklo_epi16, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
    };

    macro_rules! square {
        ($name:ident, $side:literal, $low:ident, $high:ident) => {
            /// # Safety
            /// As for [`super::transpose`].
            #[inline]
            pub unsafe fn $name(from: *const u8, step: isize, to: *mut u8, out: isize) {
                // SAFETY: SSE2 is part of x86-64; the caller vouches for the addresses; no alignment is assumed.
                unsafe {
                    let load = |row| _mm_loadu_si128(from.wrapping_offset(step * row as isize).cast());
                    let mut rows: [__m128i; $side] = std::array::from_fn(load);
                    // Interleaving row i with row i + N/2, log2(N) times, transposes.
                    let mut left = $side;
                    while left > 1 {
                        let old = rows;
                        for row in 0..$side / 2 {
                            rows[2 * row] = $low(old[row], old[row + $side / 2]);
                            rows[2 * row + 1] = $high(old[row], old[row + $side / 2]);
                        }
                        left /= 2;
                    }
                    for (row, bytes) in rows.iter().enumerate() {
                        _mm_storeu_si128(to.wrapping_offset(out * row as isize).cast(), *bytes);
                    }
                }
            }
        };
    }
    square!(bytes, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    square!(words, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16);
    square!(doubles, 4, _mm_unpacklo_epi32, _mm_unpackhi_epi32);
    square!(quads, 2, _mm_unpacklo_epi64, _mm_unpackhi_epi64);
}
