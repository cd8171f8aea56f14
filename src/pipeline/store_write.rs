//! Writing a batch to a native store: threads fetch, merge, encode and set or erase.

use std::ops::Range;
use std::sync::{Mutex, OnceLock};

use crate::concurrency::locked;
use crate::error::{Error, Result};
use crate::memory::{Scratch, Slot};
use crate::pipeline::units::{SubchunkUnits, Units, schedule_subchunks};
use crate::pipeline::write::{Change, ShardWrite, Write};
use crate::store::{Fetch, Store};

/// A batch that is written to a store, chunk by chunk or, where few shards hold many subchunks, by subchunks.
#[derive(Debug)]
pub struct StoreWrite {
    /// The batch.
    pub write: Write,
    store: Store,
    shards: Option<SubchunkUnits<OpenShard>>,
    ready: ReadyChunks,
}

/// Encoded chunks that the caller stores, for stores that Rust cannot write. `None`: the key is erased.
#[derive(Debug, Default)]
pub struct ReadyChunks(Mutex<Vec<(usize, Option<Vec<u8>>)>>);

impl ReadyChunks {
    /// Adds what becomes of `chunk`.
    pub fn push(&self, chunk: usize, change: Change<'_>) {
        let bytes = match change {
            Change::Set(parts) => Some(parts.concat()),
            Change::Erase => None,
        };
        locked(&self.0).push((chunk, bytes));
    }

    /// What is ready by now, once.
    pub fn take(&self) -> Vec<(usize, Option<Vec<u8>>)> {
        std::mem::take(&mut *locked(&self.0))
    }
}

/// A shard that is written by parts, and its stored bytes.
#[derive(Debug)]
struct OpenShard {
    shard: ShardWrite,
    old: OnceLock<OldBytes>,
}

/// The bytes of a shard before the write.
#[derive(Debug)]
enum OldBytes {
    /// The shard is missing, or nothing of it remains.
    None,
    Stored(Vec<u8>),
    /// Fetching failed; the thread that tried has returned the error.
    Failed,
}

impl StoreWrite {
    /// `write`, to `store`, by chunks.
    pub fn new(write: Write, store: Store) -> Self {
        Self { write, store, shards: None, ready: ReadyChunks::default() }
    }

    /// Makes subchunks the units, if the chunks are shards so few that `threads` would not be busy with whole ones.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn schedule_for(&mut self, threads: usize) -> Result<()> {
        if self.write.format().chain.as_shard().is_none() || !schedule_subchunks(self.write.len(), threads) {
            return Ok(());
        }
        let shard = |chunk| {
            let shard = self.write.shard(self.write.plan(chunk)?).expect("the chain is a sharding codec alone");
            Ok(OpenShard { shard, old: OnceLock::new() })
        };
        let shards = (0..self.write.len()).map(shard).collect::<Result<_>>()?;
        self.shards = Some(SubchunkUnits::new(shards, |open| open.shard.len()));
        Ok(())
    }

    /// What the caller has to store, for a memory store: chunk number and new bytes, in the order of the batch.
    pub fn take_ready(&self) -> Vec<(usize, Option<Vec<u8>>)> {
        let mut ready = self.ready.take();
        ready.sort_unstable_by_key(|(chunk, _)| *chunk);
        ready
    }

    /// About how long the work takes on one thread, in microseconds.
    pub fn estimate(&self) -> f64 {
        let per_object = if matches!(self.store, Store::Local(_)) { 60.0 } else { 1.0 };
        (0..self.write.len()).map(|chunk| per_object + self.write.estimate(chunk)).sum()
    }

    fn chunk(&self, chunk: usize) -> Result<()> {
        let plan = self.write.plan(chunk).map_err(|error| self.write.explain(chunk, error))?;
        let mut buffer = Scratch::take(Slot::Stored);
        let old = if plan.needs_old { self.fetch(chunk, &mut buffer)? } else { None };
        self.write.encode(&plan, old, |change| self.put(chunk, change))
    }

    fn subchunks(&self, open: &OpenShard, range: Range<usize>) -> Result<()> {
        let chunk = open.shard.chunk;
        let mut failure = None;
        let old = open.old.get_or_init(|| {
            if !open.shard.needs_old {
                return OldBytes::None;
            }
            let mut buffer = Vec::new();
            match self.fetch(chunk, &mut buffer) {
                Ok(found) => found.map_or(OldBytes::None, |bytes| OldBytes::Stored(bytes.to_vec())),
                Err(error) => {
                    failure = Some(error);
                    OldBytes::Failed
                }
            }
        });
        let old = match (old, failure) {
            (_, Some(error)) => return Err(error),
            (OldBytes::Failed, None) => return Ok(()),
            (OldBytes::None, None) => None,
            (OldBytes::Stored(bytes), None) => Some(bytes.as_slice()),
        };
        self.write.encode_part(&open.shard, range, old, |change| self.put(chunk, change))
    }

    fn fetch<'a>(&'a self, chunk: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>> {
        let found = self.store.get(self.write.batch().key(chunk), self.write.size(chunk), buffer);
        found.map_err(|error| self.write.explain(chunk, error))
    }

    fn put(&self, chunk: usize, change: Change<'_>) -> Result<()> {
        let key = self.write.batch().key(chunk);
        match (&self.store, change) {
            (Store::Snapshot(_), change) => {
                self.ready.push(chunk, change);
                Ok(())
            }
            (store, Change::Set(parts)) => store.set(key, parts),
            (store, Change::Erase) => store.erase(key),
        }
    }
}

impl Units for StoreWrite {
    fn len(&self) -> usize {
        self.shards.as_ref().map_or_else(|| self.write.len(), SubchunkUnits::count)
    }

    fn run(&self, units: Range<usize>) -> std::result::Result<(), (usize, Error)> {
        match &self.shards {
            Some(shards) => shards.run(units, |open| open.shard.len(), |open, range| self.subchunks(open, range)),
            None => units.into_iter().try_for_each(|chunk| self.chunk(chunk).map_err(|error| (chunk, error))),
        }
    }
}
