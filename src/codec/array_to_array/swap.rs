//! The byte order of the `bytes` codec, where it differs from that of the preceding codec's output.

use super::flat::Flat;
use super::number::Side;

/// The step between `side` and the same elements in the other byte order.
pub fn swap(side: Side) -> Flat {
    Flat::new("bytes", (side, Side { swapped: !side.swapped, ..side }), [], [])
}
