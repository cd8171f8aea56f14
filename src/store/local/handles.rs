//! Files that may stay open between calls. Whether one still is what its key means, [`Handle`] knows.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::handle::Handle;

/// Files that stay open between calls, the least recently used closed first. No lock is ever waited for: a lock that
/// another thread holds, or held when this process was forked, makes a miss. A forked child may use the files that it
/// inherits, since reads name their offset.
#[derive(Debug)]
pub(super) struct Handles {
    shards: Vec<Mutex<Shard>>,
}

/// More locks than threads that are likely to meet, so that a miss by contention is rare.
const SHARDS: usize = 16;

#[derive(Debug)]
struct Shard {
    /// At least 1.
    capacity: usize,
    /// Each with the time of its last use, in uses of this shard.
    handles: HashMap<Box<str>, (Arc<Handle>, u64)>,
    uses: u64,
}

impl Handles {
    /// Room for `capacity` files in all.
    pub(super) fn new(capacity: usize) -> Self {
        let count = capacity.min(SHARDS);
        let shard =
            |index: usize| Shard { capacity: (capacity - index).div_ceil(count), handles: HashMap::new(), uses: 0 };
        Self { shards: (0..count).map(|index| Mutex::new(shard(index))).collect() }
    }

    pub(super) fn is_on(&self) -> bool {
        !self.shards.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Handle>> {
        let mut shard = self.shard(key)?;
        shard.uses += 1;
        let now = shard.uses;
        let (handle, used) = shard.handles.get_mut(key)?;
        *used = now;
        Some(Arc::clone(handle))
    }

    /// Keeps `handle` for later calls, if there is room for any.
    pub(super) fn keep(&self, key: &str, handle: &Arc<Handle>) {
        let Some(mut shard) = self.shard(key) else { return };
        shard.uses += 1;
        let now = shard.uses;
        let mut displaced = shard.handles.insert(key.into(), (Arc::clone(handle), now));
        if shard.handles.len() > shard.capacity {
            // A search through all of a shard, which costs less than the opening of the file that led here.
            let oldest = shard.handles.iter().min_by_key(|(_, (_, used))| used).map(|(key, _)| key.clone());
            displaced = oldest.and_then(|key| shard.handles.remove(&key));
        }
        // Nobody waits for the lock while a file is closed.
        drop(shard);
        drop(displaced);
    }

    /// Lets go of the file kept for `key`. One that is missed here is found out by [`Handle::is_current`].
    pub(super) fn forget(&self, key: &str) {
        let forgotten = self.shard(key).and_then(|mut shard| shard.handles.remove(key));
        drop(forgotten);
    }

    /// Lets go of all files; whether there were any.
    pub(super) fn clear(&self) -> bool {
        let taken: Vec<_> =
            self.shards.iter().filter_map(unlocked).map(|mut s| std::mem::take(&mut s.handles)).collect();
        taken.iter().any(|handles| !handles.is_empty())
    }

    /// Holds every lock.
    #[cfg(all(test, unix))]
    pub(super) fn hold_all(&self) -> Vec<impl Sized> {
        self.shards.iter().filter_map(unlocked).collect()
    }

    fn shard(&self, key: &str) -> Option<MutexGuard<'_, Shard>> {
        let count = NonZeroUsize::new(self.shards.len())?;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        unlocked(&self.shards[hash as usize % count])
    }
}

fn unlocked<T>(shard: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match shard.try_lock() {
        Ok(guard) => Some(guard),
        // A panic in between leaves at worst a file too many or too few.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
