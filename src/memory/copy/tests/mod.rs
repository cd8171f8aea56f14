//! Copies and fills against models that are too simple to be wrong.

mod copies;
mod fills;
pub(in crate::memory) mod random;
