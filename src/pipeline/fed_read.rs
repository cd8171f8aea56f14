//! Reading a batch whose bytes the caller fetches: requests out, bytes in, decoding as they arrive.

use std::ops::Range;
use std::sync::Mutex;

use crate::concurrency::locked;
use crate::error::Error;
use crate::pipeline::estimate;
use crate::pipeline::plan::Coalesce;
use crate::pipeline::read::Read;
use crate::pipeline::requests::{Part, Request, Requests, Unit, sharding_at};
use crate::pipeline::shard::{self, Shard};
use crate::pipeline::units::FedUnits;
use crate::store::{Fetched, Object, Window};

/// A batch, the requests that it still makes, and the units that wait to be decoded.
#[derive(Debug)]
pub struct FedRead {
    /// The batch.
    pub read: Read,
    /// What is to be fetched.
    pub requests: Requests,
    /// What is to be decoded.
    pub units: FedUnits<Unit>,
    first: Mutex<Vec<Request>>,
}

impl FedRead {
    /// `read`, with its first requests.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn new(read: Read, coalesce: Coalesce) -> Result<Self, Error> {
        let (requests, first) = Requests::new(&read, coalesce)?;
        Ok(Self { read, requests, units: FedUnits::default(), first: Mutex::new(first) })
    }

    /// The first requests, once.
    pub fn take_first(&self) -> Vec<Request> {
        std::mem::take(&mut *locked(&self.first))
    }

    /// Takes the answer to request `id`: the requests that follow, and the units that can be decoded.
    ///
    /// # Errors
    /// A damaged index: the chunk's number, and the error with its key.
    pub fn feed(&self, id: usize, part: Option<Part>) -> Result<(Vec<Request>, Vec<Unit>), (usize, Error)> {
        self.requests.feed(&self.read, id, part)
    }

    /// Decodes and places what `unit` holds.
    ///
    /// # Errors
    /// The chunk's number, and its error with the chunk key.
    pub fn run(&self, unit: &Unit) -> Result<(), (usize, Error)> {
        match unit {
            Unit::Object { chunk, part } => {
                self.read.chunks(&Fetched(part.as_deref().map(Part::bytes)), *chunk..chunk + 1)
            }
            Unit::Subchunks { node, numbers, part } => {
                let object = part.as_ref().map_or(Object::Part { start: 0, bytes: &[] }, |part| part.object());
                let subchunks = |numbers: Range<usize>| {
                    let whole = Window::whole(&object)?;
                    let window = node.extent.map_or(whole, |extent| whole.part(extent.offset, extent.len));
                    let index = node.index.get().expect("a unit is made once the index is there");
                    let sharding = sharding_at(&self.read, node.depth);
                    let shard = Shard { window, sharding, plan: &node.plan, index };
                    shard::read_subchunks(&self.read.reader(), shard, numbers)
                };
                subchunks(numbers.clone())
                    .map_err(|error: Error| (node.chunk, error.with_key(self.read.batch().key(node.chunk))))
            }
        }
    }

    /// Fills the shards that vanished while they were read. To be called once no unit runs any more.
    pub fn fill_vanished(&self) {
        self.requests.take_vanished().into_iter().for_each(|chunk| self.read.fill_missing(chunk));
    }

    /// About how long `unit` takes on one thread, in microseconds.
    pub fn estimate(&self, unit: &Unit) -> f64 {
        match unit {
            Unit::Object { chunk, .. } => self.read.estimate(*chunk),
            Unit::Subchunks { node, numbers, .. } => {
                let sharding = sharding_at(&self.read, node.depth);
                numbers.len() as f64 * estimate::subchunk(sharding, self.read.format().item_size)
            }
        }
    }
}
