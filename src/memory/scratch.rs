//! Buffers that a thread keeps between chunks, so that decoded chunks do not cost page faults each time.
//! Leaves out codec contexts, which their wrappers keep.

use std::cell::RefCell;
use std::mem;
use std::ops::{Deref, DerefMut};

/// What a buffer of [`Scratch`] is used for. Uses that may be nested have slots of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A chunk's or a subchunk's bytes as they are stored.
    Stored,
    /// An intermediate form of a codec chain.
    Even,
    /// Its neighbour.
    Odd,
    /// A chunk that was encoded, on its way to the store.
    Encoded,
    /// The serialized form of elements of variable length.
    Vlen,
    /// Bytes of an archive: a local header, a deflated entry, a piece of a stored one.
    Archive,
}

impl Slot {
    /// How many there are.
    const COUNT: usize = Self::Archive as usize + 1;
}

/// A buffer above this capacity, in bytes, goes back to the allocator: one huge chunk must not stay in memory for good.
pub(super) const MAX_RETAINED: usize = 64 << 20;

thread_local! {
    static BUFFERS: RefCell<[Vec<u8>; Slot::COUNT]> = const { RefCell::new([const { Vec::new() }; Slot::COUNT]) };
}

/// A buffer taken from this thread's slot, empty; it goes back to the slot of the thread that drops it.
///
/// If the same slot is taken again meanwhile, that is another buffer: nested decodes need not know of each other.
#[derive(Debug)]
pub struct Scratch {
    slot: Slot,
    buffer: Vec<u8>,
}

impl Scratch {
    /// This thread's buffer of `slot`.
    pub fn take(slot: Slot) -> Self {
        // While a thread ends, its buffers are gone before the last of its work may be: a new one serves then.
        let mut buffer = BUFFERS.try_with(|all| mem::take(&mut all.borrow_mut()[slot as usize])).unwrap_or_default();
        buffer.clear();
        Self { slot, buffer }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.buffer);
        if buffer.capacity() > MAX_RETAINED {
            return;
        }
        // The larger one stays; the other is freed outside the borrow.
        let _ = BUFFERS.try_with(|all| {
            let retained = &mut all.borrow_mut()[self.slot as usize];
            if retained.capacity() < buffer.capacity() {
                mem::swap(retained, &mut buffer);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}
