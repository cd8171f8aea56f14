//! Which requests a read takes where somebody else gets the bytes, and what is done with what they bring. No I/O, no
//! threads: requests go out, bytes come in, in any order; follow-up requests and decode units come of it.
//!
//! A whole object is one request. A shard of which a part is wanted is two rounds, its index and then the touched subchunks;
//! a subchunk that is a shard itself adds a round. What is near in the object is got together (zarr's
//! `array.sharding_coalesce_max_gap_bytes` and `array.sharding_coalesce_max_bytes`).

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::codec::array_to_bytes::sharding::{Extent, Index, Sharding};
use crate::error::{Error, Result};
use crate::memory::BorrowedBytes;
use crate::pipeline::decode::Projections;
use crate::pipeline::plan::ShardPlan;
use crate::pipeline::read::Read;
use crate::pipeline::shard;
use crate::pipeline::source::{Opened, Window};
use crate::selection::Axis;
use crate::store::ByteRange;

/// Decoded bytes that one decode unit of a shard brings about, at least.
const UNIT: usize = 1 << 20;

/// When two ranges of an object are one request.
#[derive(Debug, Clone, Copy)]
pub struct Coalesce {
    /// Bytes between them, at most.
    pub max_gap: u64,
    /// Bytes from the first to the last, at most.
    pub max_bytes: u64,
}

/// One request to the store.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// What to feed the answer under.
    pub id: usize,
    /// The chunk.
    pub chunk: usize,
    /// Which bytes of its object.
    pub range: ByteRange,
    /// How many they are about, decoded or not.
    pub bytes: u64,
}

/// Bytes of an object as the store gave them, and whatever keeps them alive.
pub struct Part {
    start: u64,
    bytes: BorrowedBytes,
    _owner: Box<dyn Any + Send + Sync>,
}

impl Part {
    /// The bytes `bytes`, which `owner` keeps alive.
    pub fn new(bytes: BorrowedBytes, owner: Box<dyn Any + Send + Sync>) -> Self {
        Self { start: 0, bytes, _owner: owner }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.bytes().len()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// Whether the store gave none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn opened(&self) -> Opened<'_> {
        Opened::Part { start: self.start, bytes: self.bytes.bytes() }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes at {})", self.len(), self.start)
    }
}

/// Work that needs no more bytes: run it with [`Reading::run`], on any thread.
#[derive(Debug)]
pub enum Unit {
    /// A whole object; `None`: the chunk is missing.
    Object {
        /// The chunk.
        chunk: usize,
        /// Its bytes.
        part: Option<Arc<Part>>,
    },
    /// Touched subchunks of a shard.
    Subchunks {
        /// The shard.
        node: Arc<Node>,
        /// Which, by their number in its plan.
        numbers: Range<usize>,
        /// Bytes that hold them; `None`: they are missing.
        part: Option<Arc<Part>>,
    },
}

/// A shard, or a subchunk that is one.
#[derive(Debug)]
pub struct Node {
    chunk: usize,
    depth: usize,
    /// Where it lies in the object; `None`: it is the object.
    extent: Option<Extent>,
    plan: ShardPlan,
    index: OnceLock<Index>,
}

#[derive(Debug)]
enum Target {
    Object(Option<Arc<Node>>),
    Index(Arc<Node>),
    Subchunk(Arc<Node>, usize),
}

#[derive(Debug)]
struct Asked {
    chunk: usize,
    range: ByteRange,
    targets: Vec<(Extent, Target)>,
}

/// A read whose bytes somebody else gets.
#[derive(Debug)]
pub struct Reading {
    /// The batch.
    pub read: Read,
    coalesce: Coalesce,
    asked: Mutex<Vec<Option<Asked>>>,
    gone: Mutex<Vec<usize>>,
}

impl Reading {
    /// The requests of `read`, and the first round of them.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn new(read: Read, coalesce: Coalesce) -> Result<(Self, Vec<Request>)> {
        let reading = Self { coalesce, asked: Mutex::default(), gone: Mutex::default(), read };
        let first = (0..reading.read.len()).map(|chunk| reading.first(chunk)).collect::<Result<_>>()?;
        Ok((reading, first))
    }

    fn first(&self, chunk: usize) -> Result<Request> {
        let read = &self.read;
        let whole = |target| (ByteRange::Whole, read.layout(chunk).len as u64, target);
        let (range, bytes, target) = match read.chain().as_shard() {
            None => whole(Target::Object(None)),
            Some(sharding) => {
                let axes: Vec<&[Axis]> = read.batch().projections_of(chunk).collect();
                let projections = Projections { axes: &axes, lists: &read.batch().lists };
                let plan = ShardPlan::new(sharding, &read.layout(chunk).shape, projections, read.item_size())?;
                // Beyond the array's edge there is nothing to leave out.
                let complete =
                    read.batch().projection_numbers(chunk).iter().any(|row| read.batch().projections[*row].complete);
                let all = complete || plan.len() == plan.grid.len();
                let range = plan.index_request(sharding);
                let bytes = sharding.index_size(plan.grid.len()) as u64;
                let node = Arc::new(Node { chunk, depth: 0, extent: None, plan, index: OnceLock::new() });
                if all { whole(Target::Object(Some(node))) } else { (range, bytes, Target::Index(node)) }
            }
        };
        Ok(self.ask(chunk, range, bytes, vec![(Extent { offset: 0, len: bytes }, target)]))
    }

    fn ask(&self, chunk: usize, range: ByteRange, bytes: u64, targets: Vec<(Extent, Target)>) -> Request {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(Some(Asked { chunk, range, targets }));
        Request { id: asked.len() - 1, chunk, range, bytes }
    }

    /// The sharding codec of shards at `depth`: 0 for the chunk itself.
    fn sharding(&self, depth: usize) -> &Sharding {
        let outermost = self.read.chain().as_shard();
        let nested = (0..depth).fold(outermost, |sharding, _| sharding.and_then(|s| s.inner.as_shard()));
        nested.expect("a node is made for a shard")
    }

    /// Takes what the store gave for request `id` (`None`: no such object): the next requests, and what can be decoded.
    ///
    /// # Errors
    /// A damaged index, with the chunk key; the chunk's number with it.
    pub fn feed(
        &self,
        id: usize,
        part: Option<Part>,
    ) -> std::result::Result<(Vec<Request>, Vec<Unit>), (usize, Error)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id).and_then(Option::take);
        let Some(asked) = asked else {
            return Err((0, Error::value(format!("request {id} was not made, or was answered already"))));
        };
        let chunk = asked.chunk;
        self.feed_asked(asked, part).map_err(|error| (chunk, error.with_key(self.read.batch().key(chunk))))
    }

    fn feed_asked(&self, asked: Asked, part: Option<Part>) -> Result<(Vec<Request>, Vec<Unit>)> {
        let chunk = asked.chunk;
        let Some(mut part) = part else {
            let first = |target: &Target| match target {
                Target::Object(_) => true,
                Target::Index(node) => node.depth == 0,
                Target::Subchunk(..) => false,
            };
            if asked.targets.iter().any(|(_, target)| first(target)) {
                return Ok((Vec::new(), vec![Unit::Object { chunk, part: None }]));
            }
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
            return Ok((Vec::new(), Vec::new()));
        };
        if let ByteRange::Range { start, len } = asked.range {
            let given = part.bytes().len() as u64;
            // From a store that knows no ranges: which bytes these are can be told only if they begin where they should.
            // What is one thing only is refused by zarr-python then too, since it is too long.
            if given > len && (start > 0 || asked.targets.len() == 1) {
                return Err(Error::value(format!("the store gave {given} bytes of the {len} from byte {start} on")));
            }
            part.start = start;
        }
        let part = Arc::new(part);
        let mut next = Vec::new();
        let mut units = Vec::new();
        let mut ready: Vec<(Arc<Node>, usize)> = Vec::new();
        for (extent, target) in asked.targets {
            match target {
                Target::Object(None) => units.push(Unit::Object { chunk, part: Some(Arc::clone(&part)) }),
                Target::Object(Some(node)) => {
                    let opened = Opened::Bytes(part.bytes());
                    let index = shard::read_index(Window::whole(&opened)?, self.sharding(0), &node.plan)?;
                    ready.extend((0..node.plan.len()).map(|number| (Arc::clone(&node), number)));
                    node.index.get_or_init(|| index);
                }
                Target::Index(node) => {
                    let suffix = matches!(asked.range, ByteRange::Suffix(_));
                    let opened = if suffix { Opened::Bytes(part.bytes()) } else { part.opened() };
                    let window = Window::whole(&opened)?;
                    let stored = if suffix { window } else { window.part(extent) }.in_memory().unwrap_or_default();
                    let index = node.plan.feed_index(stored, self.sharding(node.depth))?;
                    self.follow(&node, index, &mut next, &mut units)?;
                }
                Target::Subchunk(node, number) => ready.push((node, number)),
            }
        }
        units_of(ready, Some(&part), &mut units);
        Ok((self.merge(chunk, next), units))
    }

    /// Shards that went between their index and their subchunks: missing as a whole, as for zarr. To be run once nothing
    /// else of them runs any more, for other ranges may have come before.
    pub fn gone(&self) -> Vec<Unit> {
        let mut gone = std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        gone.sort_unstable();
        gone.dedup();
        gone.into_iter().map(|chunk| Unit::Object { chunk, part: None }).collect()
    }

    /// What the index of `node` leads to: bytes to get, and subchunks that are missing.
    fn follow(
        &self,
        node: &Arc<Node>,
        index: Index,
        next: &mut Vec<(Extent, Target)>,
        units: &mut Vec<Unit>,
    ) -> Result<()> {
        let sharding = self.sharding(node.depth);
        let base = node.extent.map_or(0, |extent| extent.offset);
        let mut missing = Vec::new();
        for number in 0..node.plan.len() {
            let Some(extent) = node.plan.request(number, &index) else {
                missing.push((Arc::clone(node), number));
                continue;
            };
            let offset = base
                .checked_add(extent.offset)
                .filter(|offset| offset.checked_add(extent.len).is_some_and(|end| i64::try_from(end).is_ok()));
            let Some(offset) = offset else {
                return Err(Error::value(format!(
                    "the shard index places subchunk {} at bytes {} and on, {} of them, outside of any object",
                    node.plan.subchunk(number),
                    extent.offset,
                    extent.len
                )));
            };
            let extent = Extent { offset, len: extent.len };
            let nested = match sharding.inner.as_shard() {
                Some(inner) => self.nested(node, number, inner, extent)?,
                None => None,
            };
            next.push(nested.unwrap_or_else(|| (extent, Target::Subchunk(Arc::clone(node), number))));
        }
        node.index.get_or_init(|| index);
        units_of(missing, None, units);
        Ok(())
    }

    /// The index of a subchunk that is a shard, if a part of it is wanted.
    fn nested(
        &self,
        node: &Arc<Node>,
        number: usize,
        inner: &Sharding,
        extent: Extent,
    ) -> Result<Option<(Extent, Target)>> {
        let axes = node.plan.axes(number);
        let projections = Projections { axes: &axes, lists: &node.plan.pieces.lists };
        let plan = ShardPlan::new(inner, &node.plan.layout.shape, projections, self.read.item_size())?;
        if plan.len() == plan.grid.len() {
            return Ok(None);
        }
        let len = (inner.index_size(plan.grid.len()) as u64).min(extent.len);
        let offset = if inner.index_at_start { extent.offset } else { extent.offset + extent.len - len };
        let (chunk, depth) = (node.chunk, node.depth + 1);
        let node = Arc::new(Node { chunk, depth, extent: Some(extent), plan, index: OnceLock::new() });
        Ok(Some((Extent { offset, len }, Target::Index(node))))
    }

    /// Puts what lies close together into one request.
    fn merge(&self, chunk: usize, mut wanted: Vec<(Extent, Target)>) -> Vec<Request> {
        wanted.sort_by_key(|(extent, _)| (extent.offset, extent.len));
        let mut requests = Vec::new();
        let mut run: Vec<(Extent, Target)> = Vec::new();
        let mut span = Range { start: 0, end: 0 };
        for (extent, target) in wanted {
            let end = extent.offset + extent.len;
            let joins = !run.is_empty()
                && extent.offset.saturating_sub(span.end) <= self.coalesce.max_gap
                && span.end.max(end) - span.start <= self.coalesce.max_bytes;
            if joins {
                span.end = span.end.max(end);
            } else {
                self.flush(chunk, &mut run, &span, &mut requests);
                span = extent.offset..end;
            }
            run.push((extent, target));
        }
        self.flush(chunk, &mut run, &span, &mut requests);
        requests
    }

    fn flush(&self, chunk: usize, run: &mut Vec<(Extent, Target)>, span: &Range<u64>, requests: &mut Vec<Request>) {
        if !run.is_empty() {
            let len = span.end - span.start;
            let range = ByteRange::Range { start: span.start, len };
            requests.push(self.ask(chunk, range, len, std::mem::take(run)));
        }
    }

    /// Decodes and places what `unit` holds.
    ///
    /// # Errors
    /// The chunk's number, and its error with the chunk key.
    pub fn run(&self, unit: &Unit) -> std::result::Result<(), (usize, Error)> {
        match unit {
            Unit::Object { chunk, part } => self.read.fed(*chunk, part.as_deref().map(Part::bytes)),
            Unit::Subchunks { node, numbers, part } => {
                let opened = part.as_ref().map_or(Opened::Part { start: 0, bytes: &[] }, |part| part.opened());
                let parts = || {
                    let object = Window::whole(&opened)?;
                    let window = node.extent.map_or(object, |extent| object.part(extent));
                    let index = node.index.get().expect("a unit is made once the index is there");
                    let shard = shard::Shard { window, sharding: self.sharding(node.depth), plan: &node.plan, index };
                    shard::read_subchunks(&self.read.reader(), shard, numbers.clone())
                };
                parts().map_err(|error: Error| (node.chunk, error.with_key(self.read.batch().key(node.chunk))))
            }
        }
    }

    /// About how long `unit` takes on one thread, in microseconds.
    pub fn estimate(&self, unit: &Unit) -> f64 {
        match unit {
            Unit::Object { chunk, .. } => self.read.estimate_decode(*chunk),
            Unit::Subchunks { node, numbers, .. } => {
                let sharding = self.sharding(node.depth);
                numbers.len() as f64 * shard::estimate(sharding, self.read.item_size())
            }
        }
    }
}

/// Cuts `ready` into units of neighbours, large enough to be worth a hand-over.
fn units_of(mut ready: Vec<(Arc<Node>, usize)>, part: Option<&Arc<Part>>, units: &mut Vec<Unit>) {
    ready.sort_by_key(|(node, number)| (Arc::as_ptr(node), *number));
    let mut ready = ready.into_iter().peekable();
    while let Some((node, first)) = ready.next() {
        let most = (UNIT / node.plan.layout.len.max(1)).max(1);
        let mut end = first + 1;
        while end - first < most && ready.next_if(|(next, number)| Arc::ptr_eq(next, &node) && *number == end).is_some()
        {
            end += 1;
        }
        units.push(Unit::Subchunks { node, numbers: first..end, part: part.cloned() });
    }
}
