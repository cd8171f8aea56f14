//! Ranges of one object that lie near together become one request.

use std::ops::Range;

use crate::codec::array_to_bytes::sharding::Extent;

/// A request's range of bytes, and the ranges that it serves with what they are for.
type Merged<T> = (Range<u64>, Vec<(Extent, T)>);

/// When two ranges of an object are one request (zarr's `array.sharding_coalesce_max_gap_bytes` and
/// `array.sharding_coalesce_max_bytes`).
#[derive(Debug, Clone, Copy)]
pub struct Coalesce {
    /// Bytes between them, at most.
    pub max_gap: u64,
    /// Bytes from the first to the last, at most.
    pub max_bytes: u64,
}

impl Coalesce {
    /// Brings what is `wanted` together: for each request its range of bytes, and what it is for.
    pub fn requests<T>(&self, mut wanted: Vec<(Extent, T)>) -> Vec<Merged<T>> {
        wanted.sort_by_key(|(extent, _)| (extent.offset, extent.len));
        let mut requests: Vec<Merged<T>> = Vec::new();
        for (extent, target) in wanted {
            let end = extent.offset + extent.len;
            match requests.last_mut() {
                Some((span, targets))
                    if extent.offset.saturating_sub(span.end) <= self.max_gap
                        && span.end.max(end) - span.start <= self.max_bytes =>
                {
                    span.end = span.end.max(end);
                    targets.push((extent, target));
                }
                _ => requests.push((extent.offset..end, vec![(extent, target)])),
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(coalesce: Coalesce, extents: &[(u64, u64)]) -> Vec<Range<u64>> {
        let wanted = extents.iter().map(|&(offset, len)| (Extent { offset, len }, ())).collect();
        coalesce.requests(wanted).into_iter().map(|(span, _)| span).collect()
    }

    #[test]
    fn ranges_within_the_gap_are_one_request_and_others_are_not() {
        let coalesce = Coalesce { max_gap: 10, max_bytes: 1000 };
        assert_eq!(spans(coalesce, &[(110, 5), (0, 100), (126, 1)]), [0..115, 126..127]);
    }

    #[test]
    fn a_request_is_no_longer_than_the_limit_unless_one_range_is() {
        let coalesce = Coalesce { max_gap: 1000, max_bytes: 50 };
        assert_eq!(spans(coalesce, &[(0, 30), (30, 30), (60, 80)]), [0..30, 30..60, 60..140]);
    }

    #[test]
    fn ranges_that_overlap_are_read_once() {
        let coalesce = Coalesce { max_gap: 0, max_bytes: u64::MAX };
        assert_eq!(spans(coalesce, &[(0, 30), (10, 5), (20, 30), (60, 1)]), [0..50, 60..61]);
    }
}
