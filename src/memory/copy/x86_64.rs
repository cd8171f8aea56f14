//! Blocks of elements transposed in SSE2 registers.
#![allow(unsafe_code)] // Vectors are loaded from raw addresses, as all elements are.

use std::arch::x86_64::{
    __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpackhi_epi16, _mm_unpackhi_epi32,
    _mm_unpackhi_epi64, _mm_unpacklo_epi8, _mm_unpacklo_epi16, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
};

macro_rules! block_transpose {
    ($name:ident, $side:literal, $low:ident, $high:ident) => {
        /// # Safety
        /// As for [`super::kernels::block_transpose`].
        #[inline]
        pub(super) unsafe fn $name(from: *const u8, step: isize, to: *mut u8, out: isize) {
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
block_transpose!(bytes, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
block_transpose!(words, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16);
block_transpose!(doubles, 4, _mm_unpacklo_epi32, _mm_unpackhi_epi32);
block_transpose!(quads, 2, _mm_unpacklo_epi64, _mm_unpackhi_epi64);
