//! The whole of `memory/` against models that are too simple to be wrong, and against what zarr itself answers.

mod emptiness;
mod references;
mod scratch;
mod views;
