//! A codec over the flat elements of a chunk, as a step of a chain. Each of its stages turns one block of elements into
//! another; blocks fit the processor's first-level cache. The stages themselves are in the codecs' files.

use std::fmt;

use super::number::{Number, Side};
use super::{Numeric, converter};
use crate::codec::output::{reserve, too_long};
use crate::codec::{Step, wrong_length};
use crate::error::{Error, Result};
use crate::memory::OutBytes;

/// Elements in a block.
pub(super) const BLOCK_ELEMENTS: usize = 512;
/// Bytes of the largest element.
const WIDEST: usize = 16;
/// An upper bound of the number of stages that any codec has.
const STAGES: usize = 8;

/// The state that a stage keeps from one block to the next: one element.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Carry {
    /// The element; `None` before the first block.
    pub last: Option<[u8; WIDEST]>,
}

type Run = Box<dyn Fn(&[u8], &mut [u8], &mut Carry) -> Result<()> + Send + Sync>;

/// One pass over a block.
pub(super) struct Stage {
    /// Bytes of an element after the stage.
    after: usize,
    run: Run,
}

impl Stage {
    /// The stage `run`, which turns each element into one of `after` bytes.
    pub(super) fn new(
        after: usize,
        run: impl Fn(&[u8], &mut [u8], &mut Carry) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { after, run: Box::new(run) }
    }

    /// The stage that applies `map` to each element.
    pub(super) fn map<From: Numeric, To: Numeric>(map: impl Fn(From) -> To + Send + Sync + 'static) -> Self {
        Self::new(To::SIZE, move |input, out, _| {
            for (from, to) in input.chunks_exact(From::SIZE).zip(out.chunks_exact_mut(To::SIZE)) {
                map(From::load(from)).store(to);
            }
            Ok(())
        })
    }

    /// The stage that applies `map` to each element; it fails with `error` after a block in which `map` refused an
    /// element.
    pub(super) fn try_map<T: Numeric>(
        map: impl Fn(T) -> Option<T> + Send + Sync + 'static,
        error: impl Fn() -> Error + Send + Sync + 'static,
    ) -> Self {
        Self::new(T::SIZE, move |input, out, _| {
            let mut good = true;
            for (from, to) in input.chunks_exact(T::SIZE).zip(out.chunks_exact_mut(T::SIZE)) {
                let mapped = map(T::load(from));
                good &= mapped.is_some();
                mapped.unwrap_or_default().store(to);
            }
            if good { Ok(()) } else { Err(error()) }
        })
    }
}

/// The stage that reverses the bytes of each unit of `side`, if they are not in this machine's order.
pub(super) fn swap(side: Side) -> Option<Stage> {
    side.swapped.then(|| match side.number.unit() {
        2 => Stage::new(side.number.size(), |input, out, _| reverse::<2>(input, out)),
        4 => Stage::new(side.number.size(), |input, out, _| reverse::<4>(input, out)),
        _ => Stage::new(side.number.size(), |input, out, _| reverse::<8>(input, out)),
    })
}

#[allow(clippy::unnecessary_wraps)] // The signature of stages, which may fail.
fn reverse<const WIDTH: usize>(input: &[u8], out: &mut [u8]) -> Result<()> {
    for (from, to) in input.chunks_exact(WIDTH).zip(out.chunks_exact_mut(WIDTH)) {
        let mut unit: [u8; WIDTH] = from.try_into().expect("invariant: a chunk of a unit");
        unit.reverse();
        to.copy_from_slice(&unit);
    }
    Ok(())
}

/// The stage that converts `from` to `to`; `None` if they are the same.
///
/// # Errors
/// `Value` if this conversion is not implemented.
pub(super) fn convert(from: Number, to: Number) -> Result<Option<Stage>> {
    if from == to {
        return Ok(None);
    }
    let run = converter(from, to).ok_or_else(|| Error::value(format!("no conversion of {from:?} to {to:?}")))?;
    Ok(Some(Stage::new(to.size(), move |input, out, _| {
        run(input, out);
        Ok(())
    })))
}

/// A codec that turns each element into one element.
pub struct Flat {
    name: &'static str,
    decoded: usize,
    encoded: usize,
    encode: Vec<Stage>,
    decode: Vec<Stage>,
}

impl fmt::Debug for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decoded, encoded) = (self.decoded, self.encoded);
        write!(f, "Flat {{ {}, {decoded} bytes to {encoded} }}", self.name)
    }
}

impl Flat {
    /// The codec `name` between `decoded` and `encoded` elements. Stages that are `None` are left out; stages that
    /// adjust the byte order are added.
    pub(super) fn new(
        name: &'static str,
        (decoded, encoded): (Side, Side),
        encode: impl IntoIterator<Item = Option<Stage>>,
        decode: impl IntoIterator<Item = Option<Stage>>,
    ) -> Self {
        let ordered = |from: Side, stages: Vec<Stage>, to: Side| -> Vec<Stage> {
            if stages.is_empty() && from == to {
                return stages;
            }
            let all: Vec<Stage> = swap(from).into_iter().chain(stages).chain(swap(to)).collect();
            assert!(all.len() <= STAGES, "invariant: no codec has more stages");
            all
        };
        Self {
            name,
            decoded: decoded.number.size(),
            encoded: encoded.number.size(),
            encode: ordered(decoded, encode.into_iter().flatten().collect(), encoded),
            decode: ordered(encoded, decode.into_iter().flatten().collect(), decoded),
        }
    }

    /// Bytes of the form with elements of `to` bytes, for `len` bytes of the form with elements of `from` bytes.
    fn length(&self, len: usize, from: usize, to: usize) -> Result<usize> {
        if !len.is_multiple_of(from) {
            return Err(Error::value(format!(
                "{}: {len} bytes are not a whole number of elements of {from} bytes",
                self.name
            )));
        }
        (len / from).checked_mul(to).ok_or_else(|| too_long(usize::MAX))
    }
}

/// Runs `stages` over `input` block by block and passes each result to `put`.
fn run(stages: &[Stage], item: usize, input: &[u8], mut put: impl FnMut(&[u8])) -> Result<()> {
    if stages.is_empty() {
        put(input);
        return Ok(());
    }
    let mut carries = [Carry::default(); STAGES];
    let mut buffers = [[0; BLOCK_ELEMENTS * WIDEST]; 2];
    let [from, to] = &mut buffers;
    let (mut from, mut to) = (from, to);
    for block in input.chunks(BLOCK_ELEMENTS * item) {
        let count = block.len() / item;
        let mut current = block;
        for (stage, carry) in stages.iter().zip(&mut carries) {
            let len = count * stage.after;
            (stage.run)(current, &mut to[..len], carry)?;
            std::mem::swap(&mut from, &mut to);
            current = &from[..len];
        }
        put(current);
    }
    Ok(())
}

impl Step for Flat {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        reserve(out, self.length(input.len(), self.decoded, self.encoded)?)?;
        run(&self.encode, self.decoded, input, |block| out.extend_from_slice(block))
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        let len = self.length(input.len(), self.encoded, self.decoded)?;
        if len != out.len() {
            return Err(wrong_length(len, out.len()));
        }
        let mut rest = Some(out);
        run(&self.decode, self.encoded, input, |block| {
            let out = rest.take().expect("invariant: put back below");
            let (mut here, behind) = out.split_at(block.len());
            here.copy_from(block);
            rest = Some(behind);
        })
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let len = self.length(input.len(), self.encoded, self.decoded)?;
        if len > limit {
            return Err(too_long(limit));
        }
        reserve(out, len)?;
        run(&self.decode, self.encoded, input, |block| out.extend_from_slice(block))
    }

    fn decode_view<'a>(&self, input: &'a [u8], _validate: bool) -> Option<Result<&'a [u8]>> {
        self.decode.is_empty().then(|| self.length(input.len(), self.encoded, self.decoded).map(|_| input))
    }

    fn decodes_to_itself(&self) -> bool {
        self.decode.is_empty()
    }

    fn encoded_size(&self, decoded: usize) -> Option<usize> {
        self.length(decoded, self.decoded, self.encoded).ok()
    }
}
