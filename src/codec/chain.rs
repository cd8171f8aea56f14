//! A chain of codecs: how one chunk becomes stored bytes, and how those become the chunk again.

use std::sync::Arc;

use super::array_to_array::transpose::Transpose;
use super::array_to_bytes::sharding::Sharding;
use super::array_to_bytes::vlen::Vlen;
use super::cost::Cost;
use super::output::copy_exactly;
use super::step::{PythonCall, Step};
use crate::error::Result;
use crate::memory::{OutBytes, Scratch, Slot};

/// How an array becomes bytes.
#[derive(Debug)]
pub enum Serializer {
    /// The elements one after another in C order; the copy to or from the array adjusts the byte order.
    Bytes,
    /// Subchunks and their index.
    Sharding(Box<Sharding>),
    /// Elements of variable length, which decoded chunks hold as references.
    Vlen(Vlen),
}

/// The steps of one chunk, in encoding order.
#[derive(Debug)]
pub struct Chain {
    /// Transpositions, merged into one permutation.
    pub transpose: Transpose,
    /// The array-to-bytes step.
    pub serializer: Serializer,
    /// Array-to-array steps over flat elements, then bytes-to-bytes steps.
    pub steps: Vec<Arc<dyn Step>>,
}

impl Chain {
    /// The sharding codec, if it is the only codec: only then may a part of the chunk be read or written.
    pub(crate) fn as_shard(&self) -> Option<&Sharding> {
        match &self.serializer {
            Serializer::Sharding(sharding) if self.steps.is_empty() && self.transpose.is_identity() => Some(sharding),
            _ => None,
        }
    }

    /// Bytes of the shard index in chunks of `stored_shape`; 0 for chunks that are no shards.
    pub(crate) fn index_size(&self, stored_shape: &[usize]) -> usize {
        match &self.serializer {
            Serializer::Sharding(sharding) => {
                sharding.grid(stored_shape).map_or(0, |grid| sharding.index_size(grid.len()))
            }
            Serializer::Bytes | Serializer::Vlen(_) => 0,
        }
    }

    /// Whether decoded chunks hold references instead of elements.
    pub fn gives_references(&self) -> bool {
        match &self.serializer {
            Serializer::Bytes => false,
            Serializer::Sharding(sharding) => sharding.inner.gives_references(),
            Serializer::Vlen(_) => true,
        }
    }

    /// Whether stored bytes are the elements themselves, so that parts may be read at computed offsets.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.serializer, Serializer::Bytes) && self.steps.is_empty()
    }

    /// The steps that decoding must undo. Leading steps that decode to their own input (`bitround`) are left out, so
    /// that a compressor after them decodes straight into the output.
    pub(crate) fn decoding_steps(&self) -> &[Arc<dyn Step>] {
        let first = self.steps.iter().position(|step| !step.decodes_to_itself());
        &self.steps[first.unwrap_or(self.steps.len())..]
    }

    /// How steps implemented in Python are called, including those of subchunks; `None` if there are none.
    pub fn python_call(&self) -> Option<PythonCall> {
        let inner = match &self.serializer {
            Serializer::Bytes | Serializer::Vlen(_) => None,
            Serializer::Sharding(sharding) => sharding.inner.python_call(),
        };
        self.steps.iter().map(|step| step.python_call()).fold(inner, Option::max)
    }

    /// The cost of the slowest step, in each direction.
    pub(crate) fn cost_per_kib(&self) -> Cost {
        let inner = match &self.serializer {
            Serializer::Bytes | Serializer::Vlen(_) => Cost::ORDINARY,
            Serializer::Sharding(sharding) => sharding.inner.cost_per_kib(),
        };
        self.steps.iter().map(|step| step.cost_per_kib()).fold(inner, Cost::max)
    }

    /// Undoes all steps but the first, using two buffers in turn. Returns the input of that first step, and the step;
    /// `None` if there is nothing to undo.
    ///
    /// `bound` limits each intermediate form, in bytes.
    fn undo_outer<'a>(
        &self,
        encoded: &'a [u8],
        buffers: &'a mut [Scratch; 2],
        bound: usize,
        validate: bool,
    ) -> Result<(&'a [u8], Option<&dyn Step>)> {
        let Some((first, outer)) = self.decoding_steps().split_first() else {
            return Ok((encoded, None));
        };
        let [even, odd] = buffers;
        // Steps that strip a checksum return a part of their input, so the current form may still be the caller's
        // bytes.
        let mut current = Current::Borrowed(encoded);
        for step in outer.iter().rev() {
            current = match current {
                Current::Borrowed(input) => {
                    if let Some(view) = step.decode_view(input, validate) {
                        Current::Borrowed(view?)
                    } else {
                        even.clear();
                        step.decode_onto(input, even, bound)?;
                        Current::Even(0..even.len())
                    }
                }
                Current::Even(range) => {
                    if let Some(view) = step.decode_view(&even[range.clone()], validate) {
                        Current::Even(sub_range(even, view?))
                    } else {
                        odd.clear();
                        step.decode_onto(&even[range], odd, bound)?;
                        Current::Odd(0..odd.len())
                    }
                }
                Current::Odd(range) => {
                    if let Some(view) = step.decode_view(&odd[range.clone()], validate) {
                        Current::Odd(sub_range(odd, view?))
                    } else {
                        even.clear();
                        step.decode_onto(&odd[range], even, bound)?;
                        Current::Even(0..even.len())
                    }
                }
            };
        }
        let input = match current {
            Current::Borrowed(input) => input,
            Current::Even(range) => &even[range],
            Current::Odd(range) => &odd[range],
        };
        Ok((input, Some(first.as_ref())))
    }

    /// The longest that any intermediate form may be when the decoded form has `decoded` bytes. Steps of fixed size
    /// state their encoded size (elements may be wider); no compressor makes data much larger, and damaged data must
    /// not make us allocate.
    pub(super) fn bound(&self, decoded: usize) -> usize {
        let mut size = decoded;
        let mut largest = decoded;
        for step in &self.steps {
            largest = largest.max(step.longest_encoded(size));
            size = step.encoded_size(size).unwrap_or(size);
        }
        largest
    }

    /// Undoes all steps into `out`, whose length is the decoded length.
    ///
    /// # Errors
    /// `Value` when the bytes decode to another length; otherwise the error of the step that refuses them.
    pub(crate) fn decode_into(&self, encoded: &[u8], out: OutBytes<'_>, validate: bool) -> Result<()> {
        let mut buffers = [Scratch::take(Slot::Even), Scratch::take(Slot::Odd)];
        let (input, first) = self.undo_outer(encoded, &mut buffers, self.bound(out.len()), validate)?;
        let decoded = match first {
            None => input,
            Some(first) => match first.decode_view(input, validate) {
                Some(view) => view?,
                None => return first.decode_into(input, out),
            },
        };
        copy_exactly(decoded, out)
    }

    /// Undoes all steps where the decoded length is not known (elements of variable length, shards inside a
    /// compressor). Returns `encoded` itself if there is nothing to undo, otherwise bytes in `buffer`.
    ///
    /// # Errors
    /// `TooLong` when a step decodes to more than `limit` bytes; otherwise the error of the step that refuses its
    /// input.
    pub(crate) fn decode<'a>(
        &self,
        encoded: &'a [u8],
        buffer: &'a mut Vec<u8>,
        limit: usize,
        validate: bool,
    ) -> Result<&'a [u8]> {
        let mut buffers = [Scratch::take(Slot::Even), Scratch::take(Slot::Odd)];
        let (input, first) = self.undo_outer(encoded, &mut buffers, self.bound(limit), validate)?;
        let Some(first) = first else { return Ok(encoded) };
        buffer.clear();
        match first.decode_view(input, validate) {
            Some(view) => buffer.extend_from_slice(view?),
            None => first.decode_onto(input, buffer, limit)?,
        }
        Ok(buffer)
    }

    /// Applies all steps to the flat elements `decoded`, the last step onto the end of `out`.
    ///
    /// # Errors
    /// The error of the step that refuses its input.
    pub(crate) fn encode(&self, decoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((last, first)) = self.steps.split_last() else {
            out.extend_from_slice(decoded);
            return Ok(());
        };
        let (mut from, mut to) = (Scratch::take(Slot::Even), Scratch::take(Slot::Odd));
        let mut input = decoded;
        for step in first {
            to.clear();
            step.encode(input, &mut to)?;
            std::mem::swap(&mut from, &mut to);
            input = &from;
        }
        last.encode(input, out)
    }
}

/// Where the form of the chunk that was decoded so far lies.
enum Current<'a> {
    Borrowed(&'a [u8]),
    Even(std::ops::Range<usize>),
    Odd(std::ops::Range<usize>),
}

/// Where `part` lies in `whole`; `part` must be a slice of `whole`, as every decode view is.
fn sub_range(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}
