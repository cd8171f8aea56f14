//! One step of a codec chain: bytes to bytes, or flat elements to flat elements in stored order.

use std::fmt::Debug;
use std::ops::Range;

use super::cost::Cost;
use crate::error::{Error, Result};
use crate::memory::OutBytes;

/// One compressor or checksum with its configuration. Contexts live in the thread, so a step is shared freely.
pub trait Step: Send + Sync + Debug {
    /// The encoded form of `input`, appended to `out`.
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Decodes `input` into `place`, which must be filled exactly.
    ///
    /// # Errors
    /// `Value` naming both lengths when `input` decodes to another length than the place has; else the class
    /// that numcodecs raises for damaged bytes.
    fn decode_into(&self, input: &[u8], place: OutBytes<'_>) -> Result<()>;

    /// Decodes `input` onto the end of `out`, whose length is not known beforehand.
    ///
    /// # Errors
    /// `TooLong` when more than `limit` bytes would be produced, of which the first are in `out` if the step works its way
    /// from the front; memory grows only as bytes arrive.
    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()>;

    /// For steps that only check and strip (checksums): the decoded bytes as a part of `input`. `None` for all others.
    fn decode_view<'a>(&self, input: &'a [u8], validate: bool) -> Option<Result<&'a [u8]>> {
        let _ = (input, validate);
        None
    }

    /// Whether what is encoded decodes to itself: the step only changes what is written.
    fn decodes_to_itself(&self) -> bool {
        false
    }

    /// Decodes only bytes `start..start + place.len()` of the decoded form, if this codec can at less cost than all of it.
    /// `decoded_len` is the length that the whole must have, checked before anything is written.
    /// `None` if it cannot, or where only the whole tells what is wrong.
    fn decode_span(&self, input: &[u8], decoded_len: usize, start: usize, place: OutBytes<'_>) -> Option<Result<()>> {
        let _ = (input, decoded_len, start, place);
        None
    }

    /// Which parts of the encoded form [`Step::decode_span`] looks at for bytes `span` of the decoded form, given
    /// the first bytes of it in `head`. `None` if the head does not tell, or all of it is needed.
    fn span_parts(
        &self,
        head: &[u8],
        encoded_len: usize,
        decoded_len: usize,
        span: Range<usize>,
    ) -> Option<Vec<Range<usize>>> {
        let _ = (head, encoded_len, decoded_len, span);
        None
    }

    /// How many first bytes [`Step::span_parts`] should see; `None` for codecs that cannot skip anything.
    fn span_head(&self, decoded_len: usize) -> Option<usize> {
        let _ = decoded_len;
        None
    }

    /// The most bytes that the encoded form of `decoded` bytes is believed to have.
    fn longest_encoded(&self, decoded: usize) -> usize {
        // No well-formed compressor makes data much larger, and a damaged chunk may not make us allocate.
        decoded.saturating_mul(2).saturating_add(1 << 16)
    }

    /// For steps that are not ours: what they may need. `None` for native ones.
    fn python_call(&self) -> Option<PythonCall> {
        None
    }

    /// About how long it takes on one thread. Where it takes long, an event loop's own thread is not what does it.
    fn cost_per_kib(&self) -> Cost {
        Cost::ORDINARY
    }

    /// Encoded length for `decoded` bytes, for codecs whose encoded size is fixed (checksums). `None` for compressors.
    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        let _ = decoded;
        None
    }
}

/// Code of somebody else as a step: it may take any time, so it never runs on the thread of an event loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PythonCall {
    /// It is called.
    AnyThread,
    /// It also waits for the event loop of the call.
    EventLoop,
}

/// The error of a chunk or subchunk that decodes to another length than its shape and data type need.
pub fn wrong_length(got: usize, expected: usize) -> Error {
    Error::value(format!("decoded to {got} bytes, expected {expected}"))
}
