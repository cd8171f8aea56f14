//! Writing a batch whose stored bytes the caller fetches, and whose new bytes the caller stores.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::pipeline::requests::{Part, Request};
use crate::pipeline::store_write::ReadyChunks;
use crate::pipeline::units::{FedUnits, HoldsBytes};
use crate::pipeline::write::{ShardWrite, Write};
use crate::store::ByteRange;

/// Subchunks of a shard that one unit encodes.
const SUBCHUNKS: usize = 16;

/// A batch, and its chunks on their way from "fetched" through "encoded" to "stored".
#[derive(Debug)]
pub struct FedWrite {
    /// The batch.
    pub write: Write,
    /// What is to be encoded.
    pub units: FedUnits<EncodeUnit>,
    /// What is to be stored.
    pub ready: ReadyChunks,
}

/// A chunk that is to be encoded, or subchunks of it, with its stored bytes where they are needed.
#[derive(Debug)]
pub enum EncodeUnit {
    /// A whole chunk.
    Chunk {
        /// Its number.
        chunk: usize,
        /// Its stored bytes.
        old: Option<Arc<Part>>,
    },
    /// Some of the touched subchunks of a shard.
    Subchunks {
        /// The shard.
        shard: Arc<ShardWrite>,
        /// Which of them.
        range: Range<usize>,
        /// Its stored bytes.
        old: Option<Arc<Part>>,
    },
}

impl HoldsBytes for EncodeUnit {
    fn bytes(&self) -> u64 {
        match self {
            Self::Chunk { old, .. } | Self::Subchunks { old, .. } => old.as_ref().map_or(0, |part| part.len() as u64),
        }
    }
}

impl FedWrite {
    /// `write`, of which nothing is encoded yet.
    pub fn new(write: Write) -> Self {
        Self { write, units: FedUnits::default(), ready: ReadyChunks::default() }
    }

    /// One request for each chunk, numbered as chunks are; those that are covered need no bytes.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn requests(&self) -> Result<Vec<Request>, Error> {
        (0..self.write.len())
            .map(|chunk| {
                let (needed, bytes) = (self.write.plan(chunk)?.needs_old, self.write.layout(chunk).len as u64);
                Ok(Request { id: chunk, chunk, range: ByteRange::Whole, bytes, needed })
            })
            .collect()
    }

    /// The units of `chunk` over its stored bytes `old`: one, or several of a shard (`by_subchunks`).
    ///
    /// # Errors
    /// As [`FedWrite::requests`].
    pub fn feed(&self, chunk: usize, old: Option<Part>, by_subchunks: bool) -> Result<Vec<EncodeUnit>, Error> {
        let old = old.map(Arc::new);
        if !by_subchunks || self.write.format().chain.as_shard().is_none() {
            return Ok(vec![EncodeUnit::Chunk { chunk, old }]);
        }
        let shard = Arc::new(self.write.shard(self.write.plan(chunk)?).expect("the chain is a sharding codec alone"));
        let unit = |start| EncodeUnit::Subchunks {
            shard: Arc::clone(&shard),
            range: start..shard.len().min(start + SUBCHUNKS),
            old: old.clone(),
        };
        Ok((0..shard.len()).step_by(SUBCHUNKS).map(unit).collect())
    }

    /// Encodes what `unit` holds; a chunk that is complete then is ready to be stored.
    ///
    /// # Errors
    /// The chunk's number, and its error with the chunk key.
    pub fn run(&self, unit: &EncodeUnit) -> Result<(), (usize, Error)> {
        let (chunk, outcome) = match unit {
            EncodeUnit::Chunk { chunk, old } => {
                let encode = || {
                    let plan = self.write.plan(*chunk).map_err(|error| self.write.explain(*chunk, error))?;
                    self.write.encode(&plan, old.as_deref().map(Part::bytes), |change| {
                        self.ready.push(*chunk, change);
                        Ok(())
                    })
                };
                (*chunk, encode())
            }
            EncodeUnit::Subchunks { shard, range, old } => {
                let put = |change: crate::pipeline::write::Change<'_>| {
                    self.ready.push(shard.chunk, change);
                    Ok(())
                };
                let old = old.as_deref().map(Part::bytes);
                (shard.chunk, self.write.encode_part(shard, range.clone(), old, put))
            }
        };
        outcome.map_err(|error| (chunk, error))
    }
}
