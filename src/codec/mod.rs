//! Codec chains: one chunk's steps between its array and its stored bytes. No threads, no stores, no Python.
//!
//! A chain is array-to-array codecs, then one array-to-bytes codec, then bytes-to-bytes codecs (Zarr v3 core specification,
//! "Codecs"). Transpositions are a permutation of strides and cost no pass of their own; other array-to-array codecs work
//! on the flat elements in stored order, so that they are steps in front of the bytes-to-bytes codecs.

pub mod array_to_array;
pub mod array_to_bytes;
pub mod bytes_to_bytes;
pub mod parameters;
pub mod table;

use std::sync::Arc;

use crate::error::Result;
use crate::memory::{OutBytes, Scratch, Slot};
use array_to_array::transpose::Transpose;
use array_to_bytes::sharding::Sharding;
use array_to_bytes::vlen::Vlen;
use bytes_to_bytes::{Cost, PythonCall, Step, copy_exactly};

/// How an array becomes bytes.
#[derive(Debug)]
pub enum Serializer {
    /// The elements one after another in C order; byte order is the engine's affair.
    Bytes,
    /// Subchunks and their index.
    Sharding(Box<Sharding>),
    /// Elements of variable length, which images hold as references.
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
    /// The sharding codec, if it is alone: only then may a part of the chunk be read or written.
    pub fn as_shard(&self) -> Option<&Sharding> {
        match &self.serializer {
            Serializer::Sharding(sharding) if self.steps.is_empty() && self.transpose.is_identity() => Some(sharding),
            _ => None,
        }
    }

    /// Whether decoded chunks are images of references.
    pub fn gives_references(&self) -> bool {
        match &self.serializer {
            Serializer::Bytes => false,
            Serializer::Sharding(sharding) => sharding.inner.gives_references(),
            Serializer::Vlen(_) => true,
        }
    }

    /// Whether stored bytes are the elements themselves, so that parts may be read at computed places.
    pub fn is_raw(&self) -> bool {
        matches!(self.serializer, Serializer::Bytes) && self.steps.is_empty()
    }

    /// The steps that decoding has to undo: without the first ones that decode to what they are given (`bitround`), so that
    /// a compressor behind them decodes straight into place.
    pub fn decoding_steps(&self) -> &[Arc<dyn Step>] {
        let first = self.steps.iter().position(|step| !step.decodes_to_itself());
        &self.steps[first.unwrap_or(self.steps.len())..]
    }

    /// What python steps there are, those of subchunks included.
    pub fn python_call(&self) -> Option<PythonCall> {
        let inner = match &self.serializer {
            Serializer::Bytes | Serializer::Vlen(_) => None,
            Serializer::Sharding(sharding) => sharding.inner.python_call(),
        };
        self.steps.iter().map(|step| step.python_call()).fold(inner, Option::max)
    }

    /// How long the slowest step takes; images and steps that are not slow are a part of it.
    pub fn cost_per_kib(&self) -> Cost {
        let inner = match &self.serializer {
            Serializer::Bytes | Serializer::Vlen(_) => Cost::ORDINARY,
            Serializer::Sharding(sharding) => sharding.inner.cost_per_kib(),
        };
        self.steps.iter().map(|step| step.cost_per_kib()).fold(inner, |slowest, step| Cost {
            encode: slowest.encode.max(step.encode),
            decode: slowest.decode.max(step.decode),
        })
    }

    /// Encoded length for `decoded` bytes when every step has a fixed size.
    pub fn encoded_size(&self, decoded: usize) -> Option<usize> {
        match self.serializer {
            Serializer::Bytes => self.steps.iter().try_fold(decoded, |size, step| step.encoded_size(size)),
            Serializer::Sharding(_) | Serializer::Vlen(_) => None,
        }
    }

    /// Undoes all bytes-to-bytes steps but the last into one of two buffers; what remains is the input of the last step.
    ///
    /// `bound` limits each intermediate form in bytes.
    fn undo_outer<'a>(
        &self,
        encoded: &'a [u8],
        buffers: &'a mut [Scratch; 2],
        bound: usize,
        validate: bool,
    ) -> Result<(&'a [u8], Option<&dyn Step>)> {
        let Some((last, outer)) = self.decoding_steps().split_first() else {
            return Ok((encoded, None));
        };
        let [even, odd] = buffers;
        // Steps that strip a checksum give a part of their input, so the input may still be the caller's.
        let mut current = Current::Given(encoded);
        for step in outer.iter().rev() {
            current = match current {
                Current::Given(input) => {
                    if let Some(view) = step.decode_view(input, validate) {
                        Current::Given(view?)
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
            Current::Given(input) => input,
            Current::Even(range) => &even[range],
            Current::Odd(range) => &odd[range],
        };
        Ok((input, Some(last.as_ref())))
    }

    /// What an intermediate form may measure when the decoded form measures `decoded` bytes: steps of fixed size say what
    /// they make of it (wider elements), no well-formed compressor makes data much larger, and a damaged one may not make
    /// us allocate.
    fn bound(&self, decoded: usize) -> usize {
        let mut size = decoded;
        let mut largest = decoded;
        for step in &self.steps {
            largest = largest.max(step.longest_encoded(size));
            size = step.encoded_size(size).unwrap_or(size);
        }
        largest
    }

    /// Undoes the bytes-to-bytes steps into `place`, whose length is the decoded length.
    ///
    /// # Errors
    /// `Value` when the bytes decode to another length; else what the step that refuses them says.
    pub fn decode_into(&self, encoded: &[u8], place: OutBytes<'_>, validate: bool) -> Result<()> {
        let mut buffers = [Scratch::take(Slot::Even), Scratch::take(Slot::Odd)];
        let (input, last) = self.undo_outer(encoded, &mut buffers, self.bound(place.len()), validate)?;
        let input = match last {
            None => input,
            Some(last) => match last.decode_view(input, validate) {
                Some(view) => view?,
                None => return last.decode_into(input, place),
            },
        };
        copy_exactly(input, place)
    }

    /// Undoes the bytes-to-bytes steps where the decoded length is not known (text, shards under compressors): `encoded` itself
    /// where there is nothing to undo, else bytes in `buffer`. `limit` bounds the decoded length.
    ///
    /// # Errors
    /// As [`Chain::decode_into`].
    pub fn decode<'a>(
        &self,
        encoded: &'a [u8],
        buffer: &'a mut Vec<u8>,
        limit: usize,
        validate: bool,
    ) -> Result<&'a [u8]> {
        let mut buffers = [Scratch::take(Slot::Even), Scratch::take(Slot::Odd)];
        let (input, last) = self.undo_outer(encoded, &mut buffers, self.bound(limit), validate)?;
        let Some(last) = last else { return Ok(encoded) };
        buffer.clear();
        match last.decode_view(input, validate) {
            Some(view) => buffer.extend_from_slice(view?),
            None => last.decode_onto(input, buffer, limit)?,
        }
        Ok(buffer)
    }

    /// Applies the bytes-to-bytes steps to `image`, the last one onto the end of `out`.
    ///
    /// # Errors
    /// What a compressor raises.
    pub fn encode(&self, image: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((last, first)) = self.steps.split_last() else {
            out.extend_from_slice(image);
            return Ok(());
        };
        let (mut from, mut to) = (Scratch::take(Slot::Even), Scratch::take(Slot::Odd));
        let mut input = image;
        for step in first {
            to.clear();
            step.encode(input, &mut to)?;
            std::mem::swap(&mut from, &mut to);
            input = &from;
        }
        last.encode(input, out)
    }
}

enum Current<'a> {
    Given(&'a [u8]),
    Even(std::ops::Range<usize>),
    Odd(std::ops::Range<usize>),
}

/// Where `part` lies in `whole`; `part` must be a slice of it, as every decode view is.
fn sub_range(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}
