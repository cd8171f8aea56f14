//! One step of a codec chain, from bytes to bytes; array-to-array codecs take the bytes of flat elements in stored
//! order.

use std::fmt::Debug;
use std::ops::Range;

use super::cost::Cost;
use crate::error::{Error, Result};
use crate::memory::OutBytes;

/// One codec with its configuration. Library contexts belong to the thread, so a step is shared freely.
pub trait Step: Send + Sync + Debug {
    /// Appends the encoded form of `input` to `out`.
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Decodes `input` into `out`, which must be filled exactly.
    ///
    /// # Errors
    /// `Value` naming both lengths when `input` decodes to another length than `out` has; otherwise the class that
    /// numcodecs raises for damaged bytes.
    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()>;

    /// Appends the decoded form of `input`, whose length is not known beforehand, to `out`.
    ///
    /// # Errors
    /// `TooLong` when the decoded form has more than `limit` bytes; a step that decodes from front to back has then
    /// appended the first of them. Memory grows only as bytes arrive.
    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()>;

    /// For steps that only check and strip (checksums): the decoded form as a part of `input`. `None` for all others.
    fn decode_view<'a>(&self, input: &'a [u8], validate: bool) -> Option<Result<&'a [u8]>> {
        let _ = (input, validate);
        None
    }

    /// Whether every encoded form decodes to itself: the step changes only what is written.
    fn decodes_to_itself(&self) -> bool {
        false
    }

    /// Decodes only bytes `start..start + out.len()` of the decoded form, if that costs this codec less than decoding
    /// all of it. `decoded_len` is the length that the whole must have; it is checked before anything is written.
    /// `None` if the codec cannot do this, or if only decoding the whole tells what is wrong.
    fn decode_span(&self, input: &[u8], decoded_len: usize, start: usize, out: OutBytes<'_>) -> Option<Result<()>> {
        let _ = (input, decoded_len, start, out);
        None
    }

    /// The parts of the encoded form that [`Step::decode_span`] reads for bytes `span` of the decoded form, given the
    /// first bytes of the encoded form in `head`. `None` if `head` does not tell, or if all of it is needed.
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

    /// How many first bytes [`Step::span_parts`] should be given; `None` for codecs that cannot skip anything.
    fn span_head(&self, decoded_len: usize) -> Option<usize> {
        let _ = decoded_len;
        None
    }

    /// An upper bound of the encoded length of `decoded` bytes: longer intermediate forms are refused.
    fn longest_encoded(&self, decoded: usize) -> usize {
        // No compressor makes data much larger, and a damaged chunk must not make us allocate.
        decoded.saturating_mul(2).saturating_add(1 << 16)
    }

    /// How Python is called, for steps implemented in Python. `None` for native steps.
    fn python_call(&self) -> Option<PythonCall> {
        None
    }

    /// An estimate of the step's time on one thread. Slow steps never run on an event-loop thread.
    fn cost_per_kib(&self) -> Cost {
        Cost::ORDINARY
    }

    /// Encoded length of `decoded` bytes, for codecs whose encoded size is fixed (checksums). `None` for compressors.
    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        let _ = decoded;
        None
    }
}

/// How a step implemented in Python is called. It may block indefinitely, so it never runs on an event-loop thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PythonCall {
    /// From the thread that decodes or encodes.
    AnyThread,
    /// As a coroutine on the event loop of the call, which the decoding or encoding thread waits for.
    EventLoop,
}

/// The error for a chunk or subchunk that decodes to another length than its shape and data type require.
pub(crate) fn wrong_length(got: usize, expected: usize) -> Error {
    Error::value(format!("decoded to {got} bytes, expected {expected}"))
}
