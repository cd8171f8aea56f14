//! The `pcodec` codec, numbers to bytes, by pco, its reference library. <https://github.com/pcodec/pcodec>

use pco::data_types::{Number as PcoNumber, NumberType};
use pco::errors::PcoError;
use pco::standalone::{DecompressorItem, FileDecompressor, guarantee, simple_compress};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use crate::codec::array_to_array::{Number, Numeric, converter, with_number};
use crate::codec::output::{reserve, too_long};
use crate::codec::{Cost, Step, wrong_length};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// Numbers decoded at a time; pco requires a multiple of 256.
const BLOCK_NUMBERS: usize = 4096;

/// How numbers are encoded.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From 0 to 12; others are refused only when encoding.
    pub level: usize,
    /// Whether pco chooses a mode; otherwise it encodes the numbers unchanged ("classic").
    pub automatic_mode: bool,
    /// How differences are taken.
    pub delta: Delta,
    /// Numbers in a page.
    pub page: usize,
}

/// How differences are taken.
#[derive(Debug, Clone, Copy)]
pub enum Delta {
    /// As pco chooses.
    Auto,
    /// Not at all.
    NoOp,
    /// Of neighbours, this many times.
    Consecutive(usize),
    /// Of numbers further back.
    Lookback,
}

/// The `pcodec` codec for numbers of one type.
#[derive(Debug, Clone, Copy)]
pub struct Pcodec {
    number: Number,
    settings: Settings,
    view: bool,
}

fn refused(error: &PcoError) -> Error {
    Error::runtime(format!("pco error: {error}"))
}

impl Pcodec {
    /// The codec for elements of `number` in this machine's byte order. Stored numbers of another type are
    /// reinterpreted byte for byte if `view` (format 2), otherwise converted by value (format 3).
    pub fn new(number: Number, settings: Settings, view: bool) -> Self {
        Self { number, settings, view }
    }

    fn config(&self) -> ChunkConfig {
        let Settings { level, automatic_mode, delta, page } = self.settings;
        ChunkConfig::default()
            .with_compression_level(level)
            .with_mode_spec(if automatic_mode { ModeSpec::Auto } else { ModeSpec::Classic })
            .with_delta_spec(match delta {
                Delta::Auto => DeltaSpec::Auto,
                Delta::NoOp => DeltaSpec::NoOp,
                Delta::Consecutive(order) => DeltaSpec::TryConsecutive(order),
                Delta::Lookback => DeltaSpec::TryLookback,
            })
            .with_paging_spec(PagingSpec::EqualPagesUpTo(page))
    }

    fn encoded<T: Numeric + PcoNumber>(&self, input: &[u8]) -> Result<Vec<u8>> {
        // pco would divide by zero.
        if self.settings.page == 0 && !input.is_empty() {
            return Err(Error::runtime("pco error: the page size is 0 numbers, expected at least 1"));
        }
        let mut numbers: Vec<T> = Vec::new();
        numbers
            .try_reserve_exact(input.len() / T::SIZE)
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes of numbers", input.len())))?;
        numbers.extend(input.chunks_exact(T::SIZE).map(T::load));
        simple_compress(&numbers, &self.config()).map_err(|error| refused(&error))
    }

    /// Passes the elements of `input` to `put`, block by block, until `put` returns false.
    fn decode(&self, input: &[u8], put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let (file, rest) = FileDecompressor::new(input).map_err(|error| refused(&error))?;
        let stored = match file.peek_number_type_or_termination(rest).map_err(|error| refused(&error))? {
            // numcodecs returns None here, which is no array.
            None => return Err(Error::new(Kind::Type, "pcodec: there are no numbers")),
            Some(NumberType::I8) => Number::I8,
            Some(NumberType::I16) => Number::I16,
            Some(NumberType::I32) => Number::I32,
            Some(NumberType::I64) => Number::I64,
            Some(NumberType::U8) => Number::U8,
            Some(NumberType::U16) => Number::U16,
            Some(NumberType::U32) => Number::U32,
            Some(NumberType::U64) => Number::U64,
            Some(NumberType::F16) => Number::F16,
            Some(NumberType::F32) => Number::F32,
            Some(NumberType::F64) => Number::F64,
            Some(other) => return Err(Error::runtime(format!("pco error: unknown number type {other:?}"))),
        };
        if stored == self.number || self.view {
            return with_number!(stored, T => each::<T>(&file, rest, put); reals)
                .expect("invariant: all that pco knows");
        }
        let convert = converter(stored, self.number)
            .ok_or_else(|| Error::value(format!("pcodec: no conversion of {stored:?} to {:?}", self.number)))?;
        let mut converted = vec![0; BLOCK_NUMBERS * self.number.size()];
        let mut put = |bytes: &[u8]| {
            let converted = &mut converted[..bytes.len() / stored.size() * self.number.size()];
            convert(bytes, converted);
            put(converted)
        };
        with_number!(stored, T => each::<T>(&file, rest, &mut put); reals).expect("invariant: all that pco knows")
    }
}

fn each<T: Numeric + PcoNumber>(
    file: &FileDecompressor,
    mut input: &[u8],
    put: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<()> {
    let mut numbers = vec![T::default(); BLOCK_NUMBERS];
    let mut bytes = vec![0; BLOCK_NUMBERS * T::SIZE];
    while let DecompressorItem::Chunk(mut chunk) =
        file.chunk_decompressor::<T, _>(input).map_err(|error| refused(&error))?
    {
        loop {
            let progress = chunk.read(&mut numbers).map_err(|error| refused(&error))?;
            let here = &mut bytes[..progress.n_processed * T::SIZE];
            for (number, to) in numbers.iter().zip(here.chunks_exact_mut(T::SIZE)) {
                number.store(to);
            }
            if !put(here) {
                return Ok(());
            }
            if progress.finished {
                break;
            }
        }
        input = chunk.into_src();
    }
    Ok(())
}

impl Step for Pcodec {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let encoded = with_number!(self.number, T => self.encoded::<T>(input)?; reals)
            .ok_or_else(|| Error::new(Kind::Type, format!("pcodec has no encoding of {:?}", self.number)))?;
        reserve(out, encoded.len())?;
        out.extend_from_slice(&encoded);
        Ok(())
    }

    /// Small pages take much more room than their numbers.
    fn longest_encoded(&self, decoded: usize) -> usize {
        let pages = (decoded / self.number.size()).div_ceil(self.settings.page.max(1));
        // Per page, the longest description, that of the widest numbers; incompressible numbers follow it unchanged.
        let around = guarantee::chunk_size::<u64>(0).saturating_mul(pages).saturating_add(guarantee::header_size() + 1);
        // Twice, since another writer may have used other pages.
        decoded.saturating_add(around).saturating_mul(2).saturating_add(1 << 16)
    }

    fn decode_into(&self, input: &[u8], out: OutBytes<'_>) -> Result<()> {
        let expected = out.len();
        // Decoding continues past the expected length, since damage further on decides the error's class.
        let limit = expected.saturating_mul(2).saturating_add(1 << 20);
        let (mut rest, mut total) = (Some(out), 0_usize);
        self.decode(input, &mut |block| {
            total += block.len();
            if total <= expected
                && let Some(out) = rest.take()
            {
                let (mut here, behind) = out.split_at(block.len());
                here.copy_from(block);
                rest = Some(behind);
            }
            total <= limit
        })?;
        if total == expected { Ok(()) } else { Err(wrong_length(total, expected)) }
    }

    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
        let start = out.len();
        let mut outcome = Ok(());
        self.decode(input, &mut |block| {
            outcome = if out.len() - start + block.len() > limit {
                Err(too_long(limit))
            } else {
                reserve(out, block.len()).map(|()| out.extend_from_slice(block))
            };
            outcome.is_ok()
        })?;
        outcome
    }

    fn cost_per_kib(&self) -> Cost {
        Cost::PCODEC
    }
}
