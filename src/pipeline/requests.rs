//! The requests of a read whose bytes the caller fetches, and what follows from the answers. No I/O, no threads: requests go
//! out, bytes come in, in any order; they lead to further requests and to units that can be decoded.
//!
//! A whole object is one request. A shard that is wanted in part takes two rounds, its index and then the touched subchunks;
//! a subchunk that is a shard itself adds a round. Ranges that lie near together are one request ([`Coalesce`]).

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::codec::array_to_bytes::sharding::{Extent, Index, Sharding};
use crate::concurrency::locked;
use crate::error::{Error, Result};
use crate::memory::BorrowedBytes;
use crate::pipeline::plan::{Coalesce, ShardPlan};
use crate::pipeline::read::Read;
use crate::pipeline::units::HoldsBytes;
use crate::pipeline::{Projections, shard};
use crate::store::{ByteRange, Object, Window};

/// Decoded bytes that one unit of a shard yields, at least.
const UNIT: usize = 1 << 20;

/// One request to the store.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The number under which the answer is fed.
    pub id: usize,
    /// The chunk.
    pub chunk: usize,
    /// Which bytes of its object.
    pub range: ByteRange,
    /// About how many bytes the answer holds, or decodes to.
    pub bytes: u64,
    /// Whether the bytes have to be fetched; else the answer is "missing" without asking the store.
    pub needed: bool,
}

/// Bytes of an object as the store returned them, and the object that keeps them alive.
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

    /// Whether the store returned none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as a part of their object.
    pub fn object(&self) -> Object<'_> {
        Object::Part { start: self.start, bytes: self.bytes.bytes() }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes at {})", self.len(), self.start)
    }
}

/// Work that needs no more bytes: it can run on any thread.
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
    /// The chunk that it is, or is a part of.
    pub chunk: usize,
    /// 0 for the chunk itself.
    pub depth: usize,
    /// Where it lies in the object; `None`: it is the object.
    pub extent: Option<Extent>,
    /// What is wanted of it.
    pub plan: ShardPlan,
    /// Where its subchunks lie, once that is known.
    pub index: OnceLock<Index>,
}

/// What a part of an answer is for.
#[derive(Debug)]
enum Purpose {
    Object(Option<Arc<Node>>),
    Index(Arc<Node>),
    Subchunk(Arc<Node>, usize),
}

/// A request that was made and not answered.
#[derive(Debug)]
struct Asked {
    chunk: usize,
    range: ByteRange,
    purposes: Vec<(Extent, Purpose)>,
}

/// The requests of one read, as they come up.
#[derive(Debug)]
pub struct Requests {
    coalesce: Coalesce,
    asked: Mutex<Vec<Option<Asked>>>,
    /// Requests that were made and whose answer has not been dealt with.
    open: AtomicUsize,
    vanished: Mutex<Vec<usize>>,
}

impl Requests {
    /// The requests of `read`, and the first round of them.
    ///
    /// # Errors
    /// `Value` when a shard shape does not divide into subchunks.
    pub fn new(read: &Read, coalesce: Coalesce) -> Result<(Self, Vec<Request>)> {
        let requests =
            Self { coalesce, asked: Mutex::default(), open: AtomicUsize::new(0), vanished: Mutex::default() };
        let first = (0..read.len()).map(|chunk| requests.first(read, chunk)).collect::<Result<_>>()?;
        Ok((requests, first))
    }

    fn first(&self, read: &Read, chunk: usize) -> Result<Request> {
        let whole = |purpose| (ByteRange::Whole, read.layout(chunk).len as u64, purpose);
        let (range, bytes, purpose) = match (read.shard_plan(chunk)?, read.format().chain.as_shard()) {
            (Some(plan), Some(sharding)) => {
                // Beyond the array's edge there is nothing to leave out.
                let all = read.batch().is_complete(chunk) || plan.touches_all();
                let range = plan.index_request(sharding);
                let bytes = sharding.index_size(plan.grid.len()) as u64;
                let node = Arc::new(Node { chunk, depth: 0, extent: None, plan, index: OnceLock::new() });
                if all { whole(Purpose::Object(Some(node))) } else { (range, bytes, Purpose::Index(node)) }
            }
            _ => whole(Purpose::Object(None)),
        };
        Ok(self.ask(chunk, range, bytes, vec![(Extent { offset: 0, len: bytes }, purpose)]))
    }

    fn ask(&self, chunk: usize, range: ByteRange, bytes: u64, purposes: Vec<(Extent, Purpose)>) -> Request {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut asked = locked(&self.asked);
        asked.push(Some(Asked { chunk, range, purposes }));
        Request { id: asked.len() - 1, chunk, range, bytes, needed: true }
    }

    /// Takes what the store returned for request `id` (`None`: no such object): the next requests, and the units that can be
    /// decoded. [`Requests::answered`] follows once these have been dealt with.
    ///
    /// # Errors
    /// A damaged index, with the chunk key; the chunk's number with it.
    pub fn feed(
        &self,
        read: &Read,
        id: usize,
        part: Option<Part>,
    ) -> std::result::Result<(Vec<Request>, Vec<Unit>), (usize, Error)> {
        let asked = locked(&self.asked).get_mut(id).and_then(Option::take);
        let Some(asked) = asked else {
            return Err((0, Error::value(format!("request {id} was not made, or was answered already"))));
        };
        let chunk = asked.chunk;
        self.feed_asked(read, asked, part).map_err(|error| (chunk, error.with_key(read.batch().key(chunk))))
    }

    fn feed_asked(&self, read: &Read, asked: Asked, part: Option<Part>) -> Result<(Vec<Request>, Vec<Unit>)> {
        let chunk = asked.chunk;
        let Some(mut part) = part else {
            let first = |purpose: &Purpose| match purpose {
                Purpose::Object(_) => true,
                Purpose::Index(node) => node.depth == 0,
                Purpose::Subchunk(..) => false,
            };
            if asked.purposes.iter().any(|(_, purpose)| first(purpose)) {
                return Ok((Vec::new(), vec![Unit::Object { chunk, part: None }]));
            }
            locked(&self.vanished).push(chunk);
            return Ok((Vec::new(), Vec::new()));
        };
        if let ByteRange::Range { start, len } = asked.range {
            let given = part.bytes().len() as u64;
            // A store that ignores ranges returns the whole object. Its bytes can be placed only if the range begins at 0 and
            // holds several parts; a single part is too long then, which zarr-python refuses as well.
            if given > len && (start > 0 || asked.purposes.len() == 1) {
                return Err(Error::value(format!(
                    "the store returned {given} bytes for the {len} from byte {start} on"
                )));
            }
            part.start = start;
        }
        let part = Arc::new(part);
        let mut next = Vec::new();
        let mut units = Vec::new();
        let mut ready: Vec<(Arc<Node>, usize)> = Vec::new();
        for (extent, purpose) in asked.purposes {
            match purpose {
                Purpose::Object(None) => units.push(Unit::Object { chunk, part: Some(Arc::clone(&part)) }),
                Purpose::Object(Some(node)) => {
                    let object = Object::Bytes(part.bytes());
                    let index = shard::read_index(Window::whole(&object)?, sharding_at(read, 0), &node.plan)?;
                    ready.extend((0..node.plan.len()).map(|number| (Arc::clone(&node), number)));
                    node.index.get_or_init(|| index);
                }
                Purpose::Index(node) => {
                    let suffix = matches!(asked.range, ByteRange::Suffix(_));
                    let object = if suffix { Object::Bytes(part.bytes()) } else { part.object() };
                    let window = Window::whole(&object)?;
                    let stored = if suffix { window } else { window.part(extent.offset, extent.len) }
                        .in_memory()
                        .unwrap_or_default();
                    let index = node.plan.feed_index(stored, sharding_at(read, node.depth))?;
                    follow(read, &node, index, (&mut next, &mut units))?;
                }
                Purpose::Subchunk(node, number) => ready.push((node, number)),
            }
        }
        units_of(ready, Some(&part), &mut units);
        Ok((self.merge(chunk, next), units))
    }

    /// Says that an answer has been dealt with; true if no request is open any more, so that no units will follow.
    pub fn answered(&self) -> bool {
        self.open.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Shards that vanished between their index and their subchunks: missing as a whole, as for zarr. To be filled once no
    /// unit runs any more, since other ranges of theirs may have been decoded before.
    pub fn take_vanished(&self) -> Vec<usize> {
        let mut vanished = std::mem::take(&mut *locked(&self.vanished));
        vanished.sort_unstable();
        vanished.dedup();
        vanished
    }

    /// Ranges that lie close together become one request.
    fn merge(&self, chunk: usize, wanted: Vec<(Extent, Purpose)>) -> Vec<Request> {
        let requests = self.coalesce.requests(wanted).into_iter();
        requests
            .map(|(span, purposes)| {
                let len = span.end - span.start;
                self.ask(chunk, ByteRange::Range { start: span.start, len }, len, purposes)
            })
            .collect()
    }
}

/// The sharding codec of shards at `depth`: 0 for the chunk itself.
pub fn sharding_at(read: &Read, depth: usize) -> &Sharding {
    let outermost = read.format().chain.as_shard();
    let nested = (0..depth).fold(outermost, |sharding, _| sharding.and_then(|sharding| sharding.inner.as_shard()));
    nested.expect("a node is made for a shard")
}

/// What the index of `node` leads to: ranges to fetch, and subchunks that are missing.
fn follow(
    read: &Read,
    node: &Arc<Node>,
    index: Index,
    (next, units): (&mut Vec<(Extent, Purpose)>, &mut Vec<Unit>),
) -> Result<()> {
    let sharding = sharding_at(read, node.depth);
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
            Some(inner) => nested(read, node, number, inner, extent)?,
            None => None,
        };
        next.push(nested.unwrap_or_else(|| (extent, Purpose::Subchunk(Arc::clone(node), number))));
    }
    node.index.get_or_init(|| index);
    units_of(missing, None, units);
    Ok(())
}

/// The index of a subchunk that is a shard, if a part of it is wanted.
fn nested(
    read: &Read,
    node: &Arc<Node>,
    number: usize,
    inner: &Sharding,
    extent: Extent,
) -> Result<Option<(Extent, Purpose)>> {
    let axes = node.plan.axes(number);
    let projections = Projections { axes: &axes, lists: &node.plan.pieces.lists };
    let plan = ShardPlan::new(inner, &node.plan.layout.shape, projections, read.format().item_size)?;
    if plan.touches_all() {
        return Ok(None);
    }
    let len = (inner.index_size(plan.grid.len()) as u64).min(extent.len);
    let offset = if inner.index_at_start { extent.offset } else { extent.offset + extent.len - len };
    let (chunk, depth) = (node.chunk, node.depth + 1);
    let node = Arc::new(Node { chunk, depth, extent: Some(extent), plan, index: OnceLock::new() });
    Ok(Some((Extent { offset, len }, Purpose::Index(node))))
}

impl HoldsBytes for Unit {
    fn bytes(&self) -> u64 {
        match self {
            Self::Object { part, .. } | Self::Subchunks { part, .. } => {
                part.as_ref().map_or(0, |part| part.len() as u64)
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
