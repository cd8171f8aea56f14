//! Files that may stay open between calls. [`Handle`] knows whether a file is still the object of its key.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::handle::Handle;

/// Files that stay open between calls; the least recently used is closed first. No call waits for a lock: a lock that
/// another thread holds, or held when this process was forked, is a miss. A forked child may use the files that it
/// inherits, since reads name their offset.
#[derive(Debug)]
pub(super) struct Handles {
    stripes: Vec<Mutex<Stripe>>,
}

/// More locks than threads that are likely to contend, so that a miss by contention is rare.
const STRIPES: usize = 16;

#[derive(Debug)]
struct Stripe {
    /// At least 1.
    capacity: usize,
    /// Each with the time of its last use, counted in uses of this stripe.
    handles: HashMap<Box<str>, (Arc<Handle>, u64)>,
    uses: u64,
}

impl Handles {
    /// Room for `capacity` files in all.
    pub(super) fn new(capacity: usize) -> Self {
        let count = capacity.min(STRIPES);
        let stripe =
            |index: usize| Stripe { capacity: (capacity - index).div_ceil(count), handles: HashMap::new(), uses: 0 };
        Self { stripes: (0..count).map(|index| Mutex::new(stripe(index))).collect() }
    }

    pub(super) fn is_on(&self) -> bool {
        !self.stripes.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Handle>> {
        let mut stripe = self.stripe(key)?;
        stripe.uses += 1;
        let now = stripe.uses;
        let (handle, used) = stripe.handles.get_mut(key)?;
        *used = now;
        Some(Arc::clone(handle))
    }

    /// Keeps `handle` for later calls, if there is room for any.
    pub(super) fn keep(&self, key: &str, handle: &Arc<Handle>) {
        let Some(mut stripe) = self.stripe(key) else { return };
        stripe.uses += 1;
        let now = stripe.uses;
        let mut displaced = stripe.handles.insert(key.into(), (Arc::clone(handle), now));
        if stripe.handles.len() > stripe.capacity {
            // A search through the whole stripe, which costs less than opening the file did.
            let oldest = stripe.handles.iter().min_by_key(|(_, (_, used))| used).map(|(key, _)| key.clone());
            displaced = oldest.and_then(|key| stripe.handles.remove(&key));
        }
        // The lock is released before a file is closed.
        drop(stripe);
        drop(displaced);
    }

    /// Drops the file kept for `key`. If the lock is taken, [`Handle::is_current`] still detects that the file is
    /// stale.
    pub(super) fn forget(&self, key: &str) {
        let forgotten = self.stripe(key).and_then(|mut stripe| stripe.handles.remove(key));
        drop(forgotten);
    }

    /// Drops all files; returns whether there were any.
    pub(super) fn clear(&self) -> bool {
        let taken: Vec<_> =
            self.stripes.iter().filter_map(unlocked).map(|mut s| std::mem::take(&mut s.handles)).collect();
        taken.iter().any(|handles| !handles.is_empty())
    }

    /// Holds every lock.
    #[cfg(all(test, unix))]
    pub(super) fn hold_all(&self) -> Vec<impl Sized> {
        self.stripes.iter().filter_map(unlocked).collect()
    }

    fn stripe(&self, key: &str) -> Option<MutexGuard<'_, Stripe>> {
        let count = NonZeroUsize::new(self.stripes.len())?;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        unlocked(&self.stripes[hash as usize % count])
    }
}

fn unlocked<T>(stripe: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match stripe.try_lock() {
        Ok(guard) => Some(guard),
        // A panic under the lock leaves at worst one file too many or too few.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
