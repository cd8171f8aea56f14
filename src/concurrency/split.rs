//! How many chunks at once, and how many threads inside each: pure arithmetic, no threads.

/// Chunk (outer) and codec (inner) concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Chunks in flight.
    pub outer: usize,
    /// Threads inside one chunk.
    pub inner: usize,
}

/// `codec_pipeline.chunk_concurrent_minimum` where the configuration says nothing.
pub const CHUNK_CONCURRENT_MINIMUM: usize = 4;

/// The split of `threads` between `chunks` chunks and up to `parallel` ways of working inside each of them.
///
/// As few chunks as keep every thread busy (each one in flight costs its memory), but `minimum` at least, which never
/// exceeds the threads, and `maximum` at most, which always wins (`None`: as many as threads). The product is `threads`
/// where the bounds allow it, and otherwise the nearest: the pool itself never runs more than its size.
pub fn split(chunks: usize, parallel: usize, threads: usize, minimum: usize, maximum: Option<usize>) -> Split {
    let (threads, parallel) = (threads.max(1), parallel.max(1));
    let most = maximum.unwrap_or(threads).min(threads).min(chunks).max(1);
    let least = threads.div_ceil(parallel).max(minimum.min(threads)).min(most);
    let inner = (threads / least).clamp(1, parallel);
    // A remainder goes to more chunks first (4 × 1 of 6 threads becomes 6 × 1), then to the inside of each.
    let outer = (threads / inner).clamp(least, most);
    let nearest = (threads + outer / 2) / outer;
    Split { outer, inner: inner.max(nearest.min(parallel)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_split_table() {
        // chunks, parallel, threads, minimum, maximum → outer, inner
        let rows = [
            (100, 1, 8, 4, None, 8, 1),
            (100, 64, 8, 4, None, 4, 2),
            (100, 64, 16, 4, None, 4, 4),
            (100, 2, 16, 4, None, 8, 2),
            (100, 64, 2, 4, None, 2, 1),
            (100, 64, 1, 4, None, 1, 1),
            (1, 64, 8, 4, None, 1, 8),
            (1, 3, 8, 4, None, 1, 3),
            (2, 64, 8, 4, None, 2, 4),
            (3, 64, 8, 4, None, 3, 3),
            (5, 64, 8, 4, None, 4, 2),
            (5, 1, 8, 4, None, 5, 1),
            (7, 64, 8, 6, None, 7, 1),
            (100, 64, 6, 4, None, 6, 1),
            (100, 64, 8, 1, None, 1, 8),
            (100, 4, 8, 1, None, 2, 4),
            (100, 64, 8, 4, Some(1), 1, 8),
            (100, 1, 8, 4, Some(2), 2, 1),
            (100, 64, 8, 4, Some(2), 2, 4),
            (100, 64, 8, 4, Some(3), 3, 3),
            (100, 1, 8, 4, Some(100), 8, 1),
            (100, 64, 8, 100, None, 8, 1),
            (0, 0, 0, 0, Some(0), 1, 1),
        ];
        for (chunks, parallel, threads, minimum, maximum, outer, inner) in rows {
            let found = split(chunks, parallel, threads, minimum, maximum);
            let row = (chunks, parallel, threads, minimum, maximum);
            assert_eq!(found, Split { outer, inner }, "{row:?}");
        }
    }

    #[test]
    fn test_bounds_hold_for_every_small_input() {
        for chunks in 1..20 {
            for parallel in 1..10 {
                for threads in 1..20 {
                    for minimum in 1..6 {
                        for maximum in [None, Some(1), Some(2), Some(3), Some(50)] {
                            let Split { outer, inner } = split(chunks, parallel, threads, minimum, maximum);
                            let most = maximum.unwrap_or(threads).min(threads).min(chunks);
                            assert!((minimum.min(most)..=most).contains(&outer));
                            assert!((1..=parallel).contains(&inner));
                            // Never more than half as much again as there are threads.
                            assert!(2 * outer * inner <= 3 * threads.max(outer));
                        }
                    }
                }
            }
        }
    }
}
