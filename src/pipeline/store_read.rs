//! Reading a batch from a native store: threads fetch the bytes where they need them.

use std::ops::Range;
use std::sync::OnceLock;

use crate::codec::array_to_bytes::sharding::Index;
use crate::error::{Error, Result};
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::read::Read;
use crate::pipeline::shard::{self, Shard};
use crate::pipeline::units::{SubchunkUnits, Units, schedule_subchunks};
use crate::store::{Fetch, Object, Store, Window};

/// A batch that is read from a store, chunk by chunk or, where few shards hold many subchunks, by subchunks.
#[derive(Debug)]
pub struct StoreRead {
    /// The batch.
    pub read: Read,
    store: Store,
    shards: Option<SubchunkUnits<ShardRead>>,
}

/// One shard of a batch, read subchunk by subchunk.
#[derive(Debug)]
struct ShardRead {
    chunk: usize,
    plan: ShardPlan,
    /// `None`: the shard is missing, and filled; or opening it failed, and the thread that tried has returned the error.
    opened: OnceLock<Option<OpenShard>>,
}

/// A shard's object (`None`: bytes in memory, which borrow from the store and are looked up again by each unit), and its
/// index.
type OpenShard = (Option<Object<'static>>, Index);

impl StoreRead {
    /// `read`, from `store`, by chunks.
    pub fn new(read: Read, store: Store) -> Self {
        Self { read, store, shards: None }
    }

    /// Makes subchunks the units, if the chunks are shards so few that `threads` would not be busy with whole ones.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn schedule_for(&mut self, threads: usize) -> Result<()> {
        if self.read.format().chain.as_shard().is_none() || !schedule_subchunks(self.read.len(), threads) {
            return Ok(());
        }
        let shard = |chunk| {
            let plan = self.read.shard_plan(chunk)?.expect("the chain is a sharding codec alone");
            Ok(ShardRead { chunk, plan, opened: OnceLock::new() })
        };
        let shards = (0..self.read.len()).map(shard).collect::<Result<_>>()?;
        self.shards = Some(SubchunkUnits::new(shards, |shard| shard.plan.len()));
        Ok(())
    }

    /// About how long the work takes on one thread, in microseconds.
    pub fn estimate(&self) -> f64 {
        let per_object = match self.store {
            Store::Local(_) => 6.0,
            Store::Zip(_) => 2.0,
            Store::Snapshot(_) => 0.5,
        };
        (0..self.read.len()).map(|chunk| per_object + self.read.estimate(chunk)).sum()
    }

    /// Reads the touched subchunks `range` of a shard; the thread that comes first reads its index.
    fn subchunks(&self, shard: &ShardRead, range: Range<usize>) -> Result<()> {
        let mut failure = None;
        let opened = shard.opened.get_or_init(|| {
            self.open(shard).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let Some((object, index)) = opened else { return Ok(()) };
        let object = match object {
            Some(object) => object.clone(),
            None => self.fetch(shard.chunk)?.expect("a snapshot holds its objects for the whole call"),
        };
        let sharding = self.read.format().chain.as_shard().expect("the chain is a sharding codec alone");
        let shard = Shard { window: Window::whole(&object)?, sharding, plan: &shard.plan, index };
        shard::read_subchunks(&self.read.reader(), shard, range)
    }

    fn fetch(&self, chunk: usize) -> Result<Option<Object<'_>>> {
        self.store.open(self.read.batch().key(chunk), self.read.size(chunk))
    }

    fn open(&self, shard: &ShardRead) -> Result<Option<OpenShard>> {
        let Some(object) = self.fetch(shard.chunk)? else {
            self.read.fill_missing(shard.chunk);
            return Ok(None);
        };
        let sharding = self.read.format().chain.as_shard().expect("the chain is a sharding codec alone");
        let index = shard::open(&self.read.reader(), Window::whole(&object)?, sharding, &shard.plan)?;
        Ok(Some((object.into_owned(), index)))
    }
}

impl Units for StoreRead {
    fn len(&self) -> usize {
        self.shards.as_ref().map_or_else(|| self.read.len(), SubchunkUnits::count)
    }

    fn run(&self, units: Range<usize>) -> std::result::Result<(), (usize, Error)> {
        let Some(shards) = &self.shards else { return self.read.chunks(&self.store, units) };
        shards.run(
            units,
            |shard| shard.plan.len(),
            |shard, range| {
                let key = self.read.batch().key(shard.chunk);
                self.subchunks(shard, range).map_err(|error| error.with_key(key))
            },
        )
    }
}
