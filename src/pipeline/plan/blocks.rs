//! Parts of a chunk whose only encoding step keeps blocks apart (blosc): the header, then the blocks that are selected.

use std::ops::Range;

use crate::codec::Chain;
use crate::codec::bytes_to_bytes::Step;
use crate::pipeline::Projections;
use crate::pipeline::layout::Layout;
use crate::selection::count;

/// Length in bytes from which a chunk is worth being read in parts, each of which is a system call.
const LEAST: usize = 1 << 17;

/// What one projection needs of an encoded chunk.
#[derive(Debug)]
pub struct BlockPlan<'a> {
    step: &'a dyn Step,
    decoded_len: usize,
    stored_len: usize,
    /// Bytes of the header, which are needed first.
    pub head: usize,
    wanted: Range<usize>,
}

impl<'a> BlockPlan<'a> {
    /// Whether reading by blocks may cost less than reading all.
    pub fn pays(chain: &Chain, layout: &Layout, projections: Projections<'_>, item_size: usize) -> bool {
        let ([step], [axes]) = (chain.decoding_steps(), projections.axes) else { return false };
        layout.len >= LEAST
            && step.span_head(layout.len).is_some()
            && count(axes).saturating_mul(2 * item_size) < layout.len
    }

    /// The plan for bytes `wanted` of the decoded form of a chunk that is stored in `stored_len` bytes; `None` where all has
    /// to be read.
    pub fn new(chain: &'a Chain, layout: &Layout, stored_len: u64, wanted: Range<usize>) -> Option<Self> {
        let [step] = chain.decoding_steps() else { return None };
        let stored_len = usize::try_from(stored_len).ok().filter(|len| *len <= 2 * layout.len)?;
        let head = step.span_head(layout.len)?.min(stored_len);
        Some(Self { step: step.as_ref(), decoded_len: layout.len, stored_len, head, wanted })
    }

    /// Length of the stored chunk in bytes.
    pub fn stored_len(&self) -> usize {
        self.stored_len
    }

    /// The parts that follow once the header is there; `None` where all has to be read.
    pub fn parts(&self, head: &[u8]) -> Option<Vec<Range<usize>>> {
        let parts = self.step.span_parts(head, self.stored_len, self.decoded_len, self.wanted.clone())?;
        let len: usize = parts.iter().map(ExactSizeIterator::len).sum();
        (len <= self.stored_len / 2).then_some(parts)
    }
}
