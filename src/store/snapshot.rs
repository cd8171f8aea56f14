//! The objects of a memory store at the moment a call begins. They are borrowed, not copied: the caller keeps them alive.

use std::collections::HashMap;

use crate::memory::BorrowedBytes;

/// Objects by key.
#[derive(Debug, Default)]
pub struct Snapshot(HashMap<Box<str>, BorrowedBytes>);

impl Snapshot {
    /// A snapshot with room for `count` objects.
    pub fn with_capacity(count: usize) -> Self {
        Self(HashMap::with_capacity(count))
    }

    /// Makes `bytes` the object at `key`.
    pub fn insert(&mut self, key: &str, bytes: BorrowedBytes) {
        self.0.insert(key.into(), bytes);
    }

    /// The object at `key`; `None`: missing.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(BorrowedBytes::bytes)
    }
}
